import { isHeldUp } from '../mining/run.js';
import type { Policy } from './policy.js';
import { nextCallAt, soonerAt } from './policy.js';
import type { Rules } from './rules.js';
import type { ItemState, Step } from './state.js';
import type { TaskName } from './tasks.js';
import { taskNames, tasks } from './tasks.js';

const isDue = (at: number | null, now: number): boolean => at !== null && at <= now;

const dueAt = (state: ItemState, name: TaskName): number | null => state.due[name]?.at ?? null;

/**
 * The one thing to do now, or until when to wait. Removal goes before everything; then what runs beside an
 * update; an update owns the Item until it ends.
 */
export function nextStep(state: ItemState, { policy }: Rules, now: number): Step {
  if (isDue(state.reloadAt, now)) return { kind: 'reload' };
  if (state.phase === 'removed') {
    const next = onceRemoved.find((name) => isDue(dueAt(state, name), now));
    if (next !== undefined) return { kind: next };
    const times = onceRemoved.map((name) => dueAt(state, name)).filter((at) => at !== null);
    return times.length === 0 ? { kind: 'end' } : { kind: 'wait', until: Math.min(...times) };
  }
  const waits: number[] = state.reloadAt === null ? [] : [state.reloadAt];
  const due = (at: number | null): boolean => {
    if (at !== null && at > now) waits.push(at);
    return isDue(at, now);
  };
  if (state.removalRequested && due(state.removeDueAt)) return { kind: 'remove' };
  // A removal that was asked for ends all but what a removed Item still does; so does the end of the last connection, for its time.
  const living = !state.removalRequested && !state.unconnected;
  for (const name of taskNames) {
    const { beside, whileRemoved } = tasks[name];
    if (beside === 'update' && (living || whileRemoved) && due(dueAt(state, name))) return { kind: name };
  }
  const work = living ? nextWork(state, policy, now, due) : null;
  if (work) return work;
  return { kind: 'wait', until: Math.min(...waits, now + longestWait) };
}

/** A wait is never endless, so that a state which waits for nothing is checked all the same. */
const longestWait = 48 * 3_600_000;

function nextWork(
  state: ItemState,
  policy: Policy,
  now: number,
  due: (at: number | null) => boolean,
): Step | null {
  const { limits } = policy;
  const broken = state.phase === 'needs_relink';
  // While the history is incomplete it may stay so: what was read shows whether it can be compared.
  const readable = state.hasCursor || state.cursorLost || state.transactionsUnavailable;
  const remineReady = state.remineRequested && !broken && readable && due(state.unread?.until ?? now);
  const check = (): Step | null => {
    const failed = state.failing.check;
    // Whoever asks has it checked at once; of one that fails a minute after its last try.
    const asked = failed === undefined ? now : soonerAt(policy, state.nextDueAt, failed, now);
    return due(state.wanted === null ? state.nextDueAt : asked) ? { kind: 'check' } : null;
  };
  if (state.deadEnd !== null && due(state.deadEnd.dueAt)) return { kind: 'reportDeadEnd' };
  if (state.child !== null) {
    const { checkAt, remine, heldUp, asked } = state.child;
    if (remineReady && heldUp && !remine) return { kind: 'stopHistory' };
    // One of a broken Item would be refused for what the episode is about.
    if (asked === true && !broken) return { kind: 'askHistory' };
    if (due(checkAt)) return { kind: 'lookAtHistory' };
    if (broken) return check();
    return sideWork(state, heldUp ? besideNothing : besidePaging, due);
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
    // A page that cannot be had holds up nothing else of the Item.
    return heldUp ? sideWork(state, besideNothing, due) : null;
  }
  if (broken) return check();
  if (remineReady && due(state.restUntil)) return { kind: 'remine' };
  const asked = state.wanted?.quietUntil ?? state.nextDueAt;
  if (due(Math.max(asked, state.restUntil)))
    return { kind: state.wanted?.historical ? 'history' : 'startRun' };
  return sideWork(state, besideNothing, due);
}

const onceRemoved = taskNames.filter((name) => tasks[name].whileRemoved);
const besidePaging = taskNames.filter((name) => tasks[name].beside === 'paging');
/** Nothing is under way, or it is held up. */
const besideNothing = taskNames.filter((name) => tasks[name].beside !== 'update');

/** What needs no update of its own. */
function sideWork(
  state: ItemState,
  names: readonly TaskName[],
  due: (at: number | null) => boolean,
): Step | null {
  const next = names.find((name) => due(dueAt(state, name)));
  return next === undefined ? null : { kind: next };
}
