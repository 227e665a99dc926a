import type { RunAfter, RunEnd, StepFailure } from '../mining/run.js';
import { afterPage, afterPageFailure, askedRun, furtherHistory, startRun, unreadBy } from '../mining/run.js';
import { closesAccounts } from '../plaidErrors.js';
import { failingAfter, triedBefore } from './failing.js';
import { backoff, recordCalls, retryPause, soonerAt } from './policy.js';
import type { Rules } from './rules.js';
import type { Health, ItemEvent, ItemSnapshot, ItemState, Phase, WorkKind } from './state.js';
import { alsoDue, dueOnceRemoved, isTask, pausesEnded, setDue, taskDone, taskFailed } from './tasks.js';

/** The working copy as the row gives it. */
export function stateFrom(snapshot: ItemSnapshot, rules: Rules, now: number): ItemState {
  const state: ItemState = {
    v: 1,
    itemId: snapshot.itemId,
    userId: snapshot.userId,
    institutionId: snapshot.institutionId,
    phase: snapshot.removed
      ? 'removed'
      : snapshot.broken
        ? 'needs_relink'
        : snapshot.hasCursor || snapshot.transactionsUnavailable
          ? 'idle'
          : 'created',
    history: snapshot.history,
    hasCursor: snapshot.hasCursor,
    transactionsUnavailable: snapshot.transactionsUnavailable,
    wanted: null,
    run: null,
    child: null,
    remineRequested: false,
    remines: snapshot.remines,
    deadEnd: null,
    deadEnds: 0,
    cursorLost: false,
    removalRequested: false,
    unconnected: false,
    reloadAt: null,
    due: {},
    nextDueAt: snapshot.nextDueAt ?? now,
    polls: 0,
    checkFailures: 0,
    removeFailures: 0,
    removeDueAt: 0,
    restUntil: 0,
    calls: { sync: [], accounts: [] },
    lastUpdateAt: null,
    failing: {},
  };
  return mergeSnapshot(state, snapshot, rules, now);
}

/**
 * The working copy that the run before has carried, with what the row knows besides. What is under way the copy knows better: a child
 * that has reported may still be ending, and the webhooks that wait may be those which the update on its way answers.
 */
export function goOnFrom(carried: ItemState, snapshot: ItemSnapshot, rules: Rules, now: number): ItemState {
  const busy = carried.run !== null || carried.child !== null;
  const known = { historyRunning: false, remineRunning: false, ...(busy ? { webhooksWaiting: 0 } : {}) };
  return mergeSnapshot(carried, { ...snapshot, ...known }, rules, now);
}

/** Takes up what the row knows and the working copy does not; never undoes what is under way. */
function mergeSnapshot(state: ItemState, snapshot: ItemSnapshot, rules: Rules, now: number): ItemState {
  const due = alsoDue(state.due, snapshot.due, now);
  if (snapshot.removed || state.phase === 'removed') return end({ ...state, due });
  const asked =
    snapshot.remineRequested && snapshot.remines > state.remines
      ? askForRemine(state, snapshot.remines, rules, now)
      : { ...state, remineRequested: state.remineRequested || snapshot.remineRequested };
  const next: ItemState = {
    ...asked,
    due,
    removalRequested: state.removalRequested || snapshot.removalRequested,
    unconnected: snapshot.unconnected,
    child: state.child ?? runningChild(state, snapshot, rules, now),
    transactionsUnavailable: snapshot.transactionsUnavailable,
    nextDueAt: dueWhenIdle(state, snapshot.nextDueAt),
  };
  if (snapshot.unconnected) return agreeOnHealth(stopped(next), snapshot, rules, now);
  // One signal stands for the webhooks that come soon after it: what it was sent for may have been tried before they came.
  const { newestWebhookAt } = snapshot;
  const unpaused = newestWebhookAt === null ? next : endPauses(next, rules, now, newestWebhookAt);
  const joined = state.unconnected ? freed(unpaused, rules, now) : unpaused;
  // Those of a broken Item wait for its repair: it is asked after at its own pace, else in circles.
  const wants = (isNews(state, snapshot) || state.unconnected) && !snapshot.broken;
  const wanting = wants ? want(joined, rules, now, false) : joined;
  return agreeOnHealth(heard(wanting, snapshot), snapshot, rules, now);
}

