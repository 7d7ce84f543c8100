// Helpers for elements, dialogs and texts.

/**
 * An element with properties, event listeners (`onclick`) and children. Names with a hyphen, `role` and `for` are
 * attributes.
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key.includes('-') || ['role', 'for', 'maxlength'].includes(key)) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== false && child !== null));
  return element;
}

export const find = (selector, root = document) => root.querySelector(selector);

/** Drawn, because not every system has the symbols: paths in a square of 24. */
const ICONS = {
  attach: 'M8 12.5l6.5-6.5a3 3 0 0 1 4.2 4.2L10 19a5 5 0 0 1-7-7l8-8',
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6L6 18',
  members:
    'M9 11a3 3 0 1 0 0-7 3 3 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14a7 7 0 0 1 3 6',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  pin: 'M9 3h6l-1 6 3 4H7l3-4zM12 13v8',
  react: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14a4 4 0 0 0 7 0M9 9.5h.01M15 9.5h.01',
  reply: 'M10 6l-6 6 6 6M4 12h9a7 7 0 0 1 7 7',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5',
};

function drawn(icon) {
  const make = (tag, attributes) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const picture = make('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' });
  picture.append(make('path', { d: ICONS[icon] }));
  return picture;
}

/** A button that only has an icon; its label is read aloud and shown as tooltip. */
export const iconButton = (icon, label, onclick, className = 'icon') =>
  h('button', { type: 'button', className, title: label, 'aria-label': label, onclick }, drawn(icon));

/** Tells something that has happened; failures stay longer. */
export function tell(text, isFailure = false) {
  const note = h('p.note', { className: isFailure ? 'note failure' : 'note' }, text);
  find(isFailure ? '#failures' : '#notes').append(note);
  setTimeout(() => note.remove(), isFailure ? 8_000 : 4_000);
}

/** What failed, for the user. */
export const reasonOf = (error) => (error.code ? `${error.message} (${error.code})` : error.message);

/** Runs what a user asked for, and tells when it fails. Returns whether it succeeded. */
export async function attempt(act, done) {
  try {
    const result = await act();
    if (done) tell(done);
    return result ?? true;
  } catch (error) {
    if (error.name !== 'AbortError') tell(reasonOf(error), true);
    return false;
  }
}

/**
 * Asks in a dialog. `fields` are `{ name, label, value?, type?, options?, required? }`. Resolves with the values by
 * name, or with nothing when the user cancels.
 */
export function ask({ title, text, fields = [], action = 'OK', isDangerous = false }) {
  const inputs = fields.map((field) => [field, inputOf(field)]);
  const rows = inputs.map(([{ label }, input]) => h('label.field', {}, h('span', {}, label), input));
  const submit = h('button', { type: 'submit', className: isDangerous ? 'danger' : 'primary' }, action);
  const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'dialog-title' }, title),
    text && h('p', {}, text),
    rows,
    h('div.buttons', {}, cancel, submit),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let values;
    form.addEventListener('submit', () => {
      values = Object.fromEntries(inputs.map(([{ name }, { value }]) => [name, value.trim()]));
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(values);
    });
    dialog.showModal();
  });
}

function inputOf({ name, type = 'text', value = '', options, required = false, ...more }) {
  if (!options) return h('input', { name, type, value, required, autocomplete: 'off', ...more });
  const choices = options.map(([key, label]) => h('option', { value: key, selected: key === value }, label));
  return h('select', { name }, choices);
}

/** A menu beside the button that opened it. `items` are `[label, run]`; it closes by Escape, a choice or a click. */
export function menu(button, label, items, className = 'menu') {
  const close = (isBack) => {
    list.remove();
    document.removeEventListener('pointerdown', outside, true);
    button.setAttribute('aria-expanded', 'false');
    if (isBack) button.focus();
  };
  const outside = ({ target }) => !list.contains(target) && close(false);
  const entries = items.map(([text, run, name = text]) =>
    h('button', { type: 'button', role: 'menuitem', 'aria-label': name, onclick: () => (close(true), run()) }, text),
  );
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === 'Escape' || event.key === 'Tab')
      return event.stopPropagation(), event.preventDefault(), close(true);
    if (!step) return undefined;
    event.preventDefault();
    event.stopPropagation();
    const at = entries.indexOf(document.activeElement);
    return entries[(at + step + entries.length) % entries.length].focus();
  };
  const list = h('div', { className, role: 'menu', 'aria-label': label, onkeydown: move }, entries);
  button.setAttribute('aria-expanded', 'true');
  document.addEventListener('pointerdown', outside, true);
  document.body.append(list);
  const { left, bottom, top } = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = list;
  list.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
  list.style.top = `${bottom + height < innerHeight ? bottom : Math.max(4, top - height)}px`;
  entries[0]?.focus();
}

/** The hue of a user's name. */
export function hueOf(userId) {
  let hash = 0;
  for (const letter of userId) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  // Names that differ in a letter get colours far apart.
  return (hash * 137) % 360;
}

/** A user's name in the user's colour. */
export function named(userName, userId, tag = 'span.name') {
  const name = h(tag, {}, userName);
  name.style.setProperty('--hue', hueOf(userId));
  return name;
}

export const timeOf = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
export const dayOf = (at) => new Date(at).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });

export function sizeOf(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export const distanceOf = (metres) =>
  metres < 1_000 ? `${Math.round(metres)} m` : `${(metres / 1_000).toFixed(1)} km`;

/** Calls `run` once for all calls within `ms`. */
export function soon(run, ms) {
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      run();
    }, ms);
  };
}
