import type { FastifyReply } from 'fastify';
import type { CachedPage } from '../../domain/ports/reads.js';
import { viewerOf } from '../auth.js';
import { within } from '../deadline.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { itemAccess, problemOfRefusal } from '../itemAccess.js';
import { readCursor, sendList } from '../lists.js';
import type { ListQuery } from '../lists.js';
import { operation } from '../operation.js';
import { consentProblems } from '../problems.js';
import { accountsAnswer, accountsOfItemQuery } from '../schemas/accounts.js';
import { balancesAnswer, balancesQuery } from '../schemas/balances.js';
import { itemAnswer, itemParams, syncAnswer } from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';
import { transactionsAnswer, transactionsOfItemQuery } from '../schemas/transactions.js';

export function itemRoutes(app: Api, context: RouteContext): void {
  const { reads, gateway, limits } = context;
  const { itemOf } = itemAccess(context);
  /** A page of what is cached of one Item; without the Item there is none. */
  function sendPage(reply: FastifyReply, query: ListQuery, page: CachedPage): FastifyReply {
    if (page.refused !== null) throw problemOfRefusal(page.refused);
    if (page.items.length === 0) throw new Problem('not_found');
    return sendList(reply, query, page, { items: page.items });
  }

  app.get(
    '/items/:itemId',
    operation({
      id: 'getItem',
      summary: 'An item',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'The item', schema: itemAnswer } },
      problems: ['not_found', ...consentProblems],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => itemOf(viewerOf(request), request.params.itemId, 'item'),
  );

  app.get(
    '/items/:itemId/sync',
    operation({
      id: 'getItemSync',
      summary: 'What the item is doing',
      description: "Live, from the item's workflow; from the database when none runs.",
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'Phase and progress', schema: syncAnswer } },
      problems: ['not_found', ...consentProblems, 'orchestrator_down'],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => {
      const { itemId } = request.params;
      const viewer = viewerOf(request);
      await itemOf(viewer, itemId, 'command');
      const live = await within(
        gateway.itemStatus(itemId),
        limits.askMs,
        () => new Problem('orchestrator_down', { retryAfterMs: 5_000 }),
      );
      // By the right of this moment, not of that before the question.
      const [item, seesWhole] = await Promise.all([
        itemOf(viewer, itemId, 'command'),
        reads.seesWhole(viewer, itemId),
      ]);
      if (live !== null) {
        const { progress } = live;
        const shown = progress === null || seesWhole ? progress : { ...progress, pages: null, rows: null };
        return { item_id: itemId, running: true, ...live, progress: shown };
      }
      return {
        item_id: itemId,
        running: false,
        phase: item.phase,
        history: item.history,
        progress: null,
        remine: null,
        next_due_at: null,
        last_update_at: item.last_update_at,
        last_failure: null,
        waiting_for_publish: null,
      };
    },
  );

  app.get(
    '/items/:itemId/accounts',
    operation({
      id: 'listAccountsOfItem',
      summary: "An item's accounts, as cached",
      description: 'A REMOVED item keeps its rows and still answers.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'A page of accounts', schema: accountsAnswer } },
      problems: ['not_found', ...consentProblems, 'invalid_cursor'],
    }).with({ params: itemParams, querystring: accountsOfItemQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { format, limit, cursor } = request.query;
      const query = { list: 'accounts', filters: { itemId, format } };
      const after = readCursor(query, cursor);
      return sendPage(
        reply,
        query,
        await reads.accounts(viewerOf(request), { itemId, format }, limit, after),
      );
    },
  );

  app.get(
    '/items/:itemId/balances',
    operation({
      id: 'listBalancesOfItem',
      summary: "An item's balances, day by day",
      description:
        'Of each account the last balances seen on each day (UTC) with an update, newest day first. A day without an update has none. ' +
        'Kept for 90 days unless configured otherwise. A REMOVED item keeps its rows and still answers.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'A page of balances', schema: balancesAnswer } },
      problems: ['not_found', ...consentProblems, 'invalid_cursor'],
    }).with({ params: itemParams, querystring: balancesQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { account_id, from, to, limit, cursor } = request.query;
      const filter = { itemId, account_id, from, to };
      const query = { list: 'balances', filters: filter };
      const after = readCursor(query, cursor);
      return sendPage(reply, query, await reads.balances(viewerOf(request), filter, limit, after));
    },
  );

  app.get(
    '/items/:itemId/transactions',
    operation({
      id: 'listTransactionsOfItem',
      summary: "An item's transactions, as cached",
      description:
        'Newest date first. Without `status` pending and posted ones. A REMOVED item keeps its rows and still answers. ' +
        'One whose date changes while you page may be left out: see Lists.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'A page of transactions', schema: transactionsAnswer } },
      problems: ['not_found', ...consentProblems, 'invalid_cursor'],
    }).with({ params: itemParams, querystring: transactionsOfItemQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { from, to, account_id, status, format, limit, cursor } = request.query;
      const filter = { from, to, account_id, statuses: [...status].sort(), format };
      const query = { list: 'transactions', filters: { itemId, ...filter } };
      const after = readCursor(query, cursor);
      return sendPage(
        reply,
        query,
        await reads.transactions(viewerOf(request), { itemId, ...filter }, limit, after),
      );
    },
  );
}
