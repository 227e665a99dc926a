import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { instant, LAST_INSTANT_MS } from '../calendar.js';
import { repairItem, sendWebhook } from '../item/lifecycle.js';
import { SIGNATURES } from '../webhooks/keys.js';
import type { World } from '../world.js';
import { controlBody, ControlError, itemOr404 } from './control.js';

const MOST_COPIES = 10_000;

/** `/_sim/items/{id}/webhooks` sends any webhook, also wrongly signed; `/_sim/webhooks` lists what was sent. */
export function webhookControls(app: FastifyInstance, world: World): void {
  app.post<{ Params: { item_id: string } }>('/_sim/items/:item_id/webhooks', async (request) => {
    const item = itemOr404(world, request.params.item_id);
    const { webhook_type, webhook_code, duplicate, delay_ms, drop, reorder, repair, sign, ...fields } =
      controlBody(
        z.looseObject({
          webhook_type: z.string(),
          webhook_code: z.string(),
          duplicate: z.int().min(1).max(MOST_COPIES).default(1),
          delay_ms: z.number().min(0).default(0),
          drop: z.boolean().default(false),
          reorder: z.boolean().default(false),
          repair: z.boolean().default(false),
          sign: z.enum(SIGNATURES).default('ok'),
        }),
        request.body,
      );
    if (world.clock.now() + delay_ms > LAST_INSTANT_MS)
      throw new ControlError(400, 'delay_ms: beyond the year 9999');
    if (item.facts.webhook === null) throw new ControlError(409, 'the item has no webhook URL');
    if (repair) repairItem(world, item, false);
    const ids: string[] = [];
    for (let copy = 0; copy < duplicate; copy += 1) {
      const delivery = sendWebhook(world, item, webhook_type, webhook_code, fields, {
        delayMs: delay_ms,
        drop,
        reorder,
        signature: sign,
      });
      if (delivery) ids.push(delivery.id);
    }
    return { deliveries: ids };
  });

  app.get<{ Querystring: { item_id?: string } }>('/_sim/webhooks', async (request) => ({
    deliveries: world.deliveries.list(request.query.item_id).map((delivery) => ({
      id: delivery.id,
      item_id: delivery.itemId,
      url: delivery.url,
      webhook_type: delivery.webhookType,
      webhook_code: delivery.webhookCode,
      state: delivery.state,
      gave_up: delivery.gaveUp ?? null,
      next_attempt_at: delivery.state === 'pending' ? instant(delivery.nextAt) : null,
      body: delivery.body,
      attempts: delivery.attempts,
    })),
  }));
}
