import { carriedAccounts, isGrantedBy, stillAwaited } from '../../domain/exchange/carriedAccounts.js';
import type { Grant } from '../../domain/exchange/connection.js';
import { withinAccounts } from '../../domain/exchange/widening.js';
import { counterpartOf, isKnownSame, isSameAccount, lackedBy } from '../../domain/mining/accounts.js';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import type { Access } from '../../domain/ports/applications.js';
import type { Admission, OfferedAccount } from '../../domain/ports/links.js';
import { firstOf, iso } from '../rows.js';
import type { Fragment, Tx } from '../rows.js';
import { applications, connections, items, links } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { idsOfBank } from './banks.js';
import { hasRelinked, isActive } from './connectionStatus.js';
import type { Actor } from './connectionWrites.js';
import {
  awaitAccounts,
  changeConnection,
  expireConnections,
  grantConnection,
  suspendCarried,
  suspendConnections,
} from './connectionWrites.js';

import { suspendIfRevoked } from './bankRevocation.js';
import { releaseDeliveries } from './heldDeliveries.js';
import { identitiesOf, knownAccounts, rowsOf } from './knownAccounts.js';
import type { OwnAccount } from './knownAccounts.js';

/** How a link's application comes to its connection: with the Item that it has linked, or with one that was there. */

const asking = selection(links, ['application_id'], { grant: 'connection' });
const seeing = selection(applications, ['access']);
const standing = selection(connections, ['connection_id', 'account_ids', 'new_accounts', 'granted_accounts']);
const joinable = selection(items, ['error_type', 'error_code'], {
  revoked: isSet('revoked_at'),
  broken: isSet('error_code'),
  unconnected: isSet('unconnected_since'),
});
const carried = selection(
  connections,
  [
    'application_id',
    'scopes',
    'account_ids',
    'new_accounts',
    'granted_accounts',
    'lookback_days',
    'purpose',
    'evidence',
    'awaited',
  ],
  { suspended: isSet('suspended_at'), expires_at: 'expires_at', awaits: 'awaits_accounts' },
);

/** Who has sent a link, and what it is to be granted; a grant of null = a link of an older release. */
export interface Applicant {
  applicationId: string;
  access: Access;
  grant: Grant | null;
}

/** An Item whose row is locked. */
export interface LockedItem {
  itemId: string;
  userId: string;
}

export async function applicantOf(tx: Tx, tokenHash: string): Promise<Applicant> {
  const row = firstOf(
    await tx<(Selected<typeof asking> & Partial<Selected<typeof seeing>>)[]>`
    SELECT ${asking.list(tx, 'l')}, ${seeing.list(tx, 'a')} FROM links l
      LEFT JOIN applications a ON a.application_id = l.application_id
    WHERE l.token_hash = ${tokenHash}`,
  );
  return {
    applicationId: row?.application_id ?? '',
    access: row?.access ?? 'all',
    grant: row?.grant ?? null,
  };
}

const by = ({ applicationId }: Applicant, reason: string): Actor => ({
  initiator: 'application',
  applicationId,
  keyId: null,
  reason,
});

/**
 * Where the user has just been. `offered`: by the word of Link's metadata alone. `update_mode`: in that of the Item itself. `surplus`: in
 * a new Link, whose Item Plaid has made.
 */
export type Visit = { kind: 'offered' } | { kind: 'update_mode' } | { kind: 'surplus'; itemId: string };

/** Whether a connection `c` that is suspended may go on by this visit: the user was at the bank since, for its application. */
function mayResume(tx: Tx, visit: Visit): Fragment {
  switch (visit.kind) {
    case 'offered':
      return tx`false`;
    case 'update_mode':
      return hasRelinked(tx);
    case 'surplus':
      return tx`coalesce(c.suspended_at < (SELECT s.created_at FROM items s WHERE s.item_id = ${visit.itemId}), false)`;
  }
}

/** A connection `c` whose time is over. */
const hasExpired = (tx: Tx): Fragment => tx`coalesce(c.expires_at <= clock_timestamp(), false)`;

async function standingWith(tx: Tx, itemId: string, applicationId: string, visit: Visit) {
  return firstOf(
    await tx<(Selected<typeof standing> & { expired: boolean; resumes: boolean })[]>`
    SELECT ${standing.list(tx, 'c')}, ${hasExpired(tx)} AS expired, c.suspended_at IS NOT NULL AND ${mayResume(tx, visit)} AS resumes
    FROM connections c
    WHERE c.item_id = ${itemId} AND c.application_id = ${applicationId} AND c.revoked_at IS NULL`,
  );
}

