import { ourselves } from '../../domain/exchange/viewer.js';
import type { PlaidTransaction } from '../../domain/plaid.js';
import type { World } from './world.js';
import {
  account,
  exchangedItem,
  begunNow,
  linkedItem,
  lockWaiters,
  newId,
  openWorld,
  pageOf,
  runRemine,
  runUpdate,
  sealed,
  seenNow,
  storedChanges,
  storedTransactions,
  transaction,
  updateOf,
  prompt,
  unrefused,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const float = (userId: string, status: string) => world.sql`
  INSERT INTO floats (user_id, float_id, status, occurred_at) VALUES (${userId}, 'f-1', ${status}, clock_timestamp())
  ON CONFLICT (user_id, float_id) DO UPDATE SET status = excluded.status`;

describe('asking for a removal', () => {
  it('is refused while the user has an active float, unless it is forced, and is wished once', async () => {
    const { itemId, userId } = await linkedItem(world);
    const { itemCommands, items } = world.stores;
    await float(userId, 'active');
    expect(await itemCommands.requestRemoval(itemId, { force: false })).toBe('active_float');
    expect(await items.snapshot(itemId)).toMatchObject({ removalRequested: false });
    await float(userId, 'closed');
    expect(await itemCommands.requestRemoval(itemId, { force: false })).toBe('requested');
    expect(await itemCommands.requestRemoval(itemId, { force: false })).toBe('pending');
    expect(await items.snapshot(itemId)).toMatchObject({ removalRequested: true });
    await items.finishRemoval(itemId);
    expect(await itemCommands.requestRemoval(itemId, { force: false })).toBe('already');
    const other = await linkedItem(world);
    await float(other.userId, 'active');
    expect(await itemCommands.requestRemoval(other.itemId, { force: true })).toBe('requested');
    expect(await itemCommands.requestRemoval(newId('item'), { force: true })).toBe('not_found');
  });

  it('and a float that opens at that moment: one of them comes first', async () => {
    const { itemId, userId } = await linkedItem(world);
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    let hold: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (hold = resolve));
    const opening = world.sql.begin(async (tx) => {
      await tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`;
      await tx`INSERT INTO floats (user_id, float_id, status, occurred_at) VALUES (${userId}, 'f', 'active', now())`;
      hold();
      await opened;
    });
    // The removal must not come first by being quicker.
    await held;
    const removal = world.stores.itemCommands.requestRemoval(itemId, { force: false });
    const first = await Promise.race([
      removal,
      new Promise((resolve) => setTimeout(() => resolve('waits'), 300)),
    ]);
    expect(first).toBe('waits');
    open();
    await opening;
    expect(await removal).toBe('active_float');
  });
});

describe('the main account', () => {
  it('changes on both accounts, is numbered without a gap, and only to an open account of the Item', async () => {
    const [item, other] = [await linkedItem(world), await linkedItem(world)];
    const two = { accounts: [account('acc-1'), account('acc-2')] };
    for (const one of [item, other]) await runUpdate(world, one, [{ added: [transaction('t-1')] }], two);
    const before = await storedChanges(world, item.itemId);
    const set = (id: string) => world.stores.itemCommands.setMainAccount(ourselves, item.itemId, id);
    expect(await set('acc-9')).toBe('unknown_account');
    expect(await set('acc-2')).toBe('done');
    expect(await set('acc-2')).toBe('done');
    const told = (await storedChanges(world, item.itemId)).slice(before.length);
    expect(told.map((row) => [row.sequence, row.subject, row.removed, row.refined['is_main']])).toEqual([
      [before.length + 1, 'acc-1', false, false],
      [before.length + 2, 'acc-2', false, true],
    ]);
    expect(await world.stores.itemCommands.setMainAccount(ourselves, newId('item'), 'acc-1')).toBe(
      'not_found',
    );
    // The next update keeps what was chosen.
    await runUpdate(world, item, [{}], two);
    expect(await storedChanges(world, item.itemId)).toHaveLength(before.length + 2);
    await runUpdate(world, item, [{}], { accounts: [account('acc-2')] });
    expect(await set('acc-1')).toBe('unknown_account');
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    expect(await set('acc-2')).toBe('item_removed');
  });

  it('chosen twice at the same time is told in order, without a gap', async () => {
    const item = await linkedItem(world);
    const three = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    await runUpdate(world, item, [{}], { accounts: three });
    let choices: Promise<unknown[]> = Promise.resolve([]);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${item.itemId} FOR NO KEY UPDATE`;
      choices = Promise.all(
        ['acc-2', 'acc-3'].map((id) => world.stores.itemCommands.setMainAccount(ourselves, item.itemId, id)),
      );
      await lockWaiters(world, 2);
    });
    expect(await choices).toEqual(['done', 'done']);
    const changes = await storedChanges(world, item.itemId);
    expect(changes.map((row) => row.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('and a remine are no matter of an Item that was not admitted', async () => {
    const { itemId } = await exchangedItem(world);
    const { itemCommands } = world.stores;
    expect(await itemCommands.setMainAccount(ourselves, itemId, 'acc-1')).toBe('not_found');
    expect(await itemCommands.requestRemine(ourselves, itemId)).toBe('not_found');
  });

  it('starts the cool-down of item changes, as a link does', async () => {
    const { itemId, userId } = await linkedItem(world);
    const { itemCommands } = world.stores;
    expect(await itemCommands.itemChangeReasons(ourselves, userId, 0)).toEqual([]);
    expect(await itemCommands.itemChangeReasons(ourselves, userId, 60_000)).toEqual(['COOLDOWN']);
    await world.sql`UPDATE items SET admitted_at = now() - interval '1 day' WHERE item_id = ${itemId}`;
    expect(await itemCommands.itemChangeReasons(ourselves, userId, 60_000)).toEqual([]);
    await world.sql`UPDATE items SET main_account_changed_at = now() WHERE item_id = ${itemId}`;
    await float(userId, 'active');
    expect(await itemCommands.itemChangeReasons(ourselves, userId, 60_000)).toEqual([
      'ACTIVE_FLOAT',
      'COOLDOWN',
    ]);
    await world.stores.items.finishRemoval(itemId);
    expect(await itemCommands.itemChangeReasons(ourselves, userId, 60_000)).toEqual(['ACTIVE_FLOAT']);
  });

  it('chosen as it is starts no cool-down', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{}]);
    await world.sql`UPDATE items SET admitted_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
    expect(await world.stores.itemCommands.setMainAccount(ourselves, item.itemId, 'acc-1')).toBe('done');
    expect(await world.stores.itemCommands.itemChangeReasons(ourselves, item.userId, 60_000)).toEqual([]);
  });
});

describe('a remine', () => {
  it('is asked for once, and marks what the answer does not list in its span, and nothing else', async () => {
    const item = await linkedItem(world);
    const two = { accounts: [account('acc-1'), account('acc-2')] };
    const rows = [
      transaction('old', { date: '2025-01-01' }),
      transaction('kept', { date: '2026-03-01' }),
      transaction('gone', { date: '2026-04-01' }),
      transaction('moved', { date: '2026-05-01' }),
      transaction('closed', { account_id: 'acc-2', date: '2026-05-02' }),
      transaction('elsewhere', { account_id: 'acc-3', date: '2026-05-02' }),
    ];
    await runUpdate(world, item, [{ added: rows }], two);
    const { itemCommands, mining, items } = world.stores;
    const asked = await Promise.all([1, 2].map(() => itemCommands.requestRemine(ourselves, item.itemId)));
    expect(asked).toEqual([{ number: 1 }, { number: 1 }]);
    expect(await items.snapshot(item.itemId)).toMatchObject({ remineRequested: true, remines: 1 });
    expect(await mining.beginPage(item.itemId, 'remine', 0, { remine: true })).toMatchObject({ cursor: '' });

    const before = await storedChanges(world, item.itemId);
    const listed = [
      transaction('kept', { date: '2026-03-01' }),
      transaction('moved', { date: '2026-05-01', amount: 1 }),
    ];
    const answers = [];
    for (let reading = 1; reading <= 2; reading += 1) {
      expect(await items.snapshot(item.itemId)).toMatchObject({ remineRequested: true, remines: 1 });
      answers.push(
        await runUpdate(world, item, [{ added: [listed[0]!] }, { added: [listed[1]!] }], {
          accounts: [account('acc-1')],
          remine: true,
        }),
      );
    }
    expect(answers).toMatchObject([
      { kind: 'applied', outcome: { added: 0, modified: 1, removed: 0, missed: 1 } },
      { kind: 'applied', outcome: { added: 0, modified: 0, removed: 1 } },
    ]);
    const stored = await storedTransactions(world, item.itemId);
    const live = [...stored.values()].filter((row) => row.status !== 'removed').map((row) => row.id);
    expect(live.sort()).toEqual(['closed', 'elsewhere', 'kept', 'moved', 'old']);
    const told = (await storedChanges(world, item.itemId)).slice(before.length);
    expect(told.map((row) => row.sequence)).toEqual(told.map((_, n) => before.length + 1 + n));
    expect(told.filter((row) => row.removed).map((row) => row.subject)).toEqual(['acc-2', 'gone']);
    expect(await items.snapshot(item.itemId)).toMatchObject({ remineRequested: false });
    expect(await itemCommands.requestRemine(ourselves, item.itemId)).toEqual({ number: 2 });
  });

  it('goes by the live rows that Plaid lists of open accounts, from the day of the oldest on', async () => {
    const item = await linkedItem(world);
    const two = { accounts: [account('acc-1'), account('acc-2')] };
    const [listed, closed] = [
      transaction('listed', { date: '2026-03-01' }),
      transaction('closed', { account_id: 'acc-2', date: '2026-03-01' }),
    ];
    const others = [
      transaction('older', { date: '2026-01-01' }),
      transaction('between', { date: '2026-02-01' }),
      transaction('same day', { date: '2026-03-01' }),
      transaction('of a closed account', { account_id: 'acc-2', date: '2026-03-02' }),
    ];
    await runUpdate(world, item, [{ added: [listed, closed, ...others] }], two);
    const said = { added: [listed, closed], removed: [{ transaction_id: 'older', account_id: 'acc-1' }] };
    await runRemine(world, item, [said], { accounts: [account('acc-1')] });
    const stored = [...(await storedTransactions(world, item.itemId)).values()];
    const removed = stored.filter((row) => row.status === 'removed').map((row) => row.id);
    expect(removed.sort()).toEqual(['older', 'same day']);
  });

  it('takes nothing that is older than two years for gone because one row that is listed bears an odd date', async () => {
    const item = await linkedItem(world);
    const on = (date: string) => transaction(date, { date });
    const beyond = ['2021-02-03', '2022-06-07', '2024-03-04'].map(on);
    const [missing, ...listed] = ['2025-01-02', '2024-12-20', '2025-02-03', '2026-11-20'].map(on);
    await runUpdate(world, item, [{ added: [...beyond, ...listed, missing!] }]);
    const live = async () =>
      [...(await storedTransactions(world, item.itemId)).values()]
        .filter(({ status }) => status !== 'removed')
        .map(({ id }) => id)
        .sort();
    const kept = [...beyond, ...listed].map(({ transaction_id }) => transaction_id).sort();
    await runRemine(world, item, [{ added: [...listed, transaction('odd', { date: '2021-01-01' })] }]);
    expect(await live()).toEqual([...kept, 'odd'].sort());
    // Two of them reach so far.
    await runRemine(world, item, [
      { added: [...listed, transaction('odd', { date: '2021-01-01' }), on('2022-06-07')] },
    ]);
    expect(await live()).toEqual([...kept, 'odd'].filter((id) => id !== '2024-03-04').sort());
  });

  it('of one page marks what is missing too when every row that it lists is unchanged', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('a'), transaction('b')] }]);
    const answer = await runRemine(world, item, [{ added: [transaction('a')] }]);
    expect(answer).toMatchObject({ kind: 'applied', outcome: { changes: 1, removed: 1 } });
    const stored = await storedTransactions(world, item.itemId);
    expect([stored.get('a')?.status, stored.get('b')?.status]).toEqual(['posted', 'removed']);
  });

  it('sets to removed only what two readings in a row do not list, and is asked for until then', async () => {
    const item = await linkedItem(world);
    const { items, itemCommands } = world.stores;
    const [a, b, c] = [transaction('a'), transaction('b'), transaction('c')];
    await runUpdate(world, item, [{ added: [a, b, c] }]);
    const wished = async () => (await items.snapshot(item.itemId))?.remineRequested;
    const seen: unknown[] = [];
    // A short answer; one that lacks another row; one that lacks that one again.
    for (const added of [[a], [a, b], [a, c], [a, c]]) {
      const answer = await runUpdate(world, item, [{ added }], { remine: true });
      const { removed, missed = 0 } = answer.kind === 'applied' ? answer.outcome : { removed: -1 };
      seen.push([removed, missed, await wished()]);
    }
    expect(seen).toEqual([
      [0, 2, true],
      [1, 0, false],
      [0, 1, true],
      [1, 0, false],
    ]);
    const status = async () =>
      [...(await storedTransactions(world, item.itemId)).values()].map((row) => `${row.id} ${row.status}`);
    expect(await status()).toEqual(['a posted', 'b removed', 'c posted']);
    // What another remine has missed says nothing now, nor does what was listed in between.
    await runUpdate(world, item, [{ added: [a] }], { remine: true });
    await runUpdate(world, item, [{ added: [a, c] }], { remine: true });
    expect(await runUpdate(world, item, [{ added: [a] }], { remine: true })).toMatchObject({
      outcome: { removed: 0, missed: 1 },
    });
    expect(await itemCommands.requestRemine(ourselves, item.itemId)).toEqual({ number: 4 });
  });

  it('begins to count anew with a row that has come back since it was set to removed', async () => {
    const item = await linkedItem(world);
    const [a, b, d] = [transaction('a'), transaction('b'), transaction('d')];
    await runUpdate(world, item, [{ added: [a, b, d] }]);
    const read = (added: PlaidTransaction[]) => runUpdate(world, item, [{ added }], { remine: true });
    expect(await read([a, d])).toMatchObject({ outcome: { removed: 0, missed: 1 } });
    // The same remine: `d` is missing for the first time.
    expect(await read([a])).toMatchObject({ outcome: { removed: 1, missed: 1 } });
    await runUpdate(world, item, [{ added: [b] }]);
    expect(await read([a, d])).toMatchObject({ outcome: { removed: 0, missed: 1 } });
    expect(await read([a, b, d])).toMatchObject({ outcome: { removed: 0 } });
    // Nor do two readings lack what Plaid has named in between.
    expect(await read([a, d])).toMatchObject({ outcome: { removed: 0, missed: 1 } });
    await runUpdate(world, item, [{ modified: [{ ...b, amount: 99 }] }]);
    expect(await read([a, d])).toMatchObject({ outcome: { removed: 0, missed: 1 } });
  });

  it('compares what a status that nobody knows stands over, and stays asked for where Plaid has not read all', async () => {
    const item = await linkedItem(world);
    const { items } = world.stores;
    const [a, b] = [transaction('a'), transaction('b')];
    await runUpdate(world, item, [{ added: [a, b] }], { history: null });
    const wished = async () => (await items.snapshot(item.itemId))?.remineRequested;
    for (const [said, unread] of [
      [{ history: 'initial' as const }, 'NOT_READY'],
      [{ history: null, transactionsUnavailable: true }, 'PRODUCT_UNAVAILABLE'],
    ] as const) {
      expect(await runUpdate(world, item, [{ added: [a] }], { remine: true, ...said })).toMatchObject({
        outcome: { removed: 0, unread },
      });
      expect(await wished()).toBe(true);
    }
    expect(await runRemine(world, item, [{ added: [a] }], { history: null })).toMatchObject({
      outcome: { removed: 1 },
    });
    expect(await wished()).toBe(false);
  });

  it('stays asked for where the accounts of rows are not known, since Plaid refuses them', async () => {
    const item = await linkedItem(world);
    const [a, b] = [transaction('a'), transaction('b')];
    const refused = { accounts: [], accountsRefused: true };
    await runUpdate(world, item, [{ added: [a, b] }], refused);
    const wished = async () => (await world.stores.items.snapshot(item.itemId))?.remineRequested;
    for (let n = 0; n < 2; n += 1) {
      const read = await runUpdate(world, item, [{ added: [a] }], { remine: true, ...refused });
      expect(read).toMatchObject({ outcome: { removed: 0, unread: 'UPSTREAM_DOWN' } });
      expect(await wished()).toBe(true);
    }
    expect(await runRemine(world, item, [{ added: [a] }])).toMatchObject({ outcome: { removed: 1 } });
    expect(await wished()).toBe(false);
    // That they are refused later is no matter of rows whose accounts are known.
    const later = await runUpdate(world, item, [{ added: [a] }], { remine: true, ...refused });
    expect(later).not.toHaveProperty('outcome.unread');
  });

  it('marks nothing when Plaid has not fetched everything, or lists nothing', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('a'), transaction('b')] }]);
    const unfinished = { remine: true, history: 'initial' as const };
    for (const remined of [
      await runUpdate(world, item, [{ added: [transaction('a')] }], unfinished),
      await runUpdate(world, item, [{}], { remine: true }),
    ]) {
      expect(remined).toMatchObject({ kind: 'applied', outcome: { changes: 0 } });
    }
    const stored = await storedTransactions(world, item.itemId);
    expect([...stored.values()].map((row) => row.status)).toEqual(['posted', 'posted']);
  });

  it('touches no row that is unchanged, and begins again when one was changed under it', async () => {
    const item = await linkedItem(world);
    const [a, b] = [transaction('a'), transaction('b')];
    await runUpdate(world, item, [{ added: [a, b] }]);
    const before = await storedTransactions(world, item.itemId);
    const again = await runUpdate(world, item, [{ added: [a] }, { added: [b] }], { remine: true });
    expect(again).toMatchObject({ kind: 'applied', outcome: { changes: 0, pages: 2 } });
    expect(await storedTransactions(world, item.itemId)).toEqual(before);

    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    const began = await begunNow(world, item.itemId);
    const first = pageOf(item, '', 'c1', true, { added: [a] });
    await world.stores.mining.stagePage(item.itemId, 'r', 0, { began, remine: true }, first);
    await prompt(world).settleRemovals(item.itemId, ['a'], ['a']);
    const last = updateOf(item, 'r', pageOf(item, 'c1', 'c2', false, { added: [b] }), {
      pageNumber: 1,
      began,
      remine: true,
    });
    expect(await world.stores.mining.apply(last)).toEqual({ kind: 'moved' });
    const revived = await runUpdate(world, item, [{ added: [a] }, { added: [b] }], { remine: true });
    expect(revived).toMatchObject({ kind: 'applied', outcome: { modified: 1 } });
  });
});

describe('account numbers', () => {
  const reader = { key_id: 'key', request_id: 'req' };
  const reads = (itemId: string) => world.sql`
    SELECT application_id, key_id, request_id, account_ids FROM number_reads WHERE item_id = ${itemId}`;

  it('are given after the read was noted, but for closed and revoked accounts', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{}], { accounts: ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id)) });
    await prompt(world).saveNumbers(
      item.itemId,
      ['acc-1', 'acc-2', 'acc-3'].map((accountId) => ({ accountId, sealed: sealed(accountId) })),
    );
    await runUpdate(world, item, [{}], { accounts: [account('acc-1'), account('acc-3')] });
    await world.sql`UPDATE accounts SET revoked_at = now() WHERE item_id = ${item.itemId} AND account_id = 'acc-3'`;
    const read = unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader));
    expect(read?.numbers.map(({ accountId }) => accountId)).toEqual(['acc-1']);
    expect(read?.withheld).toEqual([
      { accountId: 'acc-2', reason: 'account_closed' },
      { accountId: 'acc-3', reason: 'account_revoked' },
    ]);
    expect(await reads(item.itemId)).toEqual([
      { application_id: 'default', ...reader, account_ids: ['acc-1'] },
    ]);
    await world.sql`UPDATE items SET revoked_at = now() WHERE item_id = ${item.itemId}`;
    const revoked = unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader));
    expect([revoked?.numbers.length, revoked?.withheld.length]).toEqual([0, 3]);
    expect(await reads(item.itemId)).toHaveLength(2);
    expect(unrefused(await world.stores.numbers.read(ourselves, newId('item'), reader))).toBeNull();
  });

  it('are given before the first update has brought the accounts, and never of an Item not admitted', async () => {
    const [item, early] = [await linkedItem(world), await exchangedItem(world)];
    for (const { itemId } of [item, early]) {
      await prompt(world).saveNumbers(itemId, [{ accountId: 'acc-1', sealed: sealed('n') }]);
    }
    const read = unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader));
    expect(read?.numbers.map(({ accountId }) => accountId)).toEqual(['acc-1']);
    expect(unrefused(await world.stores.numbers.read(ourselves, early.itemId, reader))).toBeNull();
  });

  it('are not given beside a revocation that is on its way', async () => {
    const { itemId } = await linkedItem(world);
    await prompt(world).saveNumbers(itemId, [{ accountId: 'acc-1', sealed: sealed('n') }]);
    let reading: Promise<unknown> = Promise.resolve();
    await world.sql.begin(async (tx) => {
      await tx`UPDATE items SET revoked_at = now() WHERE item_id = ${itemId}`;
      reading = world.stores.numbers.read(ourselves, itemId, reader);
      await lockWaiters(world, 1);
    });
    expect(await reading).toMatchObject({ numbers: [], withheld: [{ reason: 'permission_revoked' }] });
  });

  it('are withheld by the word of /item/get alone that the permission is gone, until Plaid calls the Item healthy', async () => {
    const { itemId, userId } = await linkedItem(world);
    const { items, numbers, reads: readStore } = world.stores;
    await prompt(world).saveNumbers(itemId, [{ accountId: 'acc-1', sealed: sealed('n') }]);
    const look = async () => {
      const read = unrefused(await numbers.read(ourselves, itemId, reader));
      const item = unrefused(await readStore.item(ourselves, itemId, 'item'));
      const picked = await readStore.pickForUpdateMode(ourselves, userId, itemId);
      return [
        read?.numbers.length,
        read?.withheld.map(({ reason }) => reason),
        item?.error?.update_mode,
        picked !== null,
      ];
    };
    const dueAt = new Date(Date.now() + 3_600_000).toISOString();
    const breaks = async (error_code: string, byCall = false) => {
      const seen = await seenNow(world, itemId);
      await items.setBroken(itemId, seen, { error_type: 'ITEM_ERROR', error_code }, dueAt, { byCall });
    };
    for (const byCall of [false, true]) {
      await breaks('USER_PERMISSION_REVOKED', byCall);
      expect(await look()).toEqual([0, ['permission_revoked'], false, false]);
      // Given anew at the bank, and a login of it has ended: update mode mends that, and the numbers may be others.
      await breaks('ITEM_LOGIN_REQUIRED');
      expect(await look()).toEqual([0, ['permission_revoked'], true, true]);
      await items.setHealthy(itemId, await seenNow(world, itemId));
      expect(await look()).toEqual([1, [], undefined, true]);
    }
    // The doubt of a webhook alone, which Plaid was not asked about yet.
    await world.sql`UPDATE items SET revoked_at = now() WHERE item_id = ${itemId}`;
    expect(await look()).toEqual([0, ['permission_revoked'], undefined, false]);
  });

  it('are not given when the read cannot be noted', async () => {
    const item = await linkedItem(world);
    await prompt(world).saveNumbers(item.itemId, [{ accountId: 'acc-1', sealed: sealed('n') }]);
    const unwritable = { ...reader, request_id: '\u0000' };
    await expect(world.stores.numbers.read(ourselves, item.itemId, unwritable)).rejects.toMatchObject({
      name: 'Failure',
    });
  });
});
