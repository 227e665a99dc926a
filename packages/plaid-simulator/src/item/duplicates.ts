import type { BankAccount } from '../bank/account.js';
import type { World } from '../world.js';
import type { Item } from './item.js';
import { failItem } from './lifecycle.js';

/** Chase and PNC keep one connection per application: a new link of the same user ends the older one. */
const ONE_CONNECTION = new Set(['ins_56', 'ins_13']);

/** What an account is known by beyond one Item. */
function identityOf({ account }: BankAccount): string {
  return (
    account.persistent_account_id ?? [account.type, account.subtype, account.mask, account.name].join('/')
  );
}

function identities(accounts: readonly BankAccount[]): Set<string> {
  return new Set(accounts.map(identityOf));
}

/** Another application's Item is left alone. Where an application is not known, clients are compared. */
function sameApplication({ facts: one }: Item, { facts: other }: Item): boolean {
  if (one.application && other.application) return one.application.id === other.application.id;
  return one.clientId === other.clientId;
}

/** The older Items of the same user and application ask for a new login, unless they have the very same accounts. */
export function breakOlderDuplicates(world: World, item: Item): void {
  if (!ONE_CONNECTION.has(item.bankId)) return;
  const persistent = new Set(item.accounts.flatMap(({ account }) => account.persistent_account_id ?? []));
  const fresh = identities(item.openAccounts);
  for (const older of world.items.values()) {
    const { facts } = older;
    if (older === item || facts.removedAt !== null || facts.failure) continue;
    if (older.bankId !== item.bankId || !sameApplication(older, item)) continue;
    if (!older.accounts.some(({ account }) => persistent.has(account.persistent_account_id ?? ''))) continue;
    const known = identities(older.openAccounts);
    const same = known.size === fresh.size && [...known].every((identity) => fresh.has(identity));
    if (!same) failItem(world, older, 'ITEM_LOGIN_REQUIRED');
  }
}
