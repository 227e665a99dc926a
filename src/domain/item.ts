import type { History, MiningRun, PageResult, RunEnd, StepFailure } from './mining.js';
import { afterPage, afterPageFailure, furtherHistory, startRun } from './mining.js';
import type { Policy } from './policy.js';
import { backoff, jitteredTimeout, nextCallAt, recordCalls } from './policy.js';
import type { WebhookKind } from './webhook.js';

/** The Item lifecycle of Plaid Exchange, and the two ways out of it. */
export type Phase = 'created' | 'updating' | 'idle' | 'needs_relink' | 'removed';

/** What PostgreSQL says of an Item: the truth from which the workflow's working copy is built. Times are ms since the epoch. */
export interface ItemSnapshot {
  itemId: string;
  userId: string;
  institutionId: string | null;
  removed: boolean;
  broken: boolean;
  history: History;
  hasCursor: boolean;
  nextDueAt: number | null;
  removalRequested: boolean;
  numbersDue: boolean;
  unsent: boolean;
  webhooksWaiting: number;
  removalsWaiting: number;
  /** Pending webhooks that say something of the Item itself. */
  itemWebhooksWaiting: number;
  /** A Segment event waits to be sent. */
  segmentDue: boolean;
  remineRequested: boolean;
  /** Number of the newest remine. */
  remines: number;
  historyRunning: boolean;
  remineRunning: boolean;
}

/** The working copy. Plain JSON: it is carried through continue-as-new and never holds a row or a secret. */
export interface ItemState {
  itemId: string;
  userId: string;
  institutionId: string | null;
  policy: Policy;
  phase: Phase;
  history: History;
  hasCursor: boolean;
  /** An update was asked for: run it when it has been quiet, at `deadline` at the latest. */
  wanted: { quietUntil: number; deadline: number; historical: boolean } | null;
  run: MiningRun | null;
  /** `pageHistory` or `remineItem` owns the update; look at its workflow at `checkAt` should it never report. */
  child: { checkAt: number; remine: boolean } | null;
  /** Everything is to be read again from the start, once the Item is healthy and its history complete. */
  remineRequested: boolean;
  /** Number of the newest remine: part of its workflow's id. */
  remines: number;
  removalRequested: boolean;
  /** The row knows something that this copy does not: look at it. */
  reloadAt: number | null;
  numbersDueAt: number | null;
  numbersFailures: number;
  removalsDueAt: number | null;
  removalsFailures: number;
  itemWebhooksDueAt: number | null;
  itemWebhooksFailures: number;
  segmentDueAt: number | null;
  segmentFailures: number;
  publishDueAt: number | null;
  publishFailures: number;
  /** Time-out, poll or check: the next time at which something is done though nobody asks. */
  nextDueAt: number;
  polls: number;
  checkFailures: number;
  removeFailures: number;
  /** No update starts before this time. */
  restUntil: number;
  calls: { sync: number[]; accounts: number[] };
  lastUpdateAt: number | null;
  lastFailure: StepFailure | null;
}

/** Everything that can happen to an Item, from outside (signals) or as the end of a step. */
export type ItemEvent =
  | { kind: 'linked' }
  | { kind: 'webhook'; webhook: WebhookKind }
  /** The sweep found something due in PostgreSQL that no signal told of. */
  | { kind: 'foundDue' }
  /** What the row says; null when there is none. */
  | { kind: 'reloaded'; snapshot: ItemSnapshot | null }
  | { kind: 'removalRequested' }
  /** The client says that the user has been through update mode. */
  | { kind: 'relinked' }
  | { kind: 'remineRequested'; remines: number }
  | { kind: 'remineStarted' }
  | { kind: 'runStarted'; updateId: string }
  | { kind: 'pageEnded'; result: PageResult; random: number }
  | { kind: 'historyStarted' }
  | { kind: 'historyEnded'; end: RunEnd; calls: ItemState['calls']; random: number }
  | { kind: 'historyLost' }
  | { kind: 'historyAlive' }
  | { kind: 'published'; done: boolean }
  | { kind: 'numbersEnded' }
  | { kind: 'removalsEnded'; changes: number }
  | { kind: 'checked'; result: Health; random: number }
  /** `health` is null when no webhook asked how the Item is. */
  | { kind: 'itemWebhooksEnded'; health: Health | null; numbersDue: boolean; random: number }
  | { kind: 'segmentSent'; done: boolean }
  | { kind: 'removed' }
  | { kind: 'stepFailed'; step: WorkKind; failure: StepFailure };

