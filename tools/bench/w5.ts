import { sql as expression } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { transactions } from '../../drizzle/schema.js';
import { changesNothing, pagesOf, upsertRows } from '../../drizzle/stores/applyTransactions.js';
import { entriesOf } from '../../drizzle/stores/pageEntries.js';
import { inLanes } from '../../src/lanes.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { minedPage } from '../../domain/mining/page.js';
import type { MinedPage } from '../../domain/mining/page.js';
import type { PlaidSyncPage } from '../../domain/plaid.js';
import type { RefinedTransaction } from '../../domain/mining/refine.js';
import type { PairResult } from './pairs.js';
import { runPairs } from './pairs.js';
import { startBenchSystem } from './system.js';
import { atLeast, shown } from './workload.js';
import type { Workload } from './workload.js';

const pages = 200;
const rowsPerPage = 500;
const mostLanes = 4;
const itemId = 'bench-item';
const owner = { item_id: itemId, user_id: 'bench-user', institution_id: 'ins_109508' };

/**
 * Page text → rows in the same table with the same indexes: our upsert of whole pages against drizzle's values upsert. One page at
 * a time, and four at once, as a worker with four activities does it.
 */
export const w5: Workload = async ({ pairs, say }) => {
  const system = await startBenchSystem({ transactionsPerItem: rowsPerPage });
  try {
    const url = await system.createDatabase('w5');
    const [linked] = await system.linkItems(url, 1);
    const truth = await system.sim<{ transactions: PlaidSyncPage['added'] }>(`/_sim/items/${linked}/truth`);
    const template = truth.transactions.slice(0, rowsPerPage);
    /** The text of a page as Plaid would send it; `edition` changes every row. */
    const pageText = (page: number, edition: number): string =>
      JSON.stringify({
        added: template.map((row, n) => ({
          ...row,
          transaction_id: `tx-${String(page).padStart(4, '0')}-${n}`,
          amount: row.amount + edition,
        })),
        modified: [],
        removed: [],
        accounts: [],
        next_cursor: 'c',
        has_more: true,
        transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
      } satisfies PlaidSyncPage);

    const ours = openDatabase(url, { max: mostLanes });
    const theirs = postgres(url, { max: mostLanes, onnotice: () => undefined });
    const db = drizzle(theirs);
    /** Both sides read a page alike. Of the refined object only what fills columns is kept: the kernel is page text → raw rows. */
    const read = (text: string): MinedPage => {
      const page = minedPage('', JSON.parse(text) as PlaidSyncPage, owner);
      const lean = ({ status, amount, currency }: RefinedTransaction) =>
        ({ status, amount, currency }) as RefinedTransaction;
      return {
        ...page,
        transactions: page.transactions.map(({ raw, modified, refine }) => ({
          raw,
          modified,
          refine: () => lean(refine()),
        })),
      };
    };

    /** As `apply` does it: an Item's first update looks up nothing, a later one sends on only what differs. */
    const sluice = (isNew: boolean) => async (text: string) => {
      const lastPage = await entriesOf(ours, read(text), owner, { isNew, alone: true });
      const pages = { itemId, updateId: 'bench-update', pageNumber: 0, lastPage };
      if (changesNothing(pages)) return;
      await ours`WITH ${pagesOf(ours, pages)}, upserted AS (${upsertRows(ours, itemId)})
        SELECT count(*) FROM upserted`;
    };
    const excluded = (column: string) => expression.raw(`excluded.${column}`);
    const values = async (text: string): Promise<void> => {
      const rows = read(text).transactions.map(({ raw, refine }) => {
        const refined = refine();
        return {
          itemId,
          transactionId: raw.transaction_id,
          accountId: raw.account_id,
          status: refined.status,
          date: new Date(raw.date),
          amount: refined.amount,
          currency: refined.currency,
          raw,
          refined,
          version: 1,
        };
      });
      await db
        .insert(transactions)
        .values(rows)
        .onConflictDoUpdate({
          target: [transactions.itemId, transactions.transactionId],
          set: {
            accountId: excluded('account_id'),
            status: excluded('status'),
            date: excluded('date'),
            amount: excluded('amount'),
            currency: excluded('currency'),
            raw: excluded('raw'),
            refined: excluded('refined'),
            version: expression.raw('transactions.version + 1'),
          },
        });
    };

    const rate = async (
      texts: string[],
      lanes: number,
      write: (text: string) => Promise<void>,
    ): Promise<number> => {
      const started = performance.now();
      await inLanes(lanes, texts, write);
      const seconds = (performance.now() - started) / 1000;
      const [row] = await ours<[{ n: number }]>`SELECT count(*)::int AS n FROM transactions`;
      if (row.n !== pages * rowsPerPage) throw new Error(`${row.n} rows instead of ${pages * rowsPerPage}`);
      return row.n / seconds;
    };
    const texts = (edition: number) => Array.from({ length: pages }, (_, page) => pageText(page, edition));
    const empty = async (): Promise<void> => {
      await ours`TRUNCATE transactions`;
    };
    const filled = async (): Promise<void> => {
      await empty();
      for (const text of texts(0)) await sluice(true)(text);
      await ours`VACUUM ANALYZE transactions`;
    };
    const measure = (what: string, lanes: number, edition: number): Promise<PairResult> => {
      say(`${what} rows, ${lanes === 1 ? 'one page at a time' : `${lanes} pages at once`}`);
      const isNew = what === 'fresh';
      const side = (write: (text: string) => Promise<void>) => async (): Promise<number> => {
        await (isNew ? empty() : filled());
        return rate(texts(edition), lanes, write);
      };
      return runPairs(pairs, side(sluice(isNew)), side(values), say);
    };
    const of = async (lanes: number) => ({
      fresh: await measure('fresh', lanes, 0),
      changed: await measure('changed', lanes, 1),
      unchanged: await measure('unchanged', lanes, 0),
    });
    const alone = await of(1);
    const together = await of(mostLanes);
    await Promise.all([ours.end(), theirs.end()]);
    return {
      result: { workload: 'W5', alone, together },
      figures: [
        shown('W5 fresh rows over drizzle, one page at a time', alone.fresh),
        shown('W5 changed rows over drizzle, one page at a time', alone.changed),
        shown('W5 unchanged rows over drizzle, one page at a time', alone.unchanged),
        atLeast('W5 fresh rows over drizzle, four pages at once', together.fresh, 2.2),
        shown('W5 changed rows over drizzle, four pages at once', together.changed),
        atLeast('W5 unchanged rows over drizzle, four pages at once', together.unchanged, 5),
      ],
    };
  } finally {
    await system.stop();
  }
};
