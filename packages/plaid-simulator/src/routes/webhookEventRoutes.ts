import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { DAY_MS, instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { requestBody } from '../validation.js';
import { numberOf, type Delivery } from '../webhooks/delivery.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

const RETENTION_MS = 7 * DAY_MS;
const MOST_EVENTS = 100;
const STATUSES = ['PENDING', 'DELIVERED', 'FAILED'] as const;

const STATUS_OF: Record<Delivery['state'], (typeof STATUSES)[number]> = {
  pending: 'PENDING',
  delivered: 'DELIVERED',
  failed: 'FAILED',
  // Lost on the way: this list is where a client can find it.
  dropped: 'FAILED',
};

/** A place in the log: the number of the last delivery that was given, and when that was made. */
interface Place {
  number: number;
  at: number;
}

function encode({ number, at }: Place): string {
  return Buffer.from(`${number}:${at}`).toString('base64url');
}

function decode(cursor: string): Place {
  const match = /^(\d+):(\d+(?:\.\d+)?)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (!match) throw new PlaidApiError('INVALID_FIELD', 'cursor is not properly formatted');
  return { number: Number(match[1]), at: Number(match[2]) };
}

function expired(code: string, message: string): PlaidApiError {
  return new PlaidApiError(code, message, { type: 'INVALID_INPUT' });
}

function event(delivery: Delivery): object {
  const last = delivery.attempts.at(-1);
  return {
    webhook_message_id: delivery.id,
    webhook_type: delivery.webhookType,
    webhook_code: delivery.webhookCode,
    item_id: delivery.itemId,
    sent_time: instant(delivery.createdAt),
    payload: JSON.parse(delivery.signedBody ?? delivery.body),
    destination_url: delivery.url,
    delivery_status: STATUS_OF[delivery.state],
    last_http_status_code: last?.status ?? null,
    attempt_count: delivery.attempts.length,
    last_attempt_time: last?.at ?? null,
  };
}

/** `/beta/webhook_events/list`: what was sent to the client within seven days of simulated time, the oldest first. */
export function webhookEventRoutes(app: FastifyInstance, world: World): void {
  const names = z.array(z.string()).optional();
  plaidEndpoint(app, world, {
    path: '/beta/webhook_events/list',
    body: requestBody({
      cursor: z.string().optional(),
      start_time: z.iso.datetime({ offset: true }).nullish(),
      count: z.int().min(1).max(MOST_EVENTS).nullish(),
      webhook_types: names,
      webhook_codes: names,
      item_ids: names,
      delivery_statuses: z.array(z.enum(STATUSES)).optional(),
    }),
    run: (body, caller) => {
      if (body.cursor !== undefined && body.start_time) {
        throw new PlaidApiError('INVALID_FIELD', 'cursor and start_time are mutually exclusive');
      }
      const oldest = world.clock.now() - RETENTION_MS;
      const place = body.cursor === undefined ? null : decode(body.cursor);
      if (place && place.at < oldest) {
        throw expired('WEBHOOK_EVENTS_CURSOR_EXPIRED', 'the cursor is older than the retention of 7 days');
      }
      const start = body.start_time ? Date.parse(body.start_time) : oldest;
      if (start < oldest) {
        throw expired('WEBHOOK_EVENTS_START_TIME_OUT_OF_RANGE', 'start_time must be within the last 7 days');
      }
      const isIn = (wanted: readonly string[] | undefined, value: string | null) =>
        wanted === undefined || (value !== null && wanted.includes(value));
      const found = world.deliveries
        .list()
        .filter(
          (delivery) =>
            (caller.clientId === null || delivery.clientId === caller.clientId) &&
            (place ? numberOf(delivery) > place.number : delivery.createdAt >= start) &&
            isIn(body.webhook_types, delivery.webhookType) &&
            isIn(body.webhook_codes, delivery.webhookCode) &&
            isIn(body.item_ids, delivery.itemId) &&
            isIn(body.delivery_statuses, STATUS_OF[delivery.state]),
        );
      const page = found.slice(0, body.count ?? MOST_EVENTS);
      const last = page.at(-1);
      const next: Place = last
        ? { number: numberOf(last), at: last.createdAt }
        : // Nothing new: the place stays, and does not grow old by it.
          { number: place?.number ?? world.deliveries.latest, at: world.clock.now() };
      return {
        webhook_events: page.map(event),
        has_more: found.length > page.length,
        next_cursor: encode(next),
      };
    },
  });
}
