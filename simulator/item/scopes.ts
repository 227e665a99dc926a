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

export interface AccountScope {
  /** The bank's id of the account. */
  unique_id: string;
  authorized: boolean;
}

/** What a user allows one application at the bank, as `/item/application/scopes/update` set it. */
export interface Scopes {
  product_access: Partial<Record<(typeof PRODUCT_ACCESS)[number], boolean>>;
  new_accounts: boolean;
}

/**
 * A product that the user has not allowed is ACCESS_NOT_GRANTED, which for Auth and Identity is told by webhook too: the
 * application can ask for it in update mode.
 */
export function requireAccess(world: World, item: Item, product: Product): void {
  const access: Partial<Record<string, boolean>> = item.facts.scopes?.product_access ?? {};
  if (access[product] !== false) return;
  if (product === 'auth' || product === 'identity') {
    sendWebhook(world, item, product.toUpperCase(), 'PRODUCT_PERMISSIONS_REQUIRED');
  }
  throw new PlaidApiError('ACCESS_NOT_GRANTED');
}
