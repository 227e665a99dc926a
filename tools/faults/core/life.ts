import type { Context } from '@temporalio/activity';
import { asyncLocalStorage } from '@temporalio/activity';
import { deadEndActivities } from '../../../activities/deadEnds.js';
import type { ActivityDeps } from '../../../activities/deps.js';
import { itemActivities } from '../../../activities/items.js';
import { itemWebhookActivities } from '../../../activities/itemWebhooks.js';
import { transactionActivities } from '../../../activities/transactions.js';
import { Failure } from '../../../domain/failures.js';
import { newestFailure } from '../../../domain/item/failing.js';
import { nextStep } from '../../../domain/item/nextStep.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { reduce, stateFrom } from '../../../domain/item/reduce.js';
import type { Rules } from '../../../domain/item/rules.js';
import type { ItemEvent, ItemState, Step, WorkKind } from '../../../domain/item/state.js';
import type {
  DeadEnd,
  MiningRun,
  PageResult,
  RunAfter,
  RunEnd,
  StepFailure,
} from '../../../domain/mining/run.js';
import {
  afterPage,
  afterPageFailure,
  askedRun,
  afterRemineStep,
  failureOf,
  startRun,
  updateIdOf,
} from '../../../domain/mining/run.js';
import type { WebhookKind } from '../../../domain/webhooks/webhookKind.js';
import { describeItem } from '../../../workflows/describeItem.js';
import type { MemoryItem, MoodyPlaid } from './memoryItem.js';
import { itemId } from './memoryItem.js';

const minute = 60_000;
const hour = 60 * minute;
const policy = defaultPolicy;
export const rules: Rules = { policy, patches: {} };
/** How long Temporal repeats an activity whose failure may pass, before the workflow hears of it. */
const triesFor = 10 * minute;
const sweepEvery = 10 * minute;

const activityContext = {
  info: { attempt: 1, startToCloseTimeoutMs: 60_000 },
  heartbeat: () => undefined,
} as unknown as Context;

/** By which the activities reach Plaid and the row. */
export type Ports = Pick<ActivityDeps, 'items' | 'mining' | 'crashPoint'> & { plaid: MoodyPlaid['port'] };

/** `pageHistory` or `remineItem`. */
interface Child {
  remine: boolean;
  run: MiningRun;
  cursorLost: boolean;
  lastFailure: StepFailure | null;
  polls: number;
}

/**
 * One Item with the real reducer, next step, activities and table of codes; Plaid, the row and time are in memory. Who makes one lets `Date.now`
 * answer `clock.now`.
 */
export class Life {
  /** 0 = nothing is known against it. */
  private bankDownUntil = 0;
  private runs = true;
  state: ItemState;
  steps = 0;
  protected child: Child | null = null;
  /** Whether the sweep signals what it finds overdue. */
  sweeps = true;
  private sweptAt: number;
  private updates = 0;
  protected readonly deps: ActivityDeps;
  protected readonly run: ReturnType<typeof itemActivities> &
    ReturnType<typeof itemWebhookActivities> &
    ReturnType<typeof transactionActivities> &
    ReturnType<typeof deadEndActivities>;

  constructor(
    readonly clock: { now: number },
    readonly plaid: MoodyPlaid,
    readonly row: MemoryItem,
    { plaid: plaidPort, items, mining, crashPoint }: Ports = {
      plaid: plaid.port,
      items: row.items,
      mining: row.mining,
      crashPoint: () => undefined,
    },
  ) {
    this.sweptAt = clock.now;
    this.row.nextDueAt = clock.now;
    this.row.due.add('numbers');
    this.state = this.rebuilt();
    this.deps = {
      ...{ plaid: plaidPort, items, mining, crashPoint },
      secrets: { open: async () => 'token', seal: async () => ({}) },
      alerts: { raise: async ({ kind }: { kind: string }) => void this.row.alerts.add(kind) },
      commands: {
        requestRemine: async () => {
          if (this.row.removed || this.row.removalRequested) return 'item_removed';
          this.row.askForRemine();
          return { number: this.row.remines };
        },
      },
      banks: {
        enter: async () =>
          this.bankDownUntil > clock.now ? 'paused' : this.bankDownUntil > 0 ? 'probe' : 'free',
        noteDown: async () => void (this.bankDownUntil = clock.now + policy.retryFirst),
        noteUp: async () => void (this.bankDownUntil = 0),
      },
      webhookUrl: null,
      // No activity waits by a real clock here.
      policy: { ...policy, doubtPause: 0 },
    } as unknown as ActivityDeps;
    const { deps } = this;
    this.run = {
      ...itemActivities(deps),
      ...itemWebhookActivities(deps),
      ...transactionActivities(deps),
      ...deadEndActivities(deps),
    };
  }

