import { isSameAccount } from '../mining/accounts.js';
import type { AccountIdentity } from '../mining/accounts.js';

/** An account under the id that it has in an Item; null = nobody knows it yet. */
export interface KnownAccount {
  id: string | null;
  identity: AccountIdentity;
}

/** The one account of these that this one is; null where it is none, or where more than one may be meant. */
export function counterpart(identity: AccountIdentity, among: readonly KnownAccount[]): KnownAccount | null {
  const [found, second] = among.filter((other) => isSameAccount(identity, other.identity));
  return found === undefined || second !== undefined ? null : found;
}

/**
 * What becomes of granted accounts (`ids`, of those in `before`) in the Item that takes the place of theirs: their ids there, and those
 * that wait until it says its own ids. What is not offered there is granted no more, nor what may be another one.
 */
export function carriedAccounts(
  ids: readonly string[],
  before: readonly KnownAccount[],
  offered: readonly KnownAccount[],
): { ids: string[]; awaited: AccountIdentity[] } {
  const carried = { ids: [] as string[], awaited: [] as AccountIdentity[] };
  for (const granted of ids) {
    const account = before.find(({ id }) => id === granted);
    if (account === undefined || counterpart(account.identity, before) === null) continue;
    const next = counterpart(account.identity, offered);
    if (next === null) continue;
    if (next.id === null) carried.awaited.push(account.identity);
    else carried.ids.push(next.id);
  }
  return carried;
}
