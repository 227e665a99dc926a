import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { identityOf, isSameAccount, shareAccount } from '../../domain/mining/accounts.js';
import { Failure } from '../../domain/failures.js';
import type { Seen } from '../../domain/ports/items.js';
import type { Admitted, LinkRow, LinkStore, NewLink } from '../../domain/ports/links.js';
import type { Sealed } from '../../domain/ports/secrets.js';
import { builder } from '../builder.js';
import { cleaned } from '../jsonText.js';
import { firstOf, sealedOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { accounts as accountTable, items, links, users } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { writeIdentities } from './applyAccounts.js';
import { isBeingErased, refuseWhileErased } from './beingErased.js';
import { lockSeen, sameHealth, seenOf } from './seen.js';

const linkRow = selection(links, [
  'token_hash',
  'user_id',
  'state',
  'item_id',
  'outcome',
  'institution_id',
  'accounts',
  'main_account_id',
  'allow_duplicate',
]);
const publicToken = selection(links, [], {
  key_id: 'public_token_key_id',
  data_key: 'public_token_data_key',
  ciphertext: 'public_token_ciphertext',
});
const exchanging = selection(links, ['user_id', 'state', 'item_id']);
const finishing = selection(links, ['outcome', 'state', 'item_id']);

const candidate = selection(items, ['item_id', 'institution_id'], accessToken);
const known = selection(items, ['user_id'], { removed: isSet('removed_at') });
const owned = selection(items, ['user_id'], { admitted: isSet('admitted_at') });
const end = selection(items, [], { admitted: isSet('admitted_at'), removed: isSet('removed_at') });
const other = selection(items, ['item_id']);

const linking = selection(links, [], { dropped: 'dropped_accounts', allow_duplicate: 'allow_duplicate' });
const shared = selection(accountTable, ['account_id', 'raw']);

type CandidateRow = Selected<typeof candidate> & {
  identities: AccountIdentity[];
  seen: Seen;
  same_bank: boolean;
};
type Lookalike = Pick<CandidateRow, 'institution_id' | 'same_bank' | 'seen'> & {
  itemId: string;
  accessToken: Sealed | null;
};

/** How long a webhook may wait for its Item to be linked. */
const adoptionWindow = '24 hours';

export function linkStore(sql: Sql): LinkStore {
  const get = async (db: Sql | Tx, tokenHash: string): Promise<LinkRow | null> => {
    const row = firstOf(
      await db<Selected<typeof linkRow>[]>`
      SELECT ${linkRow.list(db)} FROM links WHERE token_hash = ${tokenHash}`,
    );
    return row ?? null;
  };

  /** Items of the user that would share an account with `accounts` if they were all of one institution, oldest first. */
  const alike = async (
    db: Sql | Tx,
    userId: string,
    institutionId: string,
    accounts: readonly AccountIdentity[],
    except: string | null,
  ): Promise<Lookalike[]> => {
    const rows = await db<CandidateRow[]>`
      WITH RECURSIVE bank(id) AS (
        SELECT ${institutionId}::text COLLATE "C"
        UNION
        SELECT CASE WHEN k.alias_id = b.id THEN k.institution_id ELSE k.alias_id END
        FROM bank b JOIN institution_aliases k ON b.id IN (k.alias_id, k.institution_id)
      )
      SELECT i.institution_id IN (SELECT id FROM bank) AS same_bank, ${candidate.list(db, 'i')}, ${seenOf(db)} AS seen,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('persistent_account_id', a.persistent_account_id,
            'mask', a.mask, 'name', a.name, 'type', a.type, 'subtype', a.subtype)), '[]')
          FROM account_identities a WHERE a.item_id = i.item_id) AS identities
      FROM items i
      WHERE i.user_id = ${userId} AND i.institution_id IS NOT NULL AND i.admitted_at IS NOT NULL
        AND i.removed_at IS NULL AND i.removal_requested_at IS NULL AND i.item_id IS DISTINCT FROM ${except}
      ORDER BY i.created_at, i.item_id`;
    return rows
      .filter((row) => shareAccount(accounts, row.identities))
      .map((row) => ({
        itemId: row.item_id,
        institution_id: row.institution_id,
        same_bank: row.same_bank,
        accessToken: sealedOf(row.key_id, row.data_key, row.ciphertext),
        seen: row.seen,
      }));
  };

  const overlapping = async (...asked: Parameters<typeof alike>): Promise<Lookalike[]> =>
    (await alike(...asked)).filter((row) => row.same_bank);

  /** Open accounts of these Items of which `accounts` has none that is the same. */
  const droppedBy = async (
    db: Sql | Tx,
    itemIds: readonly string[],
    accounts: readonly AccountIdentity[],
  ): Promise<string[]> => {
    const rows = await db<Selected<typeof shared>[]>`
      SELECT ${shared.list(db)} FROM accounts
      WHERE item_id = ANY(${[...itemIds]}::text[]) AND status = 'open' ORDER BY item_id, account_id`;
    return rows
      .filter(({ raw }) => !accounts.some((mine) => isSameAccount(mine, identityOf(raw))))
      .map(({ account_id }) => account_id);
  };

  const linkingOf = async (db: Sql | Tx, tokenHash: string) =>
    firstOf(
      await db<Selected<typeof linking>[]>`
      SELECT ${linking.list(db)} FROM links WHERE token_hash = ${tokenHash}`,
    );

  const replacedBy = async (db: Sql | Tx, itemId: string): Promise<string[]> => {
    const rows = await db<Selected<typeof other>[]>`
      SELECT ${other.list(db, 'o')} FROM items i JOIN items o ON o.user_id = i.user_id AND o.replaced_by = i.item_id
      WHERE i.item_id = ${itemId} ORDER BY o.created_at, o.item_id`;
    return rows.map((row) => row.item_id);
  };

  const admittedBefore = async (db: Sql | Tx, tokenHash: string, itemId: string): Promise<Admitted> => ({
    kind: 'admitted',
    replaced: await replacedBy(db, itemId),
    dropped: (await linkingOf(db, tokenHash))?.dropped ?? [],
  });

  const eraseToken = (db: Sql | Tx) =>
    db`public_token_key_id = NULL, public_token_data_key = NULL, public_token_ciphertext = NULL`;

  /** A duplicate that was refused before its exchange, and that its client allows now: the token is as good as it was. */
  const receivedAnew = async (link: NewLink, known: LinkRow): Promise<LinkRow | null> => {
    const refused = known.outcome?.kind === 'duplicate' && known.item_id === null;
    if (!refused || link.allow_duplicate !== true || known.user_id !== link.user_id) return null;
    const row = firstOf(
      await sql<Selected<typeof linkRow>[]>`
      UPDATE links SET state = 'received', outcome = NULL, allow_duplicate = true, updated_at = clock_timestamp(),
        public_token_key_id = ${link.publicToken.keyId}, public_token_data_key = ${link.publicToken.dataKey},
        public_token_ciphertext = ${link.publicToken.ciphertext}
      WHERE token_hash = ${link.token_hash} AND state = 'finished' AND item_id IS NULL AND outcome->>'kind' = 'duplicate'
        AND NOT EXISTS (SELECT FROM erasures e WHERE e.user_id = links.user_id)
      RETURNING ${linkRow.list(sql)}`,
    );
    return row ?? get(sql, link.token_hash);
  };

  return {
    async receive(link) {
      const known = await get(sql, link.token_hash);
      // A stranger's token makes nobody a user.
      if (known !== null) return (await receivedAnew(link, known)) ?? known;
      const accounts = cleaned(link.accounts).value;
      await sql.begin(async (tx) => {
        await builder(tx).insert(users).values({ userId: link.user_id }).onConflictDoNothing();
        await refuseWhileErased(tx, link.user_id);
        await tx`
          INSERT INTO links (token_hash, user_id, application_id, public_token_key_id, public_token_data_key,
            public_token_ciphertext, institution_id, accounts, main_account_id, allow_duplicate)
          VALUES (${link.token_hash}, ${link.user_id}, ${link.application_id}, ${link.publicToken.keyId},
            ${link.publicToken.dataKey}, ${link.publicToken.ciphertext}, ${link.institution_id},
            ${JSON.stringify(accounts)}::text::jsonb, ${link.main_account_id}, ${link.allow_duplicate ?? false})
          ON CONFLICT DO NOTHING`;
      });
      const row = await get(sql, link.token_hash);
      if (row === null) throw new Failure('UPSTREAM_DOWN', 'the link was not stored');
      return row;
    },

    get: (tokenHash) => get(sql, tokenHash),

    async beginExchange(tokenHash) {
      const row = firstOf(
        await sql<Selected<typeof publicToken>[]>`
        UPDATE links SET state = 'exchanging', updated_at = clock_timestamp()
        WHERE token_hash = ${tokenHash} AND state = 'received'
        RETURNING ${publicToken.list(sql)}`,
      );
      const sealed = row ? sealedOf(row.key_id, row.data_key, row.ciphertext) : null;
      return sealed && { publicToken: sealed };
    },

    async abandonExchange(tokenHash) {
      await sql`
        UPDATE links SET state = 'received', updated_at = clock_timestamp()
        WHERE token_hash = ${tokenHash} AND state = 'exchanging'`;
    },

    async storeExchanged(tokenHash, item) {
      await sql.begin(async (tx) => {
        const link = firstOf(
          await tx<Selected<typeof exchanging>[]>`
          SELECT ${exchanging.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR UPDATE`,
        );
        if (link?.state === 'exchanged' && link.item_id === item.itemId) return;
        // Reported as lost meanwhile: the caller removes the Item at Plaid.
        if (link?.state !== 'exchanging') throw new Failure('BAD_REQUEST', 'the link is not being exchanged');
        // Link's update mode gives a public token too, of the Item that the user has already.
        const held = firstOf(
          await tx<Selected<typeof known>[]>`
          SELECT ${known.list(tx)} FROM items WHERE item_id = ${item.itemId}`,
        );
        if (held !== undefined && (held.removed || held.user_id !== link.user_id)) {
          throw new Failure('INVALID_PUBLIC_TOKEN', "the Item is removed or another user's");
        }
        const { keyId, dataKey, ciphertext } = item.accessToken;
        if (held === undefined) {
          await tx`
            INSERT INTO items (item_id, user_id, token_hash, access_token_key_id, access_token_data_key,
              access_token_ciphertext)
            VALUES (${item.itemId}, ${link.user_id}, ${tokenHash}, ${keyId}, ${dataKey}, ${ciphertext})`;
        }
        await tx`
          UPDATE links SET state = 'exchanged', item_id = ${item.itemId}, ${eraseToken(tx)},
            updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash}`;
        // Its waiting webhooks become answerable by being the Item's now; those that waited too long end here.
        await tx`
          UPDATE webhooks SET outcome = 'ignored', reason = 'unknown_item', settled_at = clock_timestamp()
          WHERE item_id = ${item.itemId} AND outcome = 'pending'
            AND received_at < clock_timestamp() - ${adoptionWindow}::interval`;
      });
    },

    async findDuplicates(userId, institutionId, accounts, except) {
      const found = await overlapping(sql, userId, institutionId, accounts, except);
      return found.flatMap(({ itemId, accessToken, seen }) =>
        accessToken ? [{ itemId, accessToken, seen }] : [],
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

    async admit(admission) {
      const { itemId, institutionId } = admission;
      return sql.begin(async (tx) => {
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM items WHERE item_id = ${itemId}) FOR NO KEY UPDATE`;
        // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
        const owner = firstOf(
          await tx<(Selected<typeof owned> & { gone: boolean })[]>`
          SELECT ${owned.list(tx)}, removed_at IS NOT NULL
            OR admitted_at IS NULL AND removal_requested_at IS NOT NULL AS gone
          FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`,
        );
        if (owner === undefined || owner.gone) throw new Failure('ITEM_GONE', 'the Item was discarded');
        if (owner.admitted) {
          return admittedBefore(tx, admission.tokenHash, itemId);
        }
        if (await isBeingErased(tx, owner.user_id)) return { kind: 'user_being_erased' as const };
        const link = await linkingOf(tx, admission.tokenHash);
        const found =
          institutionId === null || link?.allow_duplicate === true
            ? []
            : await overlapping(tx, owner.user_id, institutionId, admission.accounts, itemId);
        const replaceable = new Map(admission.replaceable.map((other) => [other.itemId, other.seen]));
        const protects = found.find((other) => !replaceable.has(other.itemId));
        if (protects) return { kind: 'duplicate' as const, itemId: protects.itemId };
        for (const other of found) {
          const now = await lockSeen(tx, other.itemId);
          const seen = replaceable.get(other.itemId);
          // Repaired since it was asked after, perhaps: a healthy Item is never replaced.
          if (now === null || seen === undefined || !sameHealth(now.seen, seen))
            return { kind: 'moved' as const };
        }
        const replaced = found.map((other) => other.itemId);
        await tx`
          UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = ${itemId}
          WHERE item_id = ANY(${replaced}::text[])`;
        const dropped = await droppedBy(tx, replaced, admission.accounts);
        await tx`UPDATE links SET dropped_accounts = ${dropped}::text[] WHERE token_hash = ${admission.tokenHash}`;
        await writeIdentities(tx, itemId, admission.accounts);
        await tx`
          UPDATE items SET admitted_at = clock_timestamp(), institution_id = ${institutionId},
            institution_name = ${admission.institutionName}, consent_expires_at = ${admission.consentExpiresAt},
            main_account_id = ${admission.mainAccountId}, next_due_at = clock_timestamp(),
            numbers_due_at = clock_timestamp()
          WHERE item_id = ${itemId}`;
        await tx`
          UPDATE users SET activated_at = coalesce(activated_at, clock_timestamp())
          WHERE user_id = ${owner.user_id}`;
        return { kind: 'admitted' as const, replaced, dropped };
      });
    },

    async admitted(tokenHash, itemId) {
      const item = firstOf(
        await sql`SELECT FROM items WHERE item_id = ${itemId} AND admitted_at IS NOT NULL`,
      );
      return item ? admittedBefore(sql, tokenHash, itemId) : null;
    },

    async reportLost(tokenHash) {
      const row = firstOf(
        await sql<Pick<RowOf<typeof links>, 'outcome'>[]>`
        WITH lost AS (
          UPDATE links SET outcome = ${JSON.stringify({ kind: 'outcome_unknown' })}::text::jsonb, state = 'finished',
            ${eraseToken(sql)}, updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash} AND state = 'exchanging' RETURNING token_hash, user_id, outcome
        ), told AS (
          INSERT INTO alerts (kind, key, detail)
          SELECT 'link_outcome_unknown', token_hash, jsonb_build_object('token_hash', token_hash, 'user_id', user_id)
          FROM lost ON CONFLICT DO NOTHING
        )
        SELECT coalesce((SELECT outcome FROM lost), l.outcome) AS outcome FROM links l WHERE l.token_hash = ${tokenHash}`,
      );
      if (row === undefined) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
      return row.outcome;
    },

    async finish(tokenHash, outcome) {
      const linked = outcome.kind === 'linked';
      return sql.begin(async (tx) => {
        const row = firstOf(
          await tx<Selected<typeof finishing>[]>`
          SELECT ${finishing.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR NO KEY UPDATE`,
        );
        if (row === undefined) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
        if (row.outcome !== null) return row.outcome;
        const item = firstOf(
          await tx<Selected<typeof end>[]>`
          SELECT ${end.list(tx)} FROM items WHERE item_id = ${row.item_id}`,
        );
        const fits =
          row.state === 'exchanged'
            ? linked
              ? item?.admitted
              : item?.removed
            : row.state === 'received' && !linked;
        if (!fits) throw new Failure('BAD_REQUEST', 'the link is not where this outcome could end it');
        await tx`
          UPDATE links SET outcome = ${JSON.stringify(outcome)}::text::jsonb, state = 'finished',
            ${eraseToken(tx)}, updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash}`;
        return outcome;
      });
    },

    async beginDiscard(itemId) {
      const begun = await sql`
        UPDATE items SET removal_requested_at = coalesce(removal_requested_at, clock_timestamp())
        WHERE item_id = ${itemId} AND admitted_at IS NULL AND removed_at IS NULL RETURNING 1`;
      return begun.length > 0;
    },

    async discardItem(itemId) {
      await sql`
        WITH discarded AS (
          UPDATE items SET removed_at = clock_timestamp(), access_token_key_id = NULL, access_token_data_key = NULL,
            access_token_ciphertext = NULL, next_due_at = NULL, numbers_due_at = NULL
          WHERE item_id = ${itemId} AND admitted_at IS NULL AND removed_at IS NULL
          RETURNING item_id
        )
        UPDATE webhooks w SET outcome = 'ignored', reason = 'item_removed', settled_at = clock_timestamp()
        FROM discarded d WHERE w.item_id = d.item_id AND w.outcome = 'pending'`;
    },
  };
}
