import { plaidErrors, wantsConsent } from '../../domain/plaidErrors.js';
import type { MissingReason, NumbersStore, WithheldReason } from '../../domain/ports/numbers.js';
import { firstOf, iso } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { accountNumbers, items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { lastReads } from './lastReads.js';
import { verificationOf } from './numbersDue.js';
import { refusedBy, rightsOf } from './rights.js';
import type { Verdict } from './rights.js';

const asked = selection(items, ['numbers_due_at', 'numbers_refused_code'], {
  removal_requested: isSet('removal_requested_at'),
});
const stored = selection(accountNumbers, ['account_id', 'as_of'], {
  key_id: 'numbers_key_id',
  data_key: 'numbers_data_key',
  ciphertext: 'numbers_ciphertext',
});

/** Plaid's codes, and what stands there where Plaid has named none. */
const codesThatWantConsent = [...Object.keys(plaidErrors), 'CONSENT_REQUIRED'].filter(wantsConsent);

/** Why numbers `n` of an account `a` of an Item `i` must not be used; null = they may. */
const withheldBy = (tx: Tx): Fragment => tx`CASE WHEN i.removal_requested_at IS NOT NULL THEN 'item_removed'
  WHEN i.revoked_at IS NOT NULL OR i.numbers_refused_code = ANY(${codesThatWantConsent}::text[]) THEN 'permission_revoked'
  WHEN a.revoked_at IS NOT NULL OR n.doubted_at IS NOT NULL THEN 'account_revoked'
  -- Numbers may have been read before the first update brought the account.
  WHEN a.status = 'closed' THEN 'account_closed' END`;

const refusalReason = (code: string | null): MissingReason =>
  code !== null && wantsConsent(code) ? 'consent_required' : 'not_available';

/** The one door through which account and routing numbers leave the database, still sealed. */
export function numbersStore(sql: Sql): NumbersStore {
  const reads = lastReads(sql);
  return {
    async read(viewer, itemId, reader) {
      const read = await sql.begin(async (tx) => {
        const rights = rightsOf(tx, viewer, 'numbers');
        // First the Item's lock: what a revocation withholds, the bank's or a connection's, must not slip out beside it.
        await tx`SELECT FROM items WHERE item_id = ${itemId} FOR SHARE`;
        const item = firstOf(
          await tx<(Selected<typeof asked> & { verdict: { connection?: Verdict } })[]>`
          SELECT ${asked.list(tx, 'i')}, json_build_object('item_id', i.item_id ${rights.verdict}) AS verdict
          FROM items i ${rights.join} WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`,
        );
        if (!item) return null;
        const { connection } = item.verdict;
        const refused = refusedBy(connection, 'numbers');
        if (refused !== null) return refused;
        const rows = await tx<(Selected<typeof stored> & { withheld: WithheldReason | null })[]>`
          SELECT ${stored.list(tx, 'n')}, ${withheldBy(tx)} AS withheld
          FROM account_numbers n JOIN items i USING (item_id) ${rights.join}
          LEFT JOIN accounts a ON a.item_id = n.item_id AND a.account_id = n.account_id
          WHERE n.item_id = ${itemId} AND ${rights.allowed} ${rights.account(tx`n.account_id`)}
          ORDER BY n.account_id`;
        await tx`
          INSERT INTO number_reads (item_id, application_id, key_id, request_id, account_ids)
          VALUES (${itemId}, ${viewer.applicationId}, ${reader.key_id}, ${reader.request_id},
            ${rows.filter((row) => row.withheld === null).map((row) => row.account_id)}::text[])`;
        const missing = item.removal_requested
          ? []
          : await tx<{ account_id: string; verification: 'pending' | 'expired' | 'failed' | null }[]>`
              SELECT v.account_id, nullif(v.verification, 'verified') AS verification
              FROM (SELECT a.account_id, ${verificationOf(tx)} AS verification, a.raw->>'type' = 'depository' AS depository FROM accounts a JOIN items i USING (item_id) ${rights.join}
                WHERE a.item_id = ${itemId} AND a.status = 'open' AND ${rights.allowed} ${rights.account(tx`a.account_id`)}
                  AND NOT EXISTS (
                    SELECT FROM account_numbers n WHERE n.item_id = a.item_id AND n.account_id = a.account_id)) AS v
              WHERE v.verification IN ('pending', 'expired', 'failed') OR v.depository AND ${item.numbers_refused_code !== null}
              ORDER BY v.account_id`;
        const nextReadAt = item.removal_requested ? null : iso(item.numbers_due_at);
        const refusedCode = item.numbers_refused_code;
        return {
          rows,
          missing,
          refusedCode,
          nextReadAt,
          unnoted: connection?.unnoted === true ? [connection.id] : [],
        };
      });
      if (read === null || 'refusal' in read) return read;
      reads.note('numbers', read.unnoted);
      return {
        numbers: read.rows.flatMap(({ account_id, as_of, withheld, key_id, data_key, ciphertext }) =>
          withheld === null
            ? [
                {
                  accountId: account_id,
                  asOf: as_of.toISOString(),
                  sealed: { keyId: key_id, dataKey: data_key, ciphertext },
                },
              ]
            : [],
        ),
        withheld: read.rows.flatMap(({ account_id: accountId, withheld: reason }) =>
          reason === null ? [] : [{ accountId, reason }],
        ),
        missing: read.missing.map(({ account_id: accountId, verification }) =>
          verification !== null
            ? { accountId, reason: `verification_${verification}` as const, errorCode: null }
            : { accountId, reason: refusalReason(read.refusedCode), errorCode: read.refusedCode },
        ),
        nextReadAt: read.nextReadAt,
      };
    },
  };
}
