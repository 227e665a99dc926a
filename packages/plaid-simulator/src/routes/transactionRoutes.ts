import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { CAPITAL_ONE } from '../bank/institutions.js';
import { renderRows, type RenderOptions } from '../bank/row.js';
import { PlaidApiError } from '../errors.js';
import { accountView } from '../item/accountView.js';
import { changeBank, ImpossibleChange, type BankChanges } from '../item/bankChanges.js';
import { isDynamic, moveBank } from '../item/dynamicUser.js';
import type { Item } from '../item/item.js';
import { itemView } from '../item/itemView.js';
import { readSilently, runUpdate, startPull } from '../item/lifecycle.js';
import { requireAccess } from '../item/productAccess.js';
import { syncPage } from '../item/syncPage.js';
import { completeReadAt } from '../item/truth.js';
import { civilDate } from '../calendar.js';
import { accountIdsOption, civilDateField, requestBody } from '../validation.js';
import type { World } from '../world.js';
import { plaidEndpoint, RawAnswer } from './endpoint.js';
import { chosenAccounts, liveItem, readableItem, useProduct } from './itemAccess.js';

const MOST_DAYS = 730;
const count = z.int().min(1).max(500).default(100);
const renderFields = {
  include_original_description: z.boolean().nullish(),
  include_personal_finance_category: z.boolean().optional(),
  include_logo_and_counterparty_beta: z.boolean().optional(),
  personal_finance_category_version: z.enum(['v1', 'v2']).optional(),
  days_requested: z.int().min(1).max(MOST_DAYS).optional(),
};

interface RenderFields {
  include_original_description?: boolean | null | undefined;
  personal_finance_category_version?: 'v1' | 'v2' | undefined;
  days_requested?: number | undefined;
}

function renderOptions(item: Item, options: RenderFields | undefined): RenderOptions {
  return {
    distortions: item.facts.distortions?.transactions,
    originalDescription: options?.include_original_description ?? false,
    categoryVersion: options?.personal_finance_category_version ?? 'v2',
  };
}

/** The first transactions call on an Item that was linked without Transactions starts the pull; `days_requested` counts only then. */
function ensureTransactions(world: World, item: Item, options: RenderFields | undefined): void {
  requireAccess(world, item, 'transactions');
  if (item.hasProduct('transactions')) return;
  useProduct(world, item, 'transactions');
  if (options?.days_requested !== undefined) item.facts.daysRequested = options.days_requested;
  startPull(world, item);
}

/** `/transactions/...`. */
export function transactionRoutes(app: FastifyInstance, world: World): void {
  plaidEndpoint(app, world, {
    path: '/transactions/sync',
    body: requestBody({
      access_token: z.string(),
      // Null begins like no cursor at all: Plaid's own samples for Node begin so.
      cursor: z.string().max(256).nullish(),
      count,
      options: z.strictObject({ ...renderFields, account_id: z.string().optional() }).optional(),
    }),
    run: (body, caller) => {
      const item = readableItem(world, body.access_token, caller);
      const accountId = body.options?.account_id ?? null;
      if (accountId !== null && !item.openAccounts.some(({ account }) => account.account_id === accountId)) {
        throw new PlaidApiError('INVALID_ACCOUNT_ID');
      }
      ensureTransactions(world, item, body.options);
      item.facts.syncCalled = true;
      const page = syncPage(item, {
        cursor: body.cursor ?? '',
        count: Math.min(body.count, caller.mostRows),
        accountId,
        render: renderOptions(item, body.options),
      });
      world.keeper.item(item);
      return new RawAnswer(
        page.json,
        () => {
          if (page.completes === null) return;
          completeReadAt(item, page.completes);
          world.keeper.item(item);
        },
        () => moveAfterPage(world, item, '/transactions/sync', page.number),
      );
    },
  });

  plaidEndpoint(app, world, {
    path: '/transactions/get',
    body: requestBody({
      access_token: z.string(),
      start_date: civilDateField,
      end_date: civilDateField,
      options: z
        .strictObject({
          ...renderFields,
          include_personal_finance_category_beta: z.boolean().optional(),
          account_ids: accountIdsOption,
          count,
          offset: z.int().min(0).default(0),
        })
        .optional(),
    }),
    run: (body, caller) => {
      const item = readableItem(world, body.access_token, caller);
      if (body.start_date > body.end_date) {
        throw new PlaidApiError('INVALID_FIELD', 'start_date must be on or before end_date');
      }
      ensureTransactions(world, item, body.options);
      if (item.facts.status === 'NOT_READY') throw new PlaidApiError('PRODUCT_NOT_READY');
      const ids = body.options?.account_ids;
      const accounts = chosenAccounts(item, ids);
      const rows = item.log
        .liveNewestFirst()
        .filter(
          (row) =>
            row.date >= body.start_date && row.date <= body.end_date && (!ids || ids.includes(row.accountId)),
        );
      const offset = body.options?.offset ?? 0;
      const pageSize = body.options?.count ?? 100;
      const page = rows.slice(offset, offset + Math.min(pageSize, caller.mostRows));
      const shown = accounts.slice(0, caller.mostRows).map((known) => accountView(item, known));
      return new RawAnswer(
        [
          Buffer.from(
            `{"accounts":${JSON.stringify(shown)},"item":${JSON.stringify(itemView(world, item))},` +
              `"total_transactions":${rows.length},"transactions":`,
          ),
          ...renderRows(page, renderOptions(item, body.options)),
        ],
        undefined,
        () => moveAfterPage(world, item, '/transactions/get', Math.floor(offset / pageSize) + 1),
      );
    },
  });

  plaidEndpoint(app, world, {
    path: '/transactions/refresh',
    body: requestBody({ access_token: z.string() }),
    run: ({ access_token }, caller) => {
      const item = liveItem(world, access_token, caller);
      requireAccess(world, item, 'transactions');
      if (!item.hasProduct('transactions')) throw new PlaidApiError('PRODUCT_NOT_ENABLED');
      if (
        item.bankId === CAPITAL_ONE &&
        !item.openAccounts.some(({ account }) => account.type === 'depository')
      ) {
        throw new PlaidApiError('PRODUCTS_NOT_SUPPORTED');
      }
      if (isDynamic(item) && item.facts.status !== 'NOT_READY') moveBank(world, item);
      runUpdate(world, item);
      return {};
    },
  });
}

/** Between two pages the data move as the faults say. */
function moveAfterPage(
  world: World,
  item: Item,
  path: '/transactions/sync' | '/transactions/get',
  page: number,
): void {
  for (const changes of world.faults.afterPage(path, item.id, page)) mutate(world, item, changes);
}

/** The mutation of a fault: by default one more transaction. An Item that cannot take the change is left alone. */
function mutate(world: World, item: Item, changes: BankChanges): void {
  const nothing = !changes.add && !changes.modify && !changes.remove && !changes.post;
  const made: BankChanges = nothing ? { add: [{ amount: 1.23, name: 'Added between two pages' }] } : changes;
  try {
    changeBank(item, made, civilDate(world.clock.now()), () => world.ids.id('transaction'));
  } catch (error) {
    if (!(error instanceof ImpossibleChange)) throw error;
    item.log.touch();
  }
  readSilently(world, item);
}
