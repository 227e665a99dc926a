import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import {
  applicationItem,
  describeApplication,
  importItem,
  listApplications,
  updateScopes,
} from '../item/applications.js';
import { activitiesOf, itemsSeenFrom } from '../item/activities.js';
import { lastAccessTimes } from '../item/lastAccess.js';
import { revokeItem, runUpdate } from '../item/lifecycle.js';
import { productList, productsNamed } from '../item/products.js';
import { PRODUCT_ACCESS } from '../item/scopes.js';
import { isHttpUrl } from '../options.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

/** The bank whose users are imported when the request names none. */
const FIRST_PLATYPUS = 'ins_109508';
/** Activities in one answer. */
const MOST_ACTIVITIES = 100;

const allowed = z.boolean().nullish();
const scopes = z.strictObject({
  product_access: z
    .strictObject(Object.fromEntries(PRODUCT_ACCESS.map((name) => [name, allowed])))
    .optional(),
  accounts: z
    .array(
      z.strictObject({
        unique_id: z.string(),
        authorized: allowed,
        account_product_access: z
          .strictObject({ account_data: allowed, statements: allowed, tax_documents: allowed })
          .nullish(),
      }),
    )
    .optional(),
  new_accounts: allowed,
});

/** Plaid Exchange's user account management: a bank imports its users, sees the applications they have let in, and unlinks them. */
export function applicationRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/item/import',
    durable: true,
    body: requestBody({
      institution_id: z.string().optional(),
      products: productList.optional(),
      user_auth: z.strictObject({ user_id: z.string().min(1), auth_token: z.string().optional() }),
      options: z
        .strictObject({
          webhook: z.string().refine(isHttpUrl, 'must be a valid http or https URL').optional(),
        })
        .optional(),
    }),
    run: ({ institution_id, products, user_auth, options }, caller) => {
      const item = importItem(world, {
        institutionId: institution_id ?? FIRST_PLATYPUS,
        userId: user_auth.user_id,
        products: productsNamed(products ?? []),
        webhook: options?.webhook ?? null,
        clientId: caller.clientId,
        application: caller.application,
      });
      return { access_token: item.facts.accessToken };
    },
  });

  plaidEndpoint(app, world, {
    path: '/application/get',
    body: requestBody({ application_id: z.string() }),
    run: ({ application_id }) => ({ application: describeApplication(world, application_id) }),
  });

  plaidEndpoint(app, world, {
    path: '/item/application/list',
    body: requestBody({ access_token: z.string() }),
    run: ({ access_token }, caller) =>
      listApplications(world, world.itemByToken(access_token, caller.clientId)),
  });

  plaidEndpoint(app, world, {
    path: '/item/activity/list',
    body: requestBody({
      access_token: z.string().optional(),
      cursor: z.string().optional(),
      count: z.int().min(1).max(MOST_ACTIVITIES).optional(),
    }),
    run: ({ access_token, cursor, count = MOST_ACTIVITIES }, caller) => {
      const asked =
        access_token === undefined
          ? [...world.items.values()].filter(({ facts }) => facts.application?.id === caller.application)
          : [world.itemByToken(access_token, caller.clientId)];
      const seen = itemsSeenFrom(world, asked);
      const all = activitiesOf(world, seen);
      // The id of the last one that was given: what comes later stands behind it.
      const place = cursor === undefined ? 0 : all.findIndex(({ id }) => id === cursor) + 1;
      if (cursor !== undefined && place === 0)
        throw new PlaidApiError('INVALID_FIELD', 'cursor is not known');
      const activities = all.slice(place, place + count);
      const last = activities.at(-1);
      return {
        activities,
        last_data_access_times: lastAccessTimes(seen),
        ...(last && place + count < all.length ? { cursor: last.id } : {}),
      };
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/application/unlink',
    durable: true,
    body: requestBody({ access_token: z.string(), application_id: z.string() }),
    run: ({ access_token, application_id }, caller) => {
      const item = world.itemByToken(access_token, caller.clientId);
      revokeItem(world, applicationItem(world, item, application_id), {
        by: 'DATA_PROVIDER',
        initiator: caller.application,
      });
      return {};
    },
  });

  plaidEndpoint(app, world, {
    path: '/item/application/scopes/update',
    durable: true,
    body: requestBody({
      access_token: z.string(),
      application_id: z.string(),
      scopes,
      state: z.string().optional(),
      context: z.enum(['ENROLLMENT', 'PORTAL']),
    }),
    run: ({ access_token, application_id, scopes: given, state, context }, caller) => {
      if (context === 'ENROLLMENT' && state === undefined) {
        throw new PlaidApiError('MISSING_FIELDS', 'the following required fields are missing: state');
      }
      const item = world.itemByToken(access_token, caller.clientId);
      const target = applicationItem(world, item, application_id);
      updateScopes(world, target, caller.application, {
        product_access: Object.fromEntries(
          Object.entries(given.product_access ?? {}).map(([name, access]) => [name, access ?? true]),
        ),
        accounts: (given.accounts ?? []).map(({ unique_id, authorized, account_product_access: access }) => ({
          unique_id,
          authorized: authorized ?? true,
          ...(access
            ? {
                account_product_access: {
                  account_data: access.account_data ?? true,
                  statements: access.statements ?? true,
                  tax_documents: access.tax_documents ?? true,
                },
              }
            : {}),
        })),
        new_accounts: given.new_accounts ?? undefined,
      });
      runUpdate(world, target);
      return {};
    },
  });
}
