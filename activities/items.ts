import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import { verdictOf } from '../domain/item/health.js';
import type { Health, ItemSnapshot } from '../domain/item/state.js';
import type { Policy } from '../domain/item/policy.js';
import type { ActivityDeps } from './deps.js';
import { untilItStands } from '../domain/untilItStands.js';
import type { TaskName } from '../domain/item/tasks.js';
import { tasks } from '../domain/item/tasks.js';
import { askForProducts, askHealth, dueAfter, failWith } from './itemHealth.js';
import { withToken } from './itemToken.js';
import { removeAtPlaid } from './removeAtPlaid.js';

/** Plaid's ways to say that it has no numbers to give. */
const withoutNumbers: ReadonlySet<FailureType> = new Set([
  'PRODUCT_UNAVAILABLE',
  'CONSENT_REQUIRED',
  'NOT_READY',
]);

/** Failures of a token or of keys, of which an alert of their own tells. */
const haveAnAlert: ReadonlySet<FailureType> = new Set([
  'TOKEN_REFUSED',
  'MISCONFIGURED',
  'SECRET_UNREADABLE',
]);

export function itemActivities(deps: ActivityDeps) {
  const { plaid, secrets, items, gateway, alerts, policy } = deps;

  const brokenUntil = (): string => new Date(Date.now() + policy.brokenCheck).toISOString();

  return {
    /** The Item as PostgreSQL has it, and the pace to keep; null for an Item that is not ours. */
    async loadItem(input: { itemId: string }): Promise<{ snapshot: ItemSnapshot; policy: Policy } | null> {
      const row = await items.snapshot(input.itemId);
      if (row === null) return null;
      const waits = row.webhooksWaiting > 0 || row.due.some((name) => 'webhooks' in tasks[name].due);
      if (row.removed && waits) await items.ignoreWebhooks(input.itemId, 'item_removed');
      if (row.removed) return { snapshot: { ...row, historyRunning: false, remineRunning: false }, policy };
      const [historyRunning, remineRunning] = await Promise.all([
        gateway.isHistoryRunning(input.itemId),
        row.remines > 0 && gateway.isRemineRunning(input.itemId, row.remines),
      ]);
      return { snapshot: { ...row, historyRunning, remineRunning }, policy };
    },

    /** The pace to keep, for a workflow that needs nothing else of the row. */
    async loadPolicy(): Promise<Policy> {
      return policy;
    },

    /** Whether `pageHistory`, or the remine of this number, still runs for the Item. */
    async lookAtHistory(input: { itemId: string; remine?: number }): Promise<{ running: boolean }> {
      const { itemId, remine } = input;
      return {
        running: await (remine === undefined
          ? gateway.isHistoryRunning(itemId)
          : gateway.isRemineRunning(itemId, remine)),
      };
    },

    /**
     * Asks how a broken Item is, and stores the answer. Plaid's word decides, not the order of webhooks. That `/item/get` calls it
     * healthy ends no episode while transactions are refused for want of the user (`unsure`). Rejects when nobody knows, since
     * the bank is down, say.
     */
    async checkItem(input: { itemId: string }): Promise<{ result: Health; makesDue?: TaskName[] }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const health = await askHealth(deps, itemId);
        if (health === null) return { result: 'gone' };
        const { seen, consent, episodeBy } = health;
        if (health.result === 'broken' || health.result === 'gone') {
          const stands = await items.setBroken(itemId, seen, health.error, brokenUntil(), { consent });
          return stands ? { result: health.result, ...dueAfter(health.error) } : 'moved';
        }
        const verdict = verdictOf(health.result, episodeBy, await askForProducts(deps, itemId));
        if (verdict.kind === 'unknown') throw verdict.failure;
        if (verdict.kind === 'healthy') {
          return (await items.setHealthy(itemId, seen, consent)) ? { result: 'healthy' } : 'moved';
        }
        const { error, byCall } = verdict;
        const stands = await items.setBroken(itemId, seen, error, brokenUntil(), { byCall, consent });
        return stands ? { result: 'unsure', ...dueAfter(error) } : 'moved';
      });
    },

    /**
     * Calls `/item/remove` until Plaid agrees or says that the Item is gone, then erases token and numbers; an alert tells of what no
     * waiting mends. Safe to repeat.
     */
    async removeItem(input: { itemId: string }): Promise<void> {
      const { itemId } = input;
      const credentials = await items.credentials(itemId, { forRemoval: true });
      if (credentials !== null) {
        try {
          await withToken(deps, credentials, (token) => removeAtPlaid(plaid, token));
        } catch (error) {
          if (error instanceof Failure && !error.retryable && !haveAnAlert.has(error.type))
            await alerts.raise({
              kind: 'removal_refused',
              key: itemId,
              item_id: itemId,
              detail: {
                error_type: error.upstream?.error_type ?? null,
                error_code: error.upstream?.error_code ?? null,
              },
            });
          throw error;
        }
      }
      await items.finishRemoval(itemId);
    },

    /**
     * Reads account and routing numbers and stores them encrypted. Where Plaid has none to give, what is stored stays: that it has
     * them not ready (for days, while accounts are verified) is waited for with long pauses, until `nextDueAt` (ms since the epoch);
     * the accounts that need no verification are asked for by themselves. An answer that names none of the accounts is
     * asked for once more before it is believed; of one that cannot be read whole an alert tells. Safe to repeat.
     */
    async saveNumbers(input: { itemId: string }): Promise<{ accounts: number; nextDueAt?: number }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const credentials = await items.credentials(itemId, { forRemoval: false });
        if (credentials === null) return { accounts: 0 };
        const ask = (accountIds?: string[]) =>
          withToken(deps, credentials, (token) => plaid.getNumbers(token, accountIds)).catch(
            (error: unknown) => {
              if (error instanceof Failure && withoutNumbers.has(error.type)) return error;
              return failWith(deps, itemId, error);
            },
          );
        const dueAt = new Date(Date.now() + policy.numbersWait).toISOString();
        const pause = policy.retryFirst;
        const all = await ask();
        const waits = all instanceof Failure && all.type === 'NOT_READY';
        const { accountIds: besides, pending } = waits
          ? await items.accountsBesideUnverified(itemId)
          : { accountIds: [], pending: false };
        // Plaid may have closed one of them since, and refuse the question: the answer to the first one stands.
        const unlessRefused = (error: unknown): typeof all => {
          if (error instanceof Failure && error.type === 'BAD_REQUEST') return all;
          throw error;
        };
        const answer = besides.length === 0 ? all : await ask(besides).catch(unlessRefused);
        // Of what Plaid has not ready it says so itself.
        const isOdd = answer instanceof Failure ? waits && answer.upstream === undefined : !answer.isWhole;
        if (isOdd)
          await alerts.raise({ kind: 'numbers_unreadable', key: itemId, item_id: itemId, detail: {} });
        if (answer instanceof Failure) {
          const refusedCode =
            answer.type === 'NOT_READY' ? null : (answer.upstream?.error_code ?? answer.type);
          const retryAt = waits ? dueAt : null;
          const kept = await items.keepNumbers(itemId, credentials.seen, retryAt, refusedCode, pause);
          if (kept === 'moved') return kept;
          return { accounts: 0, ...(kept.dueAt === null ? {} : { nextDueAt: kept.dueAt }) };
        }
        const sealed = await Promise.all(
          answer.numbers.map(async ({ account_id, ...kinds }) => ({
            accountId: account_id,
            sealed: await secrets.seal(
              JSON.stringify(kinds),
              secretContext.accountNumbers(itemId, account_id),
            ),
          })),
        );
        const nextDueAt = pending || !answer.isWhole ? dueAt : null;
        // What it lacks it says of those alone that were asked for, and of none where a part of it cannot be read.
        const of = answer.isWhole ? besides : [];
        const part = waits || !answer.isWhole ? { of, dueAt: nextDueAt } : undefined;
        const stands = await items.saveNumbers(itemId, credentials.seen, sealed, part, pause);
        if (typeof stands === 'object') return { accounts: 0, nextDueAt: stands.doubtedUntil };
        if (!stands) return 'moved';
        return {
          accounts: sealed.length,
          ...(nextDueAt === null ? {} : { nextDueAt: Date.parse(nextDueAt) }),
        };
      });
    },
  };
}
