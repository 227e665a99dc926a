import type { LinkAccount, PlaidAccount } from '../plaid.js';
import { storable, wordOf } from './oddValues.js';

/** An account as another Item of the same user holds it, for the duplicate guard. */
export interface AccountIdentity {
  persistent_account_id: string | null;
  mask: string | null;
  name: string | null;
  type: string | null;
  subtype: string | null;
}

/** What Plaid says now is compared with what the database has kept of it. */
function comparedOf(value: unknown): string | null {
  const word = wordOf(value);
  return word === null ? null : storable(word);
}

export function identityOf(account: PlaidAccount | LinkAccount): AccountIdentity {
  return {
    persistent_account_id:
      'persistent_account_id' in account ? comparedOf(account.persistent_account_id) : null,
    mask: comparedOf(account.mask),
    name: comparedOf(account.name),
    type: comparedOf(account.type),
    subtype: comparedOf(account.subtype),
  };
}

/**
 * Whether two descriptions mean the same bank account of one institution. Plaid's persistent id decides where both
 * have one; elsewhere mask, name, type and subtype together (a mask alone may repeat within an Item).
 */
export function isSameAccount(a: AccountIdentity, b: AccountIdentity): boolean {
  if (a.persistent_account_id !== null && b.persistent_account_id !== null) {
    return a.persistent_account_id === b.persistent_account_id;
  }
  return a.mask === b.mask && a.name === b.name && a.type === b.type && a.subtype === b.subtype;
}

const isGiven = (text: string | null): boolean => text !== null && text !== '';

/** Whether two equal descriptions can be of one bank account only: without persistent id and mask half of a bank's customers have them. */
const isDistinct = (a: AccountIdentity, b: AccountIdentity): boolean =>
  (a.persistent_account_id !== null && b.persistent_account_id !== null) || isGiven(a.mask);

/** Whether two descriptions are known to mean one bank account: by its persistent id, or by a mask. */
export const isKnownSame = (a: AccountIdentity, b: AccountIdentity): boolean =>
  isSameAccount(a, b) && isDistinct(a, b);

/** Those of `wanted` for which `given` has none that is the same. Of two that are called the same each stands for one. */
export function lackedBy<T extends AccountIdentity>(
  given: readonly AccountIdentity[],
  wanted: readonly T[],
  isSame: (a: AccountIdentity, b: AccountIdentity) => boolean = isSameAccount,
): T[] {
  const left = [...given];
  return wanted.filter((account) => {
    const known = left.findIndex((other) => isKnownSame(account, other));
    const found = known >= 0 ? known : left.findIndex((other) => isSame(account, other));
    if (found >= 0) left.splice(found, 1);
    return found < 0;
  });
}

/** How two Items of one institution are alike: `proven` = they share a bank account, `named` = more than one is only called the same. */
export type Likeness = 'proven' | 'named';

/**
 * Whether two Items of one institution have a bank account in common, as far as can be known. That accounts are called the same may
 * keep a second login from being linked unasked; it proves nothing, so nothing is removed, replaced or shared for it.
 */
export function likenessOf(a: readonly AccountIdentity[], b: readonly AccountIdentity[]): Likeness | null {
  const left = [...b];
  let alike = 0;
  for (const mine of a) {
    if (b.some((other) => isKnownSame(mine, other))) return 'proven';
    const found = isGiven(mine.name) ? left.findIndex((other) => isSameAccount(mine, other)) : -1;
    if (found >= 0) {
      left.splice(found, 1);
      alike += 1;
    }
  }
  return alike > 1 ? 'named' : null;
}

/**
 * The account among `others` that `mine` (one of `own`) is, in two Items that share a login: the one of its persistent id, else the one
 * that is called so where nobody else on either side is. Null: there is none, or more than one may be meant.
 */
