// Nothing is lost when something breaks.

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
    await ana.page.reload();
  } finally {
    await faults({});
  }
  await ana.seesTexts(/^message/, texts);
  await ben.seesTexts(/^message/, texts);
  for (const text of texts) await ana.sees(text);
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
