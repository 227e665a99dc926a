import { and, asc, eq, isNotNull, sql as part } from 'drizzle-orm';
import type { NumbersStore, WithheldReason } from '../../domain/ports/numbers.js';
import { builder } from '../builder.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { accountNumbers, accounts, items, numberReads } from '../schema.js';

const withheld = part<WithheldReason | null>`CASE WHEN ${items.revokedAt} IS NOT NULL THEN 'permission_revoked'
  WHEN ${accounts.revokedAt} IS NOT NULL THEN 'account_revoked'
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
            .select({ item_id: items.itemId })
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
        return rows;
      });
      if (read === null) return null;
      return {
        numbers: read.flatMap(({ accountId, asOf, withheld: reason, ...sealed }) =>
          reason === null ? [{ accountId, asOf: asOf.toISOString(), sealed }] : [],
        ),
        withheld: read.flatMap(({ accountId, withheld: reason }) =>
          reason === null ? [] : [{ accountId, reason }],
        ),
      };
    },
  };
}
