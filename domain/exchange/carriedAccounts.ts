import { counterpartOf, isSameAccount } from '../mining/accounts.js';
import type { AccountIdentity } from '../mining/accounts.js';

/** An account under the id that it has in an Item; null = nobody knows it yet. */
export interface KnownAccount {
  id: string | null;
  identity: AccountIdentity;
  /** Another one of the same Item has taken its place: it is no second account, whatever it is called. */
  past?: boolean;
  /** Known since the linking; no list has named it so far. */
  unlisted?: boolean;
}

/**
 * What becomes of granted accounts (of those in `before`) in the Item that takes the place of theirs: their ids there, and those
 * that wait until it says its own ids. What is not offered there is granted no more, nor what may be another one.
 */
export function carriedAccounts(
  granted: readonly KnownAccount[],
  before: readonly KnownAccount[],
  offered: readonly KnownAccount[],
): { ids: string[]; awaited: AccountIdentity[] } {
  const carried = { ids: [] as string[], awaited: [] as AccountIdentity[] };
  const own = before.flatMap(({ identity, past }) => (past === true ? [] : [identity]));
  const others = offered.map(({ id, identity }) => ({ ...identity, id }));
  for (const { identity } of granted) {
    const next = counterpartOf(identity, own, others);
    if (next === null) continue;
    if (next.id === null) carried.awaited.push(identity);
    else if (!carried.ids.includes(next.id)) carried.ids.push(next.id);
  }
  return carried;
}

/**
 * Which accounts that are waited for in one Item are waited for in the one that takes its place: not those of which more are offered there
 * under one name. One may be another one, and a list that is not whole may name it alone.
 */
export const stillAwaited = (
  awaited: readonly AccountIdentity[],
  offered: readonly AccountIdentity[],
): AccountIdentity[] =>
  awaited.filter((mine) => {
    const alikeIn = (accounts: readonly AccountIdentity[]): number =>
      accounts.filter((one) => isSameAccount(mine, one)).length;
    return alikeIn(offered) <= alikeIn(awaited);
  });
