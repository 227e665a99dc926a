import { Failure } from '../../domain/failures.js';
import type { FakeItem } from './fakePlaid.js';
import { twice, world } from './sharedWorld.js';

const noon = '2026-11-21T12:00:00Z';
const later = '2026-11-21T13:00:00Z';
const check = (item: FakeItem) => world.run.checkStaleness({ itemId: item.itemId });
const signalsOf = (item: FakeItem) => world.signals.filter(({ itemId }) => itemId === item.itemId);
const webhooksOf = ({ itemId }: FakeItem) => world.sql<{ signalled: boolean }[]>`
  SELECT signalled_at IS NOT NULL AS signalled FROM webhooks WHERE item_id = ${itemId}`;
const aged = (item: FakeItem) => world.sql`
  UPDATE items SET admitted_at = clock_timestamp() - interval '25 hours' WHERE item_id = ${item.itemId}`;
const freshAs = (item: FakeItem, reason: string | null) => ({
  item_id: item.itemId,
  stale: false,
  webhook_id: null,
  reason,
});
/** An Item of whose last read Plaid has told before. */
async function knownItem(): Promise<FakeItem> {
  const item = await world.linkedItem();
  item.lastSuccessfulUpdate = noon;
  expect(await check(item)).toEqual(freshAs(item, null));
  return item;
}

describe('the check of an Item at a login', () => {
  it('is asked to come again while Plaid is down, unless age says enough', async () => {
    const item = await knownItem();
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(check(item)).rejects.toMatchObject({ type: 'UPSTREAM_DOWN', nonRetryable: false });
    expect(await webhooksOf(item)).toEqual([]);
    await aged(item);
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    expect(await check(item)).toMatchObject({ stale: true, reason: 'last_update_old' });
  });

  it('finds one fresh that Plaid will never tell of, and says why', async () => {
    const item = await knownItem();
    world.plaid.failNext('getItem', 'LOGIN_REQUIRED');
    expect(await check(item)).toEqual(freshAs(item, 'LOGIN_REQUIRED'));
    expect(await check({ itemId: 'absent' } as FakeItem)).toMatchObject({
      stale: false,
      reason: 'ITEM_GONE',
    });
  });

  it('finds one fresh of whose reads Plaid writes nonsense', async () => {
    const item = await knownItem();
    item.lastSuccessfulUpdate = 'yesterday';
    expect(await check(item)).toEqual(freshAs(item, null));
  });

  it('stores a webhook for a stale one and signals it once; a repeat is answered with that webhook', async () => {
    const item = await knownItem();
    item.lastSuccessfulUpdate = later;
    const first = await check(item);
    expect(first).toEqual({
      item_id: item.itemId,
      stale: true,
      webhook_id: expect.any(String),
      reason: 'plaid_newer',
    });
    expect(await check(item)).toEqual({ ...first, reason: 'update_waiting' });
    expect(await webhooksOf(item)).toEqual([{ signalled: true }]);
    expect(signalsOf(item)).toEqual([{ itemId: item.itemId, signal: 'webhookReceived' }]);
  });

  it('signals the webhook that waits once more when what that had begun may have failed', async () => {
    const item = await knownItem();
    item.lastSuccessfulUpdate = later;
    const { webhook_id } = await check(item);
    const before = signalsOf(item).length;
    await world.sql`
      UPDATE webhooks SET signalled_at = signalled_at - interval '5 hours' WHERE webhook_id = ${webhook_id}`;
    expect(await check(item)).toMatchObject({ webhook_id, reason: 'update_waiting' });
    expect(signalsOf(item)).toHaveLength(before + 1);
  });

  it('leaves the signal to the sweep when Temporal takes none', async () => {
    const item = await knownItem();
    item.lastSuccessfulUpdate = later;
    const deaf = world.runWith({
      gateway: {
        signalItem: () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down')),
        isHistoryRunning: async () => false,
        wakeEndpoint: async () => undefined,
        isRemineRunning: async () => false,
        startLink: async () => undefined,
        startErasure: async () => undefined,
        deleteWorkflowsOf: async () => 0,
      },
    });
    expect(await deaf.checkStaleness({ itemId: item.itemId })).toMatchObject({ stale: true });
    expect(await webhooksOf(item)).toEqual([{ signalled: false }]);
  });

  it('names the Items of the user who logs in', async () => {
    const item = await world.linkedItem('someone');
    expect(await world.run.listItemsToCheck({ userId: 'someone' })).toEqual({ itemIds: [item.itemId] });
    expect(await world.run.listItemsToCheck({ userId: 'stranger' })).toEqual({ itemIds: [] });
  });
});

describe('a login', () => {
  it('finds its user’s Items, and calls a stale one so with one webhook, also when it runs again', async () => {
    const { itemId } = await world.linkedItem('login-user');
    const found = { itemIds: [itemId] };
    expect(await twice('listItemsToCheck', { userId: 'login-user' })).toEqual([found, found]);
    await world.sql`UPDATE items SET admitted_at = admitted_at - interval '2 days' WHERE item_id = ${itemId}`;
    const [first, second] = await twice('checkStaleness', { itemId });
    expect(first).toMatchObject({ stale: true, reason: 'last_update_old' });
    expect(second).toEqual({ ...first, reason: 'update_waiting' });
  });
});
