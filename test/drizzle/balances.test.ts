import { ourselves } from '../../domain/exchange/viewer.js';
import type { PageKey, TextPage } from '../../domain/ports/pages.js';
import type { TestItem, World } from './world.js';
import { account, rowsOf, linkedItem, openWorld, runUpdate, transaction } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

interface Row {
  item_id: string;
  account_id: string;
  day: string;
  balances: Record<string, string | null>;
}

const holding = (id: string, current: number | null, more: Record<string, unknown> = {}) =>
  account(id, {
    balances: {
      available: null,
      current,
      limit: null,
      iso_currency_code: 'USD',
      unofficial_currency_code: null,
      ...more,
    },
  });

const seen = (item: TestItem, asOf: string, accounts = [holding('acc-1', 100)]) =>
  runUpdate(world, item, [{}], { accounts, accountsAsOf: asOf });

async function history(
  filter: { itemId: string; account_id?: string; from?: string; to?: string },
  limit = 100,
): Promise<Row[]> {
  const rows: Row[] = [];
  let after: PageKey | null = null;
  do {
    const page: TextPage = await world.stores.reads.balances(ourselves, filter, limit, after);
    const shown = rowsOf<Row>(page);
    expect(shown.length).toBeLessThanOrEqual(limit);
    rows.push(...shown);
    after = page.next;
  } while (after !== null);
  return rows;
}
const days = (rows: Row[]) => rows.map((row) => `${row.day} ${row.account_id} ${row.balances['current']}`);

describe('the balances of a day', () => {
  it('are the last ones seen on it, by UTC, also when nothing changed', async () => {
    const item = await linkedItem(world);
    await seen(item, '2026-11-19T23:59:59.999Z', [holding('acc-1', 100)]);
    await seen(item, '2026-11-20T00:00:00.000Z', [holding('acc-1', 100)]);
    await seen(item, '2026-11-20T12:00:00.000Z', [holding('acc-1', 250.5)]);
    await seen(item, '2026-11-20T18:00:00.000Z', [holding('acc-1', 250.5)]);
    await seen(item, '2026-11-22T01:00:00.000Z', [holding('acc-1', 250.5)]);
    const rows = await history({ itemId: item.itemId });
    expect(days(rows)).toEqual(['2026-11-22 acc-1 250.5', '2026-11-20 acc-1 250.5', '2026-11-19 acc-1 100']);
    expect(rows[1]).toEqual({
      item_id: item.itemId,
      account_id: 'acc-1',
      day: '2026-11-20',
      balances: {
        available: null,
        current: '250.5',
        limit: null,
        currency: 'USD',
        as_of: '2026-11-20T18:00:00.000Z',
      },
    });
  });

  it('are not those of an account that Plaid no longer lists', async () => {
    const item = await linkedItem(world);
    await seen(item, '2026-11-19T06:00:00.000Z', [holding('acc-1', 1), holding('acc-2', 2)]);
    await seen(item, '2026-11-20T06:00:00.000Z', [holding('acc-2', 3)]);
    expect(days(await history({ itemId: item.itemId }))).toEqual([
      '2026-11-20 acc-2 3',
      '2026-11-19 acc-1 1',
      '2026-11-19 acc-2 2',
    ]);
    // What the retention has deleted does not come back.
    await world.sql`DELETE FROM balance_snapshots WHERE item_id = ${item.itemId} AND day = '2026-11-19'`;
    await seen(item, '2026-11-21T06:00:00.000Z', [holding('acc-2', 4)]);
    expect(days(await history({ itemId: item.itemId }))).toEqual([
      '2026-11-21 acc-2 4',
      '2026-11-20 acc-2 3',
    ]);
  });

  it('are not put back by an older fetch that came late', async () => {
    const item = await linkedItem(world);
    await seen(item, '2026-11-20T12:00:00.000Z', [holding('acc-1', 2)]);
    await seen(item, '2026-11-20T11:00:00.000Z', [holding('acc-1', 1)]);
    expect(days(await history({ itemId: item.itemId }))).toEqual(['2026-11-20 acc-1 2']);
  });

  it('keep every digit, and nothing where the bank says nothing', async () => {
    const item = await linkedItem(world);
    await seen(item, '2026-11-20T12:00:00.000Z', [
      holding('acc-1', 0.1, { available: 1e-7, limit: 1e21 }),
      holding('acc-2', null, { iso_currency_code: null }),
      holding('acc-3', -0, { iso_currency_code: null, unofficial_currency_code: 'BTC' }),
    ]);
    const rows = await history({ itemId: item.itemId });
    expect(
      rows.map(({ balances: { available, current, limit, currency } }) => [
        available,
        current,
        limit,
        currency,
      ]),
    ).toEqual([
      ['0.0000001', '0.1', '1000000000000000000000', 'USD'],
      [null, null, null, null],
      [null, '0', null, 'BTC'],
    ]);
  });

  it('come with their update or not at all', async () => {
    const item = await linkedItem(world);
    await seen(item, '2026-11-19T06:00:00.000Z', [holding('acc-1', 1)]);
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${item.itemId}`;
    await runUpdate(world, item, [{ added: [transaction('late')] }], {
      accounts: [holding('acc-1', 2)],
      accountsAsOf: '2026-11-20T06:00:00.000Z',
    });
    expect(days(await history({ itemId: item.itemId }))).toEqual(['2026-11-19 acc-1 1']);
  });
});

it('are listed newest day first, then by account, each once, of one Item, account and span of days', async () => {
  const [item, stranger] = [await linkedItem(world), await linkedItem(world)];
  await seen(stranger, '2026-10-02T06:00:00.000Z');
  const all: string[] = [];
  for (let day = 1; day <= 5; day += 1) {
    const accounts = ['a', 'b', 'c'].map((id, n) => holding(id, day * 10 + n));
    await seen(item, `2026-10-0${day}T06:00:00.000Z`, accounts);
    all.unshift(...accounts.map((one, n) => `2026-10-0${day} ${one.account_id} ${day * 10 + n}`));
  }
  const { itemId } = item;
  for (const limit of [1, 2, 4, 15, 100]) expect(days(await history({ itemId }, limit))).toEqual(all);
  const span = { itemId, account_id: 'b', from: '2026-10-02', to: '2026-10-04' };
  const expected = ['2026-10-04 b 41', '2026-10-03 b 31', '2026-10-02 b 21'];
  for (const limit of [1, 2, 100]) expect(days(await history(span, limit))).toEqual(expected);
  expect(await history({ itemId, from: '2026-10-05', to: '2026-10-04' })).toEqual([]);
});
