import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import closeWithGrace from 'close-with-grace';
import { foreignErrorText } from '../../domain/foreignError.js';
import { ownBusiness } from '../../src/process.js';

/**
 * A Segment sink: takes what Segment's HTTP tracking API takes and shows it at GET /events, in order of arrival and with every
 * repeat, so that a test can see what was really sent.
 */
const { values } = parseArgs({ options: { port: { type: 'string' }, file: { type: 'string' } } });
const { file } = values;
if (!values.port || !file) {
  process.stderr.write('usage: segmentSinkServer --port PORT --file FILE\n');
  process.exit(2);
}

const MAX_BODY_BYTES = 1_000_000;
const CLOSE_WITHIN_MS = 3_000;
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
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    if (size > MAX_BODY_BYTES) return void answer(response, 413, { success: false, message: 'too large' });
    const messages = messagesOf(call, Buffer.concat(chunks).toString('utf8'));
    if (messages === null) return void answer(response, 400, { success: false, message: 'malformed' });
    // On disk before it is acknowledged: a killed sink must not forget what the sender counts as delivered.
    appendFileSync(file, messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
    events.push(...messages);
    answer(response, 200, { success: true });
  });
});

server.listen(Number(values.port), '127.0.0.1');
/** Tells close-with-grace to exit with 1; what went wrong has been told. */
class Stopped extends Error {}
const report = (error: unknown): void => void process.stderr.write(`segment: ${foreignErrorText(error)}\n`);
const grace = closeWithGrace(
  { delay: CLOSE_WITHIN_MS, logger: false, skip: ownBusiness, onSecondError: report },
  async (why) => {
    if ('err' in why) report(why.err);
    await new Promise((resolve) => server.close(resolve));
    if ('err' in why) throw new Stopped();
  },
);
let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (!stopping) grace.close();
    stopping = true;
  });
}

/** The messages of a call; null when it is none that Segment takes. */
function messagesOf(call: string, text: string): unknown[] | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof body !== 'object' || body === null) return null;
  if (call !== 'batch') return [{ type: call, ...body }];
  return 'batch' in body && Array.isArray(body.batch) ? body.batch : null;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function load(name: string): unknown[] {
  if (!existsSync(name)) return [];
  const text = readFileSync(name, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1); // a last line without its end was never acknowledged
  if (whole !== text) writeFileSync(name, whole);
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line): unknown => JSON.parse(line));
}
