// The open room: its header, its messages, and who is typing.

import { Composer } from './composer.js';
import { attempt, dayOf, find, h, iconButton, reasonOf, soon } from './dom.js';
import { messageItem } from './message.js';

/** Messages of a user within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
/** So far from the end of the list it still counts as its end. */
const NEAR_END_PX = 80;
const LOAD_OLDER_PX = 300;
const READ_MS = 400;
/** As many pages are loaded to show an old message. */
const MOST_PAGES = 200;

export class Conversation {
  room;
  #stop = () => {};
  /** By key: the message as it is shown, and its item. */
  #shown = new Map();
  #isLoading = false;
  #isAtEnd = true;
  /** While a mark was set back by hand, reading on does not undo it. */
  #keepsUnread = false;
  /** All messages after this one were unread when the room was opened. */
  #newFrom;
  #read = soon(() => this.#markRead(), READ_MS);

  constructor(session) {
    this.session = session;
    this.composer = new Composer(this);
    const scroller = find('#scroller');
    scroller.onscroll = () => this.#scrolled();
    new ResizeObserver(() => this.#isAtEnd && this.#toEnd()).observe(find('#messages'));
    find('#messages').onkeydown = (event) => this.#move(event);
    document.onvisibilitychange = () => this.#read();
    addEventListener('focus', () => this.#read());
  }

  get canModerate() {
    const role = this.room?.members.find(({ userId }) => userId === this.session.me)?.role;
    return role === 'owner' || role === 'admin';
  }

  empty() {
    find('#room-header').replaceChildren();
    find('#messages').replaceChildren(h('li.system', {}, 'Choose a room, or create one.'));
  }

  open(room) {
    this.#stop();
    this.room = room;
    this.#shown.clear();
    find('#messages').replaceChildren();
    [this.#isAtEnd, this.#keepsUnread, this.#newFrom] = [true, false, undefined];
    const mark = this.session.chat.unreads.rooms[room.id];
    if (mark?.unread > 0) this.#newFrom = mark.lastReadSeq;
    // Once for all that happens in a frame of the screen.
    let isPlanned = false;
    const plan = () => {
      if (isPlanned) return;
      isPlanned = true;
      const draw = () => {
        isPlanned = false;
        if (this.room === room) this.render();
      };
      // A hidden page has no frames.
      if (document.visibilityState === 'visible') requestAnimationFrame(draw);
      else setTimeout(draw, 100);
    };
    this.#stop = room.on('change', plan);
    room.ready.catch(() => {});
    this.composer.open(room);
    this.render();
    find('#input').focus();
  }

  /** Reads a new message aloud, if it is of somebody else. */
  announce(room, message) {
    if (message.userId === this.session.me) return;
    const where = room === this.room ? '' : `in ${this.session.rooms.nameOf(room.id, room.peer)}, `;
    const live = find('#live');
    live.append(h('p', {}, `${where}${message.userName}: ${message.content ?? message.file?.fileName ?? ''}`));
    while (live.children.length > 20) live.firstChild.remove();
  }

  render() {
    this.#renderHeader();
    this.#renderMessages();
    this.#renderTyping();
    this.composer.render();
    this.session.details.changed();
    this.#read();
  }

  #renderHeader() {
    const { room, session } = this;
    const online = room.members.filter((member) => member.online).length;
    const { participantCount, nextCursor, mode = {} } = room.info ?? {};
    const count = nextCursor ? participantCount : room.members.length;
    const isOffline = session.chat.state !== 'live';
    const parts = [
      isOffline && 'not connected: messages wait',
      room.members.length > 0 && `${count} members, ${online} online`,
      mode.write === 'admins' && 'only admins write',
      mode.slowSeconds > 0 && `one message in ${mode.slowSeconds} s`,
      room.status === 'closed' && 'closed',
      room.status === 'left' && 'you have left',
    ];
    const key = JSON.stringify([room.id, session.rooms.nameOf(room.id, room.peer), parts]);
    const header = find('#room-header');
    if (header.dataset.key === key) return;
    header.dataset.key = key;
    const back = iconButton('back', 'Back to the rooms', () => (find('#app').dataset.shows = 'rooms'), 'icon back');
    header.replaceChildren(
      back,
      h(
        'div.title',
        {},
        h('h2', {}, session.rooms.nameOf(room.id, room.peer)),
        h('p.small', {}, parts.filter(Boolean).join(' · ')),
      ),
      iconButton('search', 'Search in this room', () => session.details.open('search')),
      iconButton('pin', 'Pinned messages', () => session.details.open('pins')),
      iconButton('members', 'Members and settings', () => session.details.open('members')),
    );
  }

  #renderMessages() {
    const { room } = this;
    const list = find('#messages');
    const scroller = find('#scroller');
    const [height, top] = [scroller.scrollHeight, scroller.scrollTop];
    const wasFirst = list.firstElementChild;
    const items = [];
    const shown = new Map();
    if (!room.hasOlder && room.status === 'open') items.push(this.#note('begin', 'This is the beginning.', shown));
    if (room.status === 'opening') items.push(this.#note('opening', 'Loading …', shown));
    if (room.status === 'refused') items.push(this.#note('refused', reasonOf(room.error), shown));
    const viewer = { me: this.session.me, canModerate: this.canModerate };
    let previous;
    for (const message of room.messages) {
      const known = this.#shown.get(message.clientMessageId ?? message.seq);
      const day = known?.message === message ? known.day : new Date(message.createdAt).toDateString();
      if (previous && previous.day !== day) items.push(this.#note(`day ${day}`, dayOf(message.createdAt), shown));
      const isFirstNew = message.seq === this.#newFrom + 1;
      if (isFirstNew) items.push(this.#note('new', 'New messages', shown, 'new'));
      const isContinued = !isFirstNew && this.#continues(previous, message, day);
      items.push(this.#item(message, day, isContinued, shown, viewer));
      previous = { message, day };
    }
    this.#shown = shown;
    reconcile(list, items);
    this.#rove();
    if (this.#isAtEnd) this.#toEnd();
    // Older messages came above: what was looked at stays where it was.
    else if (list.firstElementChild !== wasFirst && top < LOAD_OLDER_PX)
      scroller.scrollTop = top + scroller.scrollHeight - height;
    this.#scrolled();
  }

  #continues(previous, message, day) {
    const { message: last } = previous ?? {};
    return (
      Boolean(last) &&
      previous.day === day &&
      last.userId === message.userId &&
      !last.system &&
      !message.parent &&
      Date.parse(message.createdAt) - Date.parse(last.createdAt) < TOGETHER_MS
    );
  }

  #note(key, text, shown, className = '') {
    const known = this.#shown.get(key);
    const item = known?.text === text ? known.item : h('li', { className: `divider ${className}` }, text);
    shown.set(key, { text, item });
    return item;
  }

  #item(message, day, isContinued, shown, { me, canModerate }) {
    const key = message.clientMessageId ?? message.seq;
    const known = this.#shown.get(key);
    if (
      known &&
      known.message === message &&
      known.isContinued === isContinued &&
      known.canModerate === canModerate
    ) {
      shown.set(key, known);
      return known.item;
    }
    const isMine = message.userId === me;
    const item = messageItem(this, message, { isContinued, isMine });
    if (known?.item.contains(document.activeElement)) queueMicrotask(() => item.focus());
    shown.set(key, { message, day, isContinued, item, canModerate });
    return item;
  }

  /** The list is one stop for Tab: its last message, or where the focus is. Arrows move in it. */
  #rove() {
    const list = find('#messages');
    const current = list.querySelector('li[tabindex="0"]');
    if (current && list.contains(document.activeElement)) return;
    if (current) current.tabIndex = -1;
    const items = list.querySelectorAll('li[tabindex]');
    if (items.length > 0) items[items.length - 1].tabIndex = 0;
  }

  #move(event) {
    const { key, target } = event;
    const item = target.closest('li[tabindex]');
    if (!item || (target !== item && key !== 'Escape')) return;
    if (key === 'Escape') return find('#input').focus();
    const items = [...find('#messages').querySelectorAll('li[tabindex]')];
    const at = items.indexOf(item);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: items.length - 1 }[key];
    if (to === undefined) return undefined;
    event.preventDefault();
    if (to >= items.length) return find('#input').focus();
    const next = items[Math.max(0, to)];
    item.tabIndex = -1;
    next.tabIndex = 0;
    return next.focus();
  }

  #renderTyping() {
    const names = this.room.typing.filter(({ userId }) => userId !== this.session.me).map(({ userName }) => userName);
    const text =
      names.length > 3
        ? 'Several people are typing …'
        : names.length > 0
          ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing …`
          : '';
    if (find('#typing').textContent !== text) find('#typing').textContent = text;
  }

  #toEnd() {
    find('#scroller').scrollTop = find('#scroller').scrollHeight;
  }

  /** Shows the end of the list, and stays there. */
  toEnd() {
    this.#isAtEnd = true;
    this.#toEnd();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = find('#scroller');
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.#isAtEnd) this.#read();
    if (scrollTop < LOAD_OLDER_PX) this.#loadOlder();
  }

  async #loadOlder() {
    const { room } = this;
    if (this.#isLoading || !room?.hasOlder || room.status === 'opening') return;
    this.#isLoading = true;
    try {
      await room.before();
    } catch {
      // It is tried again with the next scroll.
    } finally {
      this.#isLoading = false;
    }
  }

  #markRead() {
    const { room } = this;
    const isSeen = this.#isAtEnd && document.visibilityState === 'visible' && document.hasFocus();
    if (!room || !isSeen || this.#keepsUnread || room.status !== 'open' || room.unread === 0) return;
    // Nobody keeps track of what is read in the lobby.
    if (room.id === 'lobby') return;
    room.markRead().catch(() => {});
  }

  async markUnread(seq) {
    this.#keepsUnread = true;
    await this.session.chat.markUnread({ roomId: this.room.id, seq });
    await this.session.chat.loadUnreads();
  }

  /** Scrolls to a message; what is not loaded yet is loaded. */
  async show(seq) {
    const { room } = this;
    await attempt(async () => {
      for (let pages = 0; room.hasOlder && pages < MOST_PAGES; pages += 1) {
        if (room.messages[0]?.seq <= seq) break;
        await room.before(100);
      }
    });
    this.#isAtEnd = false;
    this.render();
    const item = find(`#messages [data-seq="${seq}"]`);
    if (!item) return;
    item.scrollIntoView({ block: 'center' });
    item.focus();
    item.classList.add('found');
    setTimeout(() => item.classList.remove('found'), 2_000);
  }
}

/** Makes `items` the children of a list, and touches only what differs. */
function reconcile(list, items) {
  const wanted = new Set(items);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  let next = list.firstElementChild;
  for (const item of items) {
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
  }
}
