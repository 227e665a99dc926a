import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isDebitable, joinNumbers, type BankAccount } from '../bank/account.js';
import { PlaidApiError } from '../errors.js';
import type { Item } from '../item/item.js';
import { itemView } from '../item/itemView.js';
import type { WireAccount, WireAccountIdentity } from '../wire.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { healthyItem, liveItem, useProduct } from './itemAccess.js';

const accountIds = z.array(z.string()).optional();
const request = requestBody({
  access_token: z.string(),
  options: z.strictObject({ account_ids: accountIds }).optional(),
});

/** Only open accounts; an id that is not among them is INVALID_ACCOUNT_ID. */
function chosen(item: Item, ids: readonly string[] | undefined): BankAccount[] {
  const open = item.openAccounts;
  if (open.length === 0) throw new PlaidApiError('NO_ACCOUNTS');
  if (ids === undefined) return open;
  const known = new Set(open.map(({ account }) => account.account_id));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) {
    throw new PlaidApiError(
      'INVALID_ACCOUNT_ID',
      `failed to find requested account ID(s) for requested item: ${unknown.join(', ')}`,
    );
  }
  return open.filter(({ account }) => ids.includes(account.account_id));
}

function views(accounts: readonly BankAccount[]): WireAccount[] {
  return accounts.map(({ account }) => account);
}

/** `/accounts/...`, `/auth/get`, `/identity/get`. */
export function accountRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/accounts/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      return { accounts: views(chosen(item, options?.account_ids)), item: itemView(world, item) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/accounts/balance/get',
    body: requestBody({
      access_token: z.string(),
      options: z
        .strictObject({
          account_ids: accountIds,
          min_last_updated_datetime: z.iso.datetime({ offset: true }).optional(),
        })
        .optional(),
    }),
    run: ({ access_token, options }, caller) => {
      const item = liveItem(world, access_token, caller);
      const accounts = chosen(item, options?.account_ids);
      // Capital One alone gives balances that it has cached, and Plaid wants to hear how old they may be.
      if (
        item.facts.institutionId === 'ins_128026' &&
        options?.min_last_updated_datetime === undefined &&
        accounts.some(({ account }) => account.type !== 'depository')
      ) {
        throw new PlaidApiError(
          'INVALID_FIELD',
          'min_last_updated_datetime is required for this institution',
        );
      }
      return { accounts: views(accounts), item: itemView(world, item) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/auth/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      useProduct(world, item, 'auth');
      const accounts = chosen(item, options?.account_ids).filter(isDebitable);
      if (accounts.length === 0) throw new PlaidApiError('NO_AUTH_ACCOUNTS');
      return { accounts: views(accounts), item: itemView(world, item), numbers: joinNumbers(accounts) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/identity/get',
    body: request,
    run: ({ access_token, options }, caller) => {
      const item = healthyItem(world, access_token, caller);
      useProduct(world, item, 'identity');
      const accounts = chosen(item, options?.account_ids).map(({ account, owners }): WireAccountIdentity => ({
        ...account,
        owners,
      }));
      return { accounts, item: itemView(world, item) };
    },
  });
}
