// The types of the client: every method and event is used, and wrong uses are refused. Compiled by tests/client/check.

import { ACTIONS, Switchboard, SwitchboardError } from '@switchboard/client';
import type { Actions, Frame, Message, Room, State, Store, Unread } from '@switchboard/client';
import { ChatProvider, useChat, useConnection, useRoom, useUnreads } from '@switchboard/client/react';

declare const store: Store;
declare const file: Blob;

async function connecting(): Promise<Switchboard> {
  const chat = new Switchboard({
    url: 'wss://chat.example.com/prod',
    httpUrl: 'https://api.example.com',
    token: async () => 'a token',
    tickets: true,
    store,
    WebSocket,
    autoFollow: false,
    random: Math.random,
    clock: { now: Date.now, setTimeout: (run, ms) => setTimeout(run, ms), clearTimeout: () => {} },
  });
  await chat.connect();
  const state: State = chat.state;
  const error: SwitchboardError | undefined = chat.error;
  const bytes: number | undefined = chat.limits.contentBytes;
  console.log(state, error?.code, error?.status, bytes, chat.user?.roles[0], ACTIONS.length);
  return chat;
}

async function events(chat: Switchboard, room: Room): Promise<void> {
  const stop: () => void = chat.on('state', ({ state, previous, error, retryInMs }) => {
    console.log(state, previous, error?.code, retryInMs?.toFixed());
  });
  stop();
  chat.once('hello', ({ user, limits }) => console.log(user.userName, limits.rooms));
  chat.on('frame', (event) => (event.direction === 'in' ? event.frame.type : event.frame.action));
  chat.on('unreads', ({ unreads }) => console.log(unreads.total, unreads.totalMentions));
  chat.on('invited', ({ roomId, by }) => console.log(roomId, by));
  chat.on('request', ({ roomId, userName }) => console.log(roomId, userName));
  chat.on('notify', ({ roomId, mutedUntil }) => console.log(roomId, mutedUntil));
  chat.on('unauthorized', ({ error }) => console.log(error.code));
  chat.on('error', ({ error }) => console.log(error.message));
  chat.on('message', ({ room, message }) => console.log(room.id, message.seq.toFixed()));
  room.on('message', ({ message }) => console.log(message.content, message.parent?.excerpt, message.file?.size));
  room.on('changed', ({ message, before, cause }) => console.log(message.deleted?.by, before.version, cause));
  room.on('pending', ({ message }) => console.log(message.clientMessageId));
  room.on('sent', ({ message }) => console.log(message.messageId));
  room.on('refused', ({ error, message }) => console.log(error.code, message.error?.message));
  room.on('discontinuity', ({ reason }) => console.log(reason === 'expired'));
  room.on('joined', ({ userId, userName }) => console.log(userId, userName));
  room.on('left', ({ userId, reason }) => console.log(userId, reason === 'banned'));
  room.on('presence', ({ userId, online, at }) => console.log(userId, online, at));
  room.on('read', ({ userId, seq }) => console.log(userId, seq));
  room.on('typing', ({ userName, isTyping }) => console.log(userName, isTyping));
  room.on('room', ({ info }) => console.log(info.roomName));
  room.on('room-closed', ({ reason, userId }) => console.log(reason, userId));
  room.on('change', ({ room }) => console.log(room.version));
  room.on('*', ({ type }) => console.log(type));
  room.off('message', () => {});
  for await (const event of room) {
    if (event.type === 'message') console.log(event.message.userName);
    if (event.type === 'typing') console.log(event.isTyping);
  }
}

async function inRoom(chat: Switchboard): Promise<void> {
  const room = chat.room('tea');
  await room.ready;
  const draft = { replyTo: 1, data: { cups: 2 }, mentions: ['ben'], mentionRoom: true };
  const { seq }: { seq: number } = await room.send('hello', draft);
  await room.retry('id');
  const isGone: boolean = room.discard('id');
  await room.edit(seq, 'hello!', { timeoutMs: 1_000 });
  await room.delete(seq, { reason: 'wrong', signal: AbortSignal.timeout(1_000) });
  await room.react(seq, '👍', false);
  await room.markRead();
  await room.markRead(seq);
  room.setTyping();
  await room.join({ invite: 'code' });
  const older: Message[] = await room.before(20);
  await room.moreMembers();
  const message = await room.upload(file, { onProgress: ({ loaded, total }) => console.log(loaded / total) });
  await room.leave();
  room.close();
  const mark: Unread | undefined = chat.unreads.rooms['tea'];
  console.log(isGone, older.length, message.file?.size, mark?.unread, room.status === 'left', room.info?.creator);
  console.log(room.messages[0]?.status, room.members[0]?.online, room.typing[0]?.userName, room.reads['ben']);
  console.log(room.peer, room.unread, room.hasOlder, chat.outbox.size.toFixed());
  console.log((await chat.direct('ben')).error?.code, (await chat.loadUnreads()).total, chat.rooms.length);
  console.log(await chat.fileUrl('id', { inline: true }));
  await chat.fetch('/rooms', { query: { latitude: 1, longitude: 2 } });
  chat.close();
}

