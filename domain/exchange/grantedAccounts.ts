import type { AccountIdentity } from '../mining/accounts.js';
import { counterpartOf, isSameAccount } from '../mining/accounts.js';
import type { KnownAccount } from './carriedAccounts.js';

/** Which of an Item's accounts a connection may read, where it is not every one. */
export interface GrantedAccounts {
  /** As they were granted; null = those that were there. */
  account_ids: string[] | null;
  /** Those that may be read. */
  granted: string[];
  /** Later ones are granted as well. */
  new_accounts: boolean;
  /** The first ones that the Item has are granted; where some are `awaited`, those alone. */
  awaits: boolean;
  /** Granted ones whose ids in this Item nobody knows yet; null = none. */
  awaited: AccountIdentity[] | null;
  /** Accounts of the Items whose place this one has taken that were not granted there. */
  denied: readonly AccountIdentity[];
}

/** What has become of an Item's accounts. */
export interface AccountsNow {
  /** All that there have been. */
  known: readonly KnownAccount[];
  /** New ones, in nobody's place. */
  come: readonly string[];
  /** Which accounts that Plaid lists no more a new one may be, under another id: nobody can tell (new id → old ids). */
  mayBe: ReadonlyMap<string, readonly string[]>;
  /** Those that have taken another one's place, and then theirs (old id → new ids). */
  heirs: ReadonlyMap<string, readonly string[]>;
  /** Plaid had not listed them all before: these are no later ones. Who was granted some of them by name has those. */
  first: boolean;
  /** None is lacking because its entry cannot be read, or because Plaid refuses the list. */
  isWhole: boolean;
}

export interface FollowedAccounts extends Omit<GrantedAccounts, 'new_accounts' | 'denied'> {
  /** What may be read now, and could not before. */
  added: string[];
  /** The grant itself has changed: `new_accounts` alone is no news. */
  isNews: boolean;
}

const union = (...lists: readonly (readonly string[])[]): string[] => [...new Set(lists.flat())].sort();

/**
 * What a connection may read when the Item's accounts have changed; null = the same as before. What it waits for it waits for until it comes,
 * or a whole list lacks it.
 */
export function followAccounts(before: GrantedAccounts, now: AccountsNow): FollowedAccounts | null {
  const { account_ids, granted, new_accounts, awaits, awaited, denied } = before;
  const known = now.known.map(({ id, identity }) => ({ ...identity, id }));
  const found = (awaited ?? []).map((identity) => {
    const alike = known.filter((other) => isSameAccount(identity, other));
    const waiting = (awaited ?? []).filter((other) => isSameAccount(identity, other));
    // Each of them is granted, also where two are called the same.
    const one = counterpartOf(identity, [identity], known);
    // Nobody has to know which is which where all of them are.
    const meant = one ?? (alike.length <= waiting.length ? alike : []);
    return { identity, meant: [meant].flat(), lacks: alike.length < waiting.length };
  });
  const matched = found.flatMap(({ meant }) => meant.map(({ id }) => id)).filter((id) => id !== null);
  const lacking = found
    .filter(({ meant, lacks }) => lacks || meant.length === 0)
    .map(({ identity }) => identity);
  const left = now.isWhole || lacking.length === 0 ? null : lacking;
  const heirsOf = (ids: readonly string[]): string[] => ids.flatMap((id) => now.heirs.get(id) ?? []);
  // One that may be an account that was not granted is no later one.
  const isDenied = (id: string): boolean =>
    known.some((one) => one.id === id && denied.some((old) => isSameAccount(old, one)));
  const isNew = (id: string): boolean =>
    !isDenied(id) && (now.mayBe.get(id) ?? []).every((old) => granted.includes(old));
  const later = new_accounts && !now.first ? now.come.filter(isNew) : [];
  const takesFirst = awaits && awaited === null && now.first;
  const all = union(granted, matched, heirsOf(granted), takesFirst ? now.come : later);
  const added = all.filter((id) => !granted.includes(id));
  const next = {
    account_ids: account_ids && union(account_ids, matched, heirsOf(account_ids)),
    granted: all,
    awaits: left !== null || (takesFirst && !now.isWhole),
    awaited: left,
  };
  const hasEnded = awaited !== null && left === null;
  if (added.length === 0 && awaits === next.awaits && (awaited ?? []).length === (left ?? []).length)
    return null;
  return {
    ...next,
    added,
    isNews: hasEnded || [...matched, ...heirsOf(granted)].some((id) => added.includes(id)),
  };
}
