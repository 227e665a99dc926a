import type { Phase } from '../../domain/item/state.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import { codesWithoutUpdateMode, updateModeHelps, wantsConsent } from '../../domain/plaidErrors.js';
import type { ItemStatusName, ItemView, ReadStore } from '../../domain/ports/reads.js';
import { builder } from '../builder.js';
import { pageOf } from '../pageOf.js';
import { earlier, firstOf, iso, sealedOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { items as itemTable, users } from '../schema.js';
import type { webhooks } from '../schema.js';
import { asText, isSet, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { refuseWhileErased } from './beingErased.js';
import { askingReads } from './askingReads.js';
import { cachedLists } from './cachedLists.js';
import { itemPhase, itemStatus } from './itemState.js';
import { knowsUser, refusedBy, rightsOf } from './rights.js';
import type { Rights, Verdict } from './rights.js';

const shownItem = selection(
  itemTable,
  [
    'item_id',
    'user_id',
    'institution_id',
    'institution_name',
    'error_type',
    'error_code',
    'error_since',
    'history',
    'last_update_at',
    'consent_expires_at',
    'disconnects_at',
    'new_accounts_available',
    'created_at',
    'unconnected_since',
    'removal_requested_at',
    'removed_at',
  ],
  { created_key: asText('created_at'), without_transactions: isSet('transactions_unavailable_since') },
);
const shownUser = selection(users, ['user_id']);
const picked = selection(itemTable, ['item_id', 'institution_id', 'error_code', 'numbers_refused_code'], {
  ...accessToken,
  new_accounts: 'new_accounts_available',
});

type ItemRow = Selected<typeof shownItem> & {
  main_account_id: RowOf<typeof itemTable>['main_account_id'];
  status: ItemStatusName;
  phase: Phase;
  last_webhook_at: RowOf<typeof webhooks>['received_at'] | null;
};

function stopOf({ removed_at, removal_requested_at, unconnected_since }: ItemRow): ItemView['stopped'] {
  if (removed_at !== null) return null;
  if (removal_requested_at !== null)
    return { reason: 'removal_requested', since: removal_requested_at.toISOString() };
  return unconnected_since === null
    ? null
    : { reason: 'not_connected', since: unconnected_since.toISOString() };
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
      ? {
          error_type: row.error_type,
          error_code: row.error_code,
          since: row.error_since.toISOString(),
          update_mode: updateModeHelps(row.error_code),
        }
      : null,
  history: row.history,
  transactions: row.without_transactions ? 'unavailable' : 'available',
  stopped: stopOf(row),
  last_update_at: iso(row.last_update_at),
  last_webhook_at: iso(row.last_webhook_at),
  consent_expires_at: iso(earlier(row.consent_expires_at, row.disconnects_at)),
  new_accounts_available: row.new_accounts_available,
  created_at: row.created_at.toISOString(),
  removed_at: iso(row.removed_at),
});

export function readStore(sql: Sql): ReadStore {
  const status = itemStatus(sql);
  const itemColumns = (rights: Rights): Fragment => sql`${shownItem.list(sql, 'i')},
    ${rights.accountOrNull(sql`i.main_account_id`)} AS main_account_id, ${status} AS status, ${itemPhase(sql)} AS phase,
    (SELECT max(w.received_at) FROM webhooks w
      WHERE w.item_id = i.item_id AND w.verdict = 'accepted' AND w.source = 'plaid')
      AS last_webhook_at`;

  /** What the user's row `u` shows: of a connected viewer's user only what it knows through its connections. */
  const userColumns = (viewer: Viewer): Fragment => {
    if (viewer.access === 'all') {
      return sql`u.activated_at, (SELECT count(*)::int FROM items i WHERE i.user_id = u.user_id
          AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL) AS items`;
    }
    const rights = rightsOf(sql, viewer, 'item');
    return sql`(SELECT min(c.created_at) FROM connections c
          WHERE c.user_id = u.user_id AND c.application_id = ${viewer.applicationId}) AS activated_at,
        (SELECT count(*)::int FROM items i ${rights.join} WHERE i.user_id = u.user_id
          AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL AND ${rights.allowed}) AS items`;
  };

  return {
    async user(viewer, userId) {
      const row = firstOf(
        await sql<
          (Selected<typeof shownUser> & Pick<RowOf<typeof users>, 'activated_at'> & { items: number })[]
        >`
        SELECT ${shownUser.list(sql, 'u')}, ${userColumns(viewer)}
        FROM users u WHERE u.user_id = ${userId} AND ${knowsUser(sql, viewer)}`,
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
      await sql.begin(async (tx) => {
        await builder(tx).insert(users).values({ userId }).onConflictDoNothing();
        await refuseWhileErased(tx, userId);
      });
    },

    async item(viewer, itemId, need) {
      const rights = rightsOf(sql, viewer, need);
      const row = firstOf(
        await sql<(ItemRow & { verdict: { connection?: Verdict } })[]>`
        SELECT ${itemColumns(rights)}, json_build_object('item_id', i.item_id ${rights.verdict}) AS verdict
        FROM items i ${rights.join} WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`,
      );
      if (row === undefined) return null;
      return refusedBy(row.verdict.connection, need) ?? viewOf(row);
    },

    async items(viewer, { userId, statuses }, limit, after) {
      const rights = rightsOf(sql, viewer, 'item');
      const rows = await sql<ItemRow[]>`
        SELECT ${itemColumns(rights)} FROM items i ${rights.join}
        WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND ${status} = ANY(${statuses}::text[]) AND ${rights.allowed}
          ${after === null ? sql`` : sql`AND (i.created_at, i.item_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY i.created_at, i.item_id LIMIT ${limit + 1}`;
      return pageOf(rows, limit, viewOf, (last) => [last.created_key, last.item_id]);
    },

    ...cachedLists(sql),
    ...askingReads(sql),

    async pickForUpdateMode(viewer, userId, itemId, except = []) {
      const rights = rightsOf(sql, viewer, 'command');
      const row = firstOf(
        await sql<(Selected<typeof picked> & { lost_accounts: boolean; picked_at: string })[]>`
        SELECT ${picked.list(sql, 'i')}, clock_timestamp()::text AS picked_at, EXISTS (
          SELECT FROM accounts a WHERE a.item_id = i.item_id
            AND (a.revoked_at IS NOT NULL OR a.status = 'closed' AND a.replaced_by IS NULL)) AS lost_accounts
        FROM items i ${rights.join}
        WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL AND ${rights.allowed}
          AND i.removal_requested_at IS NULL AND i.unconnected_since IS NULL
          -- A revocation that Plaid has confirmed is its error.
          AND CASE WHEN i.error_code IS NULL THEN i.revoked_at IS NULL ELSE i.error_code <> ALL(${[...codesWithoutUpdateMode]}::text[]) END
          AND i.item_id <> ALL(${[...except]}::text[]) ${itemId === null ? sql`` : sql`AND i.item_id = ${itemId}`}
        ORDER BY i.error_since ASC NULLS LAST, i.created_at DESC, i.item_id LIMIT 1`,
      );
      const token = row && sealedOf(row.key_id, row.data_key, row.ciphertext);
      return row && token
        ? {
            itemId: row.item_id,
            userId,
            institutionId: row.institution_id,
            accessToken: token,
            newAccounts: row.new_accounts,
            lostAccounts: row.lost_accounts,
            pickedAt: row.picked_at,
            asksConsent: row.error_code !== null && wantsConsent(row.error_code),
            ...(row.numbers_refused_code !== null && wantsConsent(row.numbers_refused_code)
              ? { asksNumbers: true as const }
              : {}),
          }
        : null;
    },
  };
}
