import type { LiabilityFacts } from './liabilities.js';
import type { Portfolio } from './portfolio.js';
import type { WireAccount, WireNumbers, WireOwner } from '../wire.js';

/** A deposit by which Plaid finds out whether an account's numbers are right. */
export interface Microdeposit {
  /** Simulated milliseconds. */
  madeAt: number;
  /** Plaid will find it on the account. */
  verifies: boolean;
}

/** An account at the bank, under the id of one Item: Plaid's object, its owners and its numbers. */
export interface BankAccount {
  account: WireAccount;
  owners: WireOwner[];
  numbers: WireNumbers;
  /** The user has revoked the tokenised number at the bank: it is dead, and there is none until another is given out. */
  numbersRevoked?: boolean;
  /** While one is under way. */
  microdeposit?: Microdeposit | undefined;
  /** What was done in an investment account; absent: nothing but what follows from the seed. */
  portfolio?: Portfolio;
  /** What is owed, where it is not only what follows from the seed. */
  liability?: LiabilityFacts;
  /** When the user closed it (simulated, ISO); closed accounts and their transactions vanish from Plaid's answers. */
  closedAt: string | null;
}

export const NO_NUMBERS: WireNumbers = { ach: [], eft: [], international: [], bacs: [] };

/** Everybody's numbers in one object; the four lists are always there. */
export function joinNumbers(accounts: readonly BankAccount[]): WireNumbers {
  const valid = accounts.filter(({ numbersRevoked }) => !numbersRevoked);
  return {
    ach: valid.flatMap(({ numbers }) => numbers.ach),
    eft: valid.flatMap(({ numbers }) => numbers.eft),
    international: valid.flatMap(({ numbers }) => numbers.international),
    bacs: valid.flatMap(({ numbers }) => numbers.bacs),
  };
}

/** Accounts that money can be moved from or to: what `/auth/get` is about. */
export function isDebitable({ account }: BankAccount): boolean {
  return (
    account.type === 'depository' &&
    (account.subtype === 'checking' || account.subtype === 'savings' || account.subtype === 'cash management')
  );
}

const UNVERIFIED = new Set(['pending_automatic_verification', 'pending_manual_verification']);

/** Micro-deposits are on their way: `/auth/get` has no numbers to give yet. */
export function awaitsMicrodeposits({ account }: BankAccount): boolean {
  return account.verification_status !== undefined && UNVERIFIED.has(account.verification_status);
}
