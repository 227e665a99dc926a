import type {
  DeadEnd,
  History,
  MiningRun,
  PageResult,
  RunAfter,
  RunEnd,
  StepFailure,
} from '../mining/run.js';
import { afterPage, afterPageFailure, failureOf, furtherHistory, isHeldUp, startRun } from '../mining/run.js';
import type { Policy } from './policy.js';
import { backoff, jitteredTimeout, nextCallAt, recordCalls } from './policy.js';
import type { WebhookKind } from '../webhooks/webhookKind.js';

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
  /**
   * `pageHistory` or `remineItem` owns the update; look at its workflow at `checkAt` should it never report. `heldUp`: it says
   * that its next page cannot be had. `number`: of the remine; a newer one may have been asked for while it runs.
   */
  child: { checkAt: number; remine: boolean; number: number; heldUp: boolean } | null;
  /** Everything is to be read again from the start, once the Item is healthy and its history complete. */
  remineRequested: boolean;
  /** Number of the newest remine: part of its workflow's id. */
  remines: number;
  /** An update was given up: operators are to be told, and what the durable cursor told no more is to be read from the start. */
  deadEnd: (DeadEnd & { dueAt: number }) | null;
  /** Updates in a row that were given up. */
  deadEnds: number;
  /** Plaid takes the durable cursor no more: the next remine does without it. */
  cursorLost: boolean;
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
  /** No removal is tried before this time. */
  removeDueAt: number;
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
  /** Of the child that reads the history, or of a remine. */
  | { kind: 'historyEnded'; remine: boolean; end: RunEnd; calls: ItemState['calls']; random: number }
  | { kind: 'historyLost' }
  | { kind: 'historyAlive' }
  /** The child cannot have its next page; null = now it can. */
  | { kind: 'historyHeldUp'; remine: boolean; failure: StepFailure | null }
  /** `remines`: number of the remine that reads from the start; null = there is nothing to be read again. */
  | { kind: 'deadEndReported'; remines: number | null }
  | { kind: 'published'; done: boolean }
  | { kind: 'numbersEnded' }
  /** `more`: of the kind still wait. */
  | { kind: 'removalsEnded'; changes: number; more: boolean }
  | { kind: 'checked'; result: Health; random: number }
  /** `health` is null when no webhook asked how the Item is. */
  | { kind: 'itemWebhooksEnded'; health: Health | null; numbersDue: boolean; more: boolean; random: number }
  | { kind: 'segmentSent'; done: boolean }
  | { kind: 'removed' }
  | { kind: 'stepFailed'; step: WorkKind; failure: StepFailure };

/**
 * How the Item is by `/item/get`; `gone`: Plaid does not know it, or we do not have it any more. `unsure`: `/item/get` calls it
 * healthy, but transactions are refused for want of the user.
 */
export type Health = 'healthy' | 'broken' | 'gone' | 'unsure';

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
  | { kind: 'reportDeadEnd' }
  | { kind: 'stopHistory' }
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
    deadEnd: null,
    deadEnds: 0,
    cursorLost: false,
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
    removeDueAt: 0,
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
  const asked =
    snapshot.remineRequested && snapshot.remines > state.remines
      ? askForRemine(state, snapshot.remines, now)
      : { ...state, remineRequested: state.remineRequested || snapshot.remineRequested };
  const next: ItemState = {
    ...asked,
    publishDueAt,
    segmentDueAt,
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
    return mended(state, now);
  }
  if (state.phase === 'needs_relink' || !snapshot.broken) return state;
  return {
    ...state,
    phase: 'needs_relink',
    run: null,
    wanted: null,
    nextDueAt: snapshot.nextDueAt ?? now + state.policy.brokenCheck,
  };
}

/** An Item that is broken no more: it catches up. */
function mended(state: ItemState, now: number): ItemState {
  const phase = state.child !== null ? 'updating' : state.hasCursor ? 'idle' : 'created';
  return want({ ...state, phase, polls: 0 }, now, false);
}

/** Somebody has asked for a remine: it does not wait for the pauses of updates that got nowhere. */
function askForRemine(state: ItemState, number: number, now: number): ItemState {
  return {
    ...state,
    remineRequested: true,
    remines: Math.max(state.remines, number),
    restUntil: Math.min(state.restUntil, now + state.policy.betweenUpdates),
  };
}

function runningChild(state: ItemState, snapshot: ItemSnapshot, now: number): ItemState['child'] {
  if (!snapshot.historyRunning && !snapshot.remineRunning) return null;
  return { ...startedChild(state, snapshot.remineRunning, now), number: snapshot.remines };
}

