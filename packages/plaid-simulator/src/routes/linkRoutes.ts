import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { productList, productsNamed } from '../item/products.js';
import { isHttpUrl } from '../options.js';
import { sessionRecords } from '../link/sessionRecord.js';
import {
  HOSTED_LINK_TTL_MS,
  LINK_TOKEN_TTL_MS,
  LONGEST_HOSTED_LINK_TTL_S,
  UPDATE_LINK_TOKEN_TTL_MS,
  type LinkToken,
} from '../tokens.js';
import { requestBody } from '../validation.js';
import type { WireLinkToken } from '../wire.js';
import type { World } from '../world.js';
import { requireTarget } from '../item/crossApplication.js';
import { itemsOfUser, itemToRepair } from '../item/users.js';
import { plaidEndpoint } from './endpoint.js';
import { countryCodes } from './institutionRoutes.js';

const MOST_DAYS = 730;
const products = productList.nullish();

/** Parts of a link token's request that say how Link looks or serve products that are not simulated: taken, not looked into. */
const UNREAD = Object.fromEntries(
  [
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
    'identity',
    'identity_verification',
    'income_verification',
    'institution_data',
    'investments',
    'investments_auth',
    'link_customization_name',
    'payment_configuration',
    'payment_initiation',
    'statements',
    'third_party_user_token',
    'transfer',
  ].map((name) => [name, z.unknown().optional()]),
);

const ACCOUNT_TYPES = ['depository', 'credit', 'loan', 'investment', 'other'] as const;
const accountFilter = z.looseObject({ account_subtypes: z.array(z.string()).min(1) }).optional();
/** Addresses that a browser would run instead of going there. */
const NOT_A_PLACE = /^(javascript|data|vbscript|blob|file):$/;
const isPlace = (text: string) => URL.canParse(text) && !NOT_A_PLACE.test(new URL(text).protocol);

const linkTokenRequest = requestBody({
  ...UNREAD,
  client_name: z.string().min(1),
  language: z.string().min(2),
  country_codes: countryCodes,
  user: z.looseObject({ client_user_id: z.string().min(1) }).optional(),
  user_id: z.string().optional(),
  user_token: z.string().optional(),
  products,
  required_if_supported_products: products,
  optional_products: products,
  additional_consented_products: products,
  webhook: z.string().refine(isHttpUrl, 'must be a valid http or https URL').optional(),
  access_token: z.string().nullish(),
  // Plaid's closed beta: several Items of one session are not simulated, and so none may be named.
  access_tokens: z.array(z.string()).max(0, 'several Items in one session are not available').optional(),
  // Plaid Exchange's; older client libraries know it, the newest no longer does.
  cross_app_item_add: z
    .strictObject({ target_application_token: z.string().min(1), foreign_id: z.string().optional() })
    .optional(),
  redirect_uri: z
    .string()
    .refine(
      (uri) => isHttpUrl(uri) && new URL(uri).search === '',
      'must be a http or https URL without a query',
    )
    .nullish(),
  update: z
    .looseObject({
      account_selection_enabled: z.boolean().optional(),
      user: z.boolean().optional(),
      item_ids: z.array(z.string()).nullish(),
    })
    .optional(),
  account_filters: z
    .strictObject(Object.fromEntries(ACCOUNT_TYPES.map((type) => [type, accountFilter])))
    .nullish(),
  institution_id: z.string().nullish(),
  hosted_link: z
    .looseObject({
      completion_redirect_uri: z.string().refine(isPlace, 'must be a valid URI').optional(),
      url_lifetime_seconds: z.int().min(1).max(LONGEST_HOSTED_LINK_TTL_S).optional(),
    })
    .nullish(),
  transactions: z.strictObject({ days_requested: z.int().min(1).max(MOST_DAYS).optional() }).optional(),
});

/** `/link/token/...`. Link itself is a page (`src/link/`), and a control: `POST /_sim/link`. */
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
      const userId = body.user_id ?? body.user_token;
      const item =
        accessToken !== null
          ? world.itemByToken(accessToken, caller.clientId)
          : body.update?.user
            ? itemToRepair(itemsOfUser(world, userId, caller.clientId), body.update.item_ids)
            : null;
      const asked = productsNamed(body.products ?? []);
      // What becomes of the Item is the same: where the institution has a product, it is put on, else it is left out.
      const ifSupported = productsNamed([
        ...(body.required_if_supported_products ?? []),
        ...(body.optional_products ?? []),
      ]);
      const consented = productsNamed(body.additional_consented_products ?? []);
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
      const accountSelection = item !== null && (body.update?.account_selection_enabled ?? false);
      const filters = body.account_filters ?? null;
      if (item && filters && !accountSelection) {
        throw new PlaidApiError(
          'INVALID_FIELD',
          'account_filters can be set in update mode only with update.account_selection_enabled',
        );
      }
      if (body.institution_id && !world.institutions.get(body.institution_id)) {
        throw new PlaidApiError('INVALID_INSTITUTION');
      }
      const hosted = body.hosted_link ?? null;
      const seconds = hosted?.url_lifetime_seconds;
      const usual = item ? UPDATE_LINK_TOKEN_TTL_MS : hosted ? HOSTED_LINK_TTL_MS : LINK_TOKEN_TTL_MS;
      const now = world.clock.realNow();
      const token: LinkToken = {
        token: `link-sandbox-${world.ids.uuid('link')}`,
        clientId: caller.clientId,
        createdAt: now,
        expiresAt: now + (seconds === undefined ? usual : seconds * 1000),
        products: asked,
        productsIfSupported: ifSupported,
        productsConsented: consented,
        userId,
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
        accountFilters: givenFilters(filters),
        accountSelection,
        institutionId: item ? null : (body.institution_id ?? null),
        hostedLink: hosted && {
          completionRedirectUri: hosted.completion_redirect_uri ?? null,
          webhook: body.webhook ?? null,
        },
      };
      world.linkTokens.set(token.token, token);
      world.keeper.world();
      world.keeper.linkToken(token);
      const origin = world.options.publicUrl ?? caller.origin;
      return {
        expiration: instant(token.expiresAt),
        ...(hosted ? { hosted_link_url: new URL(`/link?token=${token.token}`, origin).href } : {}),
        link_token: token.token,
      };
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
      const answer: Omit<WireLinkToken, 'request_id'> = {
        created_at: instant(token.createdAt),
        expiration: instant(token.expiresAt),
        link_sessions: sessionRecords(world, token),
        link_token: token.token,
        metadata: {
          ...(token.accountFilters ? { account_filters: token.accountFilters } : {}),
          client_name: token.clientName,
          country_codes: token.countryCodes as WireLinkToken['metadata']['country_codes'],
          initial_products: token.products,
          language: token.language,
          redirect_uri: token.redirectUri,
          webhook: token.webhook ?? token.hostedLink?.webhook ?? null,
        },
      };
      return answer;
    },
  });
}

/** The filters that were given: a type without one is not there. */
function givenFilters(filters: Partial<LinkToken['accountFilters']>): LinkToken['accountFilters'] {
  if (!filters) return null;
  return Object.fromEntries(
    Object.entries(filters).flatMap(([type, filter]) =>
      filter ? [[type, { account_subtypes: filter.account_subtypes }]] : [],
    ),
  );
}
