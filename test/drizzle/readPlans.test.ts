import type postgres from 'postgres';
import { readStore } from '../../drizzle/stores/reads.js';
import type { PageKey, TransactionFilter } from '../../src/domain/ports.js';
import type { World } from './world.js';
import { linkedItem, openWorld } from './world.js';

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  Plans?: Plan[];
}

let world: World;
let itemIds: string[];
/** The largest Item's rows lie on two days as well as on many: a day's rows must not be read again for each page. */
beforeAll(async () => {
  world = await openWorld();
  itemIds = [(await linkedItem(world)).itemId, (await linkedItem(world)).itemId];
  await world.sql`
    INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, raw, refined, version)
    SELECT (${itemIds}::text[])[1 + (n % 4) / 3], 'row-' || lpad(n::text, 6, '0'), 'acc-' || n % 3,
      CASE WHEN n % 10 = 0 THEN 'removed' ELSE 'posted' END, date '2026-11-01' - (n % 700), 1, '{}',
      jsonb_build_object('id', n), 1
    FROM generate_series(1, 24000) n`;
  await world.sql`ANALYZE transactions`;
});
afterAll(() => world.close());

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/** How PostgreSQL carries out the store's own statement. */
async function explain(
  filter: Partial<TransactionFilter>,
  limit: number,
  after: PageKey | null,
): Promise<Plan> {
  let explained: Plan | undefined;
  // The store asks for one statement; it is asked with EXPLAIN before it.
  const sql = ((strings: TemplateStringsArray, ...values: unknown[]) => {
    const isList = /^\s*SELECT\s*$/.test(strings[0] ?? '') && /FROM/.test(strings[1] ?? '');
    if (!isList) {
      return (world.sql as (...args: unknown[]) => unknown)(strings, ...values);
    }
    const parts = [`EXPLAIN (ANALYZE, FORMAT JSON) ${strings[0]}`, ...strings.slice(1)];
    const asked = Object.assign(parts, { raw: parts });
    const answer = (world.sql as (...args: unknown[]) => Promise<Record<string, unknown>[]>)(
      asked,
      ...values,
    );
    return answer.then(([row]) => {
      explained = (row?.['QUERY PLAN'] as { Plan: Plan }[])[0]?.Plan;
      return [];
    });
  }) as unknown as postgres.Sql;
  const statuses: TransactionFilter['statuses'] = ['pending', 'posted'];
  await readStore(sql).transactions({ itemIds, statuses, format: 'refined', ...filter }, limit, after);
  if (explained === undefined) throw new Error('the list of transactions is another statement now');
  return explained;
}

describe.each([
  ['one Item', 1],
  ['several Items', 2],
])('the list of transactions of %s', (_of, count) => {
  it.each([
    ['the first page', {}, null],
    ['a page a year back', {}, ['2025-11-01', 'row-010000']],
    ['a page near the end', {}, ['2025-02-01', 'row-000001']],
    ['an account within days', { account_id: 'acc-1', from: '2025-01-01', to: '2025-12-31' }, null],
    ['refined and removed ones', { statuses: ['posted', 'removed'] }, ['2026-01-01', 'row-020000']],
  ] satisfies [string, Partial<TransactionFilter>, PageKey | null][])(
    '%s is read from its index in order, as far as the page goes',
    async (_, filter, after) => {
      const limit = 100;
      const nodes = flat(await explain({ itemIds: itemIds.slice(0, count), ...filter }, limit, after));
      const onTable = nodes.filter((node) => node['Relation Name'] === 'transactions');
      expect(onTable.length).toBeGreaterThan(0);
      for (const node of onTable) expect(node['Node Type']).toMatch(/^Index (Only )?Scan$/);
      expect(nodes.map((node) => node['Index Name'])).toContain('transactions_by_date');
      const most = Math.max(...nodes.map((node) => node['Actual Rows'] * node['Actual Loops']));
      // Each Item gives a page and one row more; nothing ever sees the rest of the table.
      expect(most).toBeLessThanOrEqual(count * (limit + 1));
      for (const node of nodes.filter((one) => one['Node Type'] === 'Sort')) {
        expect(flat(node).some((below) => below['Node Type'] === 'Limit')).toBe(true);
      }
    },
  );
});