/** Whether an update is to answer the webhooks that wait. Those that Plaid was not ready for wait for the next poll. */
const isNews = ({ unready = 0 }: ItemState, { webhooksWaiting }: ItemSnapshot): boolean =>
  webhooksWaiting > unready;

const heard = (state: ItemState, { webhooksWaiting }: ItemSnapshot): ItemState =>
  state.unready === undefined ? state : { ...state, unready: webhooksWaiting };

/** An Item that nobody is connected with: the run on its way is staged for nobody. A child ends by what its next page is told. */
function stopped(state: ItemState): ItemState {
  const phase =
    state.phase === 'updating' && state.child === null ? (state.hasCursor ? 'idle' : 'created') : state.phase;
  return { ...state, phase, run: null, wanted: null };
}

/** The row decides whether the Item is broken: the answer of the activity that found out may have been lost. */
function agreeOnHealth(state: ItemState, snapshot: ItemSnapshot, rules: Rules, now: number): ItemState {
  if (state.phase === 'needs_relink' && !snapshot.broken) {
    return mended(state, rules, now);
  }
  if (state.phase === 'needs_relink' || !snapshot.broken) return state;
  return {
    ...state,
    phase: 'needs_relink',
    run: null,
    wanted: null,
    nextDueAt: snapshot.nextDueAt ?? now + rules.policy.brokenCheck,
  };
}

/** An Item that is broken no more: it catches up. */
function mended(broken: ItemState, rules: Rules, now: number): ItemState {
  const state = freed(broken, rules, now);
  delete state.unconfirmed;
  const phase = state.child !== null ? 'updating' : state.hasCursor ? 'idle' : 'created';
  return want({ ...state, phase, polls: 0, checkFailures: 0 }, rules, now, false);
}

/** What had kept the Item from its updates is over: none of the pauses from before it stands. */
function freed(state: ItemState, rules: Rules, now: number): ItemState {
  const restUntil = Math.min(state.restUntil, now + rules.policy.betweenUpdates);
  return { ...endPauses(state, rules, now), restUntil };
}

/** Somebody has asked for a remine: it does not wait for the pauses of updates that got nowhere. */
function askForRemine(state: ItemState, number: number, { policy }: Rules, now: number): ItemState {
  return {
    ...state,
    remineRequested: true,
    remines: Math.max(state.remines, number),
    restUntil: Math.min(state.restUntil, now + policy.betweenUpdates),
  };
}

function runningChild(
  state: ItemState,
  snapshot: ItemSnapshot,
  rules: Rules,
  now: number,
): ItemState['child'] {
  if (!snapshot.historyRunning && !snapshot.remineRunning) return null;
  // How it is only the run before knew: it may wait for hours.
  const taken = startedChild(state, snapshot.remineRunning, rules, now);
  return { ...taken, number: snapshot.remines, asked: true };
}

function startedChild(
  state: ItemState,
  remine: boolean,
  { policy }: Rules,
  now: number,
): NonNullable<ItemState['child']> {
  return { checkAt: now + policy.childCheck, remine, number: state.remines, heldUp: false };
}

/**
 * The row's due time counts where it is the earlier one, else the sweep would find the Item due again and again and nothing would
 * be done. Only while idle: a poll, a failing check and a failing update keep the pauses that their failures have earned.
 */
function dueWhenIdle(state: ItemState, rowDueAt: number | null): number {
  const isIdle =
    (state.phase === 'idle' && state.unready === undefined) ||
    (state.phase === 'needs_relink' && state.checkFailures === 0);
  return isIdle && rowDueAt !== null ? Math.min(state.nextDueAt, rowDueAt) : state.nextDueAt;
}

