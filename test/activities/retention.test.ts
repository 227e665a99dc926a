import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world.close());

const ninetyDays = 90 * 86_400_000;

it('what is more than a batch goes at one call, and a repeat finds nothing more', async () => {
  await world.sql`
    INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason, parked_at)
    SELECT 'item', n::text, 'u', '{}', 'no_date', now() - interval '91 days' FROM generate_series(1, 2500) n`;
  const clean = () => world.run.deleteExpired({ what: 'parkedRows', keepMs: ninetyDays, after: null });
  expect(await clean()).toEqual({ deleted: 2_500, next: null });
  expect(await clean()).toEqual({ deleted: 0, next: null });
});

it('an answer goes at its own end, whatever its age', async () => {
  await world.sql`
    INSERT INTO idempotency_keys (application_id, method, path, key, request_hash, runner, leased_until, expires_at)
    SELECT 'default', 'POST', '/v1/x', n::text, 'hash', 'runner', now(), now() + (n - 1000) * interval '1 hour'
    FROM generate_series(1, 1100) n`;
  const input = { what: 'idempotencyKeys', keepMs: 0, after: null } as const;
  expect(await world.run.deleteExpired(input)).toEqual({ deleted: 1_000, next: null });
  expect((await world.sql`SELECT 1 FROM idempotency_keys`).length).toBe(100);
});
