import type { AlertStore } from '../../domain/ports/alerts.js';
import { cleaned } from '../jsonText.js';
import type { Sql } from '../rows.js';

export function alertStore(sql: Sql): AlertStore {
  return {
    async raise(alert) {
      await sql`
        INSERT INTO alerts (kind, key, item_id, detail)
        VALUES (${alert.kind}, ${alert.key}, ${alert.item_id}, ${JSON.stringify(cleaned(alert.detail).value)}::text::jsonb)
        ON CONFLICT DO NOTHING`;
    },
  };
}
