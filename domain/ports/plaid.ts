import type {
  PlaidAccount,
  PlaidInstitution,
  PlaidItemView,
  PlaidNumbers,
  PlaidSyncPage,
  PlaidTransaction,
} from '../plaid.js';

export interface PlaidPort {
  /** `/link/token/create`. With an access token: update mode (no products, no webhook). */
  createLinkToken(request: {
    userId: string;
    accessToken?: string;
    /** Update mode lets the user choose the accounts anew. */
    accountSelection?: boolean;
    /** Update mode asks the user to agree to the configured products. */
    asksConsent?: boolean;
    /** And to the account numbers. */
    asksNumbers?: boolean;
  }): Promise<{ link_token: string; expiration: string }>;
  /** `/item/public_token/exchange`. A Failure with `outcomeUnknown` means that the Item may exist. Never repeat it then. */
  exchangePublicToken(publicToken: string): Promise<{ accessToken: string; itemId: string }>;
  /** `/item/get`. */
  getItem(accessToken: string): Promise<PlaidItemView>;
  /** `/item/webhook/update`: where Plaid sends the Item's webhooks from now on. Safe to repeat. */
  updateWebhook(accessToken: string, url: string): Promise<void>;
  /** `/sandbox/item/reset_login`: sandbox and simulator only. */
  resetLogin(accessToken: string): Promise<void>;
  /** `/item/remove`. Rejects with ITEM_GONE where Plaid says that there is no such Item (any more). */
  removeItem(accessToken: string): Promise<void>;
  /** `/accounts/get`: cached at Plaid, open accounts only. Entries as they came, of whatever shape: see `listedAccounts`. */
  getAccounts(accessToken: string): Promise<PlaidAccount[]>;
  /**
   * `/auth/get`, of all accounts or of those that are named. Rejects with PRODUCT_UNAVAILABLE or NOT_READY where there are no numbers.
   * `isWhole` false: something in the answer could not be read, so that nobody can tell which account has no numbers.
   */
  getNumbers(
    accessToken: string,
    accountIds?: readonly string[],
  ): Promise<{ numbers: PlaidNumbers[]; isWhole: boolean }>;
  /** `/transactions/sync`, count 500, with original descriptions. `cursor` "" = from the beginning. */
  syncTransactions(accessToken: string, cursor: string): Promise<PlaidSyncPage>;
  /** `/transactions/get`: by `date`, both ends inclusive. Entries as they came. */
  getTransactions(
    accessToken: string,
    query: { from: string; to: string; accountIds?: string[]; count: number; offset: number },
  ): Promise<{ transactions: PlaidTransaction[]; total: number }>;
}

/**
 * Reads that go straight through to a client. What comes back are Plaid's own objects under Plaid's own names, with the id
 * of Plaid's request; nothing of them is kept.
 */
export interface PlaidLive {
  /** `/accounts/get`. */
  accounts(accessToken: string): Promise<{ accounts: PlaidAccount[]; request_id: string }>;
  /**
   * `/accounts/balance/get`: asks the bank, which may take half a minute and more. Where the bank has no balance of the last
   * day to give (Capital One), what `/accounts/get` says; `last_updated_datetime` in the balances gives their age.
   */
  balances(accessToken: string): Promise<{ accounts: PlaidAccount[]; request_id: string }>;
  /** `/transactions/get` with original descriptions, newest first; `from` and `to` (YYYY-MM-DD) inclusive. */
  transactions(
    accessToken: string,
    query: { from: string; to: string; accountIds?: string[] | undefined; count: number; offset: number },
  ): Promise<{ transactions: PlaidTransaction[]; total_transactions: number; request_id: string }>;
  /** `/institutions/get_by_id` with connection status. Rejects with UNKNOWN_INSTITUTION when Plaid has none of that id. */
  institution(institutionId: string): Promise<{ institution: PlaidInstitution; request_id: string }>;
}

export interface InstitutionList {
  institutions: PlaidInstitution[];
  nameless: string[];
  listed: number;
  total: number;
}

/** Plaid's directory of institutions in the configured countries, with logos and colours. */
export interface PlaidDirectory {
  /**
   * `/institutions/get`, 500 from `offset` on. `listed` counts what stood on the page, `institutions` holds what of it has
   * an id and a name, `nameless` the ids of those without a name that can be kept; `total` is Plaid's count of the whole list at that
   * moment.
   */
  list(offset: number): Promise<InstitutionList>;
  /** `/institutions/get_by_id` with connection status. Rejects with UNKNOWN_INSTITUTION when Plaid has none of that id. */
  get(institutionId: string): Promise<PlaidInstitution>;
}
