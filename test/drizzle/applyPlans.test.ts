import { applyTransactions } from '../../drizzle/stores/applyTransactions.js';
import { entriesOf } from '../../drizzle/stores/pageEntries.js';
import type { Tx } from '../../drizzle/rows.js';
import type { World } from './world.js';
import { linkedItem, openWorld, pageOf, runUpdate, transaction, prompt } from './world.js';

interface Plan {
  'Node Type': string;
  'CTE Name'?: string;
  'Relation Name'?: string;
  'Index Cond'?: string;
  'Actual Loops': number;
  Plans?: Plan[];
}

let world: World;
beforeAll(async () => {
  world = await openWorld();
  // When the planner counted last, every Item had one row: it cannot know of the two years that came for this one.
  await world.sql`
    INSERT INTO transactions (item_id, transaction_id, status, date, refined, version)
    SELECT 'small-' || n, 't', 'posted', '2026-01-01', '{}', 1 FROM generate_series(1, 5000) n`;
  await world.sql`ANALYZE transactions`;
  for (const table of ['transactions', 'staged_pages', 'outbox']) {
    await world.sql.unsafe(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
  }
});
afterAll(() => world.close());

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/** How PostgreSQL carries out the store's own statement. */
async function explain(tx: Tx, update: Parameters<typeof applyTransactions>[1]): Promise<Plan> {
  let explained: Plan | undefined;
  const ask = tx as unknown as (
    strings: readonly string[],
    ...values: unknown[]
  ) => Promise<Record<string, unknown>[]>;
  const explaining = (strings: TemplateStringsArray, ...values: unknown[]) => {
    if (!/^\s*WITH /.test(strings[0] ?? '')) return ask(strings, ...values);
    const parts = [`EXPLAIN (ANALYZE, FORMAT JSON) ${strings[0]}`, ...strings.slice(1)];
    return ask(Object.assign(parts, { raw: parts }), ...values).then(([row]) => {
      explained = (row?.['QUERY PLAN'] as { Plan: Plan }[])[0]?.Plan;
      return [{ added: 0, modified: 0, removed: 0 }];
    });
  };
  await applyTransactions(explaining as unknown as Tx, update);
  if (explained === undefined) throw new Error('an update is applied by another statement now');
  return explained;
}

it('an update of many pages reads its rows and the stored ones once each, not once for every other', async () => {
  const item = await linkedItem(world);
  const rows = (amount: number) => (page: number) =>
    Array.from({ length: 300 }, (_, n) => transaction(`t-${page}-${n}`, { amount }));
  const before = rows(1);
  await runUpdate(world, item, [{ added: [0, 1, 2].flatMap(before) }]);
  const owner = { item_id: item.itemId, user_id: item.userId, institution_id: 'ins_1' };
  const pageNumber = 3;
  for (let page = 0; page < pageNumber; page += 1) {
    const said = {
      modified: rows(2)(page),
      removed: [{ transaction_id: `t-${page}-0`, account_id: 'acc-1' }],
    };
    const mined = pageOf(item, `c${page}`, `c${page + 1}`, true, said);
    await prompt(world).stagePage(item.itemId, 'u', page, mined);
  }
  const last = pageOf(item, 'c3', 'c4', false, { added: rows(2)(3) });
  await world.sql.begin(async (tx) => {
    const nodes = flat(
      await explain(tx, {
        itemId: item.itemId,
        updateId: 'u',
        pageNumber,
        lastPage: await entriesOf(tx, last, owner, { isNew: true, alone: false }),
        sequence: 10_000,
      }),
    );
    const scans = nodes.filter((node) => node['CTE Name'] !== undefined);
    expect(scans.length).toBeGreaterThan(3);
    for (const scan of scans) expect([scan['CTE Name'], scan['Actual Loops']]).toEqual([scan['CTE Name'], 1]);
    // Stored rows are looked up by id, one look-up a removal at most, and one a row that changes (where was it before?): never all of the
    // Item's for each of them.
    const stored = nodes.filter((node) => node['Relation Name'] === 'transactions' && 'Index Cond' in node);
    expect(stored.length).toBeGreaterThan(0);
    for (const node of stored) {
      expect(node['Index Cond']).toMatch(/transaction_id/);
      const looksUpOne = /transaction_id = \w+\.id\)/.test(node['Index Cond'] ?? '');
      expect(node['Actual Loops']).toBeLessThanOrEqual(looksUpOne ? pageNumber * 300 : pageNumber);
    }
  });
});
