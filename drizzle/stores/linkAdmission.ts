import { linkedEvent } from '../../domain/exchange/itemEvents.js';
import { Failure } from '../../domain/failures.js';
import { joinedOutcome } from '../../domain/joinedOutcome.js';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { identityOf, lackedBy } from '../../domain/mining/accounts.js';
import type {
  Admission,
  Admitted,
  Joined,
  LinkRow,
  LinkStore,
  OfferedAccount,
} from '../../domain/ports/links.js';
import type { Seen } from '../../domain/ports/items.js';
import { jsonbText } from '../jsonText.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { accounts as accountTable, items, links } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { isRevokedAtBank, suspendIfRevoked } from './bankRevocation.js';
import { isBeingErased } from './beingErased.js';
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
import { finishWith, linkRow } from './linkRows.js';
import { overlapping } from './lookalikes.js';
import { lockSeen, sameHealth } from './seen.js';
import { writeEvents } from './writeEvents.js';

const owned = selection(items, ['user_id', 'token_hash', 'replaced_by', 'error_type', 'error_code'], {
  revoked: isSet('revoked_at'),
  admitted: isSet('admitted_at'),
  asked: isSet('removal_requested_at'),
});
const worded = selection(items, ['error_type', 'error_code'], { revoked: isSet('revoked_at') });
const other = selection(items, ['item_id']);
const linking = selection(links, ['accounts', 'allow_duplicate'], { dropped: 'dropped_accounts' });
const shared = selection(accountTable, ['account_id', 'item_id', 'raw']);

type Owned = Selected<typeof owned> & { gone: boolean };
type Linking = Selected<typeof linking>;

/** Open accounts of these Items of which `accounts` has none that is the same; two of the Items may have one in common. */
async function droppedBy(
  db: Sql | Tx,
  itemIds: readonly string[],
  accounts: readonly AccountIdentity[],
): Promise<string[]> {
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
}

const linkingOf = async (db: Sql | Tx, tokenHash: string) =>
  firstOf(
    await db<Selected<typeof linking>[]>`
    SELECT ${linking.list(db)} FROM links WHERE token_hash = ${tokenHash}`,
  );

async function replacedBy(db: Sql | Tx, itemId: string): Promise<string[]> {
  const rows = await db<Selected<typeof other>[]>`
    SELECT ${other.list(db, 'o')} FROM items i JOIN items o ON o.user_id = i.user_id AND o.replaced_by = i.item_id
    WHERE i.item_id = ${itemId} AND o.admitted_at IS NOT NULL ORDER BY o.created_at, o.item_id`;
  return rows.map((row) => row.item_id);
}

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

const joinedWith = (itemId: string, connectionId: string, dropped: string[]): Joined => ({
  kind: 'joined',
  itemId,
  connection_id: connectionId,
  ...(dropped.length === 0 ? {} : { dropped }),
});

/** Whether the Item was called something else since it was asked after: broken, perhaps. An update that went well is no news of that. */
const isNews = (now: { seen: Seen }, seen: Seen | undefined): boolean =>
  seen !== undefined && now.seen.health !== seen.health;

/** Locks another Item, and says whether it stays, and is called what it was before Plaid was asked after it. */
async function isAsAsked(
  tx: Tx,
  { healthy = [], replaceable }: Pick<Admission, 'healthy' | 'replaceable'>,
  itemId: string,
): Promise<boolean> {
  const now = await lockSeen(tx, itemId);
  const seen = [...healthy, ...replaceable].find((other) => other.itemId === itemId)?.seen;
  return now !== null && !now.closed && !isNews(now, seen);
}

