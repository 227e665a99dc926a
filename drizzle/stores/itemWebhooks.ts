import type { ItemStore } from '../../domain/ports/items.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { items, webhooks } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { noteBroken, noteHealthy, numbersAreDue } from './episodes.js';
import { lockSeen, sameHealth } from './seen.js';

const state = selection(items, [], { broken: isSet('error_since') });
const waiting = selection(webhooks, ['webhook_id', 'source', 'body']);

/** The part of the item store that webhooks about the Item itself go through. */
export function itemWebhookStore(sql: Sql): Pick<ItemStore, 'itemWebhooks' | 'applyItemWebhooks'> {
  return {
    async itemWebhooks(itemId, limit) {
      const item = firstOf(
        await sql<Selected<typeof state>[]>`
        SELECT ${state.list(sql)} FROM items WHERE item_id = ${itemId}`,
      );
      const rows = await sql<Selected<typeof waiting>[]>`
        SELECT ${waiting.list(sql)} FROM webhooks
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

    async applyItemWebhooks(itemId, effect) {
      const { health, consentExpiresAt, newAccounts, revokedAccounts, staleNumbers, numbersDue } = effect;
      return sql.begin(async (tx) => {
        const item = await lockSeen(tx, itemId);
        // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
        const ids = effect.webhooks.map(({ webhookId }) => webhookId);
        const pending = await tx`
          SELECT FROM webhooks WHERE webhook_id = ANY(${ids}::uuid[]) AND outcome = 'pending'`;
        if (pending.length < ids.length) return false;
        const living = item !== null && !item.closed;
        if (living) {
          const seen = health?.seen ?? null;
          if (seen !== null && !sameHealth(item.seen, seen)) return false;
          const revoked = health?.kind === 'broken' && health.revoked;
          if (health?.kind === 'healthy') await noteHealthy(tx, itemId);
          if (health?.kind === 'broken') {
            // A repeat finds the webhooks with their outcomes and has the workflow reload the row.
            await noteBroken(tx, itemId, health.error, { dueAt: health.dueAt, unheard: false });
          }
          await tx`
            UPDATE items SET
              revoked_at = CASE WHEN ${revoked}
                THEN coalesce(revoked_at, clock_timestamp()) ELSE revoked_at END,
              consent_expires_at = coalesce(${consentExpiresAt}::timestamptz, consent_expires_at),
              new_accounts_available = new_accounts_available OR ${newAccounts}
            WHERE item_id = ${itemId}`;
          if (numbersDue) await tx`UPDATE items SET ${numbersAreDue(tx)} WHERE item_id = ${itemId}`;
          // Numbers that are being read now may be those that were just forbidden.
          else if (revoked || revokedAccounts.length > 0) {
            await tx`UPDATE items SET numbers_facts = numbers_facts + 1 WHERE item_id = ${itemId}`;
          }
          await tx`
            UPDATE accounts SET revoked_at = coalesce(revoked_at, clock_timestamp())
            WHERE item_id = ${itemId} AND account_id = ANY(${revokedAccounts}::text[])`;
          await tx`
            DELETE FROM account_numbers
            WHERE item_id = ${itemId} AND account_id = ANY(${[...revokedAccounts, ...staleNumbers]}::text[])`;
        }
        for (const { webhookId, ignored } of effect.webhooks) {
          const reason = living ? ignored : 'item_removed';
          await tx`
            UPDATE webhooks SET outcome = ${reason === null ? 'done' : 'ignored'}, reason = ${reason},
              settled_at = clock_timestamp()
            WHERE webhook_id = ${webhookId} AND outcome = 'pending'`;
        }
        return true;
      });
    },
  };
}
