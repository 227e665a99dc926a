import type { EventOwner } from '../../domain/exchange/itemEvents.js';
import { consentExpiringEvent, newAccountsEvent } from '../../domain/exchange/itemEvents.js';
import { codesThatAsk, codeThatWithholds } from '../../domain/webhooks/itemFacts.js';
import type { AccountFact, ItemStore, ItemWebhooksEffect } from '../../domain/ports/items.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { items, webhooks } from '../schema.js';
import { asText, isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { noteBroken, noteConsent, noteHealthy } from './episodes.js';
import { numbersAreDue, numbersMoved } from './numbersDue.js';
import { revocationWaits } from './revocationWaits.js';
import { lockSeen, sameHealth } from './seen.js';
import { writeEvents } from './writeEvents.js';

const noticed = selection(items, ['item_id', 'user_id', 'new_accounts_available', 'disconnects_at']);
const state = selection(items, [], { broken: isSet('error_since'), withheld: isSet('revoked_at') });
const waiting = selection(webhooks, ['webhook_id', 'source', 'body'], { received_at: asText('received_at') });

/** A table `newest` (account_id, at): what the webhooks that came last said of an account. */
const newestOf = (tx: Tx, accounts: readonly AccountFact[]): Fragment => tx`(
  SELECT t.account_id, max(t.at) AS at
  FROM jsonb_to_recordset(${JSON.stringify(
    accounts.map(({ accountId, receivedAt }) => ({ account_id: accountId, at: receivedAt })),
  )}::text::jsonb) AS t(account_id text, at timestamptz)
  GROUP BY t.account_id) AS newest`;

/** A time as exact as `as_of` of an account, so that the two can be compared. */
const asFetched = (tx: Tx, at: Fragment): Fragment => tx`date_trunc('milliseconds', ${at})`;

/** Accounts that are shared no more, unless Plaid has listed them since. Numbers that were read before are not given out meanwhile. */
async function noteRevoked(tx: Tx, itemId: string, accounts: readonly AccountFact[]): Promise<void> {
  const at = asFetched(tx, tx`newest.at`);
  await tx`
    UPDATE accounts a SET revoked_at = greatest(a.revoked_at, ${at}) FROM ${newestOf(tx, accounts)}
    WHERE a.item_id = ${itemId} AND a.account_id = newest.account_id AND NOT (a.status = 'open' AND a.as_of >= ${at})`;
  await tx`
    UPDATE account_numbers n SET doubted_at = newest.at FROM ${newestOf(tx, accounts)}
    WHERE n.item_id = ${itemId} AND n.account_id = newest.account_id AND n.as_of <= newest.at`;
}

/** Tells of what webhooks have announced: of each end of the consent once, of new accounts while none are waited for. */
async function writeAnnouncements(
  tx: Tx,
  before: EventOwner & { new_accounts_available: boolean; disconnects_at: Date | null },
  {
    consentExpiresAt,
    disconnects,
    newAccounts,
  }: Pick<ItemWebhooksEffect, 'consentExpiresAt' | 'disconnects' | 'newAccounts'>,
): Promise<void> {
  if (newAccounts && !before.new_accounts_available) await writeEvents(tx, [newAccountsEvent(before)]);
  const isKnown = disconnects?.guessed === true && before.disconnects_at !== null;
  for (const at of [consentExpiresAt, isKnown ? null : (disconnects?.at ?? null)]) {
    if (at === null) continue;
    const known = await tx`
      SELECT FROM events WHERE item_id = ${before.item_id} AND type = 'item.consent_expiring' AND data->>'expires_at' = ${at}`;
    if (known.length === 0) await writeEvents(tx, [consentExpiringEvent(before, at)]);
  }
}

/** The part of the item store that webhooks about the Item itself go through. */
export function itemWebhookStore(sql: Sql): Pick<ItemStore, 'itemWebhooks' | 'applyItemWebhooks'> {
  return {
    async itemWebhooks(itemId, limit) {
      const item = firstOf(
        await sql<Selected<typeof state>[]>`
        SELECT ${state.list(sql)} FROM items WHERE item_id = ${itemId}`,
      );
      const place = sql`CASE WHEN webhook_code = ${codeThatWithholds} THEN 1
        WHEN webhook_code = ANY(${[...codesThatAsk]}::text[]) THEN 2 ELSE 0 END`;
      const rows = await sql<(Selected<typeof waiting> & { number: number })[]>`
        SELECT ${waiting.list(sql, 'w')}, w.number FROM (
          SELECT *, row_number() OVER (ORDER BY ${place}, received_at, webhook_id)::int AS number FROM webhooks
          WHERE item_id = ${itemId} AND outcome = 'pending' AND kind = 'item'
          ORDER BY number LIMIT ${limit + 1}) AS w
        ORDER BY w.received_at, w.webhook_id`;
      const read = rows.filter(({ number }) => number <= limit);
      return {
        broken: item?.broken ?? false,
        withheld: item?.withheld ?? false,
        webhooks: read.map((row) => ({
          webhookId: row.webhook_id,
          source: row.source,
          receivedAt: row.received_at,
          body: Buffer.from(row.body).toString('utf8'),
        })),
        more: rows.length > limit,
      };
    },

    async applyItemWebhooks(itemId, effect) {
      const { health, revocation, consentExpiresAt, disconnects, newAccounts } = effect;
      const { revokedAccounts, doubtedNumbers, staleNumbers, verifications } = effect;
      return sql.begin(async (tx) => {
        const item = await lockSeen(tx, itemId);
        // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
        const ids = effect.webhooks.map(({ webhookId }) => webhookId);
        const pending = await tx`
          SELECT FROM webhooks WHERE webhook_id = ANY(${ids}::uuid[]) AND outcome = 'pending'`;
        if (pending.length < ids.length) return false;
        const living = item !== null && !item.closed;
        // They wait for a connection, or for the end of the Item.
        if (living && item.unconnected) return true;
        if (living) {
          const seen = health?.seen ?? null;
          if (seen !== null && !sameHealth(item.seen, seen)) return false;
          const revoked = revocation === 'doubted' || revocation === 'confirmed';
          if (health?.kind === 'healthy') await noteHealthy(tx, itemId, health.seen, ids);
          if (health?.kind === 'broken') {
            // A repeat finds the webhooks with their outcomes and has the workflow reload the row.
            const { byCall, dueAt } = health;
            await noteBroken(tx, itemId, health.error, { byCall, dueAt, unheard: false });
          }
          const before = firstOf(
            await tx<
              [Selected<typeof noticed>]
            >`SELECT ${noticed.list(tx)} FROM items WHERE item_id = ${itemId}`,
          );
          await tx`
            UPDATE items SET
              revoked_at = CASE WHEN ${revoked} THEN coalesce(revoked_at, clock_timestamp())
                WHEN ${revocation === 'disowned'} AND NOT ${revocationWaits(tx, itemId, ids)} THEN NULL ELSE revoked_at END,
              consent_expires_at = coalesce(${consentExpiresAt}::timestamptz, consent_expires_at),
              disconnects_at = CASE WHEN ${disconnects?.guessed === true} AND disconnects_at IS NOT NULL THEN disconnects_at
                WHEN ${disconnects !== null} THEN ${disconnects?.at ?? null}::text::timestamptz ELSE disconnects_at END,
              new_accounts_available = new_accounts_available OR ${newAccounts},
              -- What Plaid answers to questions from before is older than that.
              health_answers = health_answers + ${revoked || consentExpiresAt !== null ? 1 : 0}
            WHERE item_id = ${itemId}`;
          if (health !== null) await noteConsent(tx, itemId, health.seen, health.consent);
          await writeAnnouncements(tx, before, effect);
          if (effect.numbersDue) await tx`UPDATE items SET ${numbersAreDue(tx)} WHERE item_id = ${itemId}`;
          // Numbers that are being read now may be those that were just forbidden.
          else if (revoked || revokedAccounts.length > 0 || doubtedNumbers !== null) {
            await tx`UPDATE items SET ${numbersMoved(tx)} WHERE item_id = ${itemId}`;
          }
          if (effect.updateDue) {
            await tx`
              UPDATE items SET next_due_at = clock_timestamp()
              WHERE item_id = ${itemId} AND error_since IS NULL AND next_due_at > clock_timestamp()`;
          }
          await noteRevoked(tx, itemId, revokedAccounts);
          if (doubtedNumbers !== null)
            await tx`
            UPDATE account_numbers SET doubted_at = ${doubtedNumbers}::text::timestamptz
            WHERE item_id = ${itemId} AND as_of <= ${doubtedNumbers}::text::timestamptz`;
          await tx`
            DELETE FROM account_numbers n USING ${newestOf(tx, staleNumbers)}
            WHERE n.item_id = ${itemId} AND n.account_id = newest.account_id AND n.as_of <= newest.at`;
          for (const { accountId, receivedAt, verification } of verifications) {
            const at = asFetched(tx, tx`${receivedAt}::text::timestamptz`);
            await tx`
              UPDATE accounts SET verification = ${verification}, verification_at = ${at}
              WHERE item_id = ${itemId} AND account_id = ${accountId}
                -- Plaid's object says it itself, and is newer.
                AND NOT (status = 'open' AND as_of >= ${at} AND coalesce(raw->>'verification_status', '') <> '')`;
          }
        }
        for (const { webhookId, ignored, waits } of effect.webhooks) {
          if (living && waits === true) continue;
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
