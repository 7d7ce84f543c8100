import type { ReactNode } from 'react';
import type { ChatError, Member, Message, Room, RoomInfo } from './switchboard.js';
import type { State, Switchboard, Typist, Unreads, User } from './switchboard.js';

/** Gives a client to the hooks below it, and connects it. */
export function ChatProvider(props: { client: Switchboard; children?: ReactNode }): ReactNode;

/** The client of the provider. */
export function useChat(): Switchboard;

/** The state of the connection. */
export function useConnection(): { state: State; error: ChatError | undefined; user: User | undefined };

/** A room, followed from now on. */
export function useRoom(id: string): {
  room: Room;
  messages: readonly Message[];
  members: readonly Member[];
  typing: readonly Typist[];
  reads: Readonly<Record<string, number>>;
  info: RoomInfo | undefined;
  status: Room['status'];
  error: ChatError | undefined;
  hasOlder: boolean;
  unread: number;
};

/** The unread counts of all rooms. */
export function useUnreads(): Unreads;