async function actions(chat: Switchboard): Promise<void> {
  const roomId = 'tea';
  const userId = 'ben';
  await chat.ping();
  console.log((await chat.hello()).serverTime);
  console.log((await chat.createRoom({ roomName: 'Tea', roomType: 'private', members: [userId] })).roomId);
  await chat.createRoom();
  await chat.joinRoom({ roomId });
  await chat.leaveRoom({ roomId });
  console.log((await chat.roomInfo({ roomId })).participantCount);
  await chat.closeRoom({ roomId });
  console.log((await chat.addMembers({ roomId, members: [userId] })).invited);
  await chat.declineInvite({ roomId });
  await chat.removeMember({ roomId, userId });
  await chat.banMember({ roomId, userId });
  await chat.unbanMember({ roomId, userId });
  await chat.setRole({ roomId, userId, role: 'admin' });
  await chat.muteMember({ roomId, userId, until: '2030-01-01T00:00:00Z' });
  await chat.unmuteMember({ roomId, userId });
  await chat.reportMessage({ roomId, seq: 1, reason: 'spam' });
  await chat.listInvites({ roomId });
  await chat.revokeInvite({ roomId, invite: 'code' });
  console.log((await chat.sendMessage({ roomId, content: 'hello' })).type);
  const messages = [{ content: 'hello', clientMessageId: '1' }, { content: 'again' }];
  console.log((await chat.sendMessages({ roomId, messages })).results.length);
  console.log((await chat.editMessage({ roomId, seq: 1, content: 'hello!' })).version);
  await chat.deleteMessage({ roomId, seqs: [1, 2] });
  console.log((await chat.react({ roomId, seq: 1, emoji: '👍' })).counts['👍']);
  await chat.getReactions({ roomId, seq: 1 });
  await chat.pinMessage({ roomId, seq: 1 });
  await chat.unpinMessage({ roomId, seq: 1 });
  await chat.listPins({ roomId });
  await chat.broadcastMessage({ content: 'hello' });
  await chat.typingIndicator({ roomId, isTyping: true });
  const upload = { fileName: 'a.txt', contentType: 'text/plain', size: 1 };
  console.log((await chat.handleFileUpload({ roomId, ...upload })).uploadUrl);
  console.log((await chat.getFile({ fileId: '1' })).expiresAt);
  console.log((await chat.getMessages({ targetId: userId, limit: 10 })).items[0]?.content);
  await chat.resume({ rooms: { tea: 41 } });
  await chat.markRead({ roomId, seq: 1 });
  console.log((await chat.listRooms()).items[0]?.unread);
  await chat.markUnread({ roomId, seq: 1 });
  await chat.setNotify({ roomId, level: 'mentions' });
  await chat.setRoomMode({ roomId, slowSeconds: 30, write: 'admins' });
  await chat.renameRoom({ roomId, roomName: 'Tea at five' });
  console.log((await chat.searchMessages({ roomId, text: 'milk' })).items[0]?.content);
  await chat.blockUser({ userId });
  await chat.unblockUser({ userId });
  await chat.listBlocked();
}

function components(client: Switchboard) {
  ChatProvider({ client });
  const { state, error, user } = useConnection();
  const { room, messages, members, typing } = useRoom('tea');
  const { total, rooms } = useUnreads();
  console.log(useChat().state, state, error?.code, user?.userId, total, rooms);
  console.log(room.id, messages.length, members.length, typing.length);
}

async function wrongUses(chat: Switchboard, room: Room): Promise<void> {
  // @ts-expect-error: the URL is missing.
  new Switchboard({ token: 'a token' });
  // @ts-expect-error: a token is a text or a function.
  new Switchboard({ url: 'wss://chat.example.com', token: 1 });
  // @ts-expect-error: there is no such event.
  chat.on('mesage', () => {});
  // @ts-expect-error: there is no such action.
  await chat.sendMesage({ roomId: 'tea', content: 'hello' });
  // @ts-expect-error: the room is missing.
  await chat.markRead({ seq: 1 });
  // @ts-expect-error: a position is a number.
  await room.edit('1', 'hello');
  // @ts-expect-error: there is no such role.
  await chat.setRole({ roomId: 'tea', userId: 'ben', role: 'king' });
  // @ts-expect-error: a pending message has no seq.
  room.messages[0].seq.toFixed();
  // @ts-expect-error: the model is changed by the client alone.
  room.messages.push(room.messages[0]);
  // @ts-expect-error: `pong` has no room.
  console.log((await chat.ping()).roomId);
  // @ts-expect-error: there is no such state.
  if (chat.state === 'open') return;
  // @ts-expect-error: the event of `typing` has no message.
  room.on('typing', ({ message }) => console.log(message));
}

/** Every action of the catalogue is used above. */
const used: { [Action in keyof Actions]: true } | undefined = undefined;
const frame: Frame['type'] = 'message';
export { actions, components, connecting, events, frame, inRoom, used, wrongUses };
