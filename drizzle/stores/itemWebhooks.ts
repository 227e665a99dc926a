import type { ItemStore, WebhookSource } from '../../src/domain/ports.js';
import type { Sql } from '../rows.js';
import { noteBroken, noteHealthy } from './episodes.js';

/** The part of the item store that webhooks about the Item itself go through. */
export function itemWebhookStore(sql: Sql): Pick<ItemStore, 'itemWebhooks' | 'settleItemWebhooks'> {
  return {
    async itemWebhooks(itemId, limit) {
      const [item] = await sql<{ broken: boolean }[]>`
        SELECT error_since IS NOT NULL AS broken FROM items WHERE item_id = ${itemId}`;
      const rows = await sql<{ webhook_id: string; source: WebhookSource; body: Uint8Array }[]>`
        SELECT webhook_id, source, body FROM webhooks
        WHERE item_id = ${itemId} AND outcome = 'pending' AND kind = 'item'
        ORDER BY received_at, webhook_id LIMIT ${limit + 1}`;
      return {
        broken: item?.broken ?? false,
        webhooks: rows.slice(0, limit).map((row) => ({
          webhookId: row.webhook_id,
          source: row.source,
          body: Buffer.from(row.body).toString('utf8'),
        })),
        more: rows.length > limit,
      };
    },

    async settleItemWebhooks(itemId, settlement) {
      const { health, consentExpiresAt, newAccounts, revokedAccounts, staleNumbers, numbersDue } = settlement;
      await sql.begin(async (tx) => {
        const [item] = await tx`
          SELECT FROM items WHERE item_id = ${itemId} AND removed_at IS NULL AND removal_requested_at IS NULL
          FOR NO KEY UPDATE`;
        if (item) {
          if (health?.kind === 'healthy') await noteHealthy(tx, itemId);
          if (health?.kind === 'broken') await noteBroken(tx, itemId, health.error, health.dueAt);
          await tx`
            UPDATE items SET
              revoked_at = CASE WHEN ${health?.kind === 'broken' && health.revoked}
                THEN coalesce(revoked_at, clock_timestamp()) ELSE revoked_at END,
              consent_expires_at = coalesce(${consentExpiresAt}::timestamptz, consent_expires_at),
              new_accounts_available = new_accounts_available OR ${newAccounts},
              numbers_due_at = CASE WHEN ${numbersDue}
                THEN coalesce(numbers_due_at, clock_timestamp()) ELSE numbers_due_at END
            WHERE item_id = ${itemId}`;
          await tx`
            UPDATE accounts SET revoked_at = coalesce(revoked_at, clock_timestamp())
            WHERE item_id = ${itemId} AND account_id = ANY(${revokedAccounts}::text[])`;
          await tx`
            DELETE FROM account_numbers
            WHERE item_id = ${itemId} AND account_id = ANY(${[...revokedAccounts, ...staleNumbers]}::text[])`;
        }
        for (const { webhookId, ignored } of settlement.webhooks) {
          const reason = item ? ignored : 'item_removed';
          await tx`
            UPDATE webhooks SET outcome = ${reason === null ? 'done' : 'ignored'}, reason = ${reason},
              settled_at = clock_timestamp()
            WHERE webhook_id = ${webhookId} AND outcome = 'pending'`;
        }
      });
    },
  };
}
