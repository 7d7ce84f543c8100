// A room chat whose clients say in the query who they are and where.

import { scenario, serve, stacks, unique } from './browser.mjs';

const page = serve('room_by_query.html', 'open', {
  'wss://abc123def4.execute-api.us-east-1.amazonaws.com/prod': stacks.open.websocket,
});

async function enters(user, roomId, username) {
  await user.submits('#connect', { userId: user.name, roomId, username });
  await user.sees('#status', ['connected']);
}

scenario('room by query: what Bob sends is all that Alice reads, and he reads it once', async (visit) => {
  const room = unique('tea');
  const alice = await visit(page, unique('alice'));
  const bob = await visit(page, unique('bob'));
  await enters(alice, room, 'Alice');
  await enters(bob, room, 'Bob');

  await bob.submits('#send', { content: 'Hello, world!' });
  await alice.sees('#messages li', ['Bob: Hello, world!']);
  await bob.sees('#messages li', ['Bob: Hello, world!']);

  await alice.submits('#send', { content: 'Hello, Bob!' });
  await bob.sees('#messages li', ['Bob: Hello, world!', 'Alice: Hello, Bob!']);
  await alice.sees('#messages li', ['Bob: Hello, world!', 'Alice: Hello, Bob!']);
});

scenario('room by query: nobody reads who comes and goes', async (visit) => {
  const room = unique('tea');
  const alice = await visit(page, unique('alice'));
  const bob = await visit(page, unique('bob'));
  const carol = await visit(page, unique('carol'));
  await enters(alice, room, 'Alice');

  await enters(bob, room, 'Bob');
  await bob.page.reload();
  await enters(bob, room, 'Bob');
  await bob.page.close();
  await enters(carol, room, 'Carol');
  await carol.submits('#send', { content: 'Is Bob here?' });

  await alice.sees('#messages li', ['Carol: Is Bob here?']);
  await carol.sees('#messages li', ['Carol: Is Bob here?']);
});

scenario('room by query: all windows of the room read a message once, and no other room does', async (visit) => {
  const [tea, den] = [unique('tea'), unique('den')];
  const alice = await visit(page, unique('alice'));
  const aliceAgain = await visit(page, alice.name, alice.context);
  const bob = await visit(page, unique('bob'));
  const bobInTheDen = await visit(page, bob.name, bob.context);
  await enters(alice, tea, 'Alice');
  await enters(aliceAgain, tea, 'Alice');
  await enters(bob, tea, 'Bob');
  await enters(bobInTheDen, den, 'Bob');

  await alice.submits('#send', { content: 'in the tea room' });
  for (const user of [alice, aliceAgain, bob]) await user.sees('#messages li', ['Alice: in the tea room']);
  await bobInTheDen.submits('#send', { content: 'in the den' });
  await bobInTheDen.sees('#messages li', ['Bob: in the den']);
  await bob.submits('#send', { content: 'back to tea' });

  const inTheTeaRoom = ['Alice: in the tea room', 'Bob: back to tea'];
  for (const user of [alice, aliceAgain, bob]) await user.sees('#messages li', inTheTeaRoom);
  await bobInTheDen.sees('#messages li', ['Bob: in the den']);
});
