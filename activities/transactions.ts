import { activityInfo } from '@temporalio/activity';
import { unionOfAccounts } from '../src/domain/accounts.js';
import { Failure } from '../src/domain/failures.js';
import { secretContext } from '../src/domain/ids.js';
import { minedPage } from '../src/domain/minedPage.js';
import type { PageResult } from '../src/domain/mining.js';
import { historyOf } from '../src/domain/mining.js';
import type { ItemCredentials, PageStart } from '../src/domain/ports.js';
import type { ActivityDeps } from './deps.js';
import { untilItStands } from '../src/domain/untilItStands.js';

export interface MinePageInput {
  itemId: string;
  updateId: string;
  /** From 0. */
  page: number;
  /** Everything is read again from the empty cursor. */
  remine?: boolean;
  /** When the Item is due again after this update, ISO 8601: with a complete history, and before it is complete. */
  dueAt: { complete: string; incomplete: string };
}

/** How far around a named transaction's date `/transactions/get` is asked: posting may have moved it. */
const removalWindowDays = 3;
const removalsAtOnce = 100;

function shiftDate(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

export function transactionActivities(deps: ActivityDeps) {
  const { plaid, secrets, items, mining, policy, crashPoint } = deps;

  const openToken = (credentials: ItemCredentials): Promise<string> =>
    secrets.open(credentials.accessToken, secretContext.accessToken(credentials.itemId));

  async function applied(
    itemId: string,
    outcome: Extract<PageResult, { kind: 'applied' }>['outcome'],
    calls: number,
  ): Promise<PageResult> {
    // Read after the apply was committed: a webhook that rides along with one just ended would else wait for the sweep.
    const waiting = await mining.waiting(itemId);
    return {
      kind: 'applied',
      outcome,
      webhooksWaiting: waiting.webhooks,
      removalsWaiting: waiting.removals,
      calls,
    };
  }

  async function fetchPage(
    input: MinePageInput,
    start: Extract<PageStart, { kind: 'fetch' }>,
    calls: number,
  ): Promise<PageResult> {
    const { itemId, updateId } = input;
    const token = await openToken(start.credentials);
    crashPoint('page.beforeCall');
    const answer = await plaid.syncTransactions(token, start.cursor);
    crashPoint('page.afterAnswer');
    const history = historyOf(answer.transactions_update_status);
    if (history === 'none' && answer.next_cursor === '') return { kind: 'notReady', calls };
    const { userId, institutionId } = start.credentials;
    const owner = { item_id: itemId, user_id: userId, institution_id: institutionId };
    const mined = minedPage(start.cursor, answer, owner);
    if (mined.hasMore) {
      const options = { began: start.began, remine: input.remine ?? false };
      const staged = await mining.stagePage(itemId, updateId, input.page, options, mined);
      crashPoint('page.afterStaging');
      return { ...staged, calls };
    }
    const accounts = unionOfAccounts(await plaid.getAccounts(token), answer.accounts);
    // The database's clock: those of two workers differ, and the balances of the later question stay.
    const accountsAsOf = new Date(start.credentials.seen.at).toISOString();
    crashPoint('apply.before');
    const result = await mining.apply({
      itemId,
      updateId,
      page: mined,
      pageNumber: input.page,
      accounts,
      accountsAsOf,
      began: start.began,
      history,
      dueAt: input.dueAt,
      remine: input.remine ?? false,
    });
    crashPoint('apply.afterCommit');
    if (result.kind === 'applied') return applied(itemId, result.outcome, calls);
    if (result.kind === 'moved') await mining.discard(itemId, updateId);
    return { kind: result.kind, calls };
  }

  return {
    /**
     * One page of an update: fetched and staged, or, when it is the last one, fetched and applied with all pages before it.
     * Safe to repeat at any point: a page that is staged and an update that is applied are answered from the database.
     */
    async minePage(input: MinePageInput): Promise<PageResult> {
      const { itemId, updateId, page } = input;
      const calls = activityInfo().attempt;
      const start = await mining.beginPage(itemId, updateId, page, { remine: input.remine ?? false });
      switch (start.kind) {
        case 'ended':
          return applied(itemId, start.outcome, calls);
        case 'gone':
          return { kind: 'gone', calls };
        case 'staged':
          return { kind: 'staged', rows: start.rows, calls };
        case 'missing':
        case 'moved':
          await mining.discard(itemId, updateId);
          return { kind: 'moved', calls };
        case 'fetch':
          break;
      }
      try {
        return await fetchPage(input, start, calls);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        switch (error.type) {
          case 'PAGES_MOVED':
            await mining.discard(itemId, updateId);
            return { kind: 'moved', calls };
          case 'NOT_READY':
            return { kind: 'notReady', calls };
          case 'LOGIN_REQUIRED':
          case 'PERMISSION_REVOKED':
          case 'ITEM_GONE': {
            const broken = {
              error_type: error.upstream?.error_type ?? 'ITEM_ERROR',
              error_code: error.upstream?.error_code ?? error.type,
            };
            await mining.discard(itemId, updateId);
            const dueAt = new Date(Date.now() + policy.brokenCheck).toISOString();
            // A late word: Plaid has answered better since, so the update asks once more.
            if (!(await items.markBroken(itemId, start.credentials.seen, broken, dueAt))) {
              return { kind: 'moved', calls };
            }
            return { kind: 'needsUser', error: broken, calls };
          }
          default:
            throw error;
        }
      }
    },

    /**
     * Looks up transactions that TRANSACTIONS_REMOVED named and that are still live after an update, in a small window of
     * `/transactions/get`; those that Plaid no longer lists are marked removed. Safe to repeat.
     */
    async settleRemovals(input: { itemId: string }): Promise<{ changes: number }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const credentials = await items.credentials(itemId, { forRemoval: false });
        if (credentials === null) return { changes: 0 };
        const named = await mining.namedRemovals(itemId, removalsAtOnce);
        const gone: string[] = [];
        if (named.length > 0) {
          const token = await openToken(credentials);
          const dates = named.map((row) => row.date).sort();
          const listed = new Set<string>();
          const query = {
            from: shiftDate(dates[0] as string, -removalWindowDays),
            to: shiftDate(dates[dates.length - 1] as string, removalWindowDays),
            // All accounts: to name one that was closed meanwhile is an error to Plaid, and would be at each repeat.
            count: 500,
          };
          for (let offset = 0; ;) {
            const { transactions, total } = await plaid.getTransactions(token, { ...query, offset });
            for (const transaction of transactions) listed.add(transaction.transaction_id);
            offset += transactions.length;
            if (transactions.length === 0 || offset >= total) break;
          }
          gone.push(...named.map((row) => row.transactionId).filter((id) => !listed.has(id)));
        }
        const checked = named.map((row) => row.transactionId);
        const changes = await mining.settleRemovals(itemId, credentials.seen, checked, gone);
        return changes === 'moved' ? 'moved' : { changes };
      });
    },
  };
}
