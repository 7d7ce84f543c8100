// Rooms on a map: created, found and joined over HTTP, with messages over a WebSocket.

import assert from 'node:assert/strict';

import { avatar, scenario, serve, stacks, unique, until } from './browser.mjs';

const atStack = (name) => serve('rooms_on_the_map.html', name, {
  'wss://abcdef123.execute-api.us-east-1.amazonaws.com/prod': stacks[name].websocket,
  'https://ghijkl456.execute-api.us-east-1.amazonaws.com': stacks[name].http,
});
const page = atStack('open');
const shortIdlePage = atStack('short_idle');

async function connect(visit, url, ...names) {
  const users = [];
  for (const name of names) {
    const user = await visit(url, unique(name.toLowerCase()));
    await user.submits('#connect', { userId: user.name, userName: name, userIcon: avatar, userColor: 'teal' });
    await user.sees('#status', ['connected']);
    users.push(user);
  }
  return users;
}

/** A random location, so that tests do not find rooms of each other. */
function randomLocation() {
  const within = (limit) => (Math.random() * 2 * limit - limit).toFixed(4);
  return { latitude: within(60), longitude: within(170) };
}

async function createsRoom(user, at, fields) {
  await user.submits('#create', { ...at, roadName: 'Main Street', roomType: 'public', ...fields });
  await user.sees('#notice', ['OK']);
  await user.sees('#participants', [user.name]);
}

/** Searches near a location, and waits for the response. */
async function searches(user, at, roomType = 'public') {
  const before = Number(await user.page.textContent('#searches'));
  await user.submits('#search', { ...at, roomType });
  await user.sees('#searches', [`${before + 1}`]);
}

async function joins(user, at) {
  await searches(user, at);
  await user.page.click('#nearby button');
  await user.sees('#notice', ['OK']);
  await user.page.locator('h2', { hasText: 'Main Street (public, active' }).waitFor();
}

scenario('rooms on the map: a room is found nearby, with its street and number of participants', async (visit) => {
  const at = randomLocation();
  const [ann, bob, cid] = await connect(visit, page, 'Ann', 'Bob', 'Cid');
  await createsRoom(ann, at, { maxParticipants: '15' });
  await ann.sees('h2', [`Main Street (public, active, by ${ann.name})`]);
  await ann.sees('#activity', ['active 0 minutes ago']);

  await searches(bob, at);
  await bob.sees('#nearby li', ['Main Street 1/15 Join']);
  await bob.seesThat('#nearby li', (rooms) => rooms.map(({ dataset }) => [dataset.latitude, dataset.longitude]), [
    [`${Number(at.latitude)}`, `${Number(at.longitude)}`],
  ]);
  await bob.seesThat('#nearby li', (rooms) => rooms.map(({ dataset }) => Number(dataset.metres) > 0), [true]);
  await joins(bob, at);
  await joins(cid, at);

  for (const user of [ann, bob, cid]) {
    await searches(user, at);
    await user.sees('#nearby li', ['Main Street 3/15 Open']);
  }
});

scenario('rooms on the map: distant and private rooms are not found, full rooms cannot be joined', async (visit) => {
  const at = randomLocation();
  const far = { ...at, latitude: `${Number(at.latitude) + 5}` };
  const [ann, bob] = await connect(visit, page, 'Ann', 'Bob');
  await createsRoom(ann, at, { roomType: 'private' });
  await createsRoom(ann, far, { maxParticipants: '1' });

  await searches(bob, at);
  await bob.sees('#nearby li', []);
  await searches(bob, far);
  await bob.sees('#nearby li', ['Main Street 1/1 Join']);
  await bob.page.click('#nearby button');
  await bob.page.locator('#notice', { hasText: /Error|Invalid/ }).waitFor();
  await searches(bob, far);

  await bob.sees('#nearby li', ['Main Street 1/1 Join']);
});

scenario('rooms on the map: a message is shown with its sender, icon, colour, time and id', async (visit) => {
  const at = randomLocation();
  const [ann, bob] = await connect(visit, page, 'Ann', 'Bob');
  await createsRoom(ann, at);
  await joins(bob, at);

  await bob.submits('#send', { message: 'Hello world!' });
  await ann.sees('#messages li', ['Bob: Hello world!']);
  await ann.submits('#send', { message: 'Hello Bob!' });

  const rows = (lines) => lines.map((line) => [line.dataset.from, line.style.color, line.querySelector('img')?.src]);
  const ids = [];
  for (const user of [ann, bob]) {
    await user.sees('#messages li', ['Bob: Hello world!', 'Ann: Hello Bob!']);
    await user.seesThat('#messages li', rows, [[bob.name, 'teal', avatar], [ann.name, 'teal', avatar]]);
    const isIso = (lines) => lines.map(({ title }) => title === new Date(title).toISOString());
    await user.seesThat('#messages li', isIso, [true, true]);
    ids.push(await user.page.locator('#messages li').evaluateAll((lines) => lines.map(({ id }) => id)));
  }
  assert.deepEqual(ids[0], ids[1], 'the two users have different ids for the same message');
  assert.equal(new Set(ids[0]).size, 2, `the ids of messages are not unique: ${ids[0]}`);
  assert.ok(!ids[0].includes('undefined'), 'a message has no id');
});

