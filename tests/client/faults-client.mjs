// One client of faults.mjs. It does what its parent asks for, and answers with one message for each.

import { WebSocket, fastClock, token } from './stack.mjs';

const TOKEN_SECONDS = 20;
/** The random waits before a new attempt are this much of what they are in reality. */
const IMPATIENCE = 0.2;
const EMOJIS = ['👍', '🎉', '🫖'];

const options = JSON.parse(process.argv[2]);
const { Switchboard } = await import(options.module);

function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = randomOf(options.seed * 1_000 + options.number);
const below = (count) => Math.floor(random() * count);
const one = (list) => list[below(list.length)];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const texts = new Map();
const store = { getItem: (key) => texts.get(key), setItem: (key, text) => void texts.set(key, text) };
const chat = new Switchboard({
  url: options.websocket,
  httpUrl: options.http,
  token: async () => token(options.name, { lifetimeSeconds: TOKEN_SECONDS }),
  WebSocket,
  store,
  random: () => random() * IMPATIENCE,
  clock: fastClock(1, (random() - 0.5) * 6 * 3_600_000),
});

const sent = [];
const records = {};
let [operations, connects, isBreaking] = [0, 0, false];
chat.on('state', ({ state }) => (connects += state === 'connecting' ? 1 : 0));
const problems = [];
process.on('unhandledRejection', (error) => problems.push(`unhandled: ${error.stack}`));

/** What is shown at any time: no message twice. */
function inspect(room) {
  const [seqs, ids] = [new Set(), new Set()];
  for (const { seq, clientMessageId } of room.messages) {
    if (seqs.has(seq) || ids.has(clientMessageId)) records[room.id].repeated.push(seq ?? clientMessageId);
    if (seq !== undefined) seqs.add(seq);
    if (clientMessageId !== undefined) ids.add(clientMessageId);
  }
}

/** Joins a room, however slow the machine is. */
async function enter(room, tries = 10) {
  try {
    await room.join();
  } catch (error) {
    if (error.code !== 'TIMEOUT' || tries === 0) throw error;
    await enter(room, tries - 1);
  }
}

async function begin() {
  await chat.connect();
  for (const id of options.rooms) {
    const room = chat.room(id);
    records[id] = { shown: [], repeated: [], first: 0 };
    await room.ready.catch(() => {});
    await enter(room);
    await room.ready;
    records[id].first = room.messages.at(-1)?.seq ?? 0;
    room.on('message', ({ message }) => records[id].shown.push(message.seq));
    room.on('change', () => inspect(room));
  }
  await chat.loadUnreads();
  return {};
}

function send(room) {
  for (let left = 1 + below(4); left > 0; left -= 1) {
    const content = `${options.name} ${sent.length}`;
    const record = { roomId: room.id, content };
    sent.push(record);
    const replyTo = random() < 0.2 && room.messages.some(({ seq }) => seq) ? 1 + below(room._cursor.seq) : undefined;
    room.send(content, { replyTo }).then(
      ({ seq }) => (record.seq = seq),
      ({ code }) => (record.refused = code),
    );
  }
}

/** One thing that a user does. Whether it succeeds does not matter: the others must see the same. */
async function operate() {
  const room = chat.room(one(options.rooms));
  const seqs = room.messages.map(({ seq }) => seq).filter((seq) => seq !== undefined);
  const own = room.messages.filter(({ userId, seq }) => userId === options.name && seq !== undefined);
  const dice = random();
  operations += 1;
  if (dice < 0.45) return send(room);
  if (dice < 0.55 && own.length > 0) return room.edit(one(own).seq, `${options.name} edits ${operations}`);
  if (dice < 0.6 && own.length > 0) return room.delete(one(own).seq);
  if (dice < 0.75 && seqs.length > 0) return room.react(one(seqs), one(EMOJIS), random() < 0.7);
  if (dice < 0.85) return room.markRead();
  if (dice < 0.9) return room.setTyping();
  if (dice < 0.93 && isBreaking) return void chat.getMessages({ roomId: room.id, limit: 1 }).catch(() => {});
  // Only where nothing waits to be sent: it would be refused.
  if (dice < 0.96 && !sent.some((record) => record.roomId === room.id && record.seq === undefined && !record.refused)) {
    await room.leave();
    return room.join();
  }
  return room.before(5);
}

async function chatAtRandom(count) {
  isBreaking = true;
  const running = new Set();
  for (let left = count; left > 0; left -= 1) {
    const operation = operate().catch(() => {});
    running.add(operation);
    operation.finally(() => running.delete(operation));
    await sleep(below(120));
    if (running.size > 3) await Promise.race(running);
  }
  await Promise.all(running);
  return {};
}

const settled = async (holds, what, seconds = 240) => {
  for (let left = seconds * 20; left > 0; left -= 1) {
    if (await holds()) return;
    await sleep(50);
  }
  const rooms = chat.rooms.map(({ status, _cursor, _resuming }) => ({ status, ..._cursor, _resuming }));
  throw new Error(`never: ${what}; ${chat.state} ${JSON.stringify(rooms)} ${problems.join('; ')}`);
};

/** Everything is answered, and the server knows the connection. */
async function calm() {
  isBreaking = false;
  await settled(() => sent.every(({ seq, refused }) => seq !== undefined || refused), 'all messages are answered');
  await settled(() => chat.ping({}, { timeoutMs: 20_000 }).then(() => chat.state === 'live', () => false), 'a pong');
  for (const room of chat.rooms) if (room.status !== 'open') await enter(room);
  await Promise.all(chat.rooms.map((room) => settled(() => room.status === 'open', `${room.id} is open`)));
  return {};
}

async function report(ends) {
  // Refused messages stay behind the others until the user discards them.
  const log = (room) => room.messages.filter(({ status }) => status !== 'refused');
  const isEqual = (room) => room._cursor.seq === ends[room.id] && log(room).at(-1)?.reactions?.['🏁'] === 1;
  const rooms = {};
  const equal = chat.rooms.map((room) => settled(() => isEqual(room), `${room.id} has ${ends[room.id]} messages`, 40));
  for (const { reason } of await Promise.allSettled(equal)) if (reason) problems.push(reason.message);
  for (const room of chat.rooms) {
    while (room.hasOlder) await room.before(100);
    const { first, shown, repeated } = records[room.id];
    rooms[room.id] = { messages: log(room), shown, repeated, first, unread: room.unread };
  }
  await sleep(50);
  const stored = [...texts.values()].flatMap((text) => JSON.parse(text)).filter(({ error }) => !error).length;
  for (const problem of problems) console.log(`  ${options.name}: ${problem}`);
  return { name: options.name, sent, rooms, operations, connects, outbox: chat._outbox.size, stored };
}

process.on('message', async (message) => {
  const tasks = { begin, chat: () => chatAtRandom(message.operations), calm, report: () => report(message.ends) };
  try {
    process.send(await tasks[message.do]());
  } catch (error) {
    process.send({ failure: error.stack });
  }
});
