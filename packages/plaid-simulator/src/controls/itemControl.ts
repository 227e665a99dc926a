import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { ImpossibleChange } from '../item/bankChanges.js';
import type { Item } from '../item/item.js';
import type { World } from '../world.js';
import { assertLiving, controlBody, ControlError, itemOr404 } from './control.js';

/** Adds `/_sim/items/{id}/{name}`. */
type AddItemControl = <T extends z.ZodType>(
  name: string,
  schema: T,
  run: (item: Item, body: z.output<T>) => object,
) => void;

/** Controls of a living Item; what the bank cannot do is answered with 400, and all is on disk before the answer. */
export const itemControl =
  (app: FastifyInstance, world: World): AddItemControl =>
  (name, schema, run) => {
    app.post<{ Params: { item_id: string } }>(`/_sim/items/:item_id/${name}`, async (request) => {
      const item = itemOr404(world, request.params.item_id);
      const body = controlBody(schema, request.body);
      assertLiving(item);
      try {
        const answer = run(item, body);
        await world.keeper.saved();
        return answer;
      } catch (error) {
        if (error instanceof ImpossibleChange) throw new ControlError(400, error.message);
        throw error;
      }
    });
  };
