// A long conversation. What a frame of the screen costs is printed, and noted in src/page/README.md.

import assert from 'node:assert/strict';

import { Pane, scenario, unique, url } from './users.mjs';

const COUNT = 5_000;
const FRAMES = 120;

const message = (roomId, seq) => ({
  type: 'message',
  roomId,
  messageId: `${seq}`.padStart(16, '0'),
  seq,
  createdAt: new Date(Date.UTC(2026, 0, 1) + seq * 120_000).toISOString(),
  userId: `user${seq % 7}`,
  userName: `User ${seq % 7}`,
  content: `number ${seq}. ${'word '.repeat(seq % 30)}`,
});

/** Answers for the log of the rooms, which is long. Everything else goes to the stack. */
function withHistory(socket) {
  const stack = socket.connectToServer();
  socket.onMessage((text) => {
    const { action, requestId, roomId, before = COUNT + 1, limit, rooms = {} } = JSON.parse(text);
    const answer = (frame) => socket.send(JSON.stringify({ ...frame, requestId }));
    const log = { lastSeq: COUNT, rev: 0, epoch: '0' };
    if (action === 'getMessages' && roomId !== 'lobby') {
      const first = Math.max(1, before - limit);
      const items = Array.from({ length: before - first }, (_, at) => message(roomId, first + at));
      answer({ type: 'messages', roomId, items, hasMore: first > 1, nextBefore: first, ...log });
    } else if (action === 'resume' && !('lobby' in rooms)) {
      const complete = Object.keys(rooms).map((id) => [id, { items: [], complete: true, ...log }]);
      answer({ type: 'resumed', rooms: Object.fromEntries(complete) });
    } else stack.send(text);
  });
}

scenario(`${COUNT.toLocaleString('en')} messages can be scrolled through`, async (_, visit) => {
  const name = unique('ana');
  const { page } = await visit('about:blank', name);
  let socket;
  await page.routeWebSocket(/userId=/, (one) => withHistory((socket = one)));
  await page.goto(url);
  const ana = new Pane(page, name);
  await ana.signIn();
  const roomId = await ana.createRoom('Long');
  await ana.sees(`number ${COUNT}.`);

  const isLoaded = (count) => {
    document.querySelector('#scroller').scrollTop = 0;
    return document.querySelectorAll('.message').length === count;
  };
  await page.waitForFunction(isLoaded, COUNT, { timeout: 0 });
  assert.equal(await page.locator('.message').count(), COUNT);

  const devtools = await page.context().newCDPSession(page);
  // The time of the processor, not of the clock: others may use the machine.
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const workedMs = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000;
  };
  const before = await workedMs();
  await page.evaluate(async (frames) => {
    const scroller = document.querySelector('#scroller');
    const step = scroller.scrollHeight / frames;
    for (let left = frames; left > 0; left -= 1) {
      scroller.scrollTop += step;
      await new Promise(requestAnimationFrame);
    }
  }, FRAMES);
  const scrolled = await workedMs();
  socket.send(JSON.stringify(message(roomId, COUNT + 1)));
  const isShown = (text) => document.querySelector('#messages').lastElementChild.textContent.includes(text);
  await page.waitForFunction(isShown, `number ${COUNT + 1}.`);
  const [frame, added] = [(scrolled - before) / FRAMES, (await workedMs()) - scrolled];
  console.log(`${COUNT} messages: ${frame.toFixed(1)} ms for a frame, ${added.toFixed(0)} ms for a new message`);
});
