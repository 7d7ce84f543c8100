// A long conversation: what a frame of the screen costs is printed, and noted in src/page/README.md.

import assert from 'node:assert/strict';

import { fill, scenario, unique, until } from './users.mjs';

const COUNT = 5_000;
const FRAMES = 120;

scenario(`${COUNT} messages can be scrolled through`, async (open) => {
  const ana = await open(unique('ana'));
  const ben = await open(unique('ben'));
  const roomId = await ana.createRoom(unique('Long'));
  await ben.joinRoom(roomId);
  await fill(ben, roomId, COUNT);
  await ana.sees(`number ${COUNT}.`);
  assert.equal((await ana.texts()).filter((text) => /^number/.test(text)).length, COUNT);

  const devtools = await ana.page.context().newCDPSession(ana.page);
  await devtools.send('Performance.enable');
  /** The milliseconds that the page's thread works while `act` runs. */
  const workOf = async (act) => {
    const read = async () => {
      const { metrics } = await devtools.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000;
    };
    const before = await read();
    await act();
    return (await read()) - before;
  };
  const scroll = (frames) =>
    ana.page.evaluate(
      (left) =>
        new Promise((resolve) => {
          const scroller = document.querySelector('#scroller');
          const step = scroller.scrollHeight / left;
          const next = () => {
            scroller.scrollTop -= step;
            left -= 1;
            if (left > 0) requestAnimationFrame(next);
            else resolve();
          };
          requestAnimationFrame(next);
        }),
      frames,
    );
  const scrolling = (await workOf(() => scroll(FRAMES))) / FRAMES;
  await ana.page.evaluate(() => (document.querySelector('#scroller').scrollTop = 1e9));
  const writing = await workOf(async () => {
    await ben.write('one more');
    await ana.sees('one more');
  });
  const isAtEnd = () =>
    ana.page.evaluate(() => {
      const { scrollTop, scrollHeight, clientHeight } = document.querySelector('#scroller');
      return scrollHeight - scrollTop - clientHeight < 80;
    });
  await until(isAtEnd, () => 'the new message is not in sight');
  console.log(`${COUNT} messages: ${scrolling.toFixed(1)} ms for a frame, ${writing.toFixed(0)} ms for a new message`);
});