/** The connection that the application has with the Item, whatever keeps it from reading; null = none, or it was revoked. */
export async function connectionWith(
  tx: Tx,
  itemId: string,
  { applicationId }: Applicant,
): Promise<string | null> {
  return (await standingWith(tx, itemId, applicationId, { kind: 'offered' }))?.connection_id ?? null;
}

/** Whether the application was connected with the Item. */
async function wasConnected(tx: Tx, itemId: string, { applicationId }: Applicant): Promise<boolean> {
  const rows = await tx`
    SELECT FROM connections WHERE item_id = ${itemId} AND application_id = ${applicationId} LIMIT 1`;
  return rows.length > 0;
}

/**
 * Whether the application may not read the Item now, and is or was connected with it, or with another one of its user's at that bank:
 * whose place it has taken, perhaps, or which has some accounts in common with it. It knows accounts: that it names them proves nothing of
 * its user.
 */
export async function knowsBank(
  tx: Tx,
  { itemId, userId }: LockedItem,
  institutionId: string,
  applicant: Applicant,
): Promise<boolean> {
  const { applicationId, access } = applicant;
  if (access === 'all' && (await seesItem(tx, itemId, applicant))) return false;
  const { knows } = firstOf(
    await tx<[{ knows: boolean }]>`
    SELECT coalesce(NOT bool_or(c.item_id = ${itemId} AND ${isActive(tx)}), false) AS knows
    FROM connections c JOIN items i ON i.item_id = c.item_id
    WHERE c.application_id = ${applicationId} AND c.user_id = ${userId}
      AND (i.institution_id IS NULL OR i.institution_id IN ${idsOfBank(tx, institutionId)})`,
  );
  return knows;
}

/** Links in a day that came from no Link, or have not ended yet, after which an application's word of a user's accounts is believed no more. */
const triesADay = 3;

/**
 * Whether the application has sent public tokens for the link's user that Plaid refuses, again and again: then what it says of accounts may
 * be guesses. Those on their way count, too: many at once are no way around it.
 */
export async function hasTriedOften(tx: Tx, tokenHash: string): Promise<boolean> {
  const { often } = firstOf(
    await tx<[{ often: boolean }]>`
    SELECT count(*) >= ${triesADay} AS often FROM links l
      JOIN links t ON t.user_id = l.user_id AND t.application_id = l.application_id AND t.token_hash <> l.token_hash
    WHERE l.token_hash = ${tokenHash} AND t.created_at > clock_timestamp() - interval '1 day'
      AND (t.state <> 'finished' OR t.outcome->>'kind' IN ('invalid_public_token', 'refused'))`,
  );
  return often;
}

/** Grants the Item that a link has made. */
export async function connectLinked(tx: Tx, item: LockedItem, applicant: Applicant): Promise<string | null> {
  if (applicant.grant === null) return null;
  const to = { ...item, applicationId: applicant.applicationId };
  return grantConnection(tx, to, applicant.grant, by(applicant, 'linked'));
}

/**
 * Connects an application with an Item that was there. One that is over by time is renewed by the new grant, one that is suspended
 * goes on where its user was at the bank since. Null, and nothing was done: the application sees the Item already, or it was
 * revoked and comes with an old update mode. `offered`: the accounts that the user has chosen; null = nobody knows.
 */
