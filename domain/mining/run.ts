import type { FailureType } from '../failures.js';
import { blamesCursor } from '../plaidErrors.js';
import { backoff, retryPause, soonerAt } from '../item/policy.js';
import type { Rules } from '../item/rules.js';
import type { TaskName } from '../item/tasks.js';

export type History = 'none' | 'initial' | 'complete';

/** The history that Plaid's `transactions_update_status` stands for; a status we do not know changes nothing. */
export function historyOf(status: string): History | null {
  if (status === 'HISTORICAL_UPDATE_COMPLETE') return 'complete';
  if (status === 'INITIAL_UPDATE_COMPLETE') return 'initial';
  return status === 'NOT_READY' ? 'none' : null;
}

/** Plaid never takes history back; neither do we. */
export function furtherHistory(a: History, b: History | null): History {
  const order: History[] = ['none', 'initial', 'complete'];
  return b !== null && order.indexOf(b) > order.indexOf(a) ? b : a;
}

/**
 * One update of an Item on its way: which page is next. It becomes visible whole or not at all, so this is all that is
 * carried; the pages wait in PostgreSQL under `updateId` and number.
 */
export interface MiningRun {
  /** Id of this update, shared by its restarts. */
  base: string;
  restarts: number;
  /** It reads from the empty cursor; else from the durable one. */
  fromStart: boolean;
  /** Number of the next page, from 0. */
  page: number;
  /** Rows staged so far, for people who watch. */
  rows: number;
  /** Pages in a row that brought nothing; absent in what older runs have carried. */
  emptyPages?: number;
  /** Consecutive failed tries of the next page. */
  failures: number;
  /** How often in a row Plaid said of the first page, asked for with the durable cursor, that data had moved. */
  firstPageMoves: number;
  /** How often in a row Plaid refused the next page for want of the user, and called the Item healthy. */
  doubts: number;
  /** The next page is not asked for before this time (ms since the epoch). */
  notBefore: number;
  /** How often in a row Plaid called the cursor of the first page wrong; absent = never. */
  refusals?: number;
  /** Readings from the start that this remine has applied; absent = none. */
  readings?: number;
  /** It reads from the start, and the Item goes on from the cursor to whose end this remine has gone before. */
  keepsCursor?: boolean;
}

export function startRun(base: string, fromStart = false): MiningRun {
  return {
    base,
    restarts: 0,
    fromStart,
    page: 0,
    rows: 0,
    emptyPages: 0,
    failures: 0,
    firstPageMoves: 0,
    doubts: 0,
    notBefore: 0,
  };
}

/** What a run of a remine hands on to the next one. */
const readingsOf = ({ readings }: MiningRun): Pick<MiningRun, 'readings'> =>
  readings === undefined ? {} : { readings };

/** What a run hands on to its restart. */
const handedOn = (run: MiningRun): Pick<MiningRun, 'readings' | 'keepsCursor'> => ({
  ...readingsOf(run),
  ...(run.keepsCursor === undefined ? {} : { keepsCursor: run.keepsCursor }),
});

/** A restart is an update of its own to the database: a late page of the abandoned try can never be taken for one of ours. */
export function updateIdOf(run: MiningRun): string {
  const base = run.fromStart ? `${run.base}.start` : run.base;
  return run.restarts === 0 ? base : `${base}.${run.restarts}`;
}

/** Whether the run has met something since its last page: what waits behind it may go first. */
export function isHeldUp(run: MiningRun): boolean {
  return run.failures + run.firstPageMoves + run.doubts + (run.refusals ?? 0) > 0;
}

/** What an applied update changed, in counts of rows. Stored with the Item: every repeat of the activity answers the same. */
export interface UpdateOutcome {
  added: number;
  modified: number;
  removed: number;
  accounts: number;
  /** Outbox rows written. */
  changes: number;
  pages: number;
  history: History;
  /**
   * Of a reading from the start: rows that it is the first not to list, and, where the cursor stays, those that it is the first to list:
   * another reading decides what becomes of them.
   */
  missed?: number;
  /** Why it was no whole reading from the start: the remine is still asked for. */
  unread?: FailureType;
  /** No list so far has named all of the Item's accounts: those that come are no later ones. */
  unlisted?: true;
}

