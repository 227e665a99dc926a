// A Segment sink: takes what Segment's HTTP tracking API takes and shows it at GET /events, in order of arrival and
// with every repeat, so that a test can see what was really sent. Node built-ins only: it starts in no time.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string' }, file: { type: 'string' } } });
const { file } = values;
if (!values.port || !file) throw new Error('usage: segmentSinkServer --port PORT --file FILE');

const MAX_BODY_BYTES = 1_000_000;
const CALLS = new Set(['track', 'identify', 'page', 'screen', 'group', 'alias']);
const events = load(file);

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://sink');
  if (request.method === 'GET' && pathname === '/events') return void answer(response, 200, { events });
  const call = pathname.replace(/^\/v1\//, '');
  if (request.method !== 'POST' || !(call === 'batch' || CALLS.has(call))) {
    return void answer(response, 404, { success: false, message: 'unknown path' });
  }
  if (!request.headers.authorization?.startsWith('Basic ')) {
    return void answer(response, 401, {
      success: false,
      message: 'a write key is needed as Basic user name',
    });
  }
  /** @type {Buffer[]} */
  const chunks = [];
  let size = 0;
  request.on('data', (chunk) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    if (size > MAX_BODY_BYTES) return void answer(response, 413, { success: false, message: 'too large' });
    let messages;
    try {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      messages = call === 'batch' ? body.batch : [{ type: call, ...body }];
      if (!Array.isArray(messages)) throw new TypeError('batch is not a list');
    } catch (error) {
      return void answer(response, 400, { success: false, message: String(error) });
    }
    // On disk before it is acknowledged: a killed sink must not forget what the sender counts as delivered.
    appendFileSync(file, messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
    events.push(...messages);
    answer(response, 200, { success: true });
  });
});

server.listen(Number(values.port), '127.0.0.1');
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

/** @param {import('node:http').ServerResponse} response @param {number} status @param {unknown} body */
function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** @param {string} name @returns {unknown[]} */
function load(name) {
  if (!existsSync(name)) return [];
  const text = readFileSync(name, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1); // a last line without its end was never acknowledged
  if (whole !== text) writeFileSync(name, whole);
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
