import { ourselves } from '../../domain/exchange/viewer.js';
import { readStore } from '../../drizzle/stores/reads.js';
import type { PageKey, TextPage } from '../../domain/ports/pages.js';
import type { ItemStatusName, ListedItems, TransactionFilter } from '../../domain/ports/reads.js';
import type { World } from './world.js';
import {
  account,
  rowsOf,
  linkedItem,
  newId,
  openWorld,
  prompt,
  runUpdate,
  shownItem,
  transaction,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const everyStatus: ItemStatusName[] = ['ACTIVE', 'ERROR', 'REMOVED'];
const live: TransactionFilter['statuses'] = ['pending', 'posted'];
const broken = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };

async function readAll(
  filter: TransactionFilter,
  limit: number,
  between: () => Promise<void> = async () => {},
) {
  const ids: string[] = [];
  let after: PageKey | null = null;
  do {
    const page: TextPage = await world.stores.reads.transactions(ourselves, filter, limit, after);
    const shown = rowsOf<{ id: string }>(page);
    expect(shown.length).toBeLessThanOrEqual(limit);
    ids.push(...shown.map(({ id }) => id));
    after = page.next;
    await between();
  } while (after !== null);
  return ids;
}

describe('transactions', () => {
  it('are listed by date descending, then id, page by page, each once, while others come in', async () => {
    const item = await linkedItem(world);
    const rows = Array.from({ length: 23 }, (_, n) =>
      transaction(`t-${String((n * 7) % 23).padStart(2, '0')}`, { date: `2026-10-${10 + (n % 3)}` }),
    );
    await runUpdate(world, item, [{ added: rows }]);
    const expected = [...rows]
      .sort((a, b) =>
        a.date === b.date ? (a.transaction_id < b.transaction_id ? -1 : 1) : a.date < b.date ? 1 : -1,
      )
      .map((row) => row.transaction_id);
    const filter = { itemIds: [item.itemId], statuses: live, format: 'refined' as const };
    expect(await readAll(filter, 100)).toEqual(expected);
    for (const limit of [1, 4, 23]) expect(await readAll(filter, limit)).toEqual(expected);
    let come = 0;
    const seen = await readAll(filter, 5, async () => {
      come += 1;
      await runUpdate(world, item, [{ added: [transaction(`new-${come}`, { date: '2026-11-20' })] }]);
    });
    expect(seen).toEqual(expected);
  });

  it('of several Items are merged, and never show those of another', async () => {
    const [a, b, stranger] = [await linkedItem(world), await linkedItem(world), await linkedItem(world)];
    await runUpdate(world, a, [{ added: [transaction('a1', { date: '2026-10-03' }), transaction('a2')] }]);
    await runUpdate(world, b, [{ added: [transaction('b1', { date: '2026-10-04' }), transaction('b2')] }]);
    await runUpdate(world, stranger, [{ added: [transaction('s1')] }]);
    const filter = { itemIds: [a.itemId, b.itemId], statuses: live, format: 'refined' as const };
    for (const limit of [1, 2, 3, 10]) expect(await readAll(filter, limit)).toEqual(['a2', 'b2', 'b1', 'a1']);
    expect(await readAll({ ...filter, itemIds: [] }, 10)).toEqual([]);
  });

  it('of one id in several Items are each listed once, wherever a page ends', async () => {
    const items = [await linkedItem(world), await linkedItem(world), await linkedItem(world)];
    for (const item of items) await runUpdate(world, item, [{ added: [transaction('a'), transaction('b')] }]);
    const itemIds = items.map(({ itemId }) => itemId);
    const filter = { itemIds, statuses: live, format: 'refined' as const };
    const all = ['a', 'a', 'a', 'b', 'b', 'b'];
    for (const limit of [1, 2, 3, 4, 10]) expect(await readAll(filter, limit)).toEqual(all);
  });

  it('are filtered by day inclusive, account and status; tombstones come last', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [
      {
        added: [
          transaction('d1', { date: '2026-10-01' }),
          transaction('d2', { date: '2026-10-02', account_id: 'acc-2' }),
          transaction('d3', { date: '2026-10-03', pending: true }),
          transaction('gone', { date: '2026-10-02' }),
        ],
      },
    ]);
    await runUpdate(world, item, [
      { removed: ['gone', 'never'].map((id) => ({ transaction_id: id, account_id: 'acc-1' })) },
    ]);
    const filter = { itemIds: [item.itemId], statuses: live, format: 'refined' as const };
    expect(await readAll(filter, 10)).toEqual(['d3', 'd2', 'd1']);
    expect(await readAll({ ...filter, from: '2026-10-02', to: '2026-10-03' }, 10)).toEqual(['d3', 'd2']);
    expect(await readAll({ ...filter, from: '2026-10-03', to: '2026-10-02' }, 10)).toEqual([]);
    expect(await readAll({ ...filter, account_id: 'acc-2' }, 10)).toEqual(['d2']);
    expect(await readAll({ ...filter, statuses: ['pending'] }, 10)).toEqual(['d3']);
    for (const limit of [1, 2, 10]) {
      expect(await readAll({ ...filter, statuses: ['posted', 'removed'] }, limit)).toEqual([
        'd2',
        'gone',
        'd1',
        'never',
      ]);
    }
    expect(
      await readAll({ ...filter, statuses: ['removed'], to: '2026-12-31', from: '2000-01-01' }, 10),
    ).toEqual(['gone']);
  });

  it("are shown refined with their version, or as Plaid's objects; of a tombstone the ids", async () => {
    const item = await linkedItem(world);
    const raw = transaction('t1', { extra: { deep: [1, 'two\u001e\u2028é𝄞'] }, amount: -0.1 });
    await runUpdate(world, item, [{ added: [raw], removed: [{ transaction_id: 'x', account_id: 'acc-1' }] }]);
    const filter = {
      itemIds: [item.itemId],
      statuses: ['posted', 'removed'] as TransactionFilter['statuses'],
    };
    const shown = async (format: 'raw' | 'refined') =>
      rowsOf(await world.stores.reads.transactions(ourselves, { ...filter, format }, 10, null));
    expect(await shown('raw')).toEqual([raw, { transaction_id: 'x', account_id: 'acc-1' }]);
    expect(await shown('refined')).toMatchObject([
      { id: 't1', direction: 'inflow', amount: '0.1', status: 'posted', version: 1, user_id: item.userId },
      { id: 'x', status: 'removed', amount: null, version: 1 },
    ]);
  });

  it('are read from the index in order: shallow and deep pages read about a page of rows, however planned', async () => {
    const item = await linkedItem(world);
    await world.sql`
      INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, raw, refined, version)
      SELECT CASE WHEN n % 2 = 0 THEN ${item.itemId} ELSE 'noise-' || n % 40 END, 'row-' || n, 'acc-1', 'posted',
        date '2026-01-01' - n % 700, 1, '{}', jsonb_build_object('id', 'row-' || n), 1
      FROM generate_series(1, 40000) n`;
    await world.sql`ANALYZE transactions`;
    // One transaction on one connection: its own counters, whoever else reads.
    const reading = (plans: string, items: ListedItems, after: PageKey | null): Promise<number> =>
      world.sql.begin(async (tx) => {
        await tx`SELECT set_config('plan_cache_mode', ${plans}, true)`;
        const touched = async () => {
          const [row] = await tx<[{ n: number }]>`
            SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int AS n
            FROM pg_stat_xact_user_tables WHERE relname = 'transactions'`;
          return row.n;
        };
        const before = await touched();
        const filter = { ...items, statuses: live, format: 'refined' as const };
        const page = await readStore(tx as unknown as World['sql']).transactions(
          ourselves,
          filter,
          100,
          after,
        );
        expect(rowsOf(page)).toHaveLength(100);
        return (await touched()) - before;
      });
    for (const plans of ['force_custom_plan', 'force_generic_plan']) {
      for (const items of [{ itemId: item.itemId }, { userId: item.userId, includeRemoved: false }]) {
        expect(await reading(plans, items, null)).toBeLessThan(500);
        expect(await reading(plans, items, ['2024-06-01', 'row-5'])).toBeLessThan(500);
      }
    }
  });
});

