// Where messages are written: with mentions, replies, edits and files.

import { attempt, find, h, iconButton, reasonOf, sizeOf } from './dom.js';

const MOST_SUGGESTED = 6;
/** Says that everybody in the room is mentioned. */
const EVERYBODY = 'room';

export class Composer {
  #view;
  #replyTo;
  #edited;
  /** What was written in each room and not sent. */
  #drafts = new Map();

  constructor(view) {
    this.#view = view;
    const [form, input, file] = [find('#composer'), find('#input'), find('#file')];
    if (!find('.icon', form)) input.before(iconButton('attach', 'Attach files', () => file.click()));
    form.onsubmit = (event) => (event.preventDefault(), this.#submit());
    input.oninput = () => this.#typed();
    input.onkeydown = (event) => this.#key(event);
    input.onblur = () => setTimeout(() => this.#suggest([]), 200);
    input.onpaste = ({ clipboardData }) => this.#upload(clipboardData.files);
    file.onchange = () => {
      this.#upload(file.files);
      file.value = '';
    };
    this.#takeDrops(find('#conversation'));
  }

  #takeDrops(target) {
    const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
    target.ondragover = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      target.classList.add('drop');
    };
    target.ondragleave = ({ relatedTarget }) => target.contains(relatedTarget) || target.classList.remove('drop');
    target.ondrop = (event) => {
      target.classList.remove('drop');
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.#upload(event.dataTransfer.files);
    };
  }

  open(room) {
    const input = find('#input');
    if (this.room) this.#drafts.set(this.room.id, input.value);
    this.room = room;
    input.value = this.#drafts.get(room.id) ?? '';
    find('#uploads').replaceChildren();
    this.#grow();
    this.#endContext();
  }

  render() {
    const { status, info } = this.room;
    const isReader = info?.mode?.write === 'admins' && !this.#view.canModerate;
    find('#composer').hidden = ['closed', 'left', 'refused'].includes(status);
    const input = find('#input');
    input.disabled = isReader;
    input.placeholder = isReader ? 'Only admins write here' : 'Message';
    find('#send').disabled = isReader;
  }

  reply(message) {
    this.#endContext();
    this.#replyTo = message.seq;
    this.#context(`Reply to ${message.userName}: ${message.content ?? ''}`);
  }

  edit(message) {
    this.#endContext();
    this.#edited = message;
    find('#input').value = message.content;
    this.#context('Editing a message');
  }

