import type { AlertStore } from '../../domain/ports/alerts.js';
import { asJson, builder } from '../builder.js';
import { cleaned } from '../jsonText.js';
import type { Sql } from '../rows.js';
import { alerts } from '../schema.js';

export function alertStore(sql: Sql): AlertStore {
  const db = builder(sql);
  return {
    async raise({ kind, key, item_id: itemId, detail }) {
      await db
        .insert(alerts)
        .values({ kind, key, itemId, detail: asJson(cleaned(detail).value) })
        .onConflictDoNothing();
    },
  };
}
