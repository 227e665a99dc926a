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

/** What a connection grants of an Item's accounts, as in `GrantedAccounts`; `granted`: null = every one. */
export interface Granting {
  granted: readonly string[] | null;
  awaits: boolean;
  awaited: readonly AccountIdentity[] | null;
}

/** Whether a connection grants an account under its id, or as one of the first ones that no list has named. */
export const isGrantedBy =
  ({ granted, awaits, awaited }: Granting) =>
  ({ id, unlisted = false }: KnownAccount): boolean =>
    (unlisted && awaits && awaited === null) || (id !== null && granted?.includes(id) === true);

/** Those of `others` that are called as `identity`, where all of `own` that they may be are granted (`mine`): nobody has to know which is which. */
function everyOne<T extends AccountIdentity>(
  identity: AccountIdentity,
  mine: readonly AccountIdentity[],
  own: readonly AccountIdentity[],
  others: readonly T[],
): T[] {
  const alike = others.filter((one) => isSameAccount(identity, one));
  const possible = own.filter((one) => alike.some((other) => isSameAccount(one, other)));
  return alike.length <= possible.length && possible.every((one) => mine.includes(one)) ? alike : [];
}

/**
 * What becomes of granted accounts (of those in `before`) in the Item that takes the place of theirs: their ids there, and those
 * that wait until it says its own ids. What is not offered there is granted no more, nor what may be another one: of some that are called
 * the same all or none.
 */
export function carriedAccounts(
  granted: readonly KnownAccount[],
  before: readonly KnownAccount[],
  offered: readonly KnownAccount[],
): { ids: string[]; awaited: AccountIdentity[] } {
  const carried = { ids: [] as string[], awaited: [] as AccountIdentity[] };
  // Who is granted one of the past alone is not granted the one that has taken its place.
  const identitiesOf = (accounts: readonly KnownAccount[]): AccountIdentity[] =>
    accounts.flatMap(({ identity, past }) => (past === true ? [] : [identity]));
  const [mine, own] = [identitiesOf(granted), identitiesOf(before)];
  const others = offered.map(({ id, identity }) => ({ ...identity, id }));
  for (const identity of mine) {
    const next = counterpartOf(identity, own, others);
    const meant = next === null ? everyOne(identity, mine, own, others) : [next];
    if (meant.some(({ id }) => id === null)) carried.awaited.push(identity);
    const ids = meant.flatMap(({ id }) => id ?? []);
    carried.ids.push(...ids.filter((id) => !carried.ids.includes(id)));
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

/** Those of the accounts that are known of an Item which a connection with it does not grant, now or once they come. */
export const deniedOf = (known: readonly KnownAccount[], connection: Granting): AccountIdentity[] => {
  const isGranted = isGrantedBy(connection);
  return known.flatMap((account) => {
    const { identity, past = false } = account;
    const isAwaited = connection.awaited?.some((one) => isSameAccount(one, identity)) ?? false;
    return past || isAwaited || isGranted(account) ? [] : [identity];
  });
};
