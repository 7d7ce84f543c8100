// How a message is shown, and what can be done with it.

import { ask, attempt, h, iconButton, menu, named, reasonOf, sizeOf, timeOf } from './dom.js';

const EMOJIS = [
  ['👍', 'thumbs up'],
  ['❤️', 'heart'],
  ['😂', 'laughing'],
  ['🎉', 'party'],
  ['😮', 'surprised'],
  ['😢', 'sad'],
];
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/g;

/** The text of a message: links and mentions stand out. */
function textOf(message, names) {
  const { content = '' } = message;
  const parts = [];
  let from = 0;
  const marks = [...content.matchAll(LINK)].map((match) => [match.index, match[0], true]);
  for (const name of names) {
    for (let at = content.indexOf(`@${name}`); at >= 0; at = content.indexOf(`@${name}`, at + 1)) {
      marks.push([at, `@${name}`, false]);
    }
  }
  marks.sort((one, other) => one[0] - other[0] || other[1].length - one[1].length);
  for (const [at, text, isLink] of marks) {
    if (at < from) continue;
    parts.push(content.slice(from, at));
    parts.push(
      isLink ? h('a', { href: text, target: '_blank', rel: 'noreferrer noopener' }, text) : h('strong.at', {}, text),
    );
    from = at + text.length;
  }
  return [...parts, content.slice(from)];
}

/** A message as an item of the list. `view` has the session, the room, and what the conversation can do. */
export function messageItem(view, message, { isContinued, isMine }) {
  const { session } = view;
  const { seq, userName, userId, createdAt, status, deleted, system, parent, editedAt, pinned, error } = message;
  if (system) return h('li.system', { tabIndex: -1, 'data-seq': seq }, `${message.content} · ${timeOf(createdAt)}`);
  const isForMe = message.mentionRoom || message.mentions?.includes(session.me);
  const classes = ['message', status, isContinued && 'continued', isForMe && 'for-me', isMine && 'mine'];
  const head = h(
    'p.head',
    {},
    named(userName, userId),
    ' ',
    h('time', { dateTime: createdAt }, timeOf(createdAt)),
    pinned && ' · pinned',
  );
  const item = h(
    'li',
    { className: classes.filter(Boolean).join(' '), tabIndex: -1 },
    head,
    parent && replied(view, parent),
    bodyOf(view, message),
    editedAt && !deleted && h('span.small', {}, '(edited)'),
    status === 'pending' && h('span.small', {}, 'sending …'),
    status === 'refused' && refusal(view, message, error),
    status === 'sent' && !deleted && reactionsOf(view, message),
    status === 'sent' && !deleted && actionsOf(view, message, isMine),
  );
  if (seq !== undefined) item.dataset.seq = seq;
  return item;
}

function bodyOf(view, message) {
  const { deleted, file } = message;
  if (deleted) {
    const by = deleted.by === message.userId ? '' : ` by ${deleted.by}`;
    return h('p.deleted', {}, `Message deleted${by}${deleted.reason ? `: ${deleted.reason}` : ''}`);
  }
  const names = view.room.members.flatMap(({ userId, userName }) => [userName, userId]);
  const text = h('p.text', {}, textOf(message, [...names, 'room']));
  if (!file) return text;
  return [fileOf(view.session.chat, file), ...(message.content === file.fileName ? [] : [text])];
}

/** A picture is shown; another file can be saved. */
function fileOf(chat, { fileId, fileUrl, fileName, contentType, size }) {
  const save = () =>
    attempt(async () => {
      const link = h('a', { href: await chat.fileUrl(fileId), download: fileName });
      link.click();
    });
  const button = h(
    'button.file',
    { type: 'button', onclick: save, 'aria-label': `Save ${fileName}, ${sizeOf(size)}` },
    `${fileName} · ${sizeOf(size)}`,
  );
  if (!/^image\/(png|jpeg|gif|webp|avif)$/.test(contentType)) return h('p', {}, button);
  const picture = h('img', { alt: fileName, loading: 'lazy' });
  const renew = () => {
    picture.onerror = () => picture.remove();
    chat.fileUrl(fileId, { inline: true }).then((url) => (picture.src = url), picture.onerror);
  };
  // The link of the message has a ticket, which ends after a day. Without tickets it is asked for.
  picture.onerror = renew;
  if (fileUrl?.includes('?t=')) picture.src = `${fileUrl}&inline=1`;
  else renew();
  return h('figure', {}, picture, h('figcaption', {}, button));
}

