// The hooks, with React 18 and 19.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { Stack, installed, until } from './stack.mjs';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
let stack;
before(async () => (stack = await Stack.start()));
after(() => stack.stop());

/** The hooks beside one version of React. */
async function hooksIn(folder) {
  mkdirSync(`${folder}/hooks`, { recursive: true });
  const file = `${folder}/hooks/react.mjs`;
  copyFileSync(new URL('../../src/client/react.js', import.meta.url), file);
  return import(pathToFileURL(file));
}

for (const folder of [`${installed}/react-18`, installed]) {
  const require = createRequire(`${folder}/package.json`);
  const { version, createElement: element, act: actOf19 } = require('react');

  test(`the hooks render again when the client changes, with React ${version}`, async () => {
    const { ChatProvider, useConnection, useRoom, useUnreads, useChat } = await hooksIn(folder);
    const client = stack.client(`ana${version}&roomId=tea${version}`);
    const room = client.room(`tea${version}`);
    const Show = () => {
      const { state, user } = useConnection();
      const { messages, members, unread } = useRoom(room.id);
      const texts = messages.map(({ content, status }) => `${content} ${status}`).join();
      const who = useChat() === client && user?.userId;
      return `${state} ${who}: ${texts}; ${members.length} members, ${unread} of ${useUnreads().total} unread`;
    };
    const tree = element(ChatProvider, { client }, element(Show));

    const renderer = require('react-test-renderer');
    const act = actOf19 ?? renderer.act;
    let shown;
    await act(async () => (shown = renderer.create(tree)));
    // The provider has connected.
    await act(() => until(room, () => room.members.length === 1, 'the member'));
    assert.equal(shown.toJSON(), `live ana${version}: ; 1 members, 0 of 0 unread`);
    await act(() => room.send('hello'));
    assert.equal(shown.toJSON(), `live ana${version}: hello sent; 1 members, 0 of 0 unread`);
    await act(async () => {
      client.close();
      room.send('later').catch(() => {});
    });
    assert.equal(shown.toJSON(), `closed ana${version}: hello sent,later pending; 1 members, 0 of 0 unread`);
    await act(() => shown.unmount());

    // On a server nothing connects.
    const idle = stack.client('ben');
    const { renderToString } = require('react-dom/server');
    const State = () => useConnection().state;
    assert.equal(renderToString(element(ChatProvider, { client: idle }, element(State))), 'idle');
    assert.throws(() => renderToString(element(State)), /no ChatProvider/);
  });
}
