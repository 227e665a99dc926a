import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import { accountView, trueAccountView } from '../item/accountView.js';
import type { BankAccount } from '../bank/account.js';
import type { Item } from '../item/item.js';
import { itemView } from '../item/itemView.js';
import { runUpdate } from '../item/lifecycle.js';
import { holdingsOf, isInvestment, securitiesTraded, tradesOfAccounts } from '../item/portfolios.js';
import { rememberProducts } from '../item/productNews.js';
import { accountIdsOption, civilDateField, requestBody } from '../validation.js';
import type { WireInvestmentAccount } from '../wire.js';
import type { World } from '../world.js';
import { plaidEndpoint, type Caller } from './endpoint.js';
import { chosenAccounts, healthyItem, liveItem, useProduct } from './itemAccess.js';

const MOST_ROWS = 500;
const USUAL_ROWS = 100;

/** The Item of a request for investments, with the accounts that it is about; there must be an investment account among all. */
function investor(
  world: World,
  accessToken: string,
  caller: Caller,
  ids: readonly string[] | null | undefined,
): { item: Item; accounts: BankAccount[] } {
  const item = healthyItem(world, accessToken, caller);
  useProduct(world, item, 'investments');
  const accounts = chosenAccounts(item, ids);
  if (!item.openAccounts.some(isInvestment)) throw new PlaidApiError('NO_INVESTMENT_ACCOUNTS');
  rememberProducts(world, item);
  return { item, accounts };
}

function views(item: Item, accounts: readonly BankAccount[]): WireInvestmentAccount[] {
  return accounts.map((known) =>
    accountView(item, known, {
      balances: { ...trueAccountView(item, known).balances, margin_loan_amount: null },
    }),
  );
}

/** `/investments/...`. */
export function investmentRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/investments/holdings/get',
    body: requestBody({
      access_token: z.string(),
      options: z.strictObject({ account_ids: accountIdsOption }).optional(),
    }),
    run: ({ access_token, options }, caller) => {
      const { item, accounts } = investor(world, access_token, caller, options?.account_ids);
      return {
        accounts: views(item, accounts),
        ...holdingsOf(world, item, accounts),
        item: itemView(world, item),
        is_investments_fallback_item: false,
      };
    },
  });

  plaidEndpoint(app, world, {
    path: '/investments/transactions/get',
    body: requestBody({
      access_token: z.string(),
      start_date: civilDateField,
      end_date: civilDateField,
      options: z
        .strictObject({
          account_ids: accountIdsOption,
          count: z.int().min(1).max(MOST_ROWS).default(USUAL_ROWS),
          offset: z.int().min(0).default(0),
          async_update: z.boolean().optional(),
        })
        .optional(),
    }),
    run: ({ access_token, start_date, end_date, options }, caller) => {
      if (start_date > end_date) {
        throw new PlaidApiError('INVALID_FIELD', 'start_date must be on or before end_date');
      }
      const { item, accounts } = investor(world, access_token, caller, options?.account_ids);
      const all = tradesOfAccounts(world, item, accounts).filter(
        ({ row: { date } }) => date >= start_date && date <= end_date,
      );
      const offset = options?.offset ?? 0;
      const page = all.slice(offset, offset + Math.min(options?.count ?? USUAL_ROWS, caller.mostRows));
      return {
        accounts: views(item, accounts),
        investment_transactions: page.map(({ row }) => row),
        securities: securitiesTraded(world, item, page),
        total_investment_transactions: all.length,
        item: itemView(world, item),
        is_investments_fallback_item: false,
      };
    },
  });

  plaidEndpoint(app, world, {
    path: '/investments/refresh',
    body: requestBody({ access_token: z.string() }),
    run: ({ access_token }, caller) => {
      const item = liveItem(world, access_token, caller);
      if (!item.hasProduct('investments')) throw new PlaidApiError('PRODUCT_NOT_ENABLED');
      runUpdate(world, item);
      return {};
    },
  });
}
