// Nothing is lost when something breaks.

import assert from 'node:assert/strict';

import { faults, scenario, unique, until } from './users.mjs';

const numbered = (count) => Array.from({ length: count }, (_, at) => `message ${at + 1} of ${count}`);

scenario(
  'sockets are dropped, functions killed, DynamoDB throttled and answers lost: all messages arrive once, in order',
  async (open) => {
    const ana = await open(unique('ana'));
    const ben = await ana.second(unique('ben'));
    const roomId = await ana.createRoom('Faults');
    await ben.joinRoom(roomId);
    await ana.press('Under the hood');
    const texts = numbered(24);
    const breaks = ['Drop the socket', 'Kill the function', 'Throttle DynamoDB', 'Lose answers'];
    for (const [at, text] of texts.entries()) {
      if (at % 6 === 0) await ana.press(breaks[at / 6]);
      await ana.write(text);
      await ana.pause(100);
    }
    await ana.press('Repair');
    await ana.waitsFor('Nothing is broken.');
    await ana.seesTexts(/^message/, texts);
    await ben.seesTexts(/^message/, texts);
    await until(
      async () => (await ana.root.locator('.message.pending').count()) === 0,
      () => 'messages are still pending',
    );
  },
);

scenario('messages that were not sent before a reload are sent after it, once', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Outbox'));
  await ben.joinRoom(roomId);
  await faults({ socketDropped: 1000 });
  const texts = numbered(3);
  try {
    for (const text of texts) await ana.write(text);
    await ana.seesTexts(/^message/, texts);
    assert.deepEqual(await stored(ana), texts);
    await ana.page.reload();
  } finally {
    await faults({});
  }
  await ana.seesTexts(/^message/, texts);
  await ben.seesTexts(/^message/, texts);
  for (const text of texts) await ana.sees(text);
  await until(
    async () => (await stored(ana)).length === 0,
    () => 'messages that were sent are still stored',
  );
});

/** The texts of the outbox in the browser's IndexedDB. */
async function stored({ page, name }) {
  const outboxes = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('switchboard');
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const texts = opening.result.transaction('texts').objectStore('texts');
          const [keys, values] = [texts.getAllKeys(), texts.getAll()];
          values.onsuccess = () => resolve(keys.result.map((key, at) => [key, values.result[at]]));
        };
      }),
  );
  const [, outbox = '[]'] = outboxes.find(([key]) => key.endsWith(` ${name}`)) ?? [];
  return JSON.parse(outbox).map(({ draft }) => draft.content);
}

scenario('a file whose upload a reload has broken off is not sent, and can be uploaded again', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await ben.joinRoom(await ana.createRoom(unique('Files')));
  // The address of S3, and the upload never ends.
  const isUpload = (url) => url.searchParams.has('X-Amz-Signature');
  const begun = new Promise((resolve) => {
    ana.page.route(isUpload, (route) => (route.request().method() === 'PUT' ? resolve() : route.continue()));
  });
  const file = { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('a note') };
  await ana.root.getByLabel('Files to send').setInputFiles(file);
  await ana.root.getByRole('progressbar', { name: 'Upload of note.txt' }).waitFor();
  await begun;
  await ana.page.reload();
  await ana.page.unroute(isUpload);
  await ana.write('the page was loaded again');
  await ben.sees('the page was loaded again');
  assert.equal(await ana.root.locator('#uploads li').count(), 0);
  await ana.root.getByLabel('Files to send').setInputFiles(file);
  for (const user of [ana, ben]) {
    await user.root.getByRole('button', { name: /^Save note.txt/ }).waitFor();
    assert.equal(await user.root.getByRole('button', { name: /^Save note.txt/ }).count(), 1);
  }
});

scenario('a device that is online again, or a tab that is looked at again, checks its connection', async (open) => {
  const ana = await open(unique('ana'));
  await ana.press('Under the hood');
  const pings = ana.root.locator('#frames summary', { hasText: '→ ping' });
  await ana.page.context().setOffline(true);
  await ana.page.context().setOffline(false);
  await pings.first().waitFor();
  await ana.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await pings.nth(1).waitFor();
  await ana.write('still connected');
  await ana.sees('still connected');
});

scenario('a refused message says why, and can be discarded', async (open) => {
  const ana = await open(unique('ana'));
  await ana.createRoom(unique('Large'));
  await ana.write('x'.repeat(20_000));
  await ana.waitsFor('Not sent');
  await ana.press('Discard');
  await ana.root.locator('.message.refused').waitFor({ state: 'detached' });
});

scenario('under the hood: every frame both ways', async (open) => {
  const ana = await open(unique('ana'));
  await ana.press('Under the hood');
  await ana.write('look inside');
  await ana.root.locator('#frames summary', { hasText: '→ sendMessages' }).last().waitFor();
  await ana.root.locator('#frames summary', { hasText: '← sent' }).last().click();
  await ana.root.locator('#frames pre', { hasText: '"results"' }).waitFor();
  await ana.waitsFor('units of API Gateway');
});
