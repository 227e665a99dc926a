import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { distortionFields } from '../distortion.js';
import { ImpossibleChange } from '../item/bankChanges.js';
import { distortItem } from '../item/distortions.js';
import { CURSOR_REFUSALS } from '../item/item.js';
import { readSilently, runUpdate } from '../item/lifecycle.js';
import { withdrawCursors } from '../item/withdrawnCursors.js';
import type { World } from '../world.js';
import { controlBody, ControlError, livingItem } from './control.js';

interface ItemParams {
  item_id: string;
}

/**
 * `/_sim/items/{id}/distort` and `/_sim/items/{id}/withdraw-cursors`: what Plaid sends of an Item has not the shape that its
 * documentation says, and cursors hold no longer than Plaid likes.
 */
export function shapeControls(app: FastifyInstance, world: World): void {
  app.post<{ Params: ItemParams }>('/_sim/items/:item_id/distort', async (request) => {
    const item = livingItem(world, request.params.item_id);
    const { accounts, transactions, notify } = controlBody(
      z.strictObject({
        accounts: z.array(z.strictObject({ account_id: z.string(), ...distortionFields })).default([]),
        transactions: z
          .array(z.strictObject({ transaction_id: z.string(), ...distortionFields }))
          .default([]),
        notify: z.boolean().optional(),
      }),
      request.body,
    );
    try {
      distortItem(
        world,
        item,
        accounts.map(({ account_id: id, ...distortion }) => ({ id, distortion })),
        transactions.map(({ transaction_id: id, ...distortion }) => ({ id, distortion })),
      );
    } catch (error) {
      if (error instanceof ImpossibleChange) throw new ControlError(400, error.message);
      throw error;
    }
    if (notify) runUpdate(world, item);
    else readSilently(world, item);
    await world.keeper.saved();
    return {
      accounts: accounts.map(({ account_id }) => account_id),
      transactions: transactions.map(({ transaction_id }) => transaction_id),
    };
  });

  app.post<{ Params: ItemParams }>('/_sim/items/:item_id/withdraw-cursors', async (request) => {
    const item = livingItem(world, request.params.item_id);
    const { answer, cursor } = controlBody(
      z.strictObject({
        answer: z.enum(CURSOR_REFUSALS).default('INVALID_FIELD'),
        cursor: z.string().optional(),
      }),
      request.body,
    );
    withdrawCursors(world, item, answer, cursor);
    await world.keeper.saved();
    return { item_id: item.id, answer };
  });
}
