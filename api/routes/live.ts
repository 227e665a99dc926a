import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { Bounds, Viewer } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem, problemOfPlaid } from '../errors.js';
import { granted, itemAccess, problemOfRefusal } from '../itemAccess.js';
import { createItemHealthChecks } from '../itemHealthChecks.js';
import { operation } from '../operation.js';
import { consentProblems } from '../problems.js';
import type { ProblemCode } from '../problems.js';
import { liveAccountsAnswer } from '../schemas/accounts.js';
import { itemParams } from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';
import { liveTransactionsAnswer, liveTransactionsQuery } from '../schemas/transactions.js';

/** What any live read of an item may end with. */
const problems: readonly ProblemCode[] = [
  'not_found',
  ...consentProblems,
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

/** The dates that Plaid takes are those of four digits: none lies before this one. */
const earliest = Date.parse('0001-01-01T00:00:00Z');
const dateOf = (at: number): string => new Date(Math.max(at, earliest)).toISOString().slice(0, 10);

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

const laterOf = (a: string, b: string | null): string => (b !== null && b > a ? b : a);

/** The accounts of which Plaid is asked; undefined = all. One that is not granted is none, whether or not the bank has it. */
function askedAccounts(
  named: string | undefined,
  { connectionId, accountIds, openAccountIds }: Bounds,
): string[] | undefined {
  if (accountIds === null || openAccountIds === null) return named === undefined ? undefined : [named];
  const asked = named === undefined ? openAccountIds : accountIds.filter((id) => id === named);
  if (asked.length === 0 && connectionId !== null) {
    throw problemOfRefusal({ refusal: 'consent_missing', connectionId, scope: 'transactions' });
  }
  return asked;
}

/** Straight from Plaid, for one item; nothing is stored. */
export function liveRoutes(app: Api, context: RouteContext): void {
  const { live, reads, liveReads, limits, elapsed, now = Date.now } = context;
  const { itemOf, tokenOf } = itemAccess(context);
  const checks = createItemHealthChecks(context, limits, { now, elapsed });

  const boundsOf = async (viewer: Viewer, itemId: string, scope: ConnectionScope): Promise<Bounds> =>
    granted(await reads.bounds(viewer, itemId, scope));

  /** Plaid's answer, and what of it may be shown: asked once it is there, since a bank takes its time. */
  async function read<T>(
    { viewer, itemId, scope }: { viewer: Viewer; itemId: string; scope: ConnectionScope },
    call: (accessToken: string) => Promise<T>,
  ): Promise<{ answer: T; bounds: Bounds }> {
    const item = await itemOf(viewer, itemId, scope);
    const token = await tokenOf(viewer, item, scope);
    const answer = await liveReads.run(() =>
      call(token).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error;
        checks.after(error, viewer, item, token);
        throw problemOfPlaid(error);
      }),
    );
    return { answer, bounds: await boundsOf(viewer, itemId, scope) };
  }

  /** Plaid's accounts as far as they are granted. Balances and all that describes an account are scopes of their own. */
  const accountsWithin = (accounts: PlaidAccount[], { scopes, accountIds }: Bounds): object[] =>
    accounts
      .filter(({ account_id }) => accountIds === null || accountIds.includes(account_id))
      .map((account) => ({
        ...(scopes.includes('accounts') ? account : { account_id: account.account_id }),
        balances: scopes.includes('balances') ? account.balances : null,
      }));

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
    async (request) => {
      const of = { viewer: viewerOf(request), itemId: request.params.itemId, scope: 'accounts' as const };
      const { answer, bounds } = await read(of, (token) => live.accounts(token));
      return { ...answer, accounts: accountsWithin(answer.accounts, bounds) };
    },
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
    async (request) => {
      const of = { viewer: viewerOf(request), itemId: request.params.itemId, scope: 'balances' as const };
      const { answer, bounds } = await read(of, (token) => live.balances(token));
      return { ...answer, accounts: accountsWithin(answer.accounts, bounds) };
    },
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
      const range = rangeOf(dates, now());
      const of = { viewer: viewerOf(request), itemId: request.params.itemId, scope: 'transactions' as const };
      const before = await boundsOf(of.viewer, of.itemId, of.scope);
      const from = laterOf(range.from, before.since);
      const accountIds = askedAccounts(account_id, before);
      // Plaid refuses a range that ends before it begins: of one that lies before the grant a day is asked, and nothing shown.
      const to = laterOf(range.to, from);
      const isWithin = to === range.to;
      const { answer, bounds } = await read(of, (token) =>
        live.transactions(token, { from, to, accountIds, count: limit, offset }),
      );
      return {
        ...answer,
        total_transactions: isWithin ? answer.total_transactions : 0,
        transactions: answer.transactions.filter(
          ({ account_id: id, date }) =>
            isWithin &&
            (bounds.since === null || date >= bounds.since) &&
            (bounds.accountIds === null || bounds.accountIds.includes(id)),
        ),
      };
    },
  );
}
