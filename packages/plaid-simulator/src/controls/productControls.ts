import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { runUpdate } from '../item/lifecycle.js';
import { changeInvestments, changeLiabilities } from '../item/productChanges.js';
import { civilDateField } from '../validation.js';
import type { World } from '../world.js';
import { itemControl } from './itemControl.js';

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
  const control = itemControl(app, world);

  control(
    'investments',
    z.strictObject({
      trades: z.array(trade).optional(),
      prices: z.record(z.string(), z.number().min(0)).optional(),
      cancel: z.array(z.string()).optional(),
      notify: z.boolean().optional(),
    }),
    (item, { trades, prices, cancel, notify }) => {
      const investment_transactions = changeInvestments(world, item, { trades, prices, cancel });
      if (notify) runUpdate(world, item);
      return { investment_transactions };
    },
  );

  control(
    'liabilities',
    z.strictObject({
      modify: z.array(z.looseObject({ account_id: z.string() })).min(1),
      notify: z.boolean().optional(),
    }),
    (item, { modify, notify }) => {
      changeLiabilities(world, item, modify);
      if (notify) runUpdate(world, item);
      return { account_ids: modify.map(({ account_id }) => account_id) };
    },
  );
}
