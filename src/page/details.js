// The panel beside a room: its members and settings, its pinned messages, and the search.

import { ask, attempt, find, h, iconButton, menu, named, timeOf } from './dom.js';

const TITLES = { members: 'Members and settings', pins: 'Pinned messages', search: 'Search' };

export class Details {
  #session;
  #kind;
  #opener;
  #drawn;

  constructor(session) {
    this.#session = session;
  }

  get #room() {
    return this.#session.room;
  }

  open(kind) {
    if (this.#kind === kind) return this.close();
    this.#opener = document.activeElement;
    this.#kind = kind;
    this.#drawn = undefined;
    const panel = find('#panel');
    const close = iconButton('close', 'Close', () => this.close());
    panel.replaceChildren(h('header', {}, h('h2', {}, TITLES[kind]), close), h('div', { id: 'panel-body' }));
    panel.onkeydown = ({ key }) => key === 'Escape' && this.close();
    panel.hidden = false;
    close.focus();
    if (kind === 'pins') return this.#pins();
    if (kind === 'search') return this.#search();
    if (this.#room.id !== 'lobby' && !this.#room.peer)
      this.#room.chat.roomInfo({ roomId: this.#room.id }).catch(() => {});
    return this.changed();
  }

  close() {
    if (!this.#kind) return;
    this.#kind = undefined;
    find('#panel').hidden = true;
    this.#opener?.focus?.();
  }

  /** The room has changed. */
  changed() {
    if (this.#kind !== 'members') return;
    const { members, info, status, id } = this.#room;
    const drawn = JSON.stringify([id, status, members, info, this.#session.chat.unreads.rooms[id]?.notify]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    find('#panel-body').replaceChildren(
      ...this.#settings(),
      h('h3', {}, 'Members'),
      h(
        'ul.members',
        {},
        members.map((member) => this.#member(member)),
      ),
      this.#more(),
    );
  }

  #more() {
    if (!this.#room.info?.nextCursor) return '';
    return h('button', { type: 'button', onclick: () => attempt(() => this.#room.moreMembers()) }, 'More members');
  }

  #member(member) {
    const { userId, userName, role, online } = member;
    const more = iconButton('more', `More for ${userName}`, () => menu(more, userName, this.#choices(member)));
    more.setAttribute('aria-haspopup', 'menu');
    const isMe = userId === this.#session.me;
    return h(
      'li',
      {},
      h('span', { className: online ? 'dot online' : 'dot', role: 'img', 'aria-label': online ? 'online' : 'offline' }),
      named(userName, userId),
      role && role !== 'member' && h('span.small', {}, role),
      isMe ? '' : more,
    );
  }

  #choices({ userId, userName, role }) {
    const { chat, conversation } = this.#session;
    const target = { roomId: this.#room.id, userId };
    const run = (act, done) => async () => {
      await attempt(act, done);
      await chat.roomInfo({ roomId: target.roomId }).catch(() => {});
    };
    const ban = async () => {
      const text = 'They leave the room, and cannot join it again.';
      const values = await ask({ title: `Ban ${userName}?`, text, action: 'Ban', isDangerous: true });
      if (values) await run(() => chat.banMember(target), `${userName} is banned`)();
    };
    const mute = async () => {
      const options = [
        ['10', '10 minutes'],
        ['60', 'an hour'],
        ['1440', 'a day'],
        ['', 'until it is lifted'],
      ];
      const values = await ask({
        title: `Mute ${userName}`,
        fields: [{ name: 'minutes', label: 'For', options }],
        action: 'Mute',
      });
      if (!values) return;
      const until = values.minutes ? new Date(Date.now() + values.minutes * 60_000).toISOString() : undefined;
      await run(() => chat.muteMember({ ...target, until }), `${userName} is muted`)();
    };
    const own = [
      ['Write to', () => this.#session.direct(userId)],
      ['Block', run(() => chat.blockUser({ userId }), `${userName} is blocked`)],
      ['Unblock', run(() => chat.unblockUser({ userId }), `${userName} is not blocked any more`)],
    ];
    if (!conversation.canModerate) return own;
    const roles = ['owner', 'admin', 'member'].filter((one) => one !== role);
    return [
      ...own,
      ...roles.map((one) => [
        `Make ${one}`,
        run(() => chat.setRole({ ...target, role: one }), `${userName} is ${one} now`),
      ]),
      ['Mute', mute],
      ['Unmute', run(() => chat.unmuteMember(target), `${userName} can write again`)],
      ['Remove', run(() => chat.removeMember(target), `${userName} is removed`)],
      ['Ban', ban],
    ];
  }

  // Settings.

  #settings() {
    const { id, peer, info = {} } = this.#room;
    const { chat, conversation } = this.#session;
    const button = (label, onclick, className = '') => h('button', { type: 'button', onclick, className }, label);
    const notify = chat.unreads.rooms[id]?.notify ?? 'all';
    const levels = [
      ['all', 'all messages'],
      ['mentions', 'mentions only'],
      ['none', 'nothing'],
    ];
    const level = h(
      'select',
      {
        onchange: () =>
          attempt(async () => {
            await chat.setNotify({ roomId: id, level: level.value });
            await chat.loadUnreads();
          }),
      },
      levels.map(([value, label]) => h('option', { value, selected: value === notify }, label)),
    );
    const rows = [id !== 'lobby' && h('label.field', {}, h('span', {}, 'Tell me of'), level)];
    if (id === 'lobby') return [h('p', {}, 'Everybody is in the lobby.')];
    rows.push(h('p.small', {}, `${info.roomType ?? ''} room id `, h('code', {}, id)));
    const manage =
      conversation.canModerate && !peer
        ? [
            button('Rename', () => this.#rename()),
            button('Who can write', () => this.#mode()),
            button('Invite', () => this.#invite()),
            button('Invites', () => this.#invites()),
            button('Add members', () => this.#add()),
            button('Unban', () => this.#unban()),
            button('Close the room', () => this.#closeRoom(), 'danger'),
          ]
        : [];
    rows.push(
      h(
        'div.buttons',
        {},
        manage,
        button(peer ? 'Hide' : 'Leave', () => this.#leave()),
      ),
    );
    return rows.filter(Boolean);
  }

  async #rename() {
    const fields = [
      { name: 'roomName', label: 'Name', value: this.#room.info?.roomName ?? '', required: true, maxlength: 128 },
    ];
    const values = await ask({ title: 'Rename the room', fields, action: 'Rename' });
    if (values) await attempt(() => this.#room.chat.renameRoom({ roomId: this.#room.id, ...values }));
  }

  async #mode() {
    const { write = 'members', react = 'members', slowSeconds = 0 } = this.#room.info?.mode ?? {};
    const who = [
      ['members', 'All members'],
      ['admins', 'Owners and admins'],
    ];
    const values = await ask({
      title: 'Who can write',
      fields: [
        { name: 'write', label: 'Messages', options: who, value: write },
        { name: 'react', label: 'Reactions', options: who, value: react },
        {
          name: 'slowSeconds',
          label: 'Seconds between two messages of a member',
          type: 'number',
          min: 0,
          max: 21_600,
          value: `${slowSeconds}`,
        },
      ],
      action: 'Save',
    });
    if (!values) return;
    const mode = { ...values, slowSeconds: Number(values.slowSeconds) };
    await attempt(() => this.#room.chat.setRoomMode({ roomId: this.#room.id, ...mode }));
  }

  async #invite() {
    const roomId = this.#room.id;
    const values = await ask({
      title: 'Invite into this room',
      fields: [
        { name: 'maxUses', label: 'How many can use it', type: 'number', min: 1, value: '1' },
        { name: 'hours', label: 'Hours until it ends', type: 'number', min: 1, value: '24' },
      ],
      action: 'Make an invite',
    });
    if (!values) return;
    const body = { maxUses: Number(values.maxUses), expiresInSeconds: 3600 * Number(values.hours) };
    const path = `/rooms/${encodeURIComponent(roomId)}/invites`;
    const made = await attempt(() => this.#room.chat.fetch(path, { method: 'POST', body }));
    if (made) await ask({ title: 'The invite', text: `Room ${roomId}, invite ${made.invite}`, action: 'Done' });
  }

  async #invites() {
    const { chat, id: roomId } = this.#room;
    const answer = await attempt(() => chat.listInvites({ roomId }));
    if (!answer) return;
    const revoke = (invite, item) =>
      attempt(async () => {
        await chat.revokeInvite({ roomId, invite });
        item.remove();
      }, 'Revoked');
    const rows = answer.items.map(({ invite, usesLeft, expiresAt }) => {
      const item = h(
        'li',
        {},
        h('code', {}, invite),
        ` ${usesLeft} left, until ${new Date(expiresAt).toLocaleString()} `,
        h('button', { type: 'button', onclick: () => revoke(invite, item) }, 'Revoke'),
      );
      return item;
    });
    this.#list('Invites', rows, 'There are no invites.');
  }

  #list(title, rows, none) {
    const back = h('button', { type: 'button', onclick: () => ((this.#drawn = undefined), this.changed()) }, 'Back');
    find('#panel-body').replaceChildren(
      h('h3', {}, title),
      rows.length > 0 ? h('ul', {}, rows) : h('p', {}, none),
      back,
    );
    back.focus();
  }

  async #add() {
    const fields = [{ name: 'members', label: 'User ids, separated by commas', required: true }];
    const values = await ask({ title: 'Add members', fields, action: 'Add' });
    const members = values?.members
      .split(',')
      .map((one) => one.trim())
      .filter(Boolean);
    if (!members?.length) return;
    const { chat, id: roomId } = this.#room;
    await attempt(async () => {
      const { refused } = await chat.addMembers({ roomId, members });
      if (refused.length > 0) throw new Error(refused.map(({ userId, code }) => `${userId}: ${code}`).join(', '));
      await chat.roomInfo({ roomId });
    }, 'Added');
  }

  async #unban() {
    const fields = [{ name: 'userId', label: 'User id', required: true }];
    const values = await ask({ title: 'Lift a ban', fields, action: 'Lift' });
    if (values) await attempt(() => this.#room.chat.unbanMember({ roomId: this.#room.id, ...values }), 'Lifted');
  }

  async #leave() {
    const room = this.#room;
    if (!(await attempt(() => room.chat.leaveRoom({ roomId: room.id })))) return;
    this.close();
    await this.#session.rooms.refresh();
    find('#app').dataset.shows = 'rooms';
  }

  async #closeRoom() {
    const text = 'Nobody can write in it any more.';
    const values = await ask({ title: 'Close this room?', text, action: 'Close', isDangerous: true });
    if (values) await attempt(() => this.#room.chat.closeRoom({ roomId: this.#room.id }));
  }

  // Pinned messages and the search.

  #found(message) {
    const { seq, userName, userId, createdAt, content, file } = message;
    return h(
      'li',
      {},
      h(
        'button.found',
        { type: 'button', onclick: () => this.#session.conversation.show(seq) },
        named(userName, userId),
        ' ',
        h('time', {}, `${new Date(createdAt).toLocaleDateString()} ${timeOf(createdAt)}`),
        h('span.text', {}, content ?? file?.fileName ?? ''),
      ),
    );
  }

  async #pins() {
    const { chat, id: roomId } = this.#room;
    const answer = await attempt(() => chat.listPins({ roomId }));
    if (!answer || this.#kind !== 'pins') return;
    const rows = answer.items.map((message) => this.#found(message));
    find('#panel-body').replaceChildren(rows.length > 0 ? h('ul', {}, rows) : h('p', {}, 'Nothing is pinned.'));
  }

  #search() {
    const { chat, id: roomId } = this.#room;
    const input = h('input', {
      type: 'search',
      name: 'text',
      required: true,
      maxlength: 200,
      'aria-label': 'Search for',
    });
    const results = h('ul', { 'aria-live': 'polite' });
    const more = h('button', { type: 'button', hidden: true, onclick: () => look() }, 'Search further back');
    let before;
    const look = async () => {
      const answer = await attempt(() => chat.searchMessages({ roomId, text: input.value, before }));
      if (!answer) return;
      results.append(...answer.items.map((message) => this.#found(message)));
      if (!results.firstChild && !answer.hasMore) results.append(h('li', {}, 'Nothing was found.'));
      before = answer.nextBefore;
      more.hidden = !answer.hasMore;
    };
    const submit = (event) => {
      event.preventDefault();
      before = undefined;
      results.replaceChildren();
      look();
    };
    const form = h('form', { role: 'search', onsubmit: submit }, input, h('button.primary', {}, 'Search'));
    find('#panel-body').replaceChildren(form, results, more);
    input.focus();
  }
}
