// Clients chat at random, from a seed, while sockets break, function processes die, requests to DynamoDB and posts
// fail, tokens expire and the clocks of the clients are off. Each client is the real module in a process of its own.
// Then the faults end, and every client's model must equal the log:
//
// 1. every message that was sent is in the log once, and a refused one is not;
// 2. the messages of a client are in the log in the order in which it sent them;
// 3. a client shows every message once, in the order of the log, without gaps;
// 4. the models are equal to the log: texts, edits, deletions, reactions, replies;
// 5. the unread counts are equal to those of the server;
// 6. the outboxes are empty, in the stores too.
//
// Usage: node tests/client/faults.mjs [--seed N] [--seeds N] [--clients N] [--operations N] [--break NAME]
//   --operations: of each client    --break: plants a fault in the client, which must be found ("all": each of them)

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual, parseArgs } from 'node:util';

import { Stack, WebSocket, installed, token } from './stack.mjs';

const ROOMS = ['tea', 'coffee', 'cocoa'];
/** Per mille. */
const PLAN = {
  socketDropped: 100,
  functionKilledBefore: 50,
  functionKilled: 50,
  functionKilledAfter: 50,
  storeThrottled: 50,
  storeAnswerLost: 50,
  storeUnprocessed: 50,
  transactionConflict: 100,
  postThrottled: 100,
  postFailed: 100,
  postGone: 50,
  postGoneButDelivered: 50,
  eventRepeated: 100,
  eventLate: 200,
  disconnectLost: 200,
  clockSkewMs: 2_000,
};
/** What is planted, and where: a piece of the client and what replaces it. */
const BREAKS = {
  'no dedupe': ['else this.chat._outbox.found(frame);', 'else this.#append(frame);'],
  'cursor before the frame': [
    'else if (frame.seq > (this._cursor?.seq ?? 0)) this.#ahead.set(frame.seq, frame);',
    `else if (frame.seq > (this._cursor?.seq ?? 0)) {
       this.#ahead.set(frame.seq, frame);
       if (this._cursor) this._cursor.seq = frame.seq;
     }`,
  ],
  'hole ignored': [
    'this.#hole ??= this.chat._clock.setTimeout(() => (this.#endHole(), this.chat._resumeSoon(this)), HOLE_MS);',
    'if (this.#ahead.size > 0) { this._cursor.seq = Math.min(...this.#ahead.keys()) - 1; this.#drain(); }',
  ],
  'outbox out of order': ['batch.push(entry);', 'batch.unshift(entry);'],
};
/** A client that has not finished by then hangs, also on a slow machine. */
const LIMIT_MS = 600_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    clients: { type: 'string', default: '5' },
    operations: { type: 'string', default: '12' },
    break: { type: 'string' },
  },
});
const names = ['seed', 'seeds', 'clients', 'operations'];
const numbers = Object.fromEntries(names.map((name) => [name, Number(values[name])]));

/** The module that the clients load: the real one, or a copy with a fault. */
function moduleWith(name) {
  const source = new URL('../../src/client/switchboard.js', import.meta.url);
  if (name === undefined) return source.href;
  const text = readFileSync(source, 'utf8');
  const [piece, replacement] = BREAKS[name];
  if (text.split(piece).length !== 2) throw new Error(`${name}: the client has changed: the piece is not there once`);
  mkdirSync(`${installed}/breaks`, { recursive: true });
  const file = `${installed}/breaks/${name.replaceAll(' ', '-')}.mjs`;
  writeFileSync(file, text.replace(piece, () => replacement));
  return `file://${file}`;
}

class Client {
  constructor(number, options) {
    this.name = `user${number}`;
    const child = new URL('faults-client.mjs', import.meta.url);
    this.process = fork(child, [JSON.stringify({ ...options, name: this.name, number })]);
  }

  async ask(what) {
    this.process.send(what);
    const [answer] = await once(this.process, 'message', { signal: AbortSignal.timeout(LIMIT_MS) }).catch(() => {
      throw new Error(`${this.name} did not finish: ${JSON.stringify(what)}`);
    });
    if (answer.failure) throw new Error(`${this.name}: ${answer.failure}`);
    return answer;
  }
}

/** Reads a log with nothing but a socket. */
async function reader(stack, user) {
  const socket = new WebSocket(`${stack.websocket}?token=${token(user)}&format=native`);
  await once(socket, 'open');
  let last = 0;
  const ask = async (frame) => {
    const requestId = String((last += 1));
    const answer = new Promise((resolve) => {
      const hear = ({ data }) => {
        const one = JSON.parse(data);
        if (one.requestId !== requestId) return;
        socket.removeEventListener('message', hear);
        resolve(one);
      };
      socket.addEventListener('message', hear);
    });
    socket.send(JSON.stringify({ ...frame, requestId }));
    return answer;
  };
  const log = async (roomId) => {
    const items = [];
    for (let after = 0; after !== undefined; ) {
      const page = await ask({ action: 'getMessages', roomId, after, limit: 100 });
      items.push(...page.items);
      after = page.hasMore ? page.nextAfter : undefined;
    }
    return items;
  };
  return { ask, log, close: () => socket.close() };
}

/** What must be equal for everybody. */
const comparable = ({ type, clientMessageId, status, requestId, ...message }) => message;

