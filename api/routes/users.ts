import type { FastifyReply } from 'fastify';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { PageKey } from '../../domain/ports/pages.js';
import type { CachedPage } from '../../domain/ports/reads.js';
import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { readCursor, sendList, writeCursor } from '../lists.js';
import type { ListQuery } from '../lists.js';
import { createLogos } from '../logos.js';
import { operation } from '../operation.js';
import { accountsAnswer, accountsOfUserQuery } from '../schemas/accounts.js';
import { itemsAnswer, itemsQuery } from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';
import { transactionsAnswer, transactionsOfUserQuery } from '../schemas/transactions.js';
import { itemChangeAnswer, userAnswer, userParams } from '../schemas/users.js';
import type { RefinedAccount } from '../schemas/accounts.js';

const utf8 = new TextDecoder();

export function userRoutes(app: Api, context: RouteContext): void {
  const { reads, commands, itemChangeCooldownMs, limits, elapsed } = context;
  const logos = createLogos(context, limits, elapsed);

  /** All accounts of these items that the viewer may read, by item; an item whose accounts it may not read has no entry. */
  async function accountsOf(viewer: Viewer, itemIds: string[]): Promise<Map<string, RefinedAccount[]>> {
    const found = new Map<string, RefinedAccount[]>();
    let after: PageKey | null = null;
    do {
      const page: CachedPage = await reads.accounts(viewer, { itemIds, format: 'refined' }, 500, after);
      for (const { item_id } of page.items) if (!found.has(item_id)) found.set(item_id, []);
      for (const account of JSON.parse(`[${utf8.decode(page.rows)}]`) as RefinedAccount[]) {
        found.get(account.item_id)?.push(account);
      }
      after = page.next;
    } while (after !== null);
    return found;
  }

  async function expectUser(viewer: Viewer, userId: string): Promise<void> {
    if ((await reads.user(viewer, userId)) === null) throw new Problem('not_found');
  }

  /** A page of what is cached of a user's Items; a user without any is looked up, so that 404 and an empty list differ. */
  async function sendPage(
    reply: FastifyReply,
    query: ListQuery,
    { viewer, userId }: { viewer: Viewer; userId: string },
    page: CachedPage,
  ) {
    if (page.items.length === 0) await expectUser(viewer, userId);
    return sendList(reply, query, page, { items: page.items });
  }

  app.get(
    '/users/:userId',
    operation({
      id: 'getUser',
      summary: 'A user',
      description: 'A user exists from the first link token or item, and becomes active with the first item.',
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'The user', schema: userAnswer } },
      problems: ['not_found'],
    }).with({ params: userParams, querystring: noQuery }),
    async (request) => {
      const user = await reads.user(viewerOf(request), request.params.userId);
      if (user === null) throw new Problem('not_found');
      return user;
    },
  );

  app.get(
    '/users/:userId/item-change',
    operation({
      id: 'checkItemChange',
      summary: 'Whether the user may change items now',
      description:
        '`ACTIVE_FLOAT`: a float is open. `COOLDOWN`: an item was linked, or its main account changed, too short a time ago ' +
        '(`ITEM_CHANGE_COOLDOWN`).',
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'Yes, or why not', schema: itemChangeAnswer } },
      problems: ['not_found'],
    }).with({ params: userParams, querystring: noQuery }),
    async (request) => {
      const { userId } = request.params;
      const viewer = viewerOf(request);
      await expectUser(viewer, userId);
      const reasons = await commands.itemChangeReasons(viewer, userId, itemChangeCooldownMs);
      return { allowed: reasons.length === 0, reasons };
    },
  );

  app.get(
    '/users/:userId/items',
    operation({
      id: 'listItemsOfUser',
      summary: "A user's items",
      description:
        'In the order in which they were linked. Without `status` all of them. A logo that is not cached yet is fetched from ' +
        'Plaid, for two seconds at most; it never fails the list.',
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'A page of items', schema: itemsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: userParams, querystring: itemsQuery }),
    async (request) => {
      const { userId } = request.params;
      const { status, include, limit, cursor } = request.query;
      const statuses = [...status].sort();
      const query = { list: 'items', filters: { userId, statuses, include: [...include].sort() } };
      const after = readCursor(query, cursor);
      const viewer = viewerOf(request);
      const page = await reads.items(viewer, { userId, statuses }, limit, after);
      if (page.rows.length === 0) await expectUser(viewer, userId);
      const next = writeCursor(query, page.next);
      const [accounts, images] = await Promise.all([
        include.includes('accounts') && page.rows.length > 0
          ? accountsOf(
              viewer,
              page.rows.map(({ item_id }) => item_id),
            )
          : null,
        include.includes('logo') ? logos.of(page.rows.map(({ institution_id }) => institution_id)) : null,
      ]);
      return {
        data: page.rows.map((item) => ({
          ...item,
          ...(accounts?.has(item.item_id) ? { accounts: accounts.get(item.item_id) } : {}),
          ...(images === null ? {} : { logo: images.get(item.institution_id ?? '') ?? null }),
        })),
        next_cursor: next,
        has_more: next !== null,
        meta: {
          items: page.rows.map(({ item_id, phase, history, last_update_at }) => ({
            item_id,
            phase,
            history,
            as_of: last_update_at,
          })),
        },
      };
    },
  );

  app.get(
    '/users/:userId/accounts',
    operation({
      id: 'listAccountsOfUser',
      summary: "A user's accounts, as cached",
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'A page of accounts', schema: accountsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: userParams, querystring: accountsOfUserQuery }),
    async (request, reply) => {
      const { userId } = request.params;
      const { include_removed, format, limit, cursor } = request.query;
      const query = { list: 'accounts', filters: { userId, include_removed, format } };
      const after = readCursor(query, cursor);
      const items = { userId, includeRemoved: include_removed };
      const viewer = viewerOf(request);
      const page = await reads.accounts(viewer, { ...items, format }, limit, after);
      return sendPage(reply, query, { viewer, userId }, page);
    },
  );

  app.get(
    '/users/:userId/transactions',
    operation({
      id: 'listTransactionsOfUser',
      summary: "A user's transactions, as cached",
      description:
        'Newest date first, over all items. Without `status` pending and posted ones. ' +
        'One whose date changes while you page may be left out: see Lists.',
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'A page of transactions', schema: transactionsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: userParams, querystring: transactionsOfUserQuery }),
    async (request, reply) => {
      const { userId } = request.params;
      const { include_removed, from, to, account_id, status, format, limit, cursor } = request.query;
      const filter = { from, to, account_id, statuses: [...status].sort(), format };
      const query = { list: 'transactions', filters: { userId, include_removed, ...filter } };
      const after = readCursor(query, cursor);
      const items = { userId, includeRemoved: include_removed };
      const viewer = viewerOf(request);
      const page = await reads.transactions(viewer, { ...items, ...filter }, limit, after);
      return sendPage(reply, query, { viewer, userId }, page);
    },
  );
}
