import type { Fragment, Sql, Tx } from '../rows.js';

/** The status of a connection `c` at this moment: its end by time needs nobody to note it. */
export const connectionStatus = (
  sql: Sql | Tx,
): Fragment => sql`CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
    WHEN c.expires_at <= clock_timestamp() THEN 'expired'
    WHEN c.suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END`;

/** A connection (`c`) that has not ended: suspended ones may come back. */
export const isLive = (sql: Sql | Tx, alias = 'c'): Fragment => {
  const c = sql(alias);
  return sql`(${c}.revoked_at IS NULL AND (${c}.expires_at IS NULL OR ${c}.expires_at > clock_timestamp()))`;
};

/** Whether a connection `c` may be read through now: neither revoked nor suspended, and its time is not over. */
export const isActive = (sql: Sql | Tx): Fragment => sql`(${isLive(sql)} AND c.suspended_at IS NULL)`;

/** Whether a connection `c` lets nothing be read, now or later: it was narrowed to nothing. */
export const grantsNothing = (sql: Sql | Tx): Fragment =>
  sql`(c.scopes = '{}' OR (c.granted_accounts = '{}' AND NOT c.new_accounts AND NOT c.awaits_accounts))`;

/** Whether update mode was begun for a suspended connection `c` since its suspension. */
export const hasRelinked = (sql: Sql | Tx): Fragment =>
  sql`(c.revoked_at IS NULL AND coalesce(c.relink_began_at > c.suspended_at, false))`;
