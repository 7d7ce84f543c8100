/**
 * The client of Switchboard: one connection that repairs itself, an outbox that survives a reload, and a small model of
 * each room. README.md in this folder introduces it; switchboard.d.ts describes all that is public.
 * @module
 */

/** Every action of the protocol: a method of `Switchboard`, which takes the frame's fields and returns the answer. */
export const ACTIONS = Object.freeze([
  'ping', 'hello', 'createRoom', 'joinRoom', 'leaveRoom', 'roomInfo', 'closeRoom', 'addMembers', 'declineInvite',
  'removeMember', 'banMember', 'unbanMember', 'setRole', 'muteMember', 'unmuteMember', 'reportMessage', 'listInvites',
  'revokeInvite', 'sendMessage', 'sendMessages', 'editMessage', 'deleteMessage', 'react', 'getReactions', 'pinMessage',
  'unpinMessage', 'listPins', 'broadcastMessage', 'typingIndicator', 'handleFileUpload', 'getFile', 'getMessages',
  'resume', 'markRead', 'listRooms', 'blockUser', 'unblockUser', 'listBlocked', 'unreads', 'setNotify', 'markUnread',
  'setRoomMode', 'renameRoom', 'searchMessages', 'refreshToken',
]);

const SUBPROTOCOL = 'switchboard.v1';
const MINUTE = 60_000;
const BACKOFF_MS = [500, 20_000];
/** The first wait after the server closed a connection: then it has closed many, and they do not all return at once. */
const AFTER_CLOSE_MS = 5_000;
const HANDSHAKE_MS = 15_000;
const REQUEST_MS = 20_000;
/** After this time without an answer a frame is sent again: its answer was lost. */
const ANSWER_MS = 15_000;
const PROBE_MS = 5_000;
const PONG_MS = 10_000;
/** How long a missing message may take: answers and posts come in any order. */
const HOLE_MS = 1_000;
/** API Gateway closes a connection after two hours, or after ten quiet minutes. */
const ROTATE_AFTER_MS = [110 * MINUTE, 118 * MINUTE];
const PING_AFTER_MS = [4 * MINUTE, 8 * MINUTE];
/** A token is renewed this long before it ends. */
const RENEW_MS = MINUTE;
const UPLOADED_MS = MINUTE;
const [ROOMS_PER_RESUME, MESSAGES_PER_FRAME, MENTIONS_PER_FRAME] = [50, 20, 20];
const RELOADED_PAGES = 5;
const MOST_UNREAD = 99;
const EXCERPT_CHARACTERS = 140;
const TYPING_EVERY_MS = 3_000;
const DEFAULT_LIMITS = { contentBytes: 16_384, frameBytes: 32_768 };
/** What the fields around the messages take of a frame. */
const ENVELOPE_BYTES = 1_024;

/** Errors after which the same request can succeed. */
const RETRYABLE = new Set(['RATE_LIMITED', 'SLOW_MODE', 'ROOM_RATE', 'ROOM_BUSY', 'UNAVAILABLE', 'INTERNAL']);
/** Errors after which the connection ends: the request was not carried out. */
const ENDS_CONNECTION = new Set(['RECONNECT', 'SESSION_EXPIRED', 'UNAUTHORIZED']);
/** Not repeated when the answer is lost: it would be done twice. */
const DONE_TWICE = new Set(['createRoom']);
/** A repeat of these is recognised by its `clientMessageId`. */
const WITH_ID = new Set(['sendMessage', 'broadcastMessage', 'editMessage']);
/** Actions after which somebody is no longer a member, and why. */
const LEFT_BY = { leaveRoom: 'left', removeMember: 'removed', banMember: 'banned' };
const CHANGES = new Set(['edited', 'deleted', 'reactions', 'pinned', 'unpinned']);

export class SwitchboardError extends Error {
  constructor({ code, message, ...details }) {
    super(message ?? code);
    Object.assign(this, { name: 'SwitchboardError', code }, details);
  }
}

const failure = (code, message) => new SwitchboardError({ code, message });
/** Why a request was given up. React Native's signals do not tell. */
const reasonOf = (signal) => signal.reason ?? failure('ABORTED', 'the request was cancelled');
const bytesOf = (text) => new TextEncoder().encode(text).length;
const isDirect = (roomId) => roomId.startsWith('dm-');
const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const encoded = (query) => Object.entries(query).map((pair) => pair.map(encodeURIComponent).join('=')).join('&');

/** The query of an address; React Native's `URL` cannot read it. */
function queryOf(url) {
  const pairs = (url.split('?')[1] ?? '').split('&').map((pair) => pair.split('=').map(decodeURIComponent));
  return Object.fromEntries(pairs.filter(([, value]) => value));
}

/** Pages without TLS and React Native have no `randomUUID`. */
function newId() {
  const digit = () => Math.floor(Math.random() * 16).toString(16);
  return globalThis.crypto?.randomUUID?.() ?? Array.from({ length: 32 }, digit).join('');
}

