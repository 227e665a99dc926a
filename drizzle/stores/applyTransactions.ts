import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import type { PageEntries } from './pageEntries.js';
import { setRemoved, removedRaw, versioned } from './recordTexts.js';

export interface AppliedTransactions {
  added: number;
  modified: number;
  removed: number;
}

interface AppliedRows {
  counts: AppliedTransactions;
  /**
   * How many live that did not before: those that were added, and those that were removed once. None of closed accounts, of which no
   * reading tells that they are gone, and whose rows may be their successors'.
   */
  come: number;
}

export interface Pages {
  itemId: string;
  updateId: string;
  /** Of the last page, from 0; the pages before it are staged. */
  pageNumber: number;
  /** See `entriesOf`. */
  lastPage: Omit<PageEntries, 'count'>;
}

/** Columns of the entries and of their lines, numbered. */
const unpacked = (sql: Sql | Tx, rows: Fragment, raws: Fragment, refineds: Fragment) => sql`
  ROWS FROM (
    jsonb_to_recordset(${rows}) AS (kind text, id text, account_id text, status text, date date, amount numeric,
      currency text, hash text, sanitized boolean),
    string_to_table(${raws}, E'\\n'), string_to_table(${refineds}, E'\\n')
  ) WITH ORDINALITY
    AS e(kind, id, account_id, status, date, amount, currency, hash, sanitized, raw, refined, ord)`;

/**
 * CTEs:
 * `entries` (page and the columns of `unpacked`) has every entry of an update.
 * `newest` (id, kind, page, ord) has the one that decides for each transaction: that of its last page.
 * `chosen` has the deciding ones with all their columns.
 */
export const pagesOf = (sql: Sql | Tx, pages: Pages) => {
  const { text, raws, refineds } = pages.lastPage;
  const lastPage = unpacked(sql, sql`${text}::text::jsonb`, sql`${raws}::text`, sql`${refineds}::text`);
  return pages.pageNumber === 0 ? onePage(sql, lastPage) : manyPages(sql, pages, lastPage);
};

/** Most updates: a page holds each transaction at most once, so that there is nothing to sort and to join. */
const onePage = (sql: Sql | Tx, lastPage: Fragment) => sql`
    chosen AS (SELECT 0 AS page, e.* FROM ${lastPage}),
    entries AS NOT MATERIALIZED (SELECT * FROM chosen),
    newest AS NOT MATERIALIZED (SELECT id, kind, page, ord FROM chosen)`;

/**
 * `entries` is read anew at each mention: 50,000 entries are 125 MB, and to write them out once and read them thrice took
 * longer than to unpack them thrice. The last page is parsed once.
 */
const manyPages = (sql: Sql | Tx, { itemId, updateId, pageNumber }: Pages, lastPage: Fragment) => sql`
    last_page AS MATERIALIZED (SELECT ${pageNumber}::int AS page, e.* FROM ${lastPage}),
    entries AS NOT MATERIALIZED (
      SELECT s.page, e.* FROM staged_pages s, ${unpacked(sql, sql`s.rows`, sql`s.raws`, sql`s.refineds`)}
      WHERE s.item_id = ${itemId} AND s.update_id = ${updateId}
      UNION ALL
      SELECT * FROM last_page
    ),
    newest AS MATERIALIZED (SELECT DISTINCT ON (id) id, kind, page, ord FROM entries ORDER BY id, page DESC),
    chosen AS NOT MATERIALIZED (SELECT e.* FROM newest JOIN entries e USING (page, ord))`;

/** Most updates of an idle Item: what Plaid sent again is what is stored. */
export const changesNothing = ({ pageNumber, lastPage }: Pages): boolean =>
  pageNumber === 0 && lastPage.changes === 0;

