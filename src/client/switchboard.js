/**
 * The client of Switchboard: one connection that repairs itself, an outbox that survives a reload, and a small model of
 * each room. See README.md in this folder; switchboard.d.ts has the types.
 * @module
 */

/** Every action of the protocol. Each is a method of `Switchboard`: it takes the frame's fields, and returns the answer. */
export const ACTIONS = Object.freeze([
  'ping', 'hello', 'createRoom', 'joinRoom', 'leaveRoom', 'roomInfo', 'closeRoom', 'addMembers', 'declineInvite',
  'removeMember', 'banMember', 'unbanMember', 'setRole', 'muteMember', 'unmuteMember', 'reportMessage', 'listInvites',
  'revokeInvite', 'sendMessage', 'sendMessages', 'editMessage', 'deleteMessage', 'react', 'getReactions', 'pinMessage',
  'unpinMessage', 'listPins', 'broadcastMessage', 'typingIndicator', 'handleFileUpload', 'getFile', 'getMessages',
  'resume', 'markRead', 'listRooms', 'blockUser', 'unblockUser', 'listBlocked', 'unreads', 'setNotify', 'markUnread',
  'setRoomMode', 'renameRoom', 'searchMessages', 'refreshToken',
]);

const SUBPROTOCOL = 'switchboard.v1';
const MINUTE = 60_000;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 20_000;
/** The first wait after the server closed a connection: then it has closed many, and they do not all return at once. */
const AFTER_CLOSE_MS = 5_000;
const HANDSHAKE_MS = 15_000;
const REQUEST_MS = 20_000;
/** After this time without an answer a frame is sent again: its answer was lost. */
const ANSWER_MS = 15_000;
const PROBE_MS = 5_000;
const PONG_MS = 10_000;
/** How long a missing message may take: answers and posts come in any order. */
const HOLE_MS = 1_000;
/** API Gateway closes a connection after two hours. */
const ROTATE_AFTER_MS = [110 * MINUTE, 118 * MINUTE];
const PING_AFTER_MS = [4 * MINUTE, 8 * MINUTE];
/** A token is renewed this long before it ends. */
const RENEW_MS = MINUTE;
const UPLOADED_MS = MINUTE;
const ROOMS_PER_RESUME = 50;
const MESSAGES_PER_FRAME = 20;
const MENTIONS_PER_FRAME = 20;
const RELOADED_PAGES = 5;
const MOST_UNREAD = 99;
const EXCERPT_CHARACTERS = 140;
const TYPING_EVERY_MS = 3_000;
const DEFAULT_LIMITS = { contentBytes: 16_384, frameBytes: 32_768 };
/** What the fields around the messages take of a frame. */
const ENVELOPE_BYTES = 1_024;

/** Errors after which the same request can succeed. */
const RETRYABLE = new Set(['RATE_LIMITED', 'SLOW_MODE', 'ROOM_RATE', 'ROOM_BUSY', 'UNAVAILABLE', 'INTERNAL']);
/** Errors after which the connection ends: the request was not carried out. */
const ENDS_CONNECTION = new Set(['RECONNECT', 'SESSION_EXPIRED', 'UNAUTHORIZED']);
/** Not repeated when the answer is lost: it would be done twice. */
const DONE_TWICE = new Set(['createRoom']);
const CHANGES = new Set(['edited', 'deleted', 'reactions', 'pinned', 'unpinned']);

/** A request that failed: `code` and `status` as in the protocol, or a code of the client's own. */
export class SwitchboardError extends Error {
  constructor({ code, message, ...details }) {
    super(message ?? code);
    this.name = 'SwitchboardError';
    this.code = code;
    Object.assign(this, details);
  }
}

const failure = (code, message) => new SwitchboardError({ code, message });
const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;
const isDirect = (roomId) => roomId.startsWith('dm-');

function newId() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID();
  const bytes = new Uint8Array(16);
  // Pages without TLS have no randomUUID, and React Native may have neither.
  if (globalThis.crypto?.getRandomValues) crypto.getRandomValues(bytes);
  else bytes.forEach((_, at) => (bytes[at] = Math.random() * 256));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The claims of a token, not verified; nothing for a token of another kind. */
