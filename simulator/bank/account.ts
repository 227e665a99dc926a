import type { WireAccount, WireNumbers, WireOwner } from '../wire.js';

/** An account at the bank, under the id of one Item: Plaid's object, its owners and its numbers. */
export interface BankAccount {
  account: WireAccount;
  owners: WireOwner[];
  numbers: WireNumbers;
  /** When the user closed it (simulated, ISO); closed accounts and their transactions vanish from Plaid's answers. */
  closedAt: string | null;
  /** Closed to this Item only: the user took it out in Link and can share it again. */
  deselected?: boolean;
}

export const NO_NUMBERS: WireNumbers = { ach: [], eft: [], international: [], bacs: [] };

/** Everybody's numbers in one object; the four lists are always there. */
export function joinNumbers(accounts: readonly BankAccount[]): WireNumbers {
  return {
    ach: accounts.flatMap(({ numbers }) => numbers.ach),
    eft: accounts.flatMap(({ numbers }) => numbers.eft),
    international: accounts.flatMap(({ numbers }) => numbers.international),
    bacs: accounts.flatMap(({ numbers }) => numbers.bacs),
  };
}

/** Accounts that money can be moved from or to: what `/auth/get` is about. */
export function isDebitable({ account }: BankAccount): boolean {
  return (
    account.type === 'depository' &&
    (account.subtype === 'checking' || account.subtype === 'savings' || account.subtype === 'cash management')
  );
}
