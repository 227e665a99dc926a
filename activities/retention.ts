import type { Perishable } from '../domain/retention.js';
import type { ActivityDeps } from './deps.js';

/** Rows that one transaction deletes: few enough that nobody waits long for what it locks. */
const rowsAtOnce = 1_000;
/** Well within the grace time of a stopping worker. */
const workForMs = 10_000;

export function retentionActivities(deps: Pick<ActivityDeps, 'retention' | 'idempotency'>) {
  const { retention, idempotency } = deps;

  /** One batch; `next` = where the next one begins, null when there is none. */
  async function clean(
    what: Perishable,
    keepMs: number,
    after: string | null,
  ): Promise<{ deleted: number; next: string | null }> {
    if (what !== 'idempotencyKeys') return retention[what](keepMs, after, rowsAtOnce);
    const deleted = await idempotency.deleteExpired(rowsAtOnce);
    return { deleted, next: deleted === rowsAtOnce ? '' : null };
  }

  return {
    /**
     * Deletes what of `what` is older than `keepMs` and no longer needed, batch after batch for some seconds. `next`: where
     * to go on; null at the end. Safe to repeat: what is gone is not found again.
     */
    async deleteExpired(input: {
      what: Perishable;
      keepMs: number;
      after: string | null;
    }): Promise<{ deleted: number; next: string | null }> {
      const end = performance.now() + workForMs;
      let deleted = 0;
      let next = input.after;
      do {
        const result = await clean(input.what, input.keepMs, next);
        deleted += result.deleted;
        next = result.next;
      } while (next !== null && performance.now() < end);
      return { deleted, next };
    },
  };
}
