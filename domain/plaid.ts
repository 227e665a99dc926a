/**
 * Plaid's objects, as far as this program reads them. Plaid adds fields and enum values at any time, so every
 * object is open: what is not named here is kept and passed on untouched. The types are what Plaid documents, and what comes
 * may differ in every field: see `oddValues.ts`, `minedPage` and `listedAccounts`.
 */
export interface PlaidBalances {
  available: number | null;
  current: number | null;
  limit: number | null;
  iso_currency_code: string | null;
  unofficial_currency_code: string | null;
  last_updated_datetime?: string | null;
  [field: string]: unknown;
}

export interface PlaidAccount {
  account_id: string;
  balances: PlaidBalances;
  mask: string | null;
  name: string | null;
  official_name: string | null;
  type: string | null;
  subtype: string | null;
  persistent_account_id?: string | null;
  holder_category?: string | null;
  [field: string]: unknown;
}

export interface PlaidTransaction {
  transaction_id: string;
  account_id: string;
  /** Positive = money out of the account. A JSON double whose shortest text is Plaid's decimal. */
  amount: number;
  iso_currency_code: string | null;
  unofficial_currency_code: string | null;
  /** YYYY-MM-DD, without a time zone. */
  date: string;
  authorized_date?: string | null;
  datetime?: string | null;
  authorized_datetime?: string | null;
  name?: string | null;
  original_description?: string | null;
  merchant_name?: string | null;
  merchant_entity_id?: string | null;
  logo_url?: string | null;
  website?: string | null;
  pending: boolean;
  pending_transaction_id?: string | null;
  payment_channel?: string | null;
  check_number?: string | null;
  personal_finance_category?: {
    primary: string;
    detailed: string;
    confidence_level?: string | null;
    [field: string]: unknown;
  } | null;
  location?: Record<string, unknown> | null;
  [field: string]: unknown;
}

export interface PlaidRemovedTransaction {
  transaction_id: string;
  account_id?: string | null;
}

/** One answer of `/transactions/sync`. */
export interface PlaidSyncPage {
  added: PlaidTransaction[];
  modified: PlaidTransaction[];
  removed: PlaidRemovedTransaction[];
  accounts: PlaidAccount[];
  next_cursor: string;
  has_more: boolean;
  /** NOT_READY, INITIAL_UPDATE_COMPLETE, HISTORICAL_UPDATE_COMPLETE, or something newer. */
  transactions_update_status: string;
}

/** What `/item/get` says of an Item. Works for a broken Item too: the failure is in `error`. */
export interface PlaidItemView {
  institution_id: string | null;
  institution_name: string | null;
  /** Where Plaid sends the Item's webhooks; null = nowhere. */
  webhook: string | null;
  error: { error_type: string; error_code: string } | null;
  consent_expiration_time: string | null;
  /** Plaid's clock: compare it with Plaid's times only. */
  last_successful_update: string | null;
}

/** Account and routing numbers as `/auth/get` gives them, per account. Secret: see `secretContext`. */
export interface PlaidNumbers {
  account_id: string;
  ach: Record<string, unknown>[];
  eft: Record<string, unknown>[];
  international: Record<string, unknown>[];
  bacs: Record<string, unknown>[];
}

/** An institution as `/institutions/get` and `/institutions/get_by_id` give it. */
export interface PlaidInstitution {
  institution_id: string;
  name: string;
  products?: string[];
  country_codes?: string[];
  oauth?: boolean;
  /** These three only when optional metadata were asked for. `logo`: base64 PNG; `primary_color`: `#rrggbb`. */
  url?: string | null;
  primary_color?: string | null;
  logo?: string | null;
  /** Connection status by product, only when asked for; null when Plaid sees too little traffic. */
  status?: Record<string, unknown> | null;
  [field: string]: unknown;
}

/** What Link's `onSuccess` metadata says of an account, before the exchange. */
export interface LinkAccount {
  /** Plaid's account id in the Item that Link has made. */
  id?: string | null;
  mask?: string | null;
  name?: string | null;
  type?: string | null;
  subtype?: string | null;
}
