// What Lambda's own runtime for Node does: takes events from the Runtime API, one by one, and gives the answers back.

import { Agent, request } from 'node:http';
import { handler } from './app.mjs';

const agent = new Agent({ keepAlive: true });
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const asked = request(`${api}/${path}`, { method, agent }, async (answer) => {
      answer.setEncoding('utf8');
      let text = '';
      for await (const part of answer) text += part;
      resolve({ headers: answer.headers, text });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

for (;;) {
  const { headers, text } = await ask('GET', 'next');
  const id = headers['lambda-runtime-aws-request-id'];
  try {
    await ask('POST', `${id}/response`, JSON.stringify(await handler(JSON.parse(text))));
  } catch (error) {
    const report = { errorType: error.name, errorMessage: error.message };
    await ask('POST', `${id}/error`, JSON.stringify(report));
  }
}