function claimsOf(token) {
  try {
    const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** A promise with its functions. Nobody has to handle its failure. */
function deferred() {
  const one = {};
  one.promise = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
  one.promise.catch(() => {});
  return one;
}

/** Without the members that are undefined. */
const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

class Emitter {
  #listeners = new Map();

  /** Calls `listener` for each event of a type (`*`: of every type). Returns a function that ends it. */
  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.off(type, listener);
  }

  once(type, listener) {
    const stop = this.on(type, (event) => {
      stop();
      listener(event);
    });
    return stop;
  }

  off(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  _emit(type, details) {
    const event = { type, ...details };
    for (const key of [type, '*']) {
      for (const listener of [...(this.#listeners.get(key) ?? [])]) {
        try {
          listener(event);
        } catch (error) {
          // A listener that fails must not stop the connection.
          if (globalThis.reportError) reportError(error);
          else console.error(error);
        }
      }
    }
  }
}

/** A store of the browser that keeps texts, also for the other tabs: the interface of `localStorage`, but async. */
class IndexedDbStore {
  #database;

  #open() {
    this.#database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open('switchboard', 1);
      request.onupgradeneeded = () => request.result.createObjectStore('texts');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return this.#database;
  }

  async getItem(key) {
    const database = await this.#open();
    return new Promise((resolve, reject) => {
      const request = database.transaction('texts').objectStore('texts').get(key);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  /** Replaces a text by what `change` makes of it, at once for all tabs. */
  async update(key, change) {
    const database = await this.#open();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction('texts', 'readwrite');
      const texts = transaction.objectStore('texts');
      const request = texts.get(key);
      request.onsuccess = () => texts.put(change(request.result), key);
      transaction.oncomplete = () => resolve();
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

class MemoryStore {
  #texts = new Map();
  getItem = (key) => this.#texts.get(key);
  setItem = (key, text) => void this.#texts.set(key, text);
}

const systemClock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** A message of a frame, as the model has it. */
function messageOf({ type, requestId, duplicate, ...message }) {
  return { ...message, status: 'sent' };
}

/** How a reply shows the message that it replies to. */
function parentOf({ seq, userId, userName, content = '', deleted }) {
  const excerpt = deleted ? '' : Array.from(content).slice(0, EXCERPT_CHARACTERS).join('');
  return { seq, userId, userName, excerpt, ...(deleted && { deleted: true }) };
}

/** A message after a change, which is a later one than the message has. */
function changed(message, change) {
  const { rev } = change;
  switch (change.type) {
    case 'edited':
      return { ...message, rev, content: change.content, version: change.version, editedAt: change.editedAt };
    case 'deleted': {
      const { content, file, reactions, pinned, mentions, mentionRoom, data, version, editedAt, ...rest } = message;
      const { deletedAt: at, deletedBy: by, reason } = change;
      return { ...rest, rev, deleted: { at, by, ...(reason !== undefined && { reason }) } };
    }
    case 'reactions': {
      const { reactions, ...rest } = message;
      return { ...rest, rev, ...(Object.keys(change.counts).length > 0 && { reactions: change.counts }) };
    }
    case 'pinned':
      return { ...message, rev, pinned: true };
    case 'unpinned': {
      const { pinned, ...rest } = message;
      return { ...rest, rev };
    }
    // From `resume`: the message as it is now.
    default:
      return messageOf(change);
  }
}

const revOf = (message) => message.rev ?? 0;
const seqsOf = (change) => change.seqs ?? [change.seq];

/**
 * A room and what the client knows of it. `messages` are without gaps from the oldest that was loaded, in order; then
 * those of the outbox. Each change replaces the arrays and objects that it concerns.
 */
export class Room extends Emitter {
  /** `opening`, `open`, `closed` (it takes no more messages), `left`, or `refused` (then `error` says why). */
  status = 'opening';
  error;
  /** The last `room` frame: name, type, roles and numbers. */
  info;
  /** Whether `before()` can load older messages. */
  hasOlder = false;
  /** Raised by every change of the room. */
  version = 0;
  #messages = new Map();
  /** By the seq of a message: the seqs of the loaded replies to it. */
  #replies = new Map();
  #oldest = Infinity;
  #members = new Map();
  #typing = new Map();
  #reads = new Map();
  #cache = new Map();
  #ready = deferred();
  #touched = false;
  /** Raised when the loaded messages are dropped: a page that was asked for before is no more of use. */
  #generation = 0;
  #pagesAsked = 0;
  /** Changes that came while a page was on its way, which may be older. */
  #recent = [];
  #older;
  #hole;
  #lastTyping = 0;
  /** All up to `seq` and `rev` is applied; nothing before the first page. */
  _cursor;
  /** Frames that wait for earlier ones: messages by seq, changes by rev. */
  _ahead = new Map();
  _changes = new Map();
  _resuming = false;
  _mustReload = false;

  constructor(chat, id, { peer, after } = {}) {
    super();
    this.chat = chat;
    this.id = id;
    /** In a direct conversation: the other user. */
    this.peer = peer;
    if (after !== undefined) this._cursor = { seq: after, rev: 0 };
  }

  /** Resolves when the first page is loaded; fails when the room cannot be read. */
  get ready() {
    return this.#ready.promise;
  }

  get messages() {
    return this.#cached('messages', () => {
      const log = [];
      const last = this._cursor?.seq ?? 0;
      for (let seq = this.#oldest; seq <= last; seq += 1) {
        const message = this.#messages.get(seq);
        if (message) log.push(message);
      }
      return [...log, ...this.chat._outbox.of(this).map((entry) => entry.message)];
    });
  }

  /** Who is in the room: the first hundred, and whom `moreMembers()` has loaded. */
  get members() {
    return this.#cached('members', () => [...this.#members.values()]);
  }

  /** Who is typing now. */
  get typing() {
    return this.#cached('typing', () => Array.from(this.#typing.values(), ({ userId, userName }) => ({ userId, userName })));
  }

  /** Up to where others have read: seqs by user id. */
  get reads() {
    return this.#cached('reads', () => Object.fromEntries(Array.from(this.#reads, ([user, { seq }]) => [user, seq])));
  }

  get unread() {
    return this.chat.unreads.rooms[this.id]?.unread ?? 0;
  }

  #cached(name, make) {
    if (!this.#cache.has(name)) this.#cache.set(name, make());
    return this.#cache.get(name);
  }

  /** Ends what was cached; listeners of `change` hear of it once for all that happens at a time. */
  _touch(...names) {
    this.version += 1;
    for (const name of names) this.#cache.delete(name);
    if (this.#touched) return;
    this.#touched = true;
    queueMicrotask(() => {
      this.#touched = false;
      super._emit('change', { room: this });
    });
  }

  _emit(type, details) {
    super._emit(type, { room: this, ...details });
    this.chat._emit(type, { room: this, ...details });
  }

  /** The events of the room from now on, until the client is closed or the loop ends. */
  [Symbol.asyncIterator]() {
    const events = [];
    let wake = () => {};
    let isDone = this.chat.state === 'closed';
    const stops = [
      this.on('*', (event) => {
        if (event.type !== 'change') events.push(event);
        wake();
      }),
      this.chat.on('state', ({ state }) => {
        isDone ||= state === 'closed';
        wake();
      }),
    ];
    const end = () => {
      isDone = true;
      stops.forEach((stop) => stop());
      wake();
    };
    return {
      next: async () => {
        while (events.length === 0 && !isDone) await new Promise((resolve) => (wake = resolve));
        if (events.length > 0) return { done: false, value: events.shift() };
        end();
        return { done: true, value: undefined };
      },
      return: async (value) => {
        events.length = 0;
        end();
        return { done: true, value };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  // What a user does in the room.

  /**
   * Puts a message into the outbox: it shows at once, with `status` `pending`. Resolves with the message when it is
   * sent, and fails when the server refuses it.
   */
  send(content, { replyTo, data, mentions, mentionRoom } = {}) {
    const entry = this.chat._outbox.add(this, compact({ content, replyTo, data, mentions, mentionRoom }));
    return entry.done.promise;
  }

  /** Sends a refused message again, under an id of its own. */
  retry(clientMessageId) {
    const entry = this.chat._outbox.remove(clientMessageId);
    if (!entry) return Promise.reject(failure('MESSAGE_NOT_FOUND', 'there is no such message in the outbox'));
    const { content, replyTo, data, mentions, mentionRoom } = entry.draft;
    return this.send(content, { replyTo, data, mentions, mentionRoom });
  }

  /** Takes a message out of the outbox: one that was refused, or that waits for the connection. */
  discard(clientMessageId) {
    return this.chat._outbox.remove(clientMessageId) !== undefined;
  }

  edit(seq, content, options) {
    return this.chat.editMessage({ roomId: this.id, seq, content }, options);
  }

  delete(seq, { reason, ...options } = {}) {
    return this.chat.deleteMessage(compact({ roomId: this.id, seq, reason }), options);
  }

  react(seq, emoji, on = true, options = undefined) {
    return this.chat.react({ roomId: this.id, seq, emoji, on }, options);
  }

  /** Marks the room as read up to a message: the last one, unless `seq` says which. */
  markRead(seq = this._cursor?.seq ?? 0) {
    const mark = this.chat.unreads.rooms[this.id];
    if (seq < 1 || (mark && mark.lastReadSeq >= seq)) return Promise.resolve();
    return this.chat.markRead({ roomId: this.id, seq });
  }

  /** Tells the others that the user types, or has stopped. Call it at each key: it sends every three seconds. */
  setTyping(isTyping = true) {
    const now = this.chat._clock.now();
    if (isTyping ? now - this.#lastTyping < TYPING_EVERY_MS : this.#lastTyping === 0) return;
    this.#lastTyping = isTyping ? now : 0;
    this.chat.typingIndicator({ ...this._target(), isTyping }).catch(() => {});
  }

  async join(request) {
    const frame = await this.chat.joinRoom({ ...request, roomId: this.id });
    this._reopen();
    return frame;
  }

  leave() {
    return this.chat.leaveRoom({ roomId: this.id });
  }

  /** Loads older messages, and resolves with them. */
  async before(limit = 50) {
    if (!this._cursor || this.#oldest === Infinity) return [];
    this.#older ??= this.#page({ before: this.#oldest, limit }).finally(() => (this.#older = undefined));
    const page = await this.#older;
    if (!page) return [];
    this.hasOlder = page.hasMore;
    this._touch('messages');
    return page.messages;
  }

  /** Loads the next hundred members of a large room. */
  async moreMembers() {
    const cursor = this.info?.nextCursor;
    if (cursor) await this.chat.roomInfo({ roomId: this.id, cursor });
    return this.members;
  }

  /** Uploads a file (a Blob, an ArrayBuffer or bytes) and resolves with its message. */
  upload(file, options) {
    return this.chat._upload(this, file, options);
  }

  /** Forgets the room: nothing of it is kept up to date any more. */
  close() {
    this.chat._forget(this);
    this.chat._clock.clearTimeout(this.#hole);
  }

  _message(seq) {
    return this.#messages.get(seq);
  }

  _nameOf(userId) {
    return this.#members.get(userId)?.userName;
  }

  _target() {
    return this.peer ? { recipientId: this.peer } : { roomId: this.id };
  }

  // Opening, and pages of the history.

  async _open() {
    try {
      if (!this._cursor) this._begin(await this.chat.getMessages({ ...this._target(), limit: 50 }));
      await this.chat._resume([this]);
    } catch (error) {
      this._failed(error);
    }
  }

  _begin(page) {
    this.#reset({ seq: page.items.at(-1)?.seq ?? 0, rev: page.rev, epoch: page.epoch });
    this.#merge(page);
    this.hasOlder = page.hasMore;
    this._touch('messages');
  }

  /** Nothing is missing any more, and the room is subscribed to. */
  _caughtUp() {
    this._resuming = false;
    if (this.status === 'opening') {
      this.status = 'open';
      this.error = undefined;
      this._touch();
      this.#ready.resolve(this);
      this._loadMembers();
    }
    this._drain();
    if (this._mustReload) this._reload().catch(() => {});
  }

  _failed(error) {
    // After a lost connection the room is opened again.
    if (!(error.status < 500) || error.status === 429 || ENDS_CONNECTION.has(error.code)) {
      const again = () => this.chat.state === 'live' && this.status === 'opening' && this._open();
      this.chat._clock.setTimeout(again, 2 * HOLE_MS);
      return;
    }
    this.error = error;
    this.status = error.code === 'ROOM_CLOSED' ? 'closed' : this.status === 'opening' ? 'refused' : 'left';
    this._resuming = false;
    this._touch();
    this.#ready.reject(error);
  }

  _reopen() {
    if (this.status === 'open' || this.status === 'opening') return;
    if (this.status === 'refused') this.#ready = deferred();
    this.status = 'opening';
    this._touch();
    if (this.chat.state === 'live') this._open();
  }

  async _loadMembers() {
    if (isDirect(this.id) || this.id === 'lobby') return;
    try {
      await this.chat.roomInfo({ roomId: this.id });
    } catch {
      // They are loaded again after the next connect.
    }
  }

  #setInfo({ type, requestId, participants, ...info }, isMore) {
    this.info = { ...this.info, nextCursor: undefined, ...info };
    if (Array.isArray(participants)) {
      if (!isMore) this.#members.clear();
      for (const member of participants) this.#members.set(member.userId, member);
    }
    this._touch('members');
    this._emit('room', { info: this.info });
  }

  /** Reads a page and merges it; nothing if the messages were dropped in the meantime. */
  async #page(request) {
    const generation = this.#generation;
    this.#pagesAsked += 1;
    try {
      const page = await this.chat.getMessages({ roomId: this.id, ...request });
      if (generation !== this.#generation) return undefined;
      return { messages: this.#merge(page), hasMore: page.hasMore, next: page.nextBefore };
    } finally {
      this.#pagesAsked -= 1;
      if (this.#pagesAsked === 0) this.#recent = [];
    }
  }

  #merge({ items }) {
    const seqs = [];
    for (const item of items) {
      let message = messageOf(item);
      // The page may have been read before changes that were applied already.
      for (const change of this.#recent) {
        if (seqsOf(change).includes(message.seq) && change.rev > revOf(message)) message = changed(message, change);
      }
      const known = this.#messages.get(message.seq);
      if (!known || revOf(message) > revOf(known)) this.#store(message);
      seqs.push(message.seq);
      this.#oldest = Math.min(this.#oldest, message.seq);
      this.chat._outbox.found(message);
    }
    return seqs.map((seq) => this.#messages.get(seq));
  }

  /** Keeps a message, and shows it in the replies to it. */
  #store(message) {
    const parent = message.parent && this.#messages.get(message.parent.seq);
    if (parent) message = { ...message, parent: parentOf(parent) };
    if (message.parent) {
      const seq = message.parent.seq;
      this.#replies.set(seq, (this.#replies.get(seq) ?? new Set()).add(message.seq));
    }
    this.#messages.set(message.seq, message);
    this.#showInReplies(message);
    return message;
  }

  #showInReplies(message) {
    for (const seq of this.#replies.get(message.seq) ?? []) {
      const reply = this.#messages.get(seq);
      this.#messages.set(seq, { ...reply, parent: parentOf({ ...reply.parent, ...message }) });
    }
  }

  #reset(cursor) {
    this.#generation += 1;
    this.#messages.clear();
    this.#replies.clear();
    this.#recent = [];
    this.#oldest = Infinity;
    this._cursor = cursor;
    this.chat._outbox.shown(this, Infinity);
  }

  /** Reads again what is shown, after too many changes to tell. */
  async _reload() {
    const oldest = this.#oldest;
    let [next, pages] = [this._cursor.seq + 1, 0];
    while (next !== undefined && next > oldest && pages < RELOADED_PAGES) {
      const page = await this.#page({ before: next, limit: 100 });
      if (!page) return;
      [next, pages] = [page.next, pages + 1];
    }
    if (next !== undefined && next > oldest) {
      for (let seq = oldest; seq < next; seq += 1) this.#messages.delete(seq);
      [this.#oldest, this.hasOlder] = [next, true];
    }
    this._mustReload = false;
    this._touch('messages');
    this._emit('discontinuity', { reason: 'changes' });
  }

  /** What is unread after a position, if all of it is loaded. */
  _unreadAfter(seq, userId) {
    const last = this._cursor?.seq ?? 0;
    if (this.status !== 'open' || (this.#oldest > seq + 1 && this.hasOlder)) return undefined;
    const count = { unread: 0, mentions: 0 };
    for (let at = Math.max(seq + 1, Math.min(this.#oldest, last + 1)); at <= last; at += 1) {
      const message = this.#messages.get(at);
      if (!message || message.userId === userId || message.deleted || message.system) continue;
      count.unread += 1;
      if (message.mentionRoom || message.mentions?.includes(userId)) count.mentions += 1;
    }
    return count;
  }

  // What the server sends.

  /** Applies a frame of the room, or keeps it until its turn. `request` is what it answers. */
  _receive(frame, request) {
    const cursor = this._cursor;
    if (CHANGES.has(frame.type)) {
      if (frame.rev > (cursor?.rev ?? 0)) this._changes.set(frame.rev, frame);
      return this._drain();
    }
    switch (frame.type) {
      case 'message':
        if (frame.seq > (cursor?.seq ?? 0)) this._ahead.set(frame.seq, frame);
        else this.chat._outbox.found(frame);
        return this._drain();
      case 'typing':
        return this.#receiveTyping(frame);
      case 'presence':
        return this.#receivePresence(frame);
      case 'read':
        return this.#receiveRead(frame);
      case 'joined':
        return this.#receiveJoined(frame);
      case 'left':
        return this.#receiveLeft(frame);
      case 'room':
        return this.#setInfo(frame, request?.cursor !== undefined);
      case 'room-closed':
        this.status = 'closed';
        this._touch();
        return this._emit('room-closed', { reason: frame.reason, userId: frame.userId });
    }
  }

  /** Applies the frames whose turn it is. A hole is given a second, then the log is asked. */
  _drain() {
    const cursor = this._cursor;
    if (!cursor || this._resuming || this.status === 'opening') return;
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      const message = this._ahead.get(cursor.seq + 1);
      if (message) {
        this._ahead.delete(message.seq);
        this.#append(message);
        isMoving = true;
      }
      const change = this.#nextChange();
      if (change) {
        this._changes.delete(change.rev);
        this.#apply(change);
        cursor.rev = change.rev;
        isMoving = true;
      }
    }
    this.chat._clock.clearTimeout(this.#hole);
    if (this._ahead.size + this._changes.size === 0) return;
    this.#hole = this.chat._clock.setTimeout(() => this.chat._resumeSoon(this), HOLE_MS);
  }

  /** The next change, if its messages are there: a change of a message that is still missing waits for it. */
  #nextChange() {
    const { seq, rev } = this._cursor;
    const next = this._changes.get(rev + 1) ?? [...this._changes.values()].find((one) => one.fromRev <= rev + 1);
    return next && seqsOf(next).every((one) => one <= seq) ? next : undefined;
  }

  #append(frame) {
    const message = this.#store(messageOf(frame));
    this.#oldest = Math.min(this.#oldest, message.seq);
    this._cursor.seq = message.seq;
    this.chat._outbox.found(message);
    this.chat._outbox.shown(this, message.seq);
    if (this.#typing.has(message.userId)) this.#endTyping(message.userId);
    this.chat._countUnread(this.id, message);
    this._touch('messages');
    this._emit('message', { message });
  }

  #apply(change) {
    if (this.#pagesAsked > 0) this.#recent.push(change);
    for (const seq of seqsOf(change)) {
      const message = this.#messages.get(seq);
      if (!message) {
        if (change.type === 'edited') this.#showInReplies({ seq, content: change.content });
        if (change.type === 'deleted') this.#showInReplies({ seq, deleted: {} });
        this._touch('messages');
      } else if (change.rev > revOf(message)) {
        const now = this.#store(changed(message, change));
        this._touch('messages');
        this._emit('changed', { message: now, before: message, cause: change.type === 'message' ? 'resumed' : change.type });
      }
    }
    if (change.type === 'deleted' || change.deleted) this.chat._recountUnread(this.id);
  }

  /** Applies what `resume` answers for the room. Returns whether there is more. */
  _fold(answer) {
    const isForeign = this._cursor.epoch !== undefined && this._cursor.epoch !== answer.epoch;
    const isReset = answer.reset === true;
    if (isReset) {
      this.#reset({ seq: answer.oldestSeq - 1, rev: 0 });
      this._ahead.clear();
      this._changes.clear();
      this.hasOlder = false;
    }
    for (const item of answer.changes ?? []) this.#apply(item);
    for (const item of answer.items) {
      if (item.seq <= this._cursor.seq) {
        this.#apply({ ...item, rev: revOf(item) });
      } else {
        this.#append(item);
      }
    }
    const cursor = this._cursor;
    if (answer.complete) cursor.seq = Math.max(cursor.seq, answer.lastSeq);
    cursor.rev = Math.max(cursor.rev, answer.rev);
    cursor.epoch = answer.epoch;
    for (const seq of this._ahead.keys()) if (seq <= cursor.seq) this._ahead.delete(seq);
    for (const rev of this._changes.keys()) if (rev <= cursor.rev) this._changes.delete(rev);
    this.chat._outbox.shown(this, cursor.seq);
    this._touch('messages');
    if (answer.closed) this.status = 'closed';
    if (answer.changesReset) this._mustReload = true;
    if (isReset && this.status !== 'opening') this._emit('discontinuity', { reason: isForeign ? 'epoch' : 'expired' });
    return !answer.complete;
  }

  #receiveTyping({ userId, userName, isTyping, at, until }) {
    const known = this.#typing.get(userId);
    if (known && known.at > at) return;
    this.chat._clock.clearTimeout(known?.timer);
    if (!isTyping) return this.#endTyping(userId);
    // By the server's own times: the clocks may differ.
    const timer = this.chat._clock.setTimeout(() => this.#endTyping(userId), Date.parse(until) - Date.parse(at) || 6_000);
    this.#typing.set(userId, { userId, userName, at, timer });
    this._touch('typing');
    this._emit('typing', { userId, userName, isTyping: true });
  }

  #endTyping(userId) {
    const known = this.#typing.get(userId);
    if (!known) return;
    this.chat._clock.clearTimeout(known.timer);
    this.#typing.delete(userId);
    this._touch('typing');
    this._emit('typing', { userId, userName: known.userName, isTyping: false });
  }

  #receivePresence({ userId, status, at }) {
    const member = this.#members.get(userId) ?? { userId, userName: userId };
    if (member.at > at) return;
    const online = status === 'online';
    this.#members.set(userId, { ...member, online, at });
    if (!online) this.#endTyping(userId);
    this._touch('members');
    this._emit('presence', { userId, online, at });
  }

  #receiveRead({ userId, seq, at }) {
    if (userId === this.chat.user?.userId) return;
    if (this.#reads.get(userId)?.at > at) return;
    this.#reads.set(userId, { seq, at });
    this._touch('reads');
    this._emit('read', { userId, seq, at });
  }

  #receiveJoined({ userId, userName }) {
    if (userId === this.chat.user?.userId) this._reopen();
    this.#members.set(userId, { role: 'member', online: true, ...this.#members.get(userId), userId, userName });
    this._touch('members');
    this._emit('joined', { userId, userName });
  }

  #receiveLeft({ userId, reason }) {
    if (userId === this.chat.user?.userId) this.status = 'left';
    this.#members.delete(userId);
    this.#endTyping(userId);
    this._touch('members');
    this._emit('left', { userId, reason });
  }
}

/** The messages that wait for their answers, in their order. They are kept in the store until the server has answered. */
class Outbox {
  #chat;
  #entries = [];
  /** Rooms with a frame on its way, or that wait until they may send again. */
  #busy = new Set();
  #key;
  #stored = Promise.resolve();

  constructor(chat) {
    this.#chat = chat;
  }

  /** How many messages are not answered. */
  get size() {
    return this.#entries.filter((entry) => entry.status === 'pending').length;
  }

  of(room) {
    const last = room._cursor?.seq ?? 0;
    return this.#entries.filter((entry) => entry.roomId === room.id && !(entry.seq <= last));
  }

  add(room, draft) {
    const id = newId();
    const createdAt = new Date(this.#chat._serverNow()).toISOString();
    const entry = this.#entry({ id, roomId: room.id, target: room._target(), draft, createdAt });
    this.#entries.push(entry);
    const refusal = this.#refusal(entry);
    if (refusal) this.#refuse(entry, refusal);
    this.#store((stored) => [...stored, this.#saved(entry)]);
    room._touch('messages');
    room._emit('pending', { message: entry.message });
    this.flush();
    return entry;
  }

  remove(id) {
    const at = this.#entries.findIndex((entry) => entry.id === id && entry.status !== 'sent' && !entry.isOnItsWay);
    if (at < 0) return undefined;
    const [entry] = this.#entries.splice(at, 1);
    this.#forget(entry);
    entry.done.reject(failure('DISCARDED', 'the message was taken out of the outbox'));
    this.#chat._touchRoom(entry.roomId);
    return entry;
  }

  #entry({ id, roomId, target, draft, createdAt, error }) {
    const entry = { id, roomId, target, draft, createdAt, status: 'pending', done: deferred() };
    if (error) Object.assign(entry, { status: 'refused', error: new SwitchboardError(error) });
    return this.#show(entry);
  }

  /** The message that is shown until the server's own is there. */
  #show(entry) {
    const { id, roomId, draft, createdAt, status, error, seq, messageId } = entry;
    const parent = this.#chat._parentOf(roomId, draft.replyTo);
    const me = this.#chat._author(roomId);
    entry.message = compact({ roomId, seq, messageId, ...me, ...draft, parent, createdAt, clientMessageId: id, status, error });
    return entry;
  }

  /** What the server would refuse anyway, or what would make API Gateway close the connection. */
  #refusal({ draft }) {
    const { contentBytes, frameBytes } = this.#chat.limits;
    if (typeof draft.content !== 'string' || draft.content === '') return ['INVALID_FIELD', 'the message is empty'];
    const size = bytesOf(JSON.stringify(draft)) + ENVELOPE_BYTES;
    if (bytesOf(draft.content) <= contentBytes && size <= frameBytes) return undefined;
    return ['TOO_LARGE', `a message has at most ${contentBytes} bytes`];
  }

  #refuse(entry, [code, message]) {
    entry.status = 'refused';
    entry.error = failure(code, message);
    this.#refused(entry);
  }

  #refused(entry) {
    this.#show(entry);
    this.#chat._touchRoom(entry.roomId);
    this.#chat._emitIn(entry.roomId, 'refused', { message: entry.message, error: entry.error });
    entry.done.reject(entry.error);
  }

  /** Sends what can be sent: a frame for each room at a time, so that the order stays. */
  flush() {
    if (this.#chat.state !== 'live') return;
    for (const { roomId, status } of this.#entries) {
      if (status === 'pending' && !this.#busy.has(roomId)) this.#send(roomId);
    }
  }

  async #send(roomId) {
    this.#busy.add(roomId);
    const batch = this.#batch(roomId);
    for (const entry of batch) entry.isOnItsWay = true;
    let wait = 0;
    try {
      const messages = batch.map(({ id, draft }) => ({ ...draft, clientMessageId: id }));
      const answer = await this.#chat._request('sendMessages', { ...batch[0].target, messages }, { timeoutMs: Infinity });
      wait = this.#settleAll(batch, answer.results);
    } catch (error) {
      this.#failed(batch, error);
    }
    for (const entry of batch) entry.isOnItsWay = false;
    if (wait > 0) await new Promise((resolve) => this.#chat._clock.setTimeout(resolve, wait));
    this.#busy.delete(roomId);
    this.flush();
  }

  /** The next messages of a room: as many as fit a frame. */
  #batch(roomId) {
    const { frameBytes } = this.#chat.limits;
    const batch = [];
    let [size, mentions] = [ENVELOPE_BYTES, 0];
    for (const entry of this.#entries) {
      if (entry.roomId !== roomId || entry.status !== 'pending') continue;
      size += bytesOf(JSON.stringify(entry.draft)) + 100;
      mentions += entry.draft.mentions?.length ?? 0;
      const isFull = batch.length === MESSAGES_PER_FRAME || size > frameBytes || mentions > MENTIONS_PER_FRAME;
      if (batch.length > 0 && (isFull || batch[0].isAlone || entry.isAlone)) break;
      batch.push(entry);
    }
    return batch;
  }

  /** Returns how long the room must wait. */
  #settleAll(batch, results) {
    let wait = 0;
    results.forEach((result, at) => {
      if (!result.code) this.#sent(batch[at], result);
      else if (RETRYABLE.has(result.code)) wait = Math.max(wait, result.retryAfterMs ?? FIRST_BACKOFF_MS);
      else this.#refuseFor(batch[at], result);
    });
    return wait;
  }

  #failed(batch, error) {
    const { code, index } = error;
    // The client is closed: the messages stay in the store.
    if (code === 'CLOSED') return;
    if (index !== undefined && batch[index]) return this.#refuseFor(batch[index], error);
    // One of them is wrong, and it is not said which: each alone.
    if (batch.length > 1 && error.status !== 403) return batch.forEach((entry) => (entry.isAlone = true));
    batch.forEach((entry) => this.#refuseFor(entry, error));
  }

  #refuseFor(entry, { code, message, status }) {
    if (entry.status !== 'pending') return;
    entry.status = 'refused';
    entry.error = new SwitchboardError({ code, message, status });
    this.#store((stored) => stored.map((one) => (one.id === entry.id ? this.#saved(entry) : one)));
    this.#refused(entry);
  }

  #sent(entry, { messageId, seq, createdAt, duplicate }) {
    if (entry.status === 'sent') return;
    Object.assign(entry, { status: 'sent', messageId, seq, createdAt });
    this.#show(entry);
    this.#forget(entry);
    entry.done.resolve(entry.message);
    const room = this.#chat._room(entry.roomId);
    if (!room) return this.#drop(entry);
    const { status, ...message } = entry.message;
    // Sent before, it may have changed since: the log has it as it is now.
    if (duplicate) this.#chat._resumeSoon(room);
    else room._receive({ type: 'message', ...message });
    room._touch('messages');
    room._emit('sent', { message: entry.message });
  }

  /** The log has a message: if it is one of the outbox, it is sent, whether its answer comes or not. */
  found(message) {
    if (message.clientMessageId === undefined) return;
    const entry = this.#entries.find(({ id }) => id === message.clientMessageId);
    if (!entry || entry.status === 'sent') return;
    const { messageId, seq, createdAt } = message;
    Object.assign(entry, { status: 'sent', messageId, seq, createdAt });
    this.#show(entry);
    this.#forget(entry);
    entry.done.resolve(entry.message);
    this.#chat._touchRoom(entry.roomId);
    this.#chat._emitIn(entry.roomId, 'sent', { message: entry.message });
  }

  /** The room shows its messages up to `seq` itself. */
  shown(room, seq) {
    this.#entries = this.#entries.filter((entry) => entry.roomId !== room.id || !(entry.seq <= seq));
  }

  #drop(entry) {
    this.#entries = this.#entries.filter((one) => one !== entry);
  }

  // The store.

  #saved({ id, roomId, target, draft, createdAt, status, error }) {
    const refusal = status === 'refused' ? { code: error.code, message: error.message, status: error.status } : undefined;
    return compact({ id, roomId, target, draft, createdAt, error: refusal });
  }

  #forget(entry) {
    this.#store((stored) => stored.filter(({ id }) => id !== entry.id));
  }

  /** Loads what an earlier page has left behind. `user` keeps the users of one browser apart. */
  load(user) {
    if (this.#key !== undefined) return this.#stored;
    this.#key = `switchboard.outbox ${this.#chat._origin} ${user}`;
    const read = async () => {
      const stored = JSON.parse((await this.#chat._store.getItem(this.#key)) ?? '[]');
      const known = new Set(this.#entries.map(({ id }) => id));
      const left = stored.filter(({ id }) => !known.has(id)).map((saved) => this.#entry(saved));
      this.#entries.unshift(...left);
      for (const { roomId } of left) this.#chat._touchRoom(roomId);
    };
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#stored = read().catch((error) => this.#chat._emit('error', { error }));
    for (const change of waiting) this.#store(change);
    return this.#stored;
  }

  /** Changes that were made before it was known whose outbox it is. */
  #waiting = [];

  #store(change) {
    if (this.#key === undefined) return void this.#waiting.push(change);
    const key = this.#key;
    const store = this.#chat._store;
    const next = (text) => JSON.stringify(change(JSON.parse(text ?? '[]')));
    const write = async () => {
      if (store.update) await store.update(key, next);
      else await store.setItem(key, next(await store.getItem(key)));
    };
    this.#stored = this.#stored.then(write).catch((error) => this.#chat._emit('error', { error }));
  }
}

/** One WebSocket. `end` is called once, whoever ends it. */
class Link {
  isOpen = false;
  wasOpen = false;
  #socket;
  #on;

  constructor(Socket, url, protocols, on) {
    this.#on = on;
    this.#socket = new Socket(url, protocols);
    this.#socket.onopen = () => {
      this.isOpen = this.wasOpen = true;
      this.#on?.open();
    };
    this.#socket.onmessage = ({ data }) => this.#on?.frame(data);
    this.#socket.onerror = () => {};
    this.#socket.onclose = ({ code, reason }) => this.end({ code, reason });
  }

  send(text) {
    this.#socket.send(text);
  }

  /** Ends it without waiting for the network, which may be gone. */
  end(event = { code: 1006, reason: '' }) {
    const on = this.#on;
    if (!on) return;
    this.#on = undefined;
    this.isOpen = false;
    this.#socket.close(1000);
    on.end(event);
  }
}

/** The client. `connect()` starts it; `room(id)` follows a room. */
export class Switchboard extends Emitter {
  /** `idle`, `connecting`, `resuming`, `live`, `waiting` or `closed`. */
  state = 'idle';
  /** Why it is closed, or waits. */
  error;
  /** Who the client is: `userId`, `userName` and `roles`, once connected. */
  user;
  limits = DEFAULT_LIMITS;
  #options;
  #link;
  /** Counts the attempts to connect: what belongs to an earlier one is ignored. */
  #attempt = 0;
  #failures = 0;
  #refusals = 0;
  #token;
  #hasRefresh = true;
  #connected = deferred();
  #timers = new Map();
  #requests = new Map();
  #lastRequest = 0;
  #rooms = new Map();
  #direct = new Map();
  #toResume = new Set();
  #resuming;
  #clockOffset = 0;
  #unreads = new Map();
  #hasUnreads = false;
  #unreadsCache;
  #uploads = new Map();
  #files = new Map();
  #stops = [];

  constructor(options) {
    super();
    const { url, httpUrl, store, clock, random } = options;
    this.#options = { ...options, WebSocket: options.WebSocket ?? globalThis.WebSocket, random: random ?? Math.random };
    if (!this.#options.WebSocket) throw new TypeError('no WebSocket here: pass one as the option `WebSocket`');
    this.#options.url = new URL(url).href;
    this.#options.httpUrl = httpUrl?.replace(/\/+$/, '');
    this._origin = this.#options.url.split('?')[0];
    this._clock = clock ?? systemClock;
    this._store = store ?? (globalThis.indexedDB ? new IndexedDbStore() : new MemoryStore());
    this._outbox = new Outbox(this);
  }

  // Connecting.

  /** Connects, and stays connected until `close()`. Resolves when the client is live for the first time. */
  connect() {
    if (this.state === 'idle') {
      this.#watchBrowser();
      this.#open();
    }
    return this.#connected.promise;
  }

  /** Closes the connection for good. What is in the outbox stays in the store. */
  close() {
    this.#close(undefined);
  }

  #close(error) {
    if (this.state === 'closed') return;
    this.#attempt += 1;
    this.error = error;
    const link = this.#link;
    this.#link = undefined;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#stops.forEach((stop) => stop());
    this.#setState('closed', { error });
    link?.end({ code: 1000, reason: '' });
    const reason = error ?? failure('CLOSED', 'the client is closed');
    for (const request of [...this.#requests.values()]) this.#finish(request, failure('CLOSED', reason.message));
    for (const upload of this.#uploads.values()) upload.reject(failure('CLOSED', reason.message));
    this.#connected.reject(reason);
  }

  #setState(state, details = {}) {
    const previous = this.state;
    this.state = state;
    if (previous !== state) this._emit('state', { state, previous, ...details });
  }

  /** Runs once after a time; a later timer of the same name replaces it. */
  #after(name, ms, run) {
    this.#cancel(name);
    const timer = this._clock.setTimeout(() => {
      this.#timers.delete(name);
      run();
    }, ms);
    this.#timers.set(name, timer);
  }

  #cancel(name) {
    this._clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #between([least, most]) {
    return least + this.#options.random() * (most - least);
  }

  #watchBrowser() {
    const listen = (target, type, run) => {
      if (!target?.addEventListener) return;
      target.addEventListener(type, run);
      this.#stops.push(() => target.removeEventListener(type, run));
    };
    const check = () => {
      if (this.state === 'waiting') this.#open();
      else if (this.state === 'live') this.#probe(this.#link, PROBE_MS);
    };
    listen(globalThis, 'online', check);
    listen(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && check());
  }

  async #open() {
    this.#cancel('wait');
    const attempt = (this.#attempt += 1);
    this.#setState('connecting');
    try {
      const link = await this.#dial(attempt);
      if (!link) return;
      this.#link = link;
      this.#setState('resuming');
      await this.#begin(link);
      this.#live();
    } catch (error) {
      if (attempt !== this.#attempt || this.state === 'closed') return;
      if (error.isFinal) this.#close(error);
      // What fails on an open connection may succeed on the next one.
      else if (this.#link) this.#link.end();
      else this.#wait(error, undefined);
    }
  }

  /** Opens a socket. Nothing if the attempt is over meanwhile. */
  async #dial(attempt) {
    const token = await this.#getToken();
    if (attempt !== this.#attempt || this.state === 'closed') return undefined;
    const { url, WebSocket } = this.#options;
    const opened = deferred();
    const end = (link, { code, reason }) => {
      this._clock.clearTimeout(timer);
      if (link.wasOpen) this.#lost(link, code, reason);
      else opened.reject(failure('HANDSHAKE_FAILED', 'the handshake failed'));
    };
    const link = new Link(WebSocket, url, token ? [SUBPROTOCOL, token] : [SUBPROTOCOL], {
      open: () => opened.resolve(),
      frame: (text) => this.#receive(link, text),
      end: (event) => end(link, event),
    });
    const timer = this._clock.setTimeout(() => link.wasOpen || link.end(), HANDSHAKE_MS);
    try {
      await opened.promise;
    } catch (error) {
      await this.#inspectRefusal(token, error);
      throw error;
    }
    if (attempt === this.#attempt && this.state !== 'closed') return link;
    link.end();
    return undefined;
  }

  /** A browser hides why a handshake fails. `GET /me` fails for the same reasons. */
  async #inspectRefusal(token, error) {
    const { token: option } = this.#options;
    const { status, body } = await this.#me(token);
    if (status === undefined) this.#token = undefined;
    if (status === 403 && body.code) throw Object.assign(new SwitchboardError(body), { isFinal: true });
    if (status !== 401) return;
    this.#token = undefined;
    this.#refusals += 1;
    const refused = new SwitchboardError({ status, code: 'UNAUTHORIZED', message: 'the token was refused', ...body });
    this._emit('unauthorized', { error: refused });
    throw Object.assign(refused, { isFinal: this.#refusals >= 2 || typeof option !== 'function', cause: error });
  }

  /** The status of `GET /me`; none where it cannot be asked, such as where CORS forbids it. */
  async #me(token) {
    const { httpUrl, url } = this.#options;
    if (!httpUrl || !globalThis.fetch) return {};
    try {
      const userId = new URL(url).searchParams.get('userId');
      const headers = token ? { authorization: `Bearer ${token}` } : {};
      const query = userId ? `?userId=${encodeURIComponent(userId)}` : '';
      const answer = await fetch(`${httpUrl}/me${query}`, { headers, signal: AbortSignal.timeout?.(PROBE_MS) });
      return { status: answer.status, body: await answer.json().catch(() => ({})) };
    } catch {
      return {};
    }
  }

  async #getToken() {
    const { token } = this.#options;
    if (typeof token !== 'function') return token;
    const isEnding = claimsOf(this.#token ?? '').exp * 1000 < this._serverNow() + RENEW_MS / 2;
    if (this.#token === undefined || isEnding) this.#token = await token();
    return this.#token;
  }

  /** Says hello on a new connection and catches up with what was missed. */
  async #begin(link) {
    const user = this.#userHint();
    if (user !== undefined) await this._outbox.load(user);
    this.#welcome(link, await this.#ask(link, 'hello'));
    await this._outbox.load(this.user.userId);
    const rooms = [...this.#rooms.values()].filter((room) => room._cursor && !['left', 'refused'].includes(room.status));
    await this._resume(rooms);
  }

  /** Whose outbox it is, as far as the URL or the token tells. */
  #userHint() {
    const token = typeof this.#options.token === 'string' ? this.#options.token : this.#token;
    return new URL(this.#options.url).searchParams.get('userId') ?? claimsOf(token ?? '').sub;
  }

  #welcome(link, { userId, userName, roles, limits, serverTime, authUntil }) {
    this.user = { userId, userName, roles };
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.#clockOffset = Date.parse(serverTime) - this._clock.now();
    this._emit('hello', { user: this.user, limits: this.limits });
    if (authUntil === undefined || typeof this.#options.token !== 'function') return;
    const left = Date.parse(authUntil) - Date.parse(serverTime);
    this.#after('renew', Math.max(left - RENEW_MS, left / 2), () => this.#renew(link));
  }

  #live() {
    const isFirst = this.#attempt === 1;
    this.#failures = this.#refusals = 0;
    this.error = undefined;
    this.#setState('live');
    this.#connected.resolve();
    this.#keepAlive();
    this.#after('rotate', this.#between(ROTATE_AFTER_MS), () => this.#rotate());
    for (const request of this.#requests.values()) if (!request.link && !request.isWaiting) this.#transmit(request);
    this._outbox.flush();
    for (const room of this.#rooms.values()) if (room.status === 'opening' && !room._cursor) room._open();
    if (!isFirst) this.#refresh();
  }

  /** Reads again what no log keeps: who is in the rooms, and what other devices have read. */
  async #refresh() {
    if (this.#hasUnreads) this.loadUnreads().catch(() => {});
    for (const room of this.#rooms.values()) if (room.status === 'open') await room._loadMembers();
  }

  #keepAlive() {
    this.#after('ping', this.#between(PING_AFTER_MS), () => {
      this.#probe(this.#link, PONG_MS);
      this.#keepAlive();
    });
  }

  /** Ends a connection that does not answer: the network has changed, and nobody has said so. */
  async #probe(link, ms) {
    if (!link?.isOpen) return;
    try {
      await this.#ask(link, 'ping', {}, ms);
    } catch {
      link.end();
    }
  }

  #lost(link, code, reason) {
    if (link === this.#link) {
      this.#link = undefined;
      this.#attempt += 1;
    }
    for (const request of [...this.#requests.values()]) if (request.link === link) this.#unanswered(request);
    if (this.#link || this.state === 'closed') return;
    for (const name of ['ping', 'rotate', 'renew']) this.#cancel(name);
    this.#wait(failure('CONNECTION_LOST', reason || `the connection was closed with code ${code}`), code);
  }

  /** Waits before the next attempt: a random time, so that not all clients come at once. */
  #wait(error, code) {
    const most = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures);
    const isClosedByServer = this.#failures === 0 && code !== undefined && code !== 1006;
    const retryInMs = this.#options.random() * (isClosedByServer ? AFTER_CLOSE_MS : most);
    this.#failures += 1;
    this.error = error;
    this.#setState('waiting', { error, retryInMs });
    this.#after('wait', retryInMs, () => this.#open());
  }

  /** Replaces the connection by a new one before API Gateway ends it. The old one serves until the new one has resumed. */
  async #rotate() {
    const old = this.#link;
    const attempt = this.#attempt;
    let link;
    try {
      link = await this.#dial(attempt);
      if (!link) return;
      this.#welcome(link, await this.#ask(link, 'hello'));
    } catch (error) {
      link?.end();
      if (attempt !== this.#attempt) return;
      if (error.isFinal) this.#close(error);
      else this.#after('rotate', this.#between([MAX_BACKOFF_MS, 2 * MAX_BACKOFF_MS]), () => this.#rotate());
      return;
    }
    if (this.#link !== old || this.state !== 'live') return link.end();
    this.#link = link;
    this.#after('rotate', this.#between(ROTATE_AFTER_MS), () => this.#rotate());
    const rooms = [...this.#rooms.values()].filter((room) => room._cursor && room.status !== 'left');
    await this._resume(rooms).catch(() => link.end());
    // Its last answers may be on their way.
    const isBusy = () => [...this.#requests.values()].some((request) => request.link === old);
    for (let left = 20; left > 0 && old.isOpen && isBusy(); left -= 1) {
      await new Promise((resolve) => this._clock.setTimeout(resolve, PONG_MS / 20));
    }
    old.end({ code: 1000, reason: '' });
  }

  /** Extends the session with a new token; a server without `refreshToken` gets a new connection. */
  async #renew(link) {
    if (link !== this.#link) return;
    try {
      this.#token = undefined;
      const token = await this.#getToken();
      if (!this.#hasRefresh) return await this.#rotate();
      await this.#ask(link, 'refreshToken', { token });
      this.#welcome(link, await this.#ask(link, 'hello'));
    } catch (error) {
      if (link !== this.#link) return;
      this.#hasRefresh &&= error.code !== 'UNKNOWN_ACTION';
      if (error.code === 'UNKNOWN_ACTION') return this.#rotate();
      this.#after('renew', RENEW_MS / 6, () => this.#renew(link));
    }
  }

  // Requests and their answers.

  _request(action, fields, { timeoutMs = REQUEST_MS, signal } = {}) {
    return this.#enqueue({ action, fields, timeoutMs, signal });
  }

  /** Asks on one connection, before the others' requests. */
  #ask(link, action, fields = {}, timeoutMs = REQUEST_MS) {
    return this.#enqueue({ action, fields, timeoutMs, bound: link });
  }

  #enqueue({ action, fields, timeoutMs, signal, bound }) {
    if (this.state === 'closed') return Promise.reject(failure('CLOSED', 'the client is closed'));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const requestId = String((this.#lastRequest += 1));
    const frame = { action, ...fields, requestId };
    const json = JSON.stringify(frame);
    if (bytesOf(json) > this.limits.frameBytes) {
      return Promise.reject(failure('TOO_LARGE', `a frame has at most ${this.limits.frameBytes} bytes`));
    }
    const deadline = this._clock.now() + timeoutMs;
    const request = { frame, json, bound, deadline, tries: 0, ...deferred() };
    if (timeoutMs !== Infinity) {
      const expire = () => this.#finish(request, failure('TIMEOUT', `no answer to ${action} in ${timeoutMs} ms`));
      request.timeout = this._clock.setTimeout(expire, timeoutMs);
    }
    request.onAbort = () => this.#finish(request, signal.reason);
    request.signal = signal;
    signal?.addEventListener('abort', request.onAbort);
    this.#requests.set(requestId, request);
    this.#transmit(request);
    return request.promise;
  }

  #transmit(request) {
    request.isWaiting = false;
    const link = request.bound ?? (this.state === 'live' ? this.#link : undefined);
    if (!this.#requests.has(request.frame.requestId) || !link?.isOpen) return;
    request.link = link;
    this._emit('frame', { direction: 'out', frame: request.frame });
    link.send(request.json);
    this._clock.clearTimeout(request.timer);
    if (request.frame.action === 'ping' || DONE_TWICE.has(request.frame.action)) return;
    request.timer = this._clock.setTimeout(() => {
      this.#probe(link, PROBE_MS);
      this.#transmit(request);
    }, ANSWER_MS);
  }

  #finish(request, error, answer) {
    if (!this.#requests.delete(request.frame.requestId)) return;
    this._clock.clearTimeout(request.timer);
    this._clock.clearTimeout(request.timeout);
    request.signal?.removeEventListener('abort', request.onAbort);
    if (error) request.reject(error);
    else request.resolve(answer);
  }

  /** The connection of a request has gone: it is sent again on the next one, unless that would do it twice. */
  #unanswered(request) {
    if (!request.isWaiting) this._clock.clearTimeout(request.timer);
    request.link = undefined;
    const isLost = request.bound || DONE_TWICE.has(request.frame.action);
    if (isLost) this.#finish(request, failure('CONNECTION_LOST', 'the connection was lost before the answer'));
    else if (this.state === 'live' && this.#link && !request.isWaiting) this.#transmit(request);
  }

  #backoff(tries) {
    return (0.5 + this.#options.random() / 2) * Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** tries);
  }

  #again(request, ms) {
    request.isWaiting = true;
    this._clock.clearTimeout(request.timer);
    request.timer = this._clock.setTimeout(() => this.#transmit(request), ms);
  }

  #failed(request, frame, link) {
    const error = new SwitchboardError(frame);
    if (ENDS_CONNECTION.has(frame.code)) {
      if (frame.code !== 'RECONNECT') this.#token = undefined;
      // It was not carried out, so it can be sent on the next connection whatever it is.
      if (!request.bound) request.link = undefined;
      return link.end();
    }
    const wait = frame.retryAfterMs ?? this.#backoff(request.tries);
    const isOnce = frame.code === 'INTERNAL' && request.tries > 0 && request.deadline !== Infinity;
    const isRefused = !RETRYABLE.has(frame.code) || DONE_TWICE.has(request.frame.action) || isOnce;
    if (isRefused || this._clock.now() + wait > request.deadline) return this.#finish(request, error);
    request.tries += 1;
    this.#again(request, wait);
  }

  /** API Gateway says that the function has failed, and not for which frame. */
  #gatewayFailed(link) {
    const open = [...this.#requests.values()].filter((request) => request.link === link && !request.isWaiting);
    for (const request of open) {
      const isOnlyOne = open.length === 1 && DONE_TWICE.has(request.frame.action);
      if (isOnlyOne) this.#finish(request, failure('UNAVAILABLE', 'no answer: it may have been carried out'));
      else if (!DONE_TWICE.has(request.frame.action)) this.#again(request, this.#backoff((request.tries += 1)));
    }
  }

  #receive(link, text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof frame !== 'object' || frame === null) return;
    this._emit('frame', { direction: 'in', frame });
    if (frame.type === undefined) return this.#gatewayFailed(link);
    const request = this.#requests.get(frame.requestId);
    if (frame.type === 'error') {
      if (request) return this.#failed(request, frame, link);
      return this.#complain(frame, link);
    }
    this.#fold(frame, request?.frame);
    if (request) this.#finish(request, undefined, frame);
  }

  /** An error that answers no request: of an upload, or of the connection. */
  #complain(frame, link) {
    if (ENDS_CONNECTION.has(frame.code)) return link.end();
    const error = new SwitchboardError(frame);
    this.#uploads.get(frame.fileId)?.reject(error);
    this._emit('error', { error });
  }

  #fold(frame, request) {
    const { type, roomId } = frame;
    if (['invited', 'request', 'notify'].includes(type)) this._emit(type, frame);
    if (type === 'notify' && this.#unreads.has(roomId)) {
      const { notify = frame.level, mutedUntil } = frame;
      this.#setUnread(roomId, { notify, mutedUntil });
    }
    if (type === 'read' && frame.userId === this.user?.userId) this.#setRead(roomId, frame.seq);
    if (type === 'message' && frame.file) this.#uploads.get(frame.file.fileId)?.resolve(messageOf(frame));
    let room = this.#rooms.get(roomId);
    // Who leaves is not told by a frame of its own.
    if (type === 'ack' && frame.action === 'leaveRoom') {
      return room?._receive({ type: 'left', userId: this.user.userId, reason: 'left' });
    }
    if (!room && type === 'message') {
      this._countUnread(roomId, frame);
      if (this.#options.autoFollow) room = this.#follow(roomId, { after: frame.seq - 1 });
    }
    room?._receive(frame, request);
  }

  // Rooms.

  /** Follows a room: loads its newest messages, and keeps it up to date. */
  room(id) {
    return this.#rooms.get(id) ?? this.#follow(id);
  }

  /** The direct conversation with a user. */
  async direct(userId) {
    const known = this.#direct.get(userId);
    if (known && this.#rooms.get(known.id) === known) return known;
    const page = await this.getMessages({ targetId: userId, limit: 50 });
    const room = this.#rooms.get(page.roomId) ?? new Room(this, page.roomId, { peer: userId });
    room.peer = userId;
    this.#direct.set(userId, room);
    if (this.#rooms.get(room.id) === room) return room;
    room._begin(page);
    return this.#follow(room.id, {}, room);
  }

  /** The rooms that are followed. */
  get rooms() {
    return [...this.#rooms.values()];
  }

  #follow(id, options = {}, room = new Room(this, id, options)) {
    this.#rooms.set(id, room);
    if (this.state === 'live') room._open();
    return room;
  }

  _room(id) {
    return this.#rooms.get(id);
  }

  _forget(room) {
    if (this.#rooms.get(room.id) === room) this.#rooms.delete(room.id);
    this.#toResume.delete(room);
  }

  _touchRoom(id) {
    this.#rooms.get(id)?._touch('messages');
  }

  _emitIn(roomId, type, details) {
    const room = this.#rooms.get(roomId);
    if (room) room._emit(type, details);
    else this._emit(type, { roomId, ...details });
  }

  /** How the client's own messages show their author. */
  _author(roomId) {
    const query = new URL(this.#options.url).searchParams;
    const { userId = query.get('userId') ?? '', userName = userId } = this.user ?? {};
    const [userIcon, userColor] = ['userIcon', 'userColor'].map((name) => query.get(name) || undefined);
    return { userId, userName: this.#rooms.get(roomId)?._nameOf(userId) ?? userName, userIcon, userColor };
  }

  _parentOf(roomId, seq) {
    const parent = seq && this.#rooms.get(roomId)?._message(seq);
    return parent ? parentOf(parent) : undefined;
  }

  _serverNow() {
    return this._clock.now() + this.#clockOffset;
  }

  /** Asks for what the rooms have missed. Until then their live frames wait. */
  _resume(rooms) {
    for (const room of rooms) {
      this.#toResume.add(room);
      room._resuming = true;
    }
    this.#resuming ??= this.#resumeAll().finally(() => (this.#resuming = undefined));
    return this.#resuming;
  }

  _resumeSoon(room) {
    if (this.state === 'live') this._resume([room]).catch(() => {});
  }

  async #resumeAll() {
    while (this.#toResume.size > 0) {
      const link = this.#link;
      const batch = [...this.#toResume].slice(0, ROOMS_PER_RESUME);
      if (!link) throw failure('CONNECTION_LOST', 'there is no connection');
      for (const room of batch) this.#toResume.delete(room);
      const cursors = batch.map((room) => [room.id, { ...room._cursor }]);
      let answer;
      try {
        answer = await this.#ask(link, 'resume', { rooms: Object.fromEntries(cursors) });
      } catch (error) {
        for (const room of batch) this.#toResume.add(room);
        if (error.code !== 'CONNECTION_LOST') link.end();
        throw error;
      }
      for (const room of batch) this.#resumed(room, answer);
    }
  }

  #resumed(room, { rooms, more = [] }) {
    const answer = rooms[room.id];
    if (this.#rooms.get(room.id) !== room) return;
    if (!answer || more.includes(room.id)) return void this.#toResume.add(room);
    if (answer.error) {
      const { code } = answer.error;
      // Nobody has written in this direct conversation yet.
      if (code === 'NOT_A_MEMBER' && room.peer) return room._caughtUp();
      if (!RETRYABLE.has(code)) return room._failed(new SwitchboardError(answer.error));
      return void this._clock.setTimeout(() => this._resumeSoon(room), answer.error.retryAfterMs ?? HOLE_MS);
    }
    if (room._fold(answer)) return void this.#toResume.add(room);
    room._caughtUp();
  }

  // Unread counts.

  /** The unread counts of all rooms, after `loadUnreads()`. */
  get unreads() {
    this.#unreadsCache ??= (() => {
      const rooms = Object.fromEntries(this.#unreads);
      const sum = (name) => [...this.#unreads.values()].reduce((total, mark) => total + (mark[name] ?? 0), 0);
      return { total: sum('unread'), totalMentions: sum('mentions'), rooms };
    })();
    return this.#unreadsCache;
  }

  /** Reads the unread counts, and keeps them up to date from then on. */
  async loadUnreads() {
    const [items, lists] = [[], { unreads: 'rooms', listRooms: 'items' }];
    let action = 'unreads';
    for (let cursor; ; ) {
      let page;
      try {
        page = await this._request(action, compact({ cursor }));
      } catch (error) {
        // A server of an earlier version.
        if (error.code !== 'UNKNOWN_ACTION' || action !== 'unreads') throw error;
        action = 'listRooms';
        continue;
      }
      items.push(...page[lists[action]]);
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    this.#hasUnreads = true;
    this.#unreads.clear();
    for (const { roomId, lastSeq = 0, lastReadSeq, unread, unreadMore, mentions = 0, roomMention, notify, mutedUntil } of items) {
      const mark = { roomId, lastSeq, lastReadSeq, unread, unreadMore, mentions, roomMention, notify, mutedUntil };
      this.#unreads.set(roomId, compact(mark));
      this._recountUnread(roomId);
    }
    this.#unreadsChanged();
    return this.unreads;
  }

  #setUnread(roomId, changes) {
    this.#unreads.set(roomId, compact({ ...this.#unreads.get(roomId), ...changes }));
    this.#unreadsChanged();
  }

  #unreadsChanged() {
    this.#unreadsCache = undefined;
    for (const room of this.#rooms.values()) room.version += 1;
    this._emit('unreads', { unreads: this.unreads });
  }

  _countUnread(roomId, message) {
    if (!this.#hasUnreads) return;
    const { userId } = this.user;
    const mark = this.#unreads.get(roomId) ?? { roomId, lastSeq: message.seq - 1, lastReadSeq: 0, unread: 0, mentions: 0 };
    if (message.seq <= mark.lastSeq) return;
    const isForMe = message.userId !== userId && !message.deleted && !message.system;
    const isMention = isForMe && (message.mentionRoom || message.mentions?.includes(userId));
    const unread = mark.unread + (isForMe ? 1 : 0);
    const capped = { unread: Math.min(unread, MOST_UNREAD), unreadMore: mark.unreadMore || unread > MOST_UNREAD || undefined };
    this.#setUnread(roomId, { ...mark, ...capped, lastSeq: message.seq, mentions: mark.mentions + (isMention ? 1 : 0) });
    this._recountUnread(roomId);
  }

  /** Where all unread messages are loaded they are counted. */
  _recountUnread(roomId) {
    const mark = this.#unreads.get(roomId);
    const count = mark && this.#rooms.get(roomId)?._unreadAfter(mark.lastReadSeq, this.user.userId);
    if (!count) return;
    const unread = Math.min(count.unread, MOST_UNREAD);
    this.#setUnread(roomId, { unread, unreadMore: count.unread > MOST_UNREAD || undefined, mentions: count.mentions });
  }

  #setRead(roomId, seq, isBack = false) {
    const mark = this.#unreads.get(roomId);
    if (!mark || (!isBack && seq <= mark.lastReadSeq)) return;
    const unread = seq >= mark.lastSeq ? 0 : Math.min(mark.unread, mark.lastSeq - seq);
    const rest = seq >= mark.lastSeq ? { unreadMore: undefined, mentions: 0 } : {};
    this.#setUnread(roomId, { lastReadSeq: seq, unread, ...rest });
    this._recountUnread(roomId);
  }

  async markRead(request, options) {
    const answer = await this._request('markRead', request, options);
    this.#setRead(request.roomId, request.seq);
    return answer;
  }

  async markUnread(request, options) {
    const answer = await this._request('markUnread', request, options);
    this.#setRead(request.roomId, request.seq, true);
    if (this.#hasUnreads) this.loadUnreads().catch(() => {});
    return answer;
  }

  // Messages, where a repeat needs an id.

  sendMessage(request, options) {
    return this._request('sendMessage', { clientMessageId: newId(), ...request }, options);
  }

  broadcastMessage(request, options) {
    return this._request('broadcastMessage', { clientMessageId: newId(), ...request }, options);
  }

  sendMessages({ messages, ...target }, options) {
    const withIds = messages.map((message) => ({ clientMessageId: newId(), ...message }));
    return this._request('sendMessages', { ...target, messages: withIds }, options);
  }

  editMessage(request, options) {
    const id = request.version === undefined ? { clientMessageId: newId() } : {};
    return this._request('editMessage', { ...id, ...request }, options);
  }

  /** A hint that is not answered: it is dropped without a connection. */
  async typingIndicator(request = {}) {
    const frame = { action: 'typingIndicator', ...request };
    if (this.state !== 'live' || !this.#link?.isOpen) return;
    this._emit('frame', { direction: 'out', frame });
    this.#link.send(JSON.stringify(frame));
  }

  // Files, and the HTTP API.

  async _upload(room, file, { fileName = file.name ?? 'file', contentType = file.type ?? '', sha256, onProgress, signal } = {}) {
    const size = file.size ?? file.byteLength;
    const announced = compact({ ...room._target(), fileName, contentType, size, sha256 });
    const upload = await this.handleFileUpload(announced, { signal });
    const done = deferred();
    this.#uploads.set(upload.fileId, done);
    const abort = () => done.reject(signal.reason);
    signal?.addEventListener('abort', abort);
    try {
      await this.#put(upload, file, size, onProgress, signal);
      const late = failure('TIMEOUT', 'the file is uploaded, and its message has not come');
      this.#after(upload.fileId, UPLOADED_MS, () => done.reject(late));
      return await done.promise;
    } finally {
      this.#cancel(upload.fileId);
      signal?.removeEventListener('abort', abort);
      this.#uploads.delete(upload.fileId);
    }
  }

  async #put(upload, file, size, onProgress, signal) {
    for (let tries = 0; ; tries += 1) {
      const status = await this.#putOnce(upload, file, size, onProgress, signal);
      // 412: an earlier attempt has succeeded, and its answer was lost.
      if (status === 412 || (status >= 200 && status < 300)) return onProgress?.({ loaded: size, total: size });
      signal?.throwIfAborted();
      if ((status !== undefined && status < 500) || tries === 3) {
        throw new SwitchboardError({ code: 'UPLOAD_FAILED', status, message: `the upload failed: ${status ?? 'no answer'}` });
      }
      await new Promise((resolve) => this._clock.setTimeout(resolve, this.#backoff(tries)));
    }
  }

  /** The status of the answer; none where there is no answer. */
  async #putOnce({ uploadUrl, method, headers }, body, size, onProgress, signal) {
    // Browsers set these themselves, and refuse to let a page do it.
    const sent = Object.entries(headers).filter(([name]) => !['content-length', 'host'].includes(name.toLowerCase()));
    if (!globalThis.XMLHttpRequest) {
      onProgress?.({ loaded: 0, total: size });
      const options = { method, headers: Object.fromEntries(sent), body, signal };
      return fetch(uploadUrl, options).then((answer) => answer.status, () => undefined);
    }
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open(method, uploadUrl);
      for (const [name, value] of sent) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => onProgress?.({ loaded, total: size });
      request.onload = () => resolve(request.status);
      request.onerror = request.onabort = () => resolve(undefined);
      signal?.addEventListener('abort', () => request.abort());
      request.send(body);
    });
  }

  /** An address to download or show a file: a new one before the last one ends. */
  async fileUrl(fileId, { inline = false } = {}) {
    const key = `${fileId} ${inline}`;
    const known = this.#files.get(key);
    if (known && known.until > this._serverNow()) return known.url;
    const file = await this.getFile(compact({ fileId, inline: inline ? '1' : undefined }));
    const until = Date.parse(file.expiresAt) - AFTER_CLOSE_MS;
    this.#files.set(key, { url: file.fileUrl, until });
    return file.fileUrl;
  }

  /** Calls the HTTP API as the client's user: `fetch('/rooms', { query: { latitude, longitude } })`. */
  async fetch(path, { method = 'GET', query = {}, body, signal } = {}) {
    const { httpUrl, url } = this.#options;
    if (!httpUrl) throw new TypeError('the option `httpUrl` is missing');
    const token = await this.#getToken();
    const userId = token ? undefined : new URL(url).searchParams.get('userId') ?? this.user?.userId;
    const parameters = new URLSearchParams(compact(method === 'GET' ? { userId, ...query } : query));
    const answer = await fetch(`${httpUrl}${path}${parameters.size > 0 ? `?${parameters}` : ''}`, {
      method,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      body: method === 'GET' ? undefined : JSON.stringify(compact({ userId, ...body })),
      signal,
    });
    const result = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new SwitchboardError({ code: 'UNAVAILABLE', ...result, status: answer.status });
    return result;
  }
}

for (const action of ACTIONS) {
  if (action in Switchboard.prototype) continue;
  Switchboard.prototype[action] = function (request = {}, options = {}) {
    return this._request(action, request, options);
  };
}
