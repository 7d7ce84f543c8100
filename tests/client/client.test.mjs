// The client against real local stacks. Called by tests/client/check.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { ACTIONS, Switchboard } from '../../src/client/switchboard.js';
import { Stack, WebSocket, event, fastClock, token, until } from './stack.mjs';
import { Wire } from './wire.mjs';

let stack;
let tokens;
const open = [];

before(async () => {
  stack = await Stack.start({}, '--faults');
  tokens = await Stack.start({ AUTH_MODE: 'jwt', SESSION_MIN_SECONDS: '60' });
});

after(() => {
  for (const client of open) client.close();
  stack.stop();
  tokens.stop();
});

let users = 0;

/** A connected client of a user of its own. */
async function connected(options = {}) {
  const client = track(stack.client(options.userId ?? `user${(users += 1)}`, options));
  await client.connect();
  return client;
}

function track(client) {
  open.push(client);
  return client;
}

/** Two connected users in a room of their own, with the options of the second one. */
async function two(options = {}) {
  const [ana, ben] = [await connected(), await connected(options)];
  const { roomId } = await ana.createRoom({ roomName: 'Tea' });
  await ben.joinRoom({ roomId });
  const rooms = [ana.room(roomId), ben.room(roomId)];
  await Promise.all(rooms.map((room) => room.ready));
  await until(rooms[0], () => rooms[0].members.length === 2, 'both are members');
  return [...rooms, ana, ben];
}

const contents = (room) => room.messages.map(({ content }) => content);

/** The room as another device of the user reads it. */
async function logOf(room) {
  const { items } = await room.chat.getMessages({ roomId: room.id, limit: 100 });
  return items.map(({ type, clientMessageId, ...message }) => message);
}

const modelOf = (room) => room.messages.map(({ status, clientMessageId, ...message }) => message);

test('a message shows at once as pending, and everybody has it when it is sent', async () => {
  const [tea, bens] = await two();
  const heard = event(bens, 'message');
  const sending = tea.send('Hello');
  assert.deepEqual(tea.messages.map(({ content, status }) => [content, status]), [['Hello', 'pending']]);
  const message = await sending;
  assert.equal(message.status, 'sent');
  assert.equal((await heard).message.content, 'Hello');
  assert.deepEqual(modelOf(tea), await logOf(bens));
  assert.deepEqual(modelOf(bens), await logOf(bens));
});

test('messages that are written without a connection are sent in their order', async () => {
  const [tea, bens] = await two();
  const again = track(stack.client(tea.chat.user.userId));
  const room = again.room(tea.id);
  const texts = Array.from({ length: 45 }, (_, number) => `message ${number} ${'x'.repeat(900)}`);
  texts.forEach((text) => room.send(text));
  assert.equal(again.state, 'idle');
  await again.connect();
  await until(bens, () => bens.messages.length === 45, 'all messages');
  assert.deepEqual(contents(bens), texts);
  await until(room, () => room.messages.every(({ status }) => status === 'sent'), 'all are sent');
  assert.deepEqual(contents(room), texts);
});

test('the outbox counts the messages that wait for their answers', async () => {
  const wire = new Wire();
  const [, bens, , ben] = await two({ WebSocket: wire.Socket });
  wire.refuse();
  await event(ben, 'state', ({ state }) => state === 'waiting');
  const sending = ['one', 'two'].map((text) => bens.send(text));
  bens.send('').catch(() => {});
  assert.equal(ben.outbox.size, 2);
  wire.accept();
  await Promise.all(sending);
  assert.equal(ben.outbox.size, 0);
});

test('an outbox survives a reload', async () => {
  const [, bens, ana] = await two();
  const store = memory();
  const first = stack.client(ana.user.userId, { store });
  first.room(bens.id).send('written before the reload').catch(() => {});
  first.room(bens.id).send('x'.repeat(20_000)).catch(() => {});
  // The page has no connection: its user is known by the URL.
  await first._outbox.load(ana.user.userId);
  first.close();

  const second = track(stack.client(ana.user.userId, { store }));
  const heard = event(bens, 'message');
  const room = second.room(bens.id);
  await second.connect();
  assert.equal((await heard).message.content, 'written before the reload');
  await room.ready;
  await until(room, () => room.messages[0]?.status === 'sent', 'it is sent');
  const [, refused] = room.messages;
  assert.equal(refused.status, 'refused');
  assert.equal(refused.error.code, 'TOO_LARGE');
  assert.ok(room.discard(refused.clientMessageId));
  await second._outbox.load();
  assert.deepEqual([...store.texts.values()], ['[]']);
});

