import {
  allHandlersFinished,
  condition,
  getExternalWorkflowHandle,
  makeContinueAsNewFunc,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
  uuid4,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { fairnessKey } from '../domain/fairness.js';
import { historyWorkflowId, remineWorkflowId } from '../domain/ids.js';
import type { ItemEvent, ItemState, Phase, WorkKind } from '../domain/item/state.js';
import { nextStep } from '../domain/item/nextStep.js';
import { goOnFrom, reduce, stateFrom } from '../domain/item/reduce.js';
import type { Rules } from '../domain/item/rules.js';
import { isTask } from '../domain/item/tasks.js';
import { upgrade } from '../domain/item/upgrade.js';
import type { RunEnd } from '../domain/mining/run.js';
import { startRun } from '../domain/mining/run.js';
import { keyword, summary } from '../domain/operatorTexts.js';
import type { ItemStatus } from '../domain/ports/gateway.js';
import {
  foundDue,
  historyEnded,
  historyHeldUp,
  itemAttributes,
  keys,
  linked,
  pageAsked,
  priorities,
  relinked,
  remineRequested,
  removalRequested,
  status,
  webhookReceived,
} from './contract.js';
import type { ItemInput, PageHistoryInput, RemineItemInput } from './contract.js';
import { describeItem, statusOf } from './describeItem.js';
import { mineNextPage } from './mineNextPage.js';
import { onlyWaited } from './onlyWaited.js';
import { pageHistory } from './pageHistory.js';
import { db, plaidRead } from './proxies.js';
import { remineItem } from './remineItem.js';
import { stepFailure } from './stepFailure.js';
import { doTask } from './tasks.js';
import { untilRead } from './untilRead.js';
import { patchesOfThisRun } from './versions.js';

/** The longest wait between two checks of the server's continue-as-new hint. */
const longestWaitMs = 24 * 3_600_000;

/**
 * One Item, from birth to removal. PostgreSQL is the truth and `state` a working copy: the reducer in `domain/item/reduce.ts`
 * decides, this function only waits, runs the one step that is due, and carries the state on.
 */
export async function item(input: ItemInput): Promise<void> {
  const { itemId } = input;
  const inbox: ItemEvent[] = [];
  let state: ItemState | null = null;
  setHandler(linked, () => void inbox.push({ kind: 'linked' }));
  setHandler(webhookReceived, ({ webhook }) => void inbox.push({ kind: 'webhook', webhook }));
  setHandler(removalRequested, () => void inbox.push({ kind: 'removalRequested' }));
  setHandler(relinked, () => void inbox.push({ kind: 'relinked' }));
  setHandler(remineRequested, ({ number }) => {
    inbox.push({ kind: 'remineRequested', remines: number });
  });
  setHandler(historyEnded, ({ remine, end, calls }) => {
    inbox.push({ kind: 'historyEnded', remine, end, calls });
  });
  setHandler(historyHeldUp, (report) => void inbox.push({ kind: 'historyHeldUp', ...report }));
  setHandler(foundDue, () => void inbox.push({ kind: 'foundDue' }));
  setHandler(status, (): ItemStatus | null => state && statusOf(state));

  // The pace and the row are read anew by each run: neither is carried.
  const loaded = await untilRead('the row', () =>
    db({ summary: 'rebuild from the row' }).loadItem({ itemId }),
  );
  if (loaded === null) return;
  const rules: Rules = { policy: loaded.policy, patches: patchesOfThisRun() };
  const carried = input.state === undefined ? null : upgrade(input.state);
  state =
    carried === null
      ? stateFrom(loaded.snapshot, rules, Date.now())
      : goOnFrom(carried, loaded.snapshot, rules, Date.now());

  let shown: Phase | null = null;
  for (;;) {
    for (const event of inbox.splice(0)) state = reduce(state, event, rules, Date.now());

    const step = nextStep(state, rules, Date.now());
    setCurrentDetails(describeItem(state, step, Date.now()));
    if (shown !== state.phase && !isBrief(state)) {
      show(state);
      shown = state.phase;
    }
    if (step.kind === 'end') return;
    if (step.kind === 'wait') {
      const ms = Math.min(step.until - Date.now(), longestWaitMs);
      await condition(() => inbox.length > 0 || mustContinue(rules), Math.max(ms, 1));
    } else {
      const event: ItemEvent = await perform(state, step.kind, rules);
      state = reduce(state, event, rules, Date.now());
    }
    if (mustContinue(rules) && allHandlersFinished()) {
      for (const event of inbox.splice(0)) state = reduce(state, event, rules, Date.now());
      await goOnAsNew({ itemId, state });
    }
  }
}

function mustContinue({ policy }: Rules): boolean {
  const info = workflowInfo();
  return (
    info.continueAsNewSuggested ||
    info.historyLength >= policy.continueAfter ||
    info.targetWorkerDeploymentVersionChanged
  );
}

/** Where workers are versioned a run stays with the version that began it; the next one is begun by the version of then. */
function goOnAsNew(input: ItemInput): Promise<never> {
  return makeContinueAsNewFunc<typeof item>({ initialVersioningBehavior: 'AUTO_UPGRADE' })(input);
}

/** An update that may end with its first page is not worth a write to the visibility store. */
function isBrief(state: ItemState): boolean {
  return state.phase === 'updating' && state.run !== null && state.run.page === 0;
}

function show(state: ItemState): void {
  const broken = state.phase === 'needs_relink';
  upsertSearchAttributes([
    { key: keys.phase, value: state.phase },
    { key: keys.status, value: state.phase === 'removed' ? 'REMOVED' : broken ? 'ERROR' : 'ACTIVE' },
    ...(state.institutionId === null ? [] : [{ key: keys.institution, value: keyword(state.institutionId) }]),
  ]);
}

/** Runs one step. Ends as an event, whatever happens. */
async function perform(state: ItemState, step: WorkKind, rules: Rules): Promise<ItemEvent> {
  const { itemId } = state;
  try {
    if (isTask(step)) return await doTask[step](state);
    switch (step) {
      case 'reload': {
        const loaded = await db({ summary: 'reload the row' }).loadItem({ itemId });
        if (loaded !== null) rules.policy = loaded.policy;
        return { kind: 'reloaded', snapshot: loaded && loaded.snapshot };
      }
      case 'startRun':
        return { kind: 'runStarted', updateId: uuid4() };
      case 'page': {
        const result = await mineNextPage({
          itemId,
          userId: state.userId,
          run: state.run ?? startRun(uuid4()),
          rules,
          hasCursor: state.hasCursor,
          polls: state.polls,
          priorityKey: state.history === 'complete' ? priorities.webhook : priorities.backfill,
        });
        return { kind: 'pageEnded', result };
      }
      case 'history':
        return await startHistory(state);
      case 'remine':
        return await startRemine(state);
      case 'lookAtHistory': {
        const { running } = await db().lookAtHistory({
          itemId,
          ...(state.child?.remine ? { remine: state.child.number } : {}),
        });
        return { kind: running ? 'historyAlive' : 'historyLost' };
      }
      case 'askHistory':
        return await askHistory(state);
      case 'stopHistory':
        return await stopHistory(itemId);
      case 'reportDeadEnd':
        return await reportDeadEnd(state);
      case 'check': {
        return {
          kind: 'checked',
          ...(await plaidRead({ summary: 'is it repaired?' }).checkItem({ itemId })),
        };
      }
      case 'remove':
        await plaidRead({ summary: 'remove at Plaid' }).removeItem({ itemId });
        return { kind: 'removed' };
    }
  } catch (error) {
    // The row may know of something that goes first, a removal say; else the same step is asked for again.
    if (onlyWaited(error)) return { kind: 'foundDue' };
    return { kind: 'stepFailed', step, failure: stepFailure(step, error, Date.now()) };
  }
}

const pagingOf = (state: ItemState): PageHistoryInput => ({
  itemId: state.itemId,
  userId: state.userId,
  hasCursor: state.hasCursor,
  run: startRun(uuid4()),
  calls: state.calls,
  polls: state.polls,
});

/** Starts a child that owns the update until it reports; one that runs already is joined. */
async function startPaging<Input extends PageHistoryInput>(
  paging: (input: Input) => Promise<RunEnd>,
  input: Input,
  as: PagingName,
): Promise<void> {
  const options = {
    workflowId: as.workflowId,
    parentClosePolicy: ParentClosePolicy.ABANDON,
    workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
    priority: { priorityKey: as.priorityKey, fairnessKey: fairnessKey(input.userId) },
    staticSummary: summary(as.summary),
    typedSearchAttributes: itemAttributes(input.itemId, input.userId),
  };
  try {
    await startChild<typeof paging>(paging, { ...options, args: [input] });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

interface PagingName {
  workflowId: string;
  priorityKey: number;
  summary: string;
}

async function startHistory(state: ItemState): Promise<ItemEvent> {
  await startPaging(pageHistory, pagingOf(state), {
    workflowId: historyWorkflowId(state.itemId),
    priorityKey: priorities.backfill,
    summary: `history of item ${state.itemId}`,
  });
  return { kind: 'historyStarted' };
}

async function startRemine(state: ItemState): Promise<ItemEvent> {
  const { itemId, remines, cursorLost } = state;
  const input: RemineItemInput = { ...pagingOf(state), run: startRun(uuid4(), cursorLost), cursorLost };
  await startPaging(remineItem, input, {
    workflowId: remineWorkflowId(itemId, remines),
    priorityKey: priorities.remine,
    summary: `remine ${remines} of item ${itemId}`,
  });
  return { kind: 'remineStarted' };
}

/** The child's page is tried now, in its pause or not. */
async function askHistory({ itemId, child }: ItemState): Promise<ItemEvent> {
  const id = child?.remine === true ? remineWorkflowId(itemId, child.number) : historyWorkflowId(itemId);
  try {
    await getExternalWorkflowHandle(id).signal(pageAsked);
  } catch {
    // It has ended by itself.
  }
  return { kind: 'historyAsked' };
}

/** Ends `pageHistory`; what it has staged is dropped with the next update that is applied. */
async function stopHistory(itemId: string): Promise<ItemEvent> {
  try {
    await getExternalWorkflowHandle(historyWorkflowId(itemId)).cancel();
  } catch {
    // It has ended by itself.
  }
  return { kind: 'historyLost' };
}

/** An update was given up: an alert is raised, and the row is asked for a remine where that may help. */
async function reportDeadEnd({ itemId, deadEnd }: ItemState): Promise<ItemEvent> {
  if (deadEnd === null) return { kind: 'deadEndReported', remines: null };
  const { remines } = await db({ summary: 'an update was given up' }).reportDeadEnd({
    itemId,
    deadEnd,
  });
  return { kind: 'deadEndReported', remines };
}
