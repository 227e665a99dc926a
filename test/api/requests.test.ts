import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { createWorld, impatient, never } from './world.js';
import { documentOf, operationsOf } from './openapiDocument.js';

const world = createWorld();
const { app, keys } = world;
afterAll(() => app.close());

const get = (url: string, headers: Record<string, string> = keys.all) => app.inject({ url, headers });
const post = (url: string, payload: string | Buffer, type = 'application/json') =>
  app.inject({ method: 'POST', url, headers: { ...keys.all, 'content-type': type }, payload });

const items = '/v1/users/user-1/items';

describe('a body that is refused', () => {
  const broken: [string, string, number, string][] = [
    ['no JSON', '{"public_token":', 400, 'malformed_json'],
    ['two values', '{} {}', 400, 'malformed_json'],
    ['a prototype', '{"public_token":"t","__proto__":{"admin":true}}', 400, 'malformed_json'],
    [
      'a constructor',
      '{"public_token":"t","constructor":{"prototype":{"admin":true}}}',
      400,
      'malformed_json',
    ],
    ['a list', '[]', 400, 'invalid_request'],
    ['null', 'null', 400, 'invalid_request'],
    ['a string', '"public_token"', 400, 'invalid_request'],
    ['nothing', '', 400, 'invalid_request'],
    ['no token', '{}', 400, 'invalid_request'],
    ['a token of another type', '{"public_token":7}', 400, 'invalid_request'],
    ['an empty token', '{"public_token":""}', 400, 'invalid_request'],
    ['a token with a line break', '{"public_token":"a\\nb"}', 400, 'invalid_request'],
    ['an endless token', `{"public_token":"${'t'.repeat(513)}"}`, 400, 'invalid_request'],
    ['an unknown field', '{"public_token":"t","publictoken":"t"}', 400, 'invalid_request'],
    ['NUL', '{"public_token":"t","main_account_id":"a\\u0000"}', 400, 'invalid_request'],
    ['NUL in metadata', '{"public_token":"t","accounts":[{"name":"a\\u0000"}]}', 400, 'invalid_request'],
    ['a lone surrogate', '{"public_token":"t","accounts":[{"name":"\\ud800"}]}', 400, 'invalid_request'],
    ['accounts that are none', '{"public_token":"t","accounts":{"0":{}}}', 400, 'invalid_request'],
    ['deep nesting', `{"accounts":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 400, 'invalid_request'],
    [
      'more than 256 KiB',
      JSON.stringify({ public_token: 't', accounts: 'x'.repeat(262_144) }),
      413,
      'payload_too_large',
    ],
  ];
  for (const [what, payload, status, code] of broken) {
    it(`holds ${what}`, async () => {
      const answer = await post(items, payload);
      expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
      expect(world.links.size).toBe(0);
    });
  }

  it('is of another content type', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'nonsense',
      '/',
    ]) {
      const answer = await post(items, '{"public_token":"t"}', type);
      expect([type, answer.statusCode, answer.json().code]).toEqual([type, 415, 'unsupported_media_type']);
    }
  });

  it('is named field by field, by JSON pointer, without repeating what was sent', async () => {
    const answer = await post(
      items,
      '{"public_token":7,"a/b~c":"canary","accounts":[{"name":"x"},{"mask":42}],"main_account_id":"canary\\u0000"}',
    );
    const { errors, instance, type, request_id, title, status } = answer.json();
    expect(
      errors.map((error: { in: string; pointer: string }) => `${error.in} ${error.pointer}`).sort(),
    ).toEqual(['body /accounts/1/mask', 'body /a~1b~0c', 'body /main_account_id', 'body /public_token']);
    expect([instance, type, status]).toEqual([items, '/problems/invalid_request', 400]);
    expect(request_id).toBe(answer.headers['x-request-id']);
    expect(title).toBe('The request does not fit its schema');
    expect(answer.body).not.toContain('canary');
  });

  it('may be absent where every field is optional', async () => {
    const url = '/v1/users/user-1/link-token';
    expect((await app.inject({ method: 'POST', url, headers: keys.all })).statusCode).toBe(200);
    expect((await post(url, '')).statusCode).toBe(200);
    expect((await post(url, '{"mod":"create"}')).statusCode).toBe(400);
    expect((await post(url, '[]')).statusCode).toBe(400);
  });
});

describe('a query that is refused', () => {
  const transactions = '/v1/users/user-1/transactions';
  const refused = [
    'limit=0',
    'limit=501',
    'limit=1e2',
    'limit=',
    'limit=%2010',
    'limit=1.5',
    'limit=1&limit=2',
    'from=2026-02-31',
    'from=0000-01-01',
    'to=0000-12-31',
    'from=20260101',
    'from=2026-01-01T00:00:00Z',
    'to=tomorrow',
    'status=',
    'status=pending,',
    'status=PENDING',
    'status=pending,posted,removed,closed',
    'format=xml',
    'include_removed=1',
    'account_id=',
    'account_id=a%00b',
    'unknown=1',
    '__proto__=1',
    'constructor=1',
    'toString=1',
    'cursor=',
  ];
  for (const query of refused) {
    it(query, async () => {
      const answer = await get(`${transactions}?${query}`);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
      expect(answer.json().errors[0].in).toBe('query');
      expect(answer.json().errors[0].pointer).toMatch(/^\/[a-z_]+/i);
      // The query may hold what nobody else should read.
      expect(answer.json().instance).toBe(transactions);
    });
  }

  it('is unknown to the operation, whichever it is', async () => {
    const operations = operationsOf(await documentOf(app)).filter(({ scope }) => scope !== null);
    expect(operations.length).toBeGreaterThan(10);
    for (const { method, url } of operations) {
      const takesBody = ['POST', 'PUT', 'PATCH'].includes(method);
      const payload = takesBody ? { payload: {} } : {};
      const answer = await app.inject({ method, url: `${url}?unknown=1`, headers: keys.all, ...payload });
      const unknown = { in: 'query', pointer: '/unknown', detail: 'is not known here' };
      expect([method, url, answer.statusCode]).toEqual([method, url, 400]);
      // Where the body is wrong as well, that may be named instead.
      if (!takesBody) expect([url, answer.json().errors]).toEqual([url, [unknown]]);
    }
  });

  it('is one that other routes know', async () => {
    expect((await get('/v1/items/item-1?include=accounts')).statusCode).toBe(400);
    expect((await get('/v1/items/item-1/transactions?include_removed=true')).statusCode).toBe(400);
    expect((await get('/v1/webhooks?user_id=1')).statusCode).toBe(400);
    expect((await get('/v1/users/user-1/items?status=active')).statusCode).toBe(400);
  });

  it('does not refuse good ones', async () => {
    for (const query of [
      '',
      'limit=500',
      'from=2024-02-29&to=2024-01-01',
      'status=removed,pending,removed',
      'include_removed=true',
    ]) {
      expect([query, (await get(`${transactions}?${query}`)).statusCode]).toEqual([query, 200]);
    }
  });
});

describe('a path that is refused', () => {
  const paths: [string, number][] = [
    ['/', 404],
    ['/v1', 404],
    ['/v1/nothing', 404],
    ['/v1/users', 404],
    ['/v2/items/item-1', 404],
    ['/v1/items/item-1/', 404],
    ['/v1/items/', 400],
    ['/v1/items/absent', 404],
    ['/v1/items/a%00b', 400],
    ['/v1/items/%0a', 400],
    ['/v1/items/%ff', 400],
    ['/v1/items/%', 400],
    ['/v1/items/__proto__', 404],
    [`/v1/items/${'i'.repeat(257)}`, 400],
    [`/v1/items/${'i'.repeat(5_000)}`, 414],
    [`/v1/users/${'u'.repeat(129)}`, 400],
    ["/v1/items/'%20OR%201=1;--", 404],
    ['/v1/items/..%2f..%2fetc', 404],
    ['/v1/webhooks/%27', 400],
    ['/problems/__proto__', 404],
    ['/problems/nothing', 404],
  ];
  for (const [path, status] of paths) {
    it(`${path.slice(0, 60)} (${path.length})`, async () => {
      const answer = await get(path);
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([
        status,
        'application/problem+json; charset=utf-8',
      ]);
      expect(answer.json()).toMatchObject({ status, request_id: answer.headers['x-request-id'] });
    });
  }

  it('tells an unknown path from a method that it does not take', async () => {
    const put = await app.inject({ method: 'PUT', url: items, headers: keys.all, payload: 'x' });
    expect([put.statusCode, put.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    const gone = await app.inject({
      method: 'POST',
      url: '/v1/nothing',
      headers: { 'content-type': 'text/csv' },
      payload: 'x',
    });
    expect(gone.statusCode).toBe(404);
    expect((await app.inject({ method: 'GET', url: '/webhooks/plaid' })).statusCode).toBe(405);
    expect((await app.inject({ method: 'OPTIONS', url: '/livez' })).statusCode).toBe(405);
  });

  it('takes user ids of any script, up to 128 characters', async () => {
    const userId = '😀'.repeat(128);
    world.users.add(userId);
    expect((await get(`/v1/users/${encodeURIComponent(userId)}`)).json().user_id).toBe(userId);
    world.users.add('a/b c');
    expect((await get('/v1/users/a%2Fb%20c')).json().user_id).toBe('a/b c');
    expect((await get(`/v1/users/${encodeURIComponent(`${userId}x`)}`)).statusCode).toBe(400);
  });
});

describe('request ids', () => {
  it('are taken over when they are fit for a log, else made', async () => {
    const own = await get('/livez', { 'x-request-id': 'abc-123' });
    expect(own.headers['x-request-id']).toBe('abc-123');
    for (const bad of ['', 'a b', 'x'.repeat(129), 'ä']) {
      const { headers } = await get('/livez', { 'x-request-id': bad });
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('the log', () => {
  const linesOf = (id: string) =>
    world.logged
      .map((line) => JSON.parse(line))
      .filter(({ request_id, msg }) => request_id === id && msg === 'request');

  it('says of each request who asked, what came of it, and why it was refused; an address only of who has no key', async () => {
    const asked: [string, Record<string, string>, Record<string, unknown>][] = [
      ['/v1/items/item-1', keys.read, { status: 200, application_id: 'app-1', key_id: 'read' }],
      [
        '/v1/applications',
        keys.read,
        { status: 403, problem: 'insufficient_scope', application_id: 'app-1', key_id: 'read' },
      ],
      ['/v1/items/item-1?x=1', keys.read, { status: 400, problem: 'invalid_request', key_id: 'read' }],
      ['/v1/items/item-1', keys.revoked, { status: 401, problem: 'unauthorized', address: '127.0.0.1' }],
      [`/portal/${'x'.repeat(43)}`, {}, { status: 404, problem: 'not_found' }],
    ];
    for (const [index, [url, headers, expected]] of asked.entries()) {
      const id = `logged-${index}`;
      await get(url, { ...headers, 'x-request-id': id });
      const [line, ...more] = linesOf(id);
      expect([url, more, line]).toEqual([url, [], expect.objectContaining(expected)]);
      expect([url, 'address' in line]).toEqual([url, 'address' in expected]);
    }
    // What a client wrote makes no line of its own: ids, paths and keys are JSON texts, or are not logged at all.
    await get('/v1/items/a%0a%7b%22level%22:60%7d', { ...keys.read, 'x-request-id': 'x\u0085y' });
    for (const line of world.logged) expect(line.trimEnd()).not.toMatch(/[\n\u0085]|%7b|key-read/);
  });
});

describe('every answer', () => {
  const policy = ["default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"];
  const expectHeaders = (what: string, headers: Record<string, unknown>): void => {
    const { 'content-security-policy': found, ...others } = headers;
    expect([what, String(found).split('; ')]).toEqual([what, expect.arrayContaining(policy)]);
    expect([what, others]).toEqual([
      what,
      expect.objectContaining({
        'referrer-policy': 'no-referrer',
        'strict-transport-security': 'max-age=31536000; includeSubDomains',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      }),
    ]);
    expect([
      what,
      Object.keys(headers).filter((name) => /^access-control-|^server$|^x-powered/.test(name)),
    ]).toEqual([what, []]);
  };

  it('tells browsers to run, frame and guess nothing: the API', async () => {
    const operations = operationsOf(await documentOf(app));
    for (const { method, url } of operations) {
      for (const headers of [keys.all, keys.unknown, {}]) {
        const answer = await app.inject({ method, url, headers });
        expectHeaders(`${method} ${url} ${answer.statusCode}`, answer.headers);
        expect([url, answer.headers['content-security-policy']]).toEqual([
          url,
          expect.stringMatching(/; sandbox$/),
        ]);
        if (url.startsWith('/v1')) expect(answer.headers['cache-control']).toBe('no-store');
        // A text without a charset is what a browser makes of it.
        const type = answer.headers['content-type'];
        if (answer.body !== '')
          expect([url, type]).toEqual([url, expect.stringMatching(/json|charset=utf-8/)]);
      }
    }
  });

  it('does so too: pages, what is not routed, and what is no request', async () => {
    const urls = [
      '/docs',
      '/docs/static/index.html',
      '/docs/static/swagger-ui.css',
      '/docs/static/nothing.js',
      '/docs/json',
      '/docs/yaml',
      '/openapi.json',
      `/portal/${'x'.repeat(43)}`,
      '/portal/style.css',
      '/portal/logo',
      '/',
      '/.git/config',
      '/nothing',
      '/v1/nothing',
      '/v1/items/%ff',
      `/v1/items/${'i'.repeat(5_000)}`,
    ];
    for (const url of urls) expectHeaders(url, (await get(url)).headers);
    for (const method of ['OPTIONS', 'TRACE', 'PUT'] as const) {
      expectHeaders(method, (await app.inject({ method: method as 'PUT', url: items })).headers);
    }
  });

  it('names no origin that may read it, whoever asks', async () => {
    for (const origin of ['null', 'https://elsewhere.example']) {
      for (const url of ['/v1/users/user-1', '/docs/json', '/livez', '/portal/style.css']) {
        expectHeaders(url, (await get(url, { ...keys.all, origin })).headers);
        const asked = { origin, 'access-control-request-method': 'GET' };
        const before = await app.inject({ method: 'OPTIONS', url, headers: asked });
        expect(before.statusCode).toBe(405);
        expectHeaders(url, before.headers);
      }
    }
  });
});

describe('anything at all', () => {
  it('never ends in a fault of ours', async () => {
    const operations = operationsOf(await documentOf(app));
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '__proto__',
        'constructor',
        '\u0000',
        "';DROP TABLE items;--",
        '../..',
        '%00',
        '{}',
        'NaN',
        '-1',
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...operations),
        value,
        fc.dictionary(fc.constantFrom('limit', 'cursor', 'status', 'from', 'account_id', 'x'), value, {
          maxKeys: 3,
        }),
        fc.oneof(fc.json(), value),
        async ({ method, path }, parameter, query, payload) => {
          const encode = (text: string): string => encodeURIComponent(text.toWellFormed());
          const search = Object.entries(query).map(([name, text]) => `${encode(name)}=${encode(text)}`);
          const url = `${path.replace(/\{\w+\}/g, encode(parameter))}?${search.join('&')}`;
          const answer = await app.inject({
            method,
            url,
            headers: { ...keys.all, 'content-type': 'application/json' },
            ...(method === 'POST' ? { payload } : {}),
          });
          expect(answer.statusCode).toBeLessThan(500);
          if (answer.statusCode >= 400) expect(answer.json().status).toBe(answer.statusCode);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('over a real connection', () => {
  const slow = createWorld(impatient);
  let port = 0;
  beforeAll(async () => {
    await slow.app.listen({ port: 0, host: '127.0.0.1' });
    port = (slow.app.server.address() as AddressInfo).port;
  });
  afterAll(() => slow.app.close());

  const send = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(text));
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('end', () => resolve(answer));
      socket.on('error', reject);
    });

  it('answers headers that are too large, and what is no HTTP, as problems', async () => {
    const large = await send(
      `GET /livez HTTP/1.1\r\nhost: x\r\nplaid-verification: ${'a'.repeat(40_000)}\r\n\r\n`,
    );
    expect(large).toMatch(/^HTTP\/1\.1 431 /);
    expect(large).toContain('"code":"headers_too_large"');
    const nonsense = await send('nonsense\r\n\r\n');
    expect(nonsense).toMatch(/^HTTP\/1\.1 400 /);
    expect(nonsense).toContain('application/problem+json');
    for (const answer of [large, nonsense]) {
      expect(answer).toMatch(
        /\r\ncontent-security-policy: default-src 'none'; object-src 'none'; .*; sandbox\r\n/,
      );
      expect(answer).toContain('\r\nx-content-type-options: nosniff\r\n');
      expect(answer).toContain('\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n');
    }
  });

  it('answers what is on its way while it closes', async () => {
    const asked = new Promise<void>((resolve) => {
      slow.behave.status = () => {
        resolve();
        return never();
      };
    });
    const answer = send(
      `GET /v1/items/item-1/sync HTTP/1.1\r\nhost: x\r\nauthorization: ${slow.keys.read.authorization}\r\n\r\n`,
    );
    await asked;
    await slow.app.close();
    expect(await answer).toMatch(/^HTTP\/1\.1 503 /);
    // Kept open, it would have held up the shutdown for as long as the client liked.
    expect(await answer).toMatch(/\r\nconnection: close\r\n/i);
  });
});
