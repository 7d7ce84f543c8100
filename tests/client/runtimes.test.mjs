// The module where there is less than in a browser: in workers, and as in React Native.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { Stack, require } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AUTH_MODE: 'jwt' })));
after(() => stack.stop());

/** What no worker has, and what React Native does not have either. */
const ABSENT = {
  worker: ['window', 'document', 'indexedDB', 'localStorage', 'XMLHttpRequest'],
  reactNative: ['crypto', 'TextDecoder', 'addEventListener', 'removeEventListener', 'reportError', 'structuredClone'],
};

/** Chats in a thread in which these globals are absent, and tells what has come. */
const PROGRAM = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { absent, module, websocket, http, token, ws } = workerData;
  (async () => {
    // Node.js itself needs some of them the first time.
    await (await fetch('data:,')).json().catch(() => {});
    globalThis.WebSocket ??= require(ws);
    for (const name of absent) delete globalThis[name];
    if (absent.includes('crypto')) {
      delete AbortSignal.timeout;
      delete AbortSignal.prototype.throwIfAborted;
      Object.defineProperty(AbortSignal.prototype, 'reason', { get() {} });
    }
    const left = absent.filter((name) => name in globalThis);
    const { Switchboard } = await import(module);
    const chat = new Switchboard({ url: websocket, httpUrl: http, token: async () => token });
    await chat.connect();
    const room = chat.room((await chat.createRoom({})).roomId);
    await room.ready;
    await room.send('hello');
    await room.edit(1, 'hello again');
    const bytes = new TextEncoder().encode('a file');
    const { file } = await room.upload(bytes, { fileName: 'a.txt', contentType: 'text/plain' });
    const controller = new AbortController();
    const cancelled = chat.ping({}, { signal: controller.signal }).catch(({ code }) => code);
    controller.abort();
    const refused = new Switchboard({ url: websocket, httpUrl: http, token: 'wrong' });
    const refusal = await refused.connect().catch(({ code }) => code);
    const contents = room.messages.map(({ content }) => content);
    const ids = room.messages[0].clientMessageId?.length ?? 0;
    chat.close();
    parentPort.postMessage({ left, contents, file: file.size, cancelled: await cancelled, refusal, state: chat.state, ids });
  })();
`;

async function chatsWithout(absent, user) {
  const { token } = await import('./stack.mjs');
  const module = new URL('../../src/client/switchboard.js', import.meta.url).href;
  const { websocket, http } = stack;
  const workerData = { absent, module, websocket, http, token: token(user), ws: require.resolve('ws') };
  const worker = new Worker(PROGRAM, { eval: true, workerData });
  const [outcome] = await once(worker, 'message', { signal: AbortSignal.timeout(60_000) });
  await worker.terminate();
  return outcome;
}

test('in a worker', async () => {
  const outcome = await chatsWithout(ABSENT.worker, 'ana');
  assert.deepEqual(outcome.left, []);
  assert.deepEqual(outcome.contents, ['hello again', 'a.txt']);
  assert.deepEqual([outcome.file, outcome.refusal, outcome.state], [6, 'UNAUTHORIZED', 'closed']);
});

test('as in React Native', async () => {
  const outcome = await chatsWithout([...ABSENT.worker, ...ABSENT.reactNative], 'ben');
  assert.deepEqual(outcome.left, []);
  assert.deepEqual(outcome.contents, ['hello again', 'a.txt']);
  assert.deepEqual([outcome.file, outcome.refusal, outcome.state], [6, 'UNAUTHORIZED', 'closed']);
  assert.equal(outcome.cancelled, 'ABORTED');
  assert.equal(outcome.ids, 32);
});
