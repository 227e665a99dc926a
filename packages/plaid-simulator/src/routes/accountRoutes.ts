import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { awaitsMicrodeposits, isDebitable, joinNumbers, type BankAccount } from '../bank/account.js';
import { PlaidApiError } from '../errors.js';
import { accountView, balancesReadAt, hasCachedBalance } from '../item/accountView.js';
import type { Item } from '../item/item.js';
import { itemView } from '../item/itemView.js';
import type { WireAccountIdentity } from '../wire.js';
import { accountIdsOption, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { chosenAccounts, healthyItem, liveItem, readableItem, useProduct } from './itemAccess.js';

const request = requestBody({
  access_token: z.string(),
  options: z.strictObject({ account_ids: accountIdsOption }).optional(),
});

function views(item: Item, accounts: readonly BankAccount[]) {
  return accounts.map((known) => accountView(item, known));
}

/** Of cached balances, those of Capital One's cards, Plaid wants to hear how old they may be. */
function requireRecent(item: Item, accounts: readonly BankAccount[], oldest: string | undefined): void {
  if (!accounts.some((known) => hasCachedBalance(item, known))) return;
  if (oldest === undefined) {
    throw new PlaidApiError('INVALID_FIELD', 'min_last_updated_datetime is required for this institution');
  }
  if (balancesReadAt(item) < Date.parse(oldest)) {
    throw new PlaidApiError('LAST_UPDATED_DATETIME_OUT_OF_RANGE');
  }
}

/** `/accounts/...`, `/auth/get`, `/identity/get`. */
export function accountRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/accounts/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = readableItem(world, access_token, caller);
      return {
        accounts: views(item, chosenAccounts(item, options?.account_ids)),
        item: itemView(world, item),
      };
    },
  });

  plaidEndpoint(app, world, {
    path: '/accounts/balance/get',
    body: requestBody({
      access_token: z.string(),
      options: z
        .strictObject({
          account_ids: accountIdsOption,
          min_last_updated_datetime: z.iso.datetime({ offset: true }).optional(),
        })
        .optional(),
    }),
    run: ({ access_token, options }, caller) => {
      const item = liveItem(world, access_token, caller);
      const accounts = chosenAccounts(item, options?.account_ids);
      requireRecent(item, accounts, options?.min_last_updated_datetime);
      return { accounts: views(item, accounts), item: itemView(world, item) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/auth/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      useProduct(world, item, 'auth');
      const debitable = chosenAccounts(item, options?.account_ids).filter(isDebitable);
      if (debitable.some(awaitsMicrodeposits)) throw new PlaidApiError('PRODUCT_NOT_READY');
      const accounts = debitable.filter(
        ({ account, numbersRevoked }) =>
          !numbersRevoked && account.verification_status !== 'verification_expired',
      );
      if (accounts.length === 0) throw new PlaidApiError('NO_AUTH_ACCOUNTS');
      return { accounts: views(item, accounts), item: itemView(world, item), numbers: joinNumbers(accounts) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/identity/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      useProduct(world, item, 'identity');
      const accounts = chosenAccounts(item, options?.account_ids).map((known): WireAccountIdentity =>
        accountView(item, known, { owners: known.owners }),
      );
      return { accounts, item: itemView(world, item) };
    },
  });
}