/** Upserts the rows among what `pagesOf` gives; one that does not differ from what is stored is not touched. */
export const upsertRows = (sql: Sql | Tx, itemId: string) => sql`
    INSERT INTO transactions AS t
      (item_id, transaction_id, account_id, status, date, amount, currency, raw, raw_hash, refined, version, sanitized)
    SELECT ${itemId}, n.id, n.account_id, n.status, n.date, n.amount, n.currency, n.raw::json, n.hash, n.refined::json, 1,
      n.sanitized
    FROM chosen n WHERE n.kind = 'row'
    ON CONFLICT (item_id, transaction_id) DO UPDATE SET
      account_id = excluded.account_id, status = excluded.status, date = excluded.date, amount = excluded.amount,
      currency = excluded.currency, raw = excluded.raw, raw_hash = excluded.raw_hash, refined = excluded.refined,
      sanitized = excluded.sanitized, version = t.version + 1, updated_at = clock_timestamp(), missed_by = NULL
    WHERE t.status IS DISTINCT FROM excluded.status OR (t.raw_hash IS DISTINCT FROM excluded.raw_hash
      AND t.raw::jsonb IS DISTINCT FROM excluded.raw::jsonb)
    RETURNING t.transaction_id AS id, t.account_id, t.version, false AS removed, NULL::json AS refined`;

/**
 * Writes all pages of an update in one statement: staged ones from their table, the last one from `lastPage`. What does not
 * differ is not written; every change gets the next number after `sequence` and its outbox row. The caller holds the item
 * row's lock, and has switched nested loops off: no statistics say how many entries the pages hold.
 */
export async function applyTransactions(tx: Tx, update: Pages & { sequence: number }): Promise<AppliedRows> {
  const { itemId, sequence } = update;
  if (changesNothing(update)) return { counts: { added: 0, modified: 0, removed: 0 }, come: 0 };
  const { come, ...counts } = firstOf(
    await tx<[AppliedTransactions & { come: number }]>`
    WITH ${pagesOf(tx, update)},
    upserted AS (${upsertRows(tx, itemId)}),
    -- As an array: a join with entries, whose number nobody can guess, was done by comparing all rows with all of them.
    ${setRemoved(tx, itemId, tx`WHERE t.transaction_id = ANY(ARRAY(SELECT id FROM newest WHERE kind = 'removed'))`)},
    tombstones AS (
      INSERT INTO transactions AS t
        (item_id, transaction_id, account_id, status, date, raw, refined, version, sanitized)
      SELECT ${itemId}, n.id, n.account_id, 'removed', '-infinity', NULL, n.refined::json, 1, false
      FROM chosen n WHERE n.kind = 'removed'
      ON CONFLICT (item_id, transaction_id) DO NOTHING
      RETURNING t.transaction_id AS id, t.account_id, t.version, true AS removed, t.refined
    ),
    changed AS (
      SELECT * FROM upserted
      UNION ALL SELECT id, account_id, version, true, refined FROM marked
      UNION ALL SELECT * FROM tombstones
    ),
    -- Numbered apart from the bodies, which are too large to be sorted.
    numbered AS MATERIALIZED (
      SELECT c.*, n.page, n.ord, ${sequence}::bigint + row_number() OVER (ORDER BY n.page, n.ord) AS sequence
      FROM changed c JOIN newest n ON n.id = c.id
    ),
    written AS (
      INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, moved_from, created_at)
      SELECT ${itemId}, c.sequence, 'transaction', c.removed, c.id, c.version,
        CASE WHEN c.removed THEN ${removedRaw(tx, tx`c.id`, tx`c.account_id`)} ELSE e.raw::json END,
        ${versioned(tx, tx`coalesce(c.refined::text, e.refined)`, tx`c.version`)}::json,
        -- The rows as they were before this statement.
        CASE WHEN c.version > 1 AND NOT c.removed THEN (
          SELECT b.account_id FROM transactions b WHERE b.item_id = ${itemId} AND b.transaction_id = c.id
            AND b.status <> 'removed' AND b.account_id <> c.account_id) END,
        clock_timestamp()
      FROM numbered c JOIN entries e USING (page, ord)
    )
    SELECT
      count(*) FILTER (WHERE NOT removed AND version = 1)::int AS added,
      count(*) FILTER (WHERE NOT removed AND version > 1)::int AS modified,
      count(*) FILTER (WHERE removed)::int AS removed,
      count(*) FILTER (WHERE NOT removed AND (version = 1 OR (
        -- The rows as they were before this statement.
        SELECT b.status FROM transactions b
        WHERE b.item_id = ${itemId} AND b.transaction_id = changed.id) = 'removed')
        AND account_id <> ALL(ARRAY(SELECT a.account_id FROM accounts a
          WHERE a.item_id = ${itemId} AND a.status = 'closed')))::int AS come
    FROM changed`,
  );
  return { counts, come };
}
