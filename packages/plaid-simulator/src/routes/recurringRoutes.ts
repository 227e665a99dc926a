import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { inVersion, type TaxonomyVersion } from '../bank/categories.js';
import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { requireAccess } from '../item/productAccess.js';
import { streamsOf, rememberStreams } from '../item/streams.js';
import { requestBody } from '../validation.js';
import type { WireTransactionStream } from '../wire.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { chosenAccounts, healthyItem } from './itemAccess.js';

/** `/transactions/recurring/get`: an add-on to Transactions, which must be on the Item and have read the whole history. */
export function recurringRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/transactions/recurring/get',
    body: requestBody({
      access_token: z.string(),
      account_ids: z.array(z.string()).optional(),
      options: z
        .strictObject({
          include_personal_finance_category: z.boolean().optional(),
          personal_finance_category_version: z.enum(['v1', 'v2']).optional(),
        })
        .optional(),
    }),
    run: ({ access_token, account_ids, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      requireAccess(world, item, 'transactions');
      if (!item.hasProduct('transactions')) throw new PlaidApiError('PRODUCT_NOT_ENABLED');
      if (item.facts.status !== 'HISTORICAL_UPDATE_COMPLETE') throw new PlaidApiError('PRODUCT_NOT_READY');
      const accounts = new Set(chosenAccounts(item, account_ids).map(({ account }) => account.account_id));
      const version: TaxonomyVersion = options?.personal_finance_category_version ?? 'v2';
      const now = world.clock.now();
      const streams = streamsOf(item, now);
      rememberStreams(item, streams);
      world.keeper.item(item);
      const view = (list: readonly WireTransactionStream[]) =>
        list
          .filter((stream) => accounts.has(stream.account_id))
          .map((stream) => ({
            ...stream,
            personal_finance_category: inVersion(stream.personal_finance_category ?? null, version),
          }));
      return {
        inflow_streams: view(streams.inflow),
        outflow_streams: view(streams.outflow),
        personal_finance_category_version: version,
        updated_datetime: instant(item.facts.lastSuccessfulUpdate ?? now),
      };
    },
  });
}
