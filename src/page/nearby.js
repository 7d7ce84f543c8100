// Rooms near a place, nearest first.

import { ask, attempt, distanceOf, find, h } from './dom.js';

/** Where the search begins, until the user says where. */
const START = { latitude: '37.7749', longitude: '-122.4194' };

export class Nearby {
  #session;
  #place = START;

  constructor(session) {
    this.#session = session;
  }

  open() {
    const field = (name, label, most) =>
      h(
        'label.field',
        {},
        h('span', {}, label),
        h('input', {
          name,
          type: 'number',
          step: 'any',
          min: -most,
          max: most,
          required: true,
          value: this.#place[name],
        }),
      );
    const list = h('ul', { 'aria-live': 'polite', 'aria-label': 'Rooms nearby' });
    const here = h('button', { type: 'button', onclick: () => this.#locate(form) }, 'Use my location');
    const create = h('button', { type: 'button', onclick: () => this.#create(dialog) }, 'New room here');
    const form = h(
      'form',
      { onsubmit: (event) => (event.preventDefault(), this.#search(form, list, dialog)) },
      field('latitude', 'Latitude', 90),
      field('longitude', 'Longitude', 180),
      h('div.buttons', {}, here, create, h('button.primary', {}, 'Search')),
    );
    const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Close');
    const dialog = h(
      'dialog',
      { id: 'nearby', 'aria-labelledby': 'nearby-title' },
      h('h2', { id: 'nearby-title' }, 'Rooms nearby'),
      form,
      list,
      h('div.buttons', {}, close),
    );
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    this.#search(form, list, dialog);
  }

  #locate(form) {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        for (const name of ['latitude', 'longitude']) form.elements[name].value = coords[name].toFixed(5);
        form.requestSubmit();
      },
      ({ message }) => attempt(() => Promise.reject(new Error(`Your place is not known: ${message}`))),
    );
  }

  async #search(form, list, dialog) {
    this.#place = Object.fromEntries(['latitude', 'longitude'].map((name) => [name, form.elements[name].value]));
    const answer = await attempt(() => this.#session.chat.fetch('/rooms', { query: this.#place }));
    if (!answer) return;
    const join = async (roomId) => {
      dialog.close();
      await this.#session.join(roomId);
    };
    const rows = answer.rooms.map(({ roomId, roomName, roadName, distance, participantCount }) =>
      h(
        'li',
        {},
        h(
          'span.title',
          {},
          roomName ?? roadName ?? roomId,
          h(
            'span.small',
            {},
            [distanceOf(distance), roomName && roadName, `${participantCount} members`].filter(Boolean).join(' · '),
          ),
        ),
        h(
          'button',
          { type: 'button', onclick: () => join(roomId), 'aria-label': `Join ${roomName ?? roadName ?? roomId}` },
          'Join',
        ),
      ),
    );
    list.replaceChildren(...(rows.length > 0 ? rows : [h('li', {}, 'There are no rooms within 5 km.')]));
  }

  async #create(dialog) {
    const values = await ask({
      title: 'A room at this place',
      fields: [
        { name: 'roomName', label: 'Name', required: true, maxlength: 128 },
        { name: 'roadName', label: 'Road' },
        { name: 'radius', label: 'Found within (metres)', type: 'number', min: 1, max: 10_000, value: '1000' },
      ],
      action: 'Create',
    });
    if (!values) return;
    const { latitude, longitude } = Object.fromEntries(new FormData(find('form', dialog)));
    const place = { latitude: Number(latitude), longitude: Number(longitude), radius: Number(values.radius) };
    const body = { ...place, roomName: values.roomName, roadName: values.roadName || undefined };
    const room = await attempt(() => this.#session.chat.fetch('/rooms', { method: 'POST', body }));
    if (!room) return;
    dialog.close();
    await this.#session.join(room.roomId);
  }
}
