import type { BankAccount } from '../bank/account.js';
import { CAPITAL_ONE } from '../bank/institutions.js';
import { instant } from '../calendar.js';
import { distort } from '../distortion.js';
import type { WireAccount } from '../wire.js';
import type { Item } from './item.js';

/** Is the account's balance never fresh, but what the last update has read? */
export function hasCachedBalance({ bankId }: Item, { account }: BankAccount): boolean {
  return bankId === CAPITAL_ONE && account.type !== 'depository';
}

/** When Plaid has last read the Item's balances: simulated milliseconds. */
export function balancesReadAt({ facts }: Item): number {
  return facts.lastSuccessfulUpdate ?? facts.createdAt;
}

/** An account as Plaid sends it, distorted where it was asked for; `more`: what an endpoint adds to it. */
export function accountView<T extends object = object>(
  item: Item,
  known: BankAccount,
  more?: T,
): WireAccount & T {
  const whole = { ...trueAccountView(item, known), ...more } as WireAccount & T;
  return distort(whole, item.facts.distortions?.accounts[known.account.account_id]);
}

/** An account as Plaid should send it: a cached balance says from when it is. */
export function trueAccountView(item: Item, known: BankAccount): WireAccount {
  const { account } = known;
  if (!hasCachedBalance(item, known)) return account;
  return {
    ...account,
    balances: { ...account.balances, last_updated_datetime: instant(balancesReadAt(item)) },
  };
}