/** How the Item is by `/item/get`; `gone`: its token is dead, or we do not have it any more. */
export type Health = 'healthy' | 'broken' | 'gone';

export type Step =
  | { kind: 'wait'; until: number }
  | { kind: 'end' }
  | { kind: 'reload' }
  | { kind: 'page' }
  | { kind: 'startRun' }
  | { kind: 'history' }
  | { kind: 'lookAtHistory' }
  | { kind: 'publish' }
  | { kind: 'numbers' }
  | { kind: 'removals' }
  | { kind: 'check' }
  | { kind: 'itemWebhooks' }
  | { kind: 'segment' }
  | { kind: 'remine' }
  | { kind: 'remove' };

export type WorkKind = Exclude<Step['kind'], 'wait' | 'end'>;

/** The working copy as the row gives it; `base` names the first update. */
export function stateFrom(snapshot: ItemSnapshot, policy: Policy, now: number): ItemState {
  const state: ItemState = {
    itemId: snapshot.itemId,
    userId: snapshot.userId,
    institutionId: snapshot.institutionId,
    policy,
    phase: snapshot.removed
      ? 'removed'
      : snapshot.broken
        ? 'needs_relink'
        : snapshot.hasCursor
          ? 'idle'
          : 'created',
    history: snapshot.history,
    hasCursor: snapshot.hasCursor,
    wanted: null,
    run: null,
    child: null,
    remineRequested: false,
    remines: snapshot.remines,
    removalRequested: false,
    reloadAt: null,
    numbersDueAt: null,
    numbersFailures: 0,
    removalsDueAt: null,
    removalsFailures: 0,
    itemWebhooksDueAt: null,
    itemWebhooksFailures: 0,
    segmentDueAt: null,
    segmentFailures: 0,
    publishDueAt: null,
    publishFailures: 0,
    nextDueAt: snapshot.nextDueAt ?? now,
    polls: 0,
    checkFailures: 0,
    removeFailures: 0,
    restUntil: 0,
    calls: { sync: [], accounts: [] },
    lastUpdateAt: null,
    lastFailure: null,
  };
  return mergeSnapshot(state, snapshot, now);
}

/** Takes up what the row knows and the working copy does not; never undoes what is under way. */
function mergeSnapshot(state: ItemState, snapshot: ItemSnapshot, now: number): ItemState {
  const publishDueAt = snapshot.unsent ? (state.publishDueAt ?? now) : state.publishDueAt;
  const segmentDueAt = snapshot.segmentDue ? (state.segmentDueAt ?? now) : state.segmentDueAt;
  if (snapshot.removed || state.phase === 'removed') return { ...end(state), publishDueAt, segmentDueAt };
  const next: ItemState = {
    ...state,
    publishDueAt,
    segmentDueAt,
    remineRequested: state.remineRequested || snapshot.remineRequested,
    remines: Math.max(state.remines, snapshot.remines),
    itemWebhooksDueAt:
      snapshot.itemWebhooksWaiting > 0 ? (state.itemWebhooksDueAt ?? now) : state.itemWebhooksDueAt,
    removalRequested: state.removalRequested || snapshot.removalRequested,
    numbersDueAt: snapshot.numbersDue ? (state.numbersDueAt ?? now) : state.numbersDueAt,
    removalsDueAt: snapshot.removalsWaiting > 0 ? (state.removalsDueAt ?? now) : state.removalsDueAt,
    child: state.child ?? runningChild(state, snapshot, now),
    nextDueAt: dueAtRest(state, snapshot.nextDueAt),
  };
  return agreeOnHealth(snapshot.webhooksWaiting > 0 ? want(next, now, false) : next, snapshot, now);
}