function memory() {
  const texts = new Map();
  const getItem = async (key) => texts.get(key) ?? null;
  const setItem = async (key, text) => void texts.set(key, text);
  return { texts, getItem, setItem };
}

test('a message whose answer is lost is written once', async () => {
  const wire = new Wire();
  const [bens, tea] = await two({ WebSocket: wire.Socket });
  // The frame arrives; the connection is lost before its answer.
  wire.cutBefore((frame) => frame.type === 'sent');
  const { seq } = await tea.send('once');
  assert.equal(wire.cuts, 1);
  assert.equal(seq, 1);
  await until(bens, () => bens.messages.length === 1, 'the message');
  assert.deepEqual(await logOf(bens), modelOf(bens));
  assert.equal(tea.messages.length, 1);
});

test('a refused message says why, and can be sent again or discarded', async () => {
  const [tea, bens] = await two();
  await tea.chat.muteMember({ roomId: tea.id, userId: bens.chat.user.userId });
  await assert.rejects(bens.send('psst'), { code: 'MUTED', status: 403 });
  const [message] = bens.messages;
  assert.equal(message.status, 'refused');
  assert.equal(message.error.code, 'MUTED');
  await tea.chat.unmuteMember({ roomId: tea.id, userId: bens.chat.user.userId });
  await bens.retry(message.clientMessageId);
  assert.deepEqual(modelOf(bens), await logOf(tea));
});

test('one wrong message does not keep the others back', async () => {
  const [tea, bens] = await two();
  const sending = [tea.send('first'), tea.send('to nobody', { replyTo: 99 }), tea.send('last')];
  const outcomes = await Promise.allSettled(sending);
  assert.deepEqual(outcomes.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
  assert.equal(outcomes[1].reason.code, 'MESSAGE_NOT_FOUND');
  await until(bens, () => bens.messages.length === 2, 'both');
  assert.deepEqual(contents(bens), ['first', 'last']);
});

test('what is too large is refused before it is sent', async () => {
  const [tea, , ana] = await two();
  await assert.rejects(tea.send('ü'.repeat(9_000)), { code: 'TOO_LARGE' });
  // Small, and large as JSON.
  await assert.rejects(tea.send('\u0001'.repeat(8_000)), { code: 'TOO_LARGE' });
  await assert.rejects(tea.send(''), { code: 'INVALID_FIELD' });
  await assert.rejects(ana.createRoom({ roomName: 'x'.repeat(40_000) }), { code: 'TOO_LARGE' });
  assert.equal(ana.state, 'live');
});

test('a rate limit delays messages and keeps their order', async () => {
  const limited = await Stack.start({ LIMITS: 'message=20/s burst 5' });
  try {
    const ana = track(limited.client('ana'));
    await ana.connect();
    const room = ana.room((await ana.createRoom({})).roomId);
    await room.ready;
    const texts = Array.from({ length: 30 }, (_, number) => `message ${number}`);
    await Promise.all(texts.map((text) => room.send(text)));
    assert.deepEqual((await logOf(room)).map(({ content }) => content), texts);
  } finally {
    limited.stop();
  }
});

test('a refused token is asked for once more, then the client gives up', async () => {
  let asked = 0;
  const wrong = async () => ((asked += 1), `${token('ana')}x`);
  const options = { url: tokens.websocket, httpUrl: tokens.http, WebSocket };
  const refused = track(new Switchboard({ ...options, token: wrong }));
  await assert.rejects(refused.connect(), { code: 'UNAUTHORIZED', status: 401 });
  assert.equal(asked, 2);
  assert.equal(refused.state, 'closed');

  const mending = async () => ((asked += 1) === 3 ? 'wrong' : token('ana'));
  const mended = track(new Switchboard({ ...options, token: mending }));
  await mended.connect();
  assert.equal(asked, 4);
  assert.equal(mended.user.userId, 'ana');

  const fixed = track(new Switchboard({ ...options, token: 'wrong' }));
  await assert.rejects(fixed.connect(), { code: 'UNAUTHORIZED' });
});

test('with tickets no handshake has a token', async () => {
  const handshakes = [];
  class Recorded extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      handshakes.push({ socket: this, url, protocols });
    }
  }
  const options = { url: tokens.websocket, httpUrl: tokens.http, tickets: true, WebSocket: Recorded };
  const client = track(new Switchboard({ ...options, token: async () => token('ana') }));
  await client.connect();
  assert.equal(client.user.userId, 'ana');
  const again = event(client, 'hello');
  handshakes[0].socket.terminate();
  await again;
  const addresses = handshakes.map(({ url, protocols }) => [url.split(/=/)[0], ...protocols]);
  assert.deepEqual(addresses, Array(2).fill([`${tokens.websocket}?ticket`, 'switchboard.v1']));
  assert.notEqual(handshakes[0].url, handshakes[1].url);

  const refused = track(new Switchboard({ ...options, token: 'wrong' }));
  await assert.rejects(refused.connect(), { code: 'UNAUTHORIZED', status: 401 });
});

