// The list of rooms, with what is unread; invitations, and first messages of strangers.

import { attempt, find, h, named } from './dom.js';

const LOBBY = { roomId: 'lobby', roomName: 'Lobby', roomType: 'public' };

export class Rooms {
  #session;
  #items = new Map();
  #invitations = [];
  #requests = [];
  #isRefreshing = false;
  #isStale = false;

  constructor(session) {
    this.#session = session;
  }

  has(roomId) {
    return this.#items.has(roomId);
  }

  /** Reads the list again. */
  async refresh() {
    this.#isStale = true;
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    // What changes while it is read may not be in it yet.
    while (this.#isStale) await this.#read();
    this.#isRefreshing = false;
    this.render();
  }

  async #read() {
    this.#isStale = false;
    try {
      const items = new Map(this.#session.hasLobby ? [['lobby', LOBBY]] : []);
      for (let [cursor, first] = [undefined, true]; first || cursor; first = false) {
        const page = await this.#session.chat.listRooms({ cursor });
        for (const item of page.items) items.set(item.roomId, item);
        if (first) [this.#invitations, this.#requests] = [page.invitations ?? [], page.requests ?? []];
        cursor = page.nextCursor;
      }
      await this.#session.chat.loadUnreads();
      this.#items = items;
    } catch {
      // The connection is gone: the list is read again with the next one.
    }
  }

  /** The other user of a direct conversation. */
  peerOf(item) {
    const others = (item.participants ?? []).map((one) => one.userId ?? one);
    return item.peer ?? others.find((userId) => userId !== this.#session.me) ?? item.lastMessage?.userId;
  }

  nameOf(roomId, peer) {
    const item = this.#items.get(roomId);
    if (peer ?? roomId.startsWith('dm-')) return this.#peerName(item, peer);
    return (
      this.#session.chat.rooms.find(({ id }) => id === roomId)?.info?.roomName ??
      item?.roomName ??
      (roomId === 'lobby' ? 'Lobby' : roomId)
    );
  }

  #peerName(item, peer) {
    const userId = peer ?? (item && this.peerOf(item));
    const full = (item?.participants ?? []).find((one) => one.userId === userId);
    return full?.userName ?? userId ?? 'Direct conversation';
  }

  /** A new message: its room goes up. */
  seen(room, message) {
    const item = this.#items.get(room.id);
    if (item) Object.assign(item, { lastMessage: message });
    this.render();
  }

  #open(item) {
    const { chat } = this.#session;
    if (item.roomType !== 'direct') return this.#session.open(chat.room(item.roomId));
    const peer = this.peerOf(item);
    return peer ? this.#session.direct(peer) : this.#session.open(chat.room(item.roomId));
  }

  render() {
    const at = (item) => item.lastMessage?.createdAt ?? item.createdAt ?? '';
    const items = [...this.#items.values()].filter(({ status }) => status !== 'closed');
    const sorted = items.sort((one, other) => (at(one) < at(other) ? 1 : -1));
    const focused = document.activeElement?.dataset?.room;
    find('#rooms').replaceChildren(...sorted.map((item) => this.#row(item)));
    if (focused) find(`#rooms [data-room="${CSS.escape(focused)}"]`)?.focus();
    find('#invitations').replaceChildren(
      ...this.#invitations.map((one) => this.#invitation(one)),
      ...this.#requests.map((one) => this.#request(one)),
    );
  }

  #row(item) {
    // What is read in the lobby is not kept.
    const mark = item.roomId === 'lobby' ? {} : (this.#session.chat.unreads.rooms[item.roomId] ?? {});
    const { unread = 0, mentions = 0, unreadMore, notify } = mark;
    const isCurrent = this.#session.room?.id === item.roomId;
    const name = this.nameOf(item.roomId, item.roomType === 'direct' ? this.peerOf(item) : undefined);
    const { content, userName, deleted, file } = item.lastMessage ?? {};
    const last = deleted ? 'deleted' : file ? file.fileName : content;
    const label = [name, mentions && `${mentions} mentions`, unread && `${unread} unread`].filter(Boolean).join(', ');
    const symbol = item.roomType === 'direct' ? '@' : item.roomType === 'private' ? '🔒' : '#';
    return h(
      'li',
      {},
      h(
        'button.room',
        {
          type: 'button',
          'aria-label': label,
          'aria-current': isCurrent && 'true',
          'data-room': item.roomId,
          className: notify === 'none' ? 'room quiet' : 'room',
          onclick: () => this.#open(item),
        },
        h('span.symbol', { 'aria-hidden': 'true' }, symbol),
        h('span.title', {}, name, last !== undefined && h('span.last', {}, userName ? `${userName}: ${last}` : last)),
        mentions > 0 && h('span.badge.mention', {}, `@${mentions}`),
        unread > 0 && h('span.badge', {}, unreadMore ? `${unread}+` : `${unread}`),
      ),
    );
  }

  #invitation({ roomId, roomName = roomId, by }) {
    const decline = async () => {
      await attempt(() => this.#session.chat.declineInvite({ roomId }));
      await this.refresh();
    };
    return h(
      'li.invitation',
      {},
      h('p', {}, named(by, by), ` invites you to ${roomName}`),
      h(
        'div.buttons',
        {},
        h('button.primary', { type: 'button', onclick: () => this.#session.join(roomId) }, 'Accept'),
        h('button', { type: 'button', onclick: decline }, 'Decline'),
      ),
    );
  }

  #request({ roomId, by, userName = by }) {
    const { chat } = this.#session;
    const block = async () => {
      await attempt(() => chat.blockUser({ userId: by }), `${userName} is blocked`);
      // Who is blocked writes no more, but the request is dismissed by leaving only.
      await attempt(() => chat.leaveRoom({ roomId }));
      await this.refresh();
    };
    return h(
      'li.invitation',
      {},
      h('p', {}, named(userName, by), ' wants to write to you'),
      h(
        'div.buttons',
        {},
        h('button.primary', { type: 'button', onclick: () => this.#session.direct(by) }, 'Read'),
        h('button', { type: 'button', onclick: block }, 'Block'),
      ),
    );
  }
}
