import { continueAsNew, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Cleaned } from '../domain/retention.js';
import { nothingCleaned, perishables } from '../domain/retention.js';
import { priorities } from './contract.js';
import type { CleanUpInput } from './contract.js';
import { db } from './proxies.js';

const longestHistory = 500;

/** Deletes what was kept long enough, one kind after the other; run by a Schedule. Resolves to the counts. */
export async function cleanUp(input: CleanUpInput): Promise<Cleaned> {
  const { keep } = input;
  let { what, after, cleaned } = input.place ?? {
    what: perishables[0],
    after: null,
    cleaned: nothingCleaned,
  };
  for (;;) {
    setCurrentDetails(
      [`- deleting: ${what}`, ...perishables.map((kind) => `- ${kind}: ${cleaned[kind]}`)].join('\n'),
    );
    const result = await db({ summary: what, priority: { priorityKey: priorities.remine } }).deleteExpired({
      what,
      keepMs: what === 'idempotencyKeys' ? 0 : keep[what],
      after,
    });
    cleaned = { ...cleaned, [what]: cleaned[what] + result.deleted };
    after = result.next;
    if (after === null) {
      const following = perishables[perishables.indexOf(what) + 1];
      if (following === undefined) return cleaned;
      what = following;
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof cleanUp>({ ...input, place: { what, after, cleaned } });
    }
  }
}
