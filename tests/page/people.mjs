// Who reaches whom: invitations, strangers, blocks, moderation, reports.

import assert from 'node:assert/strict';

import { scenario, stacks, unique } from './users.mjs';

/** Here users are asked before others reach them. */
const asking = { at: `${stacks.asking.http}/` };

scenario('an invitation can be accepted or declined', async (open) => {
  const ana = await open(unique('ana'), asking);
  const ben = await open(unique('ben'), asking);
  const [wanted, unwanted] = [unique('Wanted'), unique('Unwanted')];
  await ana.createRoom(wanted, { 'Members (user ids': ben.name });
  await ben.invitation(`${ana.name} invites you to ${wanted}`).getByRole('button', { name: 'Accept' }).click();
  await ben.root.getByRole('heading', { name: wanted }).waitFor();
  await ben.write('thank you');
  await ana.sees('thank you');

  await ana.createRoom(unwanted, { 'Members (user ids': ben.name });
  const invitation = ben.invitation(`${ana.name} invites you to ${unwanted}`);
  await invitation.getByRole('button', { name: 'Decline' }).click();
  await invitation.waitFor({ state: 'detached' });
  assert.equal(await ben.room(unwanted).count(), 0);
});

scenario('the first message of a stranger is a request: it is answered, or the stranger is blocked', async (open) => {
  const ana = await open(unique('ana'), asking);
  const ben = await open(unique('ben'), asking);
  await ana.writeTo(ben.name);
  await ana.write('do you remember me');
  await ben.invitation(`${ana.name} wants to write to you`).getByRole('button', { name: 'Read' }).click();
  await ben.sees('do you remember me');
  await ben.write('of course');
  await ana.sees('of course');
  await ben.invitation(ana.name).waitFor({ state: 'detached' });

  const cho = await open(unique('cho'), asking);
  await cho.writeTo(ben.name);
  await cho.write('buy something');
  await ben.invitation(`${cho.name} wants to write to you`).getByRole('button', { name: 'Block' }).click();
  await ben.waitsFor(`${cho.name} is blocked`);
  await ben.invitation(cho.name).waitFor({ state: 'detached' });
  await cho.write('buy more');
  await cho.waitsFor('BLOCKED');
});

scenario('a member is blocked: no direct messages, until the block is lifted', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  await ben.joinRoom(await ana.createRoom(unique('Block')));
  await ana.press('Members and settings');
  await ana.chooseMember(ben.name, 'Block');
  await ana.waitsFor(`${ben.name} is blocked`);
  await ben.writeTo(ana.name);
  await ben.write('are you there');
  await ben.waitsFor('BLOCKED');
  await ana.chooseMember(ben.name, 'Unblock');
  await ana.waitsFor(`${ben.name} is not blocked any more`);
  await ben.press('Try again');
  await ben.sees('are you there');
});

scenario('moderation: a mute that is lifted, a ban that is lifted, a removal, a closed room', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Order'));
  await ben.joinRoom(roomId);
  await ana.press('Members and settings');
  await ana.chooseMember(ben.name, 'Mute');
  await ana.answer({ For: 'an hour' }, 'Mute');
  await ana.waitsFor(`${ben.name} is muted`);
  await ben.write('may I speak');
  await ben.waitsFor('MUTED');
  await ana.chooseMember(ben.name, 'Unmute');
  await ana.waitsFor(`${ben.name} can write again`);
  await ben.press('Try again');
  await ana.sees('may I speak');

  await ana.chooseMember(ben.name, 'Ban');
  await ana.answer({}, 'Ban');
  await ben.waitsFor('you have left');
  await ben.press('Join');
  await ben.answer({ 'Room id': roomId }, 'Join');
  await ben.root.locator('#failures', { hasText: 'BANNED' }).waitFor();
  await ana.press('Unban');
  await ana.answer({ 'User id': ben.name }, 'Lift');
  await ana.waitsFor('Lifted');
  await ben.joinRoom(roomId);
  await ben.write('back again');
  await ana.sees('back again');

  await ana.chooseMember(ben.name, 'Remove');
  await ben.waitsFor('you have left');
  await ben.joinRoom(roomId);
  await ana.press('Close the room');
  await ana.answer({}, 'Close');
  await ben.root.locator('#room-header', { hasText: 'closed' }).waitFor();
  await ben.root.locator('#composer').waitFor({ state: 'hidden' });
});

scenario('a message is reported, and a room says less', async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Reports'));
  await ben.joinRoom(roomId);
  await ana.write('buy cheap cups');
  await ben.sees('buy cheap cups');
  await ben.choose('buy cheap cups', 'Report');
  await ben.answer({ Reason: 'spam' }, 'Report');
  await ben.waitsFor('Reported');
  await ben.press('Members and settings');
  await ben.root.getByLabel('Tell me of').selectOption('nothing');
  await ben.root.locator(`.room.quiet[data-room="${roomId}"]`).waitFor();
  await ben.page.reload();
  await ben.root.locator(`.room.quiet[data-room="${roomId}"]`).waitFor();
});