function replied(view, { seq, userName, userId, excerpt, deleted }) {
  return h(
    'button.parent',
    { type: 'button', onclick: () => view.show(seq), 'aria-label': `Reply to ${userName}: show the message` },
    named(userName, userId),
    ' ',
    deleted ? 'Message deleted' : excerpt,
  );
}

function refusal(view, message, error) {
  const { clientMessageId: id } = message;
  return h(
    'p.failure-text',
    {},
    `Not sent: ${reasonOf(error)} `,
    h('button', { type: 'button', onclick: () => view.room.retry(id).catch(() => {}) }, 'Try again'),
    h('button', { type: 'button', onclick: () => view.room.discard(id) }, 'Discard'),
  );
}

function reactionsOf(view, message) {
  const counts = Object.entries(message.reactions ?? {});
  if (counts.length === 0) return undefined;
  return h(
    'div.reactions',
    { role: 'group', 'aria-label': 'Reactions' },
    counts.map(([emoji, count]) => {
      const isMine = view.session.reactions.get(`${message.roomId} ${message.seq} ${emoji}`) === true;
      return h(
        'button.reaction',
        {
          type: 'button',
          'aria-pressed': String(isMine),
          'aria-label': `${emoji}, ${count}`,
          onclick: () => react(view, message, emoji),
        },
        `${emoji} ${count}`,
      );
    }),
  );
}

/** Reacts, or takes the reaction back. Whether there is one from before a reload, only the server knows. */
async function react(view, { roomId, seq, reactions }, emoji) {
  const key = `${roomId} ${seq} ${emoji}`;
  await attempt(async () => {
    const { session } = view;
    let isOn = session.reactions.get(key) ?? false;
    if (!session.reactions.has(key) && reactions?.[emoji]) {
      const { items } = await session.chat.getReactions({ roomId, seq, emoji });
      isOn = items.some(({ userId }) => userId === session.me);
    }
    await view.room.react(seq, emoji, !isOn);
  });
}

function actionsOf(view, message, isMine) {
  const of = `message of ${message.userName}`;
  const emoji = iconButton('react', `React to the ${of}`, () => {
    menu(
      emoji,
      'Reactions',
      EMOJIS.map(([text, name]) => [text, () => react(view, message, text), name]),
      'menu emojis',
    );
  });
  const more = iconButton('more', `More for the ${of}`, () => menu(more, 'Message', choices(view, message, isMine)));
  for (const button of [emoji, more]) {
    button.setAttribute('aria-haspopup', 'menu');
    button.setAttribute('aria-expanded', 'false');
  }
  return h(
    'div.actions',
    {},
    emoji,
    iconButton('reply', `Reply to the ${of}`, () => view.composer.reply(message)),
    more,
  );
}

function choices(view, message, isMine) {
  const {
    room,
    session: { chat },
  } = view;
  const { seq, pinned, userName } = message;
  const place = { roomId: room.id, seq };
  const canModerate = view.canModerate;
  const pin = () => attempt(() => (pinned ? chat.unpinMessage(place) : chat.pinMessage(place)));
  const report = async () => {
    const fields = [{ name: 'reason', label: 'Reason', required: true, maxlength: 500 }];
    const values = await ask({ title: `Report the message of ${userName}`, fields, action: 'Report' });
    if (values) await attempt(() => chat.reportMessage({ ...place, ...values }), 'Reported');
  };
  return [
    isMine && !message.file && ['Edit', () => view.composer.edit(message)],
    (isMine || canModerate) && ['Delete', () => remove(view, message, isMine)],
    canModerate && [pinned ? 'Unpin' : 'Pin', pin],
    message.content && ['Copy text', () => attempt(() => navigator.clipboard.writeText(message.content), 'Copied')],
    ['Mark as unread from here', () => attempt(() => view.markUnread(seq), 'Marked as unread')],
    !isMine && ['Report', report],
  ].filter(Boolean);
}

async function remove(view, { seq, userName }, isMine) {
  const fields = isMine ? [] : [{ name: 'reason', label: 'Reason, for all to see' }];
  const title = isMine ? 'Delete your message?' : `Delete the message of ${userName}?`;
  const text = 'Its text and its file are gone for good.';
  const values = await ask({ title, text, fields, action: 'Delete', isDangerous: true });
  if (values) await attempt(() => view.room.delete(seq, values.reason ? values : {}));
}