/** What a person has to do before Plaid answers again, in Plaid's words. */
export interface UserActionError {
  error_type: string;
  error_code: string;
}

/** An update that became visible, and what it met in the row. */
interface AppliedUpdate {
  kind: 'applied';
  outcome: UpdateOutcome;
  /** Webhooks of this Item that came while the update ran. */
  webhooksWaiting: number;
  /** TRANSACTIONS_REMOVED webhooks that name rows which are still live. */
  removalsWaiting: number;
  /** The row calls the Item broken: found by somebody else, while the update ran. */
  broken: boolean;
  /** When the row says that the Item is due again, ms since the epoch; null = it is removed. */
  nextDueAt: number | null;
  /** Work beside the updates that the row calls due: of an account that has come, the numbers are to be read. */
  makesDue?: TaskName[];
  /** Number of the remine that the row asks for after it: an update may have found that one is needed. */
  remineAsked?: number;
  /** Why the accounts could not be had: the rows were applied without them. */
  accountsFailure?: { type: FailureType; error?: UserActionError };
  /** Of the accounts alone: Plaid says that the Item has no transactions. */
  transactionsUnavailable?: boolean;
}

/** The answer of the page activity: ids, cursors, counts, codes; never rows. `calls` = calls made to Plaid, repeats included. */
export type PageResult = { calls: number } & (
  | { kind: 'staged'; rows: number }
  | AppliedUpdate
  | { kind: 'notReady' }
  /** `atDurableCursor`: Plaid said so of the first page, asked for with the cursor that an earlier update had ended at. */
  | { kind: 'moved'; atDurableCursor: boolean }
  /** The page leads back to one that the update has had: its cursors go in a circle. */
  | { kind: 'circling' }
  /** Plaid refuses the request of this page: repeated as it is, it will be refused again. */
  | { kind: 'refused'; error: UserActionError | null }
  /** Plaid refuses the page for want of the user, while `/item/get` calls the Item healthy. */
  | { kind: 'doubted'; failure: FailureType; error?: UserActionError }
  | { kind: 'needsUser'; error: UserActionError }
  | { kind: 'gone' }
);

export type RunEnd =
  | AppliedUpdate
  | { kind: 'notReady' }
  | ({ kind: 'stuck' } & DeadEnd)
  | { kind: 'needsUser'; error: UserActionError }
  | { kind: 'gone' };

/** Why an update was given up. */
export interface DeadEnd {
  /** The try that was given up. */
  updateId: string;
  failure: StepFailure;
  /** What Plaid said, where it said more than the type of the failure. */
  error: UserActionError | null;
  /** It began at the durable cursor, which may be to blame: what that no longer yields is to be read from the start. */
  cursorLost: boolean;
}

/** What a run comes to after a page: its next state, or its end. */
export type RunAfter = { run: MiningRun } | { end: RunEnd };

