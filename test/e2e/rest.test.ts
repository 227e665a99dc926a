import { request } from 'node:http';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { testStack } from '../stack/testStack.js';
import { until } from '../workflows/harness.js';
import { readTogether } from './until.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import type { Json } from './linking.js';
import { goThroughLink } from './linking.js';
import type { Answer, System } from './system.js';
import { untilQuiet } from './oracle.js';
import { startSystem } from './system.js';

type Row = Json & { transaction_id: string; account_id: string; date: string; pending: boolean };

let system: System;
let temporal: CuttableProxy;
let database: CuttableProxy;
let itemId: string;
let truth: { transactions: Row[]; accounts: Json[] };
const user = 'reader';

const get = (route: string, headers: Record<string, string> = {}): Promise<Answer<Json>> =>
  system.api<Json>('GET', route, undefined, headers);
const readTruth = async (): Promise<void> => {
  truth = await system.sim<typeof truth>(`/_sim/items/${itemId}/truth`);
};
/** Date descending, then id: in code units, as the contract's ids are compared. */
const inOrder = (rows: Row[]): string[] =>
  [...rows]
    .sort((a, b) =>
      a.date === b.date ? (a.transaction_id < b.transaction_id ? -1 : 1) : a.date < b.date ? 1 : -1,
    )
    .map(({ transaction_id }) => transaction_id);

async function walk(route: string, between?: (page: number) => Promise<void>): Promise<Json[]> {
  const rows: Json[] = [];
  const separator = route.includes('?') ? '&' : '?';
  let cursor: string | null = null;
  let page = 0;
  do {
    const suffix = cursor === null ? '' : `${separator}cursor=${encodeURIComponent(cursor)}`;
    const { status, body }: Answer<Json> = await get(`${route}${suffix}`);
    expect(status).toBe(200);
    expect(body['has_more']).toBe(body['next_cursor'] !== null);
    rows.push(...body['data']);
    cursor = body['next_cursor'];
    page += 1;
    if (cursor !== null) await between?.(page);
  } while (cursor !== null);
  return rows;
}

beforeAll(async () => {
  const { hostname, port } = new URL(testStack().database_url);
  [temporal, database] = await Promise.all([
    startCuttableProxy(testStack().temporal_address),
    startCuttableProxy(`${hostname}:${port}`),
  ]);
  system = await startSystem({ transactionsPerItem: 400, apiEnv: { TEMPORAL_ADDRESS: temporal.address } });
  const fresh = await goThroughLink(system, user);
  itemId = fresh.itemId;
  await system.api('POST', `/v1/users/${user}/items`, { public_token: fresh.publicToken });
  await system.sim(`/_sim/items/${itemId}/advance`, { to: 'idle' });
  await until(async () => {
    const { body } = await get(`/v1/items/${itemId}`);
    const due = (await system.sim(`/_sim/items/${itemId}/truth`))['webhooks_due'];
    const pending = await system.sql`SELECT 1 FROM webhooks WHERE outcome = 'pending'`;
    return body['history'] === 'complete' && due === 0 && pending.length === 0;
  });
  await untilQuiet(system, itemId);
  await readTruth();
});
afterAll(async () => {
  await system?.stop();
  await Promise.all([temporal?.close(), database?.close()]);
});

