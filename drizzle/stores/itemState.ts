import type { Fragment, Sql, Tx } from '../rows.js';

/** The status of an Item `i`, as the contract names it. */
export const itemStatus = (sql: Sql | Tx): Fragment => sql`CASE WHEN i.removed_at IS NOT NULL THEN 'REMOVED'
    WHEN i.error_code IS NOT NULL THEN 'ERROR' ELSE 'ACTIVE' END`;

/** What an Item `i` is doing, as far as its row says. */
export const itemPhase = (sql: Sql | Tx): Fragment => sql`CASE WHEN i.removed_at IS NOT NULL THEN 'removed'
    WHEN i.error_code IS NOT NULL THEN 'needs_relink'
    WHEN i.update_started_at IS NOT NULL THEN 'updating'
    WHEN i.cursor <> '' OR i.transactions_unavailable_since IS NOT NULL THEN 'idle' ELSE 'created' END`;
