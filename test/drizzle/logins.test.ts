import { ourselves } from '../../domain/exchange/viewer.js';
import type { TestItem, World } from './world.js';
import { exchangedItem, linkedItem, newId, openWorld, runUpdate, webhook } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const day = 86_400_000;
const noon = '2026-11-21T12:00:00.000Z';
const later = '2026-11-21T12:00:00.001Z';
const settle = ({ itemId }: TestItem, plaidUpdatedAt: string | null, staleAfterMs = day) =>
  world.stores.logins.recordCheck({ itemId, staleAfterMs, plaidUpdatedAt, environment: 'sandbox' });
const fresh = { reason: null, webhookId: null };
const known = async ({ itemId }: TestItem) => {
  const [row] = await world.sql<[{ at: Date | null }]>`
    SELECT plaid_updated_at AS at FROM items WHERE item_id = ${itemId}`;
  return row.at?.toISOString() ?? null;
};
const synthetic = ({ itemId }: TestItem) => world.sql<{ webhook_id: string }[]>`
  SELECT webhook_id FROM webhooks WHERE item_id = ${itemId} AND source = 'synthetic'`;
async function updated(): Promise<TestItem> {
  const item = await linkedItem(world);
  await runUpdate(world, item, [{}]);
  return item;
}
const settled = ({ itemId }: TestItem) =>
  world.sql`UPDATE webhooks SET outcome = 'done' WHERE item_id = ${itemId}`;

describe('the Items to check', () => {
  it('are those that are admitted, healthy, and not being removed, of this user alone', async () => {
    const userId = newId('user');
    await exchangedItem(world, { userId });
    const institutions = ['ins_1', 'ins_2', 'ins_3', 'ins_4', 'ins_5', 'ins_6'];
    const items: TestItem[] = [];
    for (const institutionId of institutions) items.push(await linkedItem(world, { userId, institutionId }));
    const [good, broken, asked, removed, revoked, other] = items.map(({ itemId }) => itemId);
    await world.sql`UPDATE items SET error_code = 'ITEM_LOGIN_REQUIRED' WHERE item_id = ${broken ?? ''}`;
    await world.sql`UPDATE items SET removal_requested_at = clock_timestamp() WHERE item_id = ${asked ?? ''}`;
    await world.sql`UPDATE items SET removed_at = clock_timestamp() WHERE item_id = ${removed ?? ''}`;
    await world.sql`UPDATE items SET revoked_at = clock_timestamp() WHERE item_id = ${revoked ?? ''}`;
    await linkedItem(world);
    expect(await world.stores.logins.itemsToCheck(userId)).toEqual([good, other]);
    expect(await world.stores.logins.itemsToCheck(newId('user'))).toEqual([]);
    for (const itemId of [broken, asked, removed, revoked, newId('item')]) {
      expect(await settle({ itemId: itemId ?? '', userId }, noon, 0)).toBeNull();
    }
    expect(
      await world.sql`SELECT 1 FROM webhooks WHERE item_id = ANY(${items.map((i) => i.itemId)})`,
    ).toEqual([]);
  });
});

describe('an Item is', () => {
  it('fresh when nothing is known to compare Plaid’s time with; that time is taken over', async () => {
    const item = await updated();
    expect(await settle(item, null)).toEqual(fresh);
    expect(await known(item)).toBeNull();
    expect(await settle(item, noon)).toEqual(fresh);
    expect(await known(item)).toBe(noon);
    expect(await settle(item, noon)).toEqual(fresh);
    // An older answer of Plaid's (a replica, say) takes nothing back.
    expect(await settle(item, '2026-11-01T00:00:00.000Z')).toEqual(fresh);
    expect(await known(item)).toBe(noon);
  });

  it('stale by Plaid’s later time, once', async () => {
    const item = await updated();
    await settle(item, noon);
    const first = await settle(item, later);
    expect(first).toEqual({ reason: 'plaid_newer', webhookId: expect.any(String) });
    expect(await known(item)).toBe(later);
    await settled(item);
    expect(await settle(item, later)).toEqual(fresh);
    expect(await synthetic(item)).toHaveLength(1);
  });

  it('stale by age, with Plaid or without; one that never was updated counts from its admission', async () => {
    const old = await updated();
    await world.sql`UPDATE items SET last_update_at = clock_timestamp() - interval '25 hours'
      WHERE item_id = ${old.itemId}`;
    expect(await settle(old, null)).toMatchObject({ reason: 'last_update_old' });
    const newborn = await linkedItem(world);
    expect(await settle(newborn, null)).toEqual(fresh);
    await world.sql`UPDATE items SET admitted_at = clock_timestamp() - interval '25 hours'
      WHERE item_id = ${newborn.itemId}`;
    expect(await settle(newborn, noon)).toMatchObject({ reason: 'last_update_old' });
    expect(await known(newborn)).toBe(noon);
  });

  it.each(['SYNC_UPDATES_AVAILABLE', 'HISTORICAL_UPDATE'])(
    'answered by %s that waits already; what that one covers is not known',
    async (code) => {
      const item = await updated();
      await settle(item, noon);
      const { webhookId } = await world.stores.webhooks.store(webhook(item.itemId, code));
      expect(await settle(item, later)).toEqual({ reason: 'update_waiting', webhookId });
      expect(await known(item)).toBe(noon);
      await settled(item);
      expect(await settle(item, later)).toMatchObject({ reason: 'plaid_newer' });
    },
  );

  it('not answered by a webhook that asks for something else, or that was refused', async () => {
    const item = await updated();
    await world.stores.webhooks.store(webhook(item.itemId, 'TRANSACTIONS_REMOVED'));
    await world.stores.webhooks.store({
      ...webhook(item.itemId, 'SYNC_UPDATES_AVAILABLE'),
      verdict: 'rejected',
      reason: 'too_old',
    });
    expect(await settle(item, null)).toEqual(fresh);
  });

  it('told of once by many logins at once', async () => {
    const item = await updated();
    // With every connection open the logins truly meet.
    await Promise.all(Array.from({ length: 8 }, () => world.sql`SELECT pg_sleep(0.1)`));
    const answers = await Promise.all(Array.from({ length: 8 }, () => settle(item, null, 0)));
    expect(answers.filter((answer) => answer?.reason === 'last_update_old')).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer?.webhookId)).size).toBe(1);
    expect(await synthetic(item)).toHaveLength(1);
  });
});

it('the synthetic webhook is stored like any other, and its signal can be claimed', async () => {
  const item = await updated();
  const { webhookId } = (await settle(item, null, 0)) as { webhookId: string };
  expect(await world.stores.webhooks.get(ourselves, webhookId)).toMatchObject({
    source: 'synthetic',
    verdict: 'accepted',
    webhook_type: 'TRANSACTIONS',
    webhook_code: 'SYNC_UPDATES_AVAILABLE',
    item_id: item.itemId,
    outcome: { state: 'pending', reason: null },
  });
  expect(await world.stores.webhooks.acquireSignal(webhookId)).toEqual({
    webhookId,
    itemId: item.itemId,
    userId: item.userId,
    kind: 'update',
  });
  await runUpdate(world, item, [{}]);
  expect((await world.stores.webhooks.get(ourselves, webhookId))?.outcome.state).toBe('done');
});
