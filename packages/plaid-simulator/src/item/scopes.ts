/** Names of Plaid's `product_access`; what is not said is allowed. */
export const PRODUCT_ACCESS = [
  'statements',
  'identity',
  'auth',
  'transactions',
  'accounts_details_transactions',
  'accounts_routing_number',
  'accounts_statements',
  'accounts_tax_statements',
  'customers_profiles',
] as const;

export type Access = (typeof PRODUCT_ACCESS)[number];

/** What of one account an application may read. There is no product here that reads statements or tax documents. */
export interface AccountProductAccess {
  account_data: boolean;
  statements: boolean;
  tax_documents: boolean;
}

export interface AccountScope {
  /** The bank's id of the account. */
  unique_id: string;
  authorized: boolean;
  /** Absent: nothing was ever said about it. */
  account_product_access?: AccountProductAccess;
}

/** What a user allows one application at the bank, as `/item/application/scopes/update` set it. */
export interface Scopes {
  product_access: Partial<Record<Access, boolean>>;
  new_accounts: boolean;
  /** What was said last of each account; which ones are seen may have changed in update mode since. */
  accounts?: AccountScope[];
}

/** An account whose data the application may not read looks to it like one that it may not see. */
export function isSeen({ authorized, account_product_access }: AccountScope): boolean {
  return authorized && account_product_access?.account_data !== false;
}
