// Rooms: invitations, roles, moderation, modes, pins, and rooms nearby.

import { scenario, unique } from './users.mjs';

scenario('a private room: an invite, a role, a pin, a mode, a new name, a mute and a ban', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const name = unique('Council');
  const roomId = await ana.createRoom(name, { 'Who can join': 'private' });
  await ana.press('Members and settings');
  await ana.press('Invite');
  await ana.answer({}, 'Make an invite');
  const text = await ana.root.getByText(/, invite /).textContent();
  await ana.press('Done');
  await ben.joinRoom(roomId, { 'Invite, for a private room': text.split(', invite ')[1] });
  await ana.root.locator('#panel').getByText(ben.name).waitFor();

  await ben.write('an important message');
  await ana.sees('an important message');
  await ana.choose('an important message', 'Pin');
  await ben.waitsFor('pinned');
  await ben.press('Pinned messages');
  await ben.root.locator('#panel .found', { hasText: 'an important message' }).waitFor();
  await ben.press('Close');

  await ana.press('Rename');
  await ana.answer({ Name: `${name} renamed` }, 'Rename');
  await ben.root.getByRole('heading', { name: `${name} renamed` }).waitFor();
  await ana.press('Who can write');
  await ana.answer({ Messages: 'admins' }, 'Save');
  await ben.root.getByPlaceholder('Only admins write here').waitFor();
  await ana.chooseMember(ben.name, 'Make admin');
  await ben.press('Members and settings');
  await ben.root.getByPlaceholder('Message', { exact: true }).waitFor();
  await ben.press('Close');
  await ana.root.locator('#panel li', { hasText: ben.name }).getByText('admin').waitFor();
  await ana.chooseMember(ben.name, 'Make member');
  await ana.press('Who can write');
  await ana.answer({ Messages: 'members' }, 'Save');
  await ben.root.getByPlaceholder('Message', { exact: true }).waitFor();

  await ana.chooseMember(ben.name, 'Mute');
  await ana.answer({}, 'Mute');
  await ana.waitsFor('is muted');
  await ben.write('may I speak');
  await ben.waitsFor('MUTED');
  await ana.chooseMember(ben.name, 'Ban');
  await ana.answer({}, 'Ban');
  await ben.waitsFor('you have left');
});

scenario('being added to a room, and leaving it', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const name = unique('Added');
  await ana.createRoom(name, { 'Members (user ids': ben.name });
  await ben.openRoom(name);
  await ben.press('Members and settings');
  await ben.press('Leave');
  await ben.room(name).waitFor({ state: 'detached' });
});

scenario('rooms nearby: by distance, to join', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const name = unique('Corner');
  await ana.press('Nearby');
  await ana.press('New room here');
  await ana.answer({ Name: name }, 'Create');
  await ana.root.getByRole('heading', { name }).waitFor();
  await ben.press('Nearby');
  await ben.press(`Join ${name}`);
  await ben.root.getByRole('heading', { name }).waitFor();
  await ben.write('round the corner');
  await ana.sees('round the corner');
});