scenario('rooms on the map: others in the room see who is typing', async (visit) => {
  const at = randomLocation();
  const [ann, bob, cid] = await connect(visit, page, 'Ann', 'Bob', 'Cid');
  await createsRoom(ann, at);
  await joins(bob, at);
  await createsRoom(cid, randomLocation());

  await bob.page.fill('#send input', 'Hello w');
  await ann.sees('#typing', ['Bob is typing']);
  await cid.submits('#send', { message: 'Hello from Cid' });

  await cid.sees('#messages li', ['Cid: Hello from Cid']);
  await cid.sees('#typing', ['']);
  await bob.submits('#send', { message: 'Hello world!' });
  await ann.sees('#messages li', ['Bob: Hello world!']);
  await ann.sees('#typing', ['']);
});

scenario('rooms on the map: the participants of a room are shown', async (visit) => {
  const at = randomLocation();
  const [ann, bob] = await connect(visit, page, 'Ann', 'Bob');
  await createsRoom(ann, at);
  await joins(bob, at);

  await ann.page.click('#info');

  for (const user of [ann, bob]) await user.sees('#participants', [[ann.name, bob.name].sort().join(', ')]);
  await searches(bob, at);
  const roomId = await bob.page.locator('#nearby li').getAttribute('data-id');
  for (const user of [ann, bob]) await user.seesThat('#room', ([room]) => room.dataset.id, roomId);
});

scenario('rooms on the map: messages are not delivered to other rooms', async (visit) => {
  const [here, there] = [randomLocation(), randomLocation()];
  const [ann, bob, cid] = await connect(visit, page, 'Ann', 'Bob', 'Cid');
  await createsRoom(ann, here);
  await joins(bob, here);
  await createsRoom(cid, there);

  await bob.submits('#send', { message: 'here' });
  await ann.sees('#messages li', ['Bob: here']);
  await cid.submits('#send', { message: 'there' });

  await cid.sees('#messages li', ['Cid: there']);
  await bob.submits('#send', { message: 'still here' });
  await ann.sees('#messages li', ['Bob: here', 'Bob: still here']);
});

for (const [button, how] of [['#close', 'over HTTP'], ['#close-socket', 'over its WebSocket']]) {
  scenario(`rooms on the map: only the creator of a room can close it (${how})`, async (visit) => {
    const at = randomLocation();
    const [ann, bob, cid] = await connect(visit, page, 'Ann', 'Bob', 'Cid');
    await createsRoom(ann, at);
    await joins(bob, at);

    if (how === 'over HTTP') {
      await bob.page.click(button);
      await bob.sees('#notice', ['Only the creator can close a room']);
    } else {
      await bob.isAnswered(/FORBIDDEN/, () => bob.page.click(button));
    }
    await bob.submits('#send', { message: 'Is it open?' });
    await ann.sees('#messages li', ['Bob: Is it open?']);
    await searches(cid, at);
    await cid.sees('#nearby li', ['Main Street 2/15 Join']);
    const roomId = await cid.page.locator('#nearby li').getAttribute('data-id');

    await ann.page.click(button);
    await waitUntilClosed(ann, bob);
    await searches(cid, at);
    await cid.sees('#nearby li', []);
    await cid.submits('#join', { roomId });
    await cid.page.locator('#notice', { hasText: /Room not found|Error 410/ }).waitFor();
    await bob.isAnswered(/ROOM_CLOSED/, () => bob.submits('#send', { message: 'Is it still open?' }));

    await ann.sees('#messages li', ['Bob: Is it open?']);
    await bob.sees('#messages li', ['Bob: Is it open?']);
  });
}

/** Requests the room until it is closed. */
async function waitUntilClosed(...users) {
  for (const user of users) {
    await until(async () => {
      await user.isAnswered(/participants/, () => user.page.click('#info'));
      return (await user.page.textContent('h2')).includes('(public, closed, ');
    }, () => `the room of ${user.name} is not closed`);
  }
}

scenario('rooms on the map: errors are shown by their status', async (visit) => {
  const [ann] = await connect(visit, page, 'Ann');

  await ann.submits('#create', { latitude: '37.7749', roadName: 'Main Street' });
  await ann.sees('#notice', ['Invalid request']);
  await ann.submits('#join', { roomId: unique('nowhere') });

  await ann.sees('#notice', ['Room not found']);
});

const contentTypes = {
  'no content type': {},
  'JSON': { 'Content-Type': 'application/json' },
  'the content type of a form, which curl sends': { 'Content-Type': 'application/x-www-form-urlencoded' },
  'plain text': { 'Content-Type': 'text/plain' },
};

for (const [what, headers] of Object.entries(contentTypes)) {
  scenario(`rooms on the map: a room is created by a request with ${what}`, async (visit) => {
    const [ann] = await connect(visit, page, 'Ann');
    const at = randomLocation();
    const body = JSON.stringify({
      userId: ann.name,
      latitude: Number(at.latitude),
      longitude: Number(at.longitude),
      roadName: 'Main Street',
      roomType: 'public',
      maxParticipants: 15,
    });

    const room = await ann.page.evaluate(async ({ url, headers, body }) => {
      const response = await fetch(`${url}/rooms`, { method: 'POST', headers, body });
      return response.json();
    }, { url: stacks.open.http, headers, body });

    assert.deepEqual(room.participants, [ann.name]);
    await searches(ann, at);
    await ann.sees('#nearby li', ['Main Street 1/15 Open']);
  });
}

scenario('rooms on the map: an idle room is closed automatically', async (visit) => {
  const at = randomLocation();
  const [ann, bob] = await connect(visit, shortIdlePage, 'Ann', 'Bob');
  await createsRoom(ann, at);

  await waitUntilClosed(ann);
  await searches(bob, at);

  await bob.sees('#nearby li', []);
});