/** The row decides whether the Item is broken: the answer of the activity that found out may have been lost. */
function agreeOnHealth(state: ItemState, snapshot: ItemSnapshot, now: number): ItemState {
  if (state.phase === 'needs_relink' && !snapshot.broken) {
    return want({ ...state, phase: state.hasCursor ? 'idle' : 'created', polls: 0 }, now, false);
  }
  if (state.phase === 'needs_relink' || !snapshot.broken || state.run !== null || state.child !== null) {
    return state;
  }
  return {
    ...state,
    phase: 'needs_relink',
    wanted: null,
    nextDueAt: snapshot.nextDueAt ?? now + state.policy.brokenCheck,
  };
}

function runningChild(state: ItemState, snapshot: ItemSnapshot, now: number): ItemState['child'] {
  if (!snapshot.historyRunning && !snapshot.remineRunning) return null;
  return { checkAt: now + state.policy.childCheck, remine: snapshot.remineRunning };
}

/**
 * The row's due time counts where it is the earlier one, else the sweep would find the Item due again and again and nothing would
 * be done. Only at rest: a poll, a failing check and a failing update keep the pauses that their failures have earned.
 */
function dueAtRest(state: ItemState, rowDueAt: number | null): number {
  const rests = state.phase === 'idle' || (state.phase === 'needs_relink' && state.checkFailures === 0);
  return rests && rowDueAt !== null ? Math.min(state.nextDueAt, rowDueAt) : state.nextDueAt;
}

function want(state: ItemState, now: number, historical: boolean): ItemState {
  const { quiet, quietDeadline } = state.policy;
  const deadline = state.wanted?.deadline ?? now + quietDeadline;
  return {
    ...state,
    wanted: {
      quietUntil: Math.min(now + quiet, deadline),
      deadline,
      historical: historical || (state.wanted?.historical ?? false),
    },
  };
}

/** How long an Item in this state may stay without anybody asking. */
function idlePause(state: ItemState, random: number): number {
  const { policy } = state;
  if (state.phase === 'needs_relink') return policy.brokenCheck;
  if (state.history !== 'complete') return backoff(state.polls, policy.pollFirst, policy.pollLongest);
  return jitteredTimeout(policy, random);
}

/** When the next unasked step of an Item that now comes to rest is due; the row is told the same time. */
export function dueAfterUpdate(policy: Policy, random: number, now: number): number {
  return now + jitteredTimeout(policy, random);
}

/** What comes after an update; one that ends well proves nothing of an Item that was found broken meanwhile. */
function restingPhase(state: ItemState, hasCursor: boolean): Phase {
  if (state.phase === 'needs_relink') return 'needs_relink';
  return hasCursor ? 'idle' : 'created';
}

