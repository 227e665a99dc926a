import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import type { Product } from './item.js';

/** Products that can be asked for when an Item is made; `balance` is not among them. */
const PRODUCTS = [
  'assets',
  'auth',
  'beacon',
  'employment',
  'identity',
  'income_verification',
  'investments',
  'liabilities',
  'payment_initiation',
  'signal',
  'standing_orders',
  'statements',
  'transactions',
  'transfer',
] as const satisfies readonly Product[];

/** A list of products in a request. */
export const productList = z.array(z.string());

/** Checks the names of products; one that does not exist, or `balance`, is INVALID_PRODUCT. */
export function productsNamed(names: readonly string[]): Product[] {
  return names.map((name) => {
    const product = PRODUCTS.find((known) => known === name);
    if (!product)
      throw new PlaidApiError(
        'INVALID_PRODUCT',
        `client is not authorized to access the following products: ["${name}"]`,
      );
    return product;
  });
}
