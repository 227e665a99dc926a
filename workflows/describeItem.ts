import { remineWorkflowId } from '../domain/ids.js';
import { newestFailure } from '../domain/item/failing.js';
import type { ItemState, Step } from '../domain/item/state.js';
import { taskNames, tasks } from '../domain/item/tasks.js';
import { isHeldUp } from '../domain/mining/run.js';
import type { ItemStatus } from '../domain/ports/gateway.js';

const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

/**
 * When the next update starts: at its own time, or soon because somebody has asked for one, but not before the pause is over that
 * the last one has earned. Of one whose page cannot be had: when that is asked for again. Of a broken Item: when it is asked after.
 */
function nextUpdateAt(state: ItemState): number {
  const { run, child } = state;
  // The one on its way waits for its page, here or in the workflow that pages.
  const heldUpUntil = run !== null && isHeldUp(run) ? run.notBefore : (child?.notBefore ?? 0);
  if (heldUpUntil > 0) return heldUpUntil;
  const asked = Math.min(state.nextDueAt, state.wanted?.quietUntil ?? state.nextDueAt);
  return state.phase === 'needs_relink' ? asked : Math.max(asked, state.restUntil);
}

/** Nobody is connected with it, or it is to be removed: it is mined no more. */
const isStopped = ({ phase, unconnected, removalRequested }: ItemState): boolean =>
  phase === 'removed' || unconnected || removalRequested;

/** What the `status` query answers: the working copy in the words of the REST API. */
export function statusOf(state: ItemState): ItemStatus {
  return {
    phase: state.phase,
    history: state.history,
    remine:
      state.remineRequested || state.child?.remine
        ? {
            workflow_id: remineWorkflowId(
              state.itemId,
              state.child?.remine ? state.child.number : state.remines,
            ),
            running: state.child?.remine === true,
          }
        : null,
    progress: state.run && { pages: state.run.page, rows: state.run.rows, restarts: state.run.restarts },
    next_due_at: isStopped(state) ? null : iso(nextUpdateAt(state)),
    last_update_at: iso(state.lastUpdateAt),
    last_failure: newestFailure(state.failing),
    waiting_for_publish: state.due.publish !== undefined,
  };
}

/** The Item's current details in the Temporal Web UI, as Markdown: ids, counts, codes and times; no bank data. */
export function describeItem(state: ItemState, step: Step, now: number): string {
  const lines = [`**${state.phase}**, history ${state.history}`];
  if (state.transactionsUnavailable) lines.push('no transactions: Plaid has none of this Item');
  if (state.unconnected) lines.push('no application is connected: nothing is mined');
  if (state.removalRequested)
    lines.push(
      `its removal is asked for, next try ${new Date(Math.max(state.removeDueAt, now)).toISOString()}`,
    );
  if (state.run)
    lines.push(`page ${state.run.page}, ${state.run.rows} rows staged, ${state.run.restarts} restarts`);
  if (state.child) {
    lines.push(`paging runs in the workflow \`${state.child.remine ? 'remineItem' : 'pageHistory'}\``);
  }
  if (state.remineRequested) lines.push(`remine ${state.remines} is asked for`);
  lines.push(
    step.kind === 'wait'
      ? `waiting until ${new Date(Math.max(step.until, now)).toISOString()}`
      : `doing: ${step.kind}`,
  );
  if (!isStopped(state)) lines.push(`next update due ${iso(nextUpdateAt(state))}`);
  if (state.deadEnds > 0) lines.push(`updates given up: ${state.deadEnds} in a row`);
  for (const name of taskNames) {
    const due = state.due[name];
    if (due !== undefined && due.failures > 0)
      lines.push(`${tasks[name].called} refused ${due.failures} times, next try ${iso(due.at)}`);
  }
  for (const { step: failed, type, error_code, at } of Object.values(state.failing)) {
    lines.push(`fails: ${failed}, ${type}${error_code === undefined ? '' : ` (${error_code})`}, since ${at}`);
  }
  return lines.map((line) => `- ${line}`).join('\n');
}
