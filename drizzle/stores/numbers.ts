import type { NumbersStore, WithheldReason } from '../../domain/ports/numbers.js';
import { firstOf, sealedOf } from '../rows.js';
import type { Sql } from '../rows.js';

interface NumbersRow {
  account_id: string;
  as_of: Date;
  key_id: string;
  data_key: Uint8Array;
  ciphertext: Uint8Array;
  withheld: WithheldReason | null;
}

/** The one door through which account and routing numbers leave the database, still sealed. */
export function numbersStore(sql: Sql): NumbersStore {
  return {
    async read(itemId, reader) {
      const read = await sql.begin(async (tx) => {
        // Under the Item's lock: what a revocation withholds must not slip out beside it.
        const item = firstOf(
          await tx`
          SELECT FROM items WHERE item_id = ${itemId} AND admitted_at IS NOT NULL FOR SHARE`,
        );
        if (!item) return null;
        const rows = await tx<NumbersRow[]>`
          SELECT n.account_id, n.as_of, n.numbers_key_id AS key_id, n.numbers_data_key AS data_key,
            n.numbers_ciphertext AS ciphertext,
            CASE WHEN i.revoked_at IS NOT NULL THEN 'permission_revoked'
              WHEN a.revoked_at IS NOT NULL THEN 'account_revoked'
              -- Numbers may have been read before the first update brought the account.
              WHEN a.status = 'closed' THEN 'account_closed' END AS withheld
          FROM account_numbers n JOIN items i USING (item_id)
            LEFT JOIN accounts a ON a.item_id = n.item_id AND a.account_id = n.account_id
          WHERE n.item_id = ${itemId} ORDER BY n.account_id`;
        const shown = rows.filter((row) => row.withheld === null).map((row) => row.account_id);
        await tx`
          INSERT INTO number_reads (item_id, application_id, key_id, request_id, account_ids)
          VALUES (${itemId}, ${reader.application_id}, ${reader.key_id}, ${reader.request_id}, ${shown})`;
        return rows;
      });
      if (read === null) return null;
      return {
        numbers: read.flatMap((row) => {
          const sealed = row.withheld === null && sealedOf(row.key_id, row.data_key, row.ciphertext);
          return sealed ? [{ accountId: row.account_id, asOf: row.as_of.toISOString(), sealed }] : [];
        }),
        withheld: read.flatMap((row) =>
          row.withheld === null ? [] : [{ accountId: row.account_id, reason: row.withheld }],
        ),
      };
    },
  };
}
