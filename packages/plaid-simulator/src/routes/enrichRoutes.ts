import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { inVersion } from '../bank/categories.js';
import { enrichmentOf, type ClientTransaction } from '../bank/enrichment.js';
import { civilDateField, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

const MOST_ENRICHED = 100;

const clientTransaction = z.strictObject({
  id: z.string().min(1),
  user_id: z.string().optional(),
  client_user_id: z.string().optional(),
  client_account_id: z.string().optional(),
  account_type: z.string().optional(),
  account_subtype: z.string().optional(),
  description: z.string(),
  amount: z.number().min(0),
  direction: z.enum(['INFLOW', 'OUTFLOW']),
  iso_currency_code: z.string().length(3),
  location: z
    .strictObject({
      country: z.string().optional(),
      region: z.string().optional(),
      city: z.string().optional(),
      address: z.string().optional(),
      postal_code: z.string().optional(),
    })
    .optional(),
  mcc: z.string().optional(),
  date_posted: civilDateField.optional(),
});

/** What of a request its answer repeats; what was not given stays away. */
function repeated(given: ClientTransaction) {
  const { id, client_user_id, client_account_id, account_type, account_subtype } = given;
  const { description, amount, direction, iso_currency_code } = given;
  const optional = { client_user_id, client_account_id, account_type, account_subtype };
  return {
    id,
    description,
    amount,
    direction,
    iso_currency_code,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}

/** `/transactions/enrich`: what Plaid knows about transactions that the client has from elsewhere. */
export function enrichRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/transactions/enrich',
    body: requestBody({
      account_type: z.enum(['credit', 'depository']),
      transactions: z.array(clientTransaction).min(1).max(MOST_ENRICHED),
      options: z
        .strictObject({
          include_legacy_category: z.boolean().optional(),
          personal_finance_category_version: z.enum(['v1', 'v2']).optional(),
        })
        .optional(),
    }),
    run: ({ transactions, options }) => ({
      enriched_transactions: transactions.map((given) => {
        const { legacy_category, legacy_category_id, ...enrichments } = enrichmentOf(given);
        return {
          ...repeated(given),
          enrichments: {
            ...enrichments,
            personal_finance_category: inVersion(
              enrichments.personal_finance_category,
              options?.personal_finance_category_version ?? 'v2',
            ),
            ...(options?.include_legacy_category ? { legacy_category, legacy_category_id } : {}),
          },
        };
      }),
    }),
  });
}