export function counterpartOf<T extends AccountIdentity>(
  mine: AccountIdentity,
  own: readonly AccountIdentity[],
  others: readonly T[],
): T | null {
  const id = mine.persistent_account_id;
  const [known, twin] = id === null ? [] : others.filter((other) => other.persistent_account_id === id);
  if (known !== undefined && twin === undefined) return known;
  const [other, second] = others.filter((one) => isSameAccount(mine, one));
  if (other === undefined || second !== undefined) return null;
  return own.filter((one) => isSameAccount(one, other)).length === 1 ? other : null;
}

/** Whether one may have the other's place, by what they are called. */
const mayFollow = (old: PlaidAccount, next: PlaidAccount): boolean =>
  isGiven(identityOf(old).name) && isKnownSame(identityOf(old), identityOf(next));

/**
 * Which account has taken the place of which closed one (old id → new id), among those that an update no longer lists and those
 * that it lists for the first time: the persistent id, else mask, name, type and subtype say so. Where more than one may be meant,
 * none is, nor where there is neither persistent id nor mask: at such a bank strangers are called the same.
 */
function successorsOf(gone: readonly PlaidAccount[], come: readonly PlaidAccount[]): Map<string, string> {
  const pairs = gone.flatMap((old) => {
    const [next, second] = come.filter((candidate) => mayFollow(old, candidate));
    if (next === undefined || second !== undefined) return [];
    return gone.some((other) => other !== old && mayFollow(other, next))
      ? []
      : [[old.account_id, next.account_id] as const];
  });
  return new Map(pairs);
}

export interface ListedAccount {
  raw: PlaidAccount;
  /** Since when Plaid lists it, breaks aside in which nobody stood in its place, ms since the epoch; Infinity = this answer is the first. */
  listedSince: number;
  /** When the one whose place it has was listed last, ms since the epoch; null = it has nobody's. */
  placeFrom: number | null;
}

/** An account of an Item that the answer of an update does not list, and whose place somebody has taken before. */
export interface PastAccount extends ListedAccount {
  /** When Plaid listed it last, ms since the epoch. */
  lastListedAt: number;
}

/** One whose place nobody has taken so far. */
export interface GoneAccount extends PastAccount {
  /** It was open till now; else it was closed before. */
  wentNow: boolean;
}

/** Whether one came since the other was listed last. One that has come back may have another place than the one that it had before it went. */
const cameAfter = (old: PastAccount, { listedSince, placeFrom }: ListedAccount): boolean =>
  listedSince > old.lastListedAt && (placeFrom === null || placeFrom < old.lastListedAt);

/**
 * Whether one that is open, and listed again, was missing while another came that may have had its place: it has come back then, though
 * nobody could tell meanwhile that it was gone. Not where the other has followed somebody else, or may have.
 * @param absent those that are not listed now
 * @param unfollowed all in whose place nobody stands
 */
export const hasComeBack = (
  one: PastAccount,
  absent: readonly PastAccount[],
  unfollowed: readonly PastAccount[],
): boolean =>
  absent.some((other) => {
    const mayHaveFollowed = (old: PastAccount): boolean =>
      old.raw.account_id !== other.raw.account_id &&
      old.lastListedAt < other.listedSince &&
      mayFollow(old.raw, other.raw);
    const [first, second] = unfollowed.filter(mayHaveFollowed);
    return other.placeFrom === null && first?.raw.account_id === one.raw.account_id && second === undefined;
  });

/**
 * Who was in whose place, and is gone, too (old id → new id): the old one has been missing since before, and while entries cannot be
 * read nobody can tell. None where more than one may be meant: another one was listed beside it, or it may have had another one's place.
 */
function placesBetween(
  gone: readonly GoneAccount[],
  past: readonly PastAccount[],
  stayed: readonly ListedAccount[],
): Map<string, string> {
  const pairs = gone.flatMap((old) => {
    const [next] = [...gone, ...past]
      .filter((one) => one !== old && cameAfter(old, one) && mayFollow(old.raw, one.raw))
      .sort((a, b) => a.listedSince - b.listedSince);
    if (next === undefined) return [];
    const isBeside = (one: ListedAccount): boolean =>
      one !== next &&
      one.listedSince <= next.lastListedAt &&
      cameAfter(old, one) &&
      mayFollow(old.raw, one.raw);
    return [...gone, ...past, ...stayed].some(isBeside)
      ? []
      : [[old.raw.account_id, next.raw.account_id] as const];
  });
  return new Map(pairs.filter(([, next]) => pairs.filter((pair) => pair[1] === next).length === 1));
}

