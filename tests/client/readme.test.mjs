// The JavaScript of src/client/README.md is run as it stands, against a local stack. Only its addresses are changed.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { Stack, event, installed, require, until } from './stack.mjs';

const document = readFileSync(new URL('../../src/client/README.md', import.meta.url), 'utf8');
const found = document.matchAll(/^```(js|jsx)\n([\s\S]*?)^```$/gm);
const blocks = [...found].map(([, language, text]) => ({ language, text }));

let stack;
let host;
let kitchen;
const programs = [];

before(async () => {
  stack = await Stack.start();
  host = stack.client('host&roomId=kitchen');
  await host.connect();
  kitchen = host.room('kitchen');
  await kitchen.ready;
});

after(() => {
  programs.forEach((program) => program.kill());
  host.close();
  stack.stop();
});

/** The code of the block that contains `word`, with the addresses of the stack. */
function codeWith(word) {
  const { language, text } = blocks.find((block) => block.text.includes(word));
  const { websocket, http } = stack;
  const code = text.replaceAll('ws://127.0.0.1:7071/dev', websocket).replaceAll('http://127.0.0.1:7070', http);
  return language === 'js' ? code : transpiled(code);
}

function transpiled(code) {
  const ts = require('typescript');
  const compilerOptions = { jsx: ts.JsxEmit.ReactJSX, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  return ts.transpileModule(code, { compilerOptions }).outputText;
}

/** Runs code as a module. Node.js 20 has the browser's WebSocket with a flag, and `File` in a module only. */
function run(name, code, preamble = '') {
  const file = `${installed}/${name}.mjs`;
  writeFileSync(file, `import { File } from 'node:buffer';\nglobalThis.File ??= File;\n${preamble}\n${code}`);
  const flags = typeof WebSocket === 'function' ? [] : ['--experimental-websocket', '--no-warnings'];
  const program = spawn(process.execPath, [...flags, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  programs.push(program);
  const lines = createInterface({ input: program.stdout });
  return { program, prints: (line) => new Promise((done) => lines.on('line', (one) => one === line && done())) };
}

test('the quick start', () => run('quick-start', codeWith("console.log(`${message.userName}")).prints('ana: hello'));

const PAGE = `
class Element extends EventTarget {
  children = [];
  value = '';
  replaceChildren(...children) {
    this.children = children;
    console.log(children.map(({ textContent }) => textContent).join('|'));
  }
}
const elements = { '#messages': new Element(), '#input': new Element() };
globalThis.document = Object.assign(new EventTarget(), {
  querySelector: (name) => elements[name],
  createElement: () => new Element(),
});
process.stdin.on('data', (text) => {
  elements['#input'].value = String(text).trim();
  elements['#input'].dispatchEvent(new Event('input'));
  elements['#input'].dispatchEvent(new Event('change'));
});
`;

test('a page without a framework', async () => {
  const page = run('page', codeWith('replaceChildren'), PAGE);
  const hears = page.prints('ben: hello from the page');
  page.program.stdin.write('hello from the page\n');
  await until(kitchen, () => kitchen.messages.some(({ userId }) => userId === 'ben'), 'the message of the page');
  await hears;
});

const RENDER = `
const { renderToString } = (await import('react-dom/server')).default;
const { createElement } = await import('react');
console.log(renderToString(createElement(App)).includes('<p>idle</p>') ? 'rendered' : 'not rendered');
process.exit();
`;

test('React', () => run('react-app', codeWith('ChatProvider') + RENDER).prints('rendered'));

test('a bot', async () => {
  const tea = host.room((await host.createRoom({ members: ['bot'] })).roomId);
  await tea.ready;
  run('bot', codeWith('autoFollow'));
  await event(host, 'presence', ({ userId, online }) => userId === 'bot' && online);
  await tea.send('!time');
  await until(tea, () => tea.messages[1]?.replyTo === 1, 'the answer of the bot');
});

test('files', () => run('files', codeWith('AbortController')).prints('hello'));

test('tokens', async () => {
  const code = `${codeWith("fetch('/token'")}\nconsole.log(chat.state);`;
  await run('tokens', code).prints('idle');
});

test('every block is run', () => assert.equal(blocks.length, 6));
