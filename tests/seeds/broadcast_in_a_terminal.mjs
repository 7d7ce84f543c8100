// The same broadcasts with the commands of the documentation.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { packages, stacks } from './browser.mjs';

const LIMIT_MS = 30_000;
const PING_EVERY_MS = 200;
const HELLO = '{"action": "sendMessage", "data": "Hello, World!"}';
const wscat = packages.resolve('wscat/bin/wscat');

class Terminal extends EventEmitter {
  lines = [];
  stderr = '';
  isConnected = false;

  constructor(...options) {
    super();
    this.process = spawn(process.execPath, [wscat, ...options]);
    this.process.stderr.on('data', (text) => (this.stderr += text));
    this.process.stdin.on('error', () => {});
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      // In a pipe, wscat prints each frame on a line, after a prompt for each line of input.
      const frame = line.replace(/^(> )+/, '');
      if (isPong(frame)) this.isConnected = true;
      else this.lines.push(frame);
      this.emit('change');
    });
    this.process.on('close', () => this.emit('change'));
  }

  // Pings until a pong arrives: wscat drops input before it is connected, and does not report the connection in a pipe.
  async connects() {
    const pings = setInterval(() => this.types('{"action": "ping"}'), PING_EVERY_MS);
    await this.waits(() => this.isConnected, 'is not connected').finally(() => clearInterval(pings));
  }

  types(line) {
    this.process.stdin.write(`${line}\n`);
  }

  async hears(expected) {
    const areReceived = () => this.lines.length >= expected.length;
    await this.waits(areReceived, `expected ${JSON.stringify(expected)}, but received ${JSON.stringify(this.lines)}`);
    assert.deepEqual(this.lines, expected);
  }

  async waits(until, problem) {
    const limit = AbortSignal.timeout(LIMIT_MS);
    while (!until()) {
      assert.equal(this.process.exitCode, null, `wscat exited: ${this.stderr}`);
      await once(this, 'change', { signal: limit }).catch(() => assert.fail(`wscat ${problem}`));
    }
  }
}

function isPong(frame) {
  try {
    return JSON.parse(frame).type === 'pong';
  } catch {
    return false;
  }
}

async function chat(...options) {
  const ana = new Terminal(...options);
  const ben = new Terminal(...options);
  try {
    await Promise.all([ana.connects(), ben.connects()]);

    ana.types(HELLO);
    await ben.hears(['Hello, World!']);
    ben.types('{"action": "sendMessage", "data": "Hello back!"}');

    await ana.hears(['Hello back!']);
    await ben.hears(['Hello, World!']);
  } finally {
    ana.process.kill();
    ben.process.kill();
  }
}

test('broadcast in a terminal: wscat without a query', () => chat('-c', stacks.open.websocket));

test('broadcast in a terminal: wscat with a token from the generator in the documentation', () => {
  // As in the documentation, except for the secret.
  const generator = `
const jwt = require('jsonwebtoken');
console.log(jwt.sign(
  {
    sub: '1234567890',
    name: 'Cristian Scherer',
    roles: ['admin']
  },
  '${process.env.JWT_SECRET}',
  { algorithm: 'HS256' }
));
`;
  const folder = dirname(packages.resolve('jsonwebtoken/package.json'));
  const token = execFileSync(process.execPath, ['-e', generator], { cwd: folder, encoding: 'utf8' }).trim();
  return chat('-c', stacks.tokens.websocket, '-H', `Authorization: ${token}`);
});
