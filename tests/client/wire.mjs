// A WebSocket between the client and the stack that loses, delays and changes frames, and breaks.

import { WebSocket } from './stack.mjs';

export class Wire {
  opened = 0;
  cuts = 0;
  #sockets = new Set();
  #refuses = false;
  #isLost = () => false;
  #losses = 0;
  #cutsBefore;
  #rewrite = (frame) => frame;
  #held;

  constructor() {
    const wire = this;
    this.Socket = class {
      constructor(url, protocols) {
        if (wire.#refuses) url = 'ws://127.0.0.1:1';
        this.socket = new WebSocket(url, protocols);
        this.socket.onopen = () => {
          wire.opened += 1;
          this.onopen?.();
        };
        this.socket.onerror = () => {};
        this.socket.onclose = ({ code, reason }) => this.closed(code, reason);
        this.socket.onmessage = ({ data }) => wire.#hears(this, data);
        wire.#sockets.add(this);
      }

      send(text) {
        if (!this.isFrozen) this.socket.send(JSON.stringify(wire.#rewrite(JSON.parse(text))));
      }

      close(code) {
        this.socket.close(code);
      }

      closed(code, reason = '') {
        wire.#sockets.delete(this);
        this.onclose?.({ code, reason });
      }
    };
  }

  #hears(socket, data) {
    const frame = JSON.parse(data);
    if (socket.isFrozen) return;
    if (this.#cutsBefore?.(frame)) {
      this.#cutsBefore = undefined;
      this.cuts += 1;
      return this.cut();
    }
    if (this.#losses > 0 && this.#isLost(frame)) {
      this.#losses -= 1;
      return;
    }
    if (this.#held === undefined || frame.requestId !== undefined) return socket.onmessage?.({ data });
    // The last ones of a group come first, and each comes twice.
    this.#held.push(data);
    if (this.#held.length < this.size) return;
    for (const one of this.#held.splice(0).reverse()) for (const _ of [1, 2]) socket.onmessage?.({ data: one });
  }

  /** Breaks all connections. */
  cut() {
    for (const socket of this.#sockets) socket.socket.terminate();
  }

  /** The server closes all connections. */
  closeAs(code) {
    for (const socket of this.#sockets) {
      socket.closed(code);
      socket.socket.terminate();
    }
  }

  /** Breaks the connection when a frame would arrive, which is lost. */
  cutBefore(matches) {
    this.#cutsBefore = matches;
  }

  /** Nothing passes any more on the open connections, and nobody says so. */
  freeze() {
    for (const socket of this.#sockets) socket.isFrozen = true;
  }

  /** Breaks all connections, and lets no new one open until `accept()`. */
  refuse() {
    this.#refuses = true;
    this.cut();
  }

  accept() {
    this.#refuses = false;
  }

  lose(matches, count = 1) {
    this.#isLost = matches;
    this.#losses = count;
  }

  /** Changes what the client sends. */
  rewrite(change) {
    this.#rewrite = change;
  }

  /** Delivers the frames of others in groups of `size`, in another order and twice. */
  shuffle(size) {
    this.size = size;
    this.#held = [];
  }
}
