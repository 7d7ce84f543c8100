import type { Actions, Frame, HelloFrame, InvitedFrame, MessageFrame, NotifyFrame } from './wire.js';
import type { RequestFrame, RoomFrame } from './wire.js';

export * from './wire.js';

/** Every action of the protocol. */
export const ACTIONS: readonly string[];

export type State = 'idle' | 'connecting' | 'resuming' | 'live' | 'waiting' | 'closed';

export interface Options {
  /** The address of the WebSocket API, with the query of the handshake: `wss://chat.example.com/dev?userId=ana`. */
  url: string;
  /** The address of the HTTP API. With it the client sees why a handshake is refused. */
  httpUrl?: string;
  /** The token, or a function that gets one. It is called again when a token ends or is refused. */
  token?: string | (() => Promise<string>);
  /**
   * Gets a ticket for each handshake, which then has no token in it: for networks that log the headers of handshakes,
   * or do not let subprotocols through. Needs `httpUrl`.
   */
  tickets?: boolean;
  /**
   * Where the outbox is kept: `localStorage`, React Native's `AsyncStorage`, or the like. Without it: IndexedDB where
   * there is one, else memory.
   */
  store?: Store;
  /** Where there is no `WebSocket`, such as in Node.js 20: the class of the package `ws`. */
  WebSocket?: new (url: string, protocols?: string[]) => object;
  /** Follows every room in which somebody writes, such as for a bot. */
  autoFollow?: boolean;
  /** A number from 0 to 1, for tests. */
  random?: () => number;
  /** The time and its timers, for tests. */
  clock?: Clock;
}

