import { linkedEvent } from '../../domain/exchange/itemEvents.js';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { identityOf, isKnownSame, lackedBy, likenessOf } from '../../domain/mining/accounts.js';
import { Failure } from '../../domain/failures.js';
import { joinedOutcome } from '../../domain/joinedOutcome.js';
import type { Seen } from '../../domain/ports/items.js';
import type {
  Admission,
  Admitted,
  Joined,
  LinkOutcome,
  LinkRow,
  LinkStore,
  NewLink,
  OfferedAccount,
} from '../../domain/ports/links.js';
import type { Sealed } from '../../domain/ports/secrets.js';
import { builder } from '../builder.js';
import { cleaned, jsonbText } from '../jsonText.js';
import { firstOf, sealedOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { accounts as accountTable, applications, items, links, users } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { idsOfBank } from './banks.js';
import { isBeingErased, refuseWhileErased } from './beingErased.js';
import type { Applicant } from './joining.js';
import {
  applicantOf,
  carryConnections,
  connectLinked,
  connectionWith,
  hasTriedOften,
  joinItem,
  holdsEvery,
  knowsBank,
  needsPersistentIds,
  notJoined,
  seesItem,
} from './joining.js';
import { writeIdentities } from './knownAccounts.js';
import { lockSeen, sameHealth, seenOf } from './seen.js';
import { writeEvents } from './writeEvents.js';

const linkRow = selection(links, [
  'token_hash',
  'user_id',
  'application_id',
  'state',
  'item_id',
  'outcome',
  'institution_id',
  'accounts',
  'main_account_id',
  'allow_duplicate',
  'connection',
]);
const publicToken = selection(links, [], {
  key_id: 'public_token_key_id',
  data_key: 'public_token_data_key',
  ciphertext: 'public_token_ciphertext',
});
const exchanging = selection(links, ['user_id', 'state', 'item_id']);
const finishing = selection(links, ['outcome', 'state', 'item_id']);

const seeing = selection(applications, ['access']);

const candidate = selection(items, ['item_id', 'institution_id'], accessToken);
const known = selection(items, ['user_id'], { removed: isSet('removed_at') });
const owned = selection(items, ['user_id', 'token_hash', 'replaced_by'], {
  admitted: isSet('admitted_at'),
  asked: isSet('removal_requested_at'),
});
const end = selection(items, [], { admitted: isSet('admitted_at'), removed: isSet('removed_at') });
const other = selection(items, ['item_id']);

const linking = selection(links, ['accounts', 'allow_duplicate'], { dropped: 'dropped_accounts' });
const shared = selection(accountTable, ['account_id', 'item_id', 'raw']);

type CandidateRow = Selected<typeof candidate> & {
  identities: AccountIdentity[];
  seen: Seen;
  same_bank: boolean;
};
type Lookalike = Pick<CandidateRow, 'institution_id' | 'same_bank' | 'seen'> & {
  itemId: string;
  accessToken: Sealed | null;
  proven: boolean;
  /** How many of the accounts it does not have. */
  lacks: number;
  /** It is known to have these, and no others. */
  isEqual: boolean;
};

const grantText = ({ connection }: Pick<NewLink, 'connection'>): string | null =>
  connection == null ? null : jsonbText(connection);

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

  /**
   * Items of the user that would share an account with `accounts` if they were all of one institution: proven ones first, of these those that
   * lack the fewest (of a joint account the other login knows as well), then the oldest.
   */
  const alike = async (
    db: Sql | Tx,
    userId: string,
    institutionId: string,
    accounts: readonly AccountIdentity[],
    except: string | null,
  ): Promise<Lookalike[]> => {
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
      const found = { itemId, institution_id, same_bank, accessToken, seen };
      return [{ ...found, proven: likeness === 'proven', lacks, isEqual }];
    });
    return alikes.sort((a, b) => Number(b.proven) - Number(a.proven) || a.lacks - b.lacks);
  };

  const overlapping = async (...asked: Parameters<typeof alike>): Promise<Lookalike[]> =>
    (await alike(...asked)).filter((row) => row.same_bank);

  /** Open accounts of these Items of which `accounts` has none that is the same; two of the Items may have one in common. */
  const droppedBy = async (
    db: Sql | Tx,
    itemIds: readonly string[],
    accounts: readonly AccountIdentity[],
  ): Promise<string[]> => {
    const rows = await db<Selected<typeof shared>[]>`
      SELECT ${shared.list(db)} FROM accounts
      WHERE item_id = ANY(${[...itemIds]}::text[]) AND status = 'open' ORDER BY item_id, account_id`;
    const own = rows.map(({ account_id, item_id, raw }) => ({ ...identityOf(raw), account_id, item_id }));
    return itemIds.flatMap((itemId) =>
      lackedBy(
        accounts,
        own.filter(({ item_id }) => item_id === itemId),
      ).map(({ account_id }) => account_id),
    );
  };

  const linkingOf = async (db: Sql | Tx, tokenHash: string) =>
    firstOf(
      await db<Selected<typeof linking>[]>`
      SELECT ${linking.list(db)} FROM links WHERE token_hash = ${tokenHash}`,
    );

  const replacedBy = async (db: Sql | Tx, itemId: string): Promise<string[]> => {
    const rows = await db<Selected<typeof other>[]>`
      SELECT ${other.list(db, 'o')} FROM items i JOIN items o ON o.user_id = i.user_id AND o.replaced_by = i.item_id
      WHERE i.item_id = ${itemId} AND o.admitted_at IS NOT NULL ORDER BY o.created_at, o.item_id`;
    return rows.map((row) => row.item_id);
  };

  const admittedBefore = async (
    db: Sql | Tx,
    tokenHash: string,
    itemId: string,
    connected: Pick<Admitted, 'connection_id' | 'joined' | 'updated'>,
  ): Promise<Admitted> => ({
    kind: 'admitted',
    replaced: await replacedBy(db, itemId),
    dropped: (await linkingOf(db, tokenHash))?.dropped ?? [],
    ...connected,
  });

  const named = (connectionId: string | null): Pick<Admitted, 'connection_id'> =>
    connectionId === null ? {} : { connection_id: connectionId };

  /** What a link's user has chosen, as far as Link's metadata say it; null = they say nothing. */
  const chosenIn = (accounts: LinkRow['accounts']): OfferedAccount[] | null =>
    accounts.length === 0
      ? null
      : accounts.map((account) => ({ ...identityOf(account), account_id: account.id ?? null }));

  /** Keeps the ids that Plaid has said: connections are handed on by them before there is a list, and Link's metadata may lack them. */
  async function keepIds(tx: Tx, { tokenHash, accounts }: Admission): Promise<void> {
    if (accounts.some(({ account_id }) => account_id == null)) return;
    const listed = accounts.map(({ account_id: id, ...identity }) => ({ id, ...identity }));
    await tx`UPDATE links SET accounts = ${jsonbText(listed)}::text::jsonb WHERE token_hash = ${tokenHash}`;
  }

  const finishWith = (tx: Tx, tokenHash: string, outcome: LinkOutcome) => tx`
    WITH over AS (DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash})
    UPDATE links SET outcome = ${JSON.stringify(outcome)}::text::jsonb, state = 'finished',
      ${eraseToken(tx)}, updated_at = clock_timestamp()
    WHERE token_hash = ${tokenHash}`;

  /** Whether an application may have the answer to a token that another one has used: only where both see every Item. */
  const sharesTokens = async (mine: string, theirs: string): Promise<boolean> => {
    if (mine === theirs) return true;
    const rows = await sql<Selected<typeof seeing>[]>`
      SELECT ${seeing.list(sql)} FROM applications WHERE application_id = ANY(${[mine, theirs]}::text[])`;
    return rows.every(({ access }) => access === 'all');
  };

  const joinedWith = (itemId: string, connectionId: string, dropped: string[]): Joined => ({
    kind: 'joined',
    itemId,
    connection_id: connectionId,
    ...(dropped.length === 0 ? {} : { dropped }),
  });

  /** The other Item of the user that shares an account with the new one: joined, or protected. What the new one alone has goes with it. */
  const withOther = async (
    tx: Tx,
    other: { itemId: string; userId: string },
    { itemId: surplusId, tokenHash, accounts: offered }: Admission,
    applicant: Applicant,
  ): Promise<Joined | { kind: 'duplicate'; itemId: string } | { kind: 'moved' }> => {
    const now = await lockSeen(tx, other.itemId);
    if (now === null || now.closed) return { kind: 'moved' };
    const visit = { kind: 'surplus', itemId: surplusId } as const;
    const connectionId = await joinItem(tx, other, applicant, offered, visit);
    if (connectionId === null) return { kind: 'duplicate', itemId: other.itemId };
    // From here on the new Item is to be discarded, and names the one that its link has joined.
    await tx`
      UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = ${other.itemId}
      WHERE item_id = ${surplusId}`;
    const dropped = await notJoined(tx, other.itemId, applicant, offered);
    await tx`UPDATE links SET dropped_accounts = ${dropped}::text[] WHERE token_hash = ${tokenHash}`;
    return joinedWith(other.itemId, connectionId, dropped);
  };

  const eraseToken = (db: Sql | Tx) =>
    db`public_token_key_id = NULL, public_token_data_key = NULL, public_token_ciphertext = NULL`;

  /**
   * A duplicate that was refused before its exchange, and that its client allows now, or whose Item is on its way out or gone since: the
   * token is as good as it was.
   */
  const receivedAnew = async (link: NewLink, known: LinkRow): Promise<LinkRow | null> => {
    const refused = known.outcome?.kind === 'duplicate' && known.item_id === null;
    if (!refused) return null;
    const allowed = link.allow_duplicate === true;
    const row = firstOf(
      await sql<Selected<typeof linkRow>[]>`
      UPDATE links SET state = 'received', outcome = NULL, allow_duplicate = ${allowed}, updated_at = clock_timestamp(),
        connection = ${grantText(link)}::text::jsonb,
        public_token_key_id = ${link.publicToken.keyId}, public_token_data_key = ${link.publicToken.dataKey},
        public_token_ciphertext = ${link.publicToken.ciphertext}
      WHERE token_hash = ${link.token_hash} AND state = 'finished' AND item_id IS NULL AND outcome->>'kind' = 'duplicate'
        AND NOT EXISTS (SELECT FROM erasures e WHERE e.user_id = links.user_id)
        AND (${allowed} OR NOT EXISTS (
          SELECT FROM items i WHERE i.item_id = links.outcome->>'item_id' AND i.removed_at IS NULL AND i.removal_requested_at IS NULL))
      RETURNING ${linkRow.list(sql)}`,
    );
    return row ?? get(sql, link.token_hash);
  };

  return {
    async receive(link) {
      const known = await get(sql, link.token_hash);
      const isTheirs = async (row: LinkRow): Promise<boolean> =>
        row.user_id === link.user_id && (await sharesTokens(link.application_id, row.application_id));
      // A stranger's token makes nobody a user.
      if (known !== null)
        return (await isTheirs(known)) ? ((await receivedAnew(link, known)) ?? known) : null;
      const accounts = cleaned(link.accounts).value;
      await sql.begin(async (tx) => {
        await builder(tx).insert(users).values({ userId: link.user_id }).onConflictDoNothing();
        await refuseWhileErased(tx, link.user_id);
        await tx`
          INSERT INTO links (token_hash, user_id, application_id, public_token_key_id, public_token_data_key,
            public_token_ciphertext, institution_id, accounts, main_account_id, allow_duplicate, connection)
          VALUES (${link.token_hash}, ${link.user_id}, ${link.application_id}, ${link.publicToken.keyId},
            ${link.publicToken.dataKey}, ${link.publicToken.ciphertext}, ${link.institution_id},
            ${JSON.stringify(accounts)}::text::jsonb, ${link.main_account_id}, ${link.allow_duplicate ?? false},
            ${grantText(link)}::text::jsonb)
          ON CONFLICT DO NOTHING`;
      });
      const row = await get(sql, link.token_hash);
      if (row === null) throw new Failure('UPSTREAM_DOWN', 'the link was not stored');
      return (await isTheirs(row)) ? row : null;
    },

    get: (tokenHash) => get(sql, tokenHash),

    async age(tokenHash) {
      const row = firstOf(
        await sql<{ since_received: number; in_state: number }[]>`
        SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 * 1000 AS since_received,
          extract(epoch FROM clock_timestamp() - updated_at)::float8 * 1000 AS in_state
        FROM links WHERE token_hash = ${tokenHash}`,
      );
      return { sinceReceived: row?.since_received ?? 0, inState: row?.in_state ?? 0 };
    },

    async isUnwanted(itemId) {
      const row = firstOf(
        await sql`
        SELECT FROM items i JOIN erasures e ON e.user_id = i.user_id
        WHERE i.item_id = ${itemId} AND i.admitted_at IS NULL`,
      );
      return row !== undefined;
    },

    async join(tokenHash, itemId) {
      return sql.begin(async (tx) => {
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM links WHERE token_hash = ${tokenHash}) FOR NO KEY UPDATE`;
        const now = await lockSeen(tx, itemId);
        const link = firstOf(
          await tx<Selected<typeof linkRow>[]>`
          SELECT ${linkRow.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR NO KEY UPDATE`,
        );
        if (link?.state !== 'received') return 'finished';
        if (now === null || now.closed || link.institution_id === null) return 'moved';
        const chosen = chosenIn(link.accounts) ?? [];
        const alikes = await overlapping(tx, link.user_id, link.institution_id, chosen, null);
        const found = alikes.find((other) => other.itemId === itemId);
        if (found === undefined) return 'moved';
        const applicant = await applicantOf(tx, tokenHash);
        if (!found.proven) return (await seesItem(tx, itemId, applicant)) ? 'duplicate' : 'unproven';
        if (!(await holdsEvery(tx, itemId, chosen))) return 'unproven';
        if (await needsPersistentIds(tx, itemId, chosen)) return 'unproven';
        const item = { itemId, userId: link.user_id };
        if (await knowsBank(tx, item, link.institution_id, applicant)) return 'unproven';
        if (await hasTriedOften(tx, tokenHash)) return 'unproven';
        const connectionId = await joinItem(tx, item, applicant, chosen, { kind: 'offered' });
        if (connectionId === null) return 'duplicate';
        const dropped = await notJoined(tx, itemId, applicant, chosen);
        await finishWith(tx, tokenHash, joinedOutcome(joinedWith(itemId, connectionId, dropped)));
        return 'joined';
      });
    },

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
          WHERE webhook_id IN (
            SELECT webhook_id FROM webhooks
            WHERE item_id = ${item.itemId} AND outcome = 'pending'
              AND received_at < clock_timestamp() - ${adoptionWindow}::interval
            -- What another holds is being ended by it.
            FOR UPDATE SKIP LOCKED)`;
      });
    },

    async findDuplicates(userId, institutionId, accounts, except) {
      const found = await overlapping(sql, userId, institutionId, accounts, except);
      return found.flatMap(({ itemId, accessToken, seen, proven }) =>
        accessToken ? [{ itemId, accessToken, seen, proven }] : [],
      );
    },

    async findUnplaced(userId, institutionId, accounts, except) {
      const found = await alike(sql, userId, institutionId, accounts, except);
      return found.flatMap(({ itemId, institution_id, accessToken, seen, proven }) =>
        institution_id === null && accessToken ? [{ itemId, accessToken, seen, proven }] : [],
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
        const applicant = await applicantOf(tx, admission.tokenHash);
        const link = await linkingOf(tx, admission.tokenHash);
        const owner = firstOf(
          await tx<(Selected<typeof owned> & { gone: boolean })[]>`
          SELECT ${owned.list(tx)}, removed_at IS NOT NULL
            OR admitted_at IS NULL AND removal_requested_at IS NOT NULL AS gone
          FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`,
        );
        if (owner?.admitted === false && owner.replaced_by !== null) {
          // Its link has joined another Item.
          const connectionId = await connectionWith(tx, owner.replaced_by, applicant);
          if (connectionId !== null) return joinedWith(owner.replaced_by, connectionId, link?.dropped ?? []);
        }
        if (owner === undefined || owner.gone) throw new Failure('ITEM_GONE', 'the Item was discarded');
        const item = { itemId, userId: owner.user_id };
        if (owner.admitted) {
          // Once a link: who was disconnected since then is not connected again by a repeat.
          const first = !owner.asked && link?.dropped === null;
          const visit = { kind: 'update_mode' } as const;
          const joined = first ? await joinItem(tx, item, applicant, chosenIn(link.accounts), visit) : null;
          if (first) {
            await tx`UPDATE links SET dropped_accounts = '{}' WHERE token_hash = ${admission.tokenHash}`;
          }
          const connected = joined ?? (await connectionWith(tx, itemId, applicant));
          return admittedBefore(tx, admission.tokenHash, itemId, {
            ...named(connected),
            ...(joined === null ? {} : { joined: true }),
            ...(owner.token_hash === admission.tokenHash ? {} : { updated: true }),
          });
        }
        if (await isBeingErased(tx, owner.user_id)) return { kind: 'user_being_erased' as const };
        const found =
          institutionId === null || link?.allow_duplicate === true
            ? []
            : await overlapping(tx, owner.user_id, institutionId, admission.accounts, itemId);
        const replaceable = new Map(admission.replaceable.map((other) => [other.itemId, other.seen]));
        const proven = found.filter((other) => other.proven);
        // By guesses nobody joins another application's Item, nor takes it away.
        for (const other of admission.byWordAlone === true ? proven : []) {
          if (!(await seesItem(tx, other.itemId, applicant))) return { kind: 'unproven' as const };
        }
        const protects = proven.find((other) => !replaceable.has(other.itemId));
        // Those of the very same accounts are of its login: of them none is lost. The healthy one shares a joint account with them, and
        // protects all others.
        const same =
          protects !== undefined && protects.lacks > 0 ? proven.filter(({ isEqual }) => isEqual) : [];
        if (protects !== undefined && same.length === 0) {
          const other = { itemId: protects.itemId, userId: owner.user_id };
          return withOther(tx, other, admission, applicant);
        }
        for (const other of found) {
          if (other.proven || admission.gone?.includes(other.itemId) === true) continue;
          if (await seesItem(tx, other.itemId, applicant))
            return { kind: 'duplicate' as const, itemId: other.itemId };
        }
        const replaced = (protects === undefined ? proven : same).map((other) => other.itemId);
        for (const id of replaced) {
          const now = await lockSeen(tx, id);
          const seen = replaceable.get(id);
          // Repaired since it was asked after, perhaps: a healthy Item is never replaced.
          if (now === null || seen === undefined || !sameHealth(now.seen, seen))
            return { kind: 'moved' as const };
        }
        await tx`
          UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = ${itemId}
          WHERE item_id = ANY(${replaced}::text[])`;
        const dropped = await droppedBy(tx, replaced, admission.accounts);
        await tx`UPDATE links SET dropped_accounts = ${dropped}::text[] WHERE token_hash = ${admission.tokenHash}`;
        await keepIds(tx, admission);
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
        const connectionId = await connectLinked(tx, item, applicant);
        await carryConnections(tx, replaced, item, admission.accounts);
        // Last: who is connected by now is told.
        await writeEvents(tx, [linkedEvent({ item_id: itemId, user_id: owner.user_id })]);
        return {
          kind: 'admitted' as const,
          replaced: await replacedBy(tx, itemId),
          dropped,
          ...named(connectionId),
        };
      });
    },

    async admitted(tokenHash, itemId) {
      return sql.begin(async (tx) => {
        const item = firstOf(
          await tx`SELECT FROM items WHERE item_id = ${itemId} AND admitted_at IS NOT NULL`,
        );
        if (item === undefined) return null;
        const connectionId = await connectionWith(tx, itemId, await applicantOf(tx, tokenHash));
        return admittedBefore(tx, tokenHash, itemId, named(connectionId));
      });
    },

    async reportLost(tokenHash) {
      const row = firstOf(
        await sql<Pick<RowOf<typeof links>, 'outcome'>[]>`
        WITH lost AS (
          UPDATE links SET outcome = ${JSON.stringify({ kind: 'outcome_unknown' })}::text::jsonb, state = 'finished',
            ${eraseToken(sql)}, updated_at = clock_timestamp()
          WHERE token_hash = ${tokenHash} AND state = 'exchanging' RETURNING token_hash, user_id, outcome
        ), over AS (
          DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash} AND EXISTS (
            SELECT FROM links WHERE token_hash = ${tokenHash} AND state IN ('exchanging', 'finished'))
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
        // The Item before the link, as everywhere.
        await tx`
          SELECT FROM items WHERE item_id = (SELECT item_id FROM links WHERE token_hash = ${tokenHash}) FOR NO KEY UPDATE`;
        const row = firstOf(
          await tx<Selected<typeof finishing>[]>`
          SELECT ${finishing.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR NO KEY UPDATE`,
        );
        if (row === undefined) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
        if (row.outcome !== null) {
          // The answer of an earlier try was lost, and since then it may have been said that the link is stuck.
          await tx`DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash}`;
          return row.outcome;
        }
        const item = firstOf(
          await tx<Selected<typeof end>[]>`
          SELECT ${end.list(tx)} FROM items WHERE item_id = ${row.item_id}`,
        );
        const own = linked && outcome.item_id === row.item_id;
        const admitted = item?.admitted === true;
        // Of one that was the user's, and is no more, any end is better than none.
        const fits =
          row.state === 'exchanged'
            ? own
              ? admitted
              : !admitted || item.removed
            : row.state === 'received' && !linked;
        if (!fits) throw new Failure('BAD_REQUEST', 'the link is not where this outcome could end it');
        await finishWith(tx, tokenHash, outcome);
        if (row.state === 'exchanged') {
          // Committed with the answer: whoever dies now, the sweep finds what is left to be done.
          await tx`
            UPDATE items SET removal_requested_at = coalesce(removal_requested_at, clock_timestamp())
            WHERE item_id = ${row.item_id} AND admitted_at IS NULL AND removed_at IS NULL`;
        }
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
        WITH over AS (
          DELETE FROM alerts WHERE kind = 'link_stuck' AND key = (SELECT token_hash FROM items WHERE item_id = ${itemId})
        ),
        discarded AS (
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
