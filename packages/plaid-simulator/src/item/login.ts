import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import { PUBLIC_TOKEN_TTL_MS, type PublicToken } from '../tokens.js';
import { breakOlderDuplicates } from './duplicates.js';
import { createItem, type Login } from './createItem.js';
import type { Item, Product } from './item.js';
import { scheduleItem, startPull } from './lifecycle.js';

/** What the user chooses and types, and what the application asks for. */
export interface LoginRequest extends Omit<Login, 'institution'> {
  institutionId: string;
  /** Products that are left out where the institution does not have them. */
  productsIfSupported?: readonly Product[];
}

/** A finished login: the Item exists, its pulls have begun, and the public token waits to be exchanged. */
export function logIn(world: World, request: LoginRequest): PublicToken {
  const institution = world.institutions.get(request.institutionId);
  if (!institution) throw new PlaidApiError('INVALID_INSTITUTION');
  const unsupported = request.products.filter((product) => !institution.products.includes(product));
  if (unsupported.length > 0) {
    throw new PlaidApiError(
      'PRODUCTS_NOT_SUPPORTED',
      `the following products are not supported by this institution: ${JSON.stringify(unsupported)}`,
    );
  }
  const extra = (request.productsIfSupported ?? []).filter((product) =>
    institution.products.includes(product),
  );
  const products = [...new Set([...request.products, ...extra])];
  const item = createItem(world, { ...request, institution, products });
  breakOlderDuplicates(world, item);
  scheduleItem(world, item);
  if (item.hasProduct('transactions')) startPull(world, item);
  world.keeper.item(item);
  return issuePublicToken(world, item);
}

/** A public token of an Item, to be exchanged once within half an hour. */
export function issuePublicToken(world: World, item: Item): PublicToken {
  const token: PublicToken = {
    token: `public-sandbox-${world.ids.uuid('public')}`,
    itemId: item.id,
    clientId: item.facts.clientId,
    expiresAt: world.clock.now() + PUBLIC_TOKEN_TTL_MS,
    used: false,
  };
  world.publicTokens.set(token.token, token);
  world.keeper.world();
  world.keeper.publicToken(token);
  return token;
}