describe('a request that is wrong', () => {
  it('is told so: unknown item and user, malformed or unknown parts', async () => {
    const missing = ['/v1/items/nobody', '/v1/items/nobody/accounts', '/v1/items/nobody/transactions'];
    missing.push('/v1/items/nobody/balances');
    missing.push('/v1/items/nobody/sync', '/v1/users/nobody', '/v1/users/nobody/transactions', '/v1/nothing');
    for (const route of missing) {
      const { status, body, headers } = await get(route);
      expect([route, status, body['code']]).toEqual([route, 404, 'not_found']);
      expect(headers.get('content-type')).toContain('application/problem+json');
      expect(body['request_id']).toBe(headers.get('x-request-id'));
    }
    // Plaid's ids are case-sensitive.
    const otherCase = itemId.replace(/[a-z]/i, (letter) =>
      letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
    );
    expect((await get(`/v1/items/${otherCase}`)).status).toBe(404);

    const link = `/v1/users/${user}/items`;
    const cases: [string, string, unknown, number, string][] = [
      ['POST', link, '{"public_token": ', 400, 'malformed_json'],
      ['POST', link, '{"__proto__": {"admin": true}}', 400, 'malformed_json'],
      ['POST', link, { public_token: 'public-sandbox-1', colour: 'red' }, 400, 'invalid_request'],
      ['POST', link, { public_token: 7 }, 400, 'invalid_request'],
      ['POST', link, [], 400, 'invalid_request'],
      ['GET', `/v1/items/${itemId}/transactions?limit=0`, undefined, 400, 'invalid_request'],
      ['GET', `/v1/items/${itemId}/transactions?limit=501`, undefined, 400, 'invalid_request'],
      ['GET', `/v1/items/${itemId}/transactions?from=2026-02-30`, undefined, 400, 'invalid_request'],
      ['GET', `/v1/items/${itemId}/transactions?colour=red`, undefined, 400, 'invalid_request'],
      ['GET', `/v1/items/${itemId}/transactions?cursor=made-up`, undefined, 400, 'invalid_cursor'],
      ['DELETE', `/v1/items/${itemId}/accounts`, undefined, 405, 'method_not_allowed'],
    ];
    for (const [method, route, sent, status, code] of cases) {
      const answer = await system.api<Json>(method, route, sent);
      expect([route, answer.status, answer.body['code']]).toEqual([route, status, code]);
    }
    const unknownField = await system.api<Json>('POST', link, { public_token: 'p', colour: 'red' });
    expect(unknownField.body['errors'][0]).toMatchObject({ in: 'body' });
    const asText = await system.api<Json>('POST', link, 'x', { 'content-type': 'text/plain' });
    expect([asText.status, asText.body['code']]).toEqual([415, 'unsupported_media_type']);
    const echoed = await get('/v1/users/nobody', { 'x-request-id': 'from-the-client' });
    expect(echoed.body['request_id']).toBe('from-the-client');
  });

  it('has no key, a wrong one, one that was revoked or one with too narrow a scope', async () => {
    for (const authorization of ['', 'Bearer ', 'Bearer wrong', `Basic ${system.adminKey}`]) {
      const { status, body } = await get(`/v1/items/${itemId}`, { authorization });
      expect([authorization, status, body['code']]).toEqual([authorization, 401, 'unauthorized']);
    }
    const { body: application } = await system.api<Json>('POST', '/v1/applications', {
      name: 'reports',
      access: 'all',
    });
    const keys = `/v1/applications/${application['application_id']}/keys`;
    const { status, body: made } = await system.api<Json>('POST', keys, { scopes: ['read'] });
    expect(status).toBe(201);
    const reader = { authorization: `Bearer ${made['key']}` };
    expect((await get(`/v1/items/${itemId}`, reader)).status).toBe(200);
    const narrow: [string, string, unknown][] = [
      ['POST', `/v1/users/${user}/link-token`, {}],
      ['POST', `/v1/users/${user}/items`, { public_token: 'public-sandbox-1' }],
      ['GET', '/v1/webhooks', undefined],
      ['POST', '/v1/applications', { name: 'mine' }],
    ];
    for (const [method, route, sent] of narrow) {
      const answer = await system.api<Json>(method, route, sent, reader);
      expect([route, answer.status, answer.body['code']]).toEqual([route, 403, 'insufficient_scope']);
    }
    expect((await system.api('DELETE', `/v1/keys/${made['key_id']}`)).status).toBe(204);
    const revoked = await get(`/v1/items/${itemId}`, reader);
    const wrong = await get(`/v1/items/${itemId}`, { authorization: 'Bearer wrong' });
    expect(revoked.status).toBe(401);
    expect({ ...revoked.body, request_id: 0 }).toEqual({ ...wrong.body, request_id: 0 });
  });
});

