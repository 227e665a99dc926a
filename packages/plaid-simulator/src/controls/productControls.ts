import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImpossibleChange } from '../item/bankChanges.js';
import type { Item } from '../item/item.js';
import { runUpdate } from '../item/lifecycle.js';
import { changeInvestments, changeLiabilities } from '../item/productChanges.js';
import { civilDateField } from '../validation.js';
import type { World } from '../world.js';
import { controlBody, ControlError, itemOr404 } from './control.js';

const trade = z.strictObject({
  account_id: z.string().optional(),
  type: z.enum(['buy', 'sell', 'cash', 'fee', 'transfer']),
  subtype: z
    .enum(['buy', 'sell', 'contribution', 'deposit', 'withdrawal', 'dividend', 'interest'])
    .optional(),
  ticker: z.string().min(1).optional(),
  quantity: z.number().default(0),
  price: z.number().optional(),
  fees: z.number().optional(),
  amount: z.number().optional(),
  date: civilDateField.optional(),
  name: z.string().optional(),
});

/** `/_sim/items/{id}/investments` and `/_sim/items/{id}/liabilities`: what is bought and sold, and what is owed. */
export function productControls(app: FastifyInstance, world: World): void {
  const control = <T extends z.ZodType<{ notify?: boolean | undefined }>>(
    name: string,
    schema: T,
    run: (item: Item, body: z.output<T>) => object,
  ) =>
    app.post<{ Params: { item_id: string } }>(`/_sim/items/:item_id/${name}`, async (request) => {
      const item = itemOr404(world, request.params.item_id);
      const body = controlBody(schema, request.body);
      if (item.facts.removedAt !== null) throw new ControlError(409, 'the item was removed');
      try {
        const answer = run(item, body);
        if (body.notify) runUpdate(world, item);
        await world.keeper.saved();
        return answer;
      } catch (error) {
        if (error instanceof ImpossibleChange) throw new ControlError(400, error.message);
        throw error;
      }
    });

  control(
    'investments',
    z.strictObject({
      trades: z.array(trade).optional(),
      prices: z.record(z.string(), z.number().min(0)).optional(),
      cancel: z.array(z.string()).optional(),
      notify: z.boolean().optional(),
    }),
    (item, { trades, prices, cancel }) => ({
      investment_transactions: changeInvestments(world, item, { trades, prices, cancel }),
    }),
  );

  control(
    'liabilities',
    z.strictObject({
      modify: z.array(z.looseObject({ account_id: z.string() })).min(1),
      notify: z.boolean().optional(),
    }),
    (item, { modify }) => {
      changeLiabilities(world, item, modify);
      return { account_ids: modify.map(({ account_id }) => account_id) };
    },
  );
}
