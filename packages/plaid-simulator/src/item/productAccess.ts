import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import type { Item, Product } from './item.js';
import type { Access } from './scopes.js';
import { sendWebhook } from './sendWebhook.js';

/** Some banks have names of their own for what a product reads: each of a product's names must be allowed. */
const NAMES_OF: Partial<Record<Product, readonly Access[]>> = {
  auth: ['auth', 'accounts_routing_number'],
  identity: ['identity', 'customers_profiles'],
  transactions: ['transactions', 'accounts_details_transactions'],
};

/**
 * A product that the user has not allowed is ACCESS_NOT_GRANTED, which for Auth and Identity is announced by webhook too: the
 * application can ask for it in update mode.
 */
export function requireAccess(world: World, item: Item, product: Product): void {
  if (isAllowed(item, product)) return;
  if (product === 'auth' || product === 'identity') {
    sendWebhook(world, item, product.toUpperCase(), 'PRODUCT_PERMISSIONS_REQUIRED');
  }
  throw new PlaidApiError('ACCESS_NOT_GRANTED');
}

/** Whether the user lets the application have a product at the bank. */
export function isAllowed({ facts }: Item, product: Product): boolean {
  const access = facts.scopes?.product_access ?? {};
  return !NAMES_OF[product]?.some((name) => access[name] === false);
}
