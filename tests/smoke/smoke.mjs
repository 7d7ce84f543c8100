// A chat of two users, each in a separate wscat process, and one through the JavaScript client. Called by scripts/smoke.
// Usage: node smoke.mjs INSTALLED WEBSOCKET_URL [HTTP_URL]   INSTALLED: the folder with the packages of package.json

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { Switchboard } from '../../src/client/switchboard.js';

const LIMIT_MS = 30_000;
const PING_EVERY_MS = 200;
const FRAMES_SHOWN = 5;

const [installed, websocketUrl, httpUrl] = process.argv.slice(2);
const wscat = `${installed}/node_modules/wscat/bin/wscat`;
const require = createRequire(`${installed}/package.json`);
const jwt = require('jsonwebtoken');
const WebSocket = require('ws');
const users = [];
let currentStep = 'parse the URLs';

class User extends EventEmitter {
  frames = [];
  received = [];
  stderr = '';
  exited = false;

  constructor(id, room) {
    super();
    this.id = id;
    this.process = spawn(process.execPath, [wscat, '--connect', address(id, room)]);
    this.process.stderr.on('data', (text) => (this.stderr += text));
    // If a write fails, wscat has exited, and its standard error has the reason.
    this.process.stdin.on('error', () => {});
    this.process.on('close', () => {
      this.exited = true;
      this.emit('change');
    });
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      // In a pipe, wscat prints each frame on a line, after a prompt for each line of input.
      const frame = line.replace(/^(> )+/, '');
      this.received.push(frame);
      this.frames.push(JSON.parse(frame));
      this.emit('change');
    });
    users.push(this);
  }

  // Pings until a pong arrives: wscat drops input before it is connected, and does not report the connection in a pipe.
  async isConnected() {
    const pings = setInterval(() => this.sends({ action: 'ping' }), PING_EVERY_MS);
    await this.hears({ type: 'pong' }).finally(() => clearInterval(pings));
  }

  sends(frame) {
    this.process.stdin.write(`${JSON.stringify(frame)}\n`);
  }

  asks(frame, expected) {
    const requestId = randomUUID();
    this.sends({ ...frame, requestId });
    return this.hears({ ...expected, requestId });
  }

  // Waits for the next frame of that type, or the response to that request, which must have the expected fields.
  async hears(expected) {
    const limit = AbortSignal.timeout(LIMIT_MS);
    const wanted = `${this.id} expected ${JSON.stringify(expected)}`;
    const { type, requestId } = expected;
    const matches = (frame) => frame.requestId === requestId && (requestId !== undefined || frame.type === type);
    for (;;) {
      const index = this.frames.findIndex(matches);
      if (index >= 0) {
        const [frame] = this.frames.splice(index, 1);
        if (!fits(expected, frame)) throw new Error(`${wanted}, but received ${JSON.stringify(frame)}`);
        return frame;
      }
      if (this.exited) throw new Error(`${wanted}, but wscat exited`);
      await once(this, 'change', { signal: limit }).catch(() => {
        throw new Error(`${wanted} within ${LIMIT_MS / 1000} seconds`);
      });
    }
  }
}

function fits(expected, actual) {
  if (typeof expected !== 'object') return expected === actual;
  return Object.entries(expected).every(([name, value]) => fits(value, actual?.[name]));
}

function address(id, room) {
  const url = new URL(websocketUrl);
  if (!['ws:', 'wss:'].includes(url.protocol)) throw new Error(`not a URL with ws:// or wss://: ${websocketUrl}`);
  url.pathname = url.pathname.replace(/\/+$/, '');
  if (process.env.JWT_SECRET) url.searchParams.set('token', token(id));
  else url.searchParams.set('userId', id);
  url.searchParams.set('roomId', room);
  url.searchParams.set('format', 'native');
  return url.href;
}

// A token for the deployment. JWT_ISSUER and JWT_AUDIENCE must equal its settings of these names.
function token(id) {
  const { JWT_SECRET: secret, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = process.env;
  const claims = { ...(issuer && { iss: issuer }), ...(audience && { aud: audience }) };
  return jwt.sign(claims, secret, { subject: id, expiresIn: 600 });
}

async function fetchBody(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(LIMIT_MS) });
  const body = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200) throw new Error(`expected status 200, got ${answer.status}: ${body}`);
  return body;
}

