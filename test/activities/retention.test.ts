import { twice, world } from './sharedWorld.js';

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

describe('retention', () => {
  it('deletes what is old, once', async () => {
    await world.sql`
      INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason, parked_at)
      SELECT 'item', n::text, 'u', '{}', 'no_date', now() - n * interval '1 day' FROM generate_series(1, 3) n`;
    const input = { what: 'parkedRows', keepMs: 1.5 * 86_400_000, after: null } as const;
    expect(await twice('deleteExpired', input)).toEqual([
      { deleted: 2, next: null },
      { deleted: 0, next: null },
    ]);
  });
});
