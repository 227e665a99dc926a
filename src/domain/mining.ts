import type { FailureType } from './failures.js';
import type { Policy } from './policy.js';
import { backoff } from './policy.js';

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
  /** Number of the next page, from 0. */
  page: number;
  /** Rows staged so far, for people who watch. */
  rows: number;
  /** Consecutive failed tries of the next page. */
  failures: number;
  /** The next page is not asked for before this time (ms since the epoch). */
  notBefore: number;
}

export function startRun(base: string): MiningRun {
  return { base, restarts: 0, page: 0, rows: 0, failures: 0, notBefore: 0 };
}

/** A restart is an update of its own to the database: a late page of the abandoned try can never be taken for one of ours. */
export function updateIdOf(run: MiningRun): string {
  return run.restarts === 0 ? run.base : `${run.base}.${run.restarts}`;
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
}

/** What a person has to do before Plaid answers again, in Plaid's words. */
export interface UserActionError {
  error_type: string;
  error_code: string;
}

/** The answer of the page activity: ids, cursors, counts, codes; never rows. `calls` = calls made to Plaid, repeats included. */
export type PageResult = { calls: number } & (
  | { kind: 'staged'; rows: number }
  | {
      kind: 'applied';
      outcome: UpdateOutcome;
      /** Webhooks of this Item that came while the update ran. */
      webhooksWaiting: number;
      /** TRANSACTIONS_REMOVED webhooks that name rows which are still live. */
      removalsWaiting: number;
    }
  | { kind: 'notReady' }
  | { kind: 'moved' }
  | { kind: 'needsUser'; error: UserActionError }
  | { kind: 'gone' }
);

export type RunEnd =
  | { kind: 'applied'; outcome: UpdateOutcome; webhooksWaiting: number; removalsWaiting: number }
  | { kind: 'notReady' }
  | { kind: 'needsUser'; error: UserActionError }
  | { kind: 'gone' };

/** The next state of a run after a page, or how the run ended. Pure: the same answers give the same way. */
export function afterPage(
  run: MiningRun,
  result: PageResult,
  policy: Policy,
  now: number,
): { run: MiningRun } | { end: RunEnd } {
  switch (result.kind) {
    case 'staged':
      return { run: { ...run, page: run.page + 1, rows: run.rows + result.rows, failures: 0, notBefore: 0 } };
    case 'moved': {
      const restarts = run.restarts + 1;
      // A bank that keeps moving is given time: every `policy.restarts` restarts the run waits.
      const tired = restarts % policy.restarts === 0;
      const pause = tired ? backoff(restarts / policy.restarts, policy.retryFirst, policy.retryLongest) : 0;
      return { run: { ...startRun(run.base), restarts, notBefore: pause === 0 ? 0 : now + pause } };
    }
    case 'applied':
    case 'notReady':
    case 'needsUser':
    case 'gone':
      return { end: result };
  }
}

/** The run after a page that could not be had: the same page again, later. */
export function afterPageFailure(run: MiningRun, policy: Policy, now: number): MiningRun {
  const failures = run.failures + 1;
  return { ...run, failures, notBefore: now + backoff(failures, policy.retryFirst, policy.retryLongest) };
}

/** What is remembered of a failed step, for people who watch. */
export interface StepFailure {
  step: string;
  type: FailureType | 'TIMED_OUT' | 'UNEXPECTED';
  /** ISO 8601. */
  at: string;
}
