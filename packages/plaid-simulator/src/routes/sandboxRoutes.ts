import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { awaitsMicrodeposits } from '../bank/account.js';
import { customTransactionRow } from '../bank/customUser.js';
import { rowOf } from '../bank/row.js';
import { addDays, civilDate } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { seedApplication } from '../item/crossApplication.js';
import { isDynamic } from '../item/dynamicUser.js';
import type { Product } from '../item/item.js';
import { failItem, runUpdate, sendWebhook } from '../item/lifecycle.js';
import { logIn } from '../item/login.js';
import { endVerification } from '../item/microdeposits.js';
import { productList, productsNamed } from '../item/products.js';
import { chosenItems, itemsOfUser } from '../item/users.js';
import { isHttpUrl } from '../options.js';
import { civilDateField, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { chosenAccounts, healthyItem } from './itemAccess.js';

const DEFAULT_DAYS = 90;
const MOST_DAYS = 730;
const MOST_CREATED = 10;
const MOST_DAYS_BACK = 14;

/** Which codes can be fired, by type. Codes of the Item's life that Plaid cannot fire are the controls' business. */
const FIREABLE: Record<string, readonly string[]> = {
  TRANSACTIONS: ['DEFAULT_UPDATE', 'SYNC_UPDATES_AVAILABLE', 'RECURRING_TRANSACTIONS_UPDATE'],
  ITEM: [
    'NEW_ACCOUNTS_AVAILABLE',
    'LOGIN_REPAIRED',
    'PENDING_DISCONNECT',
    'USER_PERMISSION_REVOKED',
    'USER_ACCOUNT_REVOKED',
    'AUTHORIZATION_GRANTED',
  ],
  AUTH: ['DEFAULT_UPDATE', 'SMS_MICRODEPOSITS_VERIFICATION'],
  HOLDINGS: ['DEFAULT_UPDATE'],
  INVESTMENTS_TRANSACTIONS: ['DEFAULT_UPDATE'],
  LIABILITIES: ['DEFAULT_UPDATE'],
  ASSETS: ['PRODUCT_READY', 'ERROR'],
};

const CODES = [...new Set(Object.values(FIREABLE).flat())];
const PRODUCT_OF: Record<string, Product | undefined> = {
  ASSETS: 'assets',
  AUTH: 'auth',
  HOLDINGS: 'investments',
  INVESTMENTS_TRANSACTIONS: 'investments',
  LIABILITIES: 'liabilities',
  TRANSACTIONS: 'transactions',
};

/** `/sandbox/...`: making Items without Link, and breaking them. */
export function sandboxRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/sandbox/public_token/create',
    durable: true,
    body: requestBody({
      institution_id: z.string(),
      initial_products: productList.min(1),
      options: z
        .strictObject({
          webhook: z
            .string()
            .refine((url) => url === '' || isHttpUrl(url), 'must be a valid http or https URL')
            .optional(),
          override_username: z.string().nullish(),
          override_password: z.string().nullish(),
          transactions: z
            .strictObject({
              // Accepted and without effect, as in Plaid's sandbox.
              start_date: civilDateField.optional(),
              end_date: civilDateField.optional(),
              days_requested: z.int().min(1).max(MOST_DAYS).optional(),
            })
            .nullish(),
          // Of products that are not simulated: checked, and without effect.
          statements: z.strictObject({ start_date: civilDateField, end_date: civilDateField }).nullish(),
          income_verification: z
            .strictObject({
              income_source_types: z.array(z.enum(['bank', 'payroll'])).optional(),
              bank_income: z.looseObject({}).optional(),
            })
            .optional(),
        })
        .optional(),
      user_token: z.string().optional(),
      user_id: z.string().optional(),
    }),
    run: ({ institution_id, initial_products, options, user_id, user_token }, caller) => {
      const token = logIn(world, {
        institutionId: institution_id,
        username: options?.override_username ?? 'user_good',
        password: options?.override_password ?? 'pass_good',
        products: productsNamed(initial_products),
        webhook: options?.webhook ? options.webhook : null,
        daysRequested: options?.transactions?.days_requested ?? DEFAULT_DAYS,
        clientId: caller.clientId,
        userId: user_id ?? user_token,
        application: { id: caller.application, name: caller.application },
      });
      return { public_token: token.token };
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/item/fire_webhook',
    body: requestBody({
      access_token: z.string(),
      webhook_type: z.enum(Object.keys(FIREABLE) as [string, ...string[]]).optional(),
      webhook_code: z.enum(CODES as [string, ...string[]]),
    }),
    run: ({ access_token, webhook_type, webhook_code }, caller) => {
      const item = world.itemByToken(access_token, caller.clientId);
      const type =
        webhook_type ??
        Object.keys(FIREABLE).find((name) => FIREABLE[name]?.includes(webhook_code)) ??
        'ITEM';
      if (!FIREABLE[type]?.includes(webhook_code)) {
        throw new PlaidApiError(
          'INVALID_FIELD',
          `webhook_code ${webhook_code} is not valid for webhook_type ${type}`,
        );
      }
      const product = PRODUCT_OF[type];
      if (product && !item.hasProduct(product)) throw new PlaidApiError('SANDBOX_PRODUCT_NOT_ENABLED');
      if (item.facts.webhook === null) throw new PlaidApiError('SANDBOX_WEBHOOK_INVALID');
      sendWebhook(world, item, type, webhook_code);
      return { webhook_fired: true };
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/transactions/create',
    body: requestBody({
      access_token: z.string(),
      transactions: z
        .array(
          z.strictObject({
            date_transacted: civilDateField,
            date_posted: civilDateField,
            amount: z.number(),
            description: z.string(),
            iso_currency_code: z.string().optional(),
          }),
        )
        .min(1)
        .max(MOST_CREATED),
    }),
    run: ({ access_token, transactions }, caller) => {
      const item = healthyItem(world, access_token, caller);
      if (!isDynamic(item)) {
        throw new PlaidApiError('INVALID_FIELD', 'the Item was not created with user_transactions_dynamic');
      }
      const today = civilDate(world.clock.now());
      const oldest = addDays(today, -MOST_DAYS_BACK);
      if (transactions.some(({ date_posted }) => date_posted > today || date_posted < oldest)) {
        throw new PlaidApiError(
          'INVALID_FIELD',
          `date_posted must be today or at most ${MOST_DAYS_BACK} days ago`,
        );
      }
      const account = item.openAccounts.find((open) => open.account.type === 'depository')?.account;
      if (!account) throw new PlaidApiError('NO_ACCOUNTS');
      for (const given of transactions) {
        const row = customTransactionRow(
          { ...given, currency: given.iso_currency_code },
          account,
          today,
          world.ids.id('transaction'),
        );
        item.put(rowOf(row));
      }
      world.keeper.world();
      runUpdate(world, item);
      return {};
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/item/application/seed',
    durable: true,
    body: requestBody({ access_token: z.string(), application_id: z.string().min(1) }),
    run: ({ access_token, application_id }, caller) => {
      const item = world.itemByToken(access_token, caller.clientId);
      return { item_id: seedApplication(world, item, application_id).id };
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/item/reset_login',
    body: requestBody({ access_token: z.string() }),
    run: ({ access_token }, caller) => {
      failItem(world, world.itemByToken(access_token, caller.clientId), 'ITEM_LOGIN_REQUIRED');
      return { reset_login: true };
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/user/reset_login',
    body: requestBody({
      user_id: z.string().optional(),
      user_token: z.string().optional(),
      item_ids: z.array(z.string()).nullish(),
    }),
    run: ({ user_id, user_token, item_ids }, caller) => {
      const items = itemsOfUser(world, user_id ?? user_token, caller.clientId);
      for (const item of chosenItems(items, item_ids)) failItem(world, item, 'ITEM_LOGIN_REQUIRED');
      return {};
    },
  });

  plaidEndpoint(app, world, {
    path: '/sandbox/item/set_verification_status',
    body: requestBody({
      access_token: z.string(),
      account_id: z.string(),
      verification_status: z.enum(['automatically_verified', 'verification_expired']),
    }),
    run: ({ access_token, account_id, verification_status }, caller) => {
      const item = healthyItem(world, access_token, caller);
      const [account] = chosenAccounts(item, [account_id]);
      if (!account || !awaitsMicrodeposits(account)) {
        throw new PlaidApiError('INVALID_FIELD', 'account_id: no micro-deposit to this account is pending');
      }
      endVerification(world, item, account_id, verification_status);
      return {};
    },
  });
}
