import type { Fragment, Sql, Tx } from '../rows.js';

/** The status of a connection `c` at this moment: its end by time needs nobody to note it. */
export const connectionStatus = (
  sql: Sql | Tx,
): Fragment => sql`CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
    WHEN c.expires_at <= clock_timestamp() THEN 'expired'
    WHEN c.suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END`;
