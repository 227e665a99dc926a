import type { WebhookKeyStore } from '../../domain/ports/webhookKeys.js';
import type { Sql } from '../rows.js';
import { webhookKeys, webhookSenders } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';

const known = selection(webhookKeys, ['jwk']);
const sender = selection(webhookSenders, ['address']);

const mostKeys = 100;
const mostSenders = 1_000;
/** Nobody signs with a key that ended so long ago, and a sender that is silent for so long has another address. */
const kept = '90 days';

/** `plaid` is the origin of the Plaid that gives the keys. */
export function webhookKeyStore(sql: Sql, plaid: string): WebhookKeyStore {
  const ago = (ageMs: number) => sql`clock_timestamp() - ${ageMs} * interval '1 millisecond'`;

  return {
    async load() {
      const keys = await sql<(Selected<typeof known> & { age_ms: number })[]>`
        SELECT ${known.list(sql)}, extract(epoch FROM clock_timestamp() - checked_at)::float8 * 1000 AS age_ms
        FROM webhook_keys WHERE plaid = ${plaid}
        ORDER BY expired_at IS NULL OR expired_at > clock_timestamp() DESC, checked_at DESC LIMIT ${mostKeys}`;
      const senders = await sql<Selected<typeof sender>[]>`
        SELECT ${sender.list(sql)} FROM webhook_senders WHERE plaid = ${plaid} ORDER BY seen_at DESC LIMIT ${mostSenders}`;
      return {
        keys: keys.map(({ jwk, age_ms }) => ({ key: jwk, ageMs: age_ms })),
        // The latest is remembered longest.
        senders: senders.map(({ address }) => address).reverse(),
      };
    },

    async save(key, ageMs) {
      const expiredAt = key.expired_at === null ? null : new Date(key.expired_at * 1000).toISOString();
      const jwk = JSON.stringify(key);
      const updated = await sql`
        UPDATE webhook_keys SET jwk = ${jwk}::text::jsonb, expired_at = ${expiredAt}::text::timestamptz,
          checked_at = greatest(checked_at, ${ago(ageMs)})
        WHERE plaid = ${plaid} AND kid = ${key.kid} AND checked_at <= ${ago(ageMs)} RETURNING 1`;
      if (updated.length > 0) return;
      // Ids of keys that have ended are known to many: they must not fill the table.
      await sql`
        INSERT INTO webhook_keys (plaid, kid, jwk, expired_at, checked_at)
        SELECT ${plaid}, ${key.kid}, ${jwk}::text::jsonb, ${expiredAt}::text::timestamptz, ${ago(ageMs)}
        WHERE ${expiredAt}::text::timestamptz IS NULL OR ${expiredAt}::text::timestamptz > clock_timestamp()
        ON CONFLICT (plaid, kid) DO NOTHING`;
      await sql`
        DELETE FROM webhook_keys WHERE (plaid, kid) IN (
          SELECT plaid, kid FROM webhook_keys WHERE expired_at < clock_timestamp() - ${kept}::interval FOR UPDATE SKIP LOCKED)`;
    },

    async drop(kid, ageMs) {
      await sql`DELETE FROM webhook_keys WHERE plaid = ${plaid} AND kid = ${kid} AND checked_at <= ${ago(ageMs)}`;
    },

    async noteSender(address, itemId) {
      const noted = await sql`
        INSERT INTO webhook_senders (plaid, address)
        SELECT ${plaid}, ${address} WHERE EXISTS (SELECT FROM items WHERE item_id = ${itemId})
        ON CONFLICT (plaid, address) DO UPDATE SET seen_at = clock_timestamp() RETURNING 1`;
      if (noted.length === 0) return false;
      await sql`
        DELETE FROM webhook_senders WHERE (plaid, address) IN (
          SELECT plaid, address FROM webhook_senders
          WHERE seen_at < clock_timestamp() - ${kept}::interval FOR UPDATE SKIP LOCKED)`;
      return true;
    },
  };
}
