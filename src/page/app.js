// The page: signs in, connects, and puts its parts together.

import { Switchboard } from '/client/switchboard.js';
import { Conversation } from './conversation.js';
import { Details } from './details.js';
import { ask, attempt, find, h, named, reasonOf, soon } from './dom.js';
import { Hood } from './hood.js';
import { Nearby } from './nearby.js';
import { Rooms } from './rooms.js';

const pane = new URLSearchParams(location.search).get('pane') ?? '1';
const isFirst = pane === '1';
/** Where a reload finds who was signed in, for this tab and pane. */
const IDENTITY = `switchboard.identity ${pane}`;
const SECOND = 'switchboard.second';
/** These change the list of rooms. */
const CHANGES_ROOMS = new Set(['joined', 'left', 'invited', 'request', 'room-closed', 'added']);
const STATES = {
  connecting: 'Connecting',
  resuming: 'Catching up',
  live: 'Online',
  waiting: 'Offline',
  closed: 'Signed out',
};

/** What the parts of the page share: the client, the open room, and how to open another. */
class Session {
  /** The open room. */
  room;
  /** Own reactions, as far as they are known: by room, seq and emoji. */
  reactions = new Map();

  constructor(config, identity) {
    const name = encodeURIComponent(identity.name ?? '');
    const query = identity.token ? '' : `?userId=${name}&username=${name}`;
    const { token } = identity;
    this.chat = new Switchboard({ url: config.websocket + query, httpUrl: location.origin, token });
    this.config = config;
    this.hasLobby = false;
    this.conversation = new Conversation(this);
    this.details = new Details(this);
    this.rooms = new Rooms(this);
    this.nearby = new Nearby(this);
    this.hood = new Hood(this);
    this.#listen();
  }

  get me() {
    return this.chat.user?.userId;
  }

  #listen() {
    const { chat } = this;
    const refresh = soon(() => chat.state === 'live' && this.rooms.refresh(), 300);
    chat.on('state', ({ state }) => {
      showState(state);
      if (this.room) this.conversation.render();
      if (state === 'live') refresh();
    });
    chat.on('hello', ({ user }) => {
      find('#me').replaceChildren(named(user.userName, user.userId));
    });
    chat.on('frame', ({ direction, frame }) => {
      if (direction === 'out') return;
      if (frame.type === 'hello') this.hasLobby = frame.lobby;
      if (frame.type === 'reactions' && frame.by.userId === this.me) {
        this.reactions.set(`${frame.roomId} ${frame.seq} ${frame.by.emoji}`, frame.by.on);
      }
      const isUnknown = frame.type === 'message' && !this.rooms.has(frame.roomId);
      const isRenamed = frame.type === 'message' && frame.system;
      if (CHANGES_ROOMS.has(frame.type) || isUnknown || isRenamed) refresh();
    });
    chat.on('unreads', () => {
      this.rooms.render();
      const { lobby, ...rooms } = chat.unreads.rooms;
      const unread = Object.values(rooms).reduce((sum, mark) => sum + mark.unread, 0);
      document.title = `${unread > 0 ? `(${unread}) ` : ''}${chat.user.userName} · Switchboard`;
    });
    chat.on('message', ({ room, message }) => {
      // Such as of a stranger who has been answered.
      if (!this.rooms.has(room.id)) refresh();
      this.rooms.seen(room, message);
      this.conversation.announce(room, message);
    });
  }

  /** Shows a room, and follows it from now on. */
  open(room) {
    this.room = room;
    find('#app').dataset.shows = 'conversation';
    sessionStorage.setItem(`${IDENTITY} room`, JSON.stringify({ id: room.id, peer: room.peer }));
    this.details.close();
    this.conversation.open(room);
    this.rooms.render();
  }

  /** Shows the room that was open before a reload, or the lobby. */
  async openFirst() {
    const last = JSON.parse(sessionStorage.getItem(`${IDENTITY} room`) ?? 'null');
    if (last?.peer) return this.open(await this.chat.direct(last.peer));
    if (last) return this.open(this.chat.room(last.id));
    if (this.hasLobby) return this.open(this.chat.room('lobby'));
    return this.conversation.empty();
  }

  async join(roomId, request) {
    const known = this.chat.rooms.find(({ id }) => id === roomId);
    if (!(await attempt(() => (known ? known.join(request) : this.chat.joinRoom({ roomId, ...request }))))) return;
    await this.rooms.refresh();
    this.open(this.chat.room(roomId));
  }

  async direct(userId) {
    const room = await attempt(() => this.chat.direct(userId));
    if (room) this.open(room);
  }
}

function showState(state) {
  const shown = find('#state');
  shown.dataset.state = state;
  shown.textContent = STATES[state] ?? state;
}

