import {
  getExternalWorkflowHandle,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { itemWorkflowId } from '../src/domain/ids.js';
import type { MiningRun, RunEnd } from '../src/domain/mining.js';
import { afterPage, afterPageFailure } from '../src/domain/mining.js';
import { nextCallAt, recordCalls } from '../src/domain/policy.js';
import { historyEnded, priorities, progress } from './contract.js';
import type { PageHistoryInput } from './contract.js';
import { mineNextPage } from './mineNextPage.js';
import { stepFailure } from './stepFailure.js';

/**
 * The body of the workflows that page through up to two years of an Item and report to the item workflow. While one runs it
 * is the Item's only writer; what it reads becomes visible whole when its last page is applied. `again` continues as new.
 */
export async function pageToTheEnd(
  input: PageHistoryInput,
  { remine }: { remine: boolean },
  again: (input: PageHistoryInput) => Promise<never>,
): Promise<RunEnd> {
  const { itemId, policy } = input;
  const { limits } = policy;
  let run: MiningRun = input.run;
  let calls = input.calls;
  setHandler(progress, () => run);

  for (;;) {
    setCurrentDetails(`- page ${run.page}, ${run.rows} rows staged\n- ${run.restarts} restarts`);
    const at = Math.max(run.notBefore, nextCallAt(calls.sync, limits.sync, limits.window, Date.now()));
    if (at > Date.now()) await sleep(at - Date.now());
    try {
      const result = await mineNextPage({
        itemId,
        userId: input.userId,
        run,
        policy,
        hasCursor: input.hasCursor,
        remine,
        priorityKey: remine ? priorities.remine : priorities.backfill,
      });
      const now = Date.now();
      calls = { ...calls, sync: recordCalls(calls.sync, result.calls, limits.sync, limits.window, now) };
      const after = afterPage(run, result, policy, now);
      if ('end' in after) {
        await report(itemId, after.end, calls);
        return after.end;
      }
      run = after.run;
    } catch (error) {
      stepFailure('page', error, Date.now());
      run = afterPageFailure(run, policy, Date.now());
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= policy.continueAfter) {
      await again({ ...input, run, calls });
    }
  }
}

/** The item workflow may have been terminated meanwhile: then the row tells its next run what was done. */
async function report(itemId: string, end: RunEnd, calls: PageHistoryInput['calls']): Promise<void> {
  try {
    await getExternalWorkflowHandle(itemWorkflowId(itemId)).signal(historyEnded, { end, calls });
  } catch {
    setCurrentDetails('- ended; the item workflow was not there to be told');
  }
}
