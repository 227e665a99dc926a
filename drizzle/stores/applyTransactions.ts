import type { PlaidRemovedTransaction } from '../../src/domain/plaid.js';
import type { MinedPage } from '../../src/domain/minedPage.js';
import type { RecordOwner, RefinedTransaction } from '../../src/domain/refine.js';
import { cleaned, maySpoil } from '../jsonText.js';
import type { Sql, Tx } from '../rows.js';

/** One transaction of a page as the statement below takes it. */
interface Entry {
  id: string;
  account_id: string | null;
  removed: boolean;
  status: string;
  date: string | null;
  amount: string | null;
  currency: string | null;
  raw: unknown;
  refined: unknown;
  sanitized: boolean;
}

/** What is told of a transaction that was removed before we ever saw it. */
function tombstone(
  row: PlaidRemovedTransaction,
  owner: RecordOwner,
): Omit<RefinedTransaction, 'account_id' | 'amount' | 'direction' | 'date'> & {
  account_id: string | null;
  amount: null;
  direction: null;
  date: null;
} {
  return {
    id: row.transaction_id,
    ...owner,
    account_id: row.account_id ?? null,
    status: 'removed',
    direction: null,
    amount: null,
    currency: null,
    date: null,
    authorized_date: null,
    datetime: null,
    authorized_datetime: null,
    description: null,
    merchant: { name: null, id: null, logo_url: null, website: null },
    category: null,
    channel: null,
    check_number: null,
    location: null,
    replaces: null,
  };
}

/** The rows of a page as the JSON text that goes to PostgreSQL, and how many there are. */
export function entriesOf(page: MinedPage, owner: RecordOwner): { text: string; count: number } {
  const entries: Entry[] = page.transactions.map(({ raw, refined }) => ({
    id: raw.transaction_id,
    account_id: raw.account_id,
    removed: false,
    status: refined.status,
    date: raw.date,
    amount: raw.amount < 0 ? `-${refined.amount}` : refined.amount,
    currency: refined.currency,
    raw,
    refined,
    sanitized: false,
  }));
  for (const row of page.removed) {
    entries.push({
      id: row.transaction_id,
      account_id: row.account_id ?? null,
      removed: true,
      status: 'removed',
      date: null,
      amount: null,
      currency: null,
      raw: null,
      refined: tombstone(row, owner),
      sanitized: false,
    });
  }
  const text = JSON.stringify(entries);
  if (!maySpoil(text)) return { text, count: entries.length };
  const clean = entries.map((entry) => {
    const { value, sanitized } = cleaned(entry);
    return { ...value, sanitized };
  });
  return { text: JSON.stringify(clean), count: entries.length };
}

export interface AppliedTransactions {
  added: number;
  modified: number;
  removed: number;
}

/** The entries of one page's JSON text (see `entriesOf`), in their order. */
export const pageEntries = (sql: Sql | Tx, page: number, text: string) => sql`
    SELECT ${page}::int AS page, e.ord, e.value AS entry
    FROM jsonb_array_elements(${text}::text::jsonb) WITH ORDINALITY AS e(value, ord)`;

/** Upserts the live entries of a CTE named `folded` (page, ord, entry); rows that do not differ are not touched. */
export const upsertFolded = (sql: Sql | Tx, itemId: string) => sql`
    INSERT INTO transactions AS t
      (item_id, transaction_id, account_id, status, date, amount, currency, raw, refined, version, sanitized)
    SELECT ${itemId}, entry ->> 'id', entry ->> 'account_id', entry ->> 'status', (entry ->> 'date')::date,
      (entry ->> 'amount')::numeric, entry ->> 'currency', entry -> 'raw', entry -> 'refined', 1,
      (entry ->> 'sanitized')::boolean
    FROM folded WHERE NOT (entry ->> 'removed')::boolean
    ON CONFLICT (item_id, transaction_id) DO UPDATE SET
      account_id = excluded.account_id, status = excluded.status, date = excluded.date, amount = excluded.amount,
      currency = excluded.currency, raw = excluded.raw, refined = excluded.refined, sanitized = excluded.sanitized,
      version = t.version + 1, updated_at = clock_timestamp()
    WHERE t.status IS DISTINCT FROM excluded.status OR t.raw IS DISTINCT FROM excluded.raw
    RETURNING t.transaction_id AS id, t.account_id, t.version, false AS removed, t.raw, t.refined`;

