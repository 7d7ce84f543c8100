// Lambda's runtime for Node.js: gets events from the Runtime API, one at a time, and returns the responses.

import { Agent, request } from 'node:http';
import { handler } from './app.mjs';

const agent = new Agent({ keepAlive: true });
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${api}/${path}`, { method, agent }, async (answer) => {
      answer.setEncoding('utf8');
      let text = '';
      for await (const part of answer) text += part;
      resolve({ headers: answer.headers, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

for (;;) {
  const { headers, text } = await call('GET', 'next');
  const id = headers['lambda-runtime-aws-request-id'];
  try {
    await call('POST', `${id}/response`, JSON.stringify(await handler(JSON.parse(text))));
  } catch (error) {
    const report = { errorType: error.name, errorMessage: error.message };
    await call('POST', `${id}/error`, JSON.stringify(report));
  }
}
