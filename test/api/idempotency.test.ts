import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { InjectOptions } from 'fastify';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import type { ApiDeps } from '../../api/deps.js';
import { promMetrics } from '../../api/promMetrics.js';
import { createKeyring } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import type { IdempotencyStore } from '../../domain/ports/idempotency.js';
import type { World as Database } from '../drizzle/world.js';
import { newId, openWorld } from '../drizzle/world.js';
import type { World } from './world.js';
import { createWorld, down, until } from './world.js';
import { documentOf, operationsOf } from './openapiDocument.js';

/** The ports of the API in memory, but keys, their answers and the secrets in them by the real ones. */
let database: Database;
let world: World;
let app: World['app'];
/** A second process on the same database. */
let twin: World['app'];
let store: IdempotencyStore;

const secrets = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));
const build = (changes: Partial<ApiDeps> = {}) =>
  buildApp({ ...world.deps, secrets, idempotency: store, metrics: promMetrics(new Registry()), ...changes });

beforeAll(async () => {
  database = await openWorld();
  world = createWorld();
  await world.app.close();
  store = database.stores.idempotency;
  app = build();
  twin = build();
});
afterAll(async () => {
  await app.close();
  await twin.close();
  await database.close();
});
const usual = createWorld();
afterAll(() => usual.app.close());
beforeEach(() => Object.assign(world.behave, usual.behave));

const items = '/v1/users/user-1/items';
const linkToken = '/v1/users/user-1/link-token';

interface Asked {
  method?: NonNullable<InjectOptions['method']>;
  payload?: object | string;
  headers?: Record<string, string>;
  on?: World['app'];
}
const ask = (url: string, key: string, { method = 'POST', payload, headers, on = app }: Asked = {}) =>
  on.inject({
    method,
    url,
    headers: {
      ...world.keys.all,
      ...(typeof payload === 'string' ? { 'content-type': 'application/json' } : {}),
      'idempotency-key': key,
      ...headers,
    },
    ...(payload === undefined ? {} : { payload }),
  });
const told = (answer: Awaited<ReturnType<typeof ask>>) => [
  answer.statusCode,
  answer.body === '' ? '' : (answer.json().code ?? 'ok'),
  answer.headers['idempotency-replayed'] ?? 'first',
];

describe('a key that is none', () => {
  it('is refused by name, and nothing runs', async () => {
    for (const key of ['', ' ', 'a b', 'ä', 'k'.repeat(256), 'tab\there']) {
      const answer = await ask(linkToken, key, { payload: {} });
      expect([key.slice(0, 9), ...told(answer)]).toEqual([key.slice(0, 9), 400, 'invalid_request', 'first']);
      expect(answer.json().errors).toEqual([
        { in: 'headers', pointer: '/idempotency-key', detail: expect.any(String) },
      ]);
    }
    expect(world.plaidCalls).toEqual([]);
    expect((await ask(linkToken, `!~${'k'.repeat(253)}`, { payload: {} })).statusCode).toBe(200);
  });

  it('is nothing to a request that only reads', async () => {
    const answer = await ask('/v1/users/user-1', ' not a key ', { method: 'GET' });
    expect(told(answer)).toEqual([200, 'ok', 'first']);
  });

  it('does not make a stranger, or who may not do it, leave a trace', async () => {
    const key = newId('key');
    expect((await ask(linkToken, key, { headers: { authorization: 'Bearer nobody' } })).statusCode).toBe(401);
    expect((await ask(linkToken, key, { headers: world.keys.read })).statusCode).toBe(403);
    expect((await ask(linkToken, key, { payload: '{"broken' })).statusCode).toBe(400);
    expect((await ask(linkToken, key, { payload: { unknown: 1 } })).statusCode).toBe(400);
    expect(told(await ask(linkToken, key, { payload: {} }))).toEqual([200, 'ok', 'first']);
  });
});

