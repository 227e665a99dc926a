import type { Fragment, Sql, Tx } from '../rows.js';

/** All ids that the bank of this id has had at Plaid. */
export const idsOfBank = (db: Sql | Tx, institutionId: string): Fragment => db`(
  WITH RECURSIVE bank(id) AS (
    SELECT ${institutionId}::text COLLATE "C"
    UNION
    SELECT CASE WHEN k.alias_id = b.id THEN k.institution_id ELSE k.alias_id END
    FROM bank b JOIN institution_aliases k ON b.id IN (k.alias_id, k.institution_id)
  )
  SELECT id FROM bank)`;
