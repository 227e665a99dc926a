import { DAY_MS, HOUR_MS, MINUTE_MS } from './calendar.js';

export type LimitedEnvironment = 'production' | 'sandbox';
type Window = 'minute' | 'hour' | 'day';

/** One published cap: so many calls in a window, counted for each Item or for the client as a whole. */
export interface Cap {
  per: 'item' | 'client';
  calls: number;
  window: Window;
  /** The error code of a call that is refused for it. */
  code: string;
  /** Counts only calls of `/transactions/sync` that start from the empty cursor. */
  fromStart?: true;
}

export const WINDOW_MS: Record<Window, number> = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS };

/** Where no code of its own is published. */
const PLAIN = 'RATE_LIMIT';

const item = (calls: number, code = PLAIN, window: Window = 'minute'): Cap => ({
  per: 'item',
  calls,
  window,
  code,
});
const client = (calls: number, code = PLAIN): Cap => ({ per: 'client', calls, window: 'minute', code });

const REFRESH = [
  item(2, 'TRANSACTIONS_REFRESH_LIMIT'),
  item(120, 'TRANSACTIONS_REFRESH_LIMIT', 'hour'),
  item(2_880, 'TRANSACTIONS_REFRESH_LIMIT', 'day'),
  client(100, 'TRANSACTIONS_REFRESH_LIMIT'),
];
const RECURRING = [item(20), client(1_000)];
const INSTITUTION_BY_ID = [client(400, 'INSTITUTIONS_GET_BY_ID_LIMIT')];

/**
 * Plaid's published default limits (documentation of 2026; the stricter figure where two are published). An endpoint that is not
 * listed has no published figure in that environment.
 */
export const LIMIT_TABLE: Record<string, Partial<Record<LimitedEnvironment, Cap[]>>> = {
  '/transactions/get': {
    production: [item(30, 'TRANSACTIONS_LIMIT'), client(20_000, 'TRANSACTIONS_LIMIT')],
    sandbox: [item(80, 'TRANSACTIONS_LIMIT'), client(1_000, 'TRANSACTIONS_LIMIT')],
  },
  '/transactions/sync': {
    production: [
      item(50, 'TRANSACTIONS_SYNC_LIMIT'),
      client(2_500, 'TRANSACTIONS_SYNC_LIMIT'),
      { ...client(500, 'TRANSACTIONS_SYNC_LIMIT'), fromStart: true },
    ],
    sandbox: [item(50, 'TRANSACTIONS_SYNC_LIMIT'), client(1_000, 'TRANSACTIONS_SYNC_LIMIT')],
  },
  '/transactions/refresh': { production: REFRESH, sandbox: REFRESH },
  '/transactions/recurring/get': { production: RECURRING, sandbox: RECURRING },
  '/accounts/get': {
    production: [item(15, 'ACCOUNTS_LIMIT'), client(15_000, 'ACCOUNTS_LIMIT')],
    sandbox: [item(100, 'ACCOUNTS_LIMIT'), client(5_000, 'ACCOUNTS_LIMIT')],
  },
  '/accounts/balance/get': {
    production: [
      item(5, 'BALANCE_LIMIT'),
      item(30, 'BALANCE_LIMIT', 'hour'),
      client(1_200, 'ACCOUNTS_BALANCE_GET_LIMIT'),
    ],
    sandbox: [item(25, 'BALANCE_LIMIT'), client(100, 'ACCOUNTS_BALANCE_GET_LIMIT')],
  },
  '/auth/get': {
    production: [item(15, 'AUTH_LIMIT'), client(12_000, 'AUTH_LIMIT')],
    sandbox: [item(100, 'AUTH_LIMIT'), client(500, 'AUTH_LIMIT')],
  },
  '/identity/get': {
    production: [item(15, 'IDENTITY_LIMIT'), client(2_000, 'IDENTITY_LIMIT')],
    sandbox: [item(100, 'IDENTITY_LIMIT'), client(1_000, 'IDENTITY_LIMIT')],
  },
  '/investments/holdings/get': {
    production: [item(15, 'INVESTMENT_HOLDINGS_GET_LIMIT'), client(2_000, 'INVESTMENT_HOLDINGS_GET_LIMIT')],
    sandbox: [item(100, 'INVESTMENT_HOLDINGS_GET_LIMIT'), client(1_000, 'INVESTMENT_HOLDINGS_GET_LIMIT')],
  },
  '/investments/transactions/get': {
    production: [item(30, 'INVESTMENT_TRANSACTIONS_LIMIT'), client(20_000, 'INVESTMENT_TRANSACTIONS_LIMIT')],
    sandbox: [item(100, 'INVESTMENT_TRANSACTIONS_LIMIT'), client(1_000, 'INVESTMENT_TRANSACTIONS_LIMIT')],
  },
  '/liabilities/get': { production: [item(15), client(1_000)] },
  '/asset_report/create': { production: [item(5), client(50)] },
  '/asset_report/get': { production: [client(1_000)] },
  '/item/get': {
    production: [item(15, 'ITEM_GET_LIMIT'), client(5_000, 'ITEM_GET_LIMIT')],
    sandbox: [item(40, 'ITEM_GET_LIMIT'), client(5_000, 'ITEM_GET_LIMIT')],
  },
  '/item/remove': { production: [item(20), client(2_000)], sandbox: [item(100), client(500)] },
  '/item/public_token/exchange': { production: [client(12_000)] },
  '/link/token/create': { production: [client(20_000)] },
  '/institutions/get': {
    production: [client(25, 'INSTITUTIONS_GET_LIMIT')],
    sandbox: [client(10, 'INSTITUTIONS_GET_LIMIT')],
  },
  '/institutions/get_by_id': { production: INSTITUTION_BY_ID, sandbox: INSTITUTION_BY_ID },
  '/sandbox/transactions/create': {
    sandbox: [item(2, 'SANDBOX_TRANSACTIONS_CREATE_LIMIT'), client(50, 'SANDBOX_TRANSACTIONS_CREATE_LIMIT')],
  },
};