async function createRoom(session) {
  const values = await ask({
    title: 'Create a room',
    fields: [
      { name: 'roomName', label: 'Name', required: true, maxlength: 128 },
      {
        name: 'roomType',
        label: 'Who can join',
        options: [
          ['public', 'Everybody'],
          ['private', 'Who is invited'],
        ],
      },
      { name: 'members', label: 'Members (user ids, separated by commas)' },
    ],
    action: 'Create',
  });
  if (!values) return;
  const members = values.members
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);
  const request = { ...values, members: members.length > 0 ? members : undefined };
  const frame = await attempt(() => session.chat.createRoom(request));
  if (!frame) return;
  await session.rooms.refresh();
  session.open(session.chat.room(frame.roomId));
}

async function joinRoom(session) {
  const values = await ask({
    title: 'Join a room',
    fields: [
      { name: 'roomId', label: 'Room id', required: true },
      { name: 'invite', label: 'Invite, for a private room' },
    ],
    action: 'Join',
  });
  if (values) await session.join(values.roomId, values.invite ? { invite: values.invite } : {});
}

async function writeTo(session) {
  const fields = [{ name: 'userId', label: 'User id', required: true }];
  const values = await ask({ title: 'Write to somebody', fields, action: 'Open' });
  if (values) await session.direct(values.userId);
}

/** A second pane beside the first: the same page in a frame, with its own user. */
function toggleSecond(button) {
  const open = find('#second');
  if (open) open.remove();
  else find('#panes').append(h('iframe', { id: 'second', title: 'Second user', src: '/?pane=2' }));
  sessionStorage.setItem(SECOND, open ? '' : 'open');
  button.setAttribute('aria-pressed', String(!open));
}

function addButtons(session) {
  const button = (label, onclick) => h('button', { type: 'button', onclick }, label);
  find('#room-buttons').replaceChildren(
    button('New room', () => createRoom(session)),
    button('Join', () => joinRoom(session)),
    button('Write to', () => writeTo(session)),
    button('Nearby', () => session.nearby.open()),
  );
  const second = h(
    'button',
    {
      type: 'button',
      id: 'two',
      'aria-pressed': 'false',
      onclick: () => toggleSecond(second),
    },
    'Try it as two people',
  );
  const hood = h(
    'button',
    {
      type: 'button',
      id: 'open-hood',
      'aria-expanded': 'false',
      'aria-controls': 'hood',
      onclick: () => hood.setAttribute('aria-expanded', String(session.hood.toggle())),
    },
    'Under the hood',
  );
  const out = button('Sign out', () => {
    for (const key of [IDENTITY, `${IDENTITY} room`]) sessionStorage.removeItem(key);
    session.chat.close();
    location.reload();
  });
  find('#app-buttons').replaceChildren(...(isFirst ? [second] : []), hood, out);
  if (isFirst && sessionStorage.getItem(SECOND) === 'open') toggleSecond(second);
}

function askWho(needsToken, failure = '') {
  find('#start').hidden = false;
  find('#panes').hidden = true;
  find('#name-field').hidden = needsToken;
  find('#name-field input').required = !needsToken;
  find('#token-field').hidden = !needsToken;
  if (needsToken) find('#start-text').textContent = 'Paste a token. scripts/token prints one.';
  else if (!isFirst) find('#start-text').textContent = 'Pick a name for the second person.';
  find('#start-failure').textContent = failure;
  const input = find(needsToken ? '#token-field textarea' : '#name-field input');
  input.focus();
  return new Promise((resolve) => {
    find('#sign-in').addEventListener('submit', (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (!value) return;
      find('#start-failure').textContent = '';
      resolve(needsToken ? { token: value } : { name: value });
    });
  });
}

/** Why the server refuses a name: browsers hide it when a handshake fails. */
async function checkName({ name }) {
  if (name === undefined) return;
  const answer = await fetch(`/me?userId=${encodeURIComponent(name)}`);
  if (answer.status === 400) throw new Error((await answer.json()).message);
}

async function enter(config, identity) {
  await checkName(identity);
  const session = new Session(config, identity);
  find('#start').hidden = true;
  find('#panes').hidden = false;
  showState('connecting');
  addButtons(session);
  try {
    await session.chat.connect();
  } catch (error) {
    sessionStorage.removeItem(IDENTITY);
    throw error;
  }
  sessionStorage.setItem(IDENTITY, JSON.stringify(identity));
  await session.rooms.refresh();
  await attempt(() => session.openFirst());
}

async function start() {
  const config = await (await fetch('/page/config.json')).json();
  // Without tokens a name is enough.
  const needsToken = (await fetch('/me?userId=page')).status === 401;
  document.body.dataset.pane = pane;
  let identity = JSON.parse(sessionStorage.getItem(IDENTITY) ?? 'null');
  for (let failure = ''; ; ) {
    identity ??= await askWho(needsToken, failure);
    try {
      return await enter(config, identity);
    } catch (error) {
      [identity, failure] = [undefined, reasonOf(error)];
    }
  }
}

await start();
