import { outages } from '../failures.js';

/** Durations (milliseconds) and counts by which an Item's workflow paces itself. An input everywhere, never a constant. */
export interface Policy {
  /** Without a webhook for this long an idle Item is updated all the same. */
  updateTimeout: number;
  /** A part `s` of the time-out: each Item's own lies between `1 - s` and `1 + s` of it, so that they do not fall due together. */
  updateTimeoutSpread: number;
  /** After a webhook: wait until none came for `quiet`, but never longer than `quietDeadline`. */
  quiet: number;
  quietDeadline: number;
  /** Between the end of an update and the start of the next. */
  betweenUpdates: number;
  /** Polling of an Item whose history is not complete: first and longest pause, doubling. */
  pollFirst: number;
  pollLongest: number;
  /** After a failed step: first and longest pause, doubling. */
  retryFirst: number;
  retryLongest: number;
  /** Between the last try of what fails and the next, when somebody has reason to think that it works now: a webhook, a user, an operator. */
  retryAsked: number;
  /** Longest pause while a bank is down, which is asked for one of its Items at a time anyway, and while calls are too many. */
  retryBank: number;
  /** How often a broken Item is asked for by `/item/get`. */
  brokenCheck: number;
  /** How long account numbers that Plaid has not ready are left alone. */
  numbersWait: number;
  /** At which age account numbers are read anew with an update, although nobody has said that they are others. */
  numbersAge: number;
  /** Before Plaid is asked once more for an answer by which an Item would be taken away. */
  doubtPause: number;
  /** Restarts of one update when data move under it, before it waits for `retryFirst`. */
  restarts: number;
  /** Restarts after which an update is given up. */
  restartsInAll: number;
  /** Pages in a row that bring nothing, though Plaid says each time that there are more, after which an update is given up. */
  emptyPages: number;
  /** Pages of one update, far more than any Item has, after which it is given up. */
  pages: number;
  /** How often in a row Plaid may call the cursor of an update's first page wrong before it is believed. */
  cursorRefusals: number;
  /** Readings from the start by which a remine tries to find twice in a row what Plaid does not list any more. */
  readings: number;
  /** How often in a row the first page of a durable cursor may have moved before that cursor is given up. */
  cursorTries: number;
  /** How often in a row Plaid may refuse a page for want of the user, and call the Item healthy, before it is believed. */
  doubts: number;
  /** How long a page may wait for its turn in the queue before its workflow checks whether something else goes first. */
  inLine: number;
  /** How long a running `pageHistory` is trusted before its workflow is checked. */
  childCheck: number;
  /** Events of one workflow run after which it continues as new, if the server does not ask for it before. */
  continueAfter: number;
  /** Between two looks at whether a user's Items are removed, who is being erased: first and longest pause, doubling. */
  erasureFirst: number;
  erasureLongest: number;
  /** How long after the last of an Item's workflows an attempt that nobody waits for any more may still write. */
  lateWriters: number;
  /** Calls per `window` that one Item may make. */
  limits: { window: number; sync: number; accounts: number };
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Plaid's published per-Item limits, and pauses that suit its own rhythm. */
export const defaultPolicy: Policy = {
  updateTimeout: 36 * hour,
  updateTimeoutSpread: 1 / 3,
  quiet: 1 * second,
  quietDeadline: 5 * second,
  betweenUpdates: 5 * second,
  pollFirst: 10 * second,
  pollLongest: 1 * hour,
  retryFirst: 30 * second,
  retryLongest: 6 * hour,
  retryAsked: 1 * minute,
  retryBank: 30 * minute,
  brokenCheck: 6 * hour,
  numbersWait: 24 * hour,
  numbersAge: 24 * hour,
  doubtPause: 1 * second,
  restarts: 8,
  restartsInAll: 40,
  emptyPages: 100,
  pages: 2_000,
  cursorRefusals: 2,
  readings: 4,
  cursorTries: 4,
  doubts: 3,
  inLine: 10 * minute,
  childCheck: 10 * minute,
  continueAfter: 4_000,
  erasureFirst: 1 * second,
  erasureLongest: 10 * minute,
  lateWriters: 3 * minute,
  limits: { window: minute, sync: 50, accounts: 15 },
};

/** The pause before try number `failures + 1`: doubles from `first`, never above `longest`. */
export function backoff(failures: number, first: number, longest: number): number {
  return Math.min(longest, first * 2 ** Math.min(Math.max(failures - 1, 0), 30));
}

/** Outages that Plaid has called so. UPSTREAM_DOWN is also what nobody understands, and that may stay. */
const calledSo: ReadonlySet<string> = new Set([...outages].filter((type) => type !== 'UPSTREAM_DOWN'));

/** The pause before a failed step is tried for the `failures + 1`st time; never shorter than the other side asked for. */
export function retryPause(
  policy: Policy,
  { type, retryAfter }: { type: string; retryAfter?: string },
  failures: number,
  now: number,
): number {
  const { retryFirst, retryLongest, retryBank } = policy;
  const longest = calledSo.has(type) ? Math.min(retryBank, retryLongest) : retryLongest;
  const asked = retryAfter === undefined ? 0 : Date.parse(retryAfter) - now;
  return Math.max(asked, backoff(failures, retryFirst, longest));
}

/**
 * When a step whose last try has failed so is tried again now that somebody asks for it: never later than `dueAt`, nor before the other
 * side wants it.
 */
export function soonerAt(
  policy: Policy,
  dueAt: number,
  failed: { at: string; retryAfter?: string } | null | undefined,
  now: number,
): number {
  if (failed == null) return dueAt;
  const wanted = failed.retryAfter === undefined ? now : Date.parse(failed.retryAfter);
  return Math.min(dueAt, Math.max(now, Date.parse(failed.at) + policy.retryAsked, wanted));
}

/** The jittered time-out of an idle Item. `random` is in [0, 1). */
export function jitteredTimeout(policy: Policy, random: number): number {
  const spread = policy.updateTimeoutSpread;
  return Math.round(policy.updateTimeout * (1 - spread + 2 * spread * random));
}

/**
 * The earliest time at which one more call keeps within `limit` calls a window. `calls` are the times at which earlier
 * calls had **ended** (ascending), so that the true call is never later than what is counted.
 */
export function nextCallAt(calls: readonly number[], limit: number, window: number, now: number): number {
  const oldest = calls[calls.length - limit];
  return oldest === undefined ? now : Math.max(now, oldest + window);
}

/** The call times that still matter, with `count` new ones at `now`. */
export function recordCalls(
  calls: readonly number[],
  count: number,
  limit: number,
  window: number,
  now: number,
): number[] {
  const kept = calls.filter((at) => at + window > now);
  return [...kept, ...Array.from({ length: count }, () => now)].slice(-limit);
}
