import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

/** `/webhook_verification_key/get`. */
export function webhookKeyRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/webhook_verification_key/get',
    body: requestBody({ key_id: z.string() }),
    run: ({ key_id }) => {
      const key = world.keys.get(key_id);
      if (!key) throw new PlaidApiError('INVALID_WEBHOOK_VERIFICATION_KEY_ID');
      return { key };
    },
  });
}
