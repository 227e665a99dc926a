import { Failure } from '../domain/failures.js';
import type { InstitutionPage } from '../domain/institutions/sync.js';
import { triesOfPage } from '../domain/institutions/sync.js';
import { concernsAll } from '../domain/plaidErrors.js';
import type { ActivityDeps } from './deps.js';
import { alertOperators } from './itemToken.js';

/** How far a round over the institutions in use has come. */
export interface StatusRound {
  /** It began behind this one (null: at the first), goes on to the end, and then from the first up to here. */
  start: string | null;
  /** It has come to this one; null = to none in this part. */
  after: string | null;
  /** It goes from the first one on. */
  wrapped: boolean;
}

/** With the last call's own deadline well within what Temporal gives one attempt: two minutes. */
const askingMs = 60_000;

/** `now`: milliseconds of a clock that never goes back. */
export function institutionActivities(
  deps: Pick<ActivityDeps, 'directory' | 'institutions' | 'alerts'>,
  now: () => number = () => performance.now(),
) {
  const { directory, institutions, alerts } = deps;

  /** What operators alone can mend is told to them. */
  async function alerting<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof Failure) await alertOperators(alerts, null, error);
      throw error;
    }
  }

  return {
    /**
     * Fetches one page of Plaid's list from `offset` on and saves it under the sync's id. One call. Safe to repeat. A page that is
     * refused, or has failed `failures` times in the workflow before, is told to operators: the walk goes on behind it.
     */
    async saveInstitutionPage(input: {
      syncId: string;
      offset: number;
      failures?: number;
    }): Promise<InstitutionPage> {
      const { syncId, offset, failures = 0 } = input;
      try {
        const askedAt = await institutions.now();
        const page = await alerting(directory.list(offset));
        const { nameless, listed, total } = page;
        const known = await institutions.savePage(syncId, askedAt, page.institutions, nameless);
        // One that a page lists twice is one: counted twice, no walk would ever prove that others have vanished.
        const named = new Set(page.institutions.map(({ institution_id }) => institution_id));
        return { listed, kept: named.size + known, total };
      } catch (error) {
        const refused = error instanceof Failure && !error.retryable;
        if (refused || failures + 1 >= triesOfPage) {
          const type = error instanceof Failure ? error.type : 'UNEXPECTED';
          await alerts.raise({
            kind: 'institutions_stuck',
            key: 'list',
            item_id: null,
            detail: { offset, type },
          });
        }
        throw error;
      }
    },

    /**
     * Sets to vanished what a complete walk through the list no longer showed. Operators are told where the `last` walk of a sync had
     * all pages and is not complete, though none went beside it: a list that names one on two pages would keep every walk so. Safe to repeat.
     */
    async finishInstitutionSync(input: {
      syncId: string;
      expected: number;
      last?: boolean;
    }): Promise<{ complete: boolean; vanished: number }> {
      const { syncId, expected, last = false } = input;
      const { alone, ...end } = await institutions.finishSync(syncId, expected);
      if (last && alone && !end.complete) {
        await alerts.raise({
          kind: 'institutions_stuck',
          key: 'walk',
          item_id: null,
          detail: { listed: expected },
        });
      }
      return end;
    },

    /**
     * Asks Plaid for the connection status of up to `limit` institutions in use, those of an older status than `since`, for as long as
     * there is time. A repeat goes on where the former attempt ended. An institution that Plaid fails over is left for the next round, also when it fails
     * over all of them. `round` is absent at the beginning of a round, which goes on behind where the last one has come to: one that
     * is cut off at the same place each time would never come to the others. `next`: null at the end.
     */
    async saveInstitutionStatuses(input: {
      since: string;
      round?: StatusRound;
      limit: number;
    }): Promise<{ checked: number; failed: number; next: StatusRound | null }> {
      const { since, limit } = input;
      const round = input.round ?? {
        start: await institutions.lastAskedForStatus(),
        after: null,
        wrapped: false,
      };
      const { start, wrapped } = round;
      const from = round.after ?? (wrapped ? null : start);
      const due = await institutions.dueForStatus(since, from, limit, wrapped ? start : null);
      const endAt = now() + askingMs;
      let [asked, checked] = [0, 0];
      for (const institutionId of due) {
        if (now() >= endAt) break;
        asked += 1;
        try {
          const askedAt = await institutions.now();
          const institution = await alerting(directory.get(institutionId)).catch((error: unknown) => {
            if (error instanceof Failure && error.type === 'UNKNOWN_INSTITUTION') return null;
            throw error;
          });
          await institutions.save(institutionId, askedAt, institution);
          checked += 1;
        } catch (error) {
          if (!(error instanceof Failure) || concernsAll(error)) throw error;
        }
      }
      const last = due[asked - 1];
      const further: StatusRound | null =
        last !== undefined && (asked < due.length || due.length === limit)
          ? { ...round, after: last }
          : wrapped || start === null
            ? null
            : { start, after: null, wrapped: true };
      return { checked, failed: asked - checked, next: further };
    },
  };
}
