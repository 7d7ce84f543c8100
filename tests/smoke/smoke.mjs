// Two users, each a wscat of their own. Called by scripts/smoke.
// Usage: node smoke.mjs INSTALLED WEBSOCKET_URL [HTTP_URL]   INSTALLED: where the packages of package.json are

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const LIMIT_MS = 30_000;
const PING_EVERY_MS = 200;
const FRAMES_SHOWN = 5;

const [installed, websocketUrl, httpUrl] = process.argv.slice(2);
const wscat = `${installed}/node_modules/wscat/bin/wscat`;
const jwt = createRequire(`${installed}/package.json`)('jsonwebtoken');
const users = [];
let underWay = 'the URLs are understood';

class User extends EventEmitter {
  frames = [];
  heard = [];
  complaints = '';
  ended = false;

  constructor(id, room) {
    super();
    this.id = id;
    this.process = spawn(process.execPath, [wscat, '--connect', address(id, room)]);
    this.process.stderr.on('data', (text) => (this.complaints += text));
    // Why a line could not be written is in what wscat says when it ends.
    this.process.stdin.on('error', () => {});
    this.process.on('close', () => {
      this.ended = true;
      this.emit('news');
    });
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      // Into a pipe wscat writes a frame a line, after a prompt for each line that it has read.
      const frame = line.replace(/^(> )+/, '');
      this.heard.push(frame);
      this.frames.push(JSON.parse(frame));
      this.emit('news');
    });
    users.push(this);
  }

  // wscat drops what it reads before it is connected, and says of that nothing into a pipe.
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

  // The next frame of that type, or the answer to that request: as expected, whatever else it has.
  async hears(expected) {
    const limit = AbortSignal.timeout(LIMIT_MS);
    const wanted = `${this.id} was to hear ${JSON.stringify(expected)}`;
    const { type, requestId } = expected;
    const isMeant = (frame) => frame.requestId === requestId && (requestId !== undefined || frame.type === type);
    for (;;) {
      const place = this.frames.findIndex(isMeant);
      if (place >= 0) {
        const [frame] = this.frames.splice(place, 1);
        if (!fits(expected, frame)) throw new Error(`${wanted}, and heard ${JSON.stringify(frame)}`);
        return frame;
      }
      if (this.ended) throw new Error(`${wanted}, and wscat has ended`);
      await once(this, 'news', { signal: limit }).catch(() => {
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
  if (!['ws:', 'wss:'].includes(url.protocol)) throw new Error(`give a URL with ws:// or wss://, not ${websocketUrl}`);
  url.pathname = url.pathname.replace(/\/+$/, '');
  if (process.env.JWT_SECRET) url.searchParams.set('token', token(id));
  else url.searchParams.set('userId', id);
  url.searchParams.set('roomId', room);
  url.searchParams.set('format', 'native');
  return url.href;
}

// As the deployment wants it: JWT_ISSUER and JWT_AUDIENCE are what its settings of these names are.
function token(id) {
  const { JWT_SECRET: secret, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = process.env;
  return jwt.sign({ ...(issuer && { iss: issuer }), ...(audience && { aud: audience }) }, secret, { subject: id, expiresIn: 600 });
}

async function fetched(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(LIMIT_MS) });
  const body = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200) throw new Error(`200 was to come back, and it was ${answer.status}: ${body}`);
  return body;
}

async function step(what, run) {
  underWay = what;
  const result = await run();
  console.log(`ok: ${what}`);
  return result;
}

async function chat() {
  // Names of their own: in a deployment there may be an Ana.
  const run = randomUUID().slice(0, 8);
  const room = `smoke-${run}`;
  if (httpUrl) await step('the HTTP API is well', () => fetched(`${httpUrl.replace(/\/+$/, '')}/health`));

  const ana = await step('ana connects', async () => {
    const ana = new User(`ana-${run}`, room);
    await ana.isConnected();
    return ana;
  });
  const ben = await step('ben connects, and ana hears that he has joined', async () => {
    const ben = new User(`ben-${run}`, room);
    await ben.isConnected();
    await ana.hears({ type: 'joined', roomId: room, userId: ben.id });
    return ben;
  });

  const hello = { type: 'message', roomId: room, userId: ana.id, content: `Grüße, "ben" 💬 ${run}`, seq: 1 };
  await step('ana gets her answer', () => ana.asks({ action: 'sendMessage', roomId: room, content: hello.content }, hello));
  await step('ben hears what ana says', () => ben.hears(hello));

  await step('ben hears that ana is typing', () => {
    ana.sends({ action: 'typingIndicator', roomId: room });
    return ben.hears({ type: 'typing', roomId: room, userId: ana.id, isTyping: true });
  });

  // A spelling that takes the default route, which has a route response: it must not bring an empty frame.
  await step('ana is not answered when she types', async () => {
    ana.sends({ action: 'typing-indicator', roomId: room });
    await ben.hears({ type: 'typing', roomId: room, userId: ana.id, isTyping: true });
    await ana.asks({ action: 'ping' }, { type: 'pong' });
  });

  const bytes = Buffer.from(`what ana shares ${run}\n`.repeat(1000));
  const file = { fileName: `${run}.txt`, contentType: 'text/plain', size: bytes.length };
  const upload = await step('ana announces a file', () => {
    const sha256 = createHash('sha256').update(bytes).digest('base64');
    return ana.asks({ action: 'handleFileUpload', roomId: room, ...file, sha256 }, { type: 'upload', method: 'PUT' });
  });
  await step('ana uploads it', () => fetched(upload.uploadUrl, { method: 'PUT', headers: upload.headers, body: bytes }));
  const told = { type: 'message', roomId: room, userId: ana.id, seq: 2, file: { ...file, fileId: upload.fileId } };
  await step('both hear of the file', () => Promise.all([ana.hears(told), ben.hears(told)]));
  await step('ben downloads the same bytes', async () => {
    const { fileUrl } = await ben.asks({ action: 'getFile', fileId: upload.fileId }, { type: 'file', ...file });
    const downloaded = await fetched(fileUrl);
    if (!bytes.equals(downloaded)) throw new Error(`ben was to get what ana sent, and got ${downloaded.length} other bytes`);
  });

  await step('ana closes the room, and ben hears of it', async () => {
    await ana.asks({ action: 'closeRoom', roomId: room }, { type: 'ack', roomId: room });
    await ben.hears({ type: 'room-closed', roomId: room, userId: ana.id });
  });
  // Last: whatever she was told by mistake has come before all that she has heard since.
  await step('ana does not hear herself typing', () => {
    if (ana.frames.some((frame) => frame.type === 'typing')) throw new Error(`${ana.id} was not to hear that she types`);
  });
}

// A signed address lets in whoever reads it.
const shown = (text) => text.replace(/[?&](X-Amz-|token=)[^"\s]*/g, '?...');

process.on('exit', () => users.forEach((user) => user.process.kill()));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
process.on('uncaughtException', failed);

function failed(error) {
  console.error(`FAILED: ${underWay}`);
  console.error(shown(error.cause ? `${error.message}: ${error.cause.message}` : error.message));
  for (const { id, heard, complaints } of users) {
    console.error(`${id} heard last:${heard.length === 0 ? ' nothing' : ''}`);
    for (const frame of heard.slice(-FRAMES_SHOWN)) console.error(`  ${shown(frame)}`);
    if (complaints) console.error(`  wscat: ${shown(complaints.trim())}`);
  }
  process.exit(1);
}

await chat().then(() => process.exit(0), failed);
