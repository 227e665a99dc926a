import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import { scheduleReport } from '../item/assetReport.js';
import { isHttpUrl } from '../options.js';
import type { ReportToken } from '../tokens.js';
import { requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint } from './endpoint.js';
import { healthyItem } from './itemAccess.js';

const MOST_DAYS = 731;
const REPORT_ERROR = { type: 'ASSET_REPORT_ERROR' };

const text = z.string().nullish();

/** `/asset_report/create` and `/asset_report/get`; what may be asked of a finished report beyond is not simulated. */
export function assetReportRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/asset_report/create',
    durable: true,
    body: requestBody({
      access_tokens: z.array(z.string()).min(1),
      days_requested: z.int().min(0).max(MOST_DAYS),
      options: z
        .strictObject({
          client_report_id: text,
          webhook: z.string().refine(isHttpUrl, 'must be a valid http or https URL').nullish(),
          include_fast_report: z.boolean().nullish(),
          products: z.array(z.string()).optional(),
          add_ons: z.array(z.enum(['investments', 'fast_assets'])).optional(),
          user: z
            .strictObject({
              ...{ client_user_id: text, first_name: text, middle_name: text, last_name: text },
              ...{ ssn: text, phone_number: text, email: text },
            })
            .optional(),
          require_all_items: z.boolean().nullish(),
        })
        .optional(),
    }),
    run: ({ access_tokens, days_requested, options }, caller) => {
      const items = access_tokens.map((token) => healthyItem(world, token, caller));
      // Unlike other products it is never put on an Item at its first use.
      if (items.some((item) => !item.hasProduct('assets'))) {
        throw new PlaidApiError('PRODUCT_NOT_ENABLED', undefined, REPORT_ERROR);
      }
      const made: ReportToken = {
        token: `assets-sandbox-${world.ids.uuid('asset report token')}`,
        clientId: caller.clientId,
        request: {
          reportId: world.ids.uuid('asset report'),
          itemIds: items.map(({ id }) => id),
          days: days_requested,
          clientReportId: options?.client_report_id ?? null,
          user: (options?.user ?? {}) as ReportToken['request']['user'],
          withInvestments: options?.add_ons?.includes('investments') ?? false,
        },
        webhook: options?.webhook ?? null,
        readyAt: world.clock.now() + world.options.initialAfterMs,
        report: null,
      };
      world.reports.set(made.token, made);
      world.keeper.world();
      world.keeper.report(made);
      scheduleReport(world, made);
      return { asset_report_token: made.token, asset_report_id: made.request.reportId };
    },
  });

  plaidEndpoint(app, world, {
    path: '/asset_report/get',
    body: requestBody({
      asset_report_token: z.string().optional(),
      user_token: z.string().optional(),
      include_insights: z.boolean().optional(),
      fast_report: z.boolean().optional(),
      options: z.strictObject({ days_to_include: z.int().min(0).max(MOST_DAYS).nullish() }).optional(),
    }),
    run: ({ asset_report_token: token, options }, caller) => {
      if (token === undefined) {
        throw new PlaidApiError(
          'MISSING_FIELDS',
          'the following required fields are missing: asset_report_token',
        );
      }
      const found = world.reports.get(token);
      if (!found || (found.clientId !== null && found.clientId !== caller.clientId)) {
        throw new PlaidApiError('INVALID_FIELD', 'asset_report_token: could not find matching asset report');
      }
      if (!found.report) throw new PlaidApiError('PRODUCT_NOT_READY', undefined, REPORT_ERROR);
      const days = options?.days_to_include ?? found.request.days;
      return { report: upToDays(found.report, days), warnings: [] };
    },
  });
}

/** A report with no more than these days of history. */
function upToDays(report: NonNullable<ReportToken['report']>, days: number) {
  const shortened = (account: (typeof report.items)[number]['accounts'][number]) => {
    const historical_balances = account.historical_balances.slice(0, days);
    const oldest = historical_balances.at(-1)?.date ?? '9999';
    return {
      ...account,
      days_available: Math.min(days, account.days_available),
      historical_balances,
      transactions: account.transactions.filter(({ date }) => date >= oldest),
    };
  };
  return {
    ...report,
    items: report.items.map((item) => ({ ...item, accounts: item.accounts.map(shortened) })),
  };
}
