import type { World } from '../world.js';
import type { DataScope } from './dataScope.js';
import type { Item, Product } from './item.js';
import { isAllowed } from './productAccess.js';

/** Which kinds each product needs, after Plaid's guide to Data Transparency Messaging; a product that is not here needs none of its own. */
const SCOPES_OF: Partial<Record<Product, readonly DataScope[]>> = {
  assets: ['account_balance_info', 'contact_info', 'transactions'],
  auth: ['account_balance_info', 'account_routing_number'],
  employment: ['payroll_info'],
  identity: ['account_balance_info', 'contact_info'],
  income_verification: ['income_verification_paystubs_info', 'income_verification_w2s_info'],
  investments: ['account_balance_info', 'investments'],
  liabilities: ['account_balance_info', 'credit_loan_info'],
  signal: ['account_balance_info', 'risk_info'],
  statements: ['account_balance_info', 'bank_statements'],
  transactions: ['account_balance_info', 'transactions'],
  transfer: ['account_balance_info', 'account_routing_number'],
};

/** The products on the Item, and those that the user has consented to for later where the institution has them. */
export function consentedProducts(world: World, { facts }: Item): Product[] {
  const supported = world.institutions.get(facts.institutionId)?.products ?? [];
  const later = (facts.consentedProducts ?? []).filter((product) => supported.includes(product));
  return [...new Set([...facts.products, ...later])];
}

/** What the user shares: the kinds of data of the products consented to, less those that the bank was told to refuse. */
export function consentedDataScopes(world: World, item: Item): DataScope[] {
  const products = consentedProducts(world, item).filter((product) => isAllowed(item, product));
  return [...new Set(products.flatMap((product) => SCOPES_OF[product] ?? []))];
}
