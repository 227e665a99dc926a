import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import type { Item } from './item.js';

/** The living Items of one of Plaid's users, whom the caller names by `user_id` or `user_token`; there must be some. */
export function itemsOfUser(world: World, user: string | undefined, clientId: string | null): Item[] {
  if (user === undefined) {
    throw new PlaidApiError('MISSING_FIELDS', 'the following required fields are missing: user_id');
  }
  const items = [...world.items.values()].filter(
    ({ facts }) =>
      facts.userId === user &&
      facts.removedAt === null &&
      (facts.clientId === null || facts.clientId === clientId),
  );
  if (items.length === 0) throw new PlaidApiError('INVALID_USER_TOKEN');
  return items;
}

/** Those of these ids; all of them when none is named. */
export function chosenItems(items: readonly Item[], ids: readonly string[] | null | undefined): Item[] {
  const foreign = (ids ?? []).filter((id) => !items.some((item) => item.id === id));
  if (foreign.length > 0) {
    throw new PlaidApiError('INVALID_FIELD', `item_ids: not Items of this user: ${foreign.join(', ')}`);
  }
  return items.filter(({ id }) => !ids?.length || ids.includes(id));
}

/** The Item that update mode is for when a user is named instead of an access token: the newest that update mode can heal. */
export function itemToRepair(items: readonly Item[], ids: readonly string[] | null | undefined): Item {
  const chosen = chosenItems(items, ids);
  if (ids?.length) {
    const [item, ...more] = chosen;
    if (item && more.length === 0) return item;
    throw new PlaidApiError('INVALID_FIELD', 'update.item_ids: one Item in a session is all there is here');
  }
  const broken = chosen.filter(
    ({ facts }) => facts.failure !== null && facts.failure.code !== 'USER_PERMISSION_REVOKED',
  );
  const item = broken.at(-1);
  if (!item) throw new PlaidApiError('INVALID_FIELD', 'update.user: no Item of this user needs update mode');
  return item;
}