describe('lists of a mined item', () => {
  it('hold the truth, page by page, in order, whatever the page size', async () => {
    const expected = inOrder(truth.transactions);
    expect(expected.length).toBeGreaterThan(300);
    for (const route of [`/v1/items/${itemId}/transactions`, `/v1/users/${user}/transactions`]) {
      for (const limit of [97, 500]) {
        const rows = await walk(`${route}?limit=${limit}`);
        expect(rows.map(({ id }) => id)).toEqual(expected);
      }
    }
  });

  it("are Plaid's own objects with format=raw", async () => {
    const rows = await walk(`/v1/items/${itemId}/transactions?format=raw&limit=500`);
    const byId = new Map(truth.transactions.map((row) => [row.transaction_id, row]));
    expect(rows.length).toBe(byId.size);
    for (const row of rows) expect(row).toEqual(byId.get(row['transaction_id']));
    const accounts = await walk(`/v1/items/${itemId}/accounts?format=raw&limit=1`);
    const expected = truth.accounts.map((account) => {
      const { closed, ...atPlaid } = account;
      expect(closed).toBe(false);
      return atPlaid;
    });
    expect(accounts).toEqual(expected.sort((a, b) => (a['account_id'] < b['account_id'] ? -1 : 1)));
  });

  it('are narrowed by dates, account and status, alone and together', async () => {
    const [account] = truth.accounts.map(({ account_id }) => account_id as string);
    const dates = truth.transactions.map(({ date }) => date).sort();
    const from = dates[Math.floor(dates.length / 3)] as string;
    const to = dates[Math.floor((dates.length * 2) / 3)] as string;
    const cases: [string, (row: Row) => boolean][] = [
      [`from=${from}`, (row) => row.date >= from],
      [`to=${to}`, (row) => row.date <= to],
      [`from=${from}&to=${to}`, (row) => row.date >= from && row.date <= to],
      [`from=${to}&to=${from}`, (row) => from === to && row.date === from],
      [`account_id=${account}`, (row) => row.account_id === account],
      [
        `account_id=${account}&from=${from}&status=posted`,
        (row) => row.account_id === account && row.date >= from && !row.pending,
      ],
      ['status=pending', (row) => row.pending],
      ['status=posted,pending', () => true],
      ['status=removed', () => false],
      ['account_id=nobody', () => false],
    ];
    for (const [query, keeps] of cases) {
      const rows = await walk(`/v1/items/${itemId}/transactions?${query}&limit=50`);
      expect([query, rows.map(({ id }) => id)]).toEqual([query, inOrder(truth.transactions.filter(keeps))]);
    }
  });

  it('hold the balances day by day, of which the clean-up takes the old ones and nothing else', async () => {
    const { account_id } = truth.accounts[0] as Json;
    await system.sql`
      INSERT INTO balance_snapshots (item_id, account_id, day, current, as_of)
      SELECT ${itemId}, ${account_id}, (now() - interval '100 days')::date, 1, now() - interval '100 days'`;
    const route = `/v1/items/${itemId}/balances`;
    const [accounts, before] = await readTogether(
      () => walk(`/v1/items/${itemId}/accounts`),
      () => walk(`${route}?limit=1`),
    );
    const newest = before.slice(0, accounts.length);
    expect(newest.map((row) => [row['account_id'], row['balances']])).toEqual(
      accounts.map((account) => [account['id'], account['balances']]),
    );
    await system.client.schedule.getHandle('clean-up').trigger();
    // An update may come meanwhile, and takes the newest snapshots anew.
    const keysOf = (rows: Json[]) => rows.map((row) => [row['account_id'], row['day']]);
    await until(async () => (await walk(route)).length === before.length - 1);
    expect(keysOf(await walk(route))).toEqual(keysOf(before.slice(0, -1)));
    expect(await walk(`${route}?account_id=nobody`)).toEqual([]);
  });

  it('say how complete they are', async () => {
    for (const route of [
      `/v1/items/${itemId}/transactions`,
      `/v1/items/${itemId}/accounts`,
      `/v1/users/${user}/items`,
    ]) {
      const { body } = await get(`${route}?limit=1`);
      expect([route, body['meta'].items]).toEqual([
        route,
        [{ item_id: itemId, phase: 'idle', history: 'complete', as_of: expect.any(String) }],
      ]);
    }
    const { body: sync } = await get(`/v1/items/${itemId}/sync`);
    expect(sync).toMatchObject({ item_id: itemId, running: true, history: 'complete' });
  });

  it('refuse a cursor of other filters', async () => {
    const { body } = await get(`/v1/items/${itemId}/transactions?limit=10`);
    const cursor = encodeURIComponent(body['next_cursor']);
    expect((await get(`/v1/items/${itemId}/transactions?limit=20&cursor=${cursor}`)).status).toBe(200);
    for (const route of [
      `/v1/items/${itemId}/transactions?status=posted&cursor=${cursor}`,
      `/v1/items/${itemId}/accounts?cursor=${cursor}`,
      `/v1/users/${user}/transactions?cursor=${cursor}`,
    ]) {
      const answer = await get(route);
      expect([route, answer.status, answer.body['code']]).toEqual([route, 400, 'invalid_cursor']);
    }
  });

  it('lose and repeat no row when others come and go between the pages', async () => {
    const before = inOrder(truth.transactions);
    const gone = before[150] as string;
    const rows = await walk(`/v1/items/${itemId}/transactions?limit=100`, async (page) => {
      if (page !== 1) return;
      const { added } = await system.sim(`/_sim/items/${itemId}/transactions`, {
        add: [{ amount: 5, name: 'New, on top' }],
        remove: [gone],
        notify: true,
      });
      // TRANSACTIONS_REMOVED alone may settle the removal before an update brings the new row: wait for both.
      await until(
        async () =>
          (
            await system.sql`
              SELECT FROM transactions WHERE (transaction_id = ${gone} AND status = 'removed')
                OR (transaction_id = ${added[0]} AND status <> 'removed')`
          ).length === 2,
      );
    });
    expect(rows.map(({ id }) => id)).toEqual(before.filter((id) => id !== gone));
    const removed = await walk(`/v1/items/${itemId}/transactions?status=removed`);
    expect(removed.map(({ id, status }) => [id, status])).toEqual([[gone, 'removed']]);
    await readTruth();
    const now = await walk(`/v1/items/${itemId}/transactions?limit=500`);
    expect(now.map(({ id }) => id)).toEqual(inOrder(truth.transactions));
  });
});

