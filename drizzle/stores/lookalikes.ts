import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { isKnownSame, lackedBy, likenessOf } from '../../domain/mining/accounts.js';
import type { Seen } from '../../domain/ports/items.js';
import type { LinkStore } from '../../domain/ports/links.js';
import type { Sealed } from '../../domain/ports/secrets.js';
import { sealedOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { idsOfBank } from './banks.js';
import { seenOf } from './seen.js';

const candidate = selection(items, ['item_id', 'institution_id'], {
  ...accessToken,
  broken: isSet('error_code'),
});

type CandidateRow = Selected<typeof candidate> & {
  identities: AccountIdentity[];
  seen: Seen;
  same_bank: boolean;
};
type Lookalike = Pick<CandidateRow, 'institution_id' | 'same_bank' | 'seen'> & {
  itemId: string;
  accessToken: Sealed | null;
  isBroken: boolean;
  proven: boolean;
  /** How many of the accounts it does not have. */
  lacks: number;
  /** It is known to have these, and no others. */
  isEqual: boolean;
};

/**
 * Items of the user that would share an account with `accounts` if they were all of one institution: proven ones first, of these those that
 * lack the fewest (of a joint account the other login knows as well), then the oldest.
 */
async function alike(
  db: Sql | Tx,
  userId: string,
  institutionId: string,
  accounts: readonly AccountIdentity[],
  except: string | null,
): Promise<Lookalike[]> {
  const rows = await db<CandidateRow[]>`
    SELECT coalesce(i.institution_id IN ${idsOfBank(db, institutionId)}, false) AS same_bank, ${candidate.list(db, 'i')}, ${seenOf(db)} AS seen,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('persistent_account_id', a.persistent_account_id,
          'mask', a.mask, 'name', a.name, 'type', a.type, 'subtype', a.subtype)), '[]')
        FROM account_identities a WHERE a.item_id = i.item_id) AS identities
    FROM items i
    WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL
      AND i.removed_at IS NULL AND i.removal_requested_at IS NULL AND i.item_id IS DISTINCT FROM ${except}
    ORDER BY i.created_at, i.item_id`;
  const alikes = rows.flatMap((row): Lookalike[] => {
    const likeness = likenessOf(accounts, row.identities);
    if (likeness === null) return [];
    const { item_id: itemId, institution_id, same_bank, seen } = row;
    const accessToken = sealedOf(row.key_id, row.data_key, row.ciphertext);
    const lacks = lackedBy(row.identities, accounts).length;
    const isEqual =
      row.identities.length === accounts.length &&
      lackedBy(row.identities, accounts, isKnownSame).length === 0;
    const found = { itemId, institution_id, same_bank, accessToken, seen, isBroken: row.broken };
    return [{ ...found, proven: likeness === 'proven', lacks, isEqual }];
  });
  return alikes.sort((a, b) => Number(b.proven) - Number(a.proven) || a.lacks - b.lacks);
}

/** Those of them at the institution, by whatever id it is known. */
export const overlapping = async (...asked: Parameters<typeof alike>): Promise<Lookalike[]> =>
  (await alike(...asked)).filter((row) => row.same_bank);

/** Items of a user that an Item to be linked may be. */
export function lookalikeReads(
  sql: Sql,
): Pick<LinkStore, 'findDuplicates' | 'findUnplaced' | 'findLookalikes'> {
  return {
    async findDuplicates(userId, institutionId, accounts, except) {
      const found = await overlapping(sql, userId, institutionId, accounts, except);
      return found.flatMap(({ itemId, accessToken, seen, isBroken, proven }) =>
        accessToken ? [{ itemId, accessToken, seen, isBroken, proven }] : [],
      );
    },

    async findUnplaced(userId, institutionId, accounts, except) {
      const found = await alike(sql, userId, institutionId, accounts, except);
      return found.flatMap(({ itemId, institution_id, accessToken, seen, isBroken, proven }) =>
        institution_id === null && accessToken ? [{ itemId, accessToken, seen, isBroken, proven }] : [],
      );
    },

    async findLookalikes(userId, institutionId, accounts, except) {
      const found = await alike(sql, userId, institutionId, accounts, except);
      return [
        ...new Set(
          found.flatMap(({ institution_id, same_bank }) =>
            same_bank || institution_id === null ? [] : [institution_id],
          ),
        ),
      ];
    },
  };
}