function want(state: ItemState, { policy }: Rules, now: number, historical: boolean): ItemState {
  const { quiet, quietDeadline } = policy;
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

/** When the next unasked step of an Item is due that Plaid has nothing (more) for yet, or that is broken. */
function pauseOf(state: ItemState, { policy }: Rules): number {
  if (state.phase === 'needs_relink') return policy.brokenCheck;
  return backoff(state.polls, policy.pollFirst, policy.pollLongest);
}

/** What comes after an update; one that ends well proves nothing of an Item that was found broken meanwhile. */
function phaseAfterRun(state: ItemState, hasCursor: boolean): Phase {
  if (state.phase === 'needs_relink') return 'needs_relink';
  return hasCursor ? 'idle' : 'created';
}

/** Whether the child that ends is the remine which is asked for: a client may have asked anew since it was applied. */
function isAnswered({ child, remines }: ItemState): boolean {
  return child?.remine === true && remines <= child.number;
}

/** The wish for a remine after a run: one that was no whole reading is repeated, after a pause. */
function wishAfter(
  state: ItemState,
  end: RunEnd,
  { policy }: Rules,
  now: number,
): Pick<ItemState, 'remineRequested' | 'unread'> {
  if (!isAnswered(state)) return { remineRequested: state.remineRequested };
  if (unreadBy(end) === null) return { remineRequested: false };
  const tries = (state.unread?.tries ?? 0) + 1;
  const until = now + backoff(tries, policy.retryFirst, policy.retryLongest);
  return { remineRequested: true, unread: { tries, until } };
}

function endRun(before: ItemState, end: RunEnd, rules: Rules, now: number): ItemState {
  const { policy } = rules;
  const { unread, unready, ...state } = before;
  const wish = wishAfter(before, end, rules, now);
  const keepsPause = unread !== undefined && wish.remineRequested && wish.unread === undefined;
  const afterRun: ItemState = {
    ...state,
    ...wish,
    ...(keepsPause ? { unread } : {}),
    run: null,
    child: null,
    restUntil: now + policy.betweenUpdates,
  };
  switch (end.kind) {
    case 'applied': {
      const history = furtherHistory(state.history, end.outcome.history);
      const moved = history !== state.history || end.outcome.changes > 0;
      const published = end.outcome.changes > 0 ? setDue(state.due, 'publish', now) : state.due;
      const removals = end.removalsWaiting > 0 ? alsoDue(published, ['removals'], now) : published;
      const due = alsoDue(removals, end.makesDue ?? [], now);
      const applied: ItemState = {
        ...afterRun,
        // The row decides: it may have been called broken, or mended, while the update ran.
        phase: end.broken ? 'needs_relink' : 'idle',
        // Only one from the durable cursor shows that this leads somewhere.
        deadEnds: state.child?.remine === true ? state.deadEnds : 0,
        cursorLost: false,
        history,
        hasCursor: state.hasCursor || end.transactionsUnavailable !== true,
        transactionsUnavailable: end.transactionsUnavailable ?? false,
        polls: moved ? 1 : state.polls + 1,
        due,
        lastUpdateAt: now,
      };
      // The row's time is the only one: that of the time-out, or, of an Item that is called broken, now, since that Plaid has just
      // given everything speaks against it. While the history is incomplete Plaid is asked sooner.
      const isPolled = history !== 'complete' && !end.broken && end.transactionsUnavailable !== true;
      const polled = isPolled ? now + pauseOf(applied, rules) : Infinity;
      const scheduled = { ...applied, nextDueAt: Math.min(end.nextDueAt ?? now, polled) };
      const asked =
        (end.remineAsked ?? 0) > scheduled.remines
          ? askForRemine(scheduled, end.remineAsked ?? 0, rules, now)
          : scheduled;
      return end.webhooksWaiting > 0 ? want(asked, rules, now, false) : asked;
    }
    case 'notReady': {
      const waiting = {
        ...afterRun,
        phase: phaseAfterRun(state, state.hasCursor),
        polls: state.polls + 1,
        unready: unready ?? 0,
      };
      return { ...waiting, nextDueAt: now + pauseOf(waiting, rules) };
    }
    case 'stuck': {
      const deadEnds = state.deadEnds + 1;
      const { retryFirst, retryLongest, betweenUpdates } = policy;
      // The first time there is a way out to be tried: everything is read from the start.
      const wayOut = end.cursorLost && deadEnds === 1;
      const restUntil = now + (wayOut ? betweenUpdates : backoff(deadEnds, retryFirst, retryLongest));
      const { updateId, failure, error, cursorLost } = end;
      return {
        ...afterRun,
        phase: phaseAfterRun(state, state.hasCursor),
        remineRequested: state.remineRequested,
        deadEnds,
        deadEnd: { updateId, failure, error, cursorLost, dueAt: now },
        restUntil,
        nextDueAt: state.phase === 'needs_relink' ? state.nextDueAt : restUntil,
      };
    }
    case 'needsUser': {
      const broken = { ...afterRun, phase: 'needs_relink' as const, wanted: null };
      const segment = setDue(state.due, 'segment', now);
      const due = closesAccounts(end.error.error_code) ? setDue(segment, 'publish', now) : segment;
      return { ...broken, due, nextDueAt: now + pauseOf(broken, rules) };
    }
    case 'gone':
      return { ...afterRun, wanted: null, phase: phaseAfterRun(state, state.hasCursor), reloadAt: now };
  }
}

function failStep(
  state: ItemState,
  step: WorkKind,
  failure: StepFailure,
  rules: Rules,
  now: number,
): ItemState {
  const { policy } = rules;
  const pause = (failures: number): number => retryPause(policy, failure, failures, now);
  if (isTask(step)) return { ...state, due: taskFailed(state.due, step, pause, now) };
  switch (step) {
    case 'page':
      return state.run === null
        ? state
        : goOn(state, afterPageFailure(state.run, failure, rules, now), rules, now);
    case 'check': {
      const checkFailures = state.checkFailures + 1;
      return { ...state, checkFailures, wanted: null, nextDueAt: now + pause(checkFailures) };
    }
    case 'remove': {
      const removeFailures = state.removeFailures + 1;
      return { ...state, removeFailures, removeDueAt: now + pause(removeFailures) };
    }
    case 'reportDeadEnd':
      return { ...state, deadEnd: state.deadEnd && { ...state.deadEnd, dueAt: now + policy.retryFirst } };
    case 'reload':
      return { ...state, reloadAt: now + policy.retryFirst };
    case 'startRun':
    case 'history':
    case 'remine':
      return { ...state, restUntil: now + policy.retryFirst };
    case 'lookAtHistory':
      return { ...state, child: state.child && { ...state.child, checkAt: now + policy.retryFirst } };
    case 'askHistory':
      return { ...state, child: state.child && { ...state.child, asked: false } };
    case 'stopHistory':
      // It may have ended: that is checked before it is asked to once more.
      return {
        ...state,
        child: state.child && { ...state.child, heldUp: false, checkAt: now + policy.retryFirst },
      };
  }
}

/** The state with what its run has come to. */
function goOn(state: ItemState, after: RunAfter, rules: Rules, now: number): ItemState {
  return 'run' in after ? { ...state, run: after.run } : endRun(state, after.end, rules, now);
}

function spend(
  state: ItemState,
  calls: number,
  withAccounts: boolean,
  { policy }: Rules,
  now: number,
): ItemState['calls'] {
  const { window, sync, accounts } = policy.limits;
  return {
    sync: recordCalls(state.calls.sync, calls, sync, window, now),
    accounts: recordCalls(state.calls.accounts, withAccounts ? calls : 0, accounts, window, now),
  };
}

/** The state after an event. Total and pure: every event is possible in every state. */
export function reduce(state: ItemState, event: ItemEvent, rules: Rules, now: number): ItemState {
  const next = afterEvent(state, event, rules, now);
  return { ...next, failing: failingAfter(state, event, next, now) };
}

function afterEvent(state: ItemState, event: ItemEvent, rules: Rules, now: number): ItemState {
  switch (event.kind) {
    case 'foundDue':
      return { ...state, reloadAt: state.reloadAt ?? now };
    case 'reloaded': {
      const reloaded = { ...state, reloadAt: null };
      return event.snapshot === null ? end(reloaded) : mergeSnapshot(reloaded, event.snapshot, rules, now);
    }
    case 'taskEnded': {
      const done = taskDone(state.due, event.task, event.more, event.nextAt ?? now);
      const due = (event.makesDue ?? []).reduce((all, name) => setDue(all, name, now), done);
      if (state.phase === 'removed') return { ...state, due: dueOnceRemoved(due) };
      const { remineAsked } = event;
      return remineAsked === undefined
        ? { ...state, due }
        : askForRemine({ ...state, due }, remineAsked, rules, now);
    }
    case 'stepFailed':
      return failStep(state, event.step, event.failure, rules, now);
    case 'removed':
      return end({ ...state, due: setDue(state.due, 'publish', now) });
    default:
      // Nothing that is still on its way revives a removed Item.
      return state.phase === 'removed' ? state : reduceLiving(state, event, rules, now);
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
    due: dueOnceRemoved(state.due),
  };
}

type LivingEvent = Exclude<
  ItemEvent,
  { kind: 'foundDue' | 'reloaded' | 'taskEnded' | 'stepFailed' | 'removed' }
>;

/**
 * Plaid, a user or an operator gives reason to think that what failed works now: its pause ends. Pauses grow to hours, and after an
 * outage the data would wait for them. A minute lies between two tries all the same, whoever asks how often. What was tried after
 * `reasonAt` has had its try.
 */
function endPauses(state: ItemState, rules: Rules, now: number, reasonAt = Infinity): ItemState {
  const failing = triedBefore(state.failing, reasonAt);
  const sooner = (step: WorkKind, at: number): number => soonerAt(rules.policy, at, failing[step], now);
  const child =
    state.child?.heldUp === true && failing.page !== undefined
      ? { ...state.child, asked: true }
      : state.child;
  return {
    ...state,
    run: state.run && askedRun(state.run, failing.page, rules, now),
    child,
    restUntil: state.deadEnds > 0 ? sooner('page', state.restUntil) : state.restUntil,
    removeDueAt: sooner('remove', state.removeDueAt),
    due: pausesEnded(state.due, sooner),
    ...(state.unread === undefined
      ? {}
      : { unread: { ...state.unread, until: sooner('remine', state.unread.until) } }),
  };
}

const asks: ReadonlySet<ItemEvent['kind']> = new Set(['linked', 'webhook', 'relinked', 'remineRequested']);

function reduceLiving(before: ItemState, event: LivingEvent, rules: Rules, now: number): ItemState {
  const { policy } = rules;
  const state = asks.has(event.kind) ? endPauses(before, rules, now) : before;
  switch (event.kind) {
    case 'linked':
      // The first call also arms Plaid's webhook, so it waits for nothing.
      return { ...state, wanted: { quietUntil: now, deadline: now, historical: false }, restUntil: 0 };
    case 'webhook':
      // Not coalesced with the updates: it may say that there must be none.
      if (event.webhook === 'item') return { ...state, due: alsoDue(state.due, ['itemWebhooks'], now) };
      return want(state, rules, now, event.webhook === 'history');
    case 'relinked':
      // Numbers may be others after a repair, at some banks always.
      return want(
        {
          ...state,
          ...(state.phase === 'needs_relink' ? { unconfirmed: 0 } : {}),
          due: alsoDue(state.due, ['numbers'], now),
        },
        rules,
        now,
        false,
      );
    case 'remineRequested':
      return askForRemine(state, event.remines, rules, now);
    case 'remineStarted':
      // It begins with what the run on its way, which got nowhere, was to do.
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        run: null,
        child: startedChild(state, true, rules, now),
      };
    case 'removalRequested':
      // Who asks once more has reason to: the pause of what failed ends, as of other work.
      return {
        ...state,
        removalRequested: true,
        removeDueAt: soonerAt(policy, state.removeDueAt, state.failing.remove, now),
      };
    case 'runStarted':
      return { ...state, phase: 'updating', wanted: null, run: startRun(event.updateId) };
    case 'pageEnded': {
      if (state.run === null) return state;
      const spent = {
        ...state,
        calls: spend(state, event.result.calls, event.result.kind === 'applied', rules, now),
      };
      const after = afterPage(state.run, event.result, rules, now);
      return goOn(spent, after, rules, now);
    }
    case 'historyStarted':
      return {
        ...state,
        wanted: null,
        phase: 'updating',
        child: startedChild(state, false, rules, now),
      };
    case 'historyEnded':
      // One that was given up may still report; it is not the one that runs now.
      return state.child?.remine !== event.remine
        ? state
        : endRun({ ...state, calls: event.calls }, event.end, rules, now);
    case 'historyLost':
      // Nobody will report any more: what it staged is worthless, so the Item updates by itself.
      return {
        ...want({ ...state, child: null }, rules, now, false),
        phase: phaseAfterRun(state, state.hasCursor),
      };
    case 'historyAlive': {
      if (state.child === null) return state;
      // One that was to be ended, and was not, is held up as before.
      const heldUp = state.child.heldUp || state.failing.stopHistory !== undefined;
      return { ...state, child: { ...state.child, heldUp, checkAt: now + policy.childCheck } };
    }
    case 'historyHeldUp': {
      if (state.child?.remine !== event.remine) return state;
      const { checkAt, remine, number, asked } = state.child;
      const heldUp = event.failure !== null;
      const child = { checkAt, remine, number, heldUp };
      if (!heldUp) return { ...state, child };
      const { notBefore = 0 } = event;
      return { ...state, child: { ...child, notBefore, ...(asked === undefined ? {} : { asked }) } };
    }
    case 'historyAsked':
      return { ...state, child: state.child && { ...state.child, asked: false } };
    case 'deadEndReported': {
      const reported = { ...state, deadEnd: null };
      if (event.remines === null) return reported;
      // Not as one that somebody asked for: the pauses of updates that got nowhere are its own.
      const remines = Math.max(state.remines, event.remines);
      return { ...reported, remineRequested: true, remines, cursorLost: true };
    }
    case 'checked':
      return withHealth(
        {
          ...state,
          checkFailures: event.result === 'unsure' ? state.checkFailures : 0,
          wanted: null,
          due: alsoDue(setDue(state.due, 'segment', now), event.makesDue ?? [], now),
        },
        event.result,
        rules,
        now,
      );
    case 'itemWebhooksEnded': {
      const done = taskDone(state.due, 'itemWebhooks', event.more, now);
      const seen = { ...state, due: event.numbersDue ? alsoDue(done, ['numbers'], now) : done };
      const acted = event.updateDue === true ? want(seen, rules, now, false) : seen;
      // Nobody asked, or the answer to an earlier try was lost: the row knows.
      if (event.health === null) return { ...acted, reloadAt: state.reloadAt ?? now };
      const asked = {
        ...acted,
        due: alsoDue(setDue(acted.due, 'segment', now), event.makesDue ?? [], now),
      };
      // A healthy Item that was healthy all along goes on with what it does.
      if (event.health === 'healthy' && state.phase !== 'needs_relink') return asked;
      const said = event.repairSaid === true ? { ...asked, unconfirmed: 0 } : asked;
      return withHealth(said, event.health, rules, now);
    }
  }
}