  #context(text) {
    const context = find('#context');
    const cancel = h('button', { type: 'button', onclick: () => this.#cancel() }, 'Cancel');
    context.replaceChildren(h('span', {}, text), cancel);
    context.hidden = false;
    this.#grow();
    find('#input').focus();
  }

  #cancel() {
    if (this.#edited) find('#input').value = '';
    this.#endContext();
    this.#grow();
    find('#input').focus();
  }

  #endContext() {
    [this.#replyTo, this.#edited] = [undefined, undefined];
    find('#context').hidden = true;
  }

  #submit() {
    const input = find('#input');
    const content = input.value.trim();
    if (!content) return;
    const [{ room }, edited, replyTo] = [this, this.#edited, this.#replyTo];
    input.value = '';
    this.#endContext();
    this.#suggest([]);
    this.#grow();
    room.setTyping(false);
    if (edited) return void this.#change(edited, content);
    this.#view.toEnd();
    // The list shows it as pending, and why it is refused.
    room.send(content, { replyTo, ...this.#mentionsOf(content) }).catch(() => {});
  }

  async #change({ seq, version = 0, content: before }, content) {
    if (content === before) return;
    const { room } = this;
    const isDone = await attempt(() => room.chat.editMessage({ roomId: room.id, seq, content, version }));
    // What was typed is not lost.
    if (!isDone && !find('#input').value) find('#input').value = content;
  }

  /** Whom a text mentions, by id or name. */
  #mentionsOf(content) {
    const text = content.toLowerCase();
    const isNamed = (name) => name && text.includes(`@${name.toLowerCase()}`);
    const named = this.room.members.filter(({ userId, userName }) => isNamed(userId) || isNamed(userName));
    const mentions = named.map(({ userId }) => userId).filter((userId) => userId !== this.#view.session.me);
    return {
      mentions: mentions.length > 0 ? mentions.slice(0, 20) : undefined,
      mentionRoom: isNamed(EVERYBODY) || undefined,
    };
  }

  #typed() {
    this.#grow();
    const { value, selectionStart } = find('#input');
    if (value && !this.#edited) this.room.setTyping();
    const [, begun] = value.slice(0, selectionStart).match(/(?:^|\s)@([^\s@]*)$/) ?? [];
    if (begun === undefined) return this.#suggest([]);
    const others = this.room.members.filter(({ userId }) => userId !== this.#view.session.me);
    const names = [...others.map(({ userName }) => userName), EVERYBODY];
    const isMatch = (name) => name.toLowerCase().startsWith(begun.toLowerCase());
    return this.#suggest(names.filter(isMatch).slice(0, MOST_SUGGESTED), begun.length);
  }

  #suggest(names, begun = 0) {
    const list = find('#mentions');
    list.hidden = names.length === 0;
    list.replaceChildren(
      ...names.map((name) =>
        h(
          'button',
          {
            type: 'button',
            onclick: () => this.#complete(name, begun),
            'data-begun': begun,
          },
          `@${name}`,
        ),
      ),
    );
  }

  #complete(name, begun) {
    const input = find('#input');
    const at = input.selectionStart;
    input.setRangeText(`${name} `, at - begun, at, 'end');
    this.#suggest([]);
    input.focus();
  }

  #key(event) {
    const { key, shiftKey, isComposing } = event;
    const input = find('#input');
    const suggested = find('#mentions button');
    if (key === 'Tab' && suggested && !shiftKey) {
      event.preventDefault();
      suggested.click();
    } else if (key === 'Enter' && !shiftKey && !isComposing) {
      event.preventDefault();
      this.#submit();
    } else if (key === 'Escape') {
      if (suggested) this.#suggest([]);
      else this.#cancel();
    } else if (key === 'ArrowUp' && !input.value) {
      const own = this.room.messages.findLast(
        ({ userId, status, deleted, file, system }) =>
          userId === this.#view.session.me && status === 'sent' && !deleted && !file && !system,
      );
      event.preventDefault();
      if (own) this.edit(own);
    }
  }

  #grow() {
    const input = find('#input');
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight + 2, 160)}px`;
  }

  #upload(files) {
    for (const file of files) this.#uploadOne(file);
  }

  async #uploadOne(file) {
    const { room } = this;
    const controller = new AbortController();
    const bar = h('progress', { max: 1, value: 0, 'aria-label': `Upload of ${file.name}` });
    const cancel = h('button', { type: 'button', onclick: () => controller.abort() }, 'Cancel');
    const text = h('span', {}, `${file.name} · ${sizeOf(file.size)}`);
    const item = h('li', {}, text, bar, cancel);
    find('#uploads').append(item);
    try {
      await room.upload(file, {
        contentType: file.type || 'application/octet-stream',
        signal: controller.signal,
        onProgress: ({ loaded, total }) => (bar.value = total > 0 ? loaded / total : 1),
      });
      item.remove();
    } catch (error) {
      if (controller.signal.aborted) return item.remove();
      const again = h('button', { type: 'button', onclick: () => (item.remove(), this.#uploadOne(file)) }, 'Try again');
      const discard = h('button', { type: 'button', onclick: () => item.remove() }, 'Discard');
      item.className = 'failure-text';
      item.replaceChildren(`${file.name} was not sent: ${reasonOf(error)} `, again, discard);
    }
  }
}
