import { continueAsNew } from '@temporalio/workflow';
import type { RunEnd } from '../domain/mining/run.js';
import type { PageHistoryInput } from './contract.js';
import { pageToTheEnd } from './pageToTheEnd.js';

/** Pages through an Item's history from its durable cursor. */
export async function pageHistory(input: PageHistoryInput): Promise<RunEnd> {
  return pageToTheEnd(input, {
    remine: false,
    next: async (same, _before, after) => ({ input: same, after }),
    continueAsNew: (next) => continueAsNew<typeof pageHistory>(next),
  });
}