test('without an answer of GET /me a refused handshake is tried again', async () => {
  let asked = 0;
  const options = { url: tokens.websocket, WebSocket, clock: fastClock(20) };
  const client = track(new Switchboard({ ...options, token: async () => ((asked += 1) < 4 ? 'wrong' : token('ana')) }));
  await client.connect();
  assert.equal(asked, 4);
});

test('a session is renewed before it ends', async () => {
  let asked = 0;
  const lifetimes = { lifetimeSeconds: 60 };
  const options = { url: tokens.websocket, httpUrl: tokens.http, WebSocket, clock: fastClock(20) };
  const client = track(new Switchboard({ ...options, token: async () => ((asked += 1), token('ana', lifetimes)) }));
  const states = [];
  client.on('state', ({ state }) => states.push(state));
  await client.connect();
  const room = client.room((await client.createRoom({})).roomId);
  await room.ready;
  await event(client, 'hello');
  assert.equal(asked, 2);
  assert.equal((await room.send('still here')).seq, 1);
  assert.deepEqual(states, ['connecting', 'resuming', 'live']);
});

/** Runs timers of the given length soon. */
function impatient(least, most) {
  const clock = fastClock(1);
  return { ...clock, setTimeout: (run, ms) => setTimeout(run, ms >= least && ms <= most ? 100 : ms) };
}

test('a connection is replaced before two hours, without a gap', async () => {
  const wire = new Wire();
  const clock = impatient(110 * 60_000, 118 * 60_000);
  const [tea, bens] = await two({ WebSocket: wire.Socket, clock });
  const states = [];
  bens.chat.on('state', ({ state }) => states.push(state));
  const numbers = Array.from({ length: 30 }, (_, number) => `${number}`);
  const shown = [];
  bens.on('message', ({ message }) => shown.push(message.content));
  for (const number of numbers) await tea.send(number);
  await until(bens, () => shown.length === 30, 'all');
  assert.deepEqual(shown, numbers);
  assert.ok(wire.opened > 1, 'it was replaced');
  assert.deepEqual(states, []);
});

test('a quiet connection is pinged, and one that does not answer is replaced', async () => {
  const wire = new Wire();
  const client = await connected({ WebSocket: wire.Socket, clock: impatient(4 * 60_000, 8 * 60_000) });
  await event(client, 'frame', ({ frame }) => frame.type === 'pong');
  wire.freeze();
  await event(client, 'state', ({ state }) => state === 'waiting');
  await event(client, 'state', ({ state }) => state === 'live');
});

test('a page that is looked at again waits five seconds for an answer, and connects again', async () => {
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  try {
    const wire = new Wire();
    const clock = fastClock(10);
    const client = await connected({ WebSocket: wire.Socket, clock });
    wire.freeze();
    document.dispatchEvent(new Event('visibilitychange'));
    document.visibilityState = 'visible';
    const began = clock.now();
    const ping = event(client, 'frame', ({ frame }) => frame.action === 'ping');
    document.dispatchEvent(new Event('visibilitychange'));
    await ping;
    await event(client, 'state', ({ state }) => state === 'waiting');
    assert.ok(clock.now() - began >= 4_900, 'it waits for five seconds');
    await event(client, 'state', ({ state }) => state === 'live');
    client.close();
    document.dispatchEvent(new Event('visibilitychange'));
    assert.equal(wire.opened, 2);
  } finally {
    delete globalThis.document;
  }
});

