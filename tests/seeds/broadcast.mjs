// A broadcast to everybody, by clients that say nothing of themselves.

import { scenario, serve, stacks } from './browser.mjs';

const page = serve('broadcast.html', 'open', {
  'wss://xxxxxx.execute-api.us-east-1.amazonaws.com/dev': stacks.open.websocket,
});

scenario('broadcast: all others read "Hello, World!" and nothing else, and its sender reads nothing', async (visit) => {
  const ana = await visit(page, 'ana');
  const ben = await visit(page, 'ben');
  const cleo = await visit(page, 'cleo');
  for (const user of [ana, ben, cleo]) await user.sees('#status', ['connected']);

  await ana.submits('#send', { data: 'Hello, World!' });
  await ben.sees('#messages li', ['Hello, World!']);
  await cleo.sees('#messages li', ['Hello, World!']);
  // What Ben sends arrives later than anything that Ana could have read of her own.
  await ben.submits('#send', { data: 'Hello, whoever you are!' });

  await ana.sees('#messages li', ['Hello, whoever you are!']);
  await ben.sees('#messages li', ['Hello, World!']);
  await cleo.sees('#messages li', ['Hello, World!', 'Hello, whoever you are!']);
});

scenario('broadcast: nobody reads who comes and goes', async (visit) => {
  const ana = await visit(page, 'ana');
  await ana.sees('#status', ['connected']);

  const ben = await visit(page, 'ben');
  await ben.sees('#status', ['connected']);
  await ben.page.close();
  const cleo = await visit(page, 'cleo');
  await cleo.sees('#status', ['connected']);
  await cleo.submits('#send', { data: 'Anybody here?' });

  await ana.sees('#messages li', ['Anybody here?']);
});

scenario('broadcast: a text comes as it was written', async (visit) => {
  const ana = await visit(page, 'ana');
  const ben = await visit(page, 'ben');
  for (const user of [ana, ben]) await user.sees('#status', ['connected']);
  const texts = ['"quoted"', '42', 'true', 'Grüße 💬', '<b>no markup</b>'];

  for (const [index, data] of texts.entries()) {
    await ana.submits('#send', { data });
    await ben.sees('#messages li', texts.slice(0, index + 1));
  }
});
