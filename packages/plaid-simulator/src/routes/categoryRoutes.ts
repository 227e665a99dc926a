import type { FastifyInstance } from 'fastify';
import { legacyCategories } from '../bank/categories.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

/** `/categories/get`: the legacy categories. The one endpoint that asks for no credentials. */
export function categoryRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/categories/get',
    open: true,
    body: requestBody({}),
    run: () => ({ categories: legacyCategories() }),
  });
}
