import type { PlaidAccount, PlaidTransaction } from '../../../domain/plaid.js';

export function account(account_id: string, more: Partial<PlaidAccount> = {}): PlaidAccount {
  return {
    account_id,
    balances: {
      available: 100,
      current: 110,
      limit: null,
      iso_currency_code: 'USD',
      unofficial_currency_code: null,
    },
    mask: '0000',
    name: 'Checking',
    official_name: null,
    type: 'depository',
    subtype: 'checking',
    ...more,
  };
}

export function transaction(transaction_id: string, more: Partial<PlaidTransaction> = {}): PlaidTransaction {
  return {
    transaction_id,
    account_id: 'account-1',
    amount: 4.33,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
    date: '2026-11-20',
    name: `Row ${transaction_id}`,
    pending: false,
    ...more,
  };
}