/** The Item as `/item/get` has it. A broken one drops the run on its way: it is staged only, and staged for nothing. */
function withHealth(state: ItemState, health: Health, rules: Rules, now: number): ItemState {
  const { retryFirst, brokenCheck } = rules.policy;
  if (health === 'gone') return { ...state, reloadAt: now, nextDueAt: now + brokenCheck };
  if (health === 'healthy') {
    // The row makes them due with the repair of an episode: at some banks they are others then.
    const due = state.phase === 'needs_relink' ? alsoDue(state.due, ['numbers'], now) : state.due;
    return mended({ ...state, due }, rules, now);
  }
  const { unconfirmed, ...rest } = state;
  const broken: ItemState = { ...rest, phase: 'needs_relink', run: null, wanted: null };
  // A repair may take Plaid a while: the pauses grow from seconds to those of any broken Item.
  if (health === 'broken') {
    const checks = (unconfirmed ?? 0) + 1;
    const pause = unconfirmed === undefined ? brokenCheck : backoff(checks, retryFirst, brokenCheck);
    return { ...broken, ...(pause < brokenCheck ? { unconfirmed: checks } : {}), nextDueAt: now + pause };
  }
  const checkFailures = state.checkFailures + 1;
  return { ...broken, checkFailures, nextDueAt: now + backoff(checkFailures, retryFirst, brokenCheck) };
}