describe('a repeat', () => {
  it('gets the first answer whole, from another process too, and nothing runs', async () => {
    const key = newId('key');
    const payload = { public_token: `public-${key}` };
    const first = await ask(items, key, { payload });
    expect(told(first)).toEqual([201, 'ok', 'first']);
    world.behave.link = down;
    world.behave.store = down;
    for (const on of [app, twin]) {
      const again = await ask(items, key, { payload, on });
      expect(told(again)).toEqual([201, 'ok', 'true']);
      expect(again.body).toBe(first.body);
      expect([again.headers.location, again.headers['content-type'], again.headers['cache-control']]).toEqual(
        [first.headers.location, first.headers['content-type'], 'no-store'],
      );
      expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    }
  });

  it('gets an answer without a body, too', async () => {
    const key = newId('key');
    const made = await ask('/v1/applications/app-1/keys', newId('key'), { payload: { scopes: ['read'] } });
    const url = `/v1/keys/${made.json().key_id}`;
    expect(told(await ask(url, key, { method: 'DELETE' }))).toEqual([204, '', 'first']);
    world.behave.store = down;
    const again = await ask(url, key, { method: 'DELETE' });
    expect([...told(again), again.headers['content-type']]).toEqual([204, '', 'true', undefined]);
  });

  it('gets a refusal that is final', async () => {
    const key = newId('key');
    const payload = { mode: 'update' };
    const first = await ask(linkToken, key, { payload });
    expect(told(first)).toEqual([409, 'no_item', 'first']);
    const again = await ask(linkToken, key, { payload });
    expect(told(again)).toEqual([409, 'no_item', 'true']);
    expect([again.body, again.headers['content-type']]).toEqual([first.body, first.headers['content-type']]);
  });

  it('runs when the answer was one that passes', async () => {
    const key = newId('key');
    const payload = { public_token: `public-${key}` };
    world.behave.link = async () => null;
    expect(told(await ask(items, key, { payload }))).toEqual([504, 'link_pending', 'first']);
    world.behave.link = async () => ({ kind: 'outcome_unknown' });
    expect(told(await ask(items, key, { payload }))).toEqual([502, 'link_outcome_unknown', 'first']);
    world.behave.link = async () => ({
      kind: 'refused',
      plaid: { error_type: 'ITEM_ERROR', error_code: 'PRODUCT_NOT_READY', request_id: null },
    });
    expect(told(await ask(items, key, { payload }))).toEqual([424, 'plaid_refused', 'first']);
    world.behave.link = () => Promise.reject(new Error('a fault of ours'));
    expect(told(await ask(items, key, { payload }))).toEqual([500, 'internal_error', 'first']);
    world.behave.store = down;
    expect(told(await ask(items, key, { payload }))).toEqual([503, 'unavailable', 'first']);
    Object.assign(world.behave, usual.behave);
    expect(told(await ask(items, key, { payload }))).toEqual([201, 'ok', 'first']);
  });

  it('is another request with another body, another query, or from a key with other scopes', async () => {
    const key = newId('key');
    expect(told(await ask(linkToken, key, { payload: '{"mode":"create"}' }))).toEqual([200, 'ok', 'first']);
    const reused = [422, 'idempotency_key_reused', 'first'];
    expect(told(await ask(linkToken, key, { payload: '{}' }))).toEqual(reused);
    expect(told(await ask(linkToken, key, { payload: '{"mode": "create"}' }))).toEqual(reused);
    expect(told(await ask(linkToken, key))).toEqual(reused);
    expect(told(await ask(`${linkToken}?&`, key, { payload: '{"mode":"create"}' }))).toEqual(reused);
    expect(
      told(await ask(linkToken, key, { payload: '{"mode":"create"}', headers: world.keys.write })),
    ).toEqual(reused);
    expect(told(await ask(linkToken, key, { payload: '{"mode":"create"}' }))).toEqual([200, 'ok', 'true']);
    // In whatever order a key of the application holds the same scopes.
    const made = await ask('/v1/applications/app-1/keys', newId('key'), {
      payload: { scopes: ['admin', 'numbers', 'write', 'read'] },
    });
    const headers = { authorization: `Bearer ${made.json().key}` };
    expect(told(await ask(linkToken, key, { payload: '{"mode":"create"}', headers }))).toEqual([
      200,
      'ok',
      'true',
    ]);
  });

  it('is another request on another path, by another method, and from another application', async () => {
    const key = newId('key');
    const before = world.plaidCalls.length;
    await ask(linkToken, key, { payload: {} });
    expect(told(await ask('/v1/users/user-2/link-token', key, { payload: {} }))).toEqual([
      200,
      'ok',
      'first',
    ]);
    const other = await ask('/v1/applications', newId('key'), { payload: { name: 'other' } });
    const made = await ask(`/v1/applications/${other.json().application_id}/keys`, newId('key'), {
      payload: { scopes: ['read', 'write', 'numbers', 'admin'] },
    });
    const headers = { authorization: `Bearer ${made.json().key}` };
    expect(told(await ask(linkToken, key, { payload: {}, headers }))).toEqual([200, 'ok', 'first']);
    expect(told(await ask(linkToken, key, { payload: {} }))).toEqual([200, 'ok', 'true']);
    expect(world.plaidCalls.length).toBe(before + 3);
  });

  it('does not hand a key with `numbers` to a key that could not have made it', async () => {
    const key = newId('key');
    const payload = { scopes: ['numbers'] };
    const made = await ask('/v1/applications/app-1/keys', key, { payload });
    expect(made.statusCode).toBe(201);
    const stranger = await ask('/v1/applications/app-1/keys', key, { payload, headers: world.keys.admin });
    expect(told(stranger)).toEqual([422, 'idempotency_key_reused', 'first']);
    expect(stranger.body).not.toContain(made.json().key);
  });

  it('gets no link token that has expired, or is about to', async () => {
    const expiring = async (expiration: string) => {
      const on = build({
        plaid: {
          ...world.deps.plaid,
          createLinkToken: async () => ({ link_token: newId('link'), expiration }),
        },
      });
      const key = newId('key');
      const tokens = [];
      for (let turn = 0; turn < 2; turn += 1) {
        const answer = await ask(linkToken, key, { payload: {}, on });
        expect(answer.statusCode).toBe(200);
        tokens.push([answer.json().link_token, answer.headers['idempotency-replayed']]);
      }
      await on.close();
      return [tokens[0]![0] === tokens[1]![0], tokens[1]![1]];
    };
    const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();
    expect(await expiring(soon(-1_000))).toEqual([false, undefined]);
    expect(await expiring(soon(30_000))).toEqual([false, undefined]);
    expect(await expiring('whenever')).toEqual([false, undefined]);
    expect(await expiring(soon(3_600_000))).toEqual([true, 'true']);
  });

  it('by another spelling of the same path is a repeat, under which an erasure finds its answer', async () => {
    const key = newId('key');
    const path = (item: string, version = 'v1') => `/${version}/items/${item}/remine`;
    expect(told(await ask(path('item-1'), key))).toEqual([202, 'ok', 'first']);
    for (const other of [path('%69tem%2D1'), path('item-1', 'v%31'), path('item%2d1', '%76%31')])
      expect(told(await ask(other, key))).toEqual([202, 'ok', 'true']);
    expect(told(await ask(path('item%2F1'), key))).toEqual([404, 'not_found', 'first']);
    const kept = await database.sql`SELECT path FROM idempotency_keys WHERE key = ${key} ORDER BY path`;
    expect(kept).toEqual([{ path: path('item%2F1') }, { path: path('item-1') }]);
  });

  it('by the other spelling of a name that is an address is a repeat', async () => {
    const key = newId('key');
    const path = (user: string) => `/v1/users/${user}/link-token`;
    const user = newId('jo+1');
    expect(told(await ask(path(`${user}@bank.com`), key, { payload: {} }))).toEqual([200, 'ok', 'first']);
    for (const other of [`${user.replace('+', '%2B')}%40bank.com`, `${user.replace('+', '%2b')}@bank%2ecom`])
      expect(told(await ask(path(other), key, { payload: {} }))).toEqual([200, 'ok', 'true']);
  });

  it('by the whole address of the path, as a proxy is asked, is a repeat', async () => {
    const on = build();
    await on.listen({ port: 0, host: '127.0.0.1' });
    const { port } = on.server.address() as AddressInfo;
    const key = newId('key');
    const path = '/v1/items/item-1/remine';
    const asked = (target: string, method = 'POST') =>
      new Promise<[number | undefined, unknown, string]>((done, failed) => {
        const headers = { ...world.keys.all, host: 'api.example', 'idempotency-key': key };
        const sent = httpRequest({ port, host: '127.0.0.1', method, path: target, headers }, (answer) => {
          let text = '';
          answer.on('data', (bytes: Buffer) => (text += bytes.toString()));
          answer.on('end', () => done([answer.statusCode, answer.headers['idempotency-replayed'], text]));
        });
        sent.on('error', failed);
        sent.end();
      });
    try {
      expect(await asked(`http://api.example${path}`)).toEqual([202, undefined, expect.any(String)]);
      expect(await asked(path)).toEqual([202, 'true', expect.any(String)]);
      const kept = await database.sql`SELECT path FROM idempotency_keys WHERE key = ${key}`;
      expect(kept).toEqual([{ path }]);
      const [status, , problem] = await asked('http://api.example/v1/items/none/remine');
      expect([status, JSON.parse(problem)]).toMatchObject([404, { instance: '/v1/items/none/remine' }]);
      expect((await asked(`http://api.example${path}`, 'PATCH'))[0]).toBe(405);
    } finally {
      await on.close();
    }
  });

  it('on a path that no route takes is refused, and runs nothing', async () => {
    for (const path of [
      '/v1/users/%ff/link-token',
      '/v1/users/%/link-token',
      '/v1/%zz',
      '/v1/nowhere/%ED%A0%80',
    ])
      expect((await ask(path, newId('key'), { payload: {} })).statusCode).toBe(400);
    expect((await ask('/v1/nowhere/%25ff', newId('key'), { payload: {} })).statusCode).toBe(404);
  });

  it('with a very long path is a repeat like any other', async () => {
    const key = newId('key');
    const url = `/v1/users/${encodeURIComponent('😀'.repeat(128))}/link-token`;
    expect(told(await ask(url, key, { payload: {} }))).toEqual([200, 'ok', 'first']);
    expect(told(await ask(url, key, { payload: {} }))).toEqual([200, 'ok', 'true']);
    // An index entry of PostgreSQL has no room for the longest path that routes take.
    const [row] = await database.sql<[{ length: number }]>`
      SELECT length(path) FROM idempotency_keys WHERE key = ${key}`;
    expect(row.length).toBeLessThan(1_025);
  });
});

