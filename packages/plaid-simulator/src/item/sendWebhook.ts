import type { WebhookFields } from '../webhooks/body.js';
import { defaultFields, isAboutItem } from '../webhooks/bodies.js';
import type { Delivery } from '../webhooks/delivery.js';
import type { SendOptions } from '../webhooks/deliveries.js';
import type { World } from '../world.js';
import type { Item } from './item.js';

/** Sends a webhook of an Item, if it has a URL to send to. `fields` replace the usual ones. */
export function sendWebhook(
  world: World,
  item: Item,
  type: string,
  code: string,
  fields: WebhookFields = {},
  options: Omit<Partial<SendOptions>, 'fields' | 'itemId'> = {},
): Delivery | null {
  const url = options.url ?? item.facts.webhook;
  if (url === null) return null;
  const delivery = world.deliveries.send({
    clientId: item.facts.clientId,
    ...options,
    url,
    itemId: item.id,
    fields: {
      ...defaultFields(type, code, item, world.clock.now()),
      webhook_type: type,
      webhook_code: code,
      ...(isAboutItem(type) ? { item_id: item.id } : {}),
      environment: 'sandbox',
      ...fields,
    },
  });
  item.facts.lastWebhook = { sentAt: world.clock.now(), code };
  world.keeper.item(item);
  return delivery;
}
