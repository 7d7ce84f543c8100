// Users of the pages: each has a separate browser context, and sees the content of the page.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

const LIMIT_MS = 30_000;
const TEST_LIMIT_MS = 180_000;
const POLL_MS = 20;
const FRAMES_SHOWN = 8;
/** A name that leads to this machine, as after DNS rebinding. */
export const REBOUND = 'rebound.example';
const FLAGS = [
  `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`,
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const [installed, executablePath, urls] = process.argv.slice(2);
export const stacks = JSON.parse(urls);
export const packages = createRequire(`${process.cwd()}/${installed}/package.json`);

// The pages have a different origin than the APIs. Only the URLs in them are changed.
const pages = new Map();
const server = createServer(async ({ url }, response) => {
  if (url === '/avatar.svg') {
    response.setHeader('Content-Type', 'image/svg+xml');
    return response.end('<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>');
  }
  response.statusCode = pages.has(url) ? 200 : 404;
  response.setHeader('Content-Type', 'text/html');
  response.end(pages.get(url));
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
export const avatar = `${origin}/avatar.svg`;

const { chromium } = packages('playwright-core');
const browser = await chromium.launch({ executablePath, args: FLAGS });

after(async () => {
  await browser.close();
  server.close();
});

/** Serves a page in which the keys of `urls` are replaced by the values. Returns its URL. */
export function serve(name, stack, urls) {
  let page = readFileSync(new URL(name, import.meta.url), 'utf8');
  for (const [placeholder, url] of Object.entries(urls)) {
    assert.equal(page.split(placeholder).length, 2, `${name} must contain ${placeholder} once`);
    page = page.replace(placeholder, url);
  }
  const path = `/${stack}/${name}`;
  pages.set(path, page);
  return origin + path;
}

/** A test whose users disconnect at its end. `visit` opens a page in a new browser context, or in the given one. */
export function scenario(what, run) {
  test(what, { timeout: TEST_LIMIT_MS }, async () => {
    const users = [];
    const visit = async (url, name, context) => {
      const user = await User.visits(url, name, context);
      users.push(user);
      return user;
    };
    try {
      await run(visit);
      for (const { name, problems } of users) assert.deepEqual(problems, [], `errors on the page of ${name}`);
    } catch (error) {
      for (const user of users) console.error(user.report());
      throw error;
    } finally {
      for (const user of users) await user.context.close();
    }
  });
}

export class User {
  problems = [];
  received = [];

  static async visits(url, name, context) {
    const user = new User();
    user.name = name;
    user.context = context ?? (await browser.newContext());
    user.page = await user.context.newPage();
    user.page.setDefaultTimeout(LIMIT_MS);
    user.page.on('pageerror', (error) => user.problems.push(error.message));
    user.page.on('websocket', (socket) => {
      socket.on('framereceived', ({ payload }) => user.received.push(`${payload}`));
    });
    await user.page.goto(url);
    return user;
  }

  /** Fills in a form and submits it. */
  async submits(form, fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.page.locator(`${form} [name=${name}]`);
      if (await field.evaluate((element) => element.tagName === 'SELECT')) await field.selectOption(value);
      else await field.fill(value);
    }
    await this.page.locator(`${form} button:not([type])`).click();
  }

  /** Waits until the elements have exactly these texts, in this order. */
  async sees(selector, expected) {
    await this.seesThat(selector, (elements) => elements.map((element) => element.textContent.trim()), expected);
  }

  /** Waits until `read` returns the expected value for the elements. `read` runs in the page. */
  async seesThat(selector, read, expected) {
    let seen;
    const look = async () => (seen = await this.page.locator(selector).evaluateAll(read));
    const isSeen = async () => isDeepStrictEqual(await look(), expected);
    await until(isSeen, () => assert.deepEqual(seen, expected, `${this.name} sees different content`));
  }

  /** Runs an action over the WebSocket, and waits for the response: the next frame that matches `answer`. */
  async isAnswered(answer, run) {
    const before = this.received.length;
    await run();
    const hasArrived = () => this.received.slice(before).some((frame) => answer.test(frame));
    await until(hasArrived, () => `${this.name} received no response that matches ${answer}`);
  }

  /** The file that the browser saves when the user follows a link. */
  async saves(link) {
    const saved = this.page.waitForEvent('download').catch(async () => {
      assert.fail(`the link of ${this.name} is not a download, but leads to: ${await this.page.textContent('body')}`);
    });
    await this.page.click(link);
    return saved;
  }

  report() {
    const frames = this.received.slice(-FRAMES_SHOWN).map((frame) => `  ${frame}`);
    const head = `last frames of ${this.name}:${frames.length === 0 ? ' none' : ''}`;
    return [head, ...frames, ...this.problems].join('\n');
  }
}

/** Waits until `condition` is true. On a timeout the test fails with the message of `problem`. */
export async function until(condition, problem) {
  const limit = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    if (Date.now() > limit) assert.fail(problem());
    await setTimeout(POLL_MS);
  }
}

/** An id that no other test uses. */
export const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