function* violations({ name, sent, rooms, outbox, stored }, logs, listed) {
  if (outbox > 0 || stored > 0) yield `6. ${name} has ${outbox} messages in the outbox, and ${stored} in the store`;
  for (const [roomId, { messages, shown, repeated, first, unread }] of Object.entries(rooms)) {
    const log = logs[roomId];
    const where = `${name} in ${roomId}`;
    const mine = sent.filter((one) => one.roomId === roomId);
    const count = new Map();
    for (const { content } of log) count.set(content, (count.get(content) ?? 0) + 1);
    const texts = log.filter(({ userId }) => userId === name);
    const positions = mine.filter(({ seq }) => seq !== undefined).map(({ seq }) => seq);
    for (const { seq, refused, content } of mine) {
      if (!refused && log[seq - 1]?.userId !== name) yield `1. ${where}: ${content} is lost`;
      if (refused && count.get(content)) yield `1. ${where}: ${content} is refused (${refused}) and in the log`;
    }
    if (texts.length !== positions.length) yield `1. ${where}: ${positions.length} sent, ${texts.length} in the log`;
    if (positions.some((seq, at) => at > 0 && seq <= positions[at - 1])) yield `2. ${where}: sent as ${positions}`;
    if (repeated.length > 0) yield `3. ${where}: shown twice at a time: ${repeated.slice(0, 5)}`;
    const expected = Array.from({ length: log.length - first }, (_, at) => first + 1 + at);
    if (!isDeepStrictEqual(shown, expected)) {
      const at = expected.findIndex((seq, index) => seq !== shown[index]);
      const around = shown.slice(Math.max(0, at - 2), at + 4);
      yield `3. ${where}: shown as ${around} at ${expected[at]} of ${expected.length}`;
    }
    const [model, truth] = [messages.map(comparable), log.map(comparable)];
    if (!isDeepStrictEqual(model, truth)) {
      const at = truth.findIndex((message, index) => !isDeepStrictEqual(message, model[index]));
      const [ours, theirs] = [model[at], truth[at]].map((message) => JSON.stringify(message));
      yield `4. ${where}: the model has ${ours}, the log ${theirs}`;
    }
    const truly = listed[name]?.[roomId];
    if (truly !== undefined && truly !== unread) yield `5. ${where}: ${unread} unread, the server says ${truly}`;
  }
}

async function run(seed, planted) {
  const environment = { AUTH_MODE: 'jwt', ADD_MEMBERS: 'direct', SESSION_MIN_SECONDS: '10' };
  const stack = await Stack.start(environment, '--faults', JSON.stringify({ seed }));
  const clients = [];
  try {
    const founder = await reader(stack, 'host');
    const names = [];
    for (const room of ROOMS) names.push((await founder.ask({ action: 'createRoom', roomName: room })).roomId);
    founder.close();
    const options = { seed, rooms: names, websocket: stack.websocket, http: stack.http, module: moduleWith(planted) };
    for (let number = 0; number < numbers.clients; number += 1) clients.push(new Client(number, options));
    const all = (what) => Promise.all(clients.map((client) => client.ask(what)));
    const times = [Date.now()];
    const lap = () => times.push(Date.now());
    await all({ do: 'begin' });
    lap();
    await stack.faults({ seed, ...PLAN });
    await all({ do: 'chat', operations: numbers.operations });
    lap();
    await stack.faults({});
    await all({ do: 'calm' });
    lap();
    // What nobody was told of shows by the next frame: a message and a change in each room.
    const host = await reader(stack, 'host');
    for (const roomId of names) {
      const { seq } = await host.ask({ action: 'sendMessage', roomId, content: 'the end' });
      await host.ask({ action: 'react', roomId, seq, emoji: '🏁' });
    }
    const logs = {};
    for (const roomId of names) logs[roomId] = await host.log(roomId);
    const ends = Object.fromEntries(names.map((roomId) => [roomId, logs[roomId].length]));
    const records = await all({ do: 'report', ends });
    const listed = {};
    for (const { name } of records) {
      const own = await reader(stack, name);
      const { items } = await own.ask({ action: 'listRooms' });
      listed[name] = Object.fromEntries(items.map(({ roomId, unread }) => [roomId, unread]));
      own.close();
    }
    host.close();
    const found = records.flatMap((record) => [...violations(record, logs, listed)]);
    const messages = Object.values(logs).reduce((sum, log) => sum + log.length, 0);
    const operations = records.reduce((sum, record) => sum + record.operations, 0);
    const connects = records.reduce((sum, record) => sum + record.connects, 0);
    lap();
    if (process.env.LAPS) console.log(times.slice(1).map((time, at) => time - times[at]));
    return { found, messages, operations, connects };
  } finally {
    for (const { process } of clients) process.kill();
    stack.stop();
  }
}

async function runAll(planted) {
  const began = Date.now();
  let [operations, count] = [0, 0];
  for (let seed = numbers.seed; seed < numbers.seed + numbers.seeds; seed += 1) {
    const nothing = { operations: 0, messages: 0, connects: 0 };
    const failed = ({ message }) => ({ ...nothing, found: [`the run failed: ${message}`] });
    const outcome = await run(seed, planted).catch(failed);
    operations += outcome.operations;
    count += outcome.found.length;
    const { messages, connects } = outcome;
    console.log(`seed ${seed}: ${outcome.operations} operations, ${messages} messages, ${connects} connects`);
    for (const violation of outcome.found.slice(0, planted ? 3 : 20)) console.log(`  VIOLATED ${violation}`);
  }
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  console.log(`${numbers.seeds} seeds, ${operations} operations, ${count} violations, ${seconds} s`);
  return count;
}

if (values.break === undefined) process.exit((await runAll()) === 0 ? 0 : 1);
const planted = values.break === 'all' ? Object.keys(BREAKS) : [values.break];
let missed = 0;
for (const name of planted) {
  console.log(`planted: ${name}`);
  if ((await runAll(name)) === 0) {
    console.log(`  NOT FOUND: ${name}`);
    missed += 1;
  }
}
process.exit(missed);
