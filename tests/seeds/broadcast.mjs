// Broadcasts between anonymous clients.

import { scenario, serve, stacks } from './browser.mjs';

const page = serve('broadcast.html', 'open', {
  'wss://xxxxxx.execute-api.us-east-1.amazonaws.com/dev': stacks.open.websocket,
});

scenario('broadcast: all others receive "Hello, World!" once, and the sender receives nothing', async (visit) => {
  const ana = await visit(page, 'ana');
  const ben = await visit(page, 'ben');
  const cleo = await visit(page, 'cleo');
  for (const user of [ana, ben, cleo]) await user.sees('#status', ['connected']);

  await ana.submits('#send', { data: 'Hello, World!' });
  await ben.sees('#messages li', ['Hello, World!']);
  await cleo.sees('#messages li', ['Hello, World!']);
  // A copy of her own message would arrive at Ana before the message of Ben.
  await ben.submits('#send', { data: 'Hello back!' });

  await ana.sees('#messages li', ['Hello back!']);
  await ben.sees('#messages li', ['Hello, World!']);
  await cleo.sees('#messages li', ['Hello, World!', 'Hello back!']);
});

scenario('broadcast: joins and leaves are not announced', async (visit) => {
  const ana = await visit(page, 'ana');
  await ana.sees('#status', ['connected']);

  const ben = await visit(page, 'ben');
  await ben.sees('#status', ['connected']);
  await ben.page.close();
  const cleo = await visit(page, 'cleo');
  await cleo.sees('#status', ['connected']);
  await cleo.submits('#send', { data: 'Hello from Cleo' });

  await ana.sees('#messages li', ['Hello from Cleo']);
});

scenario('broadcast: texts arrive unchanged', async (visit) => {
  const ana = await visit(page, 'ana');
  const ben = await visit(page, 'ben');
  for (const user of [ana, ben]) await user.sees('#status', ['connected']);
  const texts = ['"quoted"', '42', 'true', 'Grüße 💬', '<b>no markup</b>'];

  for (const [index, data] of texts.entries()) {
    await ana.submits('#send', { data });
    await ben.sees('#messages li', texts.slice(0, index + 1));
  }
});
