// Validates an AsyncAPI document with the reference parser. Usage: node asyncapi.mjs NODE_MODULES DOCUMENT

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, document] = process.argv.slice(2);
const { Parser } = createRequire(`${folder}/`)('@asyncapi/parser');
const { document: parsed, diagnostics } = await new Parser().parse(readFileSync(document, 'utf8'));
const problems = diagnostics.filter(({ severity }) => severity <= 1);
for (const { message, path } of problems) console.error(`${document}: ${path.join('.')}: ${message}`);
if (!parsed || problems.length > 0) process.exit(1);
console.log(`${document}: ${parsed.operations().length} operations, ${parsed.allMessages().length} messages`);
