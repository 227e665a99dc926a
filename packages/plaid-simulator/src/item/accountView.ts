import type { BankAccount } from '../bank/account.js';
import { CAPITAL_ONE } from '../bank/institutions.js';
import { instant } from '../calendar.js';
import type { WireAccount } from '../wire.js';
import type { Item } from './item.js';

/** Is the account's balance never fresh, but what the last update has read? */
export function hasCachedBalance({ facts }: Item, { account }: BankAccount): boolean {
  return facts.institutionId === CAPITAL_ONE && account.type !== 'depository';
}

/** When Plaid has last read the Item's balances: simulated milliseconds. */
export function balancesReadAt({ facts }: Item): number {
  return facts.lastSuccessfulUpdate ?? facts.createdAt;
}

/** An account as Plaid shows it: a cached balance says from when it is. */
export function accountView(item: Item, known: BankAccount): WireAccount {
  const { account } = known;
  if (!hasCachedBalance(item, known)) return account;
  return {
    ...account,
    balances: { ...account.balances, last_updated_datetime: instant(balancesReadAt(item)) },
  };
}
