import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { Refused, Viewer } from '../../domain/exchange/viewer.js';
import type { RecordKind } from '../../domain/mining/events.js';
import type { ChangeStore } from '../../domain/ports/changes.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { items, outbox } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { lastReads } from './lastReads.js';
import { readAt, refusedBy, rightsOf } from './rights.js';
import type { Rights, Verdict } from './rights.js';
import { versioned } from './recordTexts.js';

/** Changes that one page looks at where it may leave some out: nobody's question reads the whole outbox. */
const scannedAtOnce = 1_000;

const scopeOf: Record<RecordKind, ConnectionScope> = { transaction: 'transactions', account: 'accounts' };

const standing = selection(items, ['last_sequence']);
const change = selection(outbox, ['sequence', 'record', 'subject', 'version']);

/** What a statement says of the Item, in every row. */
interface About extends Selected<typeof standing> {
  connection: Verdict | null;
  /** A scope that is needed besides, and not granted. */
  missing: ConnectionScope | null;
  /** Scopes whose last read was noted more than a minute ago. */
  unnoted: ConnectionScope[] | null;
}

/** Columns that are null where the Item has no row to show. */
type Perhaps<Row> = { [Key in keyof Row]: Row[Key] | null };
type ChangeRow = Selected<typeof change> & { gone: boolean; body: string };

/** The change of a record as clients see it. Spliced: the object is by far the larger part, and JSON already. */
const changeText = (
  sequence: number,
  record: RecordKind,
  kind: 'added' | 'modified' | 'removed',
  { subject, version }: { subject: string; version: number },
  object: string,
): string =>
  `{"sequence":${sequence},"record":"${record}","change":"${kind}","subject":${JSON.stringify(subject)},` +
  `"version":${version},"object":${object}}`;

