import {
  condition,
  getExternalWorkflowHandle,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { SignalDefinition } from '@temporalio/workflow';
import { itemWorkflowId } from '../domain/ids.js';
import type { MiningRun, RunAfter, RunEnd, StepFailure } from '../domain/mining/run.js';
import { afterPage, afterPageFailure, askedRun, failureOf } from '../domain/mining/run.js';
import { nextCallAt, recordCalls } from '../domain/item/policy.js';
import type { Rules } from '../domain/item/rules.js';
import { historyEnded, historyHeldUp, pageAsked, priorities, progress } from './contract.js';
import type { PageHistoryInput } from './contract.js';
import { mineNextPage } from './mineNextPage.js';
import { onlyWaited } from './onlyWaited.js';
import { db } from './proxies.js';
import { stepFailure } from './stepFailure.js';
import { untilRead } from './untilRead.js';
import { patchesOfThisRun } from './versions.js';

/** How one kind of paging goes on. */
export interface Paging<Input extends PageHistoryInput> {
  remine: boolean;
  /** What follows a page; the input may change with it. */
  next(
    input: Input,
    before: MiningRun,
    after: RunAfter,
    rules: Rules,
  ): Promise<{ input: Input; after: RunAfter }>;
  /** Continues as new. */
  continueAsNew(input: Input): Promise<never>;
}

/**
 * The body of the workflows that page through up to two years of an Item and report to the item workflow. While one runs it
 * is the Item's only writer; what it reads becomes visible whole when its last page is applied.
 */
export async function pageToTheEnd<Input extends PageHistoryInput>(
  start: Input,
  paging: Paging<Input>,
): Promise<RunEnd> {
  const { itemId } = start;
  const { remine } = paging;
  let input = start;
  let run: MiningRun = input.run;
  let calls = input.calls;
  let lastFailure: StepFailure | null = input.lastFailure ?? null;
  let asked = false;
  setHandler(progress, () => run);
  setHandler(pageAsked, () => void (asked = true));
  // Not carried from run to run: an operator who changes the pace means those that page, too.
  const policy = await untilRead('the pace', () => db({ summary: 'the pace to keep' }).loadPolicy());
  const rules: Rules = { policy, patches: patchesOfThisRun() };
  const { limits } = policy;

  const reportHeldUp = (failure: StepFailure | null, { notBefore }: MiningRun): Promise<void> =>
    signalItem(itemId, historyHeldUp, { remine, failure, notBefore });

  /** Tries now what it waits for, and says how it is: an item workflow that was terminated has left one behind that does not know. */
  const answerAsked = async (): Promise<void> => {
    while (asked) {
      asked = false;
      run = askedRun(run, lastFailure, rules, Date.now());
      if (lastFailure !== null) await reportHeldUp(lastFailure, run);
    }
  };

  for (;;) {
    setCurrentDetails(describe(run, lastFailure));
    for (;;) {
      await answerAsked();
      const at = Math.max(run.notBefore, nextCallAt(calls.sync, limits.sync, limits.window, Date.now()));
      if (at <= Date.now() || !(await condition(() => asked, at - Date.now()))) break;
    }
    const step = await minePage(input, run, rules, remine);
    // Without a turn in the queue nothing is known that was not known before.
    if (step !== 'waited') {
      const now = Date.now();
      calls = { ...calls, sync: recordCalls(calls.sync, step.calls, limits.sync, limits.window, now) };
      if (step.failure !== null || lastFailure !== null) {
        lastFailure = step.failure;
        await reportHeldUp(step.failure, 'run' in step.after ? step.after.run : run);
      }
      const next = await paging.next(input, run, step.after, rules);
      input = next.input;
      if ('end' in next.after) {
        await signalItem(itemId, historyEnded, { remine, end: next.after.end, calls });
        return next.after.end;
      }
      run = next.after.run;
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= policy.continueAfter) {
      await answerAsked();
      await paging.continueAsNew({ ...input, run, calls, lastFailure });
    }
  }
}

/** One page, whatever comes of it; `failure` when it was not had, `waited` when it was not even asked for. */
async function minePage(
  { itemId, userId, hasCursor, polls = 0 }: PageHistoryInput,
  run: MiningRun,
  rules: Rules,
  remine: boolean,
): Promise<{ after: RunAfter; failure: StepFailure | null; calls: number } | 'waited'> {
  const priorityKey = remine ? priorities.remine : priorities.backfill;
  try {
    const result = await mineNextPage({ itemId, userId, run, rules, hasCursor, polls, priorityKey });
    const now = Date.now();
    return {
      after: afterPage(run, result, rules, now),
      failure: failureOf(result, now),
      calls: result.calls,
    };
  } catch (error) {
    if (onlyWaited(error)) return 'waited';
    const failure = stepFailure('page', error, Date.now());
    return { after: afterPageFailure(run, failure, rules, Date.now()), failure, calls: 0 };
  }
}

function describe(run: MiningRun, lastFailure: StepFailure | null): string {
  const lines = [
    `page ${run.page}, ${run.rows} rows staged${run.fromStart ? ', from the start' : ''}`,
    `${run.restarts} restarts`,
  ];
  if (lastFailure !== null) lines.push(`last failure: ${lastFailure.type} at ${lastFailure.at}`);
  return lines.map((line) => `- ${line}`).join('\n');
}

/** The item workflow may have been terminated meanwhile: its next run joins this one, or it reads in the row what was done. */
async function signalItem<Args extends unknown[]>(
  itemId: string,
  signal: SignalDefinition<Args>,
  ...args: Args
): Promise<void> {
  try {
    await getExternalWorkflowHandle(itemWorkflowId(itemId)).signal(signal, ...args);
  } catch {
    setCurrentDetails('- the item workflow was not there to be signalled');
  }
}
