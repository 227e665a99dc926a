import type { FailureType } from '../failures.js';
import type { PageResult, RunEnd, StepFailure } from '../mining/run.js';
import { failureOf, failureOfEnd, unreadBy } from '../mining/run.js';
import type { Failing, ItemEvent, ItemState, WorkKind } from './state.js';
import { isTask, tasks } from './tasks.js';

/** What is shown of it: the newest; null = everything works. */
export function newestFailure(failing: Failing): StepFailure | null {
  const all = Object.values(failing).sort((a, b) => (a.at < b.at ? -1 : 1));
  return all.at(-1) ?? null;
}

/** Those whose last try was no later than `at`. */
export const triedBefore = (failing: Failing, at: number): Failing =>
  Object.fromEntries(Object.entries(failing).filter(([, failure]) => Date.parse(failure.at) <= at));

function without(failing: Failing, ...steps: WorkKind[]): Failing {
  return Object.fromEntries(Object.entries(failing).filter(([step]) => !steps.includes(step as WorkKind)));
}

const pageOf = (failing: Failing, failure: StepFailure | null): Failing =>
  failure === null ? without(failing, 'page') : { ...failing, page: failure };

const remineOf = (failing: Failing, type: FailureType | null, now: number): Failing =>
  type === null ? failing : { ...failing, remine: { step: 'remine', type, at: new Date(now).toISOString() } };

/** What fails after an event that met `before` and made `after` of it. */
export function failingAfter(before: ItemState, event: ItemEvent, after: ItemState, now: number): Failing {
  const failing = said(before, event, now);
  if (after.phase === 'removed') {
    return Object.fromEntries(
      Object.entries(failing).filter(([step]) => isTask(step) && tasks[step].whileRemoved),
    );
  }
  const wasBroken = before.phase === 'needs_relink';
  if (wasBroken === (after.phase === 'needs_relink')) return failing;
  // The page was refused for the reason that the episode tells, or is asked for anew now that it has ended. A child waits for its own
  // as before.
  const ended: WorkKind[] = after.child?.heldUp === true ? [] : ['page'];
  return without(failing, ...ended, ...(wasBroken ? (['check'] as const) : []));
}

/** Polls of a newborn Item, some minutes, after which people wonder why it has nothing. */
const quietPolls = 5;

/** Nobody wonders at a newborn Item that Plaid is not ready for at first; one that was mined before is to get its data. */
const unready = (
  { hasCursor, polls }: Pick<ItemState, 'hasCursor' | 'polls'>,
  kind: PageResult['kind'] | RunEnd['kind'],
  now: number,
): StepFailure | null =>
  (hasCursor || polls >= quietPolls) && kind === 'notReady'
    ? { step: 'page', type: 'NOT_READY', at: new Date(now).toISOString() }
    : null;

/** Steps about a child that runs, or is to be begun. */
const ofChild = ['history', 'lookAtHistory', 'askHistory', 'stopHistory'] as const satisfies WorkKind[];

function said(before: ItemState, event: ItemEvent, now: number): Failing {
  const { failing, child } = before;
  switch (event.kind) {
    case 'stepFailed':
      return { ...failing, [event.step]: event.failure };
    case 'taskEnded':
      return without(failing, event.task);
    case 'itemWebhooksEnded':
      // Where they had `/item/get` asked it has answered.
      return event.health === null
        ? without(failing, 'itemWebhooks')
        : without(failing, 'itemWebhooks', 'check');
    case 'checked':
      return without(failing, 'check');
    case 'reloaded':
      return without(failing, 'reload');
    case 'runStarted':
      return without(failing, 'startRun');
    case 'historyStarted':
      return without(failing, 'history');
    case 'remineStarted':
      return without(failing, 'remine');
    case 'historyAsked':
      return without(failing, 'askHistory');
    case 'historyAlive':
    case 'historyLost':
      return without(failing, 'lookAtHistory', 'stopHistory');
    case 'deadEndReported':
      return without(failing, 'reportDeadEnd');
    case 'pageEnded':
      return pageOf(
        // The update that was to be a child's has been this one.
        event.result.kind === 'applied' ? without(failing, 'history') : failing,
        failureOf(event.result, now) ?? unready(before, event.result.kind, now),
      );
    // One that was given up may still report.
    case 'historyHeldUp':
      return child?.remine === event.remine ? pageOf(failing, event.failure) : failing;
    case 'historyEnded':
      if (child?.remine !== event.remine) return failing;
      // Nobody looks at it any more.
      return remineOf(
        pageOf(
          without(failing, ...ofChild),
          failureOfEnd(event.end, now) ?? unready(before, event.end.kind, now),
        ),
        event.remine ? unreadBy(event.end) : null,
        now,
      );
    default:
      return failing;
  }
}