  /** The working copy of a run that knows nothing but the row: an operator has terminated the one before. */
  protected rebuilt(): ItemState {
    const { child } = this;
    return stateFrom(
      {
        ...this.row.snapshot(),
        historyRunning: child !== null && !child.remine,
        remineRunning: child?.remine === true,
      },
      rules,
      this.clock.now,
    );
  }

  /** Nobody runs until the next signal, which the sweep sends where something is due. */
  terminate(): void {
    this.runs = false;
  }

  hear(event: ItemEvent): void {
    if (!this.runs) this.state = this.rebuilt();
    this.runs = true;
    this.state = reduce(this.state, event, rules, this.clock.now);
  }

  /** A child's signal begins no run. */
  private hearChild(event: ItemEvent): void {
    if (this.runs) this.hear(event);
  }

  webhook(kind: WebhookKind, body: object = {}): void {
    this.lose(kind, body);
    this.hear({ kind: 'webhook', webhook: kind });
  }

  /** A webhook that is stored, and of which no signal reaches the workflow. */
  lose(kind: WebhookKind, body: object = {}): void {
    this.row.webhooks.push({
      webhookId: `w${this.steps}-${this.row.webhooks.length}`,
      kind,
      body: JSON.stringify(body),
      at: this.clock.now,
    });
  }

  remine(): void {
    if (this.row.removed || this.row.removalRequested) return;
    this.row.askForRemine();
    this.hear({ kind: 'remineRequested', remines: this.row.remines });
  }

  /** An operator terminates the child. */
  endChild(): void {
    this.child = null;
  }

  /** The API's `relinked`, of which nothing but the wish got through. */
  relinked(): void {
    if (this.row.removed || this.row.removalRequested) return;
    this.row.nextDueAt = this.clock.now;
    this.row.due.add('numbers');
    this.hear({ kind: 'relinked' });
  }

  remove(): void {
    this.row.removalRequested = true;
    this.hear({ kind: 'removalRequested' });
  }

  async until(end: number): Promise<void> {
    while (this.clock.now < end) {
      this.steps += 1;
      // Far above what the pauses allow: who gets there runs in circles.
      if (this.steps > 30_000) throw new Error('it does not come to rest');
      this.sweep();
      const step: Step = this.runs
        ? nextStep(this.state, rules, this.clock.now)
        : { kind: 'wait', until: this.clock.now + sweepEvery };
      if (step.kind === 'end') {
        // A late attempt may have written something down that the sweep finds.
        this.clock.now = Math.min(end, this.sweptAt + sweepEvery);
        continue;
      }
      if (step.kind !== 'wait') {
        this.hear(await this.perform(step.kind));
        continue;
      }
      // Something is due: no wait is the one of a state that waits for nothing.
      if (step.until - this.clock.now >= 48 * hour && !this.state.unconnected)
        throw new Error('it waits for nothing');
      const childAt = this.child === null ? Infinity : Math.max(this.child.run.notBefore, this.clock.now + 1);
      this.clock.now = Math.min(step.until, end, childAt, this.sweptAt + sweepEvery);
      if (this.clock.now >= childAt) await this.page();
    }
  }

  private sweep(): void {
    if (this.clock.now - this.sweptAt < sweepEvery) return;
    this.sweptAt = this.clock.now;
    if (!this.sweeps) return;
    if (this.row.isDue(this.clock.now - sweepEvery)) this.hear({ kind: 'foundDue' });
  }

  /** An activity with its repeats, until Temporal gives it up. */
  protected async call<T>(activity: () => Promise<T>): Promise<T> {
    this.plaid.now = this.clock.now;
    try {
      return await asyncLocalStorage.run(activityContext, activity);
    } catch (error) {
      if (error instanceof Failure && error.retryable) this.clock.now += triesFor;
      throw error;
    }
  }

  private failureOf(step: string, error: unknown): StepFailure {
    if (!(error instanceof Failure)) throw error;
    const code = error.upstream?.error_code;
    const at = new Date(this.clock.now).toISOString();
    return { step, type: error.type, ...(code === undefined ? {} : { error_code: code }), at };
  }

  private minePage(run: MiningRun, polls = 0): Promise<PageResult> {
    const due = {
      complete: new Date(this.clock.now + 36 * hour),
      incomplete: new Date(this.clock.now + policy.pollLongest),
    };
    return this.call(() =>
      this.run.minePage({
        itemId,
        updateId: updateIdOf(run),
        page: run.page,
        ...(run.fromStart ? { remine: true } : {}),
        ...(run.fromStart && run.keepsCursor === true ? { keepsCursor: true } : {}),
        ...(run.doubts >= policy.doubts ? { believe: true } : {}),
        ...(run.failures > 0 ? { failures: run.failures } : {}),
        ...(polls > 0 ? { polls } : {}),
        dueAt: { complete: due.complete.toISOString(), incomplete: due.incomplete.toISOString() },
      }),
    );
  }