/** The next state of a run after a page, or how the run ended. Pure: the same answers give the same way. */
export function afterPage(run: MiningRun, result: PageResult, rules: Rules, now: number): RunAfter {
  switch (result.kind) {
    case 'staged': {
      const emptyPages = result.rows === 0 ? (run.emptyPages ?? 0) + 1 : 0;
      // It would page for ever, without a word and with everything else behind it.
      const isEndless = emptyPages >= rules.policy.emptyPages || run.page + 1 >= rules.policy.pages;
      if (isEndless) return { end: deadEnd(run, 'PAGES_MOVED', null, now) };
      return {
        run: {
          ...run,
          emptyPages,
          page: run.page + 1,
          rows: run.rows + result.rows,
          failures: 0,
          firstPageMoves: 0,
          doubts: 0,
          refusals: 0,
          notBefore: 0,
        },
      };
    }
    case 'circling':
      return { end: deadEnd(run, 'PAGES_MOVED', null, now) };
    case 'moved':
      return restart(run, result.atDurableCursor, null, rules, now);
    case 'refused': {
      const { error } = result;
      if (error === null || !blamesCursor(error.error_code))
        return { end: { ...deadEnd(run, 'BAD_REQUEST', error, now), cursorLost: false } };
      // A cursor from the middle of the update may have grown old; the first one has nothing before it to begin again from.
      if (run.page > 0) return restart(run, false, error, rules, now);
      const refusals = (run.refusals ?? 0) + 1;
      return refusals >= rules.policy.cursorRefusals
        ? { end: deadEnd(run, 'BAD_REQUEST', error, now) }
        : { run: { ...run, refusals, notBefore: now + rules.policy.retryFirst } };
    }
    case 'doubted': {
      const { policy } = rules;
      const doubts = run.doubts + 1;
      return {
        run: { ...run, doubts, notBefore: now + backoff(doubts, policy.retryFirst, policy.retryLongest) },
      };
    }
    case 'applied':
    case 'notReady':
    case 'needsUser':
    case 'gone':
      return { end: result };
  }
}

/** The same update from its first page, under another id; its end when that has been tried often enough. */
function restart(
  run: MiningRun,
  atDurableCursor: boolean,
  error: UserActionError | null,
  { policy }: Rules,
  now: number,
): RunAfter {
  const restarts = run.restarts + 1;
  const firstPageMoves = atDurableCursor ? run.firstPageMoves + 1 : 0;
  if (firstPageMoves >= policy.cursorTries || restarts >= policy.restartsInAll) {
    return { end: deadEnd(run, error === null ? 'PAGES_MOVED' : 'BAD_REQUEST', error, now) };
  }
  const { retryFirst, retryLongest } = policy;
  // A bank that keeps moving is given time: every `policy.restarts` restarts the run waits. Under the first page of a cursor
  // that an update had ended at nothing should move at all: each such restart waits.
  const tired =
    restarts % policy.restarts === 0 ? backoff(restarts / policy.restarts, retryFirst, retryLongest) : 0;
  const pause = atDurableCursor ? backoff(firstPageMoves, retryFirst, retryLongest) : tired;
  return {
    run: {
      ...startRun(run.base, run.fromStart),
      ...handedOn(run),
      restarts,
      firstPageMoves,
      notBefore: pause === 0 ? 0 : now + pause,
    },
  };
}

function deadEnd(
  run: MiningRun,
  type: FailureType,
  error: UserActionError | null,
  now: number,
): Extract<RunEnd, { kind: 'stuck' }> {
  return {
    kind: 'stuck',
    updateId: updateIdOf(run),
    failure: pageFailure(type, error, now),
    error,
    cursorLost: !run.fromStart,
  };
}

/**
 * The run after a page that could not be had: the same page again, later. A request that was wrong is none to be repeated: the
 * update ends, and a later one makes its own.
 */
export function afterPageFailure(
  run: MiningRun,
  failure: StepFailure,
  { policy }: Rules,
  now: number,
): RunAfter {
  if (failure.type === 'BAD_REQUEST') {
    return { end: { kind: 'stuck', updateId: updateIdOf(run), failure, error: null, cursorLost: false } };
  }
  const failures = run.failures + 1;
  return {
    run: { ...run, failures, notBefore: now + retryPause(policy, failure, failures, now) },
  };
}

/** The run now that somebody has reason to think that its page can be had: its pause ends, but not for everybody who asks. */
export function askedRun(
  run: MiningRun,
  lastFailure: StepFailure | null | undefined,
  { policy }: Rules,
  now: number,
): MiningRun {
  return isHeldUp(run) ? { ...run, notBefore: soonerAt(policy, run.notBefore, lastFailure, now) } : run;
}

