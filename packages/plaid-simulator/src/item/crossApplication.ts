import { PlaidApiError } from '../errors.js';
import type { LinkToken, PublicToken } from '../tokens.js';
import type { World } from '../world.js';
import { applicationItems, takeAtOnce } from './applications.js';
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
  requireClient(world, target, 'cross_app_item_add.target_application_token');
}

/** Where the simulator was told its clients, there is no other application; elsewhere any id may be one. */
function requireClient(world: World, application: string, field: string): void {
  const { clients } = world.options;
  if (Object.keys(clients).length > 0 && !Object.hasOwn(clients, application)) {
    throw new PlaidApiError('INVALID_FIELD', `${field} is not known`);
  }
}

/**
 * `/sandbox/item/application/seed`: the application is connected with the login of a bank's user as if the user had linked there.
 * An application that is connected already keeps the Item that it has.
 */
export function seedApplication(world: World, item: Item, applicationId: string): Item {
  if (!item.facts.imported) {
    throw new PlaidApiError('INVALID_FIELD', 'access_token: must be one that /item/import has returned');
  }
  requireClient(world, applicationId, 'application_id');
  if (item.facts.application?.id === applicationId) {
    throw new PlaidApiError(
      'INVALID_FIELD',
      'application_id: the bank cannot be connected with its own user',
    );
  }
  const known = applicationItems(world, item).find(({ facts }) => facts.application?.id === applicationId);
  if (known) return known;
  const token = logIn(world, {
    institutionId: item.facts.institutionId,
    username: item.facts.username,
    password: '',
    products: item.facts.products,
    webhook: null,
    daysRequested: item.facts.daysRequested,
    clientId: item.facts.clientId === null ? null : applicationId,
    application: { id: applicationId, name: applicationId },
    model: item,
  });
  return takeAtOnce(world, token);
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