describe('a repeat while the first one runs', () => {
  it('is told to wait, in both processes; exactly one runs, and all get its answer', async () => {
    const key = newId('key');
    const payload = { public_token: `public-${key}` };
    let links = 0;
    let finish = (): void => undefined;
    const outcome = new Promise<void>((resolve) => (finish = resolve));
    world.behave.link = async () => {
      links += 1;
      await outcome;
      return { kind: 'linked', item_id: 'item-1', replaces: null, warnings: [] };
    };
    const answers: Awaited<ReturnType<typeof ask>>[] = [];
    const asked = Array.from({ length: 8 }, async (_, n) => {
      const answer = await ask(items, key, { payload, on: n % 2 ? app : twin });
      answers.push(answer);
    });
    await until(() => answers.length === 7, 'all but one are told to wait');
    for (const answer of answers) {
      expect(told(answer)).toEqual([409, 'request_running', 'first']);
      expect(answer.headers['retry-after']).toMatch(/^[1-5]$/);
    }
    // Another request is not told that one runs.
    const reused = await ask(items, key, { payload: { public_token: 'another' } });
    expect(told(reused)).toEqual([422, 'idempotency_key_reused', 'first']);
    finish();
    await Promise.all(asked);
    expect(told(answers[7]!)).toEqual([201, 'ok', 'first']);
    expect(told(await ask(items, key, { payload }))).toEqual([201, 'ok', 'true']);
    expect(links).toBe(1);
  });

  it('takes over when the lease has ended, and the answer of the late one stands no more', async () => {
    const key = newId('key');
    const payload = { mode: 'create' };
    const tokens = ['late', 'second'];
    let finish = (): void => undefined;
    const lateOne = new Promise<void>((resolve) => (finish = resolve));
    let calls = 0;
    const createLinkToken = async () => {
      const token = tokens[calls]!;
      calls += 1;
      if (token === 'late') await lateOne;
      return { link_token: token, expiration: '2999-01-01T00:00:00Z' };
    };
    // The wait for Plaid itself is bounded by another limit.
    const limits = { ...world.deps.limits, leaseMs: 1, plaidMs: 60_000 };
    const on = build({ plaid: { ...world.deps.plaid, createLinkToken }, limits });
    const late = ask(linkToken, key, { payload, on });
    await until(() => calls === 1, 'the first runs');
    // Far longer than the lease, by the clock of the database.
    await database.sql`SELECT pg_sleep(0.05)`;
    const second = await ask(linkToken, key, { payload, on });
    expect([...told(second), second.json().link_token]).toEqual([200, 'ok', 'first', 'second']);
    finish();
    expect((await late).json().link_token).toBe('late');
    const third = await ask(linkToken, key, { payload, on });
    expect([...told(third), third.json().link_token]).toEqual([200, 'ok', 'true', 'second']);
    await on.close();
  });

  it('finds the answer although the client of the first has hung up', async () => {
    await twin.listen({ port: 0, host: '127.0.0.1' });
    const { port } = twin.server.address() as AddressInfo;
    const key = newId('key');
    const payload = { public_token: `public-${key}` };
    let running = false;
    let finish = (): void => undefined;
    const outcome = new Promise<void>((resolve) => (finish = resolve));
    world.behave.link = async () => {
      running = true;
      await outcome;
      return { kind: 'linked', item_id: 'item-1', replaces: null, warnings: [] };
    };
    const first = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: items,
      headers: { ...world.keys.all, 'content-type': 'application/json', 'idempotency-key': key },
    });
    first.on('error', () => undefined);
    first.end(JSON.stringify(payload));
    await until(() => running, 'the first runs');
    first.destroy();
    await until(() => first.destroyed, 'the client is gone');
    finish();
    await until(async () => {
      const stored = await database.sql`
        SELECT 1 FROM idempotency_keys WHERE key = ${key} AND status = 201`;
      return stored.length > 0;
    }, 'the answer is stored');
    expect(told(await ask(items, key, { payload }))).toEqual([201, 'ok', 'true']);
  });
});

