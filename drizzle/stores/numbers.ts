import { and, asc, eq, isNotNull, sql as part } from 'drizzle-orm';
import type { MissingReason, NumbersStore, WithheldReason } from '../../domain/ports/numbers.js';
import { builder } from '../builder.js';
import { firstOf, iso } from '../rows.js';
import type { Sql } from '../rows.js';
import { accountNumbers, accounts, items, numberReads } from '../schema.js';
import { verificationOf } from './numbersDue.js';

const withheld = part<WithheldReason | null>`CASE WHEN ${items.removalRequestedAt} IS NOT NULL THEN 'item_removed'
  WHEN ${items.revokedAt} IS NOT NULL THEN 'permission_revoked'
  WHEN ${accounts.revokedAt} IS NOT NULL OR ${accountNumbers.doubtedAt} IS NOT NULL THEN 'account_revoked'
  -- Numbers may have been read before the first update brought the account.
  WHEN ${accounts.status} = 'closed' THEN 'account_closed' END`;

/** The one door through which account and routing numbers leave the database, still sealed. */
export function numbersStore(sql: Sql): NumbersStore {
  return {
    async read(itemId, reader) {
      const read = await sql.begin(async (tx) => {
        const db = builder(tx);
        // Under the Item's lock: what a revocation withholds must not slip out beside it.
        const item = firstOf(
          await db
            .select({ numbersDueAt: items.numbersDueAt, asked: items.removalRequestedAt })
            .from(items)
            .where(and(eq(items.itemId, itemId), isNotNull(items.admittedAt)))
            .for('share'),
        );
        if (!item) return null;
        const rows = await db
          .select({
            accountId: accountNumbers.accountId,
            asOf: accountNumbers.asOf,
            keyId: accountNumbers.numbersKeyId,
            dataKey: accountNumbers.numbersDataKey,
            ciphertext: accountNumbers.numbersCiphertext,
            withheld,
          })
          .from(accountNumbers)
          .innerJoin(items, eq(items.itemId, accountNumbers.itemId))
          .leftJoin(
            accounts,
            and(eq(accounts.itemId, accountNumbers.itemId), eq(accounts.accountId, accountNumbers.accountId)),
          )
          .where(eq(accountNumbers.itemId, itemId))
          .orderBy(asc(accountNumbers.accountId));
        await db.insert(numberReads).values({
          itemId,
          applicationId: reader.application_id,
          keyId: reader.key_id,
          requestId: reader.request_id,
          accountIds: rows.filter((row) => row.withheld === null).map((row) => row.accountId),
        });
        const missing =
          item.asked !== null
            ? []
            : await tx<{ account_id: string; reason: MissingReason }[]>`
              SELECT v.account_id, 'verification_' || v.verification AS reason
              FROM (SELECT a.account_id, ${verificationOf(tx)} AS verification FROM accounts a
                WHERE a.item_id = ${itemId} AND a.status = 'open' AND NOT EXISTS (
                  SELECT FROM account_numbers n WHERE n.item_id = a.item_id AND n.account_id = a.account_id)) AS v
              WHERE v.verification IN ('pending', 'expired', 'failed') ORDER BY v.account_id`;
        return { rows, missing, nextReadAt: item.asked === null ? iso(item.numbersDueAt) : null };
      });
      if (read === null) return null;
      return {
        numbers: read.rows.flatMap(({ accountId, asOf, withheld: reason, ...sealed }) =>
          reason === null ? [{ accountId, asOf: asOf.toISOString(), sealed }] : [],
        ),
        withheld: read.rows.flatMap(({ accountId, withheld: reason }) =>
          reason === null ? [] : [{ accountId, reason }],
        ),
        missing: read.missing.map(({ account_id: accountId, reason }) => ({ accountId, reason })),
        nextReadAt: read.nextReadAt,
      };
    },
  };
}