describe('accounts', () => {
  it('are listed by Item and id, page by page', async () => {
    const [a, b] = [
      await linkedItem(world, { itemId: newId('a') }),
      await linkedItem(world, { itemId: newId('b') }),
    ];
    await runUpdate(world, a, [{}], { accounts: [account('z'), account('A'), account('a')] });
    await runUpdate(world, b, [{}], { accounts: [account('m')] });
    const { reads } = world.stores;
    const filter = { itemIds: [b.itemId, a.itemId], format: 'raw' as const };
    const ids: string[] = [];
    let after: PageKey | null = null;
    do {
      const page: TextPage = await reads.accounts(ourselves, filter, 2, after);
      ids.push(...rowsOf<{ account_id: string }>(page).map((row) => row.account_id));
      after = page.next;
    } while (after !== null);
    expect(ids).toEqual(['A', 'a', 'z', 'm']);
  });
});

describe('items', () => {
  it('show their status and phase, in the order of linking, filtered', async () => {
    const userId = newId('user');
    const names = ['created', 'idle', 'error', 'removed'];
    const items = [];
    for (const name of names)
      items.push(await linkedItem(world, { userId, itemId: newId(name), institutionId: `ins_${name}` }));
    const [, idle, error, removed] = items as [
      never,
      (typeof items)[0],
      (typeof items)[0],
      (typeof items)[0],
    ];
    await runUpdate(world, idle, [{}]);
    await prompt(world).setBroken(error.itemId, broken, '2030-01-01T00:00:00.000Z');
    await prompt(world).setBroken(removed.itemId, broken, '2030-01-01T00:00:00.000Z');
    await world.stores.items.finishRemoval(removed.itemId);
    const { reads } = world.stores;
    const all = await reads.items(ourselves, { userId, statuses: everyStatus }, 10, null);
    expect(all.rows.map((row) => [row.status, row.phase])).toEqual([
      ['ACTIVE', 'created'],
      ['ACTIVE', 'idle'],
      ['ERROR', 'needs_relink'],
      ['REMOVED', 'removed'],
    ]);
    expect(all.rows[3]?.error).toBeNull();
    const paged: string[] = [];
    let after: PageKey | null = null;
    do {
      const page: Awaited<ReturnType<typeof reads.items>> = await reads.items(
        ourselves,
        { userId, statuses: everyStatus },
        1,
        after,
      );
      paged.push(...page.rows.map((row) => row.item_id));
      after = page.next;
    } while (after !== null);
    expect(paged).toEqual(items.map((item) => item.itemId));
    expect((await reads.items(ourselves, { userId, statuses: ['ERROR'] }, 10, null)).rows).toHaveLength(1);
    expect(
      (await reads.items(ourselves, { userId: newId('user'), statuses: everyStatus }, 10, null)).rows,
    ).toEqual([]);
    const drawn = async (of: ListedItems) => {
      const lists = [
        await reads.accounts(ourselves, { ...of, format: 'refined' }, 10, null),
        await reads.transactions(ourselves, { ...of, format: 'raw', statuses: live }, 10, null),
      ];
      expect(lists[0]?.items).toEqual(lists[1]?.items);
      return lists[0]?.items;
    };
    expect((await drawn({ userId, includeRemoved: false }))?.map((row) => row.phase)).toEqual([
      'created',
      'idle',
      'needs_relink',
    ]);
    expect(await drawn({ userId, includeRemoved: true })).toHaveLength(4);
    // Its accounts are those of the Item in its place, and Plaid may refuse its removal for long.
    const [replaced = '', heir = ''] = items.map(({ itemId }) => itemId);
    await world.sql`UPDATE items SET removal_requested_at = now(), replaced_by = ${heir} WHERE item_id = ${replaced}`;
    const left = await drawn({ userId, includeRemoved: false });
    expect(left).toHaveLength(2);
    expect(left?.map(({ item_id }) => item_id)).not.toContain(replaced);
    expect(await drawn({ userId, includeRemoved: true })).toHaveLength(4);
    expect(await drawn({ itemId: replaced })).toHaveLength(1);
    const [one] = (await drawn({ itemId: idle.itemId })) ?? [];
    expect((await reads.balances(ourselves, { itemId: idle.itemId }, 10, null)).items).toEqual([one]);
    expect(one).toMatchObject({ item_id: idle.itemId, history: 'complete' });
    expect(one?.as_of).toBe((await shownItem(world, idle.itemId))?.last_update_at);
  });

  it('say why nothing is read from the bank any more: nobody is connected, or they are to be removed', async () => {
    const { itemId } = await linkedItem(world);
    const stopped = async () => (await shownItem(world, itemId))?.stopped;
    const [since, asked] = ['2026-11-20T10:00:00.000Z', '2026-11-27T10:00:00.000Z'];
    expect(await stopped()).toBeNull();
    await world.sql`UPDATE items SET unconnected_since = ${since} WHERE item_id = ${itemId}`;
    expect(await stopped()).toEqual({ reason: 'not_connected', since });
    await world.sql`UPDATE items SET removal_requested_at = ${asked} WHERE item_id = ${itemId}`;
    expect(await stopped()).toEqual({ reason: 'removal_requested', since: asked });
    await world.stores.items.finishRemoval(itemId);
    expect([await stopped(), (await shownItem(world, itemId))?.status]).toEqual([null, 'REMOVED']);
  });

  it('show when Plaid last sent a webhook', async () => {
    const { itemId } = await linkedItem(world);
    const { webhooks } = world.stores;
    expect((await shownItem(world, itemId))?.last_webhook_at).toBeNull();
    const { webhookId } = await webhooks.store(webhook(itemId, 'DEFAULT_UPDATE'));
    expect((await shownItem(world, itemId))?.last_webhook_at).toBe(
      (await webhooks.get(ourselves, webhookId))?.received_at,
    );
  });

  it('are not found by another spelling of their id', async () => {
    const { itemId } = await linkedItem(world, { itemId: newId('Item') });
    expect(await shownItem(world, itemId.toLowerCase())).toBeNull();
    expect(await shownItem(world, `${itemId}' OR '1'='1`)).toBeNull();
  });
});