function settle(state: ItemState, end: RunEnd, random: number, now: number): ItemState {
  const rested: ItemState = {
    ...state,
    run: null,
    child: null,
    restUntil: now + state.policy.betweenUpdates,
    // One that did not get to its end is still wanted by the row: the sweep brings it back, with a pause.
    remineRequested: state.remineRequested && state.child?.remine !== true,
  };
  switch (end.kind) {
    case 'applied': {
      const history = furtherHistory(state.history, end.outcome.history);
      const moved = history !== state.history || end.outcome.changes > 0;
      const applied: ItemState = {
        ...rested,
        phase: restingPhase(state, true),
        history,
        hasCursor: true,
        polls: moved ? 1 : state.polls + 1,
        publishDueAt: end.outcome.changes > 0 ? now : state.publishDueAt,
        removalsDueAt: end.removalsWaiting > 0 ? (state.removalsDueAt ?? now) : state.removalsDueAt,
        lastUpdateAt: now,
        lastFailure: null,
      };
      const due = { ...applied, nextDueAt: now + idlePause(applied, random) };
      return end.webhooksWaiting > 0 ? want(due, now, false) : due;
    }
    case 'notReady': {
      const waiting = { ...rested, phase: restingPhase(state, false), polls: state.polls + 1 };
      return { ...waiting, nextDueAt: now + idlePause(waiting, random) };
    }
    case 'needsUser': {
      const broken = { ...rested, phase: 'needs_relink' as const, wanted: null, segmentDueAt: now };
      return { ...broken, nextDueAt: now + idlePause(broken, random) };
    }
    case 'gone':
      return { ...rested, wanted: null, phase: restingPhase(state, state.hasCursor), reloadAt: now };
  }
}

function failStep(state: ItemState, step: WorkKind, failure: StepFailure, now: number): ItemState {
  const { policy } = state;
  const pause = (failures: number): number => now + backoff(failures, policy.retryFirst, policy.retryLongest);
  const failed = { ...state, lastFailure: failure };
  switch (step) {
    case 'page':
      return { ...failed, run: state.run && afterPageFailure(state.run, policy, now) };
    case 'publish': {
      const publishFailures = state.publishFailures + 1;
      return { ...failed, publishFailures, publishDueAt: pause(publishFailures) };
    }
    case 'numbers': {
      const numbersFailures = state.numbersFailures + 1;
      return { ...failed, numbersFailures, numbersDueAt: pause(numbersFailures) };
    }
    case 'removals': {
      const removalsFailures = state.removalsFailures + 1;
      return { ...failed, removalsFailures, removalsDueAt: pause(removalsFailures) };
    }
    case 'itemWebhooks': {
      const itemWebhooksFailures = state.itemWebhooksFailures + 1;
      return { ...failed, itemWebhooksFailures, itemWebhooksDueAt: pause(itemWebhooksFailures) };
    }
    case 'segment': {
      const segmentFailures = state.segmentFailures + 1;
      return { ...failed, segmentFailures, segmentDueAt: pause(segmentFailures) };
    }
    case 'check': {
      const checkFailures = state.checkFailures + 1;
      return { ...failed, checkFailures, wanted: null, nextDueAt: pause(checkFailures) };
    }
    case 'remove': {
      const removeFailures = state.removeFailures + 1;
      return { ...failed, removeFailures, restUntil: pause(removeFailures) };
    }
    case 'reload':
      return { ...failed, reloadAt: now + policy.retryFirst };
    case 'startRun':
    case 'history':
    case 'remine':
      return { ...failed, restUntil: now + policy.retryFirst };
    case 'lookAtHistory':
      return { ...failed, child: state.child && { ...state.child, checkAt: now + policy.retryFirst } };
  }
}

function spend(state: ItemState, calls: number, withAccounts: boolean, now: number): ItemState['calls'] {
  const { window, sync, accounts } = state.policy.limits;
  return {
    sync: recordCalls(state.calls.sync, calls, sync, window, now),
    accounts: recordCalls(state.calls.accounts, withAccounts ? calls : 0, accounts, window, now),
  };
}

/** The state after an event. Total and pure: every event is possible in every state. */
export function reduce(state: ItemState, event: ItemEvent, now: number): ItemState {
  switch (event.kind) {
    case 'foundDue':
      return { ...state, reloadAt: state.reloadAt ?? now };
    case 'reloaded': {
      const looked = { ...state, reloadAt: null };
      return event.snapshot === null ? end(looked) : mergeSnapshot(looked, event.snapshot, now);
    }
    case 'published':
      return { ...state, publishFailures: 0, publishDueAt: event.done ? null : now };
    case 'segmentSent':
      return { ...state, segmentFailures: 0, segmentDueAt: event.done ? null : now };
    case 'stepFailed':
      return failStep(state, event.step, event.failure, now);
    case 'removed':
      return { ...end(state), publishDueAt: now };
    default:
      // Nothing that is still on its way revives a removed Item.
      return state.phase === 'removed' ? state : reduceLiving(state, event, now);
  }
}

