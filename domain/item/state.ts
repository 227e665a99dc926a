import type { DeadEnd, History, MiningRun, PageResult, RunEnd, StepFailure } from '../mining/run.js';
import type { WebhookKind } from '../webhooks/webhookKind.js';
import type { DueTasks, TaskName } from './tasks.js';

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
  /** Plaid said of the last update that the Item has no transactions. */
  transactionsUnavailable: boolean;
  nextDueAt: number | null;
  removalRequested: boolean;
  /** No application is connected any more: nothing is mined. */
  unconnected: boolean;
  /** Which kinds of work the row and its webhooks call due. */
  due: TaskName[];
  /** Pending webhooks that an update answers. */
  webhooksWaiting: number;
  /** When the newest of its pending webhooks came, of whatever kind; null = none is pending. */
  newestWebhookAt: number | null;
  remineRequested: boolean;
  /** Number of the newest remine. */
  remines: number;
  historyRunning: boolean;
  remineRunning: boolean;
}

/** The working copy. Plain JSON: it is carried through continue-as-new and never holds a row or a secret. */
export interface ItemState {
  /** Version of this shape: `upgrade` brings older ones here. */
  v: 1;
  itemId: string;
  userId: string;
  institutionId: string | null;
  phase: Phase;
  history: History;
  hasCursor: boolean;
  /** Plaid said of the last update that the Item has no transactions: its accounts alone are kept up to date. */
  transactionsUnavailable: boolean;
  /** An update was asked for: run it when it has been quiet, at `deadline` at the latest. */
  wanted: { quietUntil: number; deadline: number; historical: boolean } | null;
  run: MiningRun | null;
  /**
   * `pageHistory` or `remineItem` owns the update; its workflow is checked at `checkAt` should it never report. `heldUp`: it says
   * that its next page cannot be had before `notBefore`; `asked`: it is to be told that somebody thinks otherwise, and says how it is.
   * `number`: of the remine; a newer one may have been asked for while it runs.
   */
  child: {
    checkAt: number;
    remine: boolean;
    number: number;
    heldUp: boolean;
    notBefore?: number;
    asked?: boolean;
  } | null;
  /** Everything is to be read again from the start, once the Item is healthy and has a cursor. */
  remineRequested: boolean;
  /** Number of the newest remine: part of its workflow's id. */
  remines: number;
  /** Tries in a row of the remine that were no whole reading, and before which time there is no other; absent = none. */
  unread?: { tries: number; until: number };
  /** An update was given up: an alert is to be raised, and what the durable cursor no longer yields is to be read from the start. */
  deadEnd: (DeadEnd & { dueAt: number }) | null;
  /** Updates in a row that were given up. */
  deadEnds: number;
  /** Plaid takes the durable cursor no more: the next remine does without it. */
  cursorLost: boolean;
  removalRequested: boolean;
  /** No application is connected any more: nothing is mined until one is, or the Item is removed. */
  unconnected: boolean;
  /** The row knows something that this copy does not: reload it. */
  reloadAt: number | null;
  /** Work beside the updates. */
  due: DueTasks;
  /** Time-out, poll or check: the next time at which something is done though nobody asks. */
  nextDueAt: number;
  polls: number;
  /** Plaid was not ready for the last update, and so many of the pending webhooks are known to wait for it. Absent = it was. */
  unready?: number;
  checkFailures: number;
  /** Checks since Plaid or a client told of a repair that `/item/get` has not confirmed: it may know a moment later. Absent = nobody told. */
  unconfirmed?: number;
  removeFailures: number;
  /** No removal is tried before this time. */
  removeDueAt: number;
  /** No update starts before this time. */
  restUntil: number;
  calls: { sync: number[]; accounts: number[] };
  lastUpdateAt: number | null;
  /** Steps whose last try has failed. */
  failing: Failing;
}

/** Everything that can happen to an Item, from outside (signals) or as the end of a step. */
export type ItemEvent =
  | { kind: 'linked' }
  | { kind: 'webhook'; webhook: WebhookKind }
  /** The sweep found something due in PostgreSQL that no signal has reached the workflow for. */
  | { kind: 'foundDue' }
  /** What the row says; null when there is none. */
  | { kind: 'reloaded'; snapshot: ItemSnapshot | null }
  | { kind: 'removalRequested' }
  /** The client says that the user has been through update mode. */
  | { kind: 'relinked' }
  | { kind: 'remineRequested'; remines: number }
  | { kind: 'remineStarted' }
  | { kind: 'runStarted'; updateId: string }
  | { kind: 'pageEnded'; result: PageResult }
  | { kind: 'historyStarted' }
  /** Of the child that reads the history, or of a remine. */
  | { kind: 'historyEnded'; remine: boolean; end: RunEnd; calls: ItemState['calls'] }
  | { kind: 'historyLost' }
  | { kind: 'historyAlive' }
  /** The child cannot have its next page before `notBefore`; no failure = now it can. */
  | { kind: 'historyHeldUp'; remine: boolean; failure: StepFailure | null; notBefore?: number }
  /** The child was told that its page is asked for. */
  | { kind: 'historyAsked' }
  /** `remines`: number of the remine that reads from the start; null = there is nothing to be read once more. */
  | { kind: 'deadEndReported'; remines: number | null }
  /**
   * `more` of the kind waits still, and is due at `nextAt` (ms since the epoch; absent = now); `makesDue`: what it has made work of;
   * `remineAsked`: number of the remine that the row asks for since.
   */
  | {
      kind: 'taskEnded';
      task: TaskName;
      more: boolean;
      nextAt?: number;
      makesDue?: TaskName[];
      remineAsked?: number;
    }
  | { kind: 'checked'; result: Health; makesDue?: TaskName[] }
  /**
   * `health` is null when no webhook asked how the Item is; `updateDue`: they tell of something that only an update finds;
   * `repairSaid`: of a repair.
   */
  | {
      kind: 'itemWebhooksEnded';
      health: Health | null;
      numbersDue: boolean;
      updateDue?: boolean;
      repairSaid?: boolean;
      more: boolean;
      makesDue?: TaskName[];
    }
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
  | { kind: 'askHistory' }
  | { kind: TaskName }
  | { kind: 'check' }
  | { kind: 'remine' }
  | { kind: 'reportDeadEnd' }
  | { kind: 'stopHistory' }
  | { kind: 'remove' };

export type WorkKind = Exclude<Step['kind'], 'wait' | 'end'>;

/** The steps whose last try has failed, each with its failure. A step that works is no longer here. */
export type Failing = { readonly [Step in WorkKind]?: StepFailure };
