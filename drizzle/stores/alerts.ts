import type { AlertStore } from '../../domain/ports/alerts.js';
import { asJson, builder } from '../builder.js';
import { cleaned } from '../jsonText.js';
import type { Sql } from '../rows.js';
import { alerts } from '../schema.js';
import { withShortWaits } from './waitsNotLong.js';

export function alertStore(sql: Sql): AlertStore {
  return {
    async raise({ kind, key, item_id: itemId, detail }) {
      await withShortWaits(sql, async (tx) => {
        await builder(tx)
          .insert(alerts)
          .values({ kind, key, itemId, detail: asJson(cleaned(detail).value) })
          .onConflictDoNothing();
      });
    },
  };
}