test('a device that is online again checks its connection at once', async () => {
  const browser = new EventTarget();
  globalThis.addEventListener = browser.addEventListener.bind(browser);
  globalThis.removeEventListener = browser.removeEventListener.bind(browser);
  const wire = new Wire();
  const client = await connected({ WebSocket: wire.Socket, clock: fastClock(10) });
  wire.freeze();
  browser.dispatchEvent(new Event('online'));
  await event(client, 'state', ({ state }) => state === 'live');
  assert.equal(wire.opened, 2);
  client.close();
  delete globalThis.addEventListener;
  delete globalThis.removeEventListener;
});

test('waits are random, and grow to twenty seconds', async () => {
  const waits = [];
  const clock = { ...fastClock(1), setTimeout: (run) => setTimeout(run, 5) };
  const client = track(new Switchboard({ url: 'ws://127.0.0.1:1', WebSocket, clock, random: () => 1 }));
  client.on('state', ({ state, retryInMs }) => state === 'waiting' && waits.push(retryInMs));
  client.connect().catch(() => {});
  await until(client, () => waits.length === 8, 'eight attempts');
  client.close();
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);

  const wire = new Wire();
  const closed = await connected({ WebSocket: wire.Socket, random: () => 0.001 });
  const waiting = event(closed, 'state', ({ state }) => state === 'waiting');
  wire.closeAs(1001);
  assert.equal((await waiting).retryInMs, 5);
});

test('changes that were missed come with the next connection', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  for (const text of ['one', 'two', 'three', 'four']) await tea.send(text);
  await tea.send('a reply', { replyTo: 2 });
  await until(bens, () => bens.messages.length === 5, 'all');
  wire.refuse();
  await event(bens.chat, 'state', ({ state }) => state === 'waiting');
  await tea.edit(1, 'one, edited');
  await tea.delete(2, { reason: 'wrong' });
  await tea.react(3, '👍');
  await tea.chat.pinMessage({ roomId: tea.id, seq: 4 });
  await tea.send('six');
  wire.accept();
  await until(bens, () => bens.messages.length === 6 && bens.messages[3].pinned, 'the changes');
  assert.deepEqual(modelOf(bens), await logOf(tea));
  assert.deepEqual(modelOf(tea), await logOf(tea));
  assert.equal(bens.messages[4].parent.deleted, true);
});

test('live changes are applied as the log has them', async () => {
  const [tea, bens] = await two();
  for (const text of ['one', 'two', 'three']) await tea.send(text);
  await bens.send('a reply', { replyTo: 1 });
  await tea.edit(1, 'one, edited');
  await bens.react(1, '👍');
  await tea.react(1, '👍');
  await tea.react(1, '👍', false);
  await bens.react(2, '🎉');
  await bens.react(2, '🎉', false);
  await tea.chat.pinMessage({ roomId: tea.id, seq: 3 });
  await tea.chat.unpinMessage({ roomId: tea.id, seq: 3 });
  await tea.delete(2);
  await until(bens, () => bens.messages[1]?.deleted, 'the last change');
  await until(tea, () => tea.messages[1]?.deleted, 'the last change');
  assert.deepEqual(modelOf(bens), await logOf(bens));
  assert.deepEqual(modelOf(tea), await logOf(bens));
});

test('a message that was not delivered is asked for after a second', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  wire.lose((frame) => frame.type === 'message' && frame.content === 'lost');
  const shown = [];
  bens.on('message', ({ message }) => shown.push(message.content));
  for (const text of ['first', 'lost', 'last']) await tea.send(text);
  await until(bens, () => shown.length === 3, 'all');
  assert.deepEqual(shown, ['first', 'lost', 'last']);

  wire.lose((frame) => frame.type === 'edited');
  await tea.edit(1, 'first, edited');
  await tea.react(3, '👍');
  await until(bens, () => bens.messages[2].reactions, 'the reaction');
  assert.deepEqual(modelOf(bens), await logOf(tea));
});