describe('the OpenAPI document of the running API', () => {
  it('is 3.1, holds together, and every operation in it exists', async () => {
    const { body: document } = await get('/openapi.json', { authorization: '' });
    expect(document['openapi']).toMatch(/^3\.1\.\d+$/);
    const ajv = new Ajv2020({ strict: false });
    (formats as unknown as (ajv: Ajv2020) => void)(ajv);
    const pointers: string[] = [];
    let schemas = 0;
    const visit = (value: unknown, key: string): void => {
      if (typeof value !== 'object' || value === null) return;
      const { $ref } = value as { $ref?: unknown };
      if (typeof $ref === 'string') pointers.push($ref);
      if (key === 'schema') schemas += ajv.validateSchema(value) === true ? 1 : NaN;
      for (const [name, inner] of Object.entries(value)) visit(inner, name);
    };
    visit(document, '');
    expect(schemas).toBeGreaterThan(50);
    const operations = Object.entries(document['paths'] as Record<string, Json>).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, definition]) => ({ path, method, definition })),
    );
    for (const pointer of pointers) {
      let at: Json | undefined = document;
      for (const part of pointer.replace('#/', '').split('/')) at = at?.[part];
      expect([pointer, typeof at]).toEqual([pointer, 'object']);
    }
    const schemes = Object.keys(document['components'].securitySchemes);
    for (const { path, method, definition } of operations) {
      const where = `${method} ${path}`;
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const declared = (definition.parameters ?? [])
        .filter((parameter: Json) => parameter['in'] === 'path')
        .map((parameter: Json) => parameter['name']);
      expect([where, declared.sort()]).toEqual([where, inPath.sort()]);
      for (const requirement of definition.security ?? []) {
        for (const scheme of Object.keys(requirement)) expect(schemes).toContain(scheme);
      }
      for (const answer of Object.values(definition.responses as Record<string, Json>)) {
        expect([where, typeof answer['description']]).toEqual([where, 'string']);
      }
      const url = path.replace(/\{\w+\}/g, 'x');
      const { status } = await system.api(method.toUpperCase(), url, undefined, { authorization: '' });
      // Without a key: 401, or what an open operation says; 405 would mean that there is no such route.
      expect([where, status]).not.toEqual([where, 405]);
      if (path.startsWith('/v1/')) expect([where, status]).toEqual([where, 401]);
    }
    expect(operations.length).toBeGreaterThan(18);
  });
});

