import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { takesNewItems, type SimulatedInstitution } from '../bank/institutions.js';
import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';

const COUNTRIES = [
  ...['US', 'GB', 'ES', 'NL', 'FR', 'IE', 'CA', 'DE', 'IT', 'PL'],
  ...['DK', 'NO', 'SE', 'EE', 'LT', 'LV', 'PT', 'BE', 'AT', 'FI'],
] as const;
const MOST_FOUND = 10;

export const countryCodes = z.array(z.enum(COUNTRIES)).min(1);

/** All products of Plaid: an institution may be asked for any of them. */
const PRODUCTS = [
  ...['assets', 'auth', 'balance', 'balance_plus', 'beacon', 'credit_details', 'employment'],
  ...['identity', 'identity_match', 'identity_verification', 'income', 'income_verification'],
  ...['investments', 'investments_auth', 'layer', 'liabilities', 'pay_by_bank', 'payment_initiation'],
  ...['processor_identity', 'processor_payments', 'profile', 'protect_linked_bank'],
  ...['protect_transactions', 'recurring_transactions', 'signal', 'standing_orders', 'statements'],
  ...['transactions', 'transactions_refresh', 'transfer', 'cra_base_report', 'cra_cashflow_insights'],
  ...['cra_home_lending', 'cra_income_insights', 'cra_lend_score', 'cra_monitoring'],
  ...['cra_network_insights', 'cra_partner_insights', 'cra_plaid_credit_score', 'cra_qualify'],
] as const;
const productFilter = z.array(z.enum(PRODUCTS));

const metadata = {
  include_optional_metadata: z.boolean().optional(),
  include_auth_metadata: z.boolean().optional(),
  include_payment_initiation_metadata: z.boolean().optional(),
};

interface Filter {
  countries: readonly string[];
  products?: readonly string[] | null | undefined;
  oauth?: boolean | null | undefined;
  routingNumbers?: readonly string[] | null | undefined;
}

function matches(institution: SimulatedInstitution, filter: Filter): boolean {
  const names: readonly string[] = institution.products;
  return (
    institution.countries.some((country) => filter.countries.includes(country)) &&
    (filter.products ?? []).every((product) => names.includes(product)) &&
    (filter.oauth === null || filter.oauth === undefined || institution.oauth === filter.oauth) &&
    (!filter.routingNumbers?.length ||
      filter.routingNumbers.every((number) => institution.routingNumbers.includes(number)))
  );
}

interface Include {
  include_optional_metadata?: boolean | undefined;
  include_auth_metadata?: boolean | null | undefined;
  include_payment_initiation_metadata?: boolean | null | undefined;
  include_status?: boolean | undefined;
}

/** `/institutions/...`. */
export function institutionRoutes(app: FastifyInstance, world: World): void {
  const view = (institution: SimulatedInstitution, options: Include | undefined) =>
    world.institutions.wire(
      institution,
      {
        optionalMetadata: options?.include_optional_metadata ?? false,
        status: options?.include_status ?? false,
        authMetadata: options?.include_auth_metadata ?? false,
        paymentMetadata: options?.include_payment_initiation_metadata ?? false,
      },
      instant(world.clock.now()),
    );

  plaidEndpoint(app, world, {
    path: '/institutions/get',
    body: requestBody({
      count: z.int().min(1).max(500),
      offset: z.int().min(0),
      country_codes: countryCodes,
      options: z
        .strictObject({
          ...metadata,
          products: productFilter.nullish(),
          routing_numbers: z.array(z.string()).nullish(),
          oauth: z.boolean().nullish(),
        })
        .optional(),
    }),
    run: ({ count, offset, country_codes, options }) => {
      const found = world.institutions.all.filter(
        (institution) =>
          takesNewItems(institution) &&
          matches(institution, {
            countries: country_codes,
            products: options?.products,
            oauth: options?.oauth,
            routingNumbers: options?.routing_numbers,
          }),
      );
      return {
        institutions: found.slice(offset, offset + count).map((institution) => view(institution, options)),
        total: found.length,
      };
    },
  });

  plaidEndpoint(app, world, {
    path: '/institutions/get_by_id',
    body: requestBody({
      institution_id: z.string(),
      country_codes: countryCodes,
      options: z.strictObject({ ...metadata, include_status: z.boolean().optional() }).optional(),
    }),
    run: ({ institution_id, country_codes, options }) => {
      const institution = world.institutions.present(institution_id);
      if (!institution || !matches(institution, { countries: country_codes })) {
        throw new PlaidApiError('INVALID_INSTITUTION');
      }
      return { institution: view(institution, options) };
    },
  });

  plaidEndpoint(app, world, {
    path: '/institutions/search',
    body: requestBody({
      query: z.string().min(1),
      products: productFilter.nullish(),
      country_codes: countryCodes,
      options: z
        .strictObject({
          include_optional_metadata: z.boolean().optional(),
          include_auth_metadata: z.boolean().nullish(),
          include_payment_initiation_metadata: z.boolean().nullish(),
          oauth: z.boolean().nullish(),
          payment_initiation: z
            .strictObject({ payment_id: z.string().nullish(), consent_id: z.string().nullish() })
            .nullish(),
        })
        .optional(),
    }),
    run: ({ query, products, country_codes, options }) => {
      const wanted = query.toLowerCase();
      const found = world.institutions.all.filter(
        (institution) =>
          takesNewItems(institution) &&
          institution.name.toLowerCase().includes(wanted) &&
          matches(institution, { countries: country_codes, products, oauth: options?.oauth }),
      );
      return { institutions: found.slice(0, MOST_FOUND).map((institution) => view(institution, options)) };
    },
  });
}