function startedChild(state: ItemState, remine: boolean, now: number): NonNullable<ItemState['child']> {
  return { checkAt: now + state.policy.childCheck, remine, number: state.remines, heldUp: false };
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

/** Whether the child that ends is the remine which is asked for: a client may have asked anew since it was applied. */
function isAnswered({ child, remines }: ItemState): boolean {
  return child?.remine === true && remines <= child.number;
}

function settle(state: ItemState, end: RunEnd, random: number, now: number): ItemState {
  const rested: ItemState = {
    ...state,
    run: null,
    child: null,
    restUntil: now + state.policy.betweenUpdates,
    // One that did not get to its end is still wanted by the row: the sweep brings it back, with a pause.
    remineRequested: state.remineRequested && !isAnswered(state),
  };
  switch (end.kind) {
    case 'applied': {
      const history = furtherHistory(state.history, end.outcome.history);
      const moved = history !== state.history || end.outcome.changes > 0;
      const applied: ItemState = {
        ...rested,
        // The row decides: it may have been called broken, or mended, while the update ran.
        phase: end.broken ? 'needs_relink' : 'idle',
        // Only one from the durable cursor shows that this leads somewhere.
        deadEnds: state.child?.remine === true ? state.deadEnds : 0,
        cursorLost: false,
        history,
        hasCursor: true,
        polls: moved ? 1 : state.polls + 1,
        publishDueAt: end.outcome.changes > 0 ? now : state.publishDueAt,
        removalsDueAt: end.removalsWaiting > 0 ? (state.removalsDueAt ?? now) : state.removalsDueAt,
        lastUpdateAt: now,
        lastFailure: null,
      };
      // That Plaid has just given everything speaks against a broken Item: it is asked at once.
      const due = { ...applied, nextDueAt: end.broken ? now : now + idlePause(applied, random) };
      return end.webhooksWaiting > 0 ? want(due, now, false) : due;
    }
    case 'notReady': {
      const waiting = { ...rested, phase: restingPhase(state, false), polls: state.polls + 1 };
      return { ...waiting, nextDueAt: now + idlePause(waiting, random) };
    }
    case 'stuck': {
      const deadEnds = state.deadEnds + 1;
      const { retryFirst, retryLongest, betweenUpdates } = state.policy;
      // The first time there is a way out to be tried: everything is read from the start.
      const wayOut = end.cursorLost && deadEnds === 1;
      const restUntil = now + (wayOut ? betweenUpdates : backoff(deadEnds, retryFirst, retryLongest));
      const { updateId, failure, error, cursorLost } = end;
      return {
        ...rested,
        phase: restingPhase(state, state.hasCursor),
        remineRequested: state.remineRequested,
        deadEnds,
        deadEnd: { updateId, failure, error, cursorLost, dueAt: now },
        lastFailure: failure,
        restUntil,
        nextDueAt: state.phase === 'needs_relink' ? state.nextDueAt : restUntil,
      };
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
      return state.run === null
        ? failed
        : goOn(failed, afterPageFailure(state.run, failure, policy, now), 0, now);
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
      return { ...failed, removeFailures, removeDueAt: pause(removeFailures) };
    }
    case 'reportDeadEnd':
      return { ...failed, deadEnd: state.deadEnd && { ...state.deadEnd, dueAt: now + policy.retryFirst } };
    case 'reload':
      return { ...failed, reloadAt: now + policy.retryFirst };
    case 'startRun':
    case 'history':
    case 'remine':
      return { ...failed, restUntil: now + policy.retryFirst };
    case 'lookAtHistory':
      return { ...failed, child: state.child && { ...state.child, checkAt: now + policy.retryFirst } };
    case 'stopHistory':
      // It may have ended: that is looked at before it is asked to once more.
      return {
        ...failed,
        child: state.child && { ...state.child, heldUp: false, checkAt: now + policy.retryFirst },
      };
  }
}

/** The state with what its run has come to. */
function goOn(state: ItemState, after: RunAfter, random: number, now: number): ItemState {
  return 'run' in after ? { ...state, run: after.run } : settle(state, after.end, random, now);
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
    deadEnd: null,
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
      return askForRemine(state, event.remines, now);
    case 'remineStarted':
      // It begins with what the run on its way, which got nowhere, was to do.
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        run: null,
        child: startedChild(state, true, now),
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
      const lastFailure = failureOf(event.result, now) ?? state.lastFailure;
      const after = afterPage(state.run, event.result, state.policy, now);
      return goOn({ ...spent, lastFailure }, after, event.random, now);
    }
    case 'historyStarted':
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        child: startedChild(state, false, now),
      };
    case 'historyEnded':
      // One that was given up may still report; it is not the one that runs now.
      return state.child?.remine !== event.remine
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
    case 'historyHeldUp':
      if (state.child?.remine !== event.remine) return state;
      return {
        ...state,
        child: { ...state.child, heldUp: event.failure !== null },
        lastFailure: event.failure ?? state.lastFailure,
      };
    case 'deadEndReported': {
      const reported = { ...state, deadEnd: null };
      if (event.remines === null) return reported;
      // Not as one that somebody asked for: the pauses of updates that got nowhere are its own.
      const remines = Math.max(state.remines, event.remines);
      return { ...reported, remineRequested: true, remines, cursorLost: true };
    }
    case 'numbersEnded':
      return { ...state, numbersFailures: 0, numbersDueAt: null };
    case 'removalsEnded':
      return {
        ...state,
        removalsFailures: 0,
        removalsDueAt: event.more ? now : null,
        publishDueAt: event.changes > 0 ? now : state.publishDueAt,
      };
    case 'checked':
      return withHealth(
        {
          ...state,
          checkFailures: event.result === 'unsure' ? state.checkFailures : 0,
          wanted: null,
          segmentDueAt: now,
        },
        event.result,
        event.random,
        now,
      );
    case 'itemWebhooksEnded': {
      const told: ItemState = {
        ...state,
        itemWebhooksDueAt: event.more ? now : null,
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
    // The row makes them due with the repair of an episode: at some banks they are others then.
    const repaired = state.phase === 'needs_relink';
    return mended(
      { ...state, numbersDueAt: repaired ? (state.numbersDueAt ?? now) : state.numbersDueAt },
      now,
    );
  }
  if (health === 'unsure') {
    // A repair may take Plaid a while: the pauses grow from seconds to those of any broken Item.
    const checkFailures = state.checkFailures + 1;
    const { retryFirst, brokenCheck } = state.policy;
    const unsure: ItemState = { ...state, phase: 'needs_relink', run: null, wanted: null, checkFailures };
    return { ...unsure, nextDueAt: now + backoff(checkFailures, retryFirst, brokenCheck) };
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
  if (state.removalRequested && due(state.removeDueAt)) return { kind: 'remove' };
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
  const broken = state.phase === 'needs_relink';
  // A cursor that Plaid takes no more is given up while the history is incomplete, too.
  const remineReady = state.remineRequested && !broken && (state.history === 'complete' || state.cursorLost);
  const check = (): Step | null => (state.wanted !== null || due(state.nextDueAt) ? { kind: 'check' } : null);
  if (state.deadEnd !== null && due(state.deadEnd.dueAt)) return { kind: 'reportDeadEnd' };
  if (state.child !== null) {
    const { checkAt, remine, heldUp } = state.child;
    if (remineReady && heldUp && !remine) return { kind: 'stopHistory' };
    if (due(checkAt)) return { kind: 'lookAtHistory' };
    if (broken) return check();
    return heldUp ? sideWork(state, due) : due(state.numbersDueAt) ? { kind: 'numbers' } : null;
  }
  if (state.run !== null) {
    const heldUp = isHeldUp(state.run);
    if (remineReady && heldUp && due(state.restUntil)) return { kind: 'remine' };
    const spaced = Math.max(
      state.run.notBefore,
      nextCallAt(state.calls.sync, limits.sync, limits.window, now),
      state.run.page === 0 ? nextCallAt(state.calls.accounts, limits.accounts, limits.window, now) : 0,
    );
    if (due(spaced)) return { kind: 'page' };
    // While a page cannot be had the rest of the Item is not held up by it.
    return heldUp ? sideWork(state, due) : null;
  }
  if (broken) return check();
  if (remineReady && due(state.restUntil)) return { kind: 'remine' };
  const asked = state.wanted?.quietUntil ?? state.nextDueAt;
  if (due(Math.max(asked, state.restUntil)))
    return { kind: state.wanted?.historical ? 'history' : 'startRun' };
  return sideWork(state, due);
}

/** What needs no update of its own. */
function sideWork(state: ItemState, due: (at: number | null) => boolean): Step | null {
  if (due(state.numbersDueAt)) return { kind: 'numbers' };
  return due(state.removalsDueAt) ? { kind: 'removals' } : null;
}
