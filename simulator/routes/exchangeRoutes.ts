import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import { requestId } from '../ids.js';
import { runUpdate } from '../item/lifecycle.js';
import { parseBody, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { authenticate } from './endpoint.js';

const MOST_NOTIFICATIONS = 2_000;

const notification = requestBody({
  notifications: z
    .array(
      z.looseObject({
        access_token: z.string(),
        account_id: z.string().optional(),
        new_since: z.string().optional(),
      }),
    )
    .max(MOST_NOTIFICATIONS),
  new_since: z.string().optional(),
});

/**
 * Plaid Exchange's notification, as a bank sends it: new transactions are there, Plaid should look. The answer says only that
 * it was accepted. 401 for credentials, 400 for a body that does not fit.
 */
export function exchangeRoutes(app: FastifyInstance, world: World): void {
  app.post('/items/transactions/notify', async (request, reply) => {
    const id = requestId();
    try {
      const body = (request.body ?? {}) as Record<string, unknown>;
      try {
        authenticate(world, request, body);
      } catch (error) {
        if (!(error instanceof PlaidApiError)) throw error;
        return await reply.code(401).send(error.body(id));
      }
      const { notifications } = parseBody(notification, body);
      const items = new Set(notifications.map(({ access_token }) => world.findByToken(access_token)));
      for (const item of items) if (item) runUpdate(world, item);
      return await reply.code(200).send({ request_id: id });
    } catch (error) {
      if (!(error instanceof PlaidApiError)) throw error;
      return reply.code(error.status).send(error.body(id));
    }
  });
}
