import type { LoginStore } from '../../domain/ports/logins.js';
import { staleReason, syntheticUpdate } from '../../domain/item/staleness.js';
import { readWebhook } from '../../domain/webhooks/webhook.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { items, webhooks } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';

const toCheck = selection(items, ['item_id']);
const checked = selection(items, ['history'], { known: isSet('plaid_updated_at') });
const stored = selection(webhooks, ['webhook_id']);

export function loginStore(sql: Sql): LoginStore {
  return {
    async itemsToCheck(userId) {
      const rows = await sql<Selected<typeof toCheck>[]>`
        SELECT ${toCheck.list(sql)} FROM items
        WHERE user_id = ${userId} AND admitted_at IS NOT NULL AND removed_at IS NULL
          AND removal_requested_at IS NULL AND error_code IS NULL AND revoked_at IS NULL AND unconnected_since IS NULL
        ORDER BY created_at, item_id`;
      return rows.map((row) => row.item_id);
    },

    async recordCheck({ itemId, staleAfterMs, plaidUpdatedAt, environment }) {
      return sql.begin(async (tx) => {
        // Of two logins at once the second sees what the first has stored.
        await tx`SELECT FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`;
        // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
        const item = firstOf(
          await tx<
            (Selected<typeof checked> & {
              old: boolean;
              newer: boolean | null;
              waiting: RowOf<typeof webhooks>['webhook_id'] | null;
            })[]
          >`
          SELECT ${checked.list(tx, 'i')},
            ${plaidUpdatedAt}::text::timestamptz > i.plaid_updated_at AS newer,
            coalesce(i.last_update_at, i.admitted_at)
              < clock_timestamp() - ${`${staleAfterMs} milliseconds`}::interval AS old,
            (SELECT w.webhook_id FROM webhooks w
              WHERE w.item_id = i.item_id AND w.outcome = 'pending' AND w.verdict = 'accepted'
                AND w.kind IN ('update', 'history')
              ORDER BY w.received_at DESC, w.webhook_id DESC LIMIT 1) AS waiting
          FROM items i
          WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL
            AND i.removal_requested_at IS NULL AND i.error_code IS NULL AND i.revoked_at IS NULL
            AND i.unconnected_since IS NULL`,
        );
        if (item === undefined) return null;
        const { waiting, old } = item;
        const plaid =
          plaidUpdatedAt === null ? 'silent' : !item.known ? 'first' : item.newer ? 'newer' : 'covered';
        const reason = staleReason({ waiting, old, plaid });
        // The update that waits may have begun before Plaid's: what it covers is not known.
        if (waiting !== null) return { reason, webhookId: waiting };
        if (plaid === 'first' || plaid === 'newer') {
          await tx`
            UPDATE items SET plaid_updated_at = ${plaidUpdatedAt}::text::timestamptz WHERE item_id = ${itemId}`;
        }
        if (reason === null) return { reason, webhookId: null };
        const body = syntheticUpdate({ itemId, history: item.history, environment });
        const { webhook_type, webhook_code, kind } = readWebhook(body);
        const webhook = firstOf(
          await tx<[Selected<typeof stored>]>`
          INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome,
            headers, body)
          VALUES ('synthetic', 'accepted', ${webhook_type}, ${webhook_code}, ${itemId}, ${kind}, '{}', 'pending',
            '{}', ${Buffer.from(body)})
          RETURNING ${stored.list(tx)}`,
        );
        return { reason, webhookId: webhook.webhook_id };
      });
    },
  };
}