/**
 * Who has taken whose place (old id → new id) when an update has brought its answer: first those that have gone since themselves, then
 * those that come in the answer in which the others are missing. Then those that came since the other one was listed last: it may have
 * been closed some time before (by an error that left the Item without accounts, say), or nobody could tell till now that it is gone.
 * `stayed` are those of `listed` that were listed before, as they were called then.
 */
export function placesTaken(
  allGone: readonly GoneAccount[],
  listed: readonly ListedAccount[],
  past: readonly PastAccount[],
  stayed: readonly ListedAccount[],
): Map<string, string> {
  const rawsOf = (accounts: readonly { raw: PlaidAccount }[]) => accounts.map(({ raw }) => raw);
  const between = placesBetween(allGone, past, stayed);
  const gone = allGone.filter(({ raw }) => !between.has(raw.account_id));
  const places = successorsOf(
    rawsOf(gone.filter(({ wentNow }) => wentNow)),
    rawsOf(listed.filter(({ listedSince }) => listedSince === Infinity)),
  );
  const taken = new Set(places.values());
  const left = gone.filter(({ raw }) => !places.has(raw.account_id));
  const later = successorsOf(rawsOf(left), rawsOf(listed));
  for (const old of left) {
    const next = listed.find((account) => account.raw.account_id === later.get(old.raw.account_id));
    if (next === undefined || taken.has(next.raw.account_id)) continue;
    if (cameAfter(old, next)) places.set(old.raw.account_id, next.raw.account_id);
  }
  return new Map([...between, ...places]);
}

/** How long an account may be missing beside entries that nobody can read: longer than two idle updates lie apart. */
const missingAtMost = 4 * 86_400_000;

/**
 * Which of the accounts that an answer lacks are gone, where some of its entries cannot be read: each of these stands for one account
 * at most, for the one that has been missing the longest. Of those that went missing together nobody can tell which it is, until they
 * have been missing for days. `asOf`: when it was asked for, `before`: the answer before it, `as_of`: when each was listed last, ISO 8601.
 */
export function goneOf<Account extends { as_of: string }>(
  lacking: readonly Account[],
  unreadable: number,
  { asOf, before }: { asOf: string; before: string },
): Account[] {
  if (unreadable === 0) return [...lacking];
  // It says nothing of any.
  if (unreadable === Infinity) return [];
  const sorted = lacking.map(({ as_of }) => as_of).sort();
  const last = sorted[unreadable - 1];
  // After an outage of days it is this answer that is the first to lack them.
  const isLong = (as_of: string): boolean =>
    as_of < before && Date.parse(asOf) - Date.parse(as_of) > missingAtMost;
  return lacking.filter(({ as_of }) => (last !== undefined && as_of > last) || isLong(as_of));
}

/** The account that is the Item's main one when the client names none: first checking, else depository, else first. */
export function defaultMainAccount(open: readonly PlaidAccount[]): string | null {
  const pick =
    open.find((account) => account.type === 'depository' && account.subtype === 'checking') ??
    open.find((account) => account.type === 'depository') ??
    open[0];
  return pick?.account_id ?? null;
}

/**
 * The open accounts after an update: what `/accounts/get` lists, and what `/transactions/sync` listed beside it.
 * `/accounts/get` was asked later, so its word on an account wins.
 */
export function unionOfAccounts(
  fromAccountsGet: readonly PlaidAccount[],
  fromSync: readonly PlaidAccount[],
): PlaidAccount[] {
  const known = new Set(fromAccountsGet.map((account) => account.account_id));
  return [...fromAccountsGet, ...fromSync.filter((account) => !known.has(account.account_id))];
}
