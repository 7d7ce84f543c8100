// Under the hood: every frame both ways, what it costs, and buttons that break things.

import { attempt, find, h, sizeOf } from './dom.js';

const MOST_SHOWN = 300;
/** API Gateway meters a frame in units of this size. */
const UNIT_BYTES = 32_768;
/** For a million units, in dollars: https://aws.amazon.com/api-gateway/pricing, us-east-1. */
const PRICE = 1;
const FAULT_MS = 10_000;
/** What breaks for some seconds, and what is sent to `/_faults`. Probabilities are per mille. */
const FAULTS = {
  'Drop the socket': { socketDropped: 1000 },
  'Kill the function': { functionKilled: 600, functionKilledBefore: 300 },
  'Throttle DynamoDB': { storeThrottled: 400 },
  'Lose answers': { functionKilledAfter: 300, storeAnswerLost: 300 },
};
/** As long as the socket is dropped with every frame, nobody can reconnect. */
const DROP_MS = 2_000;

export class Hood {
  #session;
  #log;
  #totals = { out: { frames: 0, bytes: 0, units: 0 }, in: { frames: 0, bytes: 0, units: 0 } };
  #timer;

  constructor(session) {
    this.#session = session;
    this.#build();
    session.chat.on('frame', ({ direction, frame }) => this.#add(direction, frame));
    session.chat.on('state', ({ state, retryInMs }) => {
      const wait = retryInMs === undefined ? '' : `, next attempt in ${(retryInMs / 1_000).toFixed(1)} s`;
      this.#note(`The client is ${state}${wait}.`);
    });
  }

  #build() {
    const { faults } = this.#session.config;
    const button = (label) => h('button', { type: 'button', onclick: () => this.#break(label) }, label);
    const clear = h('button', { type: 'button', onclick: () => this.#log.replaceChildren() }, 'Clear');
    this.#log = h('ol', { id: 'frames', 'aria-label': 'Frames', tabIndex: 0 });
    find('#hood').replaceChildren(
      h('header', {}, h('h2', {}, 'Under the hood'), h('p.small', { id: 'costs' }), clear),
      h(
        'div.buttons',
        { id: 'faults', role: 'group', 'aria-label': 'Break something' },
        faults
          ? [...Object.keys(FAULTS).map(button), h('button', { type: 'button', onclick: () => this.#heal() }, 'Repair')]
          : h('p.small', {}, 'Start the stack with --faults to break things from here.'),
      ),
      h('p.small', { id: 'fault-state', role: 'status' }),
      this.#log,
    );
  }

  /** Shows or hides the panel. Returns whether it is shown. */
  toggle() {
    const hood = find('#hood');
    hood.hidden = !hood.hidden;
    if (!hood.hidden) this.#showCosts();
    return !hood.hidden;
  }

  #add(direction, frame) {
    // A token is a secret, also on a screen that is shared.
    const shown = frame.token === undefined ? frame : { ...frame, token: '…' };
    const text = JSON.stringify(frame);
    const bytes = new TextEncoder().encode(text).length;
    const totals = this.#totals[direction];
    totals.frames += 1;
    totals.bytes += bytes;
    totals.units += Math.ceil(bytes / UNIT_BYTES);
    const isOut = direction === 'out';
    const title = [isOut ? '→' : '←', frame.action && isOut ? frame.action : (frame.type ?? '?'), frame.code]
      .filter(Boolean)
      .join(' ');
    const details = h('details', {}, h('summary', {}, h('span', {}, title), h('span.small', {}, sizeOf(bytes))));
    // Formatted only when somebody looks.
    details.addEventListener('toggle', () => {
      if (details.children.length === 1) details.append(h('pre', {}, JSON.stringify(shown, null, 2)));
    });
    this.#append(h('li', { className: frame.type === 'error' ? 'error' : direction }, details));
    this.#showCosts();
  }

  #note(text) {
    this.#append(h('li.state', {}, text));
  }

  #append(item) {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    this.#log.append(item);
    while (this.#log.children.length > MOST_SHOWN) this.#log.firstChild.remove();
    if (isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #showCosts() {
    if (find('#hood').hidden) return;
    const { out, in: inward } = this.#totals;
    const units = out.units + inward.units;
    const price = ((units * PRICE) / 1e6).toFixed(6);
    find('#costs').textContent =
      `sent ${out.frames} frames, ${sizeOf(out.bytes)}; received ${inward.frames} frames, ` +
      `${sizeOf(inward.bytes)}; ${units} units of API Gateway, about $${price}`;
  }

  // Faults.

  #post(plan) {
    return attempt(async () => {
      const answer = await fetch('/_faults', { method: 'POST', body: JSON.stringify(plan) });
      if (!answer.ok) throw new Error((await answer.json()).message);
    });
  }

  async #break(label) {
    const ms = label === 'Drop the socket' ? DROP_MS : FAULT_MS;
    if (!(await this.#post(FAULTS[label]))) return;
    clearTimeout(this.#timer);
    find('#fault-state').textContent = `${label}: for ${ms / 1_000} seconds. Write on, nothing is lost.`;
    this.#note(`${label}: for ${ms / 1_000} seconds.`);
    this.#timer = setTimeout(() => this.#heal(), ms);
    // The socket breaks when its client sends something.
    if (ms === DROP_MS) this.#session.chat.ping({}, { timeoutMs: ms }).catch(() => {});
  }

  async #heal() {
    clearTimeout(this.#timer);
    if (!(await this.#post({}))) return;
    find('#fault-state').textContent = 'Nothing is broken.';
    this.#note('Nothing is broken.');
  }
}
