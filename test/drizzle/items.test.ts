import { ourselves } from '../../domain/exchange/viewer.js';
import type { World } from './world.js';
import {
  account,
  linkedItem,
  lockWaiters,
  openWorld,
  pageOf,
  runUpdate,
  sealed,
  storedChanges,
  transaction,
  updateOf,
  webhook,
  prompt,
  shownItem,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };

describe('a broken Item', () => {
  it('keeps the time of its first error through newer codes, and counts episodes', async () => {
    const { itemId } = await linkedItem(world);
    const { items } = world.stores;
    await prompt(world).setHealthy(itemId);
    await prompt(world).setBroken(itemId, loginRequired, '2030-05-05T00:00:00.000Z');
    const first = await shownItem(world, itemId);
    expect(first).toMatchObject({
      status: 'ERROR',
      phase: 'needs_relink',
      error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
    });
    await prompt(world).setBroken(
      itemId,
      { ...loginRequired, error_code: 'ITEM_LOCKED' },
      '2030-06-06T00:00:00.000Z',
    );
    const second = await shownItem(world, itemId);
    expect(second?.error).toEqual({ ...first?.error, error_code: 'ITEM_LOCKED' });
    expect(await items.snapshot(itemId)).toMatchObject({
      broken: true,
      nextDueAt: Date.parse('2030-06-06T00:00:00.000Z'),
    });
    await prompt(world).setHealthy(itemId);
    expect(await shownItem(world, itemId)).toMatchObject({ status: 'ACTIVE', error: null, phase: 'created' });
    await prompt(world).setBroken(itemId, loginRequired, '2030-05-05T00:00:00.000Z');
    const [row] = await world.sql`SELECT error_episode AS n FROM items WHERE item_id = ${itemId}`;
    expect(row?.['n']).toBe(2);
  });

  it('that is healthy again is due at once: its next check lies hours ahead', async () => {
    const { itemId } = await linkedItem(world);
    await prompt(world).setBroken(itemId, loginRequired, '2030-05-05T00:00:00.000Z');
    await prompt(world).setHealthy(itemId);
    const [row] =
      await world.sql`SELECT next_due_at <= clock_timestamp() AS due FROM items WHERE item_id = ${itemId}`;
    expect(row?.['due']).toBe(true);
  });
});

describe('removal', () => {
  it('erases secrets, drops pages, closes accounts with removed events, ends webhooks, once', async () => {
    const item = await linkedItem(world);
    const { itemId } = item;
    const { items, webhooks } = world.stores;
    await runUpdate(world, item, [{ added: [transaction('t1')] }], {
      accounts: [account('acc-1'), account('acc-2')],
    });
    await prompt(world).saveNumbers(itemId, [{ accountId: 'acc-1', sealed: sealed('numbers') }]);
    await prompt(world).stagePage(itemId, 'next', 0, pageOf(item, 'x', 'y', true, {}));
    const pending = await webhooks.store(webhook(itemId, 'DEFAULT_UPDATE'));
    await Promise.all([items.finishRemoval(itemId), items.finishRemoval(itemId)]);
    const removedAt = (await shownItem(world, itemId))?.removed_at;
    await items.finishRemoval(itemId);

    expect(await shownItem(world, itemId)).toMatchObject({
      status: 'REMOVED',
      phase: 'removed',
      removed_at: removedAt,
      error: null,
    });
    expect(await items.credentials(itemId, { forRemoval: true })).toBeNull();
    const [left] = await world.sql`
      SELECT (SELECT count(*)::int FROM account_numbers WHERE item_id = ${itemId}) AS numbers,
        (SELECT count(*)::int FROM staged_pages WHERE item_id = ${itemId}) AS pages,
        access_token_key_id AS key, access_token_data_key AS data, access_token_ciphertext AS cipher
      FROM items WHERE item_id = ${itemId}`;
    expect(left).toEqual({ numbers: 0, pages: 0, key: null, data: null, cipher: null });
    expect((await webhooks.get(ourselves, pending.webhookId))?.outcome).toEqual({
      state: 'ignored',
      reason: 'item_removed',
    });
    const changes = await storedChanges(world, itemId);
    expect(
      changes.map(({ sequence, subject, removed, version }) => [sequence, subject, removed, version]),
    ).toEqual([
      [1, 'acc-1', false, 1],
      [2, 'acc-2', false, 1],
      [3, 't1', false, 1],
      [4, 'acc-1', true, 2],
      [5, 'acc-2', true, 2],
    ]);
    expect(changes[3]).toMatchObject({
      raw: { account_id: 'acc-1' },
      refined: { id: 'acc-1', status: 'closed', name: 'Checking acc-1', version: 2 },
    });
    expect(Object.keys(changes[3]?.raw ?? {})).toEqual(['account_id']);
    expect(await items.snapshot(itemId)).toMatchObject({
      removed: true,
      due: ['publish'],
      webhooksWaiting: 0,
    });
  });

  it('tells of open accounts only, once, also when it is done twice at the same time', async () => {
    const item = await linkedItem(world);
    const { items } = world.stores;
    await runUpdate(world, item, [{}], { accounts: [account('acc-1'), account('acc-2')] });
    await runUpdate(world, item, [{}], { accounts: [account('acc-1')] });
    const before = await storedChanges(world, item.itemId);
    let removals: Promise<unknown> = Promise.resolve();
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${item.itemId} FOR NO KEY UPDATE`;
      removals = Promise.all([1, 2].map(() => items.finishRemoval(item.itemId)));
      await lockWaiters(world, 2);
    });
    await removals;
    const told = (await storedChanges(world, item.itemId)).slice(before.length);
    expect(told.map(({ subject, removed }) => [subject, removed])).toEqual([['acc-1', true]]);
  });

  it('that was asked for ends every use of the token but its own', async () => {
    const { itemId } = await linkedItem(world);
    const { items, itemCommands } = world.stores;
    expect(await items.credentials(itemId, { forRemoval: false })).toMatchObject({ itemId });
    await itemCommands.requestRemoval(itemId, { force: false });
    expect(await items.credentials(itemId, { forRemoval: false })).toBeNull();
    expect(await items.credentials(itemId, { forRemoval: true })).toMatchObject({ itemId });
  });

  it('leaves no way back: no update, no numbers, no error, no error healed', async () => {
    const item = await linkedItem(world);
    const { items, mining, itemCommands } = world.stores;
    await itemCommands.requestRemine(ourselves, item.itemId);
    await items.finishRemoval(item.itemId);
    await itemCommands.noteRelinked(ourselves, item.itemId);
    expect(await mining.apply(updateOf(item, 'u', pageOf(item, '', 'c', false, {})))).toEqual({
      kind: 'gone',
    });
    expect(await prompt(world).settleRemovals(item.itemId, [], ['t'])).toBe(0);
    await prompt(world).saveNumbers(item.itemId, [{ accountId: 'acc-1', sealed: sealed('numbers') }]);
    await prompt(world).setBroken(item.itemId, loginRequired, '2030-05-05T00:00:00.000Z');
    await prompt(world).stagePage(item.itemId, 'late', 0, pageOf(item, '', 'y', true, {}));
    const [row] = await world.sql`
      SELECT error_code, next_due_at, update_started_at, numbers_due_at, remine_requested_at,
        (SELECT count(*)::int FROM account_numbers n WHERE n.item_id = i.item_id) AS numbers
      FROM items i WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({
      error_code: null,
      next_due_at: null,
      update_started_at: null,
      numbers_due_at: null,
      remine_requested_at: null,
      numbers: 0,
    });
  });

  it('ends late webhooks with the reason that it is told', async () => {
    const { itemId } = await linkedItem(world);
    await world.stores.items.finishRemoval(itemId);
    const late = await world.stores.webhooks.store(webhook(itemId, 'DEFAULT_UPDATE'));
    expect(await world.stores.items.ignoreWebhooks(itemId, 'item_removed')).toBe(1);
    expect(await world.stores.items.ignoreWebhooks(itemId, 'item_removed')).toBe(0);
    expect((await world.stores.webhooks.get(ourselves, late.webhookId))?.outcome.reason).toBe('item_removed');
  });
});

