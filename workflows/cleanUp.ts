import { ApplicationFailure, continueAsNew, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Cleaned } from '../domain/retention.js';
import { nothingCleaned, perishables } from '../domain/retention.js';
import { priorities } from './contract.js';
import type { CleanUpInput } from './contract.js';
import { db } from './proxies.js';
import { stepFailure } from './stepFailure.js';

const longestHistory = 500;

/**
 * Deletes what was kept long enough, one kind after the other; run by a Schedule. Resolves to the counts. A kind that fails holds up none
 * of those behind it: the run fails at its end.
 */
export async function cleanUp(input: CleanUpInput): Promise<Cleaned> {
  const { keep } = input;
  let {
    what,
    after,
    cleaned,
    failed = [],
  } = input.place ?? {
    what: perishables[0],
    after: null,
    cleaned: nothingCleaned,
  };
  for (;;) {
    setCurrentDetails(
      [`- deleting: ${what}`, ...perishables.map((kind) => `- ${kind}: ${cleaned[kind]}`)].join('\n'),
    );
    try {
      const result = await db({ summary: what, priority: { priorityKey: priorities.remine } }).deleteExpired({
        what,
        keepMs: what === 'idempotencyKeys' ? 0 : keep[what],
        after,
      });
      cleaned = { ...cleaned, [what]: cleaned[what] + result.deleted };
      after = result.next;
    } catch (error) {
      stepFailure('cleanUp', error, Date.now());
      failed = [...failed, what];
      after = null;
    }
    if (after === null) {
      const following = perishables[perishables.indexOf(what) + 1];
      if (following === undefined) {
        if (failed.length === 0) return cleaned;
        throw ApplicationFailure.create({
          type: 'NOT_CLEANED',
          message: `not cleaned: ${failed.join(', ')}`,
          details: [failed],
        });
      }
      what = following;
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof cleanUp>({ ...input, place: { what, after, cleaned, failed } });
    }
  }
}