export async function joinItem(
  tx: Tx,
  item: LockedItem,
  applicant: Applicant,
  offered: readonly OfferedAccount[] | null,
  visit: Visit,
): Promise<string | null> {
  const { applicationId, access, grant } = applicant;
  const { itemId } = item;
  const row = firstOf(
    await tx<Selected<typeof joinable>[]>`
    SELECT ${joinable.list(tx)} FROM items WHERE item_id = ${itemId}`,
  );
  if (grant === null || row === undefined) return null;
  // It sees every Item; but one with which nobody is connected any more is about to go.
  if (access === 'all' && !row.unconnected) return null;
  const before = await standingWith(tx, itemId, applicationId, visit);
  const chosen =
    offered === null
      ? await blindGrant(tx, itemId, grant, before)
      : await asChosen(tx, itemId, grant, offered, visit, before);
  if (before === undefined) {
    // Since its end it was given none of this Item.
    if (visit.kind === 'update_mode' && (await wasConnected(tx, itemId, applicant))) return null;
    const to = { ...item, applicationId };
    const connectionId = await grantConnection(tx, to, chosen.grant, by(applicant, 'joined'));
    await awaitAccounts(tx, connectionId, chosen.awaited);
    return connectionId;
  }
  const resumes = before.resumes && !row.broken;
  if (!before.expired && !resumes) return null;
  const actor = by(applicant, 'linked once more');
  // Where the user has chosen anew what had come to the connection by itself, and was not chosen now, is taken away.
  const changes = { renewed: true, takesAway: offered !== null };
  await changeConnection(tx, before.connection_id, itemId, chosen.grant, changes, actor);
  await awaitAccounts(tx, before.connection_id, chosen.awaited);
  if (resumes) await suspendConnections(tx, itemId, false, applicationId, actor);
  // After update mode the row's word may be of before: whoever has asked Plaid since knows better.
  if (visit.kind !== 'update_mode') await suspendIfRevoked(tx, itemId, applicationId, row);
  await releaseDeliveries(tx, itemId);
  return before.connection_id;
}

/**
 * What of a grant an application is given where nobody knows which accounts were chosen: of those of its connection none besides; else all that
 * the Item is known to have.
 */
async function blindGrant(
  tx: Tx,
  itemId: string,
  grant: Grant,
  before: Selected<typeof standing> | undefined,
): ReturnType<typeof asChosen> {
  const { account_ids: ids } = grant;
  if (before === undefined && ids === null)
    return asChosen(tx, itemId, grant, await identitiesOf(tx, itemId), { kind: 'update_mode' }, before);
  const own = ids === null ? [] : await rowsOf(tx, itemId);
  const past = own.filter((one) => one.heir !== null && ids?.includes(heirOf(one, own).account_id));
  const account_ids = ids && [...new Set([...ids, ...past.map(({ account_id }) => account_id)])];
  const wanted = { ...grant, account_ids };
  return { grant: before === undefined ? wanted : withinAccounts(before, wanted), awaited: [] };
}

/** Whether the application sees the Item, so that the same login is a duplicate to it. */
export async function seesItem(
  tx: Tx,
  itemId: string,
  { applicationId, access, grant }: Applicant,
): Promise<boolean> {
  if (grant === null) return true;
  if (access === 'connected')
    return (await standingWith(tx, itemId, applicationId, { kind: 'offered' }))?.expired === false;
  const row = firstOf(
    await tx<Selected<typeof joinable>[]>`
    SELECT ${joinable.list(tx)} FROM items WHERE item_id = ${itemId}`,
  );
  return row?.unconnected === false;
}

/** Which of the Item's accounts an offered one is. Those that are open come first: Link shows no others. */
const meantBy = (
  one: OfferedAccount,
  offered: readonly OfferedAccount[],
  own: readonly OwnAccount[],
): OwnAccount | null =>
  counterpartOf(
    one,
    offered,
    own.filter(({ open }) => open),
  ) ?? counterpartOf(one, offered, own);

/**
 * Whether an account that is offered without a persistent id is called the same as more of the Item's accounts than were chosen, which Plaid's
 * persistent ids tell apart: nobody has to guess once the exchange has brought those of the chosen ones.
 */
export async function needsPersistentIds(
  tx: Tx,
  itemId: string,
  offered: readonly OfferedAccount[],
): Promise<boolean> {
  const own = await identitiesOf(tx, itemId);
  return own.some(
    (mine) =>
      mine.persistent_account_id !== null &&
      offered.some((one) => one.persistent_account_id === null && isSameAccount(one, mine)) &&
      !isOffered(mine, own, offered),
  );
}

/**
 * Whether every account that is offered is known to be one of the Item's. Link's metadata is the client's word alone: by a list of guesses,
 * of which one fits, nobody joins, nor by names.
 */
export async function holdsEvery(
  tx: Tx,
  itemId: string,
  offered: readonly AccountIdentity[],
): Promise<boolean> {
  return lackedBy(await identitiesOf(tx, itemId), offered, isKnownSame).length === 0;
}

/**
 * Ids of accounts that a Link has shown and its client has asked for, and that are not shared: the Item which it has joined does not have
 * them, or nobody knows which of those that are called so is meant.
 */
