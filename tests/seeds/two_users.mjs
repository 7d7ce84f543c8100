// A chat of two users who know each other's ids.

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';

import { scenario, serve, stacks } from './browser.mjs';

const page = serve('two_users.html', 'open', { 'wss://your-api-gateway-endpoint': stacks.open.websocket });

async function connects(user, me, other) {
  await user.submits('#connect', { me, other });
  await user.sees('#status', ['loaded']);
}

scenario('two users: both receive "Hello, Bob!", also after a reload, and nobody else does', async (visit) => {
  const [aliceId, bobId, carolId] = [randomUUID(), randomUUID(), randomUUID()];
  const alice = await visit(page, 'alice');
  const bob = await visit(page, 'bob');
  const carol = await visit(page, 'carol');
  await connects(alice, aliceId, bobId);
  await connects(bob, bobId, aliceId);
  await connects(carol, carolId, bobId);

  await alice.submits('#send', { content: 'Hello, Bob!' });
  await bob.sees('#messages li', ['Them: Hello, Bob!']);
  await alice.sees('#messages li', ['Me: Hello, Bob!']);
  await bob.submits('#send', { content: 'Hello, Alice!' });
  await alice.sees('#messages li', ['Me: Hello, Bob!', 'Them: Hello, Alice!']);
  await bob.sees('#messages li', ['Them: Hello, Bob!', 'Me: Hello, Alice!']);

  for (const user of [alice, bob, carol]) await user.page.reload();
  await connects(alice, aliceId, bobId);
  await alice.sees('#messages li', ['Me: Hello, Bob!', 'Them: Hello, Alice!']);
  await connects(bob, bobId, aliceId);
  await bob.sees('#messages li', ['Them: Hello, Bob!', 'Me: Hello, Alice!']);
  await connects(carol, carolId, aliceId);
  await carol.sees('#messages li', []);

  await alice.page.reload();
  await connects(alice, aliceId, carolId);
  await alice.submits('#send', { content: 'Hello, Carol!' });
  await carol.sees('#messages li', ['Them: Hello, Carol!']);
});

scenario('two users: an offline user finds the last ten messages', async (visit) => {
  const [aliceId, bobId] = [randomUUID(), randomUUID()];
  const alice = await visit(page, 'alice');
  await connects(alice, aliceId, bobId);
  const sent = Array.from({ length: 12 }, (_, index) => `number ${index + 1}`);
  for (const [index, content] of sent.entries()) {
    await alice.submits('#send', { content });
    await alice.sees('#messages li', sent.slice(0, index + 1).map((text) => `Me: ${text}`));
  }

  const bob = await visit(page, 'bob');
  await connects(bob, bobId, aliceId);

  await bob.sees('#messages li', sent.slice(-10).map((text) => `Them: ${text}`));
});

scenario('two users: a closed connection is reported, and the user can reconnect', async (visit) => {
  const [aliceId, bobId] = [randomUUID(), randomUUID()];
  const alice = await visit(page, 'alice');
  const bob = await visit(page, 'bob');
  await connects(alice, aliceId, bobId);
  await connects(bob, bobId, aliceId);

  const printed = once(bob.page, 'console');
  await bob.page.click('#leave');
  const [line] = await printed;
  await bob.sees('#status', ['not connected']);
  await alice.submits('#send', { content: 'Are you there?' });
  await alice.sees('#messages li', ['Me: Are you there?']);
  await connects(bob, bobId, aliceId);

  await bob.sees('#messages li', ['Them: Are you there?']);
  if (line.text() !== 'Disconnected from the chat') throw new Error(`the page printed ${line.text()}`);
});
