import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import type { Item, Product } from './item.js';
import { sendWebhook } from './sendWebhook.js';

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

type Access = (typeof PRODUCT_ACCESS)[number];

/** Some banks have names of their own for what a product reads: each of a product's names must be allowed. */
const NAMES_OF: Partial<Record<Product, readonly Access[]>> = {
  auth: ['auth', 'accounts_routing_number'],
  identity: ['identity', 'customers_profiles'],
  transactions: ['transactions', 'accounts_details_transactions'],
};

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

/**
 * A product that the user has not allowed is ACCESS_NOT_GRANTED, which for Auth and Identity is told by webhook too: the
 * application can ask for it in update mode.
 */
export function requireAccess(world: World, item: Item, product: Product): void {
  const access = item.facts.scopes?.product_access ?? {};
  if (!NAMES_OF[product]?.some((name) => access[name] === false)) return;
  if (product === 'auth' || product === 'identity') {
    sendWebhook(world, item, product.toUpperCase(), 'PRODUCT_PERMISSIONS_REQUIRED');
  }
  throw new PlaidApiError('ACCESS_NOT_GRANTED');
}
