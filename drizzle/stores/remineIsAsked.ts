import type { Fragment, Sql, Tx } from '../rows.js';

/** Of `UPDATE items`: a remine is asked for, under the next number; one that is asked for already is joined. */
export const remineIsAsked = (sql: Sql | Tx): Fragment => sql`
  remines = remines + CASE WHEN remine_requested_at IS NULL THEN 1 ELSE 0 END,
  remine_requested_at = coalesce(remine_requested_at, clock_timestamp())`;