async function step(what, run) {
  currentStep = what;
  const result = await run();
  console.log(`ok: ${what}`);
  return result;
}

// A deployment that accepts only the tokens of issuers: nobody can sign one here. A handshake without one is refused.
async function isGuarded() {
  if (httpUrl) await step('the HTTP API is healthy', () => fetchBody(`${httpUrl.replace(/\/+$/, '')}/health`));
  await step('a handshake without a token is refused', async () => {
    const socket = new WebSocket(address('ana', 'smoke'));
    const status = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (_, answer) => resolve(answer.statusCode));
      socket.on('open', () => resolve(101));
      socket.on('error', reject);
    });
    socket.terminate();
    if (status !== 401) throw new Error(`expected status 401, got ${status}`);
  });
}

async function chat() {
  // Unique ids, because a deployment may have users and rooms with these names.
  const run = randomUUID().slice(0, 8);
  const room = `smoke-${run}`;
  if (httpUrl) await step('the HTTP API is healthy', () => fetchBody(`${httpUrl.replace(/\/+$/, '')}/health`));

  const ana = await step('ana connects', async () => {
    const ana = new User(`ana-${run}`, room);
    await ana.isConnected();
    return ana;
  });
  const ben = await step('ben connects, and ana is notified of the join', async () => {
    const ben = new User(`ben-${run}`, room);
    await ben.isConnected();
    await ana.hears({ type: 'joined', roomId: room, userId: ben.id });
    return ben;
  });

  const hello = { type: 'message', roomId: room, userId: ana.id, content: `Grüße, "ben" 💬 ${run}`, seq: 1 };
  await step('ana gets a response', () => {
    return ana.asks({ action: 'sendMessage', roomId: room, content: hello.content }, hello);
  });
  await step('ben receives the message of ana', () => ben.hears(hello));

  await step('ben is notified that ana is typing', () => {
    ana.sends({ action: 'typingIndicator', roomId: room });
    return ben.hears({ type: 'typing', roomId: room, userId: ana.id, isTyping: true });
  });

  // This spelling takes the default route, which has a route response: it must not cause an empty frame.
  await step('ana gets no response to a typing indicator', async () => {
    ana.sends({ action: 'typing-indicator', roomId: room });
    await ben.hears({ type: 'typing', roomId: room, userId: ana.id, isTyping: true });
    await ana.asks({ action: 'ping' }, { type: 'pong' });
  });

  const bytes = Buffer.from(`shared by ana ${run}\n`.repeat(1000));
  const file = { fileName: `${run}.txt`, contentType: 'text/plain', size: bytes.length };
  const upload = await step('ana requests an upload', () => {
    const sha256 = createHash('sha256').update(bytes).digest('base64');
    return ana.asks({ action: 'handleFileUpload', roomId: room, ...file, sha256 }, { type: 'upload', method: 'PUT' });
  });
  await step('ana uploads the file', () => {
    return fetchBody(upload.uploadUrl, { method: 'PUT', headers: upload.headers, body: bytes });
  });
  const sharedFile = { ...file, fileId: upload.fileId };
  const announcement = { type: 'message', roomId: room, userId: ana.id, seq: 2, file: sharedFile };
  await step('both are notified of the file', () => Promise.all([ana.hears(announcement), ben.hears(announcement)]));
  await step('ben downloads the same bytes', async () => {
    const { fileUrl } = await ben.asks({ action: 'getFile', fileId: upload.fileId }, { type: 'file', ...file });
    const downloaded = await fetchBody(fileUrl);
    if (!bytes.equals(downloaded)) throw new Error(`ben downloaded ${downloaded.length} different bytes`);
  });

  await step('ana closes the room, and ben is notified', async () => {
    await ana.asks({ action: 'closeRoom', roomId: room }, { type: 'ack', roomId: room });
    await ben.hears({ type: 'room-closed', roomId: room, userId: ana.id });
  });
  // At the end: a wrong frame would have arrived before the later ones.
  await step('ana does not receive her own typing indicator', () => {
    if (ana.frames.some((frame) => frame.type === 'typing')) throw new Error(`${ana.id} received her typing indicator`);
  });
}

