// Users of the page: each has a pane, which is a page or the frame in it.

import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';

import { scenario as test, stacks, until } from '../seeds/browser.mjs';

export { packages, stacks, unique, until } from '../seeds/browser.mjs';
export const url = `${stacks.open.http}/`;

/** A test; `open` opens the page and signs a user in. Nothing on it breaks the Content-Security-Policy. */
export function scenario(what, run) {
  const violations = [];
  test(what, async (visit) => {
    const open = async (name, { at = url, context } = {}) => {
      const user = await visit('about:blank', name, context);
      user.page.on('console', (line) => {
        if (/Content.Security.Policy/i.test(line.text())) violations.push(line.text());
      });
      await user.page.goto(at);
      const pane = new Pane(user.page, name);
      await pane.signIn();
      return pane;
    };
    await run(open, visit);
    assert.deepEqual(violations, []);
  });
}

/** What a user sees and does. `root` is a page, or the frame of the second pane. */
export class Pane {
  constructor(page, name, root = page) {
    Object.assign(this, { page, name, root });
  }

  async signIn() {
    await this.root.getByLabel('Your name').fill(this.name, { timeout: 0 });
    await this.root.getByRole('button', { name: 'Start' }).click();
    await this.isOnline();
  }

  /** Waits until the user is signed in, however slow the machine is: the limit is the scenario's. */
  async isOnline() {
    const outcome = this.root.locator('#state[data-state=live], #start-failure:not(:empty)').first();
    await outcome.waitFor({ state: 'attached', timeout: 0 });
    assert.equal(await this.root.locator('#start-failure').textContent(), '', `${this.name} cannot sign in`);
  }

  /** The second pane, signed in as `name`. */
  async second(name) {
    await this.press('Try it as two people');
    const other = new Pane(this.page, name, this.page.frameLocator('#second'));
    await other.signIn();
    return other;
  }

  async press(name) {
    await this.root.getByRole('button', { name, exact: true }).click();
  }

  async write(text) {
    await this.root.getByLabel('Message', { exact: true }).fill(text);
    await this.root.getByLabel('Message', { exact: true }).press('Enter');
  }

  message(text) {
    return this.root.locator('.message').filter({ has: this.page.locator('.text', { hasText: text }) });
  }

  /** Waits for exactly one message with a text, which is sent. */
  async sees(text) {
    await this.message(text).and(this.root.locator('.sent')).first().waitFor();
    assert.equal(await this.message(text).count(), 1, `${this.name} sees "${text}" more than once`);
  }

  texts() {
    return this.root.locator('.message .text').allTextContents();
  }

  /** Waits until the texts of the messages that match are these. */
  async seesTexts(pattern, expected) {
    let seen;
    const isSeen = async () => {
      seen = (await this.texts()).filter((text) => pattern.test(text));
      return JSON.stringify(seen) === JSON.stringify(expected);
    };
    await until(isSeen, () => `${this.name} sees ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
  }

  /** Presses a button of a message, which is shown while the message has the focus. */
  async act(text, button) {
    await this.message(text).focus();
    await this.message(text).getByRole('button', { name: button }).click();
  }

  /** Chooses in the menu of a message. */
  async choose(text, item) {
    await this.act(text, /^More for/);
    await this.root.getByRole('menuitem', { name: item, exact: true }).click();
  }

  /** Chooses in the menu of a member. */
  async chooseMember(name, item) {
    const more = this.root.locator('#panel').getByRole('button', { name: `More for ${name}` });
    await more.click();
    await this.root.getByRole('menuitem', { name: item, exact: true }).click();
  }

  async react(text, emoji) {
    await this.act(text, /^React/);
    await this.root.getByRole('menuitem', { name: emoji }).click();
  }

  /** Fills in the open dialog, and submits it. */
  async answer(fields, action) {
    const dialog = this.root.locator('dialog[open]').last();
    for (const [label, value] of Object.entries(fields)) {
      const field = dialog.getByLabel(label).first();
      if (await field.evaluate((element) => element.tagName === 'SELECT')) await field.selectOption(value);
      else await field.fill(value);
    }
    await dialog.getByRole('button', { name: action, exact: true }).click();
  }

  /** Creates a room, and returns its id. */
  async createRoom(name, fields = {}) {
    await this.press('New room');
    await this.answer({ Name: name, ...fields }, 'Create');
    await this.root.getByRole('heading', { name, exact: true }).waitFor();
    return this.root.locator('.room[aria-current]').getAttribute('data-room');
  }

  async joinRoom(roomId, fields = {}) {
    await this.press('Join');
    await this.answer({ 'Room id': roomId, ...fields }, 'Join');
    await this.root.locator(`.room[aria-current][data-room="${roomId}"]`).waitFor();
  }

  /** Opens the direct conversation with a user. */
  async writeTo(userId) {
    await this.press('Write to');
    await this.answer({ 'User id': userId }, 'Open');
    await this.root.getByRole('heading', { name: userId }).waitFor();
  }

  /** Who wants to reach the user. */
  invitation(text) {
    return this.root.locator('.invitation', { hasText: text });
  }

  room(name) {
    return this.root.getByRole('button', { name }).and(this.root.locator('.room'));
  }

  async openRoom(name) {
    await this.room(name).click();
    await this.root.getByRole('heading', { name, exact: true }).waitFor();
  }

  async waitsFor(text) {
    await this.root.getByText(text).first().waitFor();
  }

  pause(ms) {
    return setTimeout(ms);
  }
}

/** Replaces the plan of the faults. */
export async function faults(plan) {
  const answer = await fetch(`${stacks.open.http}/_faults`, { method: 'POST', body: JSON.stringify(plan) });
  assert.ok(answer.ok, await answer.text());
}
