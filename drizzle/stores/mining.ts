import type { UpdateOutcome } from '../../src/domain/mining.js';
import { defaultMainAccount } from '../../src/domain/accounts.js';
import { furtherHistory } from '../../src/domain/mining.js';
import type { History } from '../../src/domain/mining.js';
import type { MinedPage } from '../../src/domain/minedPage.js';
import type { MiningStore, PageStart, Update } from '../../src/domain/ports.js';
import { cleaned } from '../jsonText.js';
import { sealedOf } from '../rows.js';
import type { Instant, Sql, Tx } from '../rows.js';
import { applyAccounts } from './applyAccounts.js';
import { applyTransactions } from './applyTransactions.js';
import { entriesOf, hasStaleMarker } from './pageEntries.js';
import { reconcile } from './reconcile.js';
import { markRemoved, tellRemoved } from './recordTexts.js';

/** Enough to sort and hash the ids of an update of some 100,000 rows in memory. */
const applyWorkMem = '64MB';

interface LockedItem {
  user_id: string;
  institution_id: string | null;
  main_account_id: string | null;
  cursor: string;
  history: History;
  last_update_id: string | null;
  last_update_outcome: UpdateOutcome | null;
  last_sequence: number;
  closed: boolean;
}

/** Keeps rows that cannot be transactions, and tells of them. */
async function park(sql: Sql | Tx, itemId: string, updateId: string, page: MinedPage): Promise<void> {
  for (const row of page.parked) {
    const text = JSON.stringify(cleaned(row.raw).value);
    const key = cleaned(row.transactionId).value;
    await sql`
      WITH parked AS (
        INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason)
        VALUES (${itemId}, ${key}, ${updateId}, ${text}, ${row.reason})
        ON CONFLICT (item_id, transaction_id) DO UPDATE SET
          row = excluded.row, reason = excluded.reason, update_id = excluded.update_id
      )
      INSERT INTO alerts (kind, key, item_id, detail)
      VALUES ('row_parked', ${`${itemId}/${key}`}, ${itemId},
        jsonb_build_object('reason', ${row.reason}::text, 'transaction_id', ${key}::text))
      ON CONFLICT DO NOTHING`;
  }
}

