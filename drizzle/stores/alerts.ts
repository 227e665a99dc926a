import type { AlertStore } from '../../domain/ports/alerts.js';
import { asJson, builder } from '../builder.js';
import { cleaned } from '../jsonText.js';
import type { Sql, Tx } from '../rows.js';
import { alerts } from '../schema.js';

/**
 * For whoever holds the row, or the table: an operator who deletes it and has not ended the transaction, say. Many raise the same one, and
 * each of them holds a connection while it waits.
 */
const lockTimeoutMs = 1_000;

/** In this transaction nobody waits longer for a lock. */
export const waitsNotLong = (tx: Tx) => tx`SELECT set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`;

export function alertStore(sql: Sql): AlertStore {
  return {
    async raise({ kind, key, item_id: itemId, detail }) {
      await sql.begin(async (tx) => {
        await waitsNotLong(tx);
        await builder(tx)
          .insert(alerts)
          .values({ kind, key, itemId, detail: asJson(cleaned(detail).value) })
          .onConflictDoNothing();
      });
    },
  };
}