export function changeStore(sql: Sql): ChangeStore {
  const reads = lastReads(sql);

  /** A scope's name where it was last read through a connection `k` more than a minute ago. */
  const readLongAgo = (scope: ConnectionScope): Fragment =>
    sql`CASE WHEN k.${readAt(sql, scope)} >= clock_timestamp() - interval '1 minute' THEN NULL ELSE ${scope} END`;

  /** The Item `c`, with what the viewer's connection lets it read. */
  function itemOf(viewer: Viewer, itemId: string, records: readonly RecordKind[]) {
    // Of two that are lacking the one that holds more is named.
    const needed = records.map((record) => scopeOf[record]).sort();
    const [need = 'item', ...others] = needed.reverse();
    const rights = rightsOf(sql, viewer, need);
    // Who sees every Item has no connection to look at.
    const missing =
      viewer.access === 'all'
        ? sql`NULL::text`
        : sql`(SELECT s FROM unnest(${others}::text[]) AS s WHERE s <> ALL(c.scopes) LIMIT 1)`;
    const item = sql`item AS MATERIALIZED (
      SELECT ${standing.list(sql, 'i')}, i.item_id ${rights.carried} FROM items i ${rights.join}
      WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL)`;
    const unnoted =
      viewer.access === 'all'
        ? sql`NULL::text[]`
        : sql`(SELECT array_remove(ARRAY[${readLongAgo('accounts')}, ${readLongAgo('transactions')}], NULL)
            FROM connections k WHERE k.connection_id = c.connection_id)`;
    const about = sql`${standing.list(sql, 'c')}, json_build_object('last', 0 ${rights.verdict})->'connection' AS connection,
      ${missing} AS missing, ${unnoted} AS unnoted`;
    /** Why nothing may be shown; else that the connection was read through is noted. */
    const refusal = ({ connection, missing: scope, unnoted: due }: About): Refused | null => {
      const refused = refusedBy(connection ?? undefined, need);
      if (refused !== null || connection === null) return refused;
      if (scope !== null) return { refusal: 'consent_missing', connectionId: connection.id, scope };
      for (const read of due ?? [])
        if (read === need || others.includes(read)) reads.note(read, [connection.id]);
      return null;
    };
    return { rights, item, about, refusal, allowed: sql`${rights.allowed} AND ${missing} IS NULL` };
  }

  /** An account as it is shown to the viewer. */
  const shownAccount = (rights: Rights, refined: Fragment): Fragment =>
    sql`(${rights.balances(sql`(${refined}::jsonb || jsonb_build_object(
      'replaces', ${rights.accountOrNull(sql`${refined}->>'replaces'`)},
      'replaced_by', ${rights.accountOrNull(sql`${refined}->>'replaced_by'`)}))`)})::text`;

  return {
    async changes(viewer, itemId, records, after, limit) {
      const { rights, item, about, refusal, allowed } = itemOf(viewer, itemId, records);
      const leavesOut = viewer.access !== 'all' || records.length === 1;
      const scanned = leavesOut ? Math.max(scannedAtOnce, limit) : limit;
      const accountId = sql`l.refined->>'account_id'`;
      const isRecent = sql`(true ${rights.day(sql`(l.refined->>'date')::date`)})`;
      const isGranted = sql`(true ${rights.account(accountId)})`;
      const rows = await sql<
        (About & Perhaps<ChangeRow> & { scanned: number; last_scanned: number | null })[]
      >`
        WITH ${item},
        scanned AS MATERIALIZED (
          SELECT o.sequence, o.record, o.removed, o.subject, o.version, o.refined, o.moved_from FROM outbox o
          WHERE o.item_id = ${itemId} AND o.sequence > ${after} AND o.sequence <= (SELECT last_sequence FROM item)
          ORDER BY o.sequence LIMIT ${scanned}
        ),
        found AS (
          SELECT ${change.list(sql, 'l')}, l.removed OR (l.record = 'transaction' AND (${isRecent} AND ${isGranted}) IS NOT TRUE) AS gone,
            CASE l.record WHEN 'account' THEN ${shownAccount(rights, sql`l.refined`)} ELSE l.refined::text END AS body
          FROM scanned l CROSS JOIN item c
          WHERE ${allowed} AND l.record = ANY(${[...records]}::text[]) AND CASE l.record
            WHEN 'account' THEN (true ${rights.account(sql`l.subject`)})
            -- One whose day is too long ago now may have been shown under another day: it leaves the copy.
            ELSE ${isGranted} AND (${isRecent} OR l.version > 1)
              -- So does one that is of another account now.
              OR (l.moved_from IS NOT NULL ${rights.account(sql`l.moved_from`)}) END
          ORDER BY l.sequence LIMIT ${limit}
        )
        SELECT ${about}, (SELECT count(*)::int FROM scanned) AS scanned, (SELECT max(sequence) FROM scanned) AS last_scanned, f.*
        FROM item c LEFT JOIN found f ON true ORDER BY f.sequence`;
      const first = firstOf(rows);
      if (first === undefined) return null;
      const refused = refusal(first);
      if (refused !== null) return refused;
      const { last_sequence: last, scanned: n } = first;
      const end = first.last_scanned ?? after;
      // Numbered without gaps: where one is, there was more.
      if (end - after !== n || after > last || (n < scanned && end < last)) return 'expired';
      const shown = rows.flatMap((row) => (row.sequence === null ? [] : [row as ChangeRow]));
      const next = shown.length === limit ? (shown.at(-1)?.sequence ?? end) : end;
      return {
        rows: shown.map((row) => {
          const kind = row.gone ? 'removed' : row.version === 1 ? 'added' : 'modified';
          return changeText(row.sequence, row.record, kind, row, row.gone ? 'null' : row.body);
        }),
        next,
        hasMore: next < last,
      };
    },

    async snapshot(viewer, itemId, records, limit, after) {
      const { rights, item, about, refusal, allowed } = itemOf(viewer, itemId, records);
      const [record = '', id = ''] = after ?? [];
      const of = (kind: RecordKind): Fragment => sql`${allowed} AND ${kind} = ANY(${[...records]}::text[])`;
      const rows = await sql<
        (About & Perhaps<{ record: RecordKind; subject: string; version: number; body: string }>)[]
      >`
        WITH ${item},
        live AS (
          (SELECT 'account' AS record, a.account_id AS subject, a.version,
            ${versioned(sql, shownAccount(rights, sql`a.refined`), sql`a.version`)} AS body
          FROM item c JOIN accounts a ON a.item_id = c.item_id
          WHERE ${of('account')} AND a.status = 'open' ${rights.account(sql`a.account_id`)}
            AND (${record} = '' OR (${record} = 'account' AND a.account_id > ${id}))
          ORDER BY a.account_id LIMIT ${limit + 1})
          UNION ALL
          (SELECT 'transaction', t.transaction_id, t.version, ${versioned(sql, sql`t.refined`, sql`t.version`)}
          FROM item c JOIN transactions t ON t.item_id = c.item_id
          WHERE ${of('transaction')} AND t.status <> 'removed' ${rights.account(sql`t.account_id`)} ${rights.day(sql`t.date`)}
            AND (${record} <> 'transaction' OR t.transaction_id > ${id})
          ORDER BY t.transaction_id LIMIT ${limit + 1})
          ORDER BY record, subject LIMIT ${limit + 1}
        )
        SELECT ${about}, l.* FROM item c LEFT JOIN live l ON true ORDER BY l.record, l.subject`;
      const first = firstOf(rows);
      if (first === undefined) return null;
      const refused = refusal(first);
      if (refused !== null) return refused;
      const live = rows.flatMap(({ record: of, subject, version, body }) =>
        of === null || subject === null || version === null || body === null
          ? []
          : [{ record: of, subject, version, body }],
      );
      const shown = live.slice(0, limit);
      const last = shown.at(-1);
      return {
        rows: shown.map((row) => changeText(first.last_sequence, row.record, 'added', row, row.body)),
        sequence: first.last_sequence,
        next: live.length > limit && last !== undefined ? [last.record, last.subject] : null,
      };
    },
  };
}
