// What people do with the pages: each user has a browser of their own, and sees what stands on the page.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

const LIMIT_MS = 15_000;
const POLL_MS = 20;
const FRAMES_SHOWN = 8;
const FLAGS = [
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

// Pages come from another origin than the APIs do. Their URLs are the only thing that is changed in them.
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

/** Serves a page with `urls` in place of those that its author wrote. */
export function serve(name, stack, urls) {
  let page = readFileSync(new URL(name, import.meta.url), 'utf8');
  for (const [written, url] of Object.entries(urls)) {
    assert.equal(page.split(written).length, 2, `${name} names ${written} once`);
    page = page.replace(written, url);
  }
  const path = `/${stack}/${name}`;
  pages.set(path, page);
  return origin + path;
}

/** A test whose users are gone when it ends. `visit` opens a page in a browser of its own. */
export function scenario(what, run) {
  test(what, async () => {
    const users = [];
    const visit = async (url, name) => {
      const user = await User.visits(url, name);
      users.push(user);
      return user;
    };
    try {
      await run(visit);
      for (const user of users) assert.deepEqual(user.problems, [], `${user.name}'s page has thrown`);
    } catch (error) {
      for (const user of users) console.error(user.account());
      throw error;
    } finally {
      await Promise.all(users.map((user) => user.context.close()));
    }
  });
}

export class User {
  problems = [];
  heard = [];

  static async visits(url, name) {
    const user = new User();
    user.name = name;
    user.context = await browser.newContext({ acceptDownloads: true });
    await user.opens(url);
    return user;
  }

  /** Another window of the same browser. */
  async alsoVisits(url) {
    const user = new User();
    Object.assign(user, { name: `${this.name} (another window)`, context: this.context });
    await user.opens(url);
    return user;
  }

  async opens(url) {
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(LIMIT_MS);
    this.page.on('pageerror', (error) => this.problems.push(error.message));
    this.page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => this.heard.push(`${payload}`)));
    await this.page.goto(url);
  }

  /** Fills in a form and sends it. */
  async submits(form, fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.page.locator(`${form} [name=${name}]`);
      if (await field.evaluate((element) => element.tagName === 'SELECT')) await field.selectOption(value);
      else await field.fill(value);
    }
    await this.page.locator(`${form} button:not([type])`).click();
  }

  /** The elements have just these texts, in this order; waits until they do. */
  async sees(selector, expected) {
    await this.seesThat(selector, (elements) => elements.map((element) => element.textContent.trim()), expected);
  }

  /** What `read` makes of the elements is as expected; waits until it is. `read` runs in the page. */
  async seesThat(selector, read, expected) {
    const elements = this.page.locator(selector);
    const limit = Date.now() + LIMIT_MS;
    let seen;
    do {
      seen = await elements.evaluateAll(read);
      if (isSame(seen, expected)) return;
      await setTimeout(POLL_MS);
    } while (Date.now() < limit);
    assert.deepEqual(seen, expected, `${this.name} sees something else`);
  }

  account() {
    const frames = this.heard.slice(-FRAMES_SHOWN).map((frame) => `  ${frame}`);
    return [`${this.name} heard last:${frames.length === 0 ? ' nothing' : ''}`, ...frames, ...this.problems].join('\n');
  }
}

function isSame(one, other) {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
}

/** An id that no other test uses. */
export const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
