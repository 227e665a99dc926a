import { callsOf, goThroughLink } from './linking.js';
import type { System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

let system: System;
beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 20, worker: false });
});
afterAll(() => system?.stop());

it('an API that dies under a keyed request holds the key for its lease; then a repeat links the item, once', async () => {
  const { publicToken, itemId } = await goThroughLink(system, 'keyed');
  const key = { 'idempotency-key': 'link-of-keyed' };
  const link = () => system.api('POST', '/v1/users/keyed/items', { public_token: publicToken }, key);
  const running = () =>
    system.sql`SELECT 1 FROM idempotency_keys WHERE key = 'link-of-keyed' AND status IS NULL`;

  // Without a worker it waits for the link.
  const lost = link().catch(() => 'no answer');
  await until(async () => (await running()).length === 1);
  await system.killApi();
  expect(await lost).toBe('no answer');
  await system.startApi();

  const early = await link();
  expect([early.status, early.body['code']]).toEqual([409, 'request_running']);
  expect(Number(early.headers.get('retry-after'))).toBeGreaterThan(0);
  const other = await system.api('POST', '/v1/users/keyed/items', { public_token: 'another' }, key);
  expect([other.status, other.body['code']]).toEqual([422, 'idempotency_key_reused']);

  await system.startWorker();
  await system.sql`UPDATE idempotency_keys SET leased_until = clock_timestamp() WHERE key = 'link-of-keyed'`;
  const told = await link();
  expect([200, 201]).toContain(told.status);
  expect(told.body['item_id']).toBe(itemId);
  expect(told.headers.get('idempotency-replayed')).toBeNull();

  const again = await link();
  expect([again.status, again.body]).toEqual([told.status, told.body]);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(await callsOf(system, '/item/public_token/exchange')).toBe(1);
  expect(system.logs()).not.toContain('link-of-keyed');
});
