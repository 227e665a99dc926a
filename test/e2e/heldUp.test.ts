import { testStack } from '../stack/testStack.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { callsOf, fault, linkItem } from './linkedItem.js';
import type { Json } from './linking.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

/** The API while something that it needs is held up: whoever does not need that is answered. */
let system: System;
let database: CuttableProxy;
let temporal: CuttableProxy;
let itemId: string;

const get = (route: string, headers: Record<string, string> = {}): Promise<Answer<Json>> =>
  system.api<Json>('GET', route, undefined, headers);

beforeAll(async () => {
  const { host } = new URL(testStack().database_url);
  [database, temporal] = await Promise.all([
    startCuttableProxy(host),
    startCuttableProxy(testStack().temporal_address),
  ]);
  system = await startSystem({ transactionsPerItem: 50, apiEnv: { LIVE_READS: '8' } });
  itemId = await linkItem(system, { user: 'held' });
  await system.stopApi();
  const url = new URL(testStack().database_url);
  url.host = database.address;
  const [row] = await system.sql<[{ name: string }]>`SELECT current_database() AS name`;
  url.pathname = `/${row.name}`;
  await system.startApi({ DATABASE_URL: url.href, TEMPORAL_ADDRESS: temporal.address });
  await until(async () => (await get(`/v1/items/${itemId}/accounts`)).status === 200);
});
afterAll(async () => {
  await system?.stop();
  await Promise.all([database?.close(), temporal?.close()]);
});

/** Cached reads that need no account, of this Item and of others. */
const others = (): Promise<number[]> =>
  Promise.all(
    [`/v1/items/${itemId}/transactions?limit=10`, '/v1/webhooks', '/v1/users/nobody'].map(
      async (route) => (await get(route)).status,
    ),
  );

it('answers the others while one table is locked, and 503 who needs that table', async () => {
  await system.sql.begin(async (tx) => {
    await tx`LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE`;
    const stuck = Array.from({ length: 40 }, () => get(`/v1/items/${itemId}/accounts`));
    // The lock is held until these are answered.
    for (let round = 0; round < 10; round += 1) expect(await others()).toEqual([200, 200, 404]);
    const ready = await get('/readyz', { authorization: '' });
    expect(ready.status).toBe(200);
    for (const { status, body, headers } of await Promise.all(stuck)) {
      expect([status, body['code']]).toEqual([503, 'unavailable']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });
  expect((await get(`/v1/items/${itemId}/accounts`)).status).toBe(200);
});

it('answers the others while somebody holds the rows of one Item, and keeps no 503 under an Idempotency-Key', async () => {
  const headers = { 'idempotency-key': 'while-held' };
  const remine = () => system.api<Json>('POST', `/v1/items/${itemId}/remine`, undefined, headers);
  await system.sql.begin(async (tx) => {
    await tx`SELECT FROM items WHERE item_id = ${itemId} FOR UPDATE`;
    await tx`UPDATE accounts SET updated_at = updated_at WHERE item_id = ${itemId}`;
    const held = remine();
    for (let round = 0; round < 5; round += 1) expect(await others()).toEqual([200, 200, 404]);
    expect((await get(`/v1/items/${itemId}/accounts`)).status).toBe(200);
    const { status, body } = await held;
    expect([status, body['code']]).toEqual([503, 'unavailable']);
  });
  const again = await remine();
  expect(again.status).toBe(202);
  expect(again.headers.get('idempotency-replayed')).toBeNull();
});

it('answers cached reads while one bank hangs, and refuses live reads beyond its bound', async () => {
  const path = '/accounts/balance/get';
  const live = () => get(`/v1/items/${itemId}/balances/live`);
  const before = await callsOf(system, itemId, path);
  await fault(system, itemId, path, { latency_ms: 20_000 }, { times: 8 });
  const hanging = Array.from({ length: 8 }, live);
  // Asked for before all of them are on their way, one more would take the place of one of them.
  await until(async () => (await callsOf(system, itemId, path)) === before + 8);
  expect((await live()).body['code']).toBe('live_reads_busy');
  for (let round = 0; round < 10; round += 1) expect(await others()).toEqual([200, 200, 404]);
  expect((await get(`/v1/items/${itemId}/accounts`)).status).toBe(200);
  for (const { status } of await Promise.all(hanging)) expect(status).toBe(200);
  expect((await live()).status).toBe(200);
});

it('ends every request while the database is silent, and goes on when it is back', async () => {
  expect(await others()).toEqual([200, 200, 404]);
  database.silence();
  for (const status of await others()) expect(status).toBe(503);
  const ready = await get('/readyz', { authorization: '' });
  expect([ready.status, ready.body['dependencies']]).toEqual([
    503,
    { postgresql: { status: 'down' }, temporal: { status: 'up' } },
  ]);
  expect((await get('/livez', { authorization: '' })).status).toBe(200);
  database.restore();
  await until(async () => (await others()).join() === '200,200,404');
});

it('stays ready while Temporal is silent, and tells of it', async () => {
  let answer = await get('/readyz', { authorization: '' });
  const says = (status: 'up' | 'down') =>
    until(async () => {
      answer = await get('/readyz', { authorization: '' });
      return ((answer.body['dependencies'] as Json | undefined)?.['temporal'] as Json)?.['status'] === status;
    });
  await until(async () => (await get('/readyz', { authorization: '' })).status === 200);
  temporal.silence();
  await says('down');
  expect([answer.status, await others()]).toEqual([200, [200, 200, 404]]);
  temporal.restore();
  await says('up');
});

it('stops cleanly although the database is silent', async () => {
  database.silence();
  expect(await system.stopApi()).toEqual({ code: 0, signal: null });
});