describe('the pick for update mode', () => {
  it('is none with which nobody is connected any more: a new link joins it, which no update mode does', async () => {
    const { itemId, userId } = await linkedItem(world);
    const pick = (id: string | null) => world.stores.reads.pickForUpdateMode(ourselves, userId, id);
    expect((await pick(null))?.itemId).toBe(itemId);
    await world.sql`UPDATE items SET unconnected_since = now() WHERE item_id = ${itemId}`;
    expect([await pick(null), await pick(itemId)]).toEqual([null, null]);
  });

  it('is the longest in error, else the latest linked; never one that is gone or whose permission is gone', async () => {
    const userId = newId('user');
    const { reads, items } = world.stores;
    expect(await reads.pickForUpdateMode(ourselves, userId, null)).toBeNull();
    const linked = [];
    for (const n of [1, 2, 3, 4]) linked.push(await linkedItem(world, { userId, institutionId: `ins_${n}` }));
    const [one, two, three, four] = linked.map((item) => item.itemId) as [string, string, string, string];
    const picked = async (id: string | null = null) =>
      (await reads.pickForUpdateMode(ourselves, userId, id))?.itemId ?? null;
    expect(await picked()).toBe(four);
    await prompt(world).setBroken(three, broken, '2030-01-01T00:00:00.000Z');
    await prompt(world).setBroken(two, broken, '2030-01-01T00:00:00.000Z');
    expect(await picked()).toBe(three);
    expect(await picked(one)).toBe(one);
    await prompt(world).setBroken(
      three,
      { ...broken, error_code: 'USER_PERMISSION_REVOKED' },
      '2030-01-01T00:00:00.000Z',
    );
    expect(await picked()).toBe(two);
    expect(await picked(three)).toBeNull();
    const next = (except: string[]) => reads.pickForUpdateMode(ourselves, userId, null, except);
    expect([(await next([two]))?.itemId, (await next([two, four]))?.itemId]).toEqual([four, one]);
    expect(await next([one, two, four])).toBeNull();
    await items.finishRemoval(two);
    expect(await picked()).toBe(four);
    expect(await picked(two)).toBeNull();
    expect(await reads.pickForUpdateMode(ourselves, newId('user'), four)).toBeNull();
  });
});
