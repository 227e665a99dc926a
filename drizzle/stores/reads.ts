import type { Phase } from '../../src/domain/item.js';
import type { History } from '../../src/domain/mining.js';
import type { ItemStatusName, ItemView, Page, PageKey, ReadStore } from '../../src/domain/ports.js';
import { iso, sealedOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { removedRaw } from './recordTexts.js';

interface ItemRow {
  item_id: string;
  user_id: string;
  status: ItemStatusName;
  phase: Phase;
  institution_id: string | null;
  institution_name: string | null;
  main_account_id: string | null;
  error_type: string | null;
  error_code: string | null;
  error_since: Date | null;
  history: History;
  last_update_at: Date | null;
  last_webhook_at: Date | null;
  consent_expires_at: Date | null;
  new_accounts_available: boolean;
  created_at: Date;
  created_key: string;
  removed_at: Date | null;
}

const viewOf = (row: ItemRow): ItemView => ({
  item_id: row.item_id,
  user_id: row.user_id,
  status: row.status,
  phase: row.phase,
  institution_id: row.institution_id,
  institution_name: row.institution_name,
  main_account_id: row.main_account_id,
  error:
    row.status === 'ERROR' && row.error_type !== null && row.error_code !== null && row.error_since !== null
      ? { error_type: row.error_type, error_code: row.error_code, since: row.error_since.toISOString() }
      : null,
  history: row.history,
  last_update_at: iso(row.last_update_at),
  last_webhook_at: iso(row.last_webhook_at),
  consent_expires_at: iso(row.consent_expires_at),
  new_accounts_available: row.new_accounts_available,
  created_at: row.created_at.toISOString(),
  removed_at: iso(row.removed_at),
});

/** The rows of a page from one more than was asked for. */
function pageOf<Row, Shown>(
  rows: readonly Row[],
  limit: number,
  show: (row: Row) => Shown,
  keyOf: (row: Row) => PageKey,
): Page<Shown> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown.map(show), next: rows.length > limit && last !== undefined ? keyOf(last) : null };
}