test('a hole is filled while others go on writing', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  wire.lose((frame) => frame.type === 'message' && frame.content === '0');
  let sent = 0;
  let whenShown;
  bens.once('message', () => (whenShown = sent));
  for (; sent < 20; sent += 1) {
    await tea.send(`${sent}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  await until(bens, () => bens.messages.length === 20, 'all');
  assert.ok(whenShown < 20, 'the hole was filled in the meantime');
});

test('a closed room can be read', async () => {
  const [tea, bens, ana] = await two();
  await tea.send('the last one');
  await until(bens, () => bens.messages.length === 1, 'the message');
  await ana.closeRoom({ roomId: tea.id });
  bens.close();
  const room = bens.chat.room(tea.id);
  await room.ready;
  assert.equal(room.status, 'closed');
  assert.deepEqual(contents(room), ['the last one']);
});

test('frames that come twice or in another order show once, in order', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  const shown = [];
  bens.on('message', ({ message }) => shown.push(message.seq));
  wire.shuffle(4);
  for (let number = 0; number < 8; number += 1) await tea.send(`${number}`);
  await tea.edit(8, 'the last');
  await tea.react(8, '👍');
  await tea.send('9');
  await tea.send('10');
  await until(bens, () => shown.length === 10, 'all');
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(modelOf(bens), await logOf(tea));
});

test('too many changes to tell are a discontinuity, and the messages are read again', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  await Promise.all(Array.from({ length: 60 }, (_, number) => tea.send(`${number}`)));
  await until(bens, () => bens.messages.length === 60, 'all');
  wire.refuse();
  await event(bens.chat, 'state', ({ state }) => state === 'waiting');
  for (let seq = 1; seq <= 60; seq += 1) await tea.react(seq, '👍');
  wire.accept();
  assert.equal((await event(bens, 'discontinuity')).reason, 'changes');
  assert.deepEqual(modelOf(bens), await logOf(tea));
});

test('a log that has begun again is a discontinuity', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  await tea.send('one');
  await until(bens, () => bens.messages.length === 1, 'the message');
  // As after a restore: the server has another epoch.
  wire.rewrite((frame) => {
    for (const cursor of Object.values(frame.rooms ?? {})) cursor.epoch = 'of another log';
    return frame;
  });
  wire.cut();
  assert.equal((await event(bens, 'discontinuity')).type, 'discontinuity');
  assert.deepEqual(modelOf(bens), await logOf(tea));
});

test('resume goes on where a frame was full', async () => {
  const wire = new Wire();
  const [tea, bens] = await two({ WebSocket: wire.Socket });
  wire.refuse();
  await event(bens.chat, 'state', ({ state }) => state === 'waiting');
  await Promise.all(Array.from({ length: 130 }, (_, number) => tea.send(`${number} ${'x'.repeat(500)}`)));
  wire.accept();
  await until(bens, () => bens.messages.length === 130, 'all');
  assert.deepEqual(bens.messages.map(({ seq }) => seq), Array.from({ length: 130 }, (_, at) => at + 1));
});

test('older messages are loaded page by page', async () => {
  const [tea, bens, ana] = await two();
  await Promise.all(Array.from({ length: 120 }, (_, number) => tea.send(`${number}`)));
  bens.close();
  const room = bens.chat.room(tea.id);
  await room.ready;
  assert.equal(room.messages.length, 50);
  assert.equal(room.hasOlder, true);
  const [page, same] = await Promise.all([room.before(60), room.before(60)]);
  assert.equal(page.length, 60);
  assert.deepEqual(page, same);
  await room.before(60);
  assert.equal(room.hasOlder, false);
  assert.deepEqual(contents(room), contents(tea));
  assert.deepEqual(await room.before(), []);
  assert.equal(ana.rooms.length, 1);
});

test('typing ends by itself, and with a message', async () => {
  const [tea, bens] = await two({ clock: fastClock(10) });
  tea.setTyping();
  tea.setTyping();
  await until(bens, () => bens.typing.length === 1, 'typing');
  assert.deepEqual(bens.typing.map(({ userId }) => userId), [tea.chat.user.userId]);
  await until(bens, () => bens.typing.length === 0, 'it ends');
  tea.setTyping(false);
  tea.setTyping();
  await until(bens, () => bens.typing.length === 1, 'typing');
  await tea.send('done');
  await until(bens, () => bens.typing.length === 0, 'it ends');
});

test('members, presence and reads are kept', async () => {
  const [tea, bens, ana, ben] = await two();
  const cho = await connected();
  await cho.joinRoom({ roomId: tea.id });
  await until(tea, () => tea.members.length === 3, 'cho joins');
  cho.close();
  const isOffline = ({ userId, online }) => userId === cho.user.userId && !online;
  await until(tea, () => tea.members.some(isOffline), 'cho is offline');
  await ana.removeMember({ roomId: tea.id, userId: cho.user.userId });
  await until(bens, () => bens.members.length === 2, 'cho is removed');
  await tea.send('read me');
  await until(bens, () => bens.messages.length === 1, 'the message');
  await bens.markRead();
  await until(tea, () => tea.reads[ben.user.userId] === 1, 'ben has read');
  assert.equal(bens.info.roomName, 'Tea');
});

test('the number of members follows joins and leaves', async () => {
  const [tea, bens, ana, ben] = await two();
  assert.equal(tea.info.participantCount, 2);
  const cho = await connected();
  await cho.joinRoom({ roomId: tea.id });
  await until(bens, () => bens.info.participantCount === 3, 'cho joins');
  await cho.leaveRoom({ roomId: tea.id });
  await until(bens, () => bens.info.participantCount === 2, 'cho leaves');
  await ana.removeMember({ roomId: tea.id, userId: ben.user.userId });
  await until(tea, () => tea.info.participantCount === 1, 'ben is removed');
});

test('unread counts follow messages, deletions and what other devices read', async () => {
  const [tea, bens, , ben] = await two();
  const phone = await connected({ userId: ben.user.userId });
  await Promise.all([ben.loadUnreads(), phone.loadUnreads()]);
  for (const text of ['one', 'two', 'three']) await tea.send(text);
  await until(ben, () => ben.unreads.total === 3, 'three on the laptop');
  await until(phone, () => phone.unreads.total === 3, 'three on the phone');
  await tea.delete(1);
  await until(ben, () => bens.unread === 2, 'a deleted one does not count');
  await bens.markRead();
  assert.equal(ben.unreads.total, 0);
  await until(phone, () => phone.unreads.total === 0, 'none on the phone');
  await bens.send('mine');
  assert.equal(ben.unreads.total, 0);
});

test('a mark that is set back counts again on all devices', async () => {
  const [tea, , , ben] = await two();
  const phone = await connected({ userId: ben.user.userId });
  for (const text of ['one', 'two', 'three']) await tea.send(text);
  await Promise.all([ben.loadUnreads(), phone.loadUnreads()]);
  await ben.markRead({ roomId: tea.id, seq: 3 });
  await until(phone, () => phone.unreads.total === 0, 'all are read');
  await ben.markUnread({ roomId: tea.id, seq: 2 });
  await until(ben, () => ben.unreads.total === 2, 'two on the laptop');
  await until(phone, () => phone.unreads.total === 2, 'two on the phone');
});

test('mentions are counted, and only members are mentioned', async () => {
  const [tea, bens, , ben] = await two();
  await ben.loadUnreads();
  await tea.send('look', { mentions: [ben.user.userId, 'nobody'] });
  await until(ben, () => ben.unreads.totalMentions === 1, 'the mention');
  await tea.send('everybody', { mentionRoom: true });
  await until(ben, () => ben.unreads.rooms[tea.id].unread === 2, 'both');
  const { mentions } = ben.unreads.rooms[tea.id];
  assert.equal((await ben.loadUnreads()).rooms[tea.id].mentions, mentions);
  await until(bens, () => bens.messages.length === 2, 'both');
  assert.deepEqual(modelOf(tea), await logOf(bens));
  assert.deepEqual(modelOf(bens), await logOf(bens));
});

test('what a user wants to be told of is the same on all devices', async () => {
  const [tea, , , ben] = await two();
  const phone = await connected({ userId: ben.user.userId });
  await phone.loadUnreads();
  const told = event(phone, 'notify');
  await ben.setNotify({ roomId: tea.id, level: 'mentions' });
  assert.equal((await told).level, 'mentions');
  assert.equal(phone.unreads.rooms[tea.id].notify, 'mentions');
});

test('a room that is renamed or slowed down says so', async () => {
  const [tea, bens, ana, ben] = await two();
  await ana.renameRoom({ roomId: tea.id, roomName: 'Tea at five' });
  await until(bens, () => bens.info?.roomName === 'Tea at five', 'the name');
  await ana.setRoomMode({ roomId: tea.id, slowSeconds: 1 });
  await until(bens, () => bens.info?.mode?.slowSeconds === 1, 'the mode');
  await Promise.all(['one', 'two', 'three'].map((text) => bens.send(text)));
  assert.deepEqual(contents(bens).slice(2), ['one', 'two', 'three']);
  await ana.setRoomMode({ roomId: tea.id, write: 'admins' });
  await assert.rejects(bens.send('psst'), { code: 'READ_ONLY' });
  const { items } = await ben.searchMessages({ roomId: tea.id, text: 'two' });
  assert.deepEqual(items.map(({ content }) => content), ['two']);
});

test('a direct conversation begins with its first message', async () => {
  const [ana, ben] = [await connected(), await connected()];
  const room = await ana.direct(ben.user.userId);
  await room.ready;
  assert.equal(await ana.direct(ben.user.userId), room);
  const heard = event(ben, 'frame', ({ frame }) => frame.type === 'message');
  await room.send('psst');
  assert.equal((await heard).frame.roomId, room.id);
  const bens = await ben.direct(ana.user.userId);
  assert.equal(bens.id, room.id);
  await bens.ready;
  await bens.send('hi');
  await until(room, () => room.messages.length === 2, 'the answer');
  assert.deepEqual(modelOf(room), modelOf(bens));
});

test('a bot follows every room in which somebody writes', async () => {
  const [tea, , , ben] = await two();
  const bot = await connected({ userId: ben.user.userId, autoFollow: true });
  const heard = event(bot, 'message');
  await tea.send('hello bot');
  const { room, message } = await heard;
  assert.equal(message.content, 'hello bot');
  await room.send('hello human');
  await until(tea, () => tea.messages.length === 2, 'the answer');
});

test('events come in a loop, which ends with the client', async () => {
  const [tea, bens, , ben] = await two();
  const events = [];
  const loop = (async () => {
    for await (const one of bens) {
      if (one.type === 'message') events.push(one.message.content);
      if (events.length === 2) ben.close();
    }
  })();
  await tea.send('one');
  await tea.send('two');
  await loop;
  assert.deepEqual(events, ['one', 'two']);
});

test('a file is uploaded with progress, and its address is renewed', async () => {
  const [tea, bens] = await two({ clock: fastClock(30) });
  const progress = [];
  const heard = event(bens, 'message');
  const file = new Blob(['hello'], { type: 'text/plain' });
  const onProgress = ({ loaded }) => progress.push(loaded);
  const { file: sent } = await tea.upload(file, { fileName: 'hello.txt', onProgress });
  assert.deepEqual(progress, [0, 5]);
  assert.equal((await heard).message.file.fileId, sent.fileId);
  const url = await bens.chat.fileUrl(sent.fileId);
  assert.equal(await (await fetch(url)).text(), 'hello');
  assert.equal(await bens.chat.fileUrl(sent.fileId), url);
  await new Promise((resolve) => bens.chat._clock.setTimeout(resolve, 58_000));
  assert.notEqual(await bens.chat.fileUrl(sent.fileId), url);
});

test('an upload can be cancelled, and a file of another type is refused', async () => {
  const [tea] = await two();
  const controller = new AbortController();
  const big = new Blob(['x'.repeat(5_000_000)], { type: 'text/plain' });
  const options = { fileName: 'big.txt', signal: controller.signal, onProgress: () => controller.abort() };
  const cancelled = tea.upload(big, options);
  await assert.rejects(cancelled, { name: 'AbortError' });
  const picture = new Blob(['MZ no picture'], { type: 'image/png' });
  await assert.rejects(tea.upload(picture, { fileName: 'a.png' }), { code: 'UPLOAD_MISMATCH' });
});

test('a picture is uploaded through XMLHttpRequest where there is one', async () => {
  const [tea] = await two();
  const progress = [];
  globalThis.XMLHttpRequest = class {
    upload = {};
    headers = {};
    open(method, url) {
      Object.assign(this, { method, url });
    }
    setRequestHeader(name, value) {
      this.headers[name] = value;
    }
    async send(body) {
      this.upload.onprogress({ loaded: 3, total: 5 });
      this.status = (await fetch(this.url, { method: this.method, headers: this.headers, body })).status;
      this.onload();
    }
  };
  const file = new Blob(['hello'], { type: 'text/plain' });
  try {
    await tea.upload(file, { fileName: 'hello.txt', onProgress: ({ loaded }) => progress.push(loaded) });
  } finally {
    delete globalThis.XMLHttpRequest;
  }
  assert.deepEqual(progress, [3, 5]);
});

test('a request that fails for a while is repeated, and one that is not answered ends', async () => {
  const wire = new Wire();
  const [tea, , , ben] = await two({ WebSocket: wire.Socket });
  await stack.faults({ functionKilled: 300 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => ben.roomInfo({ roomId: tea.id })));
  await stack.faults({});
  assert.ok(answers.every(({ type }) => type === 'room'));
  wire.lose((frame) => frame.type === 'pong', 9);
  await assert.rejects(ben.ping({}, { timeoutMs: 300 }), { code: 'TIMEOUT' });
  const controller = new AbortController();
  const asked = ben.ping({}, { signal: controller.signal });
  controller.abort();
  await assert.rejects(asked, { name: 'AbortError' });
});

test('a room is not created twice when its answer is lost', async () => {
  const wire = new Wire();
  const client = await connected({ WebSocket: wire.Socket });
  wire.cutBefore((frame) => frame.type === 'room');
  await assert.rejects(client.createRoom({ roomName: 'once' }), { code: 'CONNECTION_LOST' });
  await event(client, 'state', ({ state }) => state === 'live');
  assert.equal((await client.listRooms()).items.length, 1);
});

test('a room that cannot be read says why, and opens after joining', async () => {
  const [tea] = await two();
  const cho = await connected();
  const room = cho.room(tea.id);
  await assert.rejects(room.ready, { code: 'NOT_A_MEMBER' });
  assert.equal(room.status, 'refused');
  await room.join();
  await room.ready;
  assert.equal(room.status, 'open');
  await tea.send('welcome');
  await until(room, () => room.messages.length === 1, 'the message');
  await room.leave();
  await until(room, () => room.status === 'left', 'cho has left');
});

test('a closed room takes no more messages', async () => {
  const [tea, bens, ana] = await two();
  await ana.closeRoom({ roomId: tea.id });
  await until(bens, () => bens.status === 'closed', 'it is closed');
  await assert.rejects(bens.send('late'), { code: 'ROOM_CLOSED' });
});

test('the HTTP API answers as the same user', async () => {
  const options = { url: tokens.websocket, httpUrl: tokens.http, WebSocket };
  const client = track(new Switchboard({ ...options, token: async () => token('ana') }));
  assert.equal((await client.fetch('/me')).userId, 'ana');
  const body = { latitude: 1, longitude: 2, roadName: 'Main Street' };
  const { roomId } = await client.fetch('/rooms', { method: 'POST', body });
  const { rooms } = await client.fetch('/rooms', { query: { latitude: 1, longitude: 2 } });
  assert.equal(rooms[0].roomId, roomId);
  await assert.rejects(client.fetch('/rooms/nowhere'), { code: 'ROOM_NOT_FOUND', status: 404 });
});

test('every action of the catalogue is a method', () => {
  const types = readFileSync(new URL('../../src/client/wire.d.ts', import.meta.url), 'utf8');
  const catalogue = [...types.matchAll(/^ {2}action: "(\w+)";$/gm)].map(([, action]) => action);
  assert.ok(catalogue.length > 30);
  for (const action of catalogue) {
    assert.ok(ACTIONS.includes(action), `${action} is not in ACTIONS`);
    // `unreads` is the model, and `loadUnreads` the action.
    const method = action === 'unreads' ? 'loadUnreads' : action;
    assert.equal(typeof Switchboard.prototype[method], 'function', action);
  }
});
