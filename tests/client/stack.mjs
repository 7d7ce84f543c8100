// Local stacks, tokens and clients for the tests of this folder.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { resolve } from 'node:path';

import { Switchboard } from '../../src/client/switchboard.js';

const root = resolve(import.meta.dirname, '../..');
export const installed = resolve(root, process.env.CLIENT_INSTALLED ?? 'target/client');
export const require = createRequire(`${installed}/package.json`);
export const WebSocket = require('ws');
const program = resolve(root, process.env.CLIENT_STACK ?? 'target/debug/local');
const LIMIT_MS = 30_000;
const SECRET = 'a secret of the tests, long enough for HS256';

/** A running stack. `environment` are its variables, `flags` those of `local`. */
export class Stack {
  #process;

  static async start(environment = {}, ...flags) {
    const stack = new Stack();
    const { JWT_SECRET, ...rest } = process.env;
    const env = { ...rest, AUTH_MODE: 'open', LIMITS: 'off', JWT_SECRET: SECRET, ...environment };
    if (env.AUTH_MODE === 'open') delete env.JWT_SECRET;
    const stdio = ['ignore', 'pipe', process.env.CLIENT_LOG ? 'inherit' : 'ignore'];
    stack.#process = spawn(program, ['--json', '--port-base', '0', ...flags], { env, stdio });
    process.setMaxListeners(0);
    process.on('exit', () => stack.#process.kill());
    const [line] = await once(createInterface({ input: stack.#process.stdout }), 'line', {
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    Object.assign(stack, JSON.parse(line));
    return stack;
  }

  /** Injects faults from now on (`--faults`). */
  async faults(plan) {
    const answer = await fetch(`${this.http}/_faults`, { method: 'POST', body: JSON.stringify(plan) });
    if (!answer.ok) throw new Error(`POST /_faults: ${answer.status} ${await answer.text()}`);
  }

  /** A client of an open stack, not connected yet. */
  client(userId, options = {}) {
    return new Switchboard({ url: `${this.websocket}?userId=${userId}`, httpUrl: this.http, WebSocket, ...options });
  }

  stop() {
    this.#process.kill();
  }
}

const base64url = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');

/** A token of the tests' secret. */
export function token(sub, { lifetimeSeconds = 600, ...claims } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { sub, iat: now, exp: now + lifetimeSeconds, ...claims };
  const signed = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(payload)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** Waits for an event for which `matches` holds. */
export function event(emitter, type, matches = () => true) {
  return new Promise((done, fail) => {
    const limit = setTimeout(() => fail(new Error(`no event ${type} in ${LIMIT_MS} ms`)), LIMIT_MS);
    const stop = emitter.on(type, (one) => {
      if (!matches(one)) return;
      clearTimeout(limit);
      stop();
      done(one);
    });
  });
}

/** Waits until `holds`, which is asked after each event. */
export async function until(emitter, holds, what = holds) {
  if (holds()) return;
  await event(emitter, '*', () => holds()).catch(() => {
    throw new Error(`never: ${what}`);
  });
}

/** A clock that runs faster, and is off. */
export function fastClock(factor, offsetMs = 0) {
  const began = Date.now();
  return {
    now: () => began + (Date.now() - began) * factor + offsetMs,
    setTimeout: (run, ms) => setTimeout(run, ms / factor),
    clearTimeout: (timer) => clearTimeout(timer),
  };
}
