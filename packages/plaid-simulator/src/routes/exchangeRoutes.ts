import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isCivilDate } from '../calendar.js';
import { runUpdate } from '../item/lifecycle.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

const MOST_NOTIFICATIONS = 2_000;
const UNAUTHORIZED = 401;

/** The age of the oldest thing that is new. */
const newSince = z
  .string()
  .refine(
    (text) => isCivilDate(text) || z.iso.datetime({ offset: true }).safeParse(text).success,
    'must be a date or a date and time in ISO 8601 form',
  )
  .optional();

const notification = requestBody({
  notifications: z
    .array(
      z.looseObject({
        access_token: z.string(),
        account_id: z.string().optional(),
        new_since: newSince,
      }),
    )
    .max(MOST_NOTIFICATIONS),
  new_since: newSince,
});

/**
 * Plaid Exchange's notifications, as a bank sends them: new transactions are there, or accounts were opened or closed. Plaid
 * pulls everything of the Items that are named, whichever account it is about. 200 says only that it was accepted, 401 is for
 * credentials, 400 for a body that does not fit. 429 comes from faults: Plaid publishes no limit.
 */
export function exchangeRoutes(app: FastifyInstance, world: World): void {
  for (const path of ['/items/transactions/notify', '/items/accounts/notify']) {
    plaidEndpoint(app, world, {
      path,
      unauthorizedStatus: UNAUTHORIZED,
      body: notification,
      run: ({ notifications }) => {
        const items = new Set(notifications.map(({ access_token }) => world.findByToken(access_token)));
        const visited = new Set<string>();
        for (const item of items) {
          // One pull serves every application of the login.
          if (!item || visited.has(item.facts.connectionId)) continue;
          visited.add(item.facts.connectionId);
          runUpdate(world, item);
        }
        return {};
      },
    });
  }
}
