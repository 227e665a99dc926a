import type { Phase } from '../../domain/item/state.js';
import type { History } from '../../domain/mining/run.js';
import type { ItemStatusName, ItemView, ReadStore } from '../../domain/ports/reads.js';
import { firstOf, iso, sealedOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { cachedLists } from './cachedLists.js';
import { itemPhase, itemStatus } from './itemState.js';

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

export function readStore(sql: Sql): ReadStore {
  const status = itemStatus(sql);
  const itemColumns = sql`i.item_id, i.user_id, ${status} AS status, ${itemPhase(sql)} AS phase, i.institution_id,
    i.institution_name, i.main_account_id, i.error_type, i.error_code, i.error_since, i.history, i.last_update_at,
    (SELECT max(w.received_at) FROM webhooks w
      WHERE w.item_id = i.item_id AND w.verdict = 'accepted' AND w.source = 'plaid')
      AS last_webhook_at,
    i.consent_expires_at, i.new_accounts_available, i.created_at, i.created_at::text AS created_key, i.removed_at`;

  return {
    async user(userId) {
      const row = firstOf(
        await sql<{ user_id: string; activated_at: Date | null; items: number }[]>`
        SELECT u.user_id, u.activated_at, (SELECT count(*)::int FROM items i WHERE i.user_id = u.user_id
          AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL) AS items
        FROM users u WHERE u.user_id = ${userId}`,
      );
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
      const row = firstOf(
        await sql<ItemRow[]>`
        SELECT ${itemColumns} FROM items i WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`,
      );
      return row ? viewOf(row) : null;
    },

    async items({ userId, statuses }, limit, after) {
      const rows = await sql<ItemRow[]>`
        SELECT ${itemColumns} FROM items i
        WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND ${status} = ANY(${statuses}::text[])
          ${after === null ? sql`` : sql`AND (i.created_at, i.item_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY i.created_at, i.item_id LIMIT ${limit + 1}`;
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        rows: shown.map(viewOf),
        next: rows.length > limit && last ? [last.created_key, last.item_id] : null,
      };
    },

    ...cachedLists(sql),

    async pickForUpdateMode(userId, itemId) {
      const row = firstOf(
        await sql<
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
        ORDER BY i.error_since ASC NULLS LAST, i.created_at DESC, i.item_id LIMIT 1`,
      );
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
