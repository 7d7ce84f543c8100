/**
 * Hooks for React 18 and 19. Each renders again when its part of the client changes.
 * @module
 */

import { createContext, createElement, useCallback, useContext, useEffect } from 'react';
import { useMemo, useRef, useSyncExternalStore } from 'react';

const Chat = createContext(undefined);

/**
 * Gives a client to the hooks below it, and connects it. The client stays connected when the provider ends: who made it
 * closes it.
 */
export function ChatProvider({ client, children }) {
  useEffect(() => {
    // A refusal is in `useConnection`.
    client.connect().catch(() => {});
  }, [client]);
  return createElement(Chat.Provider, { value: client }, children);
}

/** The client of the provider. */
export function useChat() {
  const client = useContext(Chat);
  if (!client) throw new Error('there is no ChatProvider around this component');
  return client;
}

/** Renders again after events for which `read` returns another value. */
function useEvents(emitter, types, read) {
  const subscribe = useCallback(
    (changed) => {
      const stops = types.map((type) => emitter.on(type, changed));
      return () => stops.forEach((stop) => stop());
    },
    [emitter],
  );
  return useSyncExternalStore(subscribe, read, read);
}

/** The state of the connection: `{ state, error, user }`. */
export function useConnection() {
  const client = useChat();
  const last = useRef();
  const read = () => {
    const { state, error, user } = client;
    const known = last.current;
    if (known?.state === state && known.error === error && known.user === user) return known;
    return (last.current = { state, error, user });
  };
  return useEvents(client, ['state', 'hello'], read);
}

/** A room, followed from now on. Its arrays are replaced when they change. */
export function useRoom(id) {
  const room = useChat().room(id);
  const version = useEvents(room, ['change'], () => room.version);
  // Another object for each version, so that components that were memoized with it render again.
  return useMemo(() => {
    const { messages, members, typing, reads, info, status, error, hasOlder, unread } = room;
    return { room, messages, members, typing, reads, info, status, error, hasOlder, unread };
  }, [room, version]);
}

/** The unread counts of all rooms: `{ total, totalMentions, rooms }`. */
export function useUnreads() {
  const client = useChat();
  useEffect(() => {
    client.connect().then(() => client.loadUnreads()).catch(() => {});
  }, [client]);
  return useEvents(client, ['unreads'], () => client.unreads);
}
