// A room chat whose clients send user and room in the query.

import { scenario, serve, stacks, unique } from './browser.mjs';

const page = serve('room_by_query.html', 'open', {
  'wss://abc123def4.execute-api.us-east-1.amazonaws.com/prod': stacks.open.websocket,
});

async function connects(user, roomId, username) {
  await user.submits('#connect', { userId: user.name, roomId, username });
  await user.sees('#status', ['connected']);
}

scenario('room by query: Alice and Bob receive each message once, and nothing else', async (visit) => {
  const room = unique('tea');
  const alice = await visit(page, unique('alice'));
  const bob = await visit(page, unique('bob'));
  await connects(alice, room, 'Alice');
  await connects(bob, room, 'Bob');

  await bob.submits('#send', { content: 'Hello, world!' });
  await alice.sees('#messages li', ['Bob: Hello, world!']);
  await bob.sees('#messages li', ['Bob: Hello, world!']);

  await alice.submits('#send', { content: 'Hello, Bob!' });
  await bob.sees('#messages li', ['Bob: Hello, world!', 'Alice: Hello, Bob!']);
  await alice.sees('#messages li', ['Bob: Hello, world!', 'Alice: Hello, Bob!']);
});

scenario('room by query: joins and leaves are not announced', async (visit) => {
  const room = unique('tea');
  const alice = await visit(page, unique('alice'));
  const bob = await visit(page, unique('bob'));
  const carol = await visit(page, unique('carol'));
  await connects(alice, room, 'Alice');

  await connects(bob, room, 'Bob');
  await bob.page.reload();
  await connects(bob, room, 'Bob');
  await bob.page.close();
  await connects(carol, room, 'Carol');
  await carol.submits('#send', { content: 'Is Bob here?' });

  await alice.sees('#messages li', ['Carol: Is Bob here?']);
  await carol.sees('#messages li', ['Carol: Is Bob here?']);
});

scenario('room by query: all windows of the room receive a message once, and other rooms do not', async (visit) => {
  const [tea, den] = [unique('tea'), unique('den')];
  const alice = await visit(page, unique('alice'));
  const aliceAgain = await visit(page, alice.name, alice.context);
  const bob = await visit(page, unique('bob'));
  const bobInTheDen = await visit(page, bob.name, bob.context);
  await connects(alice, tea, 'Alice');
  await connects(aliceAgain, tea, 'Alice');
  await connects(bob, tea, 'Bob');
  await connects(bobInTheDen, den, 'Bob');

  await alice.submits('#send', { content: 'in the tea room' });
  for (const user of [alice, aliceAgain, bob]) await user.sees('#messages li', ['Alice: in the tea room']);
  await bobInTheDen.submits('#send', { content: 'in the den' });
  await bobInTheDen.sees('#messages li', ['Bob: in the den']);
  await bob.submits('#send', { content: 'back to tea' });

  const inTheTeaRoom = ['Alice: in the tea room', 'Bob: back to tea'];
  for (const user of [alice, aliceAgain, bob]) await user.sees('#messages li', inTheTeaRoom);
  await bobInTheDen.sees('#messages li', ['Bob: in the den']);
});
