import type { WireItemWithConsent } from '../wire.js';

/** A kind of data, by which Plaid tells users what an application is given. */
export type DataScope = NonNullable<WireItemWithConsent['consented_data_scopes']>[number];

/** The kinds of data whose last reading Plaid tells. */
export const READ_SCOPES = [
  'account_balance_info',
  'account_routing_number',
  'contact_info',
  'transactions',
  'credit_loan_info',
  'investments',
] as const satisfies readonly DataScope[];

/** When each kind of data was last read, in simulated milliseconds, to the minute. */
export type AccessTimes = Partial<Record<(typeof READ_SCOPES)[number], number>>;
