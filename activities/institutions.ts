import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import type { InstitutionPage } from '../domain/institutions/sync.js';
import type { ActivityDeps } from './deps.js';

/** Plaid as a whole asks to wait: the rest of the batch would fare no better. */
const overall: ReadonlySet<FailureType> = new Set(['RATE_LIMITED', 'MAINTENANCE', 'MISCONFIGURED']);

export function institutionActivities(deps: Pick<ActivityDeps, 'directory' | 'institutions'>) {
  const { directory, institutions } = deps;

  return {
    /** Fetches one page of Plaid's list from `offset` on and saves it under the sync's id. One call. Safe to repeat. */
    async saveInstitutionPage(input: { syncId: string; offset: number }): Promise<InstitutionPage> {
      const askedAt = await institutions.now();
      const page = await directory.list(input.offset);
      await institutions.savePage(input.syncId, askedAt, page.institutions);
      return { listed: page.listed, kept: page.institutions.length, total: page.total };
    },

    /** Sets to vanished what a complete walk through the list no longer showed. Safe to repeat. */
    async finishInstitutionSync(input: {
      syncId: string;
      expected: number;
    }): Promise<{ complete: boolean; vanished: number }> {
      return institutions.finishSync(input.syncId, input.expected);
    },

    /**
     * Asks Plaid for the connection status of up to `limit` institutions in use, those of an older status than `since`, by id
     * after `after`. A repeat goes on where the former attempt ended. An institution that Plaid fails over is left for the
     * next time; when it fails over all of them, so does the activity. `next`: id to go on after; null at the end.
     */
    async saveInstitutionStatuses(input: {
      since: string;
      after: string | null;
      limit: number;
    }): Promise<{ checked: number; failed: number; next: string | null }> {
      const { since, after, limit } = input;
      const due = await institutions.dueForStatus(since, after, limit);
      let checked = 0;
      let last: unknown;
      for (const institutionId of due) {
        try {
          const askedAt = await institutions.now();
          const institution = await directory.get(institutionId).catch((error: unknown) => {
            if (error instanceof Failure && error.type === 'UNKNOWN_INSTITUTION') return null;
            throw error;
          });
          await institutions.save(institutionId, askedAt, institution);
          checked += 1;
        } catch (error) {
          if (!(error instanceof Failure) || overall.has(error.type)) throw error;
          last = error;
        }
      }
      if (due.length > 0 && checked === 0) throw last;
      return {
        checked,
        failed: due.length - checked,
        next: due.length === limit ? (due.at(-1) ?? null) : null,
      };
    },
  };
}
