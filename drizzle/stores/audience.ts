import type { Fragment, Sql, Tx } from '../rows.js';
import { isActive } from './writeEvents.js';

/**
 * Whether endpoint `p` of application `a` may be sent event `e` now. An Item's events are for those that are connected with it, and
 * were when it was written; a connection's are for its own application, its end included, and for endpoints of scope `consent`.
 */
export const mayHear = (sql: Sql | Tx): Fragment => sql`(CASE
  WHEN p.deleted_at IS NOT NULL THEN false
  WHEN e.type = 'endpoint.ping' THEN e.endpoint_id = p.endpoint_id
  WHEN e.application_id IS NOT NULL THEN
    e.application_id = p.application_id OR (p.consent AND e.connection_id IS NOT NULL)
  WHEN e.item_id IS NULL THEN true
  ELSE a.access = 'all' OR EXISTS (
    SELECT FROM connections c
    WHERE c.item_id = e.item_id AND c.application_id = p.application_id AND c.created_at <= e.time AND ${isActive(sql)})
  END)`;

/** Whether it is told how much has changed: of an Item of which it may see every account and transaction. */
export const isCounted = (sql: Sql | Tx): Fragment => sql`(a.access = 'all' OR e.item_id IS NULL OR EXISTS (
    SELECT FROM connections c
    WHERE c.item_id = e.item_id AND c.application_id = p.application_id AND ${isActive(sql)}
      AND c.granted_accounts IS NULL AND c.lookback_days IS NULL AND c.scopes @> '{accounts,transactions}'))`;
