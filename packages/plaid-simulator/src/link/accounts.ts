import type { BankAccount } from '../bank/account.js';
import type { AccountFilters } from '../tokens.js';
import type { SharedAccount } from './session.js';

/** Whether Link shows an account: with filters only the types that they name, with the subtypes that they name, or all. */
export function isShown({ account }: BankAccount, filters: AccountFilters | null): boolean {
  if (filters === null) return true;
  const subtypes = Object.hasOwn(filters, account.type) ? filters[account.type]?.account_subtypes : undefined;
  return (
    subtypes !== undefined && (subtypes.includes('all') || subtypes.includes(account.subtype ?? 'other'))
  );
}

/** An account as Link's metadata name it. */
export function sharedAccount({ account }: BankAccount): SharedAccount {
  return {
    id: account.account_id,
    name: account.name,
    mask: account.mask,
    type: account.type,
    subtype: account.subtype,
    verification_status: account.verification_status ?? null,
    class_type: null,
  };
}
