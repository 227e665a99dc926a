import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { productList, productsNamed } from '../item/products.js';
import { isHttpUrl } from '../options.js';
import { LINK_TOKEN_TTL_MS, UPDATE_LINK_TOKEN_TTL_MS, type LinkToken } from '../tokens.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { requireTarget } from '../item/crossApplication.js';
import { plaidEndpoint } from './endpoint.js';
import { countryCodes } from './institutionRoutes.js';

const MOST_DAYS = 730;
const products = productList.nullish();

/** Parts of a link token's request that say how Link looks or serve products that are not simulated: taken, not looked into. */
const UNREAD = Object.fromEntries(
  [
    'account_filters',
    'android_package_name',
    'appearance_mode',
    'auth',
    'base_report',
    'card_switch',
    'cashflow_report',
    'consumer_report_permissible_purpose',
    'cra_enabled',
    'cra_options',
    'credit_partner_insights',
    'employment',
    'enable_multi_item_link',
    'eu_config',
    'financekit_supported',
    'hosted_link',
    'identity',
    'identity_verification',
    'income_verification',
    'institution_data',
    'institution_id',
    'investments',
    'investments_auth',
    'link_customization_name',
    'payment_configuration',
    'payment_initiation',
    'statements',
    'third_party_user_token',
    'transfer',
    'user_token',
  ].map((name) => [name, z.unknown().optional()]),
);

const linkTokenRequest = requestBody({
  ...UNREAD,
  client_name: z.string().min(1),
  language: z.string().min(2),
  country_codes: countryCodes,
  user: z.looseObject({ client_user_id: z.string().min(1) }).optional(),
  user_id: z.string().optional(),
  products,
  required_if_supported_products: products,
  optional_products: products,
  additional_consented_products: products,
  webhook: z.string().refine(isHttpUrl, 'must be a valid http or https URL').optional(),
  access_token: z.string().nullish(),
  access_tokens: z.array(z.string()).optional(),
  // Plaid Exchange's; older client libraries know it, the newest no longer does.
  cross_app_item_add: z
    .strictObject({ target_application_token: z.string().min(1), foreign_id: z.string().optional() })
    .optional(),
  redirect_uri: z.string().optional(),
  update: z.looseObject({ account_selection_enabled: z.boolean().optional() }).optional(),
  transactions: z.strictObject({ days_requested: z.int().min(1).max(MOST_DAYS).optional() }).optional(),
});

/** `/link/token/...`. Link itself is a control of the simulator: `POST /_sim/link`. */
export function linkRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/link/token/create',
    durable: true,
    body: linkTokenRequest,
    run: (body, caller) => {
      if (!body.user && body.user_id === undefined) {
        throw new PlaidApiError(
          'MISSING_FIELDS',
          'the following required fields are missing: user.client_user_id',
        );
      }
      const accessToken = body.access_token ?? null;
      const item = accessToken === null ? null : world.itemByToken(accessToken, caller.clientId);
      const asked = productsNamed(body.products ?? []);
      const ifSupported = productsNamed(body.required_if_supported_products ?? []);
      productsNamed([...(body.optional_products ?? []), ...(body.additional_consented_products ?? [])]);
      const target = body.cross_app_item_add?.target_application_token ?? null;
      if (target !== null) requireTarget(world, item, target);
      if (item && target === null && (body.products ?? []).length > 0) {
        throw new PlaidApiError(
          'INVALID_FIELD',
          'products should not be set when creating a link_token for update mode',
        );
      }
      if (!item && (body.products ?? []).length === 0) {
        throw new PlaidApiError('MISSING_FIELDS', 'the following required fields are missing: products');
      }
      const now = world.clock.realNow();
      const token: LinkToken = {
        token: `link-sandbox-${world.ids.uuid('link')}`,
        clientId: caller.clientId,
        createdAt: now,
        expiresAt: now + (item ? UPDATE_LINK_TOKEN_TTL_MS : LINK_TOKEN_TTL_MS),
        products: asked,
        productsIfSupported: ifSupported,
        // In update mode a webhook is ignored: it is changed by /item/webhook/update only.
        webhook: item && target === null ? null : (body.webhook ?? null),
        countryCodes: body.country_codes,
        language: body.language,
        clientName: body.client_name,
        application: caller.application,
        targetApplication: target,
        redirectUri: body.redirect_uri ?? null,
        daysRequested: body.transactions?.days_requested ?? null,
        itemId: item?.id ?? null,
      };
      world.linkTokens.set(token.token, token);
      world.keeper.world();
      world.keeper.linkToken(token);
      return { expiration: instant(token.expiresAt), link_token: token.token };
    },
  });

  plaidEndpoint(app, world, {
    path: '/link/token/get',
    body: requestBody({ link_token: z.string() }),
    run: ({ link_token }, caller) => {
      const token = world.linkTokens.get(link_token);
      if (!token || (token.clientId !== null && token.clientId !== caller.clientId)) {
        throw new PlaidApiError('INVALID_LINK_TOKEN');
      }
      return {
        created_at: instant(token.createdAt),
        expiration: instant(token.expiresAt),
        link_sessions: [],
        link_token: token.token,
        metadata: {
          client_name: token.clientName,
          country_codes: token.countryCodes,
          initial_products: token.products,
          language: token.language,
          redirect_uri: token.redirectUri,
          webhook: token.webhook,
        },
      };
    },
  });
}