/**
 * Writes all pages of an update in one statement: staged ones from their table, the last one from `lastPage` (JSON text, see
 * `entriesOf`). A transaction's last page decides; what does not differ is not written; every change gets the next number
 * after `sequence` and its outbox row. The caller holds the item row's lock.
 */
export async function applyTransactions(
  tx: Tx,
  update: { itemId: string; updateId: string; pageNumber: number; lastPage: string; sequence: number },
): Promise<AppliedTransactions> {
  const { itemId, updateId, pageNumber, lastPage, sequence } = update;
  const last = pageEntries(tx, pageNumber, lastPage);
  // Within a page a transaction stands once (see minedPage), so a single page needs no fold.
  const folded =
    pageNumber === 0
      ? tx`folded AS MATERIALIZED (${last})`
      : tx`
        entries AS MATERIALIZED (
          SELECT s.page, e.ord, e.value AS entry
          FROM staged_pages s, jsonb_array_elements(s.rows) WITH ORDINALITY AS e(value, ord)
          WHERE s.item_id = ${itemId} AND s.update_id = ${updateId}
          UNION ALL ${last}
        ),
        newest AS (
          SELECT DISTINCT ON (entry ->> 'id') page, ord FROM entries ORDER BY entry ->> 'id', page DESC
        ),
        folded AS MATERIALIZED (SELECT e.* FROM entries e JOIN newest USING (page, ord))`;
  const [counts] = await tx<[AppliedTransactions]>`
    WITH ${folded},
    upserted AS (${upsertFolded(tx, itemId)}),
    marked AS (
      UPDATE transactions t SET
        status = 'removed', refined = t.refined || '{"status": "removed"}', version = t.version + 1,
        updated_at = clock_timestamp()
      -- As an array: a join with folded, whose size nobody can guess, was done by comparing all rows with all entries.
      WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.transaction_id = ANY(ARRAY(
        SELECT entry ->> 'id' FROM folded WHERE (entry ->> 'removed')::boolean))
      RETURNING t.transaction_id AS id, t.account_id, t.version, true AS removed, NULL::jsonb AS raw, t.refined
    ),
    tombstones AS (
      INSERT INTO transactions AS t
        (item_id, transaction_id, account_id, status, date, raw, refined, version, sanitized)
      SELECT ${itemId}, entry ->> 'id', entry ->> 'account_id', 'removed', '-infinity', NULL, entry -> 'refined', 1, false
      FROM folded WHERE (entry ->> 'removed')::boolean
      ON CONFLICT (item_id, transaction_id) DO NOTHING
      RETURNING t.transaction_id AS id, t.account_id, t.version, true AS removed, NULL::jsonb AS raw, t.refined
    ),
    changed AS (
      SELECT * FROM upserted UNION ALL SELECT * FROM marked UNION ALL SELECT * FROM tombstones
    ),
    written AS (
      INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
      SELECT ${itemId}, ${sequence}::bigint + row_number() OVER (ORDER BY f.page, f.ord), 'transaction', c.removed, c.id,
        c.version,
        CASE WHEN c.removed THEN jsonb_build_object('transaction_id', c.id, 'account_id', c.account_id) ELSE c.raw END,
        c.refined || jsonb_build_object('version', c.version), clock_timestamp()
      FROM changed c JOIN folded f ON f.entry ->> 'id' = c.id
    )
    SELECT
      count(*) FILTER (WHERE NOT removed AND version = 1)::int AS added,
      count(*) FILTER (WHERE NOT removed AND version > 1)::int AS modified,
      count(*) FILTER (WHERE removed)::int AS removed
    FROM changed`;
  return counts;
}
