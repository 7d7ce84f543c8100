// Two users chat.

import assert from 'node:assert/strict';

import { scenario, unique, until } from './users.mjs';

scenario('from opening the page to a first message: a name, and the message', async (open) => {
  const ana = await open(unique('ana'));
  const text = unique('the very first message');
  await ana.write(text);
  await ana.sees(text);
});

scenario('two users in two panes: messages, typing, a reply, a reaction, an edit and a deletion', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await ana.second(unique('ben'));
  const roomId = await ana.createRoom('Tea');
  await ben.joinRoom(roomId);

  await ana.write('hello from ana');
  await ben.sees('hello from ana');
  await ben.root.getByLabel('Message', { exact: true }).pressSequentially('hi');
  await ana.waitsFor(`${ben.name} is typing`);
  await ben.write('hello from ben');
  await ana.sees('hello from ben');

  await ben.act('hello from ana', /^Reply/);
  await ben.write('an answer');
  const parent = ana.message('an answer').locator('.parent');
  await parent.waitFor();
  assert.match(await parent.textContent(), /hello from ana/);

  await ana.react('an answer', 'thumbs up');
  await ben.message('an answer').getByRole('button', { name: '👍, 1' }).waitFor();
  await ben.message('an answer').getByRole('button', { name: '👍, 1' }).click();
  await ana.message('an answer').getByRole('button', { name: '👍, 2' }).waitFor();
  await ben.message('an answer').getByRole('button', { name: '👍, 2' }).click();
  await ana.message('an answer').getByRole('button', { name: '👍, 1' }).waitFor();

  await ana.choose('hello from ana', 'Edit');
  await ana.write('good evening from ana');
  await ben.sees('good evening from ana');
  await ben.waitsFor('(edited)');

  await ben.choose('hello from ben', 'Delete');
  await ben.answer({}, 'Delete');
  await ana.waitsFor('Message deleted');
  assert.equal(await ana.message('hello from ben').count(), 0);
});

scenario('unread messages and mentions are counted, until the room is opened', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Counting'));
  await ben.joinRoom(roomId);
  await ben.root.locator('.room[data-room=lobby]').click();
  await ana.waitsFor('2 members');
  await ana.write('one');
  await ana.write(`two @${ben.name}`);
  await ben.root.locator(`.room[data-room="${roomId}"] .badge.mention`, { hasText: '@1' }).waitFor();
  await ben.root.locator(`.room[data-room="${roomId}"] .badge:not(.mention)`, { hasText: '2' }).waitFor();
  await ben.root.locator(`.room[data-room="${roomId}"]`).click();
  await ben.sees('one');
  await ben.root.locator('.message.for-me').waitFor();
  await ben.root.locator(`.room[data-room="${roomId}"] .badge`).first().waitFor({ state: 'detached' });
  await ben.choose('one', 'Mark as unread from here');
  await ben.root.locator(`.room[data-room="${roomId}"] .badge:not(.mention)`, { hasText: '2' }).waitFor();
});

scenario('a direct conversation', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await ana.writeTo(ben.name);
  await ana.write('between us');
  await ben.root
    .getByRole('button', { name: 'Read', exact: true })
    .or(ben.room(new RegExp(`^${ana.name}`)))
    .first()
    .click();
  await ben.sees('between us');
  await ben.write('yes');
  await ana.sees('yes');
});

scenario('files: a picture is shown, another file can be saved', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Files'));
  await ben.joinRoom(roomId);
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
    'base64',
  );
  await ana.root.getByLabel('Files to send').setInputFiles([
    { name: 'dot.png', mimeType: 'image/png', buffer: png },
    { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('a note') },
  ]);
  const picture = ben.root.getByRole('img', { name: 'dot.png' });
  await picture.waitFor();
  const isShown = () => picture.evaluate(({ complete, naturalWidth }) => complete && naturalWidth === 1);
  await until(isShown, () => 'the picture is not shown');
  assert.match(await picture.getAttribute('src'), /\/files\/[^?]+\?t=/, 'not by the link of the message');
  const saved = ben.page.waitForEvent('download');
  await ben.root.getByRole('button', { name: /^Save note.txt/ }).click();
  assert.equal((await saved).suggestedFilename(), 'note.txt');

  // Dropped on the conversation.
  const dropped = await ana.page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['dropped'], 'dropped.txt', { type: 'text/plain' }));
    return transfer;
  });
  await ana.page.dispatchEvent('#conversation', 'drop', { dataTransfer: dropped });
  await ben.root.getByRole('button', { name: /^Save dropped.txt/ }).waitFor();
});

scenario('history is loaded by scrolling up, and the search shows old messages', async (open) => {
  const ana = await open(unique('ana'));
  const roomId = await ana.createRoom(unique('History'));
  await ana.page.evaluate(
    async ([socket, userId, id]) => {
      const { Switchboard } = await import('/client/switchboard.js');
      const chat = new Switchboard({ url: `${socket}?userId=${userId}` });
      await chat.connect();
      for (let from = 0; from < 400; from += 20) {
        const messages = Array.from({ length: 20 }, (_, at) => ({ content: `number ${from + at + 1}.` }));
        await chat.sendMessages({ roomId: id, messages });
      }
      chat.close();
    },
    [(await (await fetch(new URL('/page/config.json', ana.page.url()))).json()).websocket, ana.name, roomId],
  );
  await ana.sees('number 400.');
  await ana.page.reload();
  await ana.sees('number 400.');
  assert.equal(await ana.message('number 1.').count(), 0);
  const up = () => ana.page.evaluate(() => (document.querySelector('#scroller').scrollTop = 0));
  const isThere = async () => (await up(), (await ana.message(/number 1\./).count()) > 0);
  await until(isThere, () => 'the first message is not loaded');
  const numbers = (await ana.texts()).filter((text) => /^number/.test(text));
  assert.deepEqual(
    numbers,
    Array.from({ length: 400 }, (_, at) => `number ${at + 1}.`),
  );

  await ana.page.reload();
  await ana.sees('number 400.');
  await ana.press('Search in this room');
  await ana.root.getByLabel('Search for').fill('number 123.');
  await ana.root.getByRole('button', { name: 'Search', exact: true }).click();
  await ana.root.locator('#panel .found', { hasText: 'number 123.' }).first().click();
  await ana.root.locator('.message.found', { hasText: 'number 123.' }).waitFor();
});
