// A page of another site in the same browser, also one whose name was rebound to this machine, against the ports that
// speak the protocols of AWS.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after } from 'node:test';

import { REBOUND, scenario, stacks } from '../seeds/browser.mjs';

const { dynamodb, s3, lambda, connections } = stacks.open;
const TYPES = ['text/plain', 'application/x-amz-json-1.0', 'application/x-www-form-urlencoded'];
const PATHS = {
  [dynamodb]: ['/', '/?Action=ListTables'],
  [s3]: ['/', '/switchboard-uploads', '/switchboard-uploads/secret.txt'],
  [lambda]: ['/', '/2018-06-01/runtime/invocation/next', '/2015-03-31/functions/switchboard/invocations'],
  [new URL(connections).origin]: ['/dev/@connections/abc'],
};

const site = createServer((_, response) => {
  response.setHeader('Content-Type', 'text/html').end('<title>elsewhere</title>');
});
await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
after(() => site.close());

/** Every request that a page can try; returns those whose answer it could read. */
function attack([targets, types]) {
  const options = [{ method: 'GET' }, { method: 'DELETE' }, { method: 'PUT', body: 'x' }];
  for (const type of types) {
    options.push({ method: 'POST', body: '{"TableName":"Messages"}', headers: { 'Content-Type': type } });
    options.push({
      method: 'POST',
      body: '{"TableName":"Messages"}',
      headers: { 'Content-Type': type, 'X-Amz-Target': 'DynamoDB_20120810.Scan', Authorization: 'AWS4-HMAC-SHA256 x' },
    });
  }
  const tries = targets.flatMap((target) =>
    ['cors', 'no-cors'].flatMap((mode) =>
      options.map(async (option) => {
        const response = await fetch(target, { mode, ...option }).catch(() => undefined);
        if (!response || response.type === 'opaque') return [];
        return [`${option.method} ${target}: ${response.status} ${(await response.text()).slice(0, 80)}`];
      }),
    ),
  );
  return Promise.all(tries).then((all) => all.flat());
}

/** The statuses of all that the ports answered to a page. */
function answersTo(page) {
  const answers = new Set();
  page.on('response', (response) => {
    const { origin, pathname } = new URL(response.url());
    if (origin !== new URL(page.url()).origin) answers.add(`${response.status()} ${origin}${pathname}`);
  });
  return answers;
}

scenario('a page of another site reaches none of the AWS ports', async (visit) => {
  for (const host of ['127.0.0.1', REBOUND]) {
    const { page } = await visit(`http://${host}:${site.address().port}/`, host);
    const answers = answersTo(page);
    for (const [port, paths] of Object.entries(PATHS)) {
      const targets = paths.map((path) => port + path);
      assert.deepEqual(await page.evaluate(attack, [targets, TYPES]), [], `${host}: ${port}`);
    }
    assert.ok(answers.size > 0, 'the ports were asked');
    assert.deepEqual([...answers].filter((answer) => !answer.startsWith('403 ')), [], host);
  }
});

scenario('a name that is rebound to this machine reaches none of the ports', async (visit) => {
  const ports = [stacks.open.http, ...Object.keys(PATHS)].map((url) => new URL(url).port);
  for (const port of new Set(ports)) {
    const { page } = await visit('about:blank', port);
    const answer = await page.goto(`http://${REBOUND}:${port}/`);
    assert.equal(answer.status(), 403, port);
    // The page of the refusal is of the port's own origin: it reads what it is answered, and that is the refusal.
    const read = await page.evaluate(attack, [['/', '/me', '/?Action=ListTables'], TYPES]);
    assert.ok(read.length > 0, port);
    assert.deepEqual(read.filter((answer) => !/: 403 .*does not accept the host/.test(answer)), [], port);
  }
});