/** The other Item of the user that shares an account with the new one: joined, or protected. What the new one alone has goes with it. */
async function withOther(
  tx: Tx,
  other: { itemId: string; userId: string },
  admission: Admission,
  applicant: Applicant,
): Promise<Joined | { kind: 'duplicate'; itemId: string } | { kind: 'moved' }> {
  if (!(await isAsAsked(tx, admission, other.itemId))) return { kind: 'moved' };
  const { itemId: surplusId, tokenHash, accounts: offered } = admission;
  const visit = { kind: 'surplus', itemId: surplusId } as const;
  const connectionId = await joinItem(tx, other, applicant, offered, visit);
  if (connectionId === null) return { kind: 'duplicate', itemId: other.itemId };
  // Plaid did not say how it is: by what is known of it nobody else reads it.
  if (admission.healthy?.some(({ itemId }) => itemId === other.itemId) !== true) {
    const word = firstOf(
      await tx<
        [Selected<typeof worded>]
      >`SELECT ${worded.list(tx)} FROM items WHERE item_id = ${other.itemId}`,
    );
    await suspendIfRevoked(tx, other.itemId, applicant.applicationId, word);
  }
  // From here on the new Item is to be discarded, and names the one that its link has joined.
  await tx`
    UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = ${other.itemId}
    WHERE item_id = ${surplusId}`;
  const dropped = await notJoined(tx, other.itemId, applicant, offered);
  await tx`UPDATE links SET dropped_accounts = ${dropped}::text[] WHERE token_hash = ${tokenHash}`;
  return joinedWith(other.itemId, connectionId, dropped);
}

/** An Item that was admitted before: by this link, whose answer was lost, or by another one, since update mode gives a public token too. */
async function admitKnown(
  tx: Tx,
  { itemId, tokenHash, isRevoked = false, seen }: Admission,
  owner: Owned,
  applicant: Applicant,
  link: Linking | undefined,
): Promise<Admitted> {
  const item = { itemId, userId: owner.user_id };
  // Once a link: who was disconnected since then is not connected again by a repeat.
  const first = !owner.asked && link?.dropped === null && !(await isBeingErased(tx, owner.user_id));
  const visit = { kind: 'update_mode' } as const;
  const joined = first ? await joinItem(tx, item, applicant, chosenIn(link.accounts), visit) : null;
  if (joined !== null) {
    const now = await lockSeen(tx, itemId);
    // A row that has not heard of this visit to update mode says nothing, nor does what else it has heard since. Its user may have taken
    // the permission back, too: Plaid is asked once more.
    if (!isRevoked && now !== null && isNews(now, seen) && isRevokedAtBank(owner))
      throw new Failure('UPSTREAM_DOWN', 'the Item changed while it was asked after');
    if (isRevoked) await suspendIfRevoked(tx, itemId, applicant.applicationId, { ...owner, revoked: true });
  }
  if (first) await tx`UPDATE links SET dropped_accounts = '{}' WHERE token_hash = ${tokenHash}`;
  const connected = joined ?? (await connectionWith(tx, itemId, applicant));
  return admittedBefore(tx, tokenHash, itemId, {
    ...named(connected),
    ...(joined === null ? {} : { joined: true }),
    ...(owner.token_hash === tokenHash ? {} : { updated: true }),
  });
}

/** The Items whose place a new one takes, by their ids; or what becomes of its link in place of an admission. */
async function placeOf(
  tx: Tx,
  admission: Admission,
  owner: Owned,
  applicant: Applicant,
  link: Linking | undefined,
): Promise<string[] | Exclude<Awaited<ReturnType<LinkStore['admit']>>, Admitted>> {
  const { itemId, institutionId } = admission;
  const found =
    institutionId === null || link?.allow_duplicate === true
      ? []
      : await overlapping(tx, owner.user_id, institutionId, admission.accounts, itemId);
  const replaceable = new Map(admission.replaceable.map((other) => [other.itemId, other.seen]));
  const proven = found.filter((other) => other.proven);
  // By guesses nobody joins another application's Item, nor takes it away.
  for (const other of admission.byWordAlone === true ? proven : []) {
    if (!(await seesItem(tx, other.itemId, applicant))) return { kind: 'unproven' };
  }
  const protects = proven.find((other) => !replaceable.has(other.itemId));
  // Those of the very same accounts are of its login: of them none is lost. The healthy one shares a joint account with them, and
  // protects all others.
  const same = protects !== undefined && protects.lacks > 0 ? proven.filter(({ isEqual }) => isEqual) : [];
  if (protects !== undefined && same.length === 0) {
    return withOther(tx, { itemId: protects.itemId, userId: owner.user_id }, admission, applicant);
  }
  for (const { itemId: id, proven: isProven } of found) {
    if (isProven || admission.gone?.includes(id) === true || !(await seesItem(tx, id, applicant))) continue;
    return (await isAsAsked(tx, admission, id)) ? { kind: 'duplicate', itemId: id } : { kind: 'moved' };
  }
  const replaced = (protects === undefined ? proven : same).map((other) => other.itemId);
  for (const id of replaced) {
    const now = await lockSeen(tx, id);
    const seen = replaceable.get(id);
    // Repaired since it was asked after, perhaps: a healthy Item is never replaced.
    if (now === null || seen === undefined || !sameHealth(now.seen, seen)) return { kind: 'moved' };
  }
  return replaced;
}

