import type { FiguresStore } from '../../domain/ports/figures.js';
import type { Sql } from '../rows.js';
import { alerts as alertTable, endpoints as endpointTable, items as itemTable } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';

const mined = selection(itemTable, ['history']);
const stated = selection(endpointTable, ['state']);
const raised = selection(alertTable, ['kind']);

/** What operators watch, counted from the rows themselves. */
export function figuresStore(sql: Sql): FiguresStore {
  return {
    async read() {
      const [items, [work], alerts, endpoints, [sending]] = await Promise.all([
        sql<(Selected<typeof mined> & { status: string; n: number })[]>`
          SELECT CASE WHEN removed_at IS NOT NULL THEN 'REMOVED' WHEN error_code IS NOT NULL THEN 'ERROR'
            ELSE 'ACTIVE' END AS status, ${mined.list(sql)}, count(*)::int AS n
          FROM items WHERE admitted_at IS NOT NULL GROUP BY 1, 2`,
        sql<[{ unsent: number; unsent_age: number; pending: number; pending_age: number; overdue: number }]>`
          SELECT
            (SELECT count(*)::int FROM items WHERE unsent_since IS NOT NULL) AS unsent,
            (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(unsent_since)), 0)::float8
              FROM items WHERE unsent_since IS NOT NULL) AS unsent_age,
            (SELECT count(*)::int FROM webhooks WHERE outcome = 'pending') AS pending,
            (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8
              FROM webhooks WHERE outcome = 'pending') AS pending_age,
            (SELECT count(*)::int FROM items
              WHERE removed_at IS NULL AND admitted_at IS NOT NULL AND removal_requested_at IS NULL
                AND unconnected_since IS NULL AND next_due_at < clock_timestamp() - interval '15 minutes') AS overdue`,
        sql<(Selected<typeof raised> & { n: number })[]>`
          SELECT ${raised.list(sql)}, count(*)::int AS n FROM alerts GROUP BY kind`,
        sql<(Selected<typeof stated> & { n: number })[]>`
          SELECT ${stated.list(sql)}, count(*)::int AS n FROM endpoints WHERE deleted_at IS NULL GROUP BY state`,
        sql<[{ pending: number; late: number }]>`
          SELECT count(*)::int AS pending, coalesce(max(extract(epoch FROM clock_timestamp()
              - greatest(d.next_attempt_at, d.claimed_until, p.rests_until))), 0)::float8 AS late
          FROM deliveries d JOIN endpoints p USING (endpoint_id)
          WHERE d.state = 'pending' AND p.deleted_at IS NULL AND p.state IN ('enabled', 'failing')`,
      ]);
      return {
        items: items.map(({ status, history, n }) => ({ status, history, count: n })),
        unsentItems: work.unsent,
        oldestUnsentSeconds: work.unsent_age,
        pendingWebhooks: work.pending,
        oldestPendingWebhookSeconds: work.pending_age,
        overdueItems: work.overdue,
        endpoints: endpoints.map(({ state, n }) => ({ state, count: n })),
        pendingDeliveries: sending.pending,
        oldestDueDeliverySeconds: Math.max(0, sending.late),
        alerts: alerts.map(({ kind, n }) => ({ kind, count: n })),
      };
    },
  };
}