/** An Item that does nothing any more. */
function end(state: ItemState): ItemState {
  return {
    ...state,
    phase: 'removed',
    removalRequested: false,
    remineRequested: false,
    run: null,
    child: null,
    wanted: null,
    numbersDueAt: null,
    removalsDueAt: null,
    itemWebhooksDueAt: null,
  };
}

type LivingEvent = Exclude<
  ItemEvent,
  { kind: 'foundDue' | 'reloaded' | 'published' | 'segmentSent' | 'stepFailed' | 'removed' }
>;

function reduceLiving(state: ItemState, event: LivingEvent, now: number): ItemState {
  switch (event.kind) {
    case 'linked':
      // The first call also arms Plaid's webhook, so it waits for nothing.
      return { ...state, wanted: { quietUntil: now, deadline: now, historical: false }, restUntil: 0 };
    case 'webhook':
      // Not coalesced with the updates: it may say that there must be none.
      if (event.webhook === 'item') return { ...state, itemWebhooksDueAt: state.itemWebhooksDueAt ?? now };
      return want(state, now, event.webhook === 'history');
    case 'relinked':
      // Numbers may be others after a repair, at some banks always.
      return { ...want(state, now, false), numbersDueAt: state.numbersDueAt ?? now };
    case 'remineRequested':
      return { ...state, remineRequested: true, remines: Math.max(state.remines, event.remines) };
    case 'remineStarted':
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        child: { checkAt: now + state.policy.childCheck, remine: true },
      };
    case 'removalRequested':
      return { ...state, removalRequested: true };
    case 'runStarted':
      return { ...state, phase: 'updating', wanted: null, run: startRun(event.updateId) };
    case 'pageEnded': {
      if (state.run === null) return state;
      const spent = {
        ...state,
        calls: spend(state, event.result.calls, event.result.kind === 'applied', now),
      };
      const after = afterPage(state.run, event.result, state.policy, now);
      return 'run' in after ? { ...spent, run: after.run } : settle(spent, after.end, event.random, now);
    }
    case 'historyStarted':
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        child: { checkAt: now + state.policy.childCheck, remine: false },
      };
    case 'historyEnded':
      return state.child === null
        ? state
        : settle({ ...state, calls: event.calls }, event.end, event.random, now);
    case 'historyLost':
      // Nobody will report any more: what it staged is worthless, so the Item updates by itself.
      return {
        ...want({ ...state, child: null }, now, false),
        phase: restingPhase(state, state.hasCursor),
      };
    case 'historyAlive':
      return { ...state, child: state.child && { ...state.child, checkAt: now + state.policy.childCheck } };
    case 'numbersEnded':
      return { ...state, numbersFailures: 0, numbersDueAt: null };
    case 'removalsEnded':
      return {
        ...state,
        removalsFailures: 0,
        removalsDueAt: null,
        publishDueAt: event.changes > 0 ? now : state.publishDueAt,
      };
    case 'checked':
      return withHealth(
        { ...state, checkFailures: 0, wanted: null, segmentDueAt: now },
        event.result,
        event.random,
        now,
      );
    case 'itemWebhooksEnded': {
      const told: ItemState = {
        ...state,
        itemWebhooksDueAt: null,
        itemWebhooksFailures: 0,
        numbersDueAt: event.numbersDue ? (state.numbersDueAt ?? now) : state.numbersDueAt,
      };
      // Nobody asked, or the answer to an earlier try was lost: the row knows.
      if (event.health === null) return { ...told, reloadAt: state.reloadAt ?? now };
      const asked = { ...told, segmentDueAt: now };
      // A healthy Item that was healthy all along goes on with what it does.
      if (event.health === 'healthy' && state.phase !== 'needs_relink') return asked;
      return withHealth(asked, event.health, event.random, now);
    }
  }
}