export function readStore(sql: Sql): ReadStore {
  const status = sql`CASE WHEN i.removed_at IS NOT NULL THEN 'REMOVED'
    WHEN i.error_code IS NOT NULL THEN 'ERROR' ELSE 'ACTIVE' END`;
  const phase = sql`CASE WHEN i.removed_at IS NOT NULL THEN 'removed'
    WHEN i.error_code IS NOT NULL THEN 'needs_relink'
    WHEN i.update_started_at IS NOT NULL THEN 'updating'
    WHEN i.cursor <> '' THEN 'idle' ELSE 'created' END`;
  const itemColumns = sql`i.item_id, i.user_id, ${status} AS status, ${phase} AS phase, i.institution_id,
    i.institution_name, i.main_account_id, i.error_type, i.error_code, i.error_since, i.history, i.last_update_at,
    (SELECT max(w.received_at) FROM webhooks w
      WHERE w.item_id = i.item_id AND w.verdict = 'accepted' AND w.source = 'plaid')
      AS last_webhook_at,
    i.consent_expires_at, i.new_accounts_available, i.created_at, i.created_at::text AS created_key, i.removed_at`;

  return {
    async user(userId) {
      const [row] = await sql<{ user_id: string; activated_at: Date | null; items: number }[]>`
        SELECT u.user_id, u.activated_at, (SELECT count(*)::int FROM items i WHERE i.user_id = u.user_id
          AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL) AS items
        FROM users u WHERE u.user_id = ${userId}`;
      if (row === undefined) return null;
      return {
        user_id: row.user_id,
        status: row.activated_at === null ? 'inactive' : 'active',
        activated_at: iso(row.activated_at),
        items: row.items,
      };
    },

    async ensureUser(userId) {
      await sql`INSERT INTO users (user_id) VALUES (${userId}) ON CONFLICT DO NOTHING`;
    },

    async item(itemId) {
      const [row] = await sql<ItemRow[]>`
        SELECT ${itemColumns} FROM items i WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`;
      return row ? viewOf(row) : null;
    },

    async items({ userId, statuses }, limit, after) {
      const rows = await sql<ItemRow[]>`
        SELECT ${itemColumns} FROM items i
        WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND ${status} = ANY(${statuses}::text[])
          ${after === null ? sql`` : sql`AND (i.created_at, i.item_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY i.created_at, i.item_id LIMIT ${limit + 1}`;
      return pageOf(rows, limit, viewOf, (row) => [row.created_key, row.item_id]);
    },

    async completeness(filter) {
      const rows = await sql<{ item_id: string; phase: Phase; history: History; as_of: Date | null }[]>`
        SELECT i.item_id, ${phase} AS phase, i.history, i.last_update_at AS as_of FROM items i
        WHERE i.admitted_at IS NOT NULL AND ${
          'itemId' in filter
            ? sql`i.item_id = ${filter.itemId}`
            : sql`i.user_id = ${filter.userId} AND (${filter.includeRemoved} OR i.removed_at IS NULL)`
        }
        ORDER BY i.created_at, i.item_id`;
      return rows.map((row) => ({ ...row, as_of: iso(row.as_of) }));
    },

    async accounts({ itemIds, format }, limit, after) {
      const rows = await sql<{ item_id: string; account_id: string; row: string }[]>`
        SELECT a.item_id, a.account_id, ${
          format === 'raw'
            ? sql`a.raw::text`
            : sql`jsonb_set(a.refined || jsonb_build_object('version', a.version), '{balances,as_of}',
                to_jsonb(to_char(a.as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text`
        } AS row
        FROM accounts a WHERE a.item_id = ANY(${itemIds}::text[])
          ${after === null ? sql`` : sql`AND (a.item_id, a.account_id) > (${after[0] ?? ''}, ${after[1] ?? ''})`}
        ORDER BY a.item_id, a.account_id LIMIT ${limit + 1}`;
      return pageOf(
        rows,
        limit,
        (row) => row.row,
        (row) => [row.item_id, row.account_id],
      );
    },

    async transactions(filter, limit, after) {
      const { itemIds, format } = filter;
      const body =
        format === 'raw'
          ? sql`coalesce(t.raw, ${removedRaw(sql, sql`t.transaction_id`, sql`t.account_id`)})::text`
          : sql`t.refined::text`;
      const columns = sql`t.transaction_id, t.date::text AS date, t.version, ${body} AS body`;
      const wanted = sql`t.status = ANY(${filter.statuses}::text[])
        ${filter.from === undefined ? sql`` : sql`AND t.date >= ${filter.from}::text::date`}
        ${filter.to === undefined ? sql`` : sql`AND t.date <= ${filter.to}::text::date`}
        ${filter.account_id === undefined ? sql`` : sql`AND t.account_id = ${filter.account_id}`}
        ${
          // The first condition starts the scan in the index, the second drops what that day has shown already.
          after === null
            ? sql``
            : sql`AND t.date <= ${after[0] ?? ''}::text::date
                AND (t.date < ${after[0] ?? ''}::text::date OR t.transaction_id > ${after[1] ?? ''})`
        }`;
      type Row = { transaction_id: string; date: string; version: number; body: string };
      const rows =
        itemIds.length === 1
          ? await sql<Row[]>`
              SELECT ${columns} FROM transactions t WHERE t.item_id = ${itemIds[0] ?? ''} AND ${wanted}
              ORDER BY t.date DESC, t.transaction_id LIMIT ${limit + 1}`
          : // One ordered scan per Item, merged: a user's Items are few, and each scan stops at the page's end. Bodies are
            // fetched of the page only, so that they are not sorted.
            await sql<Row[]>`
              SELECT ${columns} FROM (
                SELECT page.* FROM unnest(${itemIds}::text[]) AS wanted(item_id)
                CROSS JOIN LATERAL (
                  SELECT t.item_id, t.transaction_id, t.date FROM transactions t
                  WHERE t.item_id = wanted.item_id AND ${wanted}
                  ORDER BY t.date DESC, t.transaction_id LIMIT ${limit + 1}
                ) AS page
                ORDER BY page.date DESC, page.transaction_id LIMIT ${limit + 1}
              ) AS p JOIN transactions t USING (item_id, transaction_id)
              ORDER BY t.date DESC, t.transaction_id`;
      // The version is spliced in here: there, half of a read's time went into it.
      const shown = (row: Row): string =>
        format === 'raw' ? row.body : `${row.body.slice(0, -1)},"version":${row.version}}`;
      return pageOf(rows, limit, shown, (row) => [row.date, row.transaction_id]);
    },

    async balances({ itemId, account_id, from, to }, limit, after) {
      const rows = await sql<{ day: string; account_id: string; row: string }[]>`
        SELECT b.day::text AS day, b.account_id, json_build_object('item_id', b.item_id, 'account_id', b.account_id,
          'day', b.day, 'balances', json_build_object('available', b.available::text, 'current', b.current::text,
            'limit', b."limit"::text, 'currency', b.currency,
            'as_of', to_char(b.as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text AS row
        FROM balance_snapshots b
        WHERE b.item_id = ${itemId}
          ${account_id === undefined ? sql`` : sql`AND b.account_id = ${account_id}`}
          ${from === undefined ? sql`` : sql`AND b.day >= ${from}::text::date`}
          ${to === undefined ? sql`` : sql`AND b.day <= ${to}::text::date`}
          ${
            after === null
              ? sql``
              : sql`AND b.day <= ${after[0] ?? ''}::text::date
                  AND (b.day < ${after[0] ?? ''}::text::date OR b.account_id > ${after[1] ?? ''})`
          }
        ORDER BY b.day DESC, b.account_id LIMIT ${limit + 1}`;
      return pageOf(
        rows,
        limit,
        (row) => row.row,
        (row) => [row.day, row.account_id],
      );
    },

    async pickForUpdateMode(userId, itemId) {
      const [row] = await sql<
        {
          item_id: string;
          institution_id: string | null;
          key_id: string | null;
          data_key: Uint8Array | null;
          ciphertext: Uint8Array | null;
          new_accounts: boolean;
        }[]
      >`
        SELECT i.item_id, i.institution_id, i.new_accounts_available AS new_accounts, i.access_token_key_id AS key_id, i.access_token_data_key AS data_key,
          i.access_token_ciphertext AS ciphertext
        FROM items i
        WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL
          AND i.removal_requested_at IS NULL AND i.revoked_at IS NULL AND (i.error_code IS NULL OR i.error_code NOT IN ('USER_PERMISSION_REVOKED', 'PERMISSION_REVOKED'))
          ${itemId === null ? sql`` : sql`AND i.item_id = ${itemId}`}
        ORDER BY i.error_since ASC NULLS LAST, i.created_at DESC, i.item_id LIMIT 1`;
      const accessToken = row && sealedOf(row.key_id, row.data_key, row.ciphertext);
      return row && accessToken
        ? {
            itemId: row.item_id,
            userId,
            institutionId: row.institution_id,
            accessToken,
            newAccounts: row.new_accounts,
          }
        : null;
    },
  };
}