describe('while the database is down', () => {
  it('nothing runs under a key; what has run is answered all the same', async () => {
    let broken = true;
    let finishes = 0;
    const on = build({
      idempotency: {
        begin: async (...args) => (broken ? down() : store.begin(...args)),
        prepare: down,
        finish: async () => {
          finishes += 1;
          return down();
        },
        release: down,
      },
    });
    const before = world.plaidCalls.length;
    const key = newId('key');
    expect(told(await ask(linkToken, key, { payload: {}, on }))).toEqual([503, 'unavailable', 'first']);
    expect(world.plaidCalls.length).toBe(before);
    broken = false;
    expect(told(await ask(linkToken, key, { payload: {}, on }))).toEqual([200, 'ok', 'first']);
    expect([world.plaidCalls.length, finishes]).toEqual([before + 1, 1]);
    // Nobody knows that it is done: the lease has to end first.
    expect(told(await ask(linkToken, key, { payload: {}, on }))).toEqual([409, 'request_running', 'first']);
    await on.close();
  });
});

describe('what is stored', () => {
  it('is sealed, opens in its own row only, and is never logged', async () => {
    const [mine, other] = [newId('canary'), newId('canary')];
    const payload = { scopes: ['read'] };
    const made = await ask('/v1/applications/app-1/keys', mine, { payload });
    await ask('/v1/applications/app-1/keys', other, { payload });
    const [row] = await database.sql<[{ stored: Uint8Array }]>`
      SELECT answer_ciphertext AS stored FROM idempotency_keys WHERE key = ${mine}`;
    const stored = Buffer.from(row.stored);
    expect(stored.length).toBeGreaterThan(made.body.length);
    for (const secret of [made.json().key, made.json().key_id]) expect(stored.includes(secret)).toBe(false);
    await database.sql`
      UPDATE idempotency_keys SET (answer_key_id, answer_data_key, answer_ciphertext) =
        (SELECT answer_key_id, answer_data_key, answer_ciphertext FROM idempotency_keys WHERE key = ${other})
      WHERE key = ${mine}`;
    const swapped = await ask('/v1/applications/app-1/keys', mine, { payload });
    expect(told(swapped)).toEqual([500, 'internal_error', 'first']);
    expect(world.logged.join('')).not.toContain('canary');
    expect(world.logged.join('')).not.toContain(made.json().key);
  });
});

describe('OpenAPI', () => {
  it('shows the header and its problems on every operation that takes a key, and on no other', async () => {
    for (const { method, path, definition } of operationsOf(await documentOf(app))) {
      const header = (definition.parameters ?? []).find((one: { in: string }) => one.in === 'header');
      const takes = path.startsWith('/v1') && ['POST', 'PATCH', 'DELETE'].includes(method);
      expect([method, path, header?.name, header?.required ?? false]).toEqual([
        method,
        path,
        takes ? 'Idempotency-Key' : undefined,
        false,
      ]);
      if (!takes) continue;
      expect(definition.responses['422'].description).toContain('`idempotency_key_reused`');
      expect(definition.responses['409'].description).toContain('`request_running`');
    }
  });
});
