import { ourselves } from '../../domain/exchange/viewer.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import { readStore } from '../../drizzle/stores/reads.js';
import type { PageKey } from '../../domain/ports/pages.js';
import type { ListedItems, TransactionFilter } from '../../domain/ports/reads.js';
import type { World } from './world.js';
import { linkedItem, newId, openWorld } from './world.js';

type Filters = Pick<TransactionFilter, 'account_id' | 'from' | 'to' | 'statuses'>;

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  Plans?: Plan[];
}

let world: World;
let userId: string;
let itemIds: string[];
let connected: Viewer;
/** The largest Item's rows lie on two days as well as on many: a day's rows must not be read again for each page. */
beforeAll(async () => {
  world = await openWorld();
  userId = newId('user');
  itemIds = [
    (await linkedItem(world, { userId })).itemId,
    (await linkedItem(world, { userId, institutionId: 'ins_2' })).itemId,
  ];
  await world.sql`
    INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, raw, refined, version)
    SELECT (${itemIds}::text[])[1 + (n % 4) / 3], 'row-' || lpad(n::text, 6, '0'), 'acc-' || n % 3,
      CASE WHEN n % 10 = 0 THEN 'removed' ELSE 'posted' END, date '2026-11-01' - (n % 700), 1, '{}',
      jsonb_build_object('id', n), 1
    FROM generate_series(1, 24000) n`;
  const { application_id: applicationId } = await world.stores.applications.create('reader', randomUUID());
  connected = { applicationId, access: 'connected' };
  for (const itemId of itemIds) {
    await world.sql`
      INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts, granted_accounts, lookback_days)
      VALUES (${newId('con')}, ${applicationId}, ${itemId}, ${userId}, '{transactions}', true, '{acc-0,acc-1,acc-2}', 10000)`;
  }
  await world.sql`ANALYZE transactions`;
});
afterAll(() => world.close());

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/** How PostgreSQL carries out the store's own statement. */
async function explain(
  viewer: Viewer,
  filter: TransactionFilter,
  limit: number,
  after: PageKey | null,
): Promise<Plan> {
  let explained: Plan | undefined;
  // The store asks for one statement; it is asked with EXPLAIN before it.
  const statement = (strings: TemplateStringsArray, ...values: unknown[]) => {
    const isList = /^\s*WITH drawn/.test(strings[0] ?? '');
    if (!isList) {
      return (world.sql as (...args: unknown[]) => unknown)(strings, ...values);
    }
    const parts = [`EXPLAIN (ANALYZE, FORMAT JSON) ${strings[0]}`, ...strings.slice(1)];
    const asked = Object.assign(parts, { raw: parts });
    const answer = (world.sql as (...args: unknown[]) => Promise<Record<string, unknown>[]>)(
      asked,
      ...values,
    );
    const read = answer.then(([row]) => {
      explained = (row?.['QUERY PLAN'] as { Plan: Plan }[])[0]?.Plan;
      return [[null, null, null, null, null]];
    });
    return { raw: () => read };
  };
  const sql = Object.assign(statement, {
    unsafe: (text: string) => world.sql.unsafe(text),
  }) as unknown as postgres.Sql;
  await readStore(sql).transactions(viewer, filter, limit, after);
  if (explained === undefined) throw new Error('the list of transactions is another statement now');
  return explained;
}

describe.each([
  ['an Item', 1, () => ({ itemId: itemIds[0] ?? '' })],
  ['Items', 2, () => ({ itemIds })],
  ['a user', 2, () => ({ userId, includeRemoved: false })],
] satisfies [string, number, () => ListedItems][])('the list of transactions of %s', (_of, count, of) => {
  it.each([
    ['the first page', {}, null],
    ['a page a year back', {}, ['2025-11-01', 'row-010000']],
    ['a page near the end', {}, ['2025-02-01', 'row-000001']],
    ['an account within days', { account_id: 'acc-1', from: '2025-01-01', to: '2025-12-31' }, null],
    ['refined and removed ones', { statuses: ['posted', 'removed'] }, ['2026-01-01', 'row-020000']],
  ] satisfies [string, Partial<Filters>, PageKey | null][])(
    '%s is read from its index in order, as far as the page goes',
    async (_, filter, after) => {
      const limit = 100;
      const statuses: TransactionFilter['statuses'] = ['pending', 'posted'];
      const whole = { ...of(), statuses, format: 'refined' as const, ...filter };
      for (const viewer of [ourselves, connected]) {
        const nodes = flat(await explain(viewer, whole, limit, after));
        const onTable = nodes.filter((node) => node['Relation Name'] === 'transactions');
        expect(onTable.length).toBeGreaterThan(0);
        for (const node of onTable) expect(node['Node Type']).toMatch(/^Index (Only )?Scan$/);
        expect(nodes.map((node) => node['Index Name'])).toContain('transactions_by_date');
        const reading = nodes.filter((node) => flat(node).some((below) => onTable.includes(below)));
        const most = Math.max(...reading.map((node) => node['Actual Rows'] * node['Actual Loops']));
        // Each Item gives a page, one row more, and a row of its own; nothing ever sees the rest of the table.
        expect(most).toBeLessThanOrEqual(count * (limit + 2));
        for (const node of reading.filter((one) => one['Node Type'] === 'Sort')) {
          expect(flat(node).some((below) => below['Node Type'] === 'Limit')).toBe(true);
        }
      }
    },
  );
});