// The same deployment through the client of src/client.
async function chatThroughClient() {
  const run = randomUUID().slice(0, 8);
  const ana = client(`ana-${run}`);
  const ben = client(`ben-${run}`);
  await step('the client connects', () => Promise.all([ana.chat.connect(), ben.chat.connect()]));
  const { roomId } = await ana.chat.createRoom({ roomName: `smoke ${run}` });
  await ben.chat.joinRoom({ roomId });
  const [anas, bens] = [ana.chat.room(roomId), ben.chat.room(roomId)];
  await step('the client opens a room', () => Promise.all([anas.ready, bens.ready]));
  const shows = (room, expected) => {
    const isShown = () => JSON.stringify(room.messages.map(({ content }) => content)) === JSON.stringify(expected);
    return until(room, isShown, `${room.chat.user.userId} shows ${JSON.stringify(expected)}`);
  };
  await step('the client sends and edits a message', async () => {
    const { seq } = await anas.send('Grüße');
    await anas.edit(seq, 'Grüße aus dem Client');
    await shows(bens, ['Grüße aus dem Client']);
  });
  await step('the client resumes after a lost connection, and shows what it has missed', async () => {
    const isLost = until(ben.chat, () => ben.chat.state !== 'live', 'the connection is lost');
    ben.socket().terminate();
    await isLost;
    await anas.send('while ben was away');
    await shows(bens, ['Grüße aus dem Client', 'while ben was away']);
  });
  await step('the client uploads a file, and downloads the same bytes', async () => {
    const bytes = Buffer.from(`shared by the client ${run}\n`.repeat(1000));
    const { file } = await anas.upload(bytes, { fileName: `${run}.txt`, contentType: 'text/plain' });
    const isThere = () => bens.messages.some((message) => message.file?.fileId === file.fileId);
    await until(bens, isThere, 'ben is notified of the file');
    const downloaded = await fetchBody(await ben.chat.fileUrl(file.fileId));
    if (!bytes.equals(downloaded)) throw new Error(`ben downloaded ${downloaded.length} different bytes`);
  });
  await ana.chat.closeRoom({ roomId });
  for (const { chat } of [ana, ben]) chat.close();
}

// A client, and its last socket.
function client(id) {
  let last;
  class Socket extends WebSocket {
    constructor(...options) {
      super(...options);
      last = this;
    }
  }
  const url = new URL(websocketUrl);
  url.pathname = url.pathname.replace(/\/+$/, '');
  const secret = process.env.JWT_SECRET;
  if (!secret) url.searchParams.set('userId', id);
  const options = { url: url.href, httpUrl, token: secret && (async () => token(id)), WebSocket: Socket };
  return { chat: new Switchboard(options), socket: () => last };
}

// Waits for an event of a client or a room after which the condition holds.
async function until(emitter, condition, what) {
  if (condition()) return;
  await new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`not within ${LIMIT_MS / 1000} seconds: ${what}`)), LIMIT_MS);
    const stop = emitter.on('*', () => {
      if (!condition()) return;
      clearTimeout(limit);
      stop();
      resolve();
    });
  });
}

// Removes signatures and tokens, which grant access.
const redacted = (text) => text.replace(/[?&](X-Amz-|token=)[^"\s]*/g, '?...');

process.on('exit', () => users.forEach((user) => user.process.kill()));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
process.on('uncaughtException', failed);

function failed(error) {
  console.error(`FAILED: ${currentStep}`);
  console.error(redacted(error.cause ? `${error.message}: ${error.cause.message}` : error.message));
  for (const { id, received, stderr } of users) {
    console.error(`last frames of ${id}:${received.length === 0 ? ' none' : ''}`);
    for (const frame of received.slice(-FRAMES_SHOWN)) console.error(`  ${redacted(frame)}`);
    if (stderr) console.error(`  wscat: ${redacted(stderr.trim())}`);
  }
  process.exit(1);
}

const hasNoTokens = process.env.AUTH_MODE === 'jwt' && !process.env.JWT_SECRET;
await (hasNoTokens ? isGuarded() : chat().then(chatThroughClient))
  .then(() => process.exit(0), failed);
