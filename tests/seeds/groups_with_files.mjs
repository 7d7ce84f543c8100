// Groups with typing indicators and files. The chatRoomId of a message selects the group.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { packages, scenario, serve, stacks, unique } from './browser.mjs';

const jwt = packages('jsonwebtoken');
const PLACEHOLDER = 'wss://abc123.execute-api.us-east-1.amazonaws.com/dev';

const modes = {
  'without authentication': {
    page: serve('groups_with_files.html', 'open', { [PLACEHOLDER]: stacks.open.websocket }),
    token: () => '',
  },
  'with tokens': {
    page: serve('groups_with_files.html', 'tokens', { [PLACEHOLDER]: stacks.tokens.websocket }),
    token: (sub) => jwt.sign({ sub }, process.env.JWT_SECRET, { expiresIn: 600 }),
  },
};

const inRoom = (room, selector) => `section[id="${room}"] ${selector}`;

/** Waits until a room with this name is on the user's page, and returns its id. */
async function roomNamed(name, user) {
  await user.sees(`h2:text-is("${name}")`, [name]);
  return user.page.locator('section', { has: user.page.locator(`h2:text-is("${name}")`) }).getAttribute('id');
}

async function createRoom(name, owner, ...others) {
  await owner.submits('#create', { roomName: name, members: '' });
  const room = await roomNamed(name, owner);
  for (const user of others) {
    await user.submits('#join', { chatRoomId: room });
    await roomNamed(name, user);
  }
  return room;
}

for (const [mode, { page, token }] of Object.entries(modes)) {
  const groups = (what, run) => scenario(`groups with files, ${mode}: ${what}`, run);

  async function connect(visit, ...names) {
    const users = [];
    for (const name of names) {
      const user = await visit(page, unique(name));
      await user.submits('#connect', { userId: user.name, token: token(user.name) });
      await user.sees('#status', ['connected']);
      users.push(user);
    }
    return users;
  }

  groups('a message is shown in its room, with its sender and time', async (visit) => {
    const [ana, ben] = await connect(visit, 'ana', 'ben');
    const tea = await createRoom('Tea', ana, ben);
    const den = await createRoom('Den', ben, ana);

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

  groups('all others see who is typing, in the right room', async (visit) => {
    const [ana, ben, cleo] = await connect(visit, 'ana', 'ben', 'cleo');
    const tea = await createRoom('Tea', ana, ben, cleo);
    const den = await createRoom('Den', ana, ben);

    await ana.page.fill(inRoom(den, '[name=content]'), 'for the d');
    await ben.sees(inRoom(den, '.typing'), [`${ana.name} is typing`]);
    await ana.page.fill(inRoom(tea, '[name=content]'), 'for the t');
    for (const user of [ben, cleo]) await user.sees(inRoom(tea, '.typing'), [`${ana.name} is typing`]);
    await ben.submits('#private', { recipientId: ana.name, content: 'I see you typing' });

    await ana.sees('li', [`${ben.name}: I see you typing`]);
    await ana.sees('.typing', ['', '', '']);
    await cleo.sees('.typing', [`${ana.name} is typing`]);
  });

  groups('a file arrives as a link to the same bytes', async (visit) => {
    const [ana, ben] = await connect(visit, 'ana', 'ben');
    const tea = await createRoom('Tea', ana, ben);
    const den = await createRoom('Den', ana, ben);
    const bytes = Buffer.concat([Buffer.from('%PDF-1.4\n'), randomBytes(100_000)]);

    const file = { name: 'Menu für Ben.pdf', mimeType: 'application/pdf', buffer: bytes };
    await ana.page.setInputFiles(inRoom(tea, '.file'), file);
    await ben.sees(inRoom(tea, 'a'), ['Menu für Ben.pdf']);
    const saved = await ben.saves(inRoom(tea, 'a'));

    assert.equal(saved.suggestedFilename(), 'Menu für Ben.pdf');
    assert.ok(bytes.equals(await readFile(await saved.path())), 'the downloaded bytes differ from the uploaded ones');
    for (const user of [ana, ben]) await user.sees(inRoom(tea, 'li'), [`${ana.name}: Menu für Ben.pdf`]);
    await ben.sees(inRoom(den, 'li'), []);
  });

  groups('users receive messages from their join until they leave', async (visit) => {
    const [ana, ben] = await connect(visit, 'ana', 'ben');
    const tea = await createRoom('Tea', ana);
    const den = await createRoom('Den', ana, ben);
    await ana.submits(inRoom(tea, '.send'), { content: 'before Ben' });
    await ana.sees(inRoom(tea, 'li'), [`${ana.name}: before Ben`]);

    await ben.submits('#join', { chatRoomId: tea });
    await roomNamed('Tea', ben);
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

  groups('a direct message is shown to its sender and recipient only', async (visit) => {
    const [ana, ben, cleo] = await connect(visit, 'ana', 'ben', 'cleo');
    const tea = await createRoom('Tea', ana, ben, cleo);

    await ana.submits('#private', { recipientId: ben.name, content: 'for Ben' });
    await ben.sees('li', [`${ana.name}: for Ben`]);
    await ben.submits(inRoom(tea, '.send'), { content: 'for all' });

    await cleo.sees('li', [`${ben.name}: for all`]);
    await ana.sees('li', [`${ben.name}: for all`, `${ana.name}: for Ben`]);
    await ana.sees(inRoom(tea, 'li'), [`${ben.name}: for all`]);
  });
}
