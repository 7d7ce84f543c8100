// Groups with typing and files. Each message says by its chatRoomId for which group it is.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { packages, scenario, serve, stacks, unique } from './browser.mjs';

const jwt = packages('jsonwebtoken');
const WRITTEN = 'wss://abc123.execute-api.us-east-1.amazonaws.com/dev';

const ways = {
  'with open doors': {
    page: serve('groups_with_files.html', 'open', { [WRITTEN]: stacks.open.websocket }),
    token: () => '',
  },
  'with tokens': {
    page: serve('groups_with_files.html', 'tokens', { [WRITTEN]: stacks.tokens.websocket }),
    token: (sub) => jwt.sign({ sub }, process.env.JWT_SECRET, { expiresIn: 600 }),
  },
};

const inRoom = (room, selector) => `section[id="${room}"] ${selector}`;

/** The id of the room of that name, once it is on the user's page. */
async function roomCalled(name, user) {
  await user.sees(`h2:text-is("${name}")`, [name]);
  return user.page.locator('section', { has: user.page.locator(`h2:text-is("${name}")`) }).getAttribute('id');
}

async function makeRoom(name, owner, ...others) {
  await owner.submits('#create', { roomName: name, members: '' });
  const room = await roomCalled(name, owner);
  for (const user of others) {
    await user.submits('#join', { chatRoomId: room });
    await roomCalled(name, user);
  }
  return room;
}

for (const [how, { page, token }] of Object.entries(ways)) {
  const groups = (what, run) => scenario(`groups with files, ${how}: ${what}`, run);

  async function come(visit, ...names) {
    const users = [];
    for (const name of names) {
      const user = await visit(page, unique(name));
      await user.submits('#connect', { userId: user.name, token: token(user.name) });
      await user.sees('#status', ['connected']);
      users.push(user);
    }
    return users;
  }

  groups('a message is shown in its room, with who sent it and when', async (visit) => {
    const [ana, ben] = await come(visit, 'ana', 'ben');
    const tea = await makeRoom('Tea', ana, ben);
    const den = await makeRoom('Den', ben, ana);

    await ana.submits(inRoom(tea, '.send'), { content: 'for the tea room' });
    await ben.sees(inRoom(tea, 'li'), [`${ana.name}: for the tea room`]);
    await ben.submits(inRoom(den, '.send'), { content: 'for the den' });
    await ana.sees(inRoom(den, 'li'), [`${ben.name}: for the den`]);
    await ben.page.fill(inRoom(tea, '[name=content]'), 'to all members');
    await ben.page.click(inRoom(tea, '.broadcast'));

    for (const user of [ana, ben]) {
      await user.sees(inRoom(tea, 'li'), [`${ana.name}: for the tea room`, `${ben.name}: to all members`]);
      await user.sees(inRoom(den, 'li'), [`${ben.name}: for the den`]);
      await user.sees('section h2', ['Tea', 'Den']);
      const areDated = (lines) => lines.map(({ title }) => /^\S+ \d{4}-\d\d-\d\dT[\d:.]+Z$/.test(title));
      await user.seesThat('li', areDated, [true, true, true]);
    }
  });

  groups('all others see who types, in the room that it is for', async (visit) => {
    const [ana, ben, cleo] = await come(visit, 'ana', 'ben', 'cleo');
    const tea = await makeRoom('Tea', ana, ben, cleo);
    const den = await makeRoom('Den', ana, ben);

    await ana.page.fill(inRoom(den, '[name=content]'), 'for the d');
    await ben.sees(inRoom(den, '.typing'), [`${ana.name} is typing`]);
    await ana.page.fill(inRoom(tea, '[name=content]'), 'for the t');
    for (const user of [ben, cleo]) await user.sees(inRoom(tea, '.typing'), [`${ana.name} is typing`]);
    await ben.submits('#private', { recipientId: ana.name, content: 'I see you typing' });

    await ana.sees('li', [`${ben.name}: I see you typing`]);
    await ana.sees('.typing', ['', '', '']);
    await cleo.sees('.typing', [`${ana.name} is typing`]);
  });

  groups('a file arrives as a link, behind which are the same bytes', async (visit) => {
    const [ana, ben] = await come(visit, 'ana', 'ben');
    const tea = await makeRoom('Tea', ana, ben);
    const den = await makeRoom('Den', ana, ben);
    const bytes = Buffer.concat([Buffer.from('%PDF-1.4\n'), randomBytes(100_000)]);

    const file = { name: 'Menu für Ben.pdf', mimeType: 'application/pdf', buffer: bytes };
    await ana.page.setInputFiles(inRoom(tea, '.file'), file);
    await ben.sees(inRoom(tea, 'a'), ['Menu für Ben.pdf']);
    const saved = await ben.saves(inRoom(tea, 'a'));

    assert.equal(saved.suggestedFilename(), 'Menu für Ben.pdf');
    assert.ok(bytes.equals(await readFile(await saved.path())), 'other bytes than were uploaded');
    for (const user of [ana, ben]) await user.sees(inRoom(tea, 'li'), [`${ana.name}: Menu für Ben.pdf`]);
    await ben.sees(inRoom(den, 'li'), []);
  });

  groups('who joins reads from then on, and who leaves reads no more', async (visit) => {
    const [ana, ben] = await come(visit, 'ana', 'ben');
    const tea = await makeRoom('Tea', ana);
    const den = await makeRoom('Den', ana, ben);
    await ana.submits(inRoom(tea, '.send'), { content: 'before Ben' });
    await ana.sees(inRoom(tea, 'li'), [`${ana.name}: before Ben`]);

    await ben.submits('#join', { chatRoomId: tea });
    await roomCalled('Tea', ben);
    await ana.submits(inRoom(tea, '.send'), { content: 'with Ben' });
    await ben.sees(inRoom(tea, 'li'), [`${ana.name}: with Ben`]);
    await ben.isAnswered(/leaveRoom/, () => ben.page.click(inRoom(tea, '.leave')));
    await ben.submits(inRoom(den, '.send'), { content: 'I have left' });
    await ana.sees(inRoom(den, 'li'), [`${ben.name}: I have left`]);
    await ana.submits(inRoom(tea, '.send'), { content: 'without Ben' });
    await ana.submits(inRoom(den, '.send'), { content: 'I know' });

    await ben.sees('li', [`${ben.name}: I have left`, `${ana.name}: I know`]);
    await ben.sees('section h2', ['Den']);
    await ana.sees(inRoom(tea, 'li'), ['before Ben', 'with Ben', 'without Ben'].map((text) => `${ana.name}: ${text}`));
  });

  groups('a message to one user is shown to the two alone', async (visit) => {
    const [ana, ben, cleo] = await come(visit, 'ana', 'ben', 'cleo');
    const tea = await makeRoom('Tea', ana, ben, cleo);

    await ana.submits('#private', { recipientId: ben.name, content: 'for Ben' });
    await ben.sees('li', [`${ana.name}: for Ben`]);
    await ben.submits(inRoom(tea, '.send'), { content: 'for all' });

    await cleo.sees('li', [`${ben.name}: for all`]);
    await ana.sees('li', [`${ben.name}: for all`, `${ana.name}: for Ben`]);
    await ana.sees(inRoom(tea, 'li'), [`${ben.name}: for all`]);
  });
}