  /** One page of the child, as `pageToTheEnd` has it. */
  private async page(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    let after: RunAfter;
    let failure: StepFailure | null;
    try {
      const result = await this.minePage(child.run, child.polls);
      failure = failureOf(result, this.clock.now);
      after = afterPage(child.run, result, rules, this.clock.now);
    } catch (error) {
      failure = this.failureOf('page', error);
      after = afterPageFailure(child.run, failure, rules, this.clock.now);
    }
    const { remine } = child;
    const { notBefore } = 'run' in after ? after.run : child.run;
    if (failure !== null || child.lastFailure !== null)
      this.hearChild({ kind: 'historyHeldUp', remine, failure, notBefore });
    child.lastFailure = failure;
    const further = remine
      ? afterRemineStep(child.run, after, { ...rules, cursorLost: child.cursorLost }, this.clock.now)
      : null;
    if (further !== null && 'lost' in further) {
      await this.run.reportDeadEnd({ itemId, deadEnd: further.lost as DeadEnd });
      child.cursorLost = true;
    }
    const next = further ?? after;
    if ('end' in next) this.ended(remine, next.end);
    else child.run = next.run;
  }

  private ended(remine: boolean, end: RunEnd): void {
    this.child = null;
    this.hearChild({ kind: 'historyEnded', remine, end, calls: { sync: [], accounts: [] } });
  }

  /** Sends the outbox; whether more of it waits. */
  protected async publish(): Promise<boolean> {
    this.row.due.delete('publish');
    return false;
  }

  private async perform(step: WorkKind): Promise<ItemEvent> {
    const { run, row, state } = this;
    const input = { itemId };
    try {
      switch (step) {
        case 'reload':
          return { kind: 'reloaded', snapshot: row.snapshot() };
        case 'startRun':
          return { kind: 'runStarted', updateId: `u${(this.updates += 1)}` };
        case 'page':
          return {
            kind: 'pageEnded',
            result: await this.minePage(state.run ?? startRun('lost'), state.polls),
          };
        case 'history':
        case 'remine': {
          const remine = step === 'remine';
          const fromStart = remine && state.cursorLost;
          const started = startRun(`c${(this.updates += 1)}`, fromStart);
          const { cursorLost, polls } = state;
          this.child ??= { remine, run: started, cursorLost, lastFailure: null, polls };
          return { kind: remine ? 'remineStarted' : 'historyStarted' };
        }
        case 'lookAtHistory':
          return { kind: this.child === null ? 'historyLost' : 'historyAlive' };
        case 'askHistory':
          if (this.child !== null) {
            const { run: paused, remine, lastFailure: failure } = this.child;
            this.child.run = askedRun(paused, failure, rules, this.clock.now);
            const { notBefore } = this.child.run;
            if (failure !== null) this.hear({ kind: 'historyHeldUp', remine, failure, notBefore });
          }
          return { kind: 'historyAsked' };
        case 'stopHistory':
          this.child = null;
          return { kind: 'historyLost' };
        case 'reportDeadEnd': {
          if (state.deadEnd === null) return { kind: 'deadEndReported', remines: null };
          const { remines } = await run.reportDeadEnd({ itemId, deadEnd: state.deadEnd });
          return { kind: 'deadEndReported', remines };
        }
        case 'check':
          return { kind: 'checked', ...(await this.call(() => run.checkItem(input))) };
        case 'remove':
          await this.call(() => run.removeItem(input));
          return { kind: 'removed' };
        case 'publish':
          return { kind: 'taskEnded', task: 'publish', more: await this.publish() };
        case 'segment':
          row.due.delete(step);
          return { kind: 'taskEnded', task: step, more: false };
        case 'itemWebhooks':
          return { kind: 'itemWebhooksEnded', ...(await this.call(() => run.settleItemWebhooks(input))) };
        case 'numbers':
          await this.call(() => run.saveNumbers(input));
          return { kind: 'taskEnded', task: 'numbers', more: false };
        case 'removals': {
          const { more, remineAsked } = await this.call(() => run.settleRemovals(input));
          return {
            kind: 'taskEnded',
            task: 'removals',
            more,
            ...(remineAsked === undefined ? {} : { remineAsked }),
          };
        }
      }
    } catch (error) {
      return { kind: 'stepFailed', step, failure: this.failureOf(step, error) };
    }
  }

  /** What clients see in the Item and its `/sync`, and operators in the Web UI; null where neither tells of a trouble. */
  shown(): { clients: boolean; operators: boolean } {
    const failure = newestFailure(this.state.failing);
    const details = describeItem(this.state, { kind: 'wait', until: this.clock.now }, this.clock.now);
    return {
      clients:
        (this.row.error !== null && this.state.phase === 'needs_relink') ||
        failure !== null ||
        this.row.transactionsUnavailable,
      operators: ['needs_relink', 'fails:', 'no transactions'].some((word) => details.includes(word)),
    };
  }
}
