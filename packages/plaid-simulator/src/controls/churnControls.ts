import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { churnAccount } from '../item/accountChurn.js';
import type { Item } from '../item/item.js';
import { readSilently, runUpdate } from '../item/lifecycle.js';
import { canRevokeNumbers, revokeNumbers } from '../item/revokedNumbers.js';
import type { World } from '../world.js';
import { controlBody, ControlError, livingItem } from './control.js';

interface ItemParams {
  item_id: string;
}

const accountIds = z.array(z.string()).min(1);

/** The Item, which must be there and have all these accounts open. */
function itemWithOpen(world: World, itemId: string, ids: readonly string[]): Item {
  const item = livingItem(world, itemId);
  for (const id of ids) {
    if (!item.openAccounts.some(({ account }) => account.account_id === id)) {
      throw new ControlError(400, `the item has no open account ${id}`);
    }
  }
  if (new Set(ids).size < ids.length) throw new ControlError(400, 'an account is named twice');
  return item;
}

/** `/_sim/items/{id}/churn` and `/_sim/items/{id}/revoke-numbers`: accounts that change their identity, or lose their numbers. */
export function churnControls(app: FastifyInstance, world: World): void {
  app.post<{ Params: ItemParams }>('/_sim/items/:item_id/churn', async (request) => {
    const { account_ids: ids, notify } = controlBody(
      z.strictObject({ account_ids: accountIds, notify: z.boolean().optional() }),
      request.body,
    );
    const item = itemWithOpen(world, request.params.item_id, ids);
    const churned = ids.map((id) => ({ account_id: id, new_account_id: churnAccount(world, item, id) }));
    if (notify) runUpdate(world, item);
    else readSilently(world, item);
    world.keeper.item(item);
    await world.keeper.saved();
    return { churned };
  });

  app.post<{ Params: ItemParams }>('/_sim/items/:item_id/revoke-numbers', async (request) => {
    const { account_ids: ids } = controlBody(z.strictObject({ account_ids: accountIds }), request.body);
    const item = itemWithOpen(world, request.params.item_id, ids);
    if (!canRevokeNumbers(world, item)) {
      throw new ControlError(409, 'the numbers of this institution cannot be revoked');
    }
    revokeNumbers(item, ids);
    world.keeper.item(item);
    await world.keeper.saved();
    return { account_ids: ids };
  });
}