export async function notJoined(
  tx: Tx,
  itemId: string,
  { grant }: Applicant,
  offered: readonly OfferedAccount[],
): Promise<string[]> {
  const wanted = grant?.account_ids ?? null;
  const identities = await identitiesOf(tx, itemId);
  const lacking = new Set(lackedBy(identities, offered));
  const own = wanted === null ? [] : await rowsOf(tx, itemId);
  const asked = askedFor(wanted, offered);
  const isChosen = (mine: OwnAccount | null): boolean =>
    mine !== null && isOffered(mine, identities, offered);
  const isShared = (one: OfferedAccount): boolean =>
    identities.some((mine) => isSameAccount(mine, one) && isOffered(mine, identities, asked)) ||
    isChosen(meantBy(one, offered, own));
  return offered.flatMap((one) => {
    const { account_id: id } = one;
    if (id == null || (wanted !== null && !wanted.includes(id))) return [];
    return lacking.has(one) || !isShared(one) ? [id] : [];
  });
}

/**
 * What of a grant the user has chosen in this Link, by the accounts of the Item that was there: what was not chosen is not shared. `awaited`:
 * accounts whose ids nobody knows, since the Item's have not come yet.
 */
async function asChosen(
  tx: Tx,
  itemId: string,
  grant: Grant,
  offered: readonly OfferedAccount[],
  visit: Visit,
  before: Selected<typeof standing> | undefined,
): Promise<{ grant: Grant; awaited: AccountIdentity[] }> {
  const wanted = grant.account_ids;
  const ofRows = await rowsOf(tx, itemId);
  const identities = await identitiesOf(tx, itemId);
  const asked = askedFor(wanted, offered);
  // In update mode Link names them by the Item's own ids: nobody has to guess which is meant, nor what a new one is called.
  const named = visit.kind === 'update_mode' ? offered.flatMap(({ account_id }) => account_id ?? []) : [];
  const isMet = chosenOf(ofRows, identities, offered);
  const isChosen = (own: OwnAccount): boolean => named.includes(own.account_id) || isMet(own);
  const unlisted = named.filter(
    (id) => (wanted?.includes(id) ?? true) && !ofRows.some(({ account_id }) => account_id === id),
  );
  const isWhole = lackedBy(ofRows.filter(isChosen), identities).every((mine) =>
    isOffered(mine, identities, offered),
  );
  const isMeant = (own: OwnAccount): boolean =>
    (own.open && isOffered(own, identities, asked)) ||
    asked.some((one) => meantBy(one, offered, ofRows) === own);
  const isAsked = (own: OwnAccount): boolean =>
    wanted === null || wanted.includes(own.account_id) || (visit.kind !== 'update_mode' && isMeant(own));
  const isShared = (own: OwnAccount): boolean => {
    // Older rows of an account stand under the ids that it had before.
    const now = heirOf(own, ofRows);
    // Nobody could leave out what was closed: who had it keeps it, where nothing was left out.
    const isKept = isWhole && !now.open && isGrantedIn(before, own);
    return (isAsked(own) || isAsked(now)) && (isChosen(now) || isKept);
  };
  const shared = ofRows.filter(isShared);
  const isAll = isWhole && shared.length === ofRows.length && (grant.new_accounts || unlisted.length === 0);
  if (wanted === null && isAll) return { grant, awaited: [] };
  const account_ids = [...shared.map(({ account_id }) => account_id), ...unlisted];
  const new_accounts = grant.new_accounts && (wanted !== null || isWhole);
  return { grant: { ...grant, account_ids, new_accounts }, awaited: awaitedOf(ofRows, identities, asked) };
}

/** Which of the Item's accounts were chosen. One that is closed is what Link has shown where no open one is. */
function chosenOf(
  ofRows: readonly OwnAccount[],
  identities: readonly AccountIdentity[],
  offered: readonly AccountIdentity[],
): (own: OwnAccount) => boolean {
  const open = ofRows.filter((own) => own.open);
  const closed = ofRows.filter((own) => !own.open && own.heir === null);
  const left = lackedBy(open, offered);
  return (own) => (own.open ? isOffered(own, identities, offered) : isOffered(own, closed, left));
}

const isGrantedIn = (before: Selected<typeof standing> | undefined, { account_id }: OwnAccount): boolean =>
  before !== undefined && (before.granted_accounts?.includes(account_id) ?? true);

/** The account that has taken this one's place, whoever stood there between them; itself where none has. */
function heirOf(one: OwnAccount, own: readonly OwnAccount[]): OwnAccount {
  const next = own.find(({ account_id }) => account_id === one.heir);
  return next === undefined ? one : heirOf(next, own);
}

