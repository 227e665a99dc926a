import type { FailureType } from '../../domain/failures.js';
import type { UpdateOutcome } from '../../domain/mining/run.js';
import { defaultMainAccount } from '../../domain/mining/accounts.js';
import { furtherHistory } from '../../domain/mining/run.js';
import { historyEvents, updatedEvents } from '../../domain/exchange/itemEvents.js';
import { storable } from '../../domain/mining/oddValues.js';
import type { ParkedRecord } from '../../domain/mining/parked.js';
import type { Seen } from '../../domain/ports/items.js';
import type { MiningStore, PageStart, Update } from '../../domain/ports/mining.js';
import { closesAccounts } from '../../domain/plaidErrors.js';
import { codeOfNewAccounts } from '../../domain/webhooks/itemFacts.js';
import { jsonbText } from '../jsonText.js';
import { earlier, firstOf, iso, sealedOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { items, stagedPages, transactions as transactionTable } from '../schema.js';
import { asText, isSet, selection } from '../selection.js';
import type { Present, Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { applyAccounts } from './applyAccounts.js';
import type { AppliedAccounts } from './applyAccounts.js';
import { applyTransactions } from './applyTransactions.js';
import { enqueueShown } from './enqueueShown.js';
import { entriesOf, hasStaleEntry } from './pageEntries.js';
import { numbersAreDue, oldNumbersAreDue } from './numbersDue.js';
import { reconcile } from './reconcile.js';
import { remineIsAsked } from './remineIsAsked.js';
import { setRemoved, enqueueRemoved } from './recordTexts.js';
import { sameRemine, sameRows, seenOf } from './seen.js';
import { removeSucceeded } from './succession.js';
import { heardSince } from './heardSince.js';
import { writeEvents } from './writeEvents.js';

/** An answer that lists none of so many lists none. */
const enoughBeside = 100;

/** Enough to sort and hash the ids of an update of some 100,000 rows in memory. */
const applyWorkMem = '64MB';

const mined = selection(
  items,
  [
    'user_id',
    'institution_id',
    'main_account_id',
    'cursor',
    'history',
    'last_update_id',
    'last_update_outcome',
    'last_sequence',
    'error_code',
    'error_since',
  ],
  { withoutTransactions: isSet('transactions_unavailable_since') },
);
const fetching = selection(
  items,
  [
    'user_id',
    'institution_id',
    'cursor',
    'admitted_at',
    'last_update_at',
    'next_due_at',
    'remine_requested_at',
    'consent_expires_at',
    'disconnects_at',
  ],
  { ...accessToken, withoutTransactions: isSet('transactions_unavailable_since') },
);
const link = selection(stagedPages, ['page', 'cursor', 'next_cursor']);
const thisPage = selection(stagedPages, [], { staged_rows: 'row_count' });
const pageBefore = selection(stagedPages, [], { before_cursor: 'next_cursor', before_began: 'began' });
const named = selection(transactionTable, [], {
  transactionId: 'transaction_id',
  accountId: 'account_id',
  date: asText('date'),
});

interface LockedItem extends Selected<typeof mined> {
  seen: Seen;
  closed: boolean;
}

/** Of a row that a LEFT JOIN may not find. */
type Perhaps<Row> = { [Key in keyof Row]: Row[Key] | null };

/** Whether an update that began so may still go on, under the Item's lock. */
function standing(
  now: Seen,
  { began, remine }: { began: Seen; remine: boolean },
): 'stands' | 'moved' | 'gone' {
  if (remine && !sameRemine(now, began)) return 'gone';
  return sameRows(now, began) ? 'stands' : 'moved';
}

/**
 * Whether Plaid has said since `asOf` (ISO 8601) that the Item has no accounts: those that it listed then are closed by now. An episode that
 * had begun before says nothing of when, nor does one that has ended since; the accounts do.
 */
async function haveGone(
  tx: Tx,
  itemId: string,
  { seen, error_code, error_since }: LockedItem,
  { began, accountsAsOf: asOf }: Update,
): Promise<boolean> {
  // Nobody has answered since.
  if (seen.health === began.health) return false;
  if (
    error_code !== null &&
    closesAccounts(error_code) &&
    error_since !== null &&
    error_since > new Date(asOf)
  )
    return true;
  const closed = await tx`
    SELECT FROM accounts
    WHERE item_id = ${itemId} AND status = 'closed' AND updated_at > ${asOf}::text::timestamptz LIMIT 1`;
  return closed.length > 0;
}

/** Keeps what can be neither a transaction nor an account, and raises an alert for each. */
async function park(
  sql: Sql | Tx,
  itemId: string,
  updateId: string,
  records: readonly ParkedRecord[],
): Promise<void> {
  for (const row of records) {
    const text = jsonbText(row.raw);
    const key = storable(row.key);
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

/**
 * Why a reading from the start cannot be compared with what is stored; null = it can. An answer that Plaid has not finished fetching
 * lists less than there is; a status that is not known says nothing of that, and may stay so for good.
 */
function unreadFor(update: Update, item: LockedItem): FailureType | null {
  // An Item that never had a cursor has no rows that could be wrong.
  if (update.transactionsUnavailable === true) return item.cursor === '' ? null : 'PRODUCT_UNAVAILABLE';
  return update.history === null || update.history === 'complete' ? null : 'NOT_READY';
}

/** What a status that nobody knows says: where there are rows, that some of the history was read. */
async function historyByRows(
  tx: Tx,
  { itemId, transactionsUnavailable }: Update,
  { history }: LockedItem,
): Promise<'initial' | null> {
  if (history !== 'none' || transactionsUnavailable === true) return null;
  const rows = await tx`
    SELECT FROM transactions WHERE item_id = ${itemId} AND status <> 'removed' LIMIT 1`;
  return rows.length > 0 ? 'initial' : null;
}

/** Whether a reading from the start leaves the Item at the cursor that it has. */
const keepsCursor = (update: Update, item: LockedItem): boolean =>
  update.keepsCursor === true && item.cursor !== '';

/** What an applied update makes of the wish for a remine. */
function remineAfter(
  tx: Tx,
  update: Update,
  { missed, unread }: UpdateOutcome,
  { returned }: AppliedAccounts,
): Fragment {
  const isAnswered = update.remine === true && missed === undefined && unread === undefined;
  if (isAnswered) return tx`remine_requested_at = NULL`;
  // Which of its rows Plaid still has nobody knows but Plaid, and the cursor tells of them no more.
  if (returned) return remineIsAsked(tx);
  return tx`remine_requested_at = remine_requested_at`;
}

export function miningStore(sql: Sql): MiningStore {
  async function lock(tx: Tx, itemId: string): Promise<LockedItem | null> {
    const item = firstOf(
      await tx<LockedItem[]>`
      SELECT ${mined.list(tx, 'i')}, ${seenOf(tx)} AS seen,
        i.removed_at IS NOT NULL OR i.removal_requested_at IS NOT NULL OR i.unconnected_since IS NOT NULL AS closed
      FROM items i WHERE i.item_id = ${itemId} FOR NO KEY UPDATE`,
    );
    return item ?? null;
  }

  /**
   * Whether pages 0 to `pageNumber` - 1 are staged, no other is, and each asks for what follows the one before. From then on nobody drops
   * one before the transaction ends: what reads them later would find fewer, and the cursor would go on without their rows.
   */
  async function chainHolds(tx: Tx, update: Update, durableCursor: string): Promise<boolean> {
    const staged = await tx<Selected<typeof link>[]>`
      SELECT ${link.list(tx)} FROM staged_pages
      WHERE item_id = ${update.itemId} AND update_id = ${update.updateId} ORDER BY page FOR UPDATE`;
    if (staged.length !== update.pageNumber) return false;
    let expected = durableCursor;
    for (const [index, page] of staged.entries()) {
      if (page.page !== index || page.cursor !== expected) return false;
      expected = page.next_cursor;
    }
    return update.page.cursor === expected;
  }

  async function recordOutcome(
    tx: Tx,
    update: Update,
    item: LockedItem,
    outcome: UpdateOutcome,
    accounts: AppliedAccounts,
    transactions: number,
  ): Promise<void> {
    const { itemId } = update;
    const last = item.last_sequence + accounts.changes + transactions;
    const isUnavailable = update.transactionsUnavailable ?? false;
    const keeps = keepsCursor(update, item);
    const goesOn = !isUnavailable && update.page.nextCursor !== '' && !keeps;
    // An Item that never had transactions hardly gets some; one that had is asked again sooner.
    const isWhole = outcome.history === 'complete' && update.accountsRefused !== true;
    const waits = isUnavailable ? item.cursor === '' : isWhole;
    const dueAt = waits ? update.dueAt.complete : update.dueAt.incomplete;
    await tx`
      WITH answered AS (
        UPDATE webhooks w SET outcome = 'done', settled_at = clock_timestamp()
        WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.received_at <= ${update.began.at}::text::timestamptz
          -- What has come since the cursor only an update from there says for certain.
          AND (w.kind IN ('update', 'history') AND NOT ${keeps}::boolean OR (w.kind = 'removals' AND NOT EXISTS (
            SELECT FROM transactions t
            WHERE t.item_id = ${itemId} AND t.transaction_id = ANY(w.removed_ids) AND t.status <> 'removed')))
      ), dropped AS (DELETE FROM staged_pages WHERE item_id = ${itemId})
      UPDATE items SET
        cursor = ${goesOn ? update.page.nextCursor : item.cursor},
        transactions_unavailable_since = CASE WHEN ${isUnavailable}
          THEN coalesce(transactions_unavailable_since, clock_timestamp()) END,
        history = ${outcome.history}, last_update_id = ${update.updateId},
        last_update_outcome = ${JSON.stringify(outcome)}::text::jsonb, last_update_at = clock_timestamp(),
        update_started_at = NULL, last_sequence = ${last},
        -- That Plaid reads on from an Item that is called broken is no proof, and reason enough to ask.
        next_due_at = CASE WHEN error_since IS NULL AND NOT EXISTS (
            -- It was revoked while the update was on its way: only an answer to a later question tells whether it still is.
            SELECT FROM accounts a
            WHERE a.item_id = ${itemId} AND a.status = 'open' AND a.revoked_at > ${update.accountsAsOf}::text::timestamptz)
          THEN ${dueAt}::text::timestamptz ELSE clock_timestamp() END,
        main_account_id = ${accounts.mainAccountId},
        -- The user has shared what Plaid had told of, whether or not the client says so.
        new_accounts_available = new_accounts_available AND (NOT ${accounts.grown}::boolean
          OR ${heardSince(tx, itemId, codeOfNewAccounts, update.accountsAsOf)}),
        ${accounts.numbersDue ? numbersAreDue(tx) : oldNumbersAreDue(tx, update.numbersAge)},
        last_account_sequence = CASE WHEN ${accounts.changes} > 0
          THEN ${item.last_sequence + accounts.changes} ELSE last_account_sequence END,
        last_transaction_sequence = CASE WHEN ${transactions} > 0
          THEN ${last} ELSE last_transaction_sequence END,
        unsent_since = CASE WHEN ${outcome.changes} > 0
          THEN coalesce(unsent_since, clock_timestamp()) ELSE unsent_since END,
        ${remineAfter(tx, update, outcome, accounts)}
      WHERE item_id = ${itemId}`;
  }

  return {
    async beginPage(itemId, updateId, page, { remine } = { remine: false }): Promise<PageStart> {
      const row = firstOf(
        await sql<
          (Selected<typeof fetching> &
            Perhaps<Selected<typeof thisPage> & Selected<typeof pageBefore>> & {
              ended: LockedItem['last_update_outcome'];
              closed: boolean;
              open_accounts: string[];
              seen: Seen;
            })[]
        >`
        SELECT ${fetching.list(sql, 'i')},
          CASE WHEN i.last_update_id = ${updateId} THEN i.last_update_outcome END AS ended,
          i.removed_at IS NOT NULL OR i.removal_requested_at IS NOT NULL OR i.admitted_at IS NULL
            OR i.unconnected_since IS NOT NULL AS closed,
          ARRAY(SELECT a.account_id FROM accounts a WHERE a.item_id = i.item_id AND a.status = 'open') AS open_accounts,
          ${seenOf(sql)} AS seen, ${thisPage.list(sql, 'this')}, ${pageBefore.list(sql, 'before')}
        FROM items i
        LEFT JOIN staged_pages this
          ON this.item_id = i.item_id AND this.update_id = ${updateId} AND this.page = ${page}
        LEFT JOIN staged_pages before
          ON before.item_id = i.item_id AND before.update_id = ${updateId} AND before.page = ${page - 1}
        WHERE i.item_id = ${itemId}`,
      );
      if (row === undefined) return { kind: 'gone' };
      if (row.ended !== null) return { kind: 'ended', outcome: row.ended };
      const token = sealedOf(row.key_id, row.data_key, row.ciphertext);
      if (row.closed || token === null) return { kind: 'gone' };
      if (row.staged_rows !== null) return { kind: 'staged', rows: row.staged_rows };
      const began = page === 0 ? row.seen : row.before_began;
      if (began === null) return { kind: 'missing' };
      const held = standing(row.seen, { began, remine });
      if (held !== 'stands') return { kind: held };
      return {
        kind: 'fetch',
        cursor: row.before_cursor ?? (remine ? '' : row.cursor),
        began,
        openAccounts: row.open_accounts,
        withoutTransactions: row.withoutTransactions,
        waitsSince: iso(
          remine ? row.remine_requested_at : row.last_update_at === null ? row.admitted_at : row.next_due_at,
        ),
        updatedAt: iso(row.last_update_at),
        admittedAt: iso(row.admitted_at),
        endsAt: iso(earlier(row.consent_expires_at, row.disconnects_at)),
        credentials: {
          itemId,
          userId: row.user_id,
          institutionId: row.institution_id,
          accessToken: token,
          seen: row.seen,
        },
      };
    },

    async stagePage(itemId, updateId, page, { began, remine }, mined) {
      return sql.begin(async (tx) => {
        // Under the row's lock: what a late attempt staged after the Item has moved on would stay, and make it seem busy.
        const item = await lock(tx, itemId);
        if (item === null || item.closed) return { kind: 'gone' as const };
        const held = standing(item.seen, { began, remine });
        if (held !== 'stands') return { kind: held };
        const before = await tx`
          SELECT FROM staged_pages WHERE item_id = ${itemId} AND update_id = ${updateId} AND page < ${page}
            AND cursor = ${mined.nextCursor}`;
        if (before.length > 0) return { kind: 'circling' as const };
        const { text, raws, refineds, count } = await entriesOf(
          tx,
          mined,
          { item_id: itemId, user_id: item.user_id, institution_id: item.institution_id },
          { isNew: item.cursor === '', alone: false },
        );
        await park(tx, itemId, updateId, mined.parked);
        const stored = firstOf(
          await tx<[{ rows: Selected<typeof thisPage>['staged_rows'] | null }]>`
          WITH staged AS (
            INSERT INTO staged_pages (item_id, update_id, page, cursor, next_cursor, horizon, began, row_count, rows,
              raws, refineds)
            VALUES (${itemId}, ${updateId}, ${page}, ${mined.cursor}, ${mined.nextCursor},
              ${began.at}::text::timestamptz, ${JSON.stringify(began)}::text::jsonb, ${count}, ${text}::text::jsonb,
              ${raws}, ${refineds})
            ON CONFLICT DO NOTHING
            RETURNING row_count
          ), busy AS (
            UPDATE items SET update_started_at = clock_timestamp()
            WHERE item_id = ${itemId} AND update_started_at IS NULL
          )
          SELECT coalesce((SELECT row_count FROM staged), (SELECT row_count FROM staged_pages
            WHERE item_id = ${itemId} AND update_id = ${updateId} AND page = ${page})) AS rows`,
        );
        // Gone only when the update was discarded meanwhile; the next page will find it missing.
        return { kind: 'staged' as const, rows: stored.rows ?? count };
      });
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
        const { began, remine = false, parkedAccounts = [] } = update;
        const { unreadableAccounts = parkedAccounts.length } = update;
        const held = standing(item.seen, { began, remine });
        if (held !== 'stands') return { kind: held };
        if (await haveGone(tx, itemId, item, update)) return { kind: 'moved' as const };
        if (!(await chainHolds(tx, update, remine ? '' : item.cursor))) return { kind: 'moved' as const };
        if (update.pageNumber > 0 && (await hasStaleEntry(tx, itemId, update.updateId))) {
          return { kind: 'moved' as const };
        }
        // No statistics say how many entries the pages hold: nested loops would read them once for each row.
        await tx`SELECT set_config('work_mem', ${applyWorkMem}, true), set_config('enable_nestloop', 'off', true)`;
        const owner = { item_id: itemId, user_id: item.user_id, institution_id: item.institution_id };
        // At linking there may have been no accounts yet to choose from.
        const applied = await applyAccounts(tx, {
          owner,
          mainAccountId: item.main_account_id ?? defaultMainAccount(update.accounts),
          open: update.accounts,
          asOf: update.accountsAsOf,
          // That there is none Plaid says by an error (NO_ACCOUNTS), which is asked for twice before it is believed.
          unreadable: update.accounts.length === 0 ? Infinity : unreadableAccounts,
          isRefused: update.accountsRefused === true,
          isUnlisted: item.last_update_outcome?.unlisted === true,
          sequence: item.last_sequence,
        });
        const accounts = applied.changes;
        await park(tx, itemId, update.updateId, [...update.page.parked, ...parkedAccounts]);
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
        const { counts: rows, come } = await applyTransactions(tx, {
          ...pages,
          sequence: item.last_sequence + accounts,
        });
        let transactions = rows.added + rows.modified + rows.removed;
        const unread = remine ? unreadFor(update, item) : null;
        let missed = keepsCursor(update, item) ? come : 0;
        if (
          item.seen.remine !== null &&
          remine &&
          unread === null &&
          update.transactionsUnavailable !== true
        ) {
          const sequence = item.last_sequence + accounts + transactions;
          const compared = await reconcile(tx, {
            ...pages,
            sequence,
            remine: item.seen.remine,
            askedAt: began.at,
          });
          rows.removed += compared.removed;
          transactions += compared.removed;
          missed += compared.missed;
        }
        if (applied.succeeded && (remine || accounts + transactions > 0)) {
          const sequence = item.last_sequence + accounts + transactions;
          const succeeded = await removeSucceeded(tx, { ...pages, sequence, isRemine: remine });
          rows.removed += succeeded;
          transactions += succeeded;
        }
        if (applied.shown.length > 0) {
          const range = { after: item.last_sequence, last: item.last_sequence + accounts + transactions };
          const enqueued = await enqueueShown(tx, itemId, applied.shown, range);
          rows.modified += enqueued;
          transactions += enqueued;
        }
        const outcome: UpdateOutcome = {
          ...rows,
          accounts,
          changes: accounts + transactions,
          pages: update.pageNumber + 1,
          history: furtherHistory(item.history, update.history ?? (await historyByRows(tx, update, item))),
          ...(missed === 0 ? {} : { missed }),
          ...(unread === null ? {} : { unread }),
          ...(applied.isUnlisted ? { unlisted: true as const } : {}),
        };
        await recordOutcome(tx, update, item, outcome, applied, transactions);
        // One statement for all of them, and none where nothing has changed.
        await writeEvents(tx, [
          ...updatedEvents(owner, {
            ...rows,
            accounts,
            fromSequence: item.last_sequence + 1,
            toSequence: item.last_sequence + outcome.changes,
          }),
          ...historyEvents(owner, {
            before: item,
            after: {
              history: outcome.history,
              withoutTransactions: update.transactionsUnavailable ?? false,
              last_update_outcome: outcome,
            },
          }),
        ]);
        return { kind: 'applied' as const, outcome };
      });
    },

    async discard(itemId, updateId) {
      await sql`
        WITH dropped AS (DELETE FROM staged_pages WHERE item_id = ${itemId} AND update_id = ${updateId})
        UPDATE items SET update_started_at = NULL
        WHERE item_id = ${itemId} AND update_started_at IS NOT NULL
          -- A late attempt drops its own; another update may be on its way.
          AND NOT EXISTS (SELECT FROM staged_pages WHERE item_id = ${itemId} AND update_id <> ${updateId})`;
    },

    async waiting(itemId) {
      const row = firstOf(
        await sql<
          {
            webhooks: number;
            removals: number;
            broken: boolean | null;
            next_due_at: Date | null;
            numbers_due: boolean;
            unsent: boolean | null;
            transactions_unavailable: boolean;
            remine: number | null;
          }[]
        >`
        SELECT count(*) FILTER (WHERE w.kind IN ('update', 'history'))::int AS webhooks,
          count(*) FILTER (WHERE w.kind = 'removals')::int AS removals,
          i.error_code IS NOT NULL AS broken, i.next_due_at,
          coalesce(i.numbers_due_at <= clock_timestamp(), false) AS numbers_due, i.unsent_since IS NOT NULL AS unsent,
          i.transactions_unavailable_since IS NOT NULL AS transactions_unavailable,
          CASE WHEN i.remine_requested_at IS NOT NULL THEN i.remines END AS remine
        FROM items i LEFT JOIN webhooks w ON w.item_id = i.item_id AND w.outcome = 'pending'
        WHERE i.item_id = ${itemId} GROUP BY i.item_id`,
      );
      return {
        webhooks: row?.webhooks ?? 0,
        removals: row?.removals ?? 0,
        broken: row?.broken ?? false,
        nextDueAt: row?.next_due_at?.getTime() ?? null,
        numbersDue: row?.numbers_due ?? false,
        unsent: row?.unsent ?? false,
        transactionsUnavailable: row?.transactions_unavailable ?? false,
        remine: row?.remine ?? null,
      };
    },

    async namedRemovals(itemId, limit, from = 0) {
      return sql<Present<Selected<typeof named>>[]>`
        SELECT ${named.list(sql, 't')} FROM transactions t
        WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.transaction_id IN (
          SELECT unnest(w.removed_ids) FROM webhooks w
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals')
        ORDER BY (row_number() OVER (ORDER BY t.date, t.transaction_id) - 1 + count(*) OVER ()
          - floor(${from}::float8 * count(*) OVER ())::bigint) % count(*) OVER ()
        LIMIT ${limit}`;
    },

    async livingBeside(itemId, { from, to }) {
      const rows = await sql<{ id: string }[]>`
        SELECT t.transaction_id AS id FROM transactions t
          JOIN accounts a ON a.item_id = t.item_id AND a.account_id = t.account_id AND a.status = 'open'
        WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.date BETWEEN ${from}::date AND ${to}::date
          AND NOT EXISTS (SELECT FROM webhooks w WHERE w.item_id = t.item_id AND w.outcome = 'pending'
            AND w.kind = 'removals' AND t.transaction_id = ANY(w.removed_ids))
        ORDER BY t.date DESC, t.transaction_id LIMIT ${enoughBeside}`;
      return rows.map(({ id }) => id);
    },

    async applyRemovals(itemId, seen, checked, remove) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null || item.closed) return 0;
        if (!sameRows(item.seen, seen)) return 'moved' as const;
        // What came after the question may name a row that was still listed in the answer.
        const answered = tx`w.received_at <= ${seen.at}::text::timestamptz`;
        const removed = firstOf(
          await tx<[{ n: number }]>`
          WITH ${setRemoved(tx, itemId, tx`WHERE t.transaction_id = ANY(${remove}::text[])`)},
          ${enqueueRemoved(tx, itemId, item.last_sequence)}
          SELECT count(*)::int AS n FROM marked`,
        );
        if (removed.n > 0) {
          const last = item.last_sequence + removed.n;
          await tx`
            UPDATE items SET last_sequence = ${last}, last_transaction_sequence = ${last},
              unsent_since = coalesce(unsent_since, clock_timestamp())
            WHERE item_id = ${itemId}`;
          const owner = { item_id: itemId, user_id: item.user_id };
          const changes = { removed: removed.n, fromSequence: item.last_sequence + 1, toSequence: last };
          await writeEvents(tx, updatedEvents(owner, changes));
        }
        await tx`
          UPDATE webhooks w SET outcome = 'done', settled_at = clock_timestamp()
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals' AND ${answered} AND NOT EXISTS (
            SELECT FROM transactions t
            WHERE t.item_id = ${itemId} AND t.transaction_id = ANY(w.removed_ids) AND t.status <> 'removed'
              AND t.transaction_id <> ALL(${checked}::text[]))`;
        // More ids than one look-up takes: those that were looked up must not be the first again.
        await tx`
          UPDATE webhooks w SET removed_ids = ARRAY(SELECT unnest(w.removed_ids) EXCEPT SELECT unnest(${checked}::text[]))
          WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals' AND ${answered}
            AND w.removed_ids && ${checked}::text[]`;
        return removed.n;
      });
    },
  };
}
