import { renewedNumbers } from '../bank/accountNumbers.js';
import { US_BANK } from '../bank/institutions.js';
import type { World } from '../world.js';
import type { Item } from './item.js';

/** Tokenised numbers die when the user revokes them at the bank; those of US Bank do not. */
export function canRevokeNumbers(world: World, item: Item): boolean {
  const institution = world.institutions.get(item.facts.institutionId);
  return (institution?.tokenizesNumbers ?? false) && item.bankId !== US_BANK;
}

/** The user revokes the numbers of these accounts: they are dead at once, and there are none until the next update mode. */
export function revokeNumbers(item: Item, accountIds: readonly string[]): void {
  item.accounts = item.accounts.map((known) =>
    accountIds.includes(known.account.account_id) ? { ...known, numbersRevoked: true } : known,
  );
}

/** The user has gone through update mode: the bank gives out other numbers in place of those that were revoked. */
export function renewRevokedNumbers(item: Item): void {
  item.accounts = item.accounts.map((known) =>
    known.numbersRevoked
      ? { ...known, numbersRevoked: false, numbers: renewedNumbers(known.numbers) }
      : known,
  );
}
