import { eachByItself } from '../domain/eachByItself.js';
import { userErasedRecords } from '../domain/exchange/userErased.js';
import { Failure } from '../domain/failures.js';
import type { Attempt } from './attempt.js';
import { temporalAttempt } from './attempt.js';
import type { ActivityDeps } from './deps.js';
import { signalIds } from './signalEach.js';

/** Rows of one transaction, and for how long one activity goes on with such. */
const rowsAtOnce = 5_000;
const deletingMs = 20_000;
const workflowsAtOnce = 500;
/** Erasures that one sweep starts once more. */
const erasuresAtOnce = 100;
const lateAfterMs = 24 * 3_600_000;

/** What has not ended yet, counted: ids of the user's stay out of the history of the erasure. */
export interface LeftOfUser {
  items: number;
  links: number;
}

export function erasureActivities(
  deps: Pick<
    ActivityDeps,
    'erasures' | 'gateway' | 'streams' | 'sweeps' | 'alerts' | 'crashPoint' | 'reportUnexpected'
  >,
  attempt: Attempt = temporalAttempt,
) {
  const { erasures, gateway, streams, sweeps, crashPoint, reportUnexpected } = deps;

  /** What was asked for stands in the rows; the sweep signals those that a signal does not reach now. */
  async function wake(signals: readonly (() => Promise<void>)[]): Promise<void> {
    for (const signal of signals) {
      try {
        await signal();
      } catch (error) {
        if (error instanceof Failure && error.type === 'ORCHESTRATOR_DOWN') return;
        reportUnexpected('stopUser', error);
      }
    }
  }

  return {
    /**
     * Asks for the removal of all Items of the user and ends what links can be ended. Resolves to what is not at its end yet; null when
     * the erasure has ended. Safe to repeat.
     */
    async stopUser({ erasureId }: { erasureId: string }): Promise<LeftOfUser | null> {
      const left = await erasures.stop(erasureId);
      if (left === null) return null;
      await wake([
        ...left.items.map(
          ({ itemId, userId }) =>
            () =>
              gateway.signalItem(itemId, userId, { kind: 'removalRequested' }),
        ),
        ...left.links.map(
          ({ tokenHash, userId }) =>
            () =>
              gateway.startLink(tokenHash, userId),
        ),
      ]);
      crashPoint('erase.afterStop');
      return { items: left.items.length, links: left.links.length };
    },

    /** Deletes rows of the user for some seconds; `done` when there are none left. Safe to repeat. */
    async deleteUserRows({ erasureId }: { erasureId: string }): Promise<{ deleted: number; done: boolean }> {
      const endAt = performance.now() + deletingMs;
      for (let deleted = 0; ;) {
        const some = await erasures.deleteRows(erasureId, rowsAtOnce);
        deleted += some;
        crashPoint('erase.afterRows');
        if (some === 0 || performance.now() >= endAt) return { deleted, done: some === 0 };
      }
    },

    /** Deletes workflows of the user with their histories; `done` when Temporal knows of none. Safe to repeat. */
    async deleteUserWorkflows({
      erasureId,
    }: {
      erasureId: string;
    }): Promise<{ deleted: number; done: boolean }> {
      const user = await erasures.subject(erasureId);
      if (user === null) return { deleted: 0, done: true };
      const deleted = await gateway.deleteWorkflowsOf(user.userId, user.workflowIds, workflowsAtOnce);
      crashPoint('erase.afterWorkflows');
      return { deleted, done: deleted === 0 };
    },

    /** Tells all streams that the data of the user are gone. At least once: consumers dedupe by event id. */
    async publishUserErased({ erasureId }: { erasureId: string }): Promise<{ records: number }> {
      return attempt(async (signal) => {
        const user = await erasures.subject(erasureId);
        if (user === null) return { records: 0 };
        // The time of the request: a repeat is the same event.
        const records = userErasedRecords(user, user.requestedAt);
        for (const { stream, partitionKey, json } of records) {
          signal.throwIfAborted();
          await streams.put(stream, partitionKey, Buffer.from(json), signal);
          crashPoint('erase.afterPut');
        }
        return { records: records.length };
      });
    },

    /** The end: nothing but a tombstone stays. Not `ended` when something began beside it after all. Safe to repeat. */
    async finishErasure({ erasureId }: { erasureId: string }): Promise<{ ended: boolean }> {
      const ended = await erasures.finish(erasureId);
      crashPoint('erase.afterEnd');
      return { ended };
    },

    /** Starts the workflows of erasures that have not ended once more, and alerts an operator of those that take a day. Safe to repeat. */
    async sweepErasures({ graceMs }: { graceMs: number }): Promise<{ open: number }> {
      const open = await erasures.open(erasuresAtOnce, graceMs, lateAfterMs);
      const ids = open.map(({ erasureId }) => erasureId);
      const { signalled, raiseAlerts } = await signalIds(deps, 'sweepErasures', 'erasure', ids, (id) =>
        gateway.startErasure(id),
      );
      await sweeps.recordSignalled({ erasures: signalled });
      // Last: none of them waits for an alert that cannot be raised.
      await raiseAlerts();
      await eachByItself(
        open.filter(({ late }) => late),
        ({ erasureId }) => erasures.raiseLate(erasureId),
      );
      return { open: open.length };
    },
  };
}
