import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { itemGetView, itemStatus, itemView } from '../item/itemView.js';
import { consentEvents } from '../item/consentEvents.js';
import { removeItem, sendWebhook } from '../item/lifecycle.js';
import { issuePublicToken } from '../item/login.js';
import { isHttpUrl } from '../options.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

const accessToken = { access_token: z.string() };
const LONGEST_NOTE = 512;

const TERMINATE_REASONS = [
  'FRAUD_FIRST_PARTY',
  'FRAUD_FALSE_IDENTITY',
  'FRAUD_ABUSE',
  'FRAUD_OTHER',
  'FRAUD_TRANSACTION',
  'CONSUMER_LOAN_PAID_OFF',
  'CONSUMER_ACCOUNT_CLOSED',
  'CONSUMER_CHARGE_OFF',
  'CONSUMER_PAYMENT_METHOD_SWITCHED',
  'USER_OFFBOARDING',
  'DUPLICATE_ITEM',
  'BILLING_TERMINATION',
  'OTHER',
] as const;

/** `/item/...`: exchange, a further public token, get, remove, terminate, webhook, token rotation. */
export function itemRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/item/public_token/exchange',
    durable: true,
    body: requestBody({ public_token: z.string() }),
    run: ({ public_token }, caller) => {
      const token = world.publicTokens.get(public_token);
      if (!token || (token.clientId !== null && token.clientId !== caller.clientId)) {
        throw new PlaidApiError(
          'INVALID_PUBLIC_TOKEN',
          /^public-(sandbox|production)-/.test(public_token)
            ? undefined
            : 'provided public token is in an invalid format. expected format: public-<environment>-<identifier>',
        );
      }
      if (token.used)
        throw new PlaidApiError('INVALID_PUBLIC_TOKEN', 'public token has already been exchanged');
      if (token.expiresAt <= world.clock.now()) {
        throw new PlaidApiError(
          'INVALID_PUBLIC_TOKEN',
          'provided public token is expired. public tokens expire 30 minutes after creation',
        );
      }
      const item = world.items.get(token.itemId);
      if (!item) throw new PlaidApiError('INVALID_PUBLIC_TOKEN');
      token.used = true;
      item.facts.exchanged = true;
      world.keeper.publicToken(token);
      world.keeper.item(item);
      return { access_token: item.facts.accessToken, item_id: item.id };
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/public_token/create',
    durable: true,
    body: requestBody(accessToken),
    run: ({ access_token }, caller) => {
      const token = issuePublicToken(world, world.itemByToken(access_token, caller.clientId));
      return { public_token: token.token, expiration: instant(token.expiresAt) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/get',
    body: requestBody(accessToken),
    run: ({ access_token }, caller) => {
      const item = world.itemByToken(access_token, caller.clientId);
      return { item: itemGetView(world, item), status: itemStatus(item) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/remove',
    durable: true,
    body: requestBody({
      ...accessToken,
      reason_code: z
        .enum([
          'FRAUD_FIRST_PARTY',
          'FRAUD_FALSE_IDENTITY',
          'FRAUD_ABUSE',
          'FRAUD_OTHER',
          'CONNECTION_IS_NON_FUNCTIONAL',
          'OTHER',
        ])
        .nullish(),
      reason_note: z.string().max(LONGEST_NOTE).nullish(),
    }),
    run: ({ access_token }, caller) => {
      removeItem(world, world.itemByToken(access_token, caller.clientId));
      return {};
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/products/terminate',
    durable: true,
    body: requestBody({
      ...accessToken,
      reason_code: z.enum(TERMINATE_REASONS),
      reason_note: z.string().max(LONGEST_NOTE).nullish(),
    }),
    run: ({ access_token }, caller) => {
      removeItem(world, world.itemByToken(access_token, caller.clientId));
      return {};
    },
  });

  plaidEndpoint(app, world, {
    path: '/consent/events/get',
    body: requestBody(accessToken),
    run: ({ access_token }, caller) => ({
      consent_events: consentEvents(world, world.itemByToken(access_token, caller.clientId)),
    }),
  });

  plaidEndpoint(app, world, {
    path: '/item/webhook/update',
    body: requestBody({
      ...accessToken,
      webhook: z
        .string()
        .refine((url) => url === '' || isHttpUrl(url), 'must be a valid http or https URL')
        .nullish(),
    }),
    run: ({ access_token, webhook }, caller) => {
      const item = world.itemByToken(access_token, caller.clientId);
      item.facts.webhook = webhook ? webhook : null;
      world.keeper.item(item);
      sendWebhook(world, item, 'ITEM', 'WEBHOOK_UPDATE_ACKNOWLEDGED');
      return { item: itemView(world, item) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/access_token/invalidate',
    durable: true,
    body: requestBody(accessToken),
    run: ({ access_token }, caller) => ({
      new_access_token: world.renewAccessToken(world.itemByToken(access_token, caller.clientId)),
    }),
  });
}
