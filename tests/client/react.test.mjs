// The hooks, with React 18 and 19: rendered by react-dom/server, and in a renderer of react-dom without a browser.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { after, before, test } from 'node:test';

import { Stack, installed, require, until } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start()));
after(() => stack.stop());

/** The hooks with one version of React. */
async function hooksOf(react) {
  const source = readFileSync(new URL('../../src/client/react.js', import.meta.url), 'utf8');
  const file = `${installed}/hooks-of-${react}.mjs`;
  writeFileSync(file, source.replace("from 'react'", `from '${react}'`));
  return import(pathToFileURL(file));
}

for (const [react, dom] of [['react-18', 'react-dom-18'], ['react', 'react-dom']]) {
  const { version, createElement: element } = require(react);

  test(`the hooks render with React ${version}`, async () => {
    const { ChatProvider, useConnection, useRoom, useUnreads, useChat } = await hooksOf(react);
    const client = stack.client(`user-${react}&roomId=tea-${react}`);
    await client.connect();
    const room = client.room(`tea-${react}`);
    await room.ready;
    await client.loadUnreads();
    await room.send('hello');
    const Show = () => {
      const { state, user } = useConnection();
      const { messages, members } = useRoom(room.id);
      const texts = messages.map(({ content }) => content).join();
      return `${state} ${user.userId} ${texts} ${members.length} ${useUnreads().total} ${useChat() === client}`;
    };
    const { renderToString } = require(`${dom}/server`);
    const shown = () => renderToString(element(ChatProvider, { client }, element(Show)));
    await until(room, () => room.members.length === 1, 'the member');
    assert.equal(shown(), `live user-${react} hello 1 0 true`);
    await room.send('again');
    assert.equal(shown(), `live user-${react} hello,again 1 0 true`);
    assert.throws(() => renderToString(element(Show)), /no ChatProvider/);
    client.close();
  });
}
