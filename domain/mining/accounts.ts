import type { LinkAccount, PlaidAccount } from '../plaid.js';
import { wordOf } from './oddValues.js';

/** An account as another Item of the same user holds it, for the duplicate guard. */
export interface AccountIdentity {
  persistent_account_id: string | null;
  mask: string | null;
  name: string | null;
  type: string | null;
  subtype: string | null;
}

export function identityOf(account: PlaidAccount | LinkAccount): AccountIdentity {
  return {
    persistent_account_id: 'persistent_account_id' in account ? wordOf(account.persistent_account_id) : null,
    mask: wordOf(account.mask),
    name: wordOf(account.name),
    type: wordOf(account.type),
    subtype: wordOf(account.subtype),
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