describe('/readyz', () => {
  const ready = () => get('/readyz', { authorization: '' });
  const isReady = async (): Promise<boolean> => {
    const { status, body } = await ready();
    return status === 200 && !JSON.stringify(body['dependencies']).includes('down');
  };

  it('names the dependency that is down, while /livez stays up', async () => {
    await system.stopApi();
    const url = new URL(testStack().database_url);
    url.host = database.address;
    const [name] = await system.sql<{ name: string }[]>`SELECT current_database() AS name`;
    url.pathname = `/${name?.name}`;
    await system.startApi({ DATABASE_URL: url.href });
    await until(isReady);
    for (const [down, proxy] of [
      ['temporal', temporal],
      ['postgresql', database],
    ] as const) {
      proxy.cut();
      let answer = await ready();
      const status = async () => ((answer = await ready()).body['dependencies'] as Json)[down] as Json;
      await until(async () => (await status())['status'] === 'down');
      // Cached reads and webhooks go on without Temporal.
      expect([answer.status, answer.body['code']]).toEqual(
        down === 'postgresql' ? [503, 'not_ready'] : [200, undefined],
      );
      const up = down === 'temporal' ? 'postgresql' : 'temporal';
      expect([down, answer.body['dependencies']]).toEqual([
        down,
        { [down]: { status: 'down' }, [up]: { status: 'up' } },
      ]);
      expect((await get('/livez', { authorization: '' })).status).toBe(200);
      const read = await get(`/v1/items/${itemId}`);
      expect([down, read.status]).toEqual([down, down === 'postgresql' ? 503 : 200]);
      if (down === 'postgresql') {
        expect(read.body['code']).toBe('unavailable');
        const link = await system.api<Json>('POST', '/v1/users/new/items', {
          public_token: 'public-sandbox-1',
        });
        expect([link.status, link.body['code']]).toEqual([503, 'unavailable']);
        expect((await system.sql`SELECT 1 FROM users WHERE user_id = 'new'`).length).toBe(0);
      }
      proxy.restore();
      await until(isReady);
    }
  });
});

describe('SIGTERM under load', () => {
  /** One request on a connection of its own; the status, or how the connection failed. */
  const ask = (route: string, method: string, body?: string): Promise<number | string> =>
    new Promise((resolve) => {
      const sending = request(
        `${system.urls.api}${route}`,
        {
          method,
          agent: false,
          headers: {
            authorization: `Bearer ${system.adminKey}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
        },
        (response) => {
          let bytes = 0;
          response.on('data', (chunk: Buffer) => (bytes += chunk.length));
          response.on('aborted', () => resolve('cut in the answer'));
          response.on('end', () => resolve(bytes > 0 ? (response.statusCode ?? 0) : 'empty'));
        },
      );
      sending.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      sending.end(body);
    });

  it('answers every request that it has taken, refuses no other than by not listening, and exits with 0', async () => {
    // Slow ones, surely on their way when the signal comes: Plaid takes its time over a link token.
    await system.sim('/_sim/faults', {
      match: { path: '/link/token/create' },
      fault: { latency_ms: 2_500 },
      times: 10,
    });
    const slow = Array.from({ length: 10 }, (_, n) => ask(`/v1/users/slow-${n}/link-token`, 'POST', '{}'));
    await until(async () => {
      const { calls } = await system.sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
      return (calls.find(({ path }) => path === '/link/token/create')?.count ?? 0) >= 10;
    });
    const answers: (number | string)[] = [];
    let stopped = false;
    const load = Array.from({ length: 6 }, async () => {
      while (!stopped) answers.push(await ask(`/v1/items/${itemId}/transactions?limit=100`, 'GET'));
    });
    await until(() => answers.length > 20);
    const exit = await system.stopApi();
    stopped = true;
    await Promise.all(load);
    expect(exit).toEqual({ code: 0, signal: null });
    expect(await Promise.all(slow)).toEqual(Array(10).fill(200));
    // Refused, or reset before it was accepted: nothing was begun. Any other answer but 200 would be a failed request.
    const others = answers.filter((answer) => !['ECONNREFUSED', 'ECONNRESET'].includes(String(answer)));
    expect(new Set(others)).toEqual(new Set([200]));
    await system.startApi();
    expect((await get(`/v1/items/${itemId}`)).status).toBe(200);
  });
});
