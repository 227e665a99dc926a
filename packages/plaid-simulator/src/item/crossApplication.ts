import { PlaidApiError } from '../errors.js';
import type { LinkToken, PublicToken } from '../tokens.js';
import type { World } from '../world.js';
import type { Item } from './item.js';
import { logIn } from './login.js';

const DEFAULT_DAYS = 90;

/** Only a bank, with an Item that it has imported, can offer its user another application; that one must exist. */
export function requireTarget(world: World, item: Item | null, target: string): void {
  if (!item?.facts.imported) {
    throw new PlaidApiError(
      'INVALID_FIELD',
      'cross_app_item_add: access_token must be one that /item/import has returned',
    );
  }
  const { clients } = world.options;
  if (Object.keys(clients).length > 0 && !Object.hasOwn(clients, target)) {
    throw new PlaidApiError('INVALID_FIELD', 'cross_app_item_add.target_application_token is not known');
  }
}

/** The bank's user consents in Link, without logging in: the target application gets an Item of its own of the same login. */
export function consentForTarget(world: World, link: LinkToken): PublicToken {
  const source = link.itemId === null ? undefined : world.items.get(link.itemId);
  const target = link.targetApplication;
  if (!source || source.facts.removedAt !== null || target === null) {
    throw new PlaidApiError('INVALID_LINK_TOKEN');
  }
  return logIn(world, {
    institutionId: source.facts.institutionId,
    username: source.facts.username,
    password: '',
    products: link.products.length > 0 ? link.products : source.facts.products,
    productsIfSupported: link.productsIfSupported,
    consentedProducts: link.productsConsented,
    userId: link.userId,
    webhook: link.webhook,
    daysRequested: link.daysRequested ?? DEFAULT_DAYS,
    clientId: link.clientId === null ? null : target,
    application: { id: target, name: target },
  });
}
