import { ourselves } from '../../domain/exchange/viewer.js';
import type { ItemWebhooksEffect } from '../../domain/ports/items.js';
import type { World } from './world.js';
import {
  account,
  linkedItem,
  openWorld,
  runUpdate,
  saysNothing,
  sealed,
  seenNow,
  webhook,
  prompt,
  unrefused,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** What a webhook that comes now says of these accounts. */
const now = (...ids: string[]) =>
  ids.map((accountId) => ({ accountId, receivedAt: new Date(Date.now() + 1_000).toISOString() }));
const settle = (itemId: string, said: Partial<ItemWebhooksEffect>) =>
  world.stores.items.applyItemWebhooks(itemId, { ...saysNothing, ...said });
const stored = async (itemId: string) =>
  (await world.stores.webhooks.store(webhook(itemId, 'NEW_ACCOUNTS_AVAILABLE', { webhook_type: 'ITEM' })))
    .webhookId;
const outcomeOf = async (webhookId: string) =>
  (await world.stores.webhooks.get(ourselves, webhookId))?.outcome;

/** A linked Item with three accounts and their numbers. */
async function itemWithNumbers() {
  const item = await linkedItem(world);
  const ids = ['acc-1', 'acc-2', 'acc-3'];
  await runUpdate(world, item, [{}], { accounts: ids.map((id) => account(id)) });
  await prompt(world).saveNumbers(
    item.itemId,
    ids.map((accountId) => ({ accountId, sealed: sealed(accountId) })),
  );
  return item;
}
const numbersOf = async (itemId: string): Promise<string[]> => {
  const rows = await world.sql<{ account_id: string }[]>`
    SELECT account_id FROM account_numbers WHERE item_id = ${itemId} ORDER BY 1`;
  return rows.map((row) => row.account_id);
};

describe('what webhooks say of an Item', () => {
  it('ends the numbers of accounts that have new ones, withholds those of revoked ones, and touches no others', async () => {
    const [item, other] = [await itemWithNumbers(), await itemWithNumbers()];
    await settle(item.itemId, { revokedAccounts: now('acc-1') });
    expect(await numbersOf(item.itemId)).toEqual(['acc-1', 'acc-2', 'acc-3']);
    const reader = { key_id: 'key', request_id: 'request' };
    expect(unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader))).toMatchObject({
      withheld: [{ accountId: 'acc-1', reason: 'account_revoked' }],
    });
    await settle(item.itemId, { staleNumbers: now('acc-2'), numbersDue: true });
    expect(await numbersOf(item.itemId)).toEqual(['acc-1', 'acc-3']);
    expect(await world.stores.items.snapshot(item.itemId)).toMatchObject({
      due: expect.arrayContaining(['numbers']) as unknown,
    });
    const revoked = await world.sql`
      SELECT item_id, account_id FROM accounts WHERE revoked_at IS NOT NULL
        AND item_id = ANY(${[item.itemId, other.itemId]}::text[])`;
    expect(revoked).toEqual([{ item_id: item.itemId, account_id: 'acc-1' }]);
    expect(await numbersOf(other.itemId)).toEqual(['acc-1', 'acc-2', 'acc-3']);
  });

  it('stays said: new accounts and the end of the consent outlive webhooks that do not speak of them', async () => {
    const { itemId } = await linkedItem(world);
    await settle(itemId, { newAccounts: true, consentExpiresAt: '2027-01-02T03:04:05.000Z' });
    await settle(itemId, {});
    const [row] = await world.sql`
      SELECT new_accounts_available AS fresh, consent_expires_at AS consent FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ fresh: true, consent: new Date('2027-01-02T03:04:05Z') });
  });

  it('changes nothing once its removal was asked for, and the webhooks end', async () => {
    const item = await itemWithNumbers();
    const webhookId = await stored(item.itemId);
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    await settle(item.itemId, {
      webhooks: [{ webhookId, ignored: null }],
      health: {
        kind: 'broken',
        seen: await seenNow(world, item.itemId),
        error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
        byCall: false,
        consent: null,
        dueAt: '2030-01-01T00:00:00.000Z',
      },
      revocation: 'confirmed',
      newAccounts: true,
      revokedAccounts: now('acc-1'),
    });
    const [row] = await world.sql`
      SELECT error_code, revoked_at, new_accounts_available AS fresh,
        (SELECT count(*)::int FROM accounts a WHERE a.item_id = i.item_id AND a.revoked_at IS NOT NULL) AS revoked
      FROM items i WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ error_code: null, revoked_at: null, fresh: false, revoked: 0 });
    expect(await outcomeOf(webhookId)).toEqual({ state: 'ignored', reason: 'item_removed' });
  });

  it('keeps the first outcome of a webhook when it is settled again', async () => {
    const { itemId } = await linkedItem(world);
    const webhookId = await stored(itemId);
    await settle(itemId, { webhooks: [{ webhookId, ignored: 'item_is_healthy' }] });
    await settle(itemId, { webhooks: [{ webhookId, ignored: null }] });
    expect(await outcomeOf(webhookId)).toEqual({ state: 'ignored', reason: 'item_is_healthy' });
  });
});