/** What is remembered of a failed step, for people who watch. */
export interface StepFailure {
  step: string;
  type: FailureType | 'TIMED_OUT' | 'UNEXPECTED';
  /** Plaid's, where it said one. */
  error_code?: string;
  /** ISO 8601. */
  at: string;
  /** Before then the other side wants no other try, ISO 8601; for us, and never shown. */
  retryAfter?: string;
}

const pageFailure = (type: FailureType, error: UserActionError | null, now: number): StepFailure => ({
  step: 'page',
  type,
  ...(error === null ? {} : { error_code: error.error_code }),
  at: new Date(now).toISOString(),
});

/** What is to be shown of how a run ended; null for an update that has brought everything. */
export function failureOfEnd(end: RunEnd, now: number): StepFailure | null {
  if (end.kind === 'stuck') return end.failure;
  if (end.kind !== 'applied' || end.accountsFailure === undefined) return null;
  return pageFailure(end.accountsFailure.type, end.accountsFailure.error ?? null, now);
}

/** What is to be shown of an answer that took the update no further; null for every other. */
export function failureOf(result: PageResult, now: number): StepFailure | null {
  switch (result.kind) {
    case 'moved':
    case 'circling':
      return pageFailure('PAGES_MOVED', null, now);
    case 'refused':
      return pageFailure('BAD_REQUEST', result.error, now);
    case 'doubted':
      return pageFailure(result.failure, result.error ?? null, now);
    case 'applied':
      return failureOfEnd(result, now);
    default:
      return null;
  }
}

/** Why a remine that has ended is asked for still and shows it; null = it is answered, or its end says so itself. */
export function unreadBy(end: RunEnd): FailureType | null {
  if (end.kind === 'notReady') return 'NOT_READY';
  if (end.kind !== 'applied') return null;
  // Each of its readings missed, or brought, other rows.
  return end.outcome.unread ?? (end.outcome.missed ? 'PAGES_MOVED' : null);
}

/** `cursorLost`: Plaid takes the durable cursor no more, so that a remine has no first run. */
export interface RemineRules extends Rules {
  cursorLost: boolean;
}

/**
 * How a remine goes on after a page. It is two runs under one base. The first goes from the durable cursor to its end, so that
 * the removals which only that cursor still yields are not lost. The second reads everything from the empty cursor, and leaves the
 * Item at the cursor of the first: that alone tells of what has come or gone between the two and stands in no answer of the second. Where it misses
 * rows that nobody has missed before, both follow once more after a pause, since one answer may be short; as well where it brings
 * rows, of which that cursor will not tell that they are gone by then. `lost` says why the durable cursor has just turned out to lead nowhere.
 */
export function afterRemineStep(
  before: MiningRun,
  after: RunAfter,
  { cursorLost, policy }: RemineRules,
  now: number,
): RunAfter | { run: MiningRun; lost: DeadEnd } {
  if ('run' in after) {
    const restarted = before.fromStart && after.run.restarts > before.restarts;
    // Between its tries something may have been removed that the second run will never hear of.
    return restarted && !cursorLost ? { run: { ...after.run, fromStart: false } } : after;
  }
  const { end } = after;
  // Numbered on: each run of a remine has an id of its own, whatever came before.
  if (before.fromStart) {
    const readings = (before.readings ?? 0) + 1;
    if (end.kind !== 'applied' || !end.outcome.missed || readings >= policy.readings) return after;
    // What is short for a moment would be so twice.
    const notBefore = now + policy.doubtPause;
    return { run: { ...startRun(before.base), restarts: before.restarts + 1, readings, notBefore } };
  }
  if (end.kind === 'applied') {
    const { restarts } = before;
    return { run: { ...startRun(before.base, true), ...readingsOf(before), keepsCursor: true, restarts } };
  }
  if (end.kind !== 'stuck' || !end.cursorLost) return after;
  return { run: { ...startRun(`${before.base}.again`, true), ...readingsOf(before) }, lost: end };
}