async function admitFirst(
  tx: Tx,
  admission: Admission,
  owner: Owned,
  applicant: Applicant,
  replaced: readonly string[],
): Promise<Admitted> {
  const { itemId, tokenHash } = admission;
  const item = { itemId, userId: owner.user_id };
  await tx`
    UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = ${itemId}
    WHERE item_id = ANY(${[...replaced]}::text[])`;
  const dropped = await droppedBy(tx, replaced, admission.accounts);
  await tx`UPDATE links SET dropped_accounts = ${dropped}::text[] WHERE token_hash = ${tokenHash}`;
  await keepIds(tx, admission);
  await writeIdentities(tx, itemId, admission.accounts);
  await tx`
    UPDATE items SET admitted_at = clock_timestamp(), institution_id = ${admission.institutionId},
      institution_name = ${admission.institutionName}, consent_expires_at = ${admission.consentExpiresAt},
      main_account_id = ${admission.mainAccountId}, next_due_at = clock_timestamp(),
      numbers_due_at = clock_timestamp()
    WHERE item_id = ${itemId}`;
  await tx`
    UPDATE users SET activated_at = coalesce(activated_at, clock_timestamp())
    WHERE user_id = ${owner.user_id}`;
  const connectionId = await connectLinked(tx, item, applicant);
  await carryConnections(tx, replaced, item, admission);
  // Last: who is connected by now is told.
  await writeEvents(tx, [linkedEvent({ item_id: itemId, user_id: owner.user_id })]);
  return {
    kind: 'admitted',
    replaced: await replacedBy(tx, itemId),
    dropped,
    ...named(connectionId),
  };
}

/** What a link becomes: an Item of its own, or a connection with one that its user has. */
export function linkAdmissions(sql: Sql): Pick<LinkStore, 'join' | 'admit' | 'admitted'> {
  return {
    async join(tokenHash, itemId, seen) {
      return sql.begin(async (tx) => {
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM links WHERE token_hash = ${tokenHash}) FOR NO KEY UPDATE`;
        const now = await lockSeen(tx, itemId);
        const link = firstOf(
          await tx<Selected<typeof linkRow>[]>`
          SELECT ${linkRow.list(tx)} FROM links WHERE token_hash = ${tokenHash} FOR NO KEY UPDATE`,
        );
        if (link?.state !== 'received') return 'finished';
        if (now === null || now.closed || link.institution_id === null || isNews(now, seen)) return 'moved';
        // The erasure ends this link in a moment.
        if (await isBeingErased(tx, link.user_id)) return 'moved';
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

    async admit(admission) {
      const { itemId, tokenHash } = admission;
      return sql.begin(async (tx) => {
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM items WHERE item_id = ${itemId}) FOR NO KEY UPDATE`;
        // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
        const applicant = await applicantOf(tx, tokenHash);
        const link = await linkingOf(tx, tokenHash);
        const owner = firstOf(
          await tx<Owned[]>`
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
        if (owner.admitted) return admitKnown(tx, admission, owner, applicant, link);
        if (await isBeingErased(tx, owner.user_id)) return { kind: 'user_being_erased' as const };
        const place = await placeOf(tx, admission, owner, applicant, link);
        return Array.isArray(place) ? admitFirst(tx, admission, owner, applicant, place) : place;
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
  };
}