export function miningStore(sql: Sql): MiningStore {
  async function lock(tx: Tx, itemId: string): Promise<LockedItem | null> {
    const [item] = await tx<LockedItem[]>`
      SELECT user_id, institution_id, main_account_id, cursor, history, last_update_id, last_update_outcome,
        last_sequence, removed_at IS NOT NULL OR removal_requested_at IS NOT NULL AS closed
      FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`;
    return item ?? null;
  }

  /** Whether pages 0 to `pageNumber` - 1 are staged, no other is, and each asks for what the one before told. */
  async function chainHolds(tx: Tx, update: Update, durableCursor: string): Promise<boolean> {
    const staged = await tx<{ page: number; cursor: string; next_cursor: string }[]>`
      SELECT page, cursor, next_cursor FROM staged_pages
      WHERE item_id = ${update.itemId} AND update_id = ${update.updateId} ORDER BY page`;
    if (staged.length !== update.pageNumber) return false;
    let expected = durableCursor;
    for (const [index, page] of staged.entries()) {
      if (page.page !== index || page.cursor !== expected) return false;
      expected = page.next_cursor;
    }
    return update.page.cursor === expected;
  }

  async function settle(
    tx: Tx,
    update: Update,
    item: LockedItem,
    outcome: UpdateOutcome,
    numbers: { accounts: number; transactions: number },
  ): Promise<void> {
    const { itemId } = update;
    const last = item.last_sequence + numbers.accounts + numbers.transactions;
    const dueAt = outcome.history === 'complete' ? update.dueAt.complete : update.dueAt.incomplete;
    await tx`
      UPDATE items SET
        cursor = ${update.page.nextCursor}, history = ${outcome.history}, last_update_id = ${update.updateId},
        last_update_outcome = ${JSON.stringify(outcome)}::text::jsonb, last_update_at = clock_timestamp(),
        update_started_at = NULL,
        -- Found broken while the update ran: it is looked at when that asks for it, not when the update would.
        next_due_at = CASE WHEN error_code IS NULL THEN ${dueAt}::text::timestamptz
          ELSE least(next_due_at, ${dueAt}::text::timestamptz) END,
        last_sequence = ${last},
        main_account_id = ${item.main_account_id},
        last_account_sequence = CASE WHEN ${numbers.accounts} > 0
          THEN ${item.last_sequence + numbers.accounts} ELSE last_account_sequence END,
        last_transaction_sequence = CASE WHEN ${numbers.transactions} > 0
          THEN ${last} ELSE last_transaction_sequence END,
        unsent_since = CASE WHEN ${outcome.changes} > 0
          THEN coalesce(unsent_since, clock_timestamp()) ELSE unsent_since END,
        remine_requested_at = CASE WHEN ${update.remine ?? false} THEN NULL ELSE remine_requested_at END
      WHERE item_id = ${itemId}`;
    await tx`
      UPDATE webhooks w SET outcome = 'done', settled_at = clock_timestamp()
      WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.received_at <= ${update.horizon}::text::timestamptz
        AND (w.kind IN ('update', 'history') OR (w.kind = 'removals' AND NOT EXISTS (
          SELECT FROM transactions t
          WHERE t.item_id = ${itemId} AND t.transaction_id = ANY(w.removed_ids) AND t.status <> 'removed')))`;
    await tx`DELETE FROM staged_pages WHERE item_id = ${itemId}`;
  }

  return {
    async beginPage(itemId, updateId, page, { remine } = { remine: false }): Promise<PageStart> {
      const [row] = await sql<
        {
          user_id: string;
          institution_id: string | null;
          cursor: string;
          ended: UpdateOutcome | null;
          closed: boolean;
          key_id: string | null;
          data_key: Uint8Array | null;
          ciphertext: Uint8Array | null;
          now: Instant;
          staged_rows: number | null;
          before_cursor: string | null;
          before_horizon: Instant | null;
        }[]
      >`
        SELECT i.user_id, i.institution_id, i.cursor,
          CASE WHEN i.last_update_id = ${updateId} THEN i.last_update_outcome END AS ended,
          i.removed_at IS NOT NULL OR i.removal_requested_at IS NOT NULL OR i.admitted_at IS NULL AS closed,
          i.access_token_key_id AS key_id, i.access_token_data_key AS data_key,
          i.access_token_ciphertext AS ciphertext, clock_timestamp()::text AS now,
          this.row_count AS staged_rows, before.next_cursor AS before_cursor, before.horizon::text AS before_horizon
        FROM items i
        LEFT JOIN staged_pages this
          ON this.item_id = i.item_id AND this.update_id = ${updateId} AND this.page = ${page}
        LEFT JOIN staged_pages before
          ON before.item_id = i.item_id AND before.update_id = ${updateId} AND before.page = ${page - 1}
        WHERE i.item_id = ${itemId}`;
      if (row === undefined) return { kind: 'gone' };
      if (row.ended !== null) return { kind: 'ended', outcome: row.ended };
      const accessToken = sealedOf(row.key_id, row.data_key, row.ciphertext);
      if (row.closed || accessToken === null) return { kind: 'gone' };
      if (row.staged_rows !== null) return { kind: 'staged', rows: row.staged_rows };
      if (page > 0 && row.before_cursor === null) return { kind: 'missing' };
      return {
        kind: 'fetch',
        cursor: row.before_cursor ?? (remine ? '' : row.cursor),
        horizon: row.before_horizon ?? row.now,
        credentials: { itemId, userId: row.user_id, institutionId: row.institution_id, accessToken },
      };
    },

    async stagePage(itemId, updateId, page, horizon, mined) {
      // A late attempt of an update that has ended must not make the Item look busy again.
      const [owner] = await sql<{ user_id: string; institution_id: string | null; is_new: boolean }[]>`
        UPDATE items SET update_started_at = CASE WHEN last_update_id = ${updateId} OR removed_at IS NOT NULL
          THEN update_started_at ELSE coalesce(update_started_at, clock_timestamp()) END
        WHERE item_id = ${itemId} RETURNING user_id, institution_id, cursor = '' AS is_new`;
      const { text, raws, refineds, count } = await entriesOf(
        sql,
        mined,
        {
          item_id: itemId,
          user_id: owner?.user_id ?? '',
          institution_id: owner?.institution_id ?? null,
        },
        { isNew: owner?.is_new ?? true, alone: false },
      );
      await park(sql, itemId, updateId, mined);
      await sql`
        INSERT INTO staged_pages (item_id, update_id, page, cursor, next_cursor, horizon, row_count, rows, raws, refineds)
        SELECT item_id, ${updateId}, ${page}, ${mined.cursor}, ${mined.nextCursor}, ${horizon}::text::timestamptz,
          ${count}, ${text}::text::jsonb, ${raws}, ${refineds}
        -- Under the row's lock: what a late attempt stages after the removal would stay for ever.
        FROM items WHERE item_id = ${itemId} AND removed_at IS NULL FOR SHARE
        ON CONFLICT DO NOTHING`;
      const [stored] = await sql<{ rows: number }[]>`
        SELECT row_count AS rows FROM staged_pages
        WHERE item_id = ${itemId} AND update_id = ${updateId} AND page = ${page}`;
      // Gone again only when the update was discarded meanwhile; the next page will find it missing.
      return { rows: stored?.rows ?? count };
    },

    async apply(update) {
      const { itemId } = update;
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null) return { kind: 'gone' as const };
        if (item.last_update_id === update.updateId && item.last_update_outcome !== null) {
          return { kind: 'applied' as const, outcome: item.last_update_outcome };
        }
        if (item.closed) return { kind: 'gone' as const };
        if (!(await chainHolds(tx, update, update.remine ? '' : item.cursor)))
          return { kind: 'moved' as const };
        if (update.pageNumber > 0 && (await hasStaleMarker(tx, itemId, update.updateId))) {
          return { kind: 'moved' as const };
        }
        // No statistics tell how many entries the pages hold; joined by nested loops they would be read again and again.
        await tx`SELECT set_config('work_mem', ${applyWorkMem}, true), set_config('enable_nestloop', 'off', true)`;
        const owner = { item_id: itemId, user_id: item.user_id, institution_id: item.institution_id };
        // At linking there may have been no accounts yet to choose from.
        const mainAccountId = item.main_account_id ?? defaultMainAccount(update.accounts);
        const accounts = await applyAccounts(tx, {
          owner,
          mainAccountId,
          open: update.accounts,
          asOf: update.accountsAsOf,
          sequence: item.last_sequence,
        });
        await park(tx, itemId, update.updateId, update.page);
        const lastPage = await entriesOf(tx, update.page, owner, {
          isNew: item.cursor === '',
          // A remine also asks which rows were listed.
          alone: update.pageNumber === 0 && update.remine !== true,
        });
        const pages = {
          itemId,
          updateId: update.updateId,
          pageNumber: update.pageNumber,
          lastPage,
        };
        const rows = await applyTransactions(tx, { ...pages, sequence: item.last_sequence + accounts });
        let transactions = rows.added + rows.modified + rows.removed;
        // An answer that Plaid has not finished fetching lists less than there is.
        if (update.remine && update.history === 'complete') {
          const sequence = item.last_sequence + accounts + transactions;
          const missing = await reconcile(tx, { ...pages, sequence });
          rows.removed += missing;
          transactions += missing;
        }
        const outcome: UpdateOutcome = {
          ...rows,
          accounts,
          changes: accounts + transactions,
          pages: update.pageNumber + 1,
          history: furtherHistory(item.history, update.history),
        };
        await settle(tx, update, { ...item, main_account_id: mainAccountId }, outcome, {
          accounts,
          transactions,
        });
        return { kind: 'applied' as const, outcome };
      });
    },

    async discard(itemId, updateId) {
      await sql`
        WITH dropped AS (DELETE FROM staged_pages WHERE item_id = ${itemId} AND update_id = ${updateId})
        UPDATE items SET update_started_at = NULL WHERE item_id = ${itemId}`;
    },

    async waiting(itemId) {
      const [row] = await sql<{ webhooks: number; removals: number; broken: boolean | null }[]>`
        SELECT count(*) FILTER (WHERE kind IN ('update', 'history'))::int AS webhooks,
          count(*) FILTER (WHERE kind = 'removals')::int AS removals,
          (SELECT error_code IS NOT NULL FROM items WHERE item_id = ${itemId}) AS broken
        FROM webhooks WHERE item_id = ${itemId} AND outcome = 'pending'`;
      return { webhooks: row?.webhooks ?? 0, removals: row?.removals ?? 0, broken: row?.broken ?? false };
    },

    async namedRemovals(itemId, limit) {
      return sql<{ transactionId: string; accountId: string; date: string }[]>`
        SELECT t.transaction_id AS "transactionId", t.account_id AS "accountId", t.date::text AS date
        FROM transactions t
        WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.transaction_id IN (
          SELECT unnest(w.removed_ids) FROM webhooks w
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals')
        ORDER BY t.date, t.transaction_id LIMIT ${limit}`;
    },

    async settleRemovals(itemId, checked, remove) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null || item.closed) return 0;
        const [marked] = await tx<[{ n: number }]>`
          WITH ${markRemoved(tx, itemId, tx`WHERE t.transaction_id = ANY(${remove}::text[])`)},
          ${tellRemoved(tx, itemId, item.last_sequence)}
          SELECT count(*)::int AS n FROM marked`;
        if (marked.n > 0) {
          const last = item.last_sequence + marked.n;
          await tx`
            UPDATE items SET last_sequence = ${last}, last_transaction_sequence = ${last},
              unsent_since = coalesce(unsent_since, clock_timestamp())
            WHERE item_id = ${itemId}`;
        }
        await tx`
          UPDATE webhooks w SET outcome = 'done', settled_at = clock_timestamp()
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals' AND NOT EXISTS (
            SELECT FROM transactions t
            WHERE t.item_id = ${itemId} AND t.transaction_id = ANY(w.removed_ids) AND t.status <> 'removed'
              AND t.transaction_id <> ALL(${checked}::text[]))`;
        // More ids than one look-up takes: those that were looked up must not be the first again.
        await tx`
          UPDATE webhooks w SET removed_ids = ARRAY(SELECT unnest(w.removed_ids) EXCEPT SELECT unnest(${checked}::text[]))
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals'
            AND w.removed_ids && ${checked}::text[]`;
        return marked.n;
      });
    },
  };
}
