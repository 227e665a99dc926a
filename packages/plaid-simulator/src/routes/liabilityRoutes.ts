import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import { accountView } from '../item/accountView.js';
import { itemView } from '../item/itemView.js';
import { hasLiability, liabilitiesOf } from '../item/liabilityViews.js';
import { rememberProducts } from '../item/productNews.js';
import { accountIdsOption, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { chosenAccounts, healthyItem, useProduct } from './itemAccess.js';

/** `/liabilities/get`: credit cards, student loans and mortgages. */
export function liabilityRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/liabilities/get',
    body: requestBody({
      access_token: z.string(),
      options: z.strictObject({ account_ids: accountIdsOption }).optional(),
    }),
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      useProduct(world, item, 'liabilities');
      const accounts = chosenAccounts(item, options?.account_ids);
      if (!item.openAccounts.some(hasLiability)) throw new PlaidApiError('NO_LIABILITY_ACCOUNTS');
      rememberProducts(world, item);
      return {
        accounts: accounts.map((known) => accountView(item, known)),
        item: itemView(world, item),
        liabilities: liabilitiesOf(world, item, accounts),
      };
    },
  });
}
