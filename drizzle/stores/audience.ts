import type { Fragment, Sql, Tx } from '../rows.js';
import { grantsNothing, isActive } from './connectionStatus.js';

/** Who may be told of an event, as the statement has it. */
export interface Hearer {
  applicationId: Fragment;
  access: Fragment;
  /** Whether it is told of every application's connections. */
  consent: Fragment;
}

/**
 * Whether an application may be told of an event `e`: the one place that says it, for what is pulled and for what is sent. `now`;
 * `later`: its connection is suspended, over by time or narrowed to nothing, and may come back; null: it is not for it, or not any
 * more. Of an Item it hears from the moment of its connection on, while that is active; of its own connections always, also of
 * their end; that an Item was removed it hears also where its connection ended with the Item.
 */
export const hearing = (sql: Sql | Tx, { applicationId, access, consent }: Hearer): Fragment => sql`(CASE
    WHEN e.connection_id IS NOT NULL THEN CASE WHEN e.application_id = ${applicationId} OR ${consent} THEN 'now' END
    WHEN e.endpoint_id IS NOT NULL THEN (
      SELECT 'now' FROM endpoints own WHERE own.endpoint_id = e.endpoint_id AND own.application_id = ${applicationId})
    WHEN e.application_id <> ${applicationId} THEN NULL
    WHEN ${access} = 'all' THEN 'now'
    WHEN e.item_id IS NULL THEN CASE WHEN e.application_id IS NOT NULL THEN 'now' END
    ELSE (
      -- Of several connections the best: 'now' sorts behind 'later'.
      SELECT max(CASE
        WHEN ${isActive(sql)} AND NOT ${grantsNothing(sql)} OR (e.type = 'item.removed' AND c.revoked_initiator = 'item') THEN 'now'
        WHEN c.revoked_at IS NULL THEN 'later' END)
      FROM connections c
      WHERE c.item_id = e.item_id AND c.application_id = ${applicationId} AND c.created_at <= e.time)
    END)`;

/** Whether it may be told now. */
export const mayHear = (sql: Sql | Tx, hearer: Hearer): Fragment =>
  sql`(${hearing(sql, hearer)} IS NOT DISTINCT FROM 'now')`;

/** Whether an application has an active connection with all of an Item's accounts and transactions. */
export const isGrantedAll = (
  sql: Sql | Tx,
  applicationId: Fragment,
  itemId: Fragment,
): Fragment => sql`EXISTS (
    SELECT FROM connections c
    WHERE c.item_id = ${itemId} AND c.application_id = ${applicationId} AND ${isActive(sql)}
      AND c.scopes @> '{accounts,transactions}' AND c.granted_accounts IS NULL AND c.lookback_days IS NULL)`;

/** Whether an application that may be told of an event `e` may be told how much has changed: it sees all of the Item. */
export const maySeeCounts = (
  sql: Sql | Tx,
  { applicationId, access }: Pick<Hearer, 'applicationId' | 'access'>,
): Fragment => sql`(${access} = 'all' OR ${isGrantedAll(sql, applicationId, sql`e.item_id`)})`;
