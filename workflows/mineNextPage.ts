import { fairnessKey } from '../domain/fairness.js';
import type { MiningRun, PageResult } from '../domain/mining/run.js';
import { updateIdOf } from '../domain/mining/run.js';
import { jitteredTimeout } from '../domain/item/policy.js';
import type { Rules } from '../domain/item/rules.js';
import { plaidRead } from './proxies.js';

export interface NextPage {
  itemId: string;
  userId: string;
  run: MiningRun;
  rules: Rules;
  hasCursor: boolean;
  /** Updates in a row that have brought nothing; absent = none. */
  polls?: number;
  priorityKey: number;
}

/** The next page of a run, as one activity on the queue that Plaid's limits ask for. */
export function mineNextPage(next: NextPage): Promise<PageResult> {
  const { itemId, run } = next;
  const { policy } = next.rules;
  const now = Date.now();
  return plaidRead({
    first: run.page === 0 && (!next.hasCursor || run.fromStart),
    priority: { priorityKey: next.priorityKey, fairnessKey: fairnessKey(next.userId) },
    inLine: policy.inLine,
    summary: `page ${run.page}${run.restarts > 0 ? `, restart ${run.restarts}` : ''}`,
  }).minePage({
    itemId,
    updateId: updateIdOf(run),
    page: run.page,
    ...(run.fromStart ? { remine: true } : {}),
    ...(run.fromStart && run.keepsCursor === true ? { keepsCursor: true } : {}),
    ...(run.doubts >= policy.doubts ? { believe: true } : {}),
    ...(run.failures > 0 ? { failures: run.failures } : {}),
    ...(next.polls === undefined || next.polls === 0 ? {} : { polls: next.polls }),
    dueAt: {
      complete: new Date(now + jitteredTimeout(policy, Math.random())).toISOString(),
      incomplete: new Date(now + policy.pollLongest).toISOString(),
    },
  });
}
