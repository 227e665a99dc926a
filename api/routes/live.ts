import { Failure } from '../../domain/failures.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem, problemOfPlaid } from '../errors.js';
import { itemAccess } from '../itemAccess.js';
import { createItemHealthChecks } from '../itemHealthChecks.js';
import { operation } from '../operation.js';
import type { ProblemCode } from '../problems.js';
import { liveAccountsAnswer } from '../schemas/accounts.js';
import { itemParams } from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';
import { liveTransactionsAnswer, liveTransactionsQuery } from '../schemas/transactions.js';

/** What any live read of an item may end with. */
const problems: readonly ProblemCode[] = [
  'not_found',
  'item_removed',
  'login_required',
  'plaid_refused',
  'product_not_ready',
  'institution_unavailable',
  'plaid_unreachable',
  'plaid_busy',
  'live_reads_busy',
  'plaid_timeout',
];

const dayMs = 86_400_000;
const longestHistoryDays = 730;

const dateOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

/** Both ends of the range, each by the other where it is left out. */
function rangeOf(given: { from?: string | undefined; to?: string | undefined }, now: number) {
  const tomorrow = dateOf(now + dayMs);
  const to = given.to ?? (given.from !== undefined && given.from > tomorrow ? given.from : tomorrow);
  const from = given.from ?? dateOf(Date.parse(to) - longestHistoryDays * dayMs);
  if (from > to) {
    throw new Problem('invalid_request', {
      errors: [{ in: 'query', pointer: '/from', detail: 'must not be after `to`' }],
    });
  }
  return { from, to };
}

/** Straight from Plaid, for one item; nothing is stored. */
export function liveRoutes(app: Api, context: RouteContext): void {
  const { live, liveReads, limits, now = Date.now } = context;
  const { itemOf, tokenOf } = itemAccess(context);
  const checks = createItemHealthChecks(context, limits, now);

  async function read<T>(itemId: string, call: (accessToken: string) => Promise<T>): Promise<T> {
    const item = await itemOf(itemId);
    const token = await tokenOf(item);
    return liveReads.run(() =>
      call(token).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error;
        checks.after(error, item, token);
        throw problemOfPlaid(error);
      }),
    );
  }

  app.get(
    '/items/:itemId/accounts/live',
    operation({
      id: 'readAccountsLive',
      summary: "An item's accounts, from Plaid now",
      description:
        "Plaid's `/accounts/get`: open accounts with the balances that Plaid has cached. Nothing is stored.",
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: "Plaid's accounts", schema: liveAccountsAnswer } },
      problems,
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => read(request.params.itemId, (token) => live.accounts(token)),
  );

  app.get(
    '/items/:itemId/balances/live',
    operation({
      id: 'readBalancesLive',
      summary: "An item's balances, from the bank now",
      description:
        "Plaid's `/accounts/balance/get`: asks the bank, usually within ten seconds, sometimes a minute. Plaid allows it five times " +
        'a minute per item. Where the bank has no balance of the last day to give (Capital One), the cached one is answered; ' +
        '`balances.last_updated_datetime` gives its age. Nothing is stored.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: "Plaid's accounts with fresh balances", schema: liveAccountsAnswer } },
      problems,
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => read(request.params.itemId, (token) => live.balances(token)),
  );

  app.get(
    '/items/:itemId/transactions/live',
    operation({
      id: 'readTransactionsLive',
      summary: "An item's transactions, from Plaid now",
      description:
        "Plaid's `/transactions/get`, newest first, with original descriptions. Pages by `offset` shift when the bank books " +
        'between two of them; the cached list does not. While Plaid has not read the bank once: 424 `product_not_ready`. Nothing is stored.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: "A page of Plaid's transactions", schema: liveTransactionsAnswer } },
      problems,
    }).with({ params: itemParams, querystring: liveTransactionsQuery }),
    async (request) => {
      const { account_id, limit, offset, ...dates } = request.query;
      const { from, to } = rangeOf(dates, now());
      return read(request.params.itemId, (token) =>
        live.transactions(token, { from, to, accountId: account_id, count: limit, offset }),
      );
    },
  );
}
