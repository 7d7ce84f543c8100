// Who can use the page: tokens, the keyboard, assistive technology, narrow windows. And the screenshots.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { Pane, packages, scenario, stacks, unique } from './users.mjs';

const axe = readFileSync(packages.resolve('axe-core/axe.min.js'), 'utf8');

/** The serious violations that axe finds. */
async function problems(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}

async function conversation(ana, ben) {
  const roomId = await ana.createRoom('Tea');
  await ben.joinRoom(roomId);
  await ana.write('Who is coming to the tea house tonight?');
  await ben.sees('Who is coming');
  await ben.write('I am, at eight. See https://example.com/tea');
  await ana.sees('I am, at eight');
  await ana.react('I am, at eight', 'party');
  await ben.act('Who is coming', /^Reply/);
  await ben.write(`@${ana.name} will you bring the cups?`);
  await ana.sees('will you bring the cups');
  await ana.message('I am, at eight').locator('.reaction').waitFor();
}

scenario('axe finds no serious problem: light, dark, narrow, with panels, dialogs and menus', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await conversation(ana, ben);
  for (const colorScheme of ['light', 'dark']) {
    await ana.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual(await problems(ana.page), [], colorScheme);
    await ana.press('Members and settings');
    await ana.press('Under the hood');
    assert.deepEqual(await problems(ana.page), [], `${colorScheme}, with panels`);
    await ana.press('New room');
    assert.deepEqual(await problems(ana.page), [], `${colorScheme}, with a dialog`);
    await ana.page.keyboard.press('Escape');
    await ana.press('Under the hood');
    await ana.press('Close');
  }
  await ana.page.setViewportSize({ width: 380, height: 720 });
  assert.deepEqual(await problems(ana.page), [], 'narrow');
  await ana.press('Back to the rooms');
  assert.deepEqual(await problems(ana.page), [], 'narrow, rooms');
  await ana.room('Tea').first().waitFor();
});

/** What opens over the page: how a user opens it, and whether its button is beside the rooms. */
const OVERLAYS = {
  'the menu of a message': [(ana) => ana.act('I am, at eight', /^More for/)],
  'the reactions': [(ana) => ana.act('I am, at eight', /^React/)],
  'the menu of a member': [
    async (ana) => {
      await ana.press('Members and settings');
      await ana.root.locator('#panel').getByRole('button', { name: /^More for/ }).first().click();
    },
    (ana) => ana.press('Close'),
  ],
  'a dialog of a message': [(ana) => ana.choose('I am, at eight', 'Delete')],
  'the search': [(ana) => ana.press('Search in this room')],
  'whom to mention': [
    (ana) => ana.root.getByLabel('Message', { exact: true }).pressSequentially('@'),
    (ana) => ana.root.getByLabel('Message', { exact: true }).fill(''),
  ],
  'a dialog about rooms': [(ana) => ana.press('New room')],
  'rooms nearby': [(ana) => ana.press('Nearby')],
};
const BESIDE_THE_ROOMS = ['a dialog about rooms', 'rooms nearby'];

scenario('axe finds no serious problem in what is open over the page: light and wide, dark and narrow', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await conversation(ana, ben);
  for (const [colorScheme, width] of [['light', 1280], ['dark', 380]]) {
    await ana.page.setViewportSize({ width, height: 720 });
    await ana.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [what, [show, hide]] of Object.entries(OVERLAYS)) {
      const isElsewhere = width < 600 && BESIDE_THE_ROOMS.includes(what);
      if (isElsewhere) await ana.press('Back to the rooms');
      await show(ana);
      assert.deepEqual(await problems(ana.page), [], `${what}, ${colorScheme}, ${width} px`);
      await ana.page.keyboard.press('Escape');
      await hide?.(ana);
      if (isElsewhere) await ana.room('Tea').first().click();
    }
  }
});

scenario('a name that the server refuses: the page says why, and asks again', async (open, visit) => {
  const { page } = await visit(`${stacks.open.http}/`, 'lou');
  await page.getByLabel('Your name').fill('a\u0001b');
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#start-failure', { hasText: 'control characters' }).waitFor();
  const pane = new Pane(page, unique('lou'));
  await pane.signIn();
});

scenario('with the keyboard alone: sign in, write, react, edit', async (open, visit) => {
  const { page } = await visit(`${stacks.open.http}/`, 'keyboard');
  const name = unique('kim');
  await page.locator('#name-field input:focus').waitFor();
  await page.keyboard.type(name);
  await page.keyboard.press('Enter');
  const kim = new Pane(page, name);
  await kim.isOnline();
  await page.locator('#input:focus').waitFor();
  await page.keyboard.type('typed by keyboard');
  await page.keyboard.press('Enter');
  await kim.sees('typed by keyboard');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.type(' alone');
  await page.keyboard.press('Enter');
  await kim.sees('typed by keyboard alone');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Shift+Tab');
  const own = page.locator('#messages li:focus');
  await own.waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('[role=menuitem]:focus').waitFor();
  await page.keyboard.press('Enter');
  await kim.message('typed by keyboard alone').locator('.reaction').waitFor();
});

scenario('new messages of others are read aloud', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await ben.joinRoom(await ana.createRoom(unique('Aloud')));
  await ben.write('can you hear me');
  await ana.root
    .locator('[aria-live=polite]', { hasText: `${ben.name}: can you hear me` })
    .waitFor({ state: 'attached' });
});

scenario('with tokens, the page asks for one', async (open, visit) => {
  const { page } = await visit(`${stacks.tokens.http}/`, 'ana');
  await page.getByLabel('Token').fill('no.such.token');
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#start-failure', { hasText: 'UNAUTHORIZED' }).waitFor();
  await page.getByLabel('Token').fill(process.env.PAGE_TOKEN);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#me', { hasText: 'Ana' }).waitFor();
  await new Pane(page, 'Ana').isOnline();
});

if (process.env.UPDATE === '1') {
  scenario('screenshots', async (open) => {
    const ana = await open('Ana');
    await ana.page.setViewportSize({ width: 1280, height: 720 });
    const ben = await ana.second('Ben');
    await conversation(ana, ben);
    for (const colorScheme of ['light', 'dark']) {
      await ana.page.emulateMedia({ colorScheme });
      await ana.page.screenshot({ path: `src/page/${colorScheme}.png` });
    }
    await ana.press('Try it as two people');
    await ana.page.emulateMedia({ colorScheme: 'light' });
    await ana.page.setViewportSize({ width: 390, height: 700 });
    await ana.page.screenshot({ path: 'src/page/narrow.png' });
  });
}