describe('account numbers', () => {
  it('are replaced as a whole, and the intent to read them is cleared', async () => {
    const { itemId } = await linkedItem(world);
    const { items } = world.stores;
    await prompt(world).saveNumbers(itemId, [
      { accountId: 'a', sealed: sealed('1') },
      { accountId: 'b', sealed: sealed('2') },
    ]);
    await prompt(world).saveNumbers(itemId, [{ accountId: 'b', sealed: sealed('3') }]);
    const rows = await world.sql<{ account_id: string; text: Uint8Array }[]>`
      SELECT account_id, numbers_ciphertext AS text FROM account_numbers WHERE item_id = ${itemId}`;
    expect(rows.map((row) => [row.account_id, Buffer.from(row.text).toString()])).toEqual([['b', '3']]);
    expect((await items.snapshot(itemId))?.due).toEqual([]);
  });

  it('are not kept of an Item whose removal was asked for, or that is removed at that moment', async () => {
    const { itemCommands } = world.stores;
    const [asked, removed] = [await linkedItem(world), await linkedItem(world)];
    const save = (itemId: string) =>
      prompt(world).saveNumbers(itemId, [{ accountId: 'a', sealed: sealed('1') }]);
    await itemCommands.requestRemoval(asked.itemId, { force: false });
    await save(asked.itemId);
    let saving: Promise<unknown> = Promise.resolve();
    await world.sql.begin(async (tx) => {
      await tx`UPDATE items SET removed_at = now() WHERE item_id = ${removed.itemId}`;
      saving = save(removed.itemId);
      await lockWaiters(world, 1);
    });
    await saving;
    const ids = [asked.itemId, removed.itemId];
    expect(await world.sql`SELECT 1 FROM account_numbers WHERE item_id = ANY(${ids}::text[])`).toHaveLength(
      0,
    );
  });

  it('stay as they were when one of the new ones cannot be stored', async () => {
    const { itemId } = await linkedItem(world);
    await prompt(world).saveNumbers(itemId, [{ accountId: 'a', sealed: sealed('1') }]);
    await expect(
      prompt(world).saveNumbers(itemId, [
        { accountId: 'b', sealed: sealed('2') },
        { accountId: 'b', sealed: sealed('3') },
      ]),
    ).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    const rows = await world.sql`SELECT account_id FROM account_numbers WHERE item_id = ${itemId}`;
    expect(rows.map((row) => row['account_id'])).toEqual(['a']);
  });
});
