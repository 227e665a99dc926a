import type { BankAccount } from '../bank/account.js';
import { PlaidApiError } from '../errors.js';
import type { Item, Product } from '../item/item.js';
import { requireBank } from '../item/lifecycle.js';
import { beginMicrodeposits } from '../item/microdeposits.js';
import { requireAccess } from '../item/productAccess.js';
import type { World } from '../world.js';
import type { Caller } from './endpoint.js';

/** The Item of a request to a product: one that asks for a new login answers every product with its error. */
export function healthyItem(world: World, accessToken: string, caller: Caller): Item {
  const item = world.itemByToken(accessToken, caller.clientId);
  if (item.facts.failure) {
    throw new PlaidApiError(item.facts.failure.code, undefined, { reason: item.facts.failure.reason });
  }
  return item;
}

/** As `healthyItem`, for calls that Plaid may answer from what it has read before. */
export function readableItem(world: World, accessToken: string, caller: Caller): Item {
  const item = world.itemByToken(accessToken, caller.clientId);
  return item.facts.failure?.servesCached === true ? item : healthyItem(world, accessToken, caller);
}

/** Only open accounts; an id that is not among them is INVALID_ACCOUNT_ID. */
export function chosenAccounts(item: Item, ids: readonly string[] | null | undefined): BankAccount[] {
  const open = item.openAccounts;
  if (open.length === 0) throw new PlaidApiError('NO_ACCOUNTS');
  if (ids === undefined || ids === null) return open;
  const known = new Set(open.map(({ account }) => account.account_id));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) {
    throw new PlaidApiError(
      'INVALID_ACCOUNT_ID',
      `failed to find requested account ID(s) for requested item: ${unknown.join(', ')}`,
    );
  }
  return open.filter(({ account }) => ids.includes(account.account_id));
}

/** As `healthyItem`, for calls that ask the bank at once. */
export function liveItem(world: World, accessToken: string, caller: Caller): Item {
  const item = healthyItem(world, accessToken, caller);
  requireBank(world, item);
  return item;
}

/** Puts a product on the Item at its first use, as Plaid does where the institution has it. */
export function useProduct(world: World, item: Item, product: Product): void {
  requireAccess(world, item, product);
  if (item.hasProduct(product)) return;
  const institution = world.institutions.get(item.facts.institutionId);
  if (!institution?.products.includes(product)) throw new PlaidApiError('PRODUCTS_NOT_SUPPORTED');
  item.facts.products = [...item.facts.products, product];
  if (product === 'auth') beginMicrodeposits(world, item);
  world.keeper.item(item);
}
