import type { StepFailure } from '../mining/run.js';
import { startRun } from '../mining/run.js';
import type { ItemState } from './state.js';
import type { DueTasks } from './tasks.js';

/** The kinds of due work that there were before the table. */
const firstTasks = ['publish', 'segment', 'itemWebhooks', 'numbers', 'removals'] as const;
type FirstTask = (typeof firstTasks)[number];

/** As the first versions carried it, without a version: a field for each kind of due work, and less of an update that gets nowhere. */
type Unversioned = Omit<
  ItemState,
  | 'v'
  | 'due'
  | 'failing'
  | 'transactionsUnavailable'
  | 'unconnected'
  | 'deadEnd'
  | 'deadEnds'
  | 'cursorLost'
  | 'removeDueAt'
  | 'run'
  | 'child'
> &
  Partial<Pick<ItemState, 'deadEnd' | 'deadEnds' | 'cursorLost' | 'removeDueAt'>> & {
    run: (Partial<NonNullable<ItemState['run']>> & Pick<NonNullable<ItemState['run']>, 'base'>) | null;
    child: (Partial<NonNullable<ItemState['child']>> & { checkAt: number; remine: boolean }) | null;
    lastFailure: StepFailure | null;
  } & { [Field in `${FirstTask}DueAt`]: number | null } & { [Field in `${FirstTask}Failures`]: number };

/** Of what has happened since version 1 was first written: each run reads the row first, which knows. */
const unsaid = { unconnected: false, transactionsUnavailable: false };

/** As version 1 carried it before there were connections, and before Items without transactions. */
type Earlier = Omit<ItemState, keyof typeof unsaid> & Partial<typeof unsaid>;

/** As version 1 carried it at first: one failure, whatever had become of its cause. */
type OneFailure = Omit<Earlier, 'failing'> & { lastFailure: StepFailure | null };

/** Of a release after this one. */
interface Later {
  v: number;
}

/** Any shape that a run may have handed on when it continued as new. Each one that was ever released stays here, and in the tests. */
export type CarriedState = ItemState | Earlier | OneFailure | Unversioned | Later;

/**
 * The state in today's shape: the first thing that a run does with what it is given. Null when a later release has written it,
 * behind which an operator has gone back: what it means is not known here, and the row has all that matters.
 */
export function upgrade(carried: CarriedState): ItemState | null {
  if (!('v' in carried)) return fromUnversioned(carried);
  if (!isOfVersionOne(carried)) return null;
  if ('failing' in carried) return { ...unsaid, ...carried };
  const { lastFailure, ...kept } = carried;
  return { ...unsaid, ...kept, failing: failingOf(lastFailure) };
}

type OfVersionOne = Earlier | OneFailure;
const isOfVersionOne = (carried: OfVersionOne | Later): carried is OfVersionOne => carried.v === 1;

/** Of another step than a page nobody can say whether it fails still. */
const failingOf = (lastFailure: StepFailure | null): ItemState['failing'] =>
  lastFailure?.step === 'page' ? { page: lastFailure } : {};

function fromUnversioned(old: Unversioned): ItemState {
  const { itemId, userId, institutionId, phase, history, hasCursor, wanted, remines } = old;
  const { removalRequested, remineRequested, reloadAt, nextDueAt, polls, checkFailures } = old;
  const { removeFailures, removeDueAt = 0, restUntil, calls, lastUpdateAt, lastFailure } = old;
  const due: { -readonly [Name in keyof DueTasks]: DueTasks[Name] } = {};
  for (const name of firstTasks) {
    const at = old[`${name}DueAt`];
    if (at !== null) due[name] = { at, failures: old[`${name}Failures`] };
  }
  return {
    v: 1,
    ...{ itemId, userId, institutionId, phase, history, hasCursor, wanted, remineRequested, remines },
    ...unsaid,
    ...{ removalRequested, reloadAt, nextDueAt, polls, checkFailures, removeFailures, removeDueAt },
    ...{ restUntil, calls, lastUpdateAt },
    failing: failingOf(lastFailure),
    run: old.run && { ...startRun(old.run.base), ...old.run },
    child: old.child && { number: remines, heldUp: false, ...old.child },
    deadEnd: old.deadEnd ?? null,
    deadEnds: old.deadEnds ?? 0,
    cursorLost: old.cursorLost ?? false,
    due,
  };
}
