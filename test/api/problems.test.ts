import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { problemOf, problemOfPlaid, problemOfPlaidError } from '../../api/errors.js';
import { isProblemCode, problemTypes } from '../../api/problems.js';
import { Failure } from '../../domain/failures.js';
import { createWorld } from './world.js';

/** What goes wrong before a handler is reached, over a real connection: each is a problem whose `type` leads to a page. */
const world = createWorld();
const { app, keys } = world;
let port = 0;
beforeAll(async () => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  port = (app.server.address() as AddressInfo).port;
});
afterAll(() => app.close());

/** Sends bytes as they are, and reads until the server hangs up. */
const send = (...parts: (string | Buffer)[]): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => parts.forEach((part) => socket.write(part)));
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('close', () => resolve(answer));
    // A server that refuses a large request hangs up while it is still being sent.
    socket.on('error', () => undefined);
  });

const json = 'content-type: application/json\r\n';
const head = (start: string, ...fields: string[]): string =>
  `${start} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: ${keys.all.authorization}\r\n${fields.join('')}\r\n`;
const length = (bytes: number): string => `content-length: ${bytes}\r\n`;
const items = '/v1/users/user-1/items';
const large = Buffer.alloc(300_000, 0x20);

const requests: [string, (string | Buffer)[], number, string][] = [
  ['an unknown path', [head('GET /v1/nothing')], 404, 'not_found'],
  ['an unknown version', [head('GET /v2/items/item-1')], 404, 'not_found'],
  ['an unknown path with a body', [head('POST /v1/nothing', length(1)), 'x'], 404, 'not_found'],
  ['a method that the path does not take', [head(`PATCH ${items}`)], 405, 'method_not_allowed'],
  ['a method of WebDAV', [head(`PROPFIND ${items}`)], 405, 'method_not_allowed'],
  ['a trace', [head(`TRACE ${items}`)], 405, 'method_not_allowed'],
  ['a method that is none', [head(`FETCH ${items}`)], 400, 'invalid_request'],
  ['an older protocol', [`GET /livez SPDY/3\r\n\r\n`], 400, 'invalid_request'],
  ['no host', ['GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n'], 400, 'invalid_request'],
  ['an expectation of its own', [head('GET /v1/nothing', 'expect: miracles\r\n')], 404, 'not_found'],
  ['two lengths', [head(`POST ${items}`, json, length(2), length(3)), '{}'], 400, 'invalid_request'],
  [
    'a length and chunks',
    [head(`POST ${items}`, json, length(2), 'transfer-encoding: chunked\r\n'), '{}'],
    400,
    'invalid_request',
  ],
  [
    'a chunk without a size',
    [head(`POST ${items}`, json, 'transfer-encoding: chunked\r\n'), 'zz\r\n'],
    400,
    'invalid_request',
  ],
  ['a long path', [head(`GET /v1/items/${'i'.repeat(5_000)}`)], 414, 'uri_too_long'],
  ['a path longer than all headers may be', [head(`GET /${'i'.repeat(20_000)}`)], 431, 'headers_too_large'],
  ['a long query', [head(`GET ${items}?cursor=${'c'.repeat(9_000)}`)], 400, 'invalid_request'],
  ['large headers', [head('GET /livez', `x-a: ${'a'.repeat(20_000)}\r\n`)], 431, 'headers_too_large'],
  ['broken JSON', [head(`POST ${items}`, json, length(1)), '{'], 400, 'malformed_json'],
  [
    'JSON in another alphabet',
    [head(`POST ${items}`, json, length(4)), Buffer.from('{}', 'utf16le')],
    400,
    'malformed_json',
  ],
  [
    'a type that is no JSON',
    [head(`POST ${items}`, 'content-type: text/csv\r\n', length(2)), 'a,'],
    415,
    'unsupported_media_type',
  ],
  [
    'a form',
    [head(`POST ${items}`, 'content-type: multipart/form-data\r\n', length(2)), '--'],
    415,
    'unsupported_media_type',
  ],
  ['a body without a type', [head(`POST ${items}`, length(2)), '{}'], 415, 'unsupported_media_type'],
  ['a large body', [head(`POST ${items}`, json, length(large.length)), large], 413, 'payload_too_large'],
  ['a body announced as large', [head(`POST ${items}`, json, length(999_999_999))], 413, 'payload_too_large'],
  [
    'a large body in chunks',
    [
      head(`POST ${items}`, json, 'transfer-encoding: chunked\r\n'),
      `${large.length.toString(16)}\r\n`,
      large,
      '\r\n0\r\n\r\n',
    ],
    413,
    'payload_too_large',
  ],
  [
    'a large webhook',
    [head('POST /webhooks/plaid', json, length(2_000_000)), Buffer.alloc(2_000_000)],
    413,
    'payload_too_large',
  ],
];

describe('what never reaches a handler', () => {
  it.each(requests)('%s', async (_what, parts, status, code) => {
    const answer = await send(...parts);
    const [headers = '', body = ''] = answer.split('\r\n\r\n', 2);
    expect(headers.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(headers.toLowerCase()).toContain('content-type: application/problem+json');
    // Chunked or not: the one line that is JSON.
    const problem = JSON.parse(/\{.*\}/.exec(body)?.[0] ?? 'null');
    expect(problem).toMatchObject({ status, code, type: `/problems/${code}` });
    if (!isProblemCode(code)) throw new Error('a code that is none');
    expect(problem.title).toBe(problemTypes[code].title);
    expect(headers.toLowerCase()).toContain(`x-request-id: ${problem.request_id}`);
    const page = await app.inject(problem.type);
    expect([page.statusCode, page.body.includes(problemTypes[code].help)]).toEqual([200, true]);
    expect(world.links.size).toBe(0);
  });
});

describe('a failure that becomes a problem', () => {
  it("shows of Plaid's error its type, its code and its request id, whatever else hangs on it", () => {
    const shown = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: 'r1' };
    const upstream = { ...shown, error_message: 'canary access-sandbox-1' };
    for (const problem of [
      problemOfPlaid(new Failure('LOGIN_REQUIRED', 'no', { upstream })),
      problemOfPlaidError(upstream),
    ]) {
      const body = problem.body('/v1/items/item-1', 'request-1');
      expect(JSON.parse(body).plaid).toEqual(shown);
      expect(body).not.toContain('canary');
    }
  });

  it('says that Plaid is busy for a maintenance that was stored, as for a limit', () => {
    const stored = (error_type: string, error_code: string) =>
      problemOfPlaidError({ error_type, error_code, request_id: null });
    expect(stored('API_ERROR', 'PLANNED_MAINTENANCE').code).toBe('plaid_busy');
    expect(stored('RATE_LIMIT_EXCEEDED', 'RATE_LIMIT').headers()).toEqual({ 'retry-after': '60' });
    expect(stored('API_ERROR', 'INTERNAL_SERVER_ERROR').code).toBe('plaid_unreachable');
  });

  it('takes no word of anybody but the framework for what the client did wrong', () => {
    const thrown = (code: string) => Object.assign(new Error('canary'), { statusCode: 404, code });
    expect(problemOf(thrown('FST_ERR_NOT_FOUND')).code).toBe('not_found');
    expect(problemOf(thrown('NoSuchKey')).code).toBe('internal_error');
    expect(problemOf('thrown text').code).toBe('internal_error');
  });
});
