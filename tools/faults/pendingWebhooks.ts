import type { System } from './system.js';

export interface PendingWebhook {
  webhook_id: string;
  code: string | null;
  item_id: string | null;
  /** Whether the Item has a row. */
  stored: boolean;
}

/**
 * Webhooks whose outcome is still owed. One of an Item that nobody here knows waits a day for it. That is right for as many Items as
 * links ended without knowing what Plaid has made of them, each with its alert.
 */
export async function pendingWebhooks(system: Pick<System, 'sql'>): Promise<PendingWebhook[]> {
  const pending = await system.sql<PendingWebhook[]>`
    SELECT webhook_id, webhook_code AS code, item_id,
      EXISTS (SELECT FROM items i WHERE i.item_id = w.item_id) AS stored
    FROM webhooks w WHERE outcome = 'pending' ORDER BY received_at`;
  const [alerts] = await system.sql<{ n: number }[]>`
    SELECT count(*)::int AS n FROM alerts WHERE kind = 'link_outcome_unknown'`;
  const unknown = new Set(pending.filter(({ stored }) => !stored).map(({ item_id }) => item_id));
  return unknown.size > (alerts?.n ?? 0) ? pending : pending.filter(({ stored }) => stored);
}