/** Those that a client asks for by their ids (null = all): of some that are called the same, all or none. */
function askedFor(ids: readonly string[] | null, offered: readonly OfferedAccount[]): OfferedAccount[] {
  const [asked, others] = [[] as OfferedAccount[], [] as OfferedAccount[]];
  for (const one of offered) {
    const isNamed = ids === null || (one.account_id != null && ids.includes(one.account_id));
    (isNamed ? asked : others).push(one);
  }
  return asked.filter((one) => !others.some((other) => isSameAccount(other, one)));
}

/** Accounts of the Item that are asked for, and which no list has named so far. Of some that are called the same it may have named one. */
function awaitedOf(
  listed: readonly AccountIdentity[],
  identities: readonly AccountIdentity[],
  asked: readonly AccountIdentity[],
): AccountIdentity[] {
  const lacking = lackedBy(listed, identities);
  return identities.filter(
    (mine) => lacking.some((other) => isSameAccount(other, mine)) && isOffered(mine, identities, asked),
  );
}

/**
 * Whether `mine`, an account of the Item, was chosen; `own`: its open ones. Of some that are called the same, all or none: which one was
 * meant nobody knows, and two accounts may have the mask in common, too.
 */
function isOffered(
  mine: AccountIdentity,
  own: readonly AccountIdentity[],
  offered: readonly AccountIdentity[],
): boolean {
  const id = mine.persistent_account_id;
  const named = (accounts: readonly AccountIdentity[]) =>
    accounts.filter((account) => id !== null && account.persistent_account_id === id).length;
  if (named(offered) > 0) return named(offered) >= named(own);
  const chosen = offered.filter((account) => isSameAccount(account, mine));
  const meant = own.filter((account) => chosen.some((one) => isSameAccount(one, account)));
  return chosen.length > 0 && chosen.length >= meant.length;
}

/**
 * Lets the connections of other applications with Items that are replaced go on with the one that takes their place: for the
 * accounts that are the same, under the same grant, suspended ones suspended, and those that are over by time over, to be renewed. Those
 * with the old Items end with these.
 */
export async function carryConnections(
  tx: Tx,
  replaced: readonly string[],
  item: LockedItem,
  { accounts: offered, revoked }: Pick<Admission, 'accounts' | 'revoked'>,
): Promise<void> {
  const { itemId } = item;
  const next = offered.map(({ account_id, ...identity }) => ({ id: account_id ?? null, identity }));
  for (const old of replaced) {
    const before = await knownAccounts(tx, old);
    const lives = await tx<Selected<typeof carried>[]>`
      SELECT ${carried.list(tx, 'c')} FROM connections c
      WHERE c.item_id = ${old} AND c.revoked_at IS NULL
        AND NOT EXISTS (SELECT FROM connections n
          WHERE n.item_id = ${itemId} AND n.application_id = c.application_id AND n.revoked_at IS NULL)
      ORDER BY c.created_at, c.connection_id`;
    for (const {
      application_id,
      granted_accounts,
      awaits,
      awaited,
      suspended,
      expires_at,
      ...grant
    } of lives) {
      const isWhole = granted_accounts === null;
      // Those of the first ones that no list has named are granted as well.
      const takesFirst = awaits && awaited === null;
      const isGranted = isGrantedBy({ granted: granted_accounts, awaits, awaited });
      const carries = carriedAccounts(before.filter(isGranted), before, next);
      const waits = [...carries.awaited, ...stillAwaited(awaited ?? [], offered)];
      const isGone =
        (takesFirst || (granted_accounts ?? []).length > 0) &&
        carries.ids.length === 0 &&
        waits.length === 0 &&
        !grant.new_accounts;
      // Of what it was granted nothing is there any more.
      if (!isWhole && isGone) continue;
      const actor: Actor = { initiator: 'item', applicationId: null, keyId: null, reason: `replaces ${old}` };
      const connectionId = await grantConnection(
        tx,
        { ...item, applicationId: application_id },
        {
          ...grant,
          account_ids: isWhole ? null : carries.ids,
          expires_at: iso(expires_at),
        },
        actor,
      );
      await awaitAccounts(tx, connectionId, isWhole ? [] : waits);
      if (suspended || revoked?.includes(old) === true) await suspendCarried(tx, connectionId, actor);
    }
  }
  await expireConnections(tx, itemId);
}
