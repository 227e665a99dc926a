import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { civilDate, instant } from '../calendar.js';
import { isKnownCode } from '../errors.js';
import { changeBank } from '../item/bankChanges.js';
import {
  failItem,
  finishHistorical,
  finishInitial,
  readSilently,
  repairItem,
  runUpdate,
} from '../item/lifecycle.js';
import { renderTruth } from '../item/truth.js';
import { civilDateField } from '../validation.js';
import type { World } from '../world.js';
import { ControlError, itemOr404 } from './control.js';
import { itemControl } from './itemControl.js';

interface ItemParams {
  item_id: string;
}

export const bankChanges = {
  add: z
    .array(
      z.strictObject({
        account_id: z.string().optional(),
        amount: z.number(),
        name: z.string(),
        date: civilDateField.optional(),
        pending: z.boolean().optional(),
        iso_currency_code: z.string().optional(),
        unofficial_currency_code: z.string().optional(),
      }),
    )
    .optional(),
  modify: z
    .array(z.looseObject({ transaction_id: z.string(), account_id: z.string().optional() }))
    .optional(),
  remove: z.array(z.string()).optional(),
  post: z
    .array(
      z.strictObject({
        transaction_id: z.string(),
        amount: z.number().optional(),
        date: civilDateField.optional(),
        first: z.enum(['removed', 'added']).optional(),
      }),
    )
    .optional(),
};

/** `/_sim/items...`: what the bank, the user and time do to an Item. */
export function itemControls(app: FastifyInstance, world: World): void {
  app.get('/_sim/items', async () => ({
    items: [...world.items.values()]
      .filter(({ facts }) => facts.exchanged)
      .map(({ id, facts }) => ({
        item_id: id,
        phase: facts.phase,
        removed: facts.removedAt !== null,
        institution_id: facts.institutionId,
        transactions_update_status: facts.status,
        error_code: facts.failure?.code ?? null,
        created_at: instant(facts.createdAt),
        application_id: facts.application?.id ?? null,
        connection_id: facts.connectionId,
      })),
  }));

  app.get<{ Params: ItemParams }>('/_sim/items/:item_id/truth', async (request, reply) => {
    const item = itemOr404(world, request.params.item_id);
    return reply.type('application/json').send(renderTruth(item, world.deliveries.due(item.id)));
  });

  const control = itemControl(app, world);

  control('advance', z.strictObject({ to: z.enum(['initial', 'historical', 'idle']) }), (item, { to }) => {
    if (item.facts.initialAt === null) throw new ControlError(409, 'Transactions is not on the item');
    if (item.facts.failure) throw new ControlError(409, `the item is in ${item.facts.failure.code}`);
    if (to === 'initial') finishInitial(world, item);
    else finishHistorical(world, item);
    return { item_id: item.id, phase: item.facts.phase, transactions_update_status: item.facts.status };
  });

  control('repair', z.strictObject({ webhook: z.boolean().optional() }), (item, { webhook }) => {
    repairItem(world, item, webhook ?? false);
    return { item_id: item.id, phase: item.facts.phase };
  });

  control(
    'break',
    z.strictObject({
      error_code: z.string().default('ITEM_LOGIN_REQUIRED'),
      cached: z.boolean().optional(),
      notify: z.boolean().optional(),
    }),
    (item, { error_code, cached, notify }) => {
      if (!isKnownCode(error_code)) throw new ControlError(400, `error_code: ${error_code} is not known`);
      failItem(world, item, error_code, undefined, { servesCached: cached, notify });
      return { item_id: item.id, error_code };
    },
  );

  control(
    'transactions',
    z.strictObject({ ...bankChanges, notify: z.boolean().optional() }),
    (item, { notify, ...changes }) => {
      const today = civilDate(world.clock.now());
      const ids = changeBank(item, changes, today, () => world.ids.id('transaction'));
      if (notify) runUpdate(world, item);
      else readSilently(world, item);
      world.keeper.world();
      world.keeper.item(item);
      return ids;
    },
  );
}