/** The Item as `/item/get` has it. A broken one drops the run on its way: it is staged only, and staged for nothing. */
function withHealth(state: ItemState, health: Health, random: number, now: number): ItemState {
  if (health === 'gone') return { ...state, reloadAt: now, nextDueAt: now + idlePause(state, random) };
  if (health === 'healthy') {
    return want({ ...state, phase: state.hasCursor ? 'idle' : 'created', polls: 0 }, now, false);
  }
  const broken: ItemState = { ...state, phase: 'needs_relink', run: null, wanted: null };
  return { ...broken, nextDueAt: now + idlePause(broken, random) };
}

const isDue = (at: number | null, now: number): boolean => at !== null && at <= now;

/**
 * The one thing to do now, or until when to wait. Removal goes before everything; publishing before new work, since a
 * failed try gives way for `publishDueAt`; an update owns the Item until it ends.
 */
export function nextStep(state: ItemState, now: number): Step {
  if (isDue(state.reloadAt, now)) return { kind: 'reload' };
  if (state.phase === 'removed') {
    if (isDue(state.publishDueAt, now)) return { kind: 'publish' };
    if (isDue(state.segmentDueAt, now)) return { kind: 'segment' };
    const left = [state.publishDueAt, state.segmentDueAt].filter((at) => at !== null);
    return left.length === 0 ? { kind: 'end' } : { kind: 'wait', until: Math.min(...left) };
  }
  const waits: number[] = state.reloadAt === null ? [] : [state.reloadAt];
  const due = (at: number | null): boolean => {
    if (at !== null && at > now) waits.push(at);
    return isDue(at, now);
  };
  if (state.removalRequested && due(state.restUntil)) return { kind: 'remove' };
  if (due(state.publishDueAt)) return { kind: 'publish' };
  if (due(state.segmentDueAt)) return { kind: 'segment' };
  if (!state.removalRequested) {
    if (due(state.itemWebhooksDueAt)) return { kind: 'itemWebhooks' };
    const work = nextWork(state, now, due);
    if (work) return work;
  }
  return { kind: 'wait', until: Math.min(...waits, now + longestWait) };
}

/** A wait is never endless, so that a state which waits for nothing is looked at again all the same. */
const longestWait = 48 * 3_600_000;

function nextWork(state: ItemState, now: number, due: (at: number | null) => boolean): Step | null {
  const { limits } = state.policy;
  if (state.child !== null) return due(state.child.checkAt) ? { kind: 'lookAtHistory' } : null;
  if (state.run !== null) {
    const spaced = Math.max(
      state.run.notBefore,
      nextCallAt(state.calls.sync, limits.sync, limits.window, now),
      state.run.page === 0 ? nextCallAt(state.calls.accounts, limits.accounts, limits.window, now) : 0,
    );
    return due(spaced) ? { kind: 'page' } : null;
  }
  if (state.phase === 'needs_relink') {
    return state.wanted !== null || due(state.nextDueAt) ? { kind: 'check' } : null;
  }
  if (state.remineRequested && state.history === 'complete' && due(state.restUntil))
    return { kind: 'remine' };
  const asked = state.wanted?.quietUntil ?? state.nextDueAt;
  if (due(Math.max(asked, state.restUntil)))
    return { kind: state.wanted?.historical ? 'history' : 'startRun' };
  if (due(state.numbersDueAt)) return { kind: 'numbers' };
  if (due(state.removalsDueAt)) return { kind: 'removals' };
  return null;
}