/** The claims of a token, not verified; nothing for a token of another kind. */
function claimsOf(token = '') {
  try {
    const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** A promise with its functions. Nobody has to handle its failure. */
function deferred() {
  const one = {};
  one.promise = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
  one.promise.catch(() => {});
  return one;
}

/** Removes what a map has up to a key. */
function dropUpTo(map, last) {
  for (const key of map.keys()) if (key <= last) map.delete(key);
}

class Emitter {
  #listeners = new Map();

  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.off(type, listener);
  }

  once(type, listener) {
    const stop = this.on(type, (event) => (stop(), listener(event)));
    return stop;
  }

  off(type, listener) { this.#listeners.get(type)?.delete(listener); }

  _emit(type, details) {
    const event = { type, ...details };
    for (const listener of [type, '*'].flatMap((one) => [...(this.#listeners.get(one) ?? [])])) {
      try {
        listener(event);
      } catch (error) {
        // A listener that fails must not stop the connection.
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}

/** Keeps texts in the browser, for all its tabs. */
class IndexedDbStore {
  #database;

  async #run(mode, act) {
    this.#database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open('switchboard', 1);
      request.onupgradeneeded = () => request.result.createObjectStore('texts');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const transaction = (await this.#database).transaction('texts', mode);
    return new Promise((resolve, reject) => {
      const request = act(transaction.objectStore('texts'));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }

  getItem(key) { return this.#run('readonly', (texts) => texts.get(key)); }

  /** Replaces a text by what `change` makes of it, in one step for all tabs. */
  update(key, change) {
    return this.#run('readwrite', (texts) => {
      const request = texts.get(key);
      request.onsuccess = () => texts.put(change(request.result), key);
      return request;
    });
  }
}

function memoryStore() {
  const texts = new Map();
  return { getItem: (key) => texts.get(key), setItem: (key, text) => void texts.set(key, text) };
}

const systemClock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** A message of a frame, as the model has it. */
const messageOf = ({ type, requestId, duplicate, ...message }) => ({ ...message, status: 'sent' });
const revOf = (message) => message.rev ?? 0;
const seqsOf = (change) => change.seqs ?? [change.seq];

/** How a reply shows the message that it replies to. */
function parentOf({ seq, userId, userName, content = '', deleted }) {
  const excerpt = deleted ? '' : Array.from(content).slice(0, EXCERPT_CHARACTERS).join('');
  return { seq, userId, userName, excerpt, ...(deleted && { deleted: true }) };
}

/** A message after a change, which is a later one than the message has. */
function changed(message, change) {
  const { type, rev, content, version, editedAt, counts = {}, deletedAt: at, deletedBy: by, reason } = change;
  if (type === 'edited') return { ...message, rev, content, version, editedAt };
  if (type === 'pinned') return { ...message, rev, pinned: true };
  const { pinned, ...unpinned } = message;
  if (type === 'unpinned') return { ...unpinned, rev };
  const { reactions, ...bare } = message;
  if (type === 'reactions') return { ...bare, rev, ...(Object.keys(counts).length > 0 && { reactions: counts }) };
  // From `resume`: the message as it is now.
  if (type !== 'deleted') return messageOf(change);
  for (const name of ['content', 'file', 'pinned', 'mentions', 'mentionRoom', 'data', 'version', 'editedAt']) {
    delete bare[name];
  }
  return { ...bare, rev, deleted: compact({ at, by, reason }) };
}

/** Whether a message counts as unread for a user, and as a mention. */
function forUser(message, userId) {
  const isForMe = message !== undefined && message.userId !== userId && !message.deleted && !message.system;
  return { isForMe, isMention: isForMe && (message.mentionRoom || message.mentions?.includes(userId)) === true };
}

/**
 * A room and what the client knows of it. `messages` are without gaps from the oldest that was loaded, in order; then
 * those of the outbox. Each change replaces the arrays and objects that it concerns.
 */
export class Room extends Emitter {
  status = 'opening';
  error;
  info;
  hasOlder = false;
  version = 0;
  #messages = new Map();
  #oldest = Infinity;
  #members = new Map();
  #typing = new Map();
  #reads = new Map();
  #cache = new Map();
  #ready = deferred();
  #isTouched = false;
  /** For each page that is on its way: the changes that came meanwhile, which it may not have. */
  #pages = new Set();
  #older;
  #hole;
  #lastTyping = 0;
  /** All up to `seq` and `rev` is applied; nothing before the first page. Another object after a reset. */
  _cursor;
  /** Frames that wait for earlier ones: messages by seq, changes by rev. */
  #ahead = new Map();
  #changes = new Map();
  /** A rev that is known to be there. */
  #told = 0;
  _resuming = false;
  #mustReload = false;

  constructor(chat, id, { peer, after } = {}) {
    super();
    Object.assign(this, { chat, id, peer });
    if (after !== undefined) this._cursor = { seq: after, rev: 0 };
  }

  get ready() { return this.#ready.promise; }

  get messages() {
    return this.#cached('messages', () => {
      const [log, last] = [[], this._cursor?.seq ?? 0];
      for (let seq = this.#oldest; seq <= last; seq += 1) {
        if (this.#messages.has(seq)) log.push(this.#messages.get(seq));
      }
      return [...log, ...this.chat._outbox.of(this).map((entry) => entry.message)];
    });
  }

  get members() { return this.#cached('members', () => [...this.#members.values()]); }

  get typing() {
    const shown = ({ userId, userName }) => ({ userId, userName });
    return this.#cached('typing', () => Array.from(this.#typing.values(), shown));
  }

  get reads() {
    return this.#cached('reads', () => Object.fromEntries(Array.from(this.#reads, ([user, { seq }]) => [user, seq])));
  }

  get unread() { return this.chat.unreads.rooms[this.id]?.unread ?? 0; }

  #cached(name, make) {
    if (!this.#cache.has(name)) this.#cache.set(name, make());
    return this.#cache.get(name);
  }

  /** Ends what was cached; listeners of `change` hear of it once for all that happens at a time. */
  _touch(name) {
    this.version += 1;
    this.#cache.delete(name);
    if (this.#isTouched) return;
    this.#isTouched = true;
    queueMicrotask(() => {
      this.#isTouched = false;
      super._emit('change', { room: this });
    });
  }

  _emit(type, details) {
    super._emit(type, { room: this, ...details });
    this.chat._emit(type, { room: this, ...details });
  }

  #show(name, type, details) {
    this._touch(name);
    this._emit(type, details);
  }

  async *[Symbol.asyncIterator]() {
    let [events, wake] = [[], () => {}];
    const push = (event) => (event.type !== 'change' && event.type !== 'state' && events.push(event), wake());
    const stops = [this.on('*', push), this.chat.on('state', push)];
    try {
      while (events.length > 0 || this.chat.state !== 'closed') {
        if (events.length > 0) yield events.shift();
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      stops.forEach((stop) => stop());
    }
  }

  // What a user does in the room.

  send(content, { replyTo, data, mentions, mentionRoom } = {}) {
    return this.chat._outbox.add(this, compact({ content, replyTo, data, mentions, mentionRoom })).done.promise;
  }

  /** Sends a refused message again, under an id of its own. */
  async retry(clientMessageId) {
    const entry = this.chat._outbox.remove(clientMessageId);
    if (!entry) throw failure('MESSAGE_NOT_FOUND', 'there is no such message in the outbox');
    return this.send(entry.draft.content, entry.draft);
  }

  discard(clientMessageId) { return this.chat._outbox.remove(clientMessageId) !== undefined; }

  edit(seq, content, options) { return this.chat.editMessage({ roomId: this.id, seq, content }, options); }

  delete(seq, { reason, ...options } = {}) {
    return this.chat.deleteMessage({ roomId: this.id, seq, reason }, options);
  }

  react(seq, emoji, on = true, options = undefined) {
    return this.chat.react({ roomId: this.id, seq, emoji, on }, options);
  }

  async markRead(seq = this._cursor?.seq ?? 0) {
    if (seq < 1 || this.chat.unreads.rooms[this.id]?.lastReadSeq >= seq) return undefined;
    return this.chat.markRead({ roomId: this.id, seq });
  }

  setTyping(isTyping = true) {
    const now = this.chat._clock.now();
    if (isTyping ? now - this.#lastTyping < TYPING_EVERY_MS : this.#lastTyping === 0) return;
    this.#lastTyping = isTyping ? now : 0;
    this.chat.typingIndicator({ ...this._target, isTyping });
  }

  async join(request) {
    const frame = await this.chat.joinRoom({ ...request, roomId: this.id });
    this.#reopen();
    return frame;
  }

  leave() { return this.chat.leaveRoom({ roomId: this.id }); }

  async before(limit = 50) {
    if (!this._cursor || this.#oldest === Infinity) return [];
    this.#older ??= this.#page({ before: this.#oldest, limit }).finally(() => (this.#older = undefined));
    const page = await this.#older;
    if (page) this.hasOlder = page.hasMore;
    this._touch('messages');
    return page?.messages ?? [];
  }

  async moreMembers() {
    const cursor = this.info?.nextCursor;
    if (cursor) await this.chat.roomInfo({ roomId: this.id, cursor });
    return this.members;
  }

  upload(file, options) { return this.chat._upload(this, file, options); }

  close() {
    this.chat._forget(this);
    this.#endHole();
  }

  get _target() { return this.peer ? { recipientId: this.peer } : { roomId: this.id }; }
  _message(seq) { return this.#messages.get(seq); }
  _nameOf(userId) { return this.#members.get(userId)?.userName; }

  // Opening, and pages of the history.

  async _open() {
    try {
      if (!this._cursor) this._begin(await this.chat.getMessages({ ...this._target, limit: 50 }));
      await this.chat._resume([this]);
    } catch (error) {
      this._failed(error);
    }
  }

  _begin(page) {
    this.#reset({ seq: page.items.at(-1)?.seq ?? 0, rev: page.rev, epoch: page.epoch });
    this.#merge(page.items);
    this.hasOlder = page.hasMore;
    this._touch('messages');
  }

  /** Nothing is missing any more, and the room is subscribed to. */
  _caughtUp() {
    this._resuming = false;
    if (this.status === 'opening') {
      Object.assign(this, { status: 'open', error: undefined });
      this._touch();
      this._loadMembers();
    }
    this.#ready.resolve(this);
    this.#drain();
    if (this.#mustReload) this.#reload().catch(() => {});
  }

  _failed(error) {
    if (!(error.status < 500) || error.status === 429 || ENDS_CONNECTION.has(error.code)) {
      const again = () => this.chat.state === 'live' && this.status === 'opening' && this._open();
      this.chat._clock.setTimeout(again, 2 * HOLE_MS);
      return;
    }
    const status = error.code === 'ROOM_CLOSED' ? 'closed' : this.status === 'opening' ? 'refused' : 'left';
    Object.assign(this, { error, status, _resuming: false });
    this._touch();
    this.#ready.reject(error);
  }

  #reopen() {
    if (this.status === 'open' || this.status === 'opening') return;
    if (this.status === 'refused') this.#ready = deferred();
    this.status = 'opening';
    this._touch();
    if (this.chat.state === 'live') this._open();
  }

  /** A failure does not matter: they are loaded again after the next connect. */
  async _loadMembers() {
    if (!isDirect(this.id) && this.id !== 'lobby') await this.chat.roomInfo({ roomId: this.id }).catch(() => {});
  }

  #setInfo({ type, requestId, participants, ...info }, isMore) {
    this.info = compact({ ...this.info, ...(participants && { nextCursor: undefined }), ...info });
    if (participants && !isMore) this.#members.clear();
    for (const member of participants ?? []) this.#members.set(member.userId, member);
    this.#show('members', 'room', { info: this.info });
  }

  /** Reads a page and merges it; nothing if the room was reset in the meantime. */
  async #page(request) {
    const [cursor, missed] = [this._cursor, []];
    this.#pages.add(missed);
    try {
      const page = await this.chat.getMessages({ roomId: this.id, ...request });
      if (cursor !== this._cursor) return undefined;
      return { messages: this.#merge(page.items, missed), hasMore: page.hasMore, next: page.nextBefore };
    } finally {
      this.#pages.delete(missed);
    }
  }

  #merge(items, missed = []) {
    return items.map((item) => {
      let message = messageOf(item);
      for (const change of missed) {
        if (seqsOf(change).includes(message.seq) && change.rev > revOf(message)) message = changed(message, change);
      }
      const known = this.#messages.get(message.seq);
      this.#oldest = Math.min(this.#oldest, message.seq);
      this.chat._outbox.found(message);
      return known && revOf(known) >= revOf(message) ? known : this.#store(message);
    });
  }

  #store(message) {
    const parent = this.#messages.get(message.parent?.seq);
    const stored = parent ? { ...message, parent: parentOf(parent) } : message;
    this.#messages.set(stored.seq, stored);
    return stored;
  }

  #reset(cursor) {
    this.#messages.clear();
    this.#told = 0;
    this.#oldest = Infinity;
    this._cursor = cursor;
    this.chat._outbox.shown(this, Infinity);
  }

  /** Reads again what is shown, after too many changes to tell. */
  async #reload() {
    const oldest = this.#oldest;
    let [next, pages] = [this._cursor.seq + 1, 0];
    while (next > oldest && pages < RELOADED_PAGES) {
      const page = await this.#page({ before: next, limit: 100 });
      if (!page) return;
      [next, pages] = [page.next ?? 0, pages + 1];
    }
    if (next > oldest) {
      dropUpTo(this.#messages, next - 1);
      [this.#oldest, this.hasOlder] = [next, true];
    }
    this.#mustReload = false;
    this.#show('messages', 'discontinuity', { reason: 'changes' });
  }

  /** What is unread after a position, if all of it is loaded. */
  _unreadAfter(seq, userId) {
    if (this.status !== 'open' || (this.#oldest > seq + 1 && this.hasOlder)) return undefined;
    const count = { unread: 0, mentions: 0 };
    for (let at = this._cursor.seq; at > seq && at >= this.#oldest; at -= 1) {
      const { isForMe, isMention } = forUser(this.#messages.get(at), userId);
      count.unread += isForMe;
      count.mentions += isMention;
    }
    return count;
  }

  // What the server sends.

  /** Applies a frame of the room, or keeps it until its turn. `request` is what it answers. */
  _receive(frame, request) {
    const { type, userId, reason } = frame;
    if (type === 'message' || CHANGES.has(type)) {
      // `unchanged` comes with the message's last rev, which is of another change: that one may be missing.
      if (frame.unchanged) this.#told = Math.max(this.#told, revOf(frame));
      else if (type !== 'message') this.#changes.set(frame.rev, frame);
      else if (frame.seq > (this._cursor?.seq ?? 0)) this.#ahead.set(frame.seq, frame);
      else this.chat._outbox.found(frame);
      this.#drain();
    } else if (type === 'typing') this.#receiveTyping(frame);
    else if (type === 'presence') this.#receivePresence(frame);
    else if (type === 'read') this.#receiveRead(frame);
    else if (type === 'joined' || type === 'left') this.#receiveMember(frame);
    else if (type === 'room') this.#setInfo(frame, request?.cursor !== undefined);
    else if (type === 'room-closed') {
      this.status = 'closed';
      this.#show('status', type, { reason, userId });
    }
  }

  /** Applies the frames whose turn it is. A hole is given a second, then the log is asked. */
  #drain() {
    const cursor = this._cursor;
    if (!cursor || this._resuming || this.status === 'opening') return;
    for (let isMoving = true; isMoving; ) {
      const message = this.#ahead.get(cursor.seq + 1);
      if (message) this.#append(message);
      const change = this.#nextChange();
      if (change) this.#apply(change, change.rev);
      isMoving = message !== undefined || change !== undefined;
    }
    dropUpTo(this.#ahead, cursor.seq);
    dropUpTo(this.#changes, cursor.rev);
    if (this.#ahead.size + this.#changes.size === 0 && this.#told <= cursor.rev) return this.#endHole();
    // Once, however many frames come meanwhile.
    this.#hole ??= this.chat._clock.setTimeout(() => (this.#endHole(), this.chat._resumeSoon(this)), HOLE_MS);
  }

  #endHole() {
    this.chat._clock.clearTimeout(this.#hole);
    this.#hole = undefined;
  }

  /** The next change, if its messages are there: a change of a message that is still missing waits for it. */
  #nextChange() {
    const { seq, rev } = this._cursor;
    const isNext = (one) => one.rev > rev && (one.fromRev ?? one.rev) <= rev + 1;
    const next = [...this.#changes.values()].find(isNext);
    return next && seqsOf(next).every((one) => one <= seq) ? next : undefined;
  }

  #append(frame) {
    const message = this.#store(messageOf(frame));
    this.#oldest = Math.min(this.#oldest, message.seq);
    this._cursor.seq = message.seq;
    this.chat._outbox.found(message);
    this.chat._outbox.shown(this, message.seq);
    this.#endTyping(message.userId);
    this.chat._countUnread(this.id, message);
    const { mode = this.info?.mode, roomName = this.info?.roomName } = message.system ?? {};
    if (message.system && this.info) this.#setInfo({ mode, roomName });
    this.#show('messages', 'message', { message });
  }

  /** Applies a change; with `rev` it is the next one. */
  #apply(change, rev = this._cursor.rev) {
    for (const missed of this.#pages) missed.push(change);
    const cause = change.type === 'message' ? 'resumed' : change.type;
    for (const seq of seqsOf(change)) {
      const before = this.#messages.get(seq);
      if (before && change.rev > revOf(before)) {
        const message = this.#store(changed(before, change));
        this._emit('changed', { message, before, cause });
      }
      if (['edited', 'deleted', 'resumed'].includes(cause)) this.#showInReplies(seq, change);
    }
    this._cursor.rev = rev;
    this._touch('messages');
    if (cause === 'deleted' || change.deleted) this.chat._recountUnread(this.id);
  }

  /** Shows a message after a change in the replies to it, also where it is not loaded itself. */
  #showInReplies(seq, change) {
    const { content, deleted = change.type === 'deleted' } = this.#messages.get(seq) ?? change;
    for (const reply of this.#messages.values()) {
      if (reply.parent?.seq !== seq) continue;
      this.#messages.set(reply.seq, { ...reply, parent: parentOf({ ...reply.parent, content, deleted }) });
    }
  }

  /** Applies what `resume` answers for the room. Returns whether there is more. */
  _fold(answer) {
    const reason = [undefined, answer.epoch].includes(this._cursor.epoch) ? 'expired' : 'epoch';
    if (answer.reset) {
      this.#reset({ seq: answer.oldestSeq - 1, rev: 0 });
      this.#ahead.clear();
      this.#changes.clear();
      this.hasOlder = false;
    }
    for (const item of answer.changes ?? []) this.#apply(item);
    for (const item of answer.items) {
      if (item.seq > this._cursor.seq) this.#append(item);
      else this.#apply(item);
    }
    const cursor = this._cursor;
    if (answer.complete) cursor.seq = Math.max(cursor.seq, answer.lastSeq);
    Object.assign(cursor, { rev: Math.max(cursor.rev, answer.rev), epoch: answer.epoch });
    this.chat._outbox.shown(this, cursor.seq);
    this._touch('messages');
    if (answer.closed) this.status = 'closed';
    this.#mustReload ||= answer.changesReset === true;
    if (answer.reset && this.status !== 'opening') this._emit('discontinuity', { reason });
    return !answer.complete;
  }

  #receiveTyping({ userId, userName, isTyping, at, until }) {
    const known = this.#typing.get(userId);
    if (known?.at > at) return;
    if (!isTyping) return this.#endTyping(userId);
    this.chat._clock.clearTimeout(known?.timer);
    // By the server's own times: the clocks may differ.
    const ms = Date.parse(until) - Date.parse(at);
    const timer = this.chat._clock.setTimeout(() => this.#endTyping(userId), ms);
    this.#typing.set(userId, { userId, userName, at, timer });
    this.#show('typing', 'typing', { userId, userName, isTyping });
  }

  #endTyping(userId) {
    const known = this.#typing.get(userId);
    if (!this.#typing.delete(userId)) return;
    this.chat._clock.clearTimeout(known.timer);
    this.#show('typing', 'typing', { userId, userName: known.userName, isTyping: false });
  }

  #receivePresence({ userId, status, at }) {
    const member = this.#members.get(userId) ?? { userId, userName: userId };
    if (member.at > at) return;
    const online = status === 'online';
    this.#members.set(userId, { ...member, online, at });
    if (!online) this.#endTyping(userId);
    this.#show('members', 'presence', { userId, online, at });
  }

  #receiveRead({ userId, seq, at }) {
    if (userId === this.chat.user?.userId || this.#reads.get(userId)?.at > at) return;
    this.#reads.set(userId, { seq, at });
    this.#show('reads', 'read', { userId, seq, at });
  }

  #receiveMember({ type, userId, userName, reason }) {
    const isMe = userId === this.chat.user?.userId;
    if (type === 'joined') {
      if (isMe) this.#reopen();
      this.#members.set(userId, { role: 'member', online: true, ...this.#members.get(userId), userId, userName });
    } else {
      if (isMe) this.status = 'left';
      this.#members.delete(userId);
      this.#endTyping(userId);
    }
    const { nextCursor, participantCount: count } = this.info ?? {};
    const participantCount = nextCursor ? count + (type === 'joined' ? 1 : -1) : this.#members.size;
    if (this.info) this.info = { ...this.info, participantCount };
    this.#show('members', type, compact({ userId, userName, reason }));
  }
}

/** The messages that wait for their answers, in order. They are kept in the store until the server has answered. */
class Outbox {
  #chat;
  #entries = [];
  /** Rooms with a frame on its way, or that wait until they may send again. */
  #busy = new Set();
  /** Where they are stored: known as soon as it is known whose they are. */
  #key = deferred();
  #stored = this.#key.promise.then((key) => this.#read(key)).catch((error) => this.#chat._emit('error', { error }));

  constructor(chat) { this.#chat = chat; }

  get size() { return this.#entries.filter((entry) => entry.status === 'pending').length; }

  of(room) {
    const last = room._cursor?.seq ?? 0;
    return this.#entries.filter((entry) => entry.roomId === room.id && !(entry.seq <= last));
  }

  add(room, draft) {
    const createdAt = new Date(this.#chat._serverNow()).toISOString();
    const entry = this.#entry({ id: newId(), roomId: room.id, target: room._target, draft, createdAt });
    this.#entries.push(entry);
    this.#store((stored) => [...stored, this.#saved(entry)]);
    this.#tell('pending', entry);
    const refusal = this.#refusal(draft);
    if (refusal) this.#refuse(entry, refusal);
    this.flush();
    return entry;
  }

  remove(id) {
    const entry = this.#entries.find((one) => one.id === id && one.status !== 'sent' && !one.isOnItsWay);
    if (!entry) return undefined;
    this.#drop(entry);
    this.#forget(entry);
    entry.done.reject(failure('DISCARDED', 'the message was taken out of the outbox'));
    this.#chat._room(entry.roomId)?._touch('messages');
    return entry;
  }

  #entry({ error, ...saved }) {
    const state = error ? { status: 'refused', error: new SwitchboardError(error) } : { status: 'pending' };
    return this.#show({ ...saved, ...state, done: deferred() });
  }

  /** The message that is shown until the server's own is there. */
  #show(entry) {
    const { id: clientMessageId, roomId, draft, createdAt, status, error, seq, messageId } = entry;
    const room = this.#chat._room(roomId);
    const { userId: id = '', userIcon, userColor } = queryOf(this.#chat._url);
    const { userId = id, userName = userId } = this.#chat.user ?? {};
    const author = { userId, userName: room?._nameOf(userId) ?? userName, userIcon, userColor };
    const parent = room?._message(draft.replyTo) && parentOf(room._message(draft.replyTo));
    const place = { roomId, seq, messageId, createdAt, parent, ...author };
    entry.message = compact({ ...place, ...draft, clientMessageId, status, error });
    return entry;
  }

  #tell(type, { roomId, message, error }) {
    const room = this.#chat._room(roomId);
    room?._touch('messages');
    (room ?? this.#chat)._emit(type, compact({ roomId, message, error }));
  }

  /** What the server would refuse anyway, or what would make API Gateway close the connection. */
  #refusal(draft) {
    const { contentBytes, frameBytes } = this.#chat.limits;
    if (typeof draft.content !== 'string' || draft.content === '') {
      return failure('INVALID_FIELD', 'the message is empty');
    }
    const size = bytesOf(JSON.stringify(draft)) + ENVELOPE_BYTES;
    if (bytesOf(draft.content) <= contentBytes && size <= frameBytes) return undefined;
    return failure('TOO_LARGE', `a message has at most ${contentBytes} bytes`);
  }

  /** Sends what can be sent: a frame for each room at a time, so that the order stays. */
  flush() {
    if (this.#chat.state !== 'live') return;
    for (const { roomId, status } of this.#entries) {
      if (status === 'pending' && !this.#busy.has(roomId)) this.#send(roomId);
    }
  }

  async #send(roomId) {
    this.#busy.add(roomId);
    const batch = this.#batch(roomId);
    for (const entry of batch) entry.isOnItsWay = true;
    let wait = 0;
    try {
      const messages = batch.map(({ id, draft }) => ({ ...draft, clientMessageId: id }));
      const request = { ...batch[0].target, messages };
      const { results, notMentioned } = await this.#chat._request('sendMessages', request, { timeoutMs: Infinity });
      for (const [at, entry] of batch.entries()) {
        this.#mentionOnly(entry.draft, notMentioned);
        const result = results[at];
        if (!result.code) this.#sent(entry, result);
        else if (RETRYABLE.has(result.code)) wait = Math.max(wait, result.retryAfterMs ?? BACKOFF_MS[0]);
        else this.#refuse(entry, new SwitchboardError(result));
      }
    } catch (error) {
      this.#failed(batch, error);
    }
    for (const entry of batch) entry.isOnItsWay = false;
    if (wait > 0) await this.#chat._sleep(wait);
    this.#busy.delete(roomId);
    this.flush();
  }

  /** The next messages of a room: as many as fit a frame. */
  #batch(roomId) {
    const batch = [];
    let [size, mentions] = [ENVELOPE_BYTES, 0];
    for (const entry of this.#entries) {
      if (entry.roomId !== roomId || entry.status !== 'pending') continue;
      size += bytesOf(JSON.stringify(entry.draft)) + 100;
      mentions += entry.draft.mentions?.length ?? 0;
      const isFull = batch.length === MESSAGES_PER_FRAME || size > this.#chat.limits.frameBytes;
      const isLast = isFull || mentions > MENTIONS_PER_FRAME || entry.isAlone || batch[0]?.isAlone;
      if (batch.length > 0 && isLast) break;
      batch.push(entry);
    }
    return batch;
  }

  /** Leaves out the users whom the server did not mention: they are not in the room. */
  #mentionOnly(draft, notMentioned = []) {
    draft.mentions = draft.mentions?.filter((userId) => !notMentioned.includes(userId));
    if (!draft.mentions?.length) delete draft.mentions;
  }

  #failed(batch, error) {
    // The client is closed: the messages stay in the store.
    if (error.code === 'CLOSED') return batch.forEach((entry) => entry.done.reject(error));
    if (batch[error.index]) return this.#refuse(batch[error.index], error);
    // One of them is wrong, and it is not said which: each alone.
    if (batch.length > 1 && error.status !== 403) return batch.forEach((entry) => (entry.isAlone = true));
    return batch.forEach((entry) => this.#refuse(entry, error));
  }

  #refuse(entry, error) {
    if (entry.status !== 'pending') return;
    this.#show(Object.assign(entry, { status: 'refused', error }));
    this.#store((stored) => stored.map((one) => (one.id === entry.id ? this.#saved(entry) : one)));
    this.#tell('refused', entry);
    entry.done.reject(error);
  }

  #sent(entry, { messageId, seq, createdAt, duplicate }) {
    if (!this.#settle(entry, { messageId, seq, createdAt })) return;
    const room = this.#chat._room(entry.roomId);
    const { status, ...message } = entry.message;
    if (!room) this.#drop(entry);
    // Sent before, it may have changed since: the log has it as it is now.
    else if (duplicate) this.#chat._resumeSoon(room);
    else room._receive({ type: 'message', ...message });
  }

  /** The log has a message: if it is one of the outbox, it is sent, whether its answer comes or not. */
  found({ clientMessageId, messageId, seq, createdAt }) {
    const entry = clientMessageId && this.#entries.find(({ id }) => id === clientMessageId);
    if (entry) this.#settle(entry, { messageId, seq, createdAt });
  }

  #settle(entry, place) {
    if (entry.status === 'sent') return false;
    this.#show(Object.assign(entry, { status: 'sent', error: undefined }, place));
    this.#forget(entry);
    this.#tell('sent', entry);
    entry.done.resolve(entry.message);
    return true;
  }

  /** The user is known now, whose messages these are. */
  showAgain() {
    for (const entry of this.#entries) this.#chat._room(this.#show(entry).roomId)?._touch('messages');
  }

  /** The room shows its messages up to `seq` itself. */
  shown(room, seq) {
    this.#entries = this.#entries.filter((entry) => entry.roomId !== room.id || !(entry.seq <= seq));
  }

  #drop(entry) { this.#entries = this.#entries.filter((one) => one !== entry); }

  // The store.

  #saved({ id, roomId, target, draft, createdAt, error: refusal }) {
    const error = refusal && { code: refusal.code, message: refusal.message, status: refusal.status };
    return compact({ id, roomId, target, draft, createdAt, error });
  }

  #forget(entry) { this.#store((stored) => stored.filter(({ id }) => id !== entry.id)); }

  /** Loads what an earlier page has left behind. `user` keeps the users of one browser apart. */
  load(user) {
    this.#key.resolve(`switchboard.outbox ${this.#chat._url.split('?')[0]} ${user}`);
    return this.#stored;
  }

  async #read(key) {
    const stored = JSON.parse((await this.#chat._store.getItem(key)) ?? '[]');
    const known = new Set(this.#entries.map(({ id }) => id));
    const left = stored.filter(({ id }) => !known.has(id)).map((saved) => this.#entry(saved));
    this.#entries.unshift(...left);
    for (const { roomId } of left) this.#chat._room(roomId)?._touch('messages');
  }

  #store(change) {
    const store = this.#chat._store;
    const next = (text) => JSON.stringify(change(JSON.parse(text ?? '[]')));
    const write = async () => {
      const key = await this.#key.promise;
      if (store.update) await store.update(key, next);
      else await store.setItem(key, next(await store.getItem(key)));
    };
    this.#stored = this.#stored.then(write).catch((error) => this.#chat._emit('error', { error }));
  }
}

export class Switchboard extends Emitter {
  state = 'idle';
  error;
  user;
  limits = DEFAULT_LIMITS;
  #options;
  #link;
  /** Counts the attempts to connect: what belongs to an earlier one is ignored. */
  #attempt = 0;
  #failures = 0;
  #refusals = 0;
  #token;
  #connected = deferred();
  #wasLive = false;
  #timers = new Map();
  /** What ends each open request: a time, a signal, or `close()`. */
  #ends = new Set();
  #lastRequest = 0;
  #rooms = new Map();
  #toResume = new Set();
  #resuming;
  #clockOffset = 0;
  #unreads = new Map();
  #hasUnreads = false;
  #unreadsCache;
  #uploads = new Map();
  #files = new Map();
  #stops = [];

  constructor({ WebSocket = globalThis.WebSocket, random = Math.random, clock = systemClock, ...options }) {
    super();
    if (!WebSocket) throw new TypeError('no WebSocket here: pass one as the option `WebSocket`');
    this.#options = { ...options, WebSocket, random, httpUrl: options.httpUrl?.replace(/\/+$/, '') };
    this._url = options.url;
    this._clock = clock;
    this._store = options.store ?? (globalThis.indexedDB ? new IndexedDbStore() : memoryStore());
    this._outbox = new Outbox(this);
  }

  get outbox() { return this._outbox; }

  // Connecting.

  connect() {
    if (this.state === 'idle') {
      this.#watchBrowser();
      this.#open();
    }
    return this.#connected.promise;
  }

  close() { this.#close(); }

  #close(error) {
    if (this.state === 'closed') return;
    const link = this.#link;
    this.#attempt += 1;
    this.#link = undefined;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#stops.forEach((stop) => stop());
    this.error = error;
    this.#setState('closed', { error });
    const closed = failure('CLOSED', error?.message ?? 'the client is closed');
    for (const one of [...this.#ends, ...this.#uploads.values()]) one.reject(closed);
    link?.end(1000);
    this.#connected.reject(error ?? closed);
  }

  #setState(state, details) {
    const previous = this.state;
    this.state = state;
    if (previous !== state) this._emit('state', { state, previous, ...details });
  }

  /** Runs once after a time; a later timer of the same name replaces it. */
  #after(name, ms, run) {
    this.#cancel(name);
    this.#timers.set(name, this._clock.setTimeout(() => (this.#timers.delete(name), run()), ms));
  }

  #cancel(name) {
    this._clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  _sleep(ms) { return new Promise((resolve) => this._clock.setTimeout(resolve, ms)); }
  _serverNow() { return this._clock.now() + this.#clockOffset; }
  #between([least, most]) { return least + this.#options.random() * (most - least); }
  #backoff(tries) { return this.#between([0.5, 1]) * Math.min(BACKOFF_MS[1], BACKOFF_MS[0] * 2 ** tries); }

  #watchBrowser() {
    const listen = (target, type, run) => {
      target?.addEventListener?.(type, run);
      this.#stops.push(() => target?.removeEventListener?.(type, run));
    };
    const check = () => {
      if (this.state === 'waiting') this.#open();
      else if (this.state === 'live') this.#probe(this.#link, PROBE_MS);
    };
    listen(globalThis, 'online', check);
    listen(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && check());
  }

  /** Opens a connection and catches up. `old` is the one that it replaces, which serves until then. */
  async #open(old) {
    this.#cancel('wait');
    const attempt = old ? this.#attempt : (this.#attempt += 1);
    const isOver = () => attempt !== this.#attempt;
    if (!old) this.#setState('connecting');
    let link;
    try {
      const token = await this.#getToken();
      if (isOver()) return;
      link = await this.#dial(token);
      if (!isOver() && !old) {
        this.#link = link;
        this.#setState('resuming');
      }
      if (!isOver()) await this.#greet(link, await this._request('hello', {}, { link }));
      if (isOver()) return link.end();
      this.#link = link;
      await this._resume(this.rooms.filter((room) => room._cursor && !['left', 'refused'].includes(room.status)));
      this.#live(old);
    } catch (error) {
      if (this.#link !== old) old?.end();
      if (!isOver() && error.isFinal) this.#close(error);
      // What fails on an open connection may succeed on the next one.
      else if (link) link.end();
      else if (!isOver() && !old) this.#wait(error);
      if (old?.isOpen) this.#after('rotate', BACKOFF_MS[1], () => this.#open(old));
    }
  }

  /** Opens a socket. Its `asked` are the requests without an answer, by their ids. */
  async #dial(token) {
    const refused = (error) => this.#inspectRefusal(token).then(() => { throw error; });
    const socket = new this.#options.WebSocket(...(await this.#handshake(token).catch(refused)));
    const opened = deferred();
    const link = { isOpen: false, asked: new Map(), send: (frame) => socket.send(JSON.stringify(frame)) };
    // Does not wait for the network, which may be gone.
    link.end = (code = 1006, reason = '') => {
      link.isOpen = false;
      socket.onopen = socket.onmessage = socket.onclose = () => {};
      socket.close(1000);
      opened.reject(failure('HANDSHAKE_FAILED', 'the handshake failed'));
      for (const { resolve } of link.asked.values()) resolve();
      if (link === this.#link) this.#lost(code, reason);
    };
    socket.onopen = () => opened.resolve((link.isOpen = true));
    socket.onmessage = ({ data }) => this.#receive(link, data);
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => link.end(code, reason);
    const timer = this._clock.setTimeout(() => link.isOpen || link.end(), HANDSHAKE_MS);
    try {
      await opened.promise;
    } catch (error) {
      await refused(error);
    } finally {
      this._clock.clearTimeout(timer);
    }
    return link;
  }

  /** The address and the subprotocols. With `tickets` neither has the token: proxies log what a handshake has. */
  async #handshake(token) {
    if (!token || !this.#options.tickets) return [this._url, token ? [SUBPROTOCOL, token] : [SUBPROTOCOL]];
    const signal = globalThis.AbortSignal?.timeout?.(HANDSHAKE_MS);
    const { ticket } = await this.#call('/tickets', { method: 'POST', token, signal });
    return [`${this._url}${this._url.includes('?') ? '&' : '?'}ticket=${ticket}`, [SUBPROTOCOL]];
  }

  /** A browser hides why a handshake fails. `GET /me` fails for the same reasons. Where CORS blocks it nobody knows. */
  async #inspectRefusal(token) {
    const { httpUrl } = this.#options;
    const timeout = globalThis.AbortSignal?.timeout?.(PROBE_MS);
    const error = httpUrl && (await this.#call('/me', { token, signal: timeout }).then(() => undefined, (one) => one));
    // Perhaps it was the token.
    if (!httpUrl || (error && error.status === undefined)) this.#token = undefined;
    if (error?.status === 403 && error.code !== 'UNAVAILABLE') throw Object.assign(error, { isFinal: true });
    if (error?.status !== 401) return;
    this.#token = undefined;
    this.#refusals += 1;
    this._emit('unauthorized', { error });
    const isFinal = this.#refusals >= 2 || typeof this.#options.token !== 'function';
    throw Object.assign(error, { isFinal });
  }

  async #getToken() {
    const { token } = this.#options;
    const isEnding = claimsOf(this.#token).exp * 1000 < this._serverNow() + RENEW_MS / 2;
    if (typeof token !== 'function') this.#token = token;
    else if (this.#token === undefined || isEnding) this.#token = await token();
    // Whose outbox it is, as far as the URL or the token tells: it shows without a connection.
    const user = queryOf(this._url).userId ?? claimsOf(this.#token).sub;
    if (user !== undefined) this._outbox.load(user);
    return this.#token;
  }

  /** Learns of a new connection, or a new session, whose it is, and when to renew it. */
  async #greet(link, hello) {
    const { userId, userName, roles, limits, serverTime, authUntil } = hello;
    this.user = { userId, userName, roles };
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.#clockOffset = Date.parse(serverTime) - this._clock.now();
    this._outbox.showAgain();
    this._emit('hello', { user: this.user, limits: this.limits });
    await this._outbox.load(userId);
    if (authUntil === undefined || typeof this.#options.token !== 'function') return;
    const left = Date.parse(authUntil) - Date.parse(serverTime);
    this.#after('renew', Math.max(left - RENEW_MS, left / 2), () => this.#renew(link));
  }

  #live(old) {
    this.#failures = this.#refusals = 0;
    this.error = undefined;
    this.#keepAlive();
    this.#after('rotate', this.#between(ROTATE_AFTER_MS), () => this.#open(this.#link));
    if (old) return this.#retire(old);
    const wasLive = this.#wasLive;
    this.#wasLive = true;
    this.#setState('live');
    this.#connected.resolve();
    this._outbox.flush();
    for (const room of this.rooms) if (room.status === 'opening' && !room._cursor) room._open();
    return wasLive ? this.#refresh() : undefined;
  }

  /** Ends a connection that was replaced. Its last answers may be on their way. */
  async #retire(old) {
    for (let left = 20; left > 0 && old.asked.size > 0; left -= 1) await this._sleep(PONG_MS / 20);
    old.end(1000);
  }

  /** Reads again what no log keeps: who is in the rooms, and what other devices have read. */
  async #refresh() {
    if (this.#hasUnreads) this.loadUnreads().catch(() => {});
    for (const room of this.rooms) if (room.status === 'open') await room._loadMembers();
  }

  #keepAlive() {
    this.#after('ping', this.#between(PING_AFTER_MS), () => {
      this.#probe(this.#link, PONG_MS);
      this.#keepAlive();
    });
  }

  /** Ends a connection that does not answer: the network has changed, and nobody has said so. */
  #probe(link, timeoutMs) { this._request('ping', {}, { link, timeoutMs }).catch(() => link.end()); }

  #lost(code, reason) {
    this.#link = undefined;
    this.#attempt += 1;
    for (const name of ['ping', 'rotate', 'renew']) this.#cancel(name);
    this.#wait(failure('CONNECTION_LOST', reason || `the connection was closed with code ${code}`), code !== 1006);
  }

  /** Waits before the next attempt: a random time, so that not all clients come at once. */
  #wait(error, isClosedByServer = false) {
    const [first, most] = BACKOFF_MS;
    const limit = isClosedByServer && this.#failures === 0 ? AFTER_CLOSE_MS : first * 2 ** this.#failures;
    const retryInMs = this.#between([0, Math.min(most, limit)]);
    this.#failures += 1;
    this.error = error;
    this.#setState('waiting', { error, retryInMs });
    this.#after('wait', retryInMs, () => this.#open());
  }

  /** Extends the session with a new token. */
  async #renew(link) {
    try {
      this.#token = undefined;
      const token = await this.#getToken();
      return await this.#greet(link, await this._request('refreshToken', { token }, { link }));
    } catch (error) {
      if (link !== this.#link) return undefined;
      return this.#after('renew', RENEW_MS / 6, () => this.#renew(link));
    }
  }

  // Requests and their answers.

  /** Asks until there is an answer: again after errors that pass, and on the next connection when this one is lost. */
  async _request(action, fields, { timeoutMs = REQUEST_MS, signal, link: only } = {}) {
    const requestId = String((this.#lastRequest += 1));
    const frame = { action, ...fields, requestId };
    const { frameBytes } = this.limits;
    if (this.state === 'closed') throw failure('CLOSED', 'the client is closed');
    if (bytesOf(JSON.stringify(frame)) > frameBytes) {
      throw failure('TOO_LARGE', `a frame has at most ${frameBytes} bytes`);
    }
    if (signal?.aborted) throw reasonOf(signal);
    const end = deferred();
    const abort = () => end.reject(reasonOf(signal));
    const expire = () => end.reject(failure('TIMEOUT', `no answer to ${action} in ${timeoutMs} ms`));
    this.#ends.add(end);
    signal?.addEventListener('abort', abort);
    if (timeoutMs !== Infinity) this.#after(`limit ${requestId}`, timeoutMs, expire);
    try {
      return await this.#answerTo(frame, end.promise, only, this._clock.now() + timeoutMs);
    } finally {
      this.#ends.delete(end);
      signal?.removeEventListener('abort', abort);
      this.#cancel(`limit ${requestId}`);
      this.#cancel(requestId);
      for (const link of [only, this.#link]) link?.asked.delete(requestId);
    }
  }

  async #answerTo(frame, end, only, deadline) {
    const isOnce = DONE_TWICE.has(frame.action);
    for (let tries = 0; ; tries += 1) {
      const link = only ?? (this.state === 'live' ? this.#link : await Promise.race([this.#untilLive(), end]));
      const answer = await Promise.race([this.#ask(link, frame), end]);
      this.#cancel(frame.requestId);
      if (answer && answer.type !== 'error') return answer;
      const { code, retryAfterMs = this.#backoff(tries) } = answer ?? {};
      // With these codes it was not carried out, so it can be sent again whatever it is.
      if (!answer || ENDS_CONNECTION.has(code)) {
        if (!only && !(isOnce && !answer)) continue;
        throw failure('CONNECTION_LOST', 'the connection was lost before the answer');
      }
      const isHopeless = code === 'INTERNAL' && tries > 0 && deadline !== Infinity;
      const isLate = this._clock.now() + retryAfterMs > deadline;
      if (!RETRYABLE.has(code) || isOnce || isHopeless || isLate) throw new SwitchboardError(answer);
      await Promise.race([new Promise((resolve) => this.#after(frame.requestId, retryAfterMs, resolve)), end]);
    }
  }

  async #untilLive() {
    while (this.state !== 'live') await new Promise((resolve) => this.once('state', resolve));
    return this.#link;
  }

  /** The answer on one connection; nothing when it ends before. */
  #ask(link, frame) {
    const { action, requestId } = frame;
    const { promise, resolve } = deferred();
    const request = { frame, tries: 0, resolve: (answer) => (link.asked.delete(requestId), resolve(answer)) };
    request.transmit = () => {
      request.isWaiting = false;
      this._emit('frame', { direction: 'out', frame });
      link.send(frame);
      if (action === 'ping' || DONE_TWICE.has(action)) return;
      this.#after(requestId, ANSWER_MS, () => (this.#probe(link, PROBE_MS), request.transmit()));
    };
    link.asked.set(requestId, request);
    if (link.isOpen) request.transmit();
    else request.resolve();
    return promise;
  }

  #receive(link, text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      // Not a frame.
    }
    if (typeof frame !== 'object' || frame === null) return;
    this._emit('frame', { direction: 'in', frame });
    const { type, code, requestId } = frame;
    if (type === undefined) return this.#gatewayFailed(link);
    const request = link.asked.get(requestId);
    if (type !== 'error') this.#fold(frame, request?.frame);
    else if (!request && !ENDS_CONNECTION.has(code)) this.#reported(frame);
    request?.resolve(frame);
    if (type !== 'error' || !ENDS_CONNECTION.has(code)) return;
    if (code !== 'RECONNECT') this.#token = undefined;
    link.end();
  }

  /** API Gateway says that the function has failed, and not for which frame: answers to the others may still come. */
  #gatewayFailed(link) {
    const open = [...link.asked.values()].filter((request) => !request.isWaiting);
    for (const request of open) {
      const { action, requestId } = request.frame;
      if (!DONE_TWICE.has(action)) {
        Object.assign(request, { isWaiting: true, tries: request.tries + 1 });
        this.#after(requestId, this.#backoff(request.tries), request.transmit);
      } else if (open.length === 1) {
        request.resolve({ type: 'error', code: 'UNAVAILABLE', message: 'it may have been carried out' });
      }
    }
  }

  /** A failure that belongs to no request. */
  #reported(frame) {
    const error = new SwitchboardError(frame);
    this.#uploads.get(frame.fileId)?.reject(error);
    this._emit('error', { error });
  }

  #fold(frame, request) {
    const { type, roomId, userId } = frame;
    let room = this.#rooms.get(roomId);
    if (['invited', 'request', 'notify'].includes(type)) this._emit(type, frame);
    if (type === 'notify' && this.#unreads.has(roomId)) {
      this.#setUnread(roomId, { notify: frame.level, mutedUntil: frame.mutedUntil });
    }
    if (type === 'read' && userId === this.user?.userId) this.#setRead(roomId, frame.seq, frame.readVersion);
    if (type === 'message' && frame.file) this.#uploads.get(frame.file.fileId)?.resolve(messageOf(frame));
    // To whom it is answered it is not told by a frame of its own.
    const reason = type === 'ack' && request && LEFT_BY[frame.action];
    if (reason) return room?._receive({ type: 'left', userId: request.userId ?? this.user.userId, reason });
    if (!room && type === 'message') {
      this._countUnread(roomId, frame);
      if (this.#options.autoFollow) room = this.#follow(new Room(this, roomId, { after: frame.seq - 1 }));
    }
    return room?._receive(frame, request);
  }

  // Rooms.

  room(id) { return this.#rooms.get(id) ?? this.#follow(new Room(this, id)); }

  async direct(userId) {
    const known = this.rooms.find(({ peer }) => peer === userId);
    if (known) return known;
    const page = await this.getMessages({ targetId: userId, limit: 50 });
    const followed = this.#rooms.get(page.roomId);
    if (followed) return Object.assign(followed, { peer: userId });
    const room = new Room(this, page.roomId, { peer: userId });
    room._begin(page);
    return this.#follow(room);
  }

  get rooms() { return [...this.#rooms.values()]; }

  #follow(room) {
    this.#rooms.set(room.id, room);
    if (this.state === 'live') room._open();
    return room;
  }

  _forget(room) {
    if (this.#rooms.get(room.id) === room) this.#rooms.delete(room.id);
    this.#toResume.delete(room);
  }

  _room(id) { return this.#rooms.get(id); }

  /** Asks for what the rooms have missed. Until then their live frames wait. */
  _resume(rooms) {
    for (const room of rooms) {
      this.#toResume.add(room);
      room._resuming = true;
    }
    this.#resuming ??= this.#resumeAll().finally(() => (this.#resuming = undefined));
    return this.#resuming;
  }

  _resumeSoon(room) { if (this.state === 'live') this._resume([room]).catch(() => {}); }

  async #resumeAll() {
    while (this.#toResume.size > 0) {
      const link = this.#link;
      const batch = [...this.#toResume].slice(0, ROOMS_PER_RESUME);
      if (!link) throw failure('CONNECTION_LOST', 'there is no connection');
      for (const room of batch) this.#toResume.delete(room);
      const rooms = Object.fromEntries(batch.map((room) => [room.id, { ...room._cursor }]));
      try {
        const answer = await this._request('resume', { rooms }, { link });
        for (const room of batch) if (this.#rooms.get(room.id) === room) this.#resumed(room, answer);
      } catch (error) {
        for (const room of batch) this.#toResume.add(room);
        if (error.code !== 'CONNECTION_LOST') link.end();
        throw error;
      }
    }
  }

  #resumed(room, { rooms: { [room.id]: answer }, more = [] }) {
    if (!answer || more.includes(room.id)) return void this.#toResume.add(room);
    if (!answer.error && room._fold(answer)) return void this.#toResume.add(room);
    const { code, retryAfterMs = HOLE_MS } = answer.error ?? {};
    // In a direct conversation: nobody has written yet.
    if (!answer.error || (code === 'NOT_A_MEMBER' && room.peer)) return room._caughtUp();
    if (!RETRYABLE.has(code)) return room._failed(new SwitchboardError(answer.error));
    return void this._clock.setTimeout(() => this._resumeSoon(room), retryAfterMs);
  }

  // Unread counts.

  get unreads() {
    const sum = (name) => [...this.#unreads.values()].reduce((total, mark) => total + (mark[name] ?? 0), 0);
    const rooms = () => Object.fromEntries(this.#unreads);
    this.#unreadsCache ??= { total: sum('unread'), totalMentions: sum('mentions'), rooms: rooms() };
    return this.#unreadsCache;
  }

  async loadUnreads() {
    const marks = [];
    for (let [cursor, isMore] = [undefined, true]; isMore; isMore = cursor !== undefined) {
      const page = await this._request('unreads', { cursor });
      marks.push(...page.rooms);
      cursor = page.nextCursor;
    }
    this.#hasUnreads = true;
    this.#unreads = new Map(marks.map((mark) => [mark.roomId, mark]));
    for (const { roomId } of marks) this._recountUnread(roomId);
    this.#unreadsChanged(this.rooms);
    return this.unreads;
  }

  #setUnread(roomId, changes) {
    const mark = { ...this.#unreads.get(roomId), ...changes };
    if (mark.unread > MOST_UNREAD) Object.assign(mark, { unread: MOST_UNREAD, unreadMore: true });
    this.#unreads.set(roomId, compact(mark));
    this.#unreadsChanged([this.#rooms.get(roomId)]);
  }

  #unreadsChanged(rooms) {
    this.#unreadsCache = undefined;
    for (const room of rooms) room?._touch();
    this._emit('unreads', { unreads: this.unreads });
  }

  _countUnread(roomId, message) {
    if (!this.#hasUnreads) return;
    const { seq } = message;
    const mark = this.#unreads.get(roomId) ?? { roomId, lastSeq: seq - 1, lastReadSeq: 0, unread: 0, mentions: 0 };
    if (seq <= mark.lastSeq) return;
    const { isForMe, isMention } = forUser(message, this.user.userId);
    const [unread, mentions] = [mark.unread + isForMe, mark.mentions + isMention];
    this.#setUnread(roomId, { ...mark, lastSeq: seq, unread, mentions });
    this._recountUnread(roomId);
  }

  /** Where all unread messages are loaded they are counted. */
  _recountUnread(roomId) {
    const mark = this.#unreads.get(roomId);
    const count = mark && this.#rooms.get(roomId)?._unreadAfter(mark.lastReadSeq, this.user.userId);
    if (count) this.#setUnread(roomId, { unreadMore: undefined, ...count });
  }

  /** A mark goes back with a newer `readVersion` only. */
  #setRead(roomId, seq, readVersion = this.#unreads.get(roomId)?.readVersion) {
    const mark = this.#unreads.get(roomId);
    const isBack = readVersion > (mark?.readVersion ?? 0);
    if (!mark || (!isBack && seq <= mark.lastReadSeq)) return;
    // How many they are only the server knows, unless all of them are loaded.
    if (isBack && seq < mark.lastReadSeq) this.loadUnreads().catch(() => {});
    const isAll = seq >= mark.lastSeq;
    const unread = isAll ? 0 : Math.min(mark.unread, mark.lastSeq - seq);
    const rest = isAll ? { unreadMore: undefined, roomMention: undefined, mentions: 0 } : {};
    this.#setUnread(roomId, { lastReadSeq: seq, readVersion, unread, ...rest });
    this._recountUnread(roomId);
  }

  // Actions that are more than a request.

  async markRead(request, options) {
    // So that it cannot undo a `markUnread` on another device.
    const { readVersion } = this.#unreads.get(request.roomId) ?? {};
    const answer = await this._request('markRead', { readVersion, ...request }, options);
    this.#setRead(request.roomId, request.seq);
    return answer;
  }

  sendMessages({ messages, ...target }, options) {
    const withIds = messages.map((message) => ({ clientMessageId: newId(), ...message }));
    return this._request('sendMessages', { ...target, messages: withIds }, options);
  }

  /** A hint that is not answered: it is dropped without a connection. */
  async typingIndicator(request) {
    if (this.state !== 'live') return;
    const frame = { action: 'typingIndicator', ...request };
    this._emit('frame', { direction: 'out', frame });
    this.#link.send(frame);
  }

  // Files, and the HTTP API.

  async _upload(room, file, options = {}) {
    const { fileName = file.name ?? 'file', contentType = file.type ?? '', sha256, onProgress, signal } = options;
    const size = file.size ?? file.byteLength;
    const upload = await this.handleFileUpload({ ...room._target, fileName, contentType, size, sha256 }, { signal });
    const done = deferred();
    const abort = () => done.reject(reasonOf(signal));
    this.#uploads.set(upload.fileId, done);
    signal?.addEventListener('abort', abort);
    try {
      await this.#put(upload, file, size, onProgress, signal);
      const late = failure('TIMEOUT', 'the file is uploaded, and its message has not come');
      this.#after(upload.fileId, UPLOADED_MS, () => done.reject(late));
      return await done.promise;
    } finally {
      this.#cancel(upload.fileId);
      signal?.removeEventListener('abort', abort);
      this.#uploads.delete(upload.fileId);
    }
  }

  async #put(upload, file, size, onProgress, signal) {
    for (let tries = 0; ; tries += 1) {
      const status = await this.#putOnce(upload, file, size, onProgress, signal);
      if (signal?.aborted) throw reasonOf(signal);
      // 412: an earlier attempt has succeeded, and its answer was lost.
      if (status === 412 || (status >= 200 && status < 300)) return onProgress?.({ loaded: size, total: size });
      if (status < 500 || tries === 3) {
        const message = `the upload failed: ${status ?? 'no answer'}`;
        throw new SwitchboardError({ code: 'UPLOAD_FAILED', status, message });
      }
      await this._sleep(this.#backoff(tries));
    }
  }

  /** The status of the answer; none where there is no answer. */
  async #putOnce({ uploadUrl, method, headers }, body, size, onProgress, signal) {
    // Browsers set these themselves, and refuse to let a page do it.
    const sent = Object.entries(headers).filter(([name]) => !['content-length', 'host'].includes(name.toLowerCase()));
    if (!globalThis.XMLHttpRequest) {
      onProgress?.({ loaded: 0, total: size });
      const options = { method, headers: Object.fromEntries(sent), body, signal };
      return fetch(uploadUrl, options).then((answer) => answer.status, () => undefined);
    }
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open(method, uploadUrl);
      for (const [name, value] of sent) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => onProgress?.({ loaded, total: size });
      request.onload = () => resolve(request.status);
      request.onerror = request.onabort = () => resolve(undefined);
      signal?.addEventListener('abort', () => request.abort());
      request.send(body);
    });
  }

  async fileUrl(fileId, { inline = false } = {}) {
    const key = `${fileId} ${inline}`;
    const known = this.#files.get(key);
    if (known?.until > this._serverNow()) return known.url;
    const { fileUrl: url, expiresAt } = await this.getFile({ fileId, inline: inline ? '1' : undefined });
    this.#files.set(key, { url, until: Date.parse(expiresAt) - AFTER_CLOSE_MS });
    return url;
  }

  async fetch(path, options = {}) {
    if (!this.#options.httpUrl) throw new TypeError('the option `httpUrl` is missing');
    return this.#call(path, { ...options, token: await this.#getToken() });
  }

  async #call(path, { method = 'GET', query, body, signal, token }) {
    const { httpUrl } = this.#options;
    const userId = token ? undefined : queryOf(this._url).userId ?? this.user?.userId;
    const isRead = method === 'GET';
    const parameters = encoded(compact({ userId: isRead ? userId : undefined, ...query }));
    const answer = await fetch(`${httpUrl}${path}${parameters && `?${parameters}`}`, {
      method,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      body: isRead ? undefined : JSON.stringify({ userId, ...body }),
      signal,
    });
    const result = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new SwitchboardError({ code: 'UNAVAILABLE', ...result, status: answer.status });
    return result;
  }
}

for (const action of ACTIONS) {
  // `unreads` is the model; `loadUnreads()` is the action.
  if (action in Switchboard.prototype) continue;
  Switchboard.prototype[action] = function (request = {}, options = {}) {
    const id = WITH_ID.has(action) && request.version === undefined ? { clientMessageId: newId() } : {};
    return this._request(action, { ...id, ...request }, options);
  };
}
