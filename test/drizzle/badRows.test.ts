import { isCalendarDate } from '../../domain/mining/oddValues.js';
import type { PlaidTransaction } from '../../domain/plaid.js';
import type { World } from './world.js';
import {
  linkedItem,
  openWorld,
  pageOf,
  runUpdate,
  storedTransactions,
  transaction,
  prompt,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const parked = (itemId: string) => world.sql<{ id: string; reason: string; row: string }[]>`
  SELECT transaction_id AS id, reason, row FROM parked_rows WHERE item_id = ${itemId}
  ORDER BY reason, transaction_id`;

describe('one bad row never blocks an Item', () => {
  it.each([
    ['a day that does not exist', { date: '2026-02-31' }, 'bad_date'],
    ['the year 0, which PostgreSQL does not know', { date: '0000-01-01' }, 'bad_date'],
    ['a time for a date', { date: '2026-02-01T00:00:00Z' }, 'bad_date'],
    ['no date', { date: undefined as unknown as string }, 'bad_date'],
    ['an amount that is none', { amount: Number.NaN }, 'bad_amount'],
    ['an amount as a text', { amount: '1.00' as unknown as number }, 'bad_amount'],
    ['no id', { transaction_id: '' }, 'no_id'],
    ['an id longer than an index takes', { transaction_id: 'x'.repeat(3_000) }, 'id_too_long'],
    ['no account', { account_id: undefined as unknown as string }, 'no_account'],
    ['a NUL in its id', { transaction_id: 'a\u0000' }, 'bad_id'],
    ['half a character in its id', { transaction_id: 'a\ud83d' }, 'bad_id'],
  ] satisfies [string, Partial<PlaidTransaction>, string][])('%s', async (_, changes, reason) => {
    const item = await linkedItem(world);
    const added = [transaction('t1'), transaction('t2', changes)];
    expect(await runUpdate(world, item, [{ added }])).toMatchObject({ outcome: { added: 1, pages: 1 } });
    expect([...(await storedTransactions(world, item.itemId)).keys()]).toEqual(['t1']);
    const rows = await parked(item.itemId);
    expect(rows).toMatchObject([{ reason }]);
    const [alert] = await world.sql`SELECT kind, detail FROM alerts WHERE item_id = ${item.itemId}`;
    expect(alert).toMatchObject({ kind: 'row_parked', detail: { reason } });
  });

  it('ids that would be one when mended stay two', async () => {
    const item = await linkedItem(world);
    const removed = [{ transaction_id: 'b\ud83d' }, { transaction_id: 'c'.repeat(3_000) }];
    const added = [
      transaction('a\u0000'),
      transaction('a\ud800'),
      transaction(''),
      transaction('', { amount: 2 }),
    ];
    const said = { added, modified: [transaction('', { amount: 3 })], removed };
    expect(await runUpdate(world, item, [said])).toMatchObject({ kind: 'applied' });
    expect((await storedTransactions(world, item.itemId)).size).toBe(0);
    const rows = await parked(item.itemId);
    expect(rows.filter((row) => row.reason === 'no_id')).toHaveLength(3);
    expect(rows.filter((row) => row.reason === 'id_too_long')).toHaveLength(1);
    expect(rows.filter((row) => row.reason === 'bad_id').length).toBeGreaterThan(0);
  });

  it('an id with a line end is a row like any other, and is not told again unchanged', async () => {
    const item = await linkedItem(world);
    const said = { added: [transaction('a\nb'), transaction('c')] };
    expect(await runUpdate(world, item, [said])).toMatchObject({ outcome: { added: 2 } });
    expect(await runUpdate(world, item, [said])).toMatchObject({
      outcome: { added: 0, modified: 0, changes: 0 },
    });
    const changed = { modified: [transaction('a\nb', { amount: 1 })] };
    expect(await runUpdate(world, item, [changed])).toMatchObject({ outcome: { modified: 1 } });
    expect([...(await storedTransactions(world, item.itemId)).keys()].sort()).toEqual(['a\nb', 'c']);
  });

  it('the first and the last day that a date may name are kept', async () => {
    expect(['0001-01-01', '9999-12-31', '2024-02-29'].filter((day) => !isCalendarDate(day))).toEqual([]);
    const item = await linkedItem(world);
    const added = [transaction('first', { date: '0001-01-01' }), transaction('last', { date: '9999-12-31' })];
    expect(await runUpdate(world, item, [{ added }])).toMatchObject({ outcome: { added: 2 } });
  });
});

it('nothing is staged for an Item that was removed', async () => {
  const item = await linkedItem(world);
  await world.stores.items.finishRemoval(item.itemId);
  const late = pageOf(item, '', 'c1', true, { added: [transaction('t1')] });
  const answer = await prompt(world).stagePage(item.itemId, 'u1', 0, late);
  expect(answer).toEqual({ kind: 'gone' });
  const [staged] =
    await world.sql`SELECT count(*)::int AS n FROM staged_pages WHERE item_id = ${item.itemId}`;
  expect(staged).toEqual({ n: 0 });
});