export interface Store {
  getItem(key: string): string | null | undefined | Promise<string | null | undefined>;
  setItem(key: string, text: string): void | Promise<void>;
  /** Replaces a text by what `change` makes of it, in one step. Needed where several programs share the store. */
  update?(key: string, change: (text: string | null | undefined) => string): Promise<void>;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface RequestOptions {
  /** 20 seconds, if not given. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/**
 * A failure: `code` as in the protocol, or one of the client's: `TIMEOUT`, `CONNECTION_LOST`, `HANDSHAKE_FAILED`,
 * `CLOSED`, `DISCARDED`, `UPLOAD_FAILED`, `ABORTED`.
 */
export class SwitchboardError extends Error {
  code: string;
  status?: number;
  field?: string;
  retryAfterMs?: number;
  scope?: string;
  current?: MessageFrame;
}
export type ChatError = SwitchboardError;

export interface User {
  userId: string;
  userName: string;
  roles: string[];
}

/** A message as the model has it. */
export interface Message extends Omit<MessageFrame, 'type' | 'requestId' | 'duplicate' | 'seq' | 'messageId'> {
  /** Absent until it is sent. */
  seq?: number;
  messageId?: string;
  status: 'pending' | 'sent' | 'refused';
  /** Why it was refused. */
  error?: SwitchboardError;
}

export type SentMessage = Message & { seq: number; messageId: string; status: 'sent' };

export interface Member {
  userId: string;
  userName: string;
  role?: 'owner' | 'admin' | 'member';
  joinedAt?: string;
  online?: boolean;
}

export interface Typist {
  userId: string;
  userName: string;
}

export type RoomInfo = Omit<RoomFrame, 'type' | 'requestId' | 'participants'>;

export interface Unread {
  roomId: string;
  lastSeq: number;
  lastReadSeq: number;
  /** How many times the mark was set back. */
  readVersion?: number;
  /** At most 99; with `unreadMore` there are more. */
  unread: number;
  unreadMore?: boolean;
  mentions: number;
  roomMention?: boolean;
  /** What the user wants to be told of. */
  notify?: 'all' | 'mentions' | 'none';
  mutedUntil?: string;
}

export interface Unreads {
  readonly total: number;
  readonly totalMentions: number;
  readonly rooms: Readonly<Record<string, Unread>>;
}

/** The events of a room. The client has them too, of all rooms. */
export interface RoomEvents {
  /** A new message, in the order of the log. */
  message: { room: Room; message: SentMessage };
  /** A message was edited, deleted, pinned, or reacted to; `resumed`: while the client was away. */
  changed: {
    room: Room;
    message: SentMessage;
    before: SentMessage;
    cause: 'edited' | 'deleted' | 'reactions' | 'pinned' | 'unpinned' | 'resumed';
  };
  /** A message of the outbox: it was written, sent, or refused. */
  pending: { room: Room; message: Message };
  sent: { room: Room; message: Message };
  refused: { room: Room; message: Message; error: SwitchboardError };
  /** What was shown is not complete: messages have expired, the log has begun again, or too much has changed. */
  discontinuity: { room: Room; reason: 'expired' | 'epoch' | 'changes' };
  joined: { room: Room; userId: string; userName: string };
  left: { room: Room; userId: string; reason: 'left' | 'removed' | 'banned' };
  presence: { room: Room; userId: string; online: boolean; at: string };
  read: { room: Room; userId: string; seq: number; at: string };
  typing: { room: Room; userId: string; userName: string; isTyping: boolean };
  room: { room: Room; info: RoomInfo };
  'room-closed': { room: Room; reason: 'closed' | 'idle'; userId?: string };
}

export interface ChatEvents extends RoomEvents {
  state: { state: State; previous: State; error?: SwitchboardError; retryInMs?: number };
  hello: { user: User; limits: Partial<HelloFrame['limits']> };
  /** Every frame, both ways. */
  frame: { direction: 'in'; frame: Frame } | { direction: 'out'; frame: { action: string; requestId?: string } };
  unreads: { unreads: Unreads };
  invited: InvitedFrame;
  request: RequestFrame;
  notify: NotifyFrame;
  /** The server has refused the token. */
  unauthorized: { error: SwitchboardError };
  /** A failure that belongs to no request: of the store, or one that the server reports. */
  error: { error: Error };
}

type EventOf<Events, Type extends keyof Events> = Events[Type] & { type: Type };
type AnyEvent<Events> = { [Type in keyof Events]: EventOf<Events, Type> }[keyof Events];

interface Emitter<Events> {
  /** Calls `listener` for each event of a type (`*`: of every type). Returns a function that ends it. */
  on<Type extends keyof Events>(type: Type, listener: (event: EventOf<Events, Type>) => void): () => void;
  on(type: '*', listener: (event: AnyEvent<Events>) => void): () => void;
  once<Type extends keyof Events>(type: Type, listener: (event: EventOf<Events, Type>) => void): () => void;
  off<Type extends keyof Events>(type: Type, listener: (event: EventOf<Events, Type>) => void): void;
}

/** What a room tells, apart from its events: that something of it has changed. */
interface RoomSignals extends RoomEvents {
  change: { room: Room };
}

export interface Draft {
  /** The message that it replies to. */
  replyTo?: number;
  /** An object of at most 1 KB, for the clients alone. */
  data?: Record<string, unknown>;
  /** The users whom it mentions. */
  mentions?: string[];
  /** It mentions everybody. */
  mentionRoom?: boolean;
}

export interface UploadOptions {
  /** The name of a `File`, if not given. */
  fileName?: string;
  contentType?: string;
  /** In base64. */
  sha256?: string;
  onProgress?: (progress: { loaded: number; total: number }) => void;
  signal?: AbortSignal;
}

/** A room and what the client knows of it. Each change replaces the arrays and objects that it concerns. */
export interface Room extends Emitter<RoomSignals> {
  readonly id: string;
  readonly chat: Switchboard;
  /** In a direct conversation: the other user. */
  readonly peer?: string;
  readonly status: 'opening' | 'open' | 'closed' | 'left' | 'refused';
  /** Why it is refused. */
  readonly error?: SwitchboardError;
  readonly info?: RoomInfo;
  /** In order and without gaps; then those of the outbox. */
  readonly messages: readonly Message[];
  /** The first hundred, and whom `moreMembers()` has loaded. */
  readonly members: readonly Member[];
  readonly typing: readonly Typist[];
  /** Up to where others have read: seqs by user id. */
  readonly reads: Readonly<Record<string, number>>;
  readonly unread: number;
  readonly hasOlder: boolean;
  /** Raised by every change. */
  readonly version: number;
  /** Resolves when the first page is loaded; fails when the room cannot be read. */
  readonly ready: Promise<Room>;
  /** Puts a message into the outbox: it shows at once, and is sent in its order, after a reload too. */
  send(content: string, draft?: Draft): Promise<SentMessage>;
  /** Sends a refused message again. */
  retry(clientMessageId: string): Promise<SentMessage>;
  /** Takes a message out of the outbox. */
  discard(clientMessageId: string): boolean;
  edit(seq: number, content: string, options?: RequestOptions): Promise<Actions['editMessage']['answer']>;
  delete(seq: number, options?: RequestOptions & { reason?: string }): Promise<Actions['deleteMessage']['answer']>;
  react(seq: number, emoji: string, on?: boolean, options?: RequestOptions): Promise<Actions['react']['answer']>;
  /** Up to the last message, if no `seq` is given. */
  markRead(seq?: number): Promise<Actions['markRead']['answer'] | void>;
  /** Call it at each key: it sends every three seconds. */
  setTyping(isTyping?: boolean): void;
  join(request?: { invite?: string; userName?: string; userIcon?: string; userColor?: string }): Promise<RoomFrame>;
  leave(): Promise<Actions['leaveRoom']['answer']>;
  /** Loads older messages, and resolves with them. */
  before(limit?: number): Promise<SentMessage[]>;
  moreMembers(): Promise<readonly Member[]>;
  /** Resolves with the message of the file. */
  upload(file: Blob | ArrayBuffer | Uint8Array, options?: UploadOptions): Promise<SentMessage>;
  /** Forgets the room: it is not kept up to date any more. */
  close(): void;
  /** The events from now on, until the client is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<AnyEvent<RoomEvents>>;
}

type Fields<Request> = Omit<Request, 'action' | 'requestId'>;
type Method<Request, Answer> = {} extends Fields<Request>
  ? (request?: Fields<Request>, options?: RequestOptions) => Promise<Answer>
  : (request: Fields<Request>, options?: RequestOptions) => Promise<Answer>;

/** A message of `sendMessages` gets an id if it has none. */
type WithIds<Request> = Request extends { messages: Array<infer One extends { clientMessageId: string }> }
  ? Omit<Request, 'messages'> & { messages: Array<Omit<One, 'clientMessageId'> & { clientMessageId?: string }> }
  : Request;
type MethodOf<Action extends keyof Actions> = Method<WithIds<Actions[Action]['request']>, Actions[Action]['answer']>;

/**
 * A method for each action: it takes the fields of the request, and resolves with the answer. `unreads` is the model,
 * and `loadUnreads()` the action.
 */
type Methods = { [Action in Exclude<keyof Actions, 'unreads'>]: MethodOf<Action> };

declare class Client {
  constructor(options: Options);
  readonly state: State;
  /** Why it is closed, or waits. */
  readonly error: SwitchboardError | undefined;
  readonly user: User | undefined;
  readonly limits: Partial<HelloFrame['limits']>;
  readonly unreads: Unreads;
  /** The rooms that are followed. */
  readonly rooms: Room[];
  /** `size`: how many messages wait for their answers, in all rooms. */
  readonly outbox: { readonly size: number };
  /** Connects, and stays connected until `close()`. Resolves when it is live; fails when the token is refused. */
  connect(): Promise<void>;
  close(): void;
  /** Follows a room: loads its newest messages, and keeps it up to date. */
  room(id: string): Room;
  /** The direct conversation with a user. */
  direct(userId: string): Promise<Room>;
  /** Reads the unread counts, and keeps them up to date from then on. */
  loadUnreads(): Promise<Unreads>;
  /** An address to download or show a file, valid for a minute: ask again for each use. */
  fileUrl(fileId: string, options?: { inline?: boolean }): Promise<string>;
  /** Calls the HTTP API as the client's user. */
  fetch(path: string, options?: HttpOptions): Promise<any>;
}

export interface HttpOptions {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  query?: Record<string, string | number>;
  body?: Record<string, unknown>;
  signal?: AbortSignal;
}

export interface Switchboard extends Client, Emitter<ChatEvents>, Methods {}
export const Switchboard: { new (options: Options): Switchboard };
