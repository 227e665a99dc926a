import { updatedEvents } from '../../domain/exchange/itemEvents.js';
import type { Restore, RestoreStore } from '../../domain/ports/restores.js';
import { firstOf, iso } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { connections, items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { changesOf } from './connectionRows.js';
import { numbersAreDue } from './numbersDue.js';
import { versioned } from './recordTexts.js';
import { writeEvents } from './writeEvents.js';

const numbered = selection(items, ['item_id', 'user_id', 'last_sequence'], {
  leaves: isSet('removal_requested_at'),
});

const limited = selection(connections, ['scopes', 'new_accounts', 'lookback_days', 'expires_at'], {
  connectionId: 'connection_id',
  suspended: isSet('suspended_at'),
});

interface Listed {
  account_ids: string[] | null;
  at: Date;
  withheld_accounts: string[];
}

const nothing = { accounts: 0, transactions: 0 };

/** Of rows that one statement changes: millions of them would take it beyond the time that one has. */
const rowsAtOnce = 10_000;

/**
 * Message ids of Segment's events count episodes, and what was learned of an Item is counted, so that an older answer is known by it: counted
 * on above all that ever was, by when the restore began. An `int` has place for ten seconds' counts until the year 2650, for one's until 2038.
 */
const msACount = 10_000;

/** Where what ends for good stands, and the column that says so. */
const lists = {
  item: { table: 'items', id: 'item_id', endedAt: 'removal_requested_at' },
  connection: { table: 'connections', id: 'connection_id', endedAt: 'revoked_at' },
  key: { table: 'api_keys', id: 'key_id', endedAt: 'revoked_at' },
  endpoint: { table: 'endpoints', id: 'endpoint_id', endedAt: 'deleted_at' },
} as const satisfies Record<string, { table: string; id: string; endedAt: string }>;

export function restoreStore(sql: Sql): RestoreStore {
  /** Writes an outbox row for each open account and live transaction, numbered after `sequence`: accounts first. */
  async function enqueueAll(tx: Tx, itemId: string, sequence: number) {
    return firstOf(
      await tx<[{ accounts: number; transactions: number }]>`
      WITH live AS (
        SELECT 'account' AS record, account_id AS subject, version FROM accounts
        WHERE item_id = ${itemId} AND status = 'open'
        UNION ALL
        SELECT 'transaction', transaction_id, version FROM transactions
        WHERE item_id = ${itemId} AND status <> 'removed'
      ),
      numbered AS MATERIALIZED (
        SELECT *, ${sequence}::bigint + row_number() OVER (ORDER BY record, subject) AS sequence FROM live
      ),
      written AS (
        INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
        SELECT ${itemId}, n.sequence, n.record, false, n.subject, n.version, a.raw::json,
          (a.refined || jsonb_build_object('version', n.version))::json, clock_timestamp()
        FROM numbered n JOIN accounts a ON a.item_id = ${itemId} AND a.account_id = n.subject
        WHERE n.record = 'account'
        UNION ALL
        SELECT ${itemId}, n.sequence, n.record, false, n.subject, n.version, t.raw,
          ${versioned(tx, tx`t.refined`, tx`n.version`)}::json, clock_timestamp()
        FROM numbered n JOIN transactions t ON t.item_id = ${itemId} AND t.transaction_id = n.subject
        WHERE n.record = 'transaction'
      )
      SELECT count(*) FILTER (WHERE record = 'account')::int AS accounts,
        count(*) FILTER (WHERE record = 'transaction')::int AS transactions FROM numbered`,
    );
  }

  /** Resolves to the number of records that were told. */
  async function setForward(tx: Tx, itemId: string, base: number): Promise<number> {
    const item = firstOf(
      await tx<Selected<typeof numbered>[]>`
      SELECT ${numbered.list(tx)} FROM items WHERE item_id = ${itemId} AND removed_at IS NULL FOR NO KEY UPDATE`,
    );
    if (item === undefined) return 0;
    const from = Math.max(item.last_sequence, base);
    // What is to go is told to nobody again.
    const { accounts, transactions } = item.leaves ? nothing : await enqueueAll(tx, itemId, from);
    const last = from + accounts + transactions;
    const counted = Math.floor(base / msACount);
    await tx`
      UPDATE items SET last_sequence = ${last},
        last_account_sequence = CASE WHEN ${accounts} > 0 THEN ${from + accounts} ELSE last_account_sequence END,
        last_transaction_sequence = CASE WHEN ${transactions} > 0 THEN ${last} ELSE last_transaction_sequence END,
        unsent_since = CASE WHEN ${last - from} > 0 THEN coalesce(unsent_since, clock_timestamp()) ELSE unsent_since END,
        error_episode = greatest(error_episode, ${counted}::int),
        health_answers = greatest(health_answers, ${counted}::int), numbers_facts = greatest(numbers_facts, ${counted}::int),
        next_due_at = CASE WHEN admitted_at IS NOT NULL AND removal_requested_at IS NULL
          THEN clock_timestamp() ELSE next_due_at END
      WHERE item_id = ${itemId}`;
    if (item.leaves) return 0;
    await tx`
      UPDATE items SET ${numbersAreDue(tx)}
      WHERE item_id = ${itemId} AND EXISTS (SELECT FROM account_numbers n WHERE n.item_id = ${itemId})`;
    const changes = { added: transactions, accounts, fromSequence: from + 1, toSequence: last };
    await writeEvents(tx, updatedEvents(item, changes));
    return accounts + transactions;
  }

  async function untilNoneIsLeft(change: () => PromiseLike<{ count: number }>): Promise<void> {
    while ((await change()).count > 0);
  }

  /** Of a dump that was loaded into a younger server: its transactions are ahead of all that are still to come. */
  async function takeEventsBack(): Promise<void> {
    const { ahead } = firstOf(
      await sql<[{ ahead: boolean }]>`
      SELECT EXISTS (SELECT FROM events WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())) AS ahead`,
    );
    if (!ahead) return;
    // The first ones first: cut off on the way they are in their order, and a repeat still finds those that are ahead.
    await untilNoneIsLeft(
      () => sql`
      UPDATE events SET xid = '1' WHERE event_id IN (
        SELECT event_id FROM events WHERE xid > '1' ORDER BY xid, position LIMIT ${rowsAtOnce})`,
    );
  }

  return {
    async begin() {
      await takeEventsBack();
      await untilNoneIsLeft(
        () => sql`
        UPDATE account_numbers SET doubted_at = clock_timestamp() WHERE (item_id, account_id) IN (
          SELECT item_id, account_id FROM account_numbers WHERE doubted_at IS NULL LIMIT ${rowsAtOnce})`,
      );
      return sql.begin(async (tx): Promise<Restore> => {
        const restore = firstOf(
          await tx<[{ restore_id: string; base: number }]>`
          INSERT INTO restores DEFAULT VALUES
          RETURNING restore_id, floor(extract(epoch FROM restored_at) * 1000)::float8 AS base`,
        );
        // An exchange is asked for once: the row that would remember it may have been written after the backup.
        const { count } = await tx`
          UPDATE links SET state = 'exchanging', updated_at = clock_timestamp() WHERE state = 'received'`;
        return { restoreId: restore.restore_id, base: restore.base, doubtedLinks: count };
      });
    },

    async republish({ base }, after, limit) {
      const page = await sql<{ item_id: string }[]>`
        SELECT item_id FROM items WHERE removed_at IS NULL AND item_id > ${after ?? ''}
        ORDER BY item_id LIMIT ${limit}`;
      let records = 0;
      for (const { item_id } of page) records += await sql.begin((tx) => setForward(tx, item_id, base));
      return {
        items: page.length,
        records,
        next: page.length < limit ? null : (page.at(-1)?.item_id ?? null),
      };
    },

    async finish(restoreId) {
      await sql`UPDATE restores SET ended_at = clock_timestamp() WHERE restore_id = ${restoreId}`;
    },

    async ended(what, after, limit) {
      const { table, id, endedAt } = lists[what];
      const rows = await sql<{ id: string }[]>`
        SELECT ${sql(id)} AS id FROM ${sql(table)} WHERE ${sql(endedAt)} IS NOT NULL AND ${sql(id)} > ${after ?? ''}
        ORDER BY ${sql(id)} LIMIT ${limit}`;
      return rows.map((row) => row.id);
    },

    async live(what, ids) {
      const { table, id, endedAt } = lists[what];
      const rows = await sql<{ id: string }[]>`
        SELECT ${sql(id)} AS id FROM ${sql(table)}
        WHERE ${sql(id)} = ANY(${[...ids]}::text[]) AND ${sql(endedAt)} IS NULL ORDER BY ${sql(id)}`;
      return rows.map((row) => row.id);
    },

    async narrowed(after, limit) {
      // All that were there are named: later ones came there perhaps before they come here. Where some may still be to come nobody can name all.
      const rows = await sql<(Selected<typeof limited> & Listed)[]>`
        SELECT ${limited.list(sql, 'c')}, changed.at,
          CASE WHEN c.account_ids IS NULL AND NOT c.awaits_accounts THEN c.granted_accounts ELSE c.account_ids END AS account_ids, ARRAY(
            SELECT a.account_id FROM accounts a
            WHERE a.item_id = c.item_id AND c.new_accounts AND a.account_id <> ALL(c.granted_accounts)
            ORDER BY a.account_id) AS withheld_accounts
        FROM connections c, LATERAL (SELECT max(h.at) AS at ${changesOf(sql)}) AS changed
        WHERE c.revoked_at IS NULL AND c.connection_id > ${after ?? ''} AND changed.at IS NOT NULL
        ORDER BY c.connection_id LIMIT ${limit}`;
      return rows.map(({ at, expires_at, ...row }) => ({
        ...row,
        expires_at: iso(expires_at),
        at: at.toISOString(),
      }));
    },

    async connectedApplications(after, limit) {
      const rows = await sql<{ id: string }[]>`
        SELECT application_id AS id FROM applications WHERE access = 'connected' AND application_id > ${after ?? ''}
        ORDER BY application_id LIMIT ${limit}`;
      return rows.map((row) => row.id);
    },

    async lowerAccess(applicationIds) {
      const { count } = await sql`
        UPDATE applications SET access = 'connected'
        WHERE application_id = ANY(${[...applicationIds]}::text[]) AND access = 'all'`;
      return count;
    },

    async end(what, ids) {
      const { table, id, endedAt } = lists[what];
      const { count } = await sql`
        UPDATE ${sql(table)} SET ${sql(endedAt)} = clock_timestamp()
        WHERE ${sql(id)} = ANY(${[...ids]}::text[]) AND ${sql(endedAt)} IS NULL`;
      return count;
    },
  };
}
