import type { Context } from '@temporalio/activity';
import { asyncLocalStorage } from '@temporalio/activity';
import fc from 'fast-check';
import { deadEndActivities } from '../../../activities/deadEnds.js';
import type { ActivityDeps } from '../../../activities/deps.js';
import { itemActivities } from '../../../activities/items.js';
import { itemWebhookActivities } from '../../../activities/itemWebhooks.js';
import { transactionActivities } from '../../../activities/transactions.js';
import type { FailureType } from '../../../domain/failures.js';
import { Failure } from '../../../domain/failures.js';
import { newestFailure } from '../../../domain/item/failing.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import type { ItemEvent, ItemState, WorkKind } from '../../../domain/item/state.js';
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
import { beginsEpisode, failureTypeOf, plaidErrors } from '../../../domain/plaidErrors.js';
import { describeItem } from '../../../workflows/describeItem.js';
import { nextStep, reduce, rules, stateFrom } from './core.js';
import type { Call } from './memoryItem.js';
import { itemId, MemoryItem, MoodyPlaid } from './memoryItem.js';

/**
 * The rule: an Item is at any time either healthy, or shows clients and operators why not and what ends it; and whatever an
 * operator does by the runbook frees it. The reducer, the next step, the activities and the table of codes are the real ones;
 * Plaid refuses any call with any code, the row is in memory, and time is a number.
 */

const t0 = Date.UTC(2026, 0, 1);
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const policy = defaultPolicy;
/** How long Temporal repeats an activity whose failure may pass, before the workflow is told. */
const triesFor = 10 * minute;
const sweepEvery = 10 * minute;

const realNow = Date.now;
let clock = t0;
beforeAll(() => {
  Date.now = () => clock;
});
afterAll(() => {
  Date.now = realNow;
});

const context = {
  info: { attempt: 1, startToCloseTimeoutMs: 60_000 },
  heartbeat: () => undefined,
} as unknown as Context;

/** `pageHistory` or `remineItem`. */
interface Child {
  remine: boolean;
  run: MiningRun;
  cursorLost: boolean;
  heldUp: boolean;
}

class Life {
  /** 0 = nothing is known against it. */
  private bankDownUntil = 0;
  readonly plaid = new MoodyPlaid();
  readonly row = new MemoryItem(() => clock);
  state: ItemState;
  steps = 0;
  private child: Child | null = null;
  private sweptAt = t0;
  private updates = 0;
  private readonly run: ReturnType<typeof itemActivities> &
    ReturnType<typeof itemWebhookActivities> &
    ReturnType<typeof transactionActivities> &
    ReturnType<typeof deadEndActivities>;

  constructor(mined: boolean) {
    clock = t0;
    if (mined) {
      this.row.cursor = 'c1';
      this.row.history = 'complete';
    }
    this.row.nextDueAt = t0;
    this.row.due.add('numbers');
    this.state = this.rebuilt();
    const deps = {
      plaid: this.plaid.port,
      items: this.row.items,
      mining: this.row.mining,
      secrets: { open: async () => 'token', seal: async () => ({}) },
      alerts: { raise: async ({ kind }: { kind: string }) => void this.row.alerts.add(kind) },
      commands: {
        requestRemine: async () => {
          if (this.row.removed || this.row.removalRequested) return 'item_removed';
          this.row.remines += this.row.remineRequested ? 0 : 1;
          this.row.remineRequested = true;
          return { number: this.row.remines };
        },
      },
      banks: {
        enter: async () =>
          this.bankDownUntil > clock ? 'paused' : this.bankDownUntil > 0 ? 'probe' : 'free',
        noteDown: async () => void (this.bankDownUntil = clock + policy.retryFirst),
        noteUp: async () => void (this.bankDownUntil = 0),
      },
      webhookUrl: null,
      policy,
      crashPoint: () => undefined,
    } as unknown as ActivityDeps;
    this.run = {
      ...itemActivities(deps),
      ...itemWebhookActivities(deps),
      ...transactionActivities(deps),
      ...deadEndActivities(deps),
    };
  }

  /** The working copy of a run that knows nothing but the row: an operator has terminated the one before. */
  private rebuilt(): ItemState {
    const { child } = this;
    return stateFrom(
      {
        ...this.row.snapshot(),
        historyRunning: child !== null && !child.remine,
        remineRunning: child?.remine === true,
      },
      policy,
      clock,
    );
  }

  terminate(): void {
    this.state = this.rebuilt();
  }

  tell(event: ItemEvent): void {
    this.state = reduce(this.state, event, clock);
  }

  webhook(kind: 'update' | 'item' | 'removals', body: object = {}): void {
    this.row.webhooks.push({
      webhookId: `w${this.steps}-${this.row.webhooks.length}`,
      kind,
      body: JSON.stringify(body),
      at: clock,
    });
    this.tell({ kind: 'webhook', webhook: kind });
  }

  remine(): void {
    if (this.row.removed || this.row.removalRequested) return;
    this.row.remines += this.row.remineRequested ? 0 : 1;
    this.row.remineRequested = true;
    this.tell({ kind: 'remineRequested', remines: this.row.remines });
  }

  /** The API's `relinked`, of which nothing but the wish got through. */
  relinked(): void {
    if (this.row.removed || this.row.removalRequested) return;
    this.row.nextDueAt = clock;
    this.row.due.add('numbers');
    this.tell({ kind: 'relinked' });
  }

  remove(): void {
    this.row.removalRequested = true;
    this.tell({ kind: 'removalRequested' });
  }

  async until(end: number): Promise<void> {
    while (clock < end) {
      this.steps += 1;
      // Far above what the pauses allow: who gets there runs in circles.
      if (this.steps > 30_000) throw new Error('it does not come to rest');
      this.sweep();
      const step = nextStep(this.state, clock);
      if (step.kind === 'end') return;
      if (step.kind !== 'wait') {
        this.tell(await this.perform(step.kind));
        continue;
      }
      // Something is due: no wait is the one of a state that waits for nothing.
      expect(step.until - clock).toBeLessThan(48 * hour);
      const childAt = this.child === null ? Infinity : Math.max(this.child.run.notBefore, clock + 1);
      clock = Math.min(step.until, end, childAt, this.sweptAt + sweepEvery);
      if (clock >= childAt) await this.page();
    }
  }

  private sweep(): void {
    if (clock - this.sweptAt < sweepEvery) return;
    this.sweptAt = clock;
    const since = this.row.overdueSince();
    const { due: tasks, removed, remineRequested, error } = this.row;
    const due = !removed && (tasks.size > 0 || (remineRequested && error === null));
    if ((since !== null && since < clock - sweepEvery) || due) this.tell({ kind: 'foundDue' });
  }

  private async call<T>(activity: () => Promise<T>): Promise<T> {
    this.plaid.now = clock;
    try {
      return await asyncLocalStorage.run(context, activity);
    } catch (error) {
      if (error instanceof Failure && error.retryable) clock += triesFor;
      throw error;
    }
  }

  private failureOf(step: string, error: unknown): StepFailure {
    if (!(error instanceof Failure)) throw error;
    const code = error.upstream?.error_code;
    const at = new Date(clock).toISOString();
    return { step, type: error.type, ...(code === undefined ? {} : { error_code: code }), at };
  }

  private minePage(run: MiningRun): Promise<PageResult> {
    const due = { complete: new Date(clock + 36 * hour), incomplete: new Date(clock + policy.pollLongest) };
    return this.call(() =>
      this.run.minePage({
        itemId,
        updateId: updateIdOf(run),
        page: run.page,
        ...(run.fromStart ? { remine: true } : {}),
        ...(run.doubts >= policy.doubts ? { believe: true } : {}),
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
      const result = await this.minePage(child.run);
      failure = failureOf(result, clock);
      after = afterPage(child.run, result, rules, clock);
    } catch (error) {
      failure = this.failureOf('page', error);
      after = afterPageFailure(child.run, failure, rules, clock);
    }
    const { remine } = child;
    if (failure !== null || child.heldUp) this.tell({ kind: 'historyHeldUp', remine, failure });
    child.heldUp = failure !== null;
    const further = remine
      ? afterRemineStep(child.run, after, { ...rules, cursorLost: child.cursorLost })
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
    this.tell({ kind: 'historyEnded', remine, end, calls: { sync: [], accounts: [] } });
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
          return { kind: 'pageEnded', result: await this.minePage(state.run ?? startRun('lost')) };
        case 'history':
        case 'remine': {
          const remine = step === 'remine';
          const fromStart = remine && state.cursorLost;
          const started = startRun(`c${(this.updates += 1)}`, fromStart);
          this.child ??= { remine, run: started, cursorLost: state.cursorLost, heldUp: false };
          return { kind: remine ? 'remineStarted' : 'historyStarted' };
        }
        case 'lookAtHistory':
          return { kind: this.child === null ? 'historyLost' : 'historyAlive' };
        case 'askHistory':
          if (this.child !== null)
            this.child.run = askedRun(this.child.run, state.failing.page, rules, clock);
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
        case 'segment':
          row.due.delete(step);
          return { kind: 'taskEnded', task: step, more: false };
        case 'itemWebhooks':
          return { kind: 'itemWebhooksEnded', ...(await this.call(() => run.settleItemWebhooks(input))) };
        case 'numbers':
          await this.call(() => run.saveNumbers(input));
          return { kind: 'taskEnded', task: 'numbers', more: false };
        case 'removals': {
          const { more } = await this.call(() => run.settleRemovals(input));
          return { kind: 'taskEnded', task: 'removals', more };
        }
      }
    } catch (error) {
      return { kind: 'stepFailed', step, failure: this.failureOf(step, error) };
    }
  }

  /** What clients see in the Item and its `/sync`, and operators in the Web UI; null where neither tells of a trouble. */
  shown(): { clients: boolean; operators: boolean } {
    const failure = newestFailure(this.state.failing);
    const details = describeItem(this.state, { kind: 'wait', until: clock }, clock);
    return {
      clients:
        (this.row.error !== null && this.state.phase === 'needs_relink') ||
        failure !== null ||
        this.row.transactionsUnavailable,
      operators: ['needs_relink', 'fails:', 'no transactions'].some((word) => details.includes(word)),
    };
  }
}

const typeOfCode: Record<string, string> = {
  ITEM_LOGIN_REQUIRED: 'ITEM_ERROR',
  INSTITUTION_DOWN: 'INSTITUTION_ERROR',
};
const error = fc
  .constantFrom(...Object.keys(plaidErrors), 'A_CODE_OF_TOMORROW')
  .map((error_code) => ({ error_type: typeOfCode[error_code] ?? 'ITEM_ERROR', error_code }));
const calls: Call[] = ['item', 'getItem', 'sync', 'accounts', 'auth', 'transactions', 'remove'];
/** Most calls go well, else no answer would ever depend on two of them. */
const mood = fc
  .tuple(...calls.map(() => fc.option(error, { freq: 3, nil: null })))
  .map((errors) => calls.flatMap((call, at) => (errors[at] ? [[call, errors[at]] as const] : [])));

type Act =
  | 'relinked'
  | 'remine'
  | 'terminate'
  | 'remove'
  | 'login'
  | 'update'
  | 'removals'
  | 'errored'
  | 'repaired'
  | 'revoked'
  | 'numbersChanged'
  | 'linked';

function act(life: Life, name: Act): void {
  const item = (webhook_code: string, more: object = {}): void =>
    life.webhook('item', { webhook_type: 'ITEM', webhook_code, item_id: itemId, ...more });
  switch (name) {
    case 'relinked':
      return life.relinked();
    case 'remine':
      return life.remine();
    case 'terminate':
      return life.terminate();
    case 'remove':
      return life.remove();
    case 'login':
    case 'update':
      return life.webhook('update');
    case 'removals':
      return life.webhook('removals');
    case 'errored':
      return item('ERROR', { error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' } });
    case 'repaired':
      return item('LOGIN_REPAIRED');
    case 'revoked':
      return item('USER_PERMISSION_REVOKED');
    case 'numbersChanged':
      return life.webhook('item', {
        webhook_type: 'AUTH',
        webhook_code: 'DEFAULT_UPDATE',
        item_id: itemId,
        account_ids_with_updated_auth: { 'account-1': ['ACCOUNT_NUMBER'] },
      });
    case 'linked':
      return life.tell({ kind: 'linked' });
  }
}

const anyAct = fc.constantFrom<Act>(
  'relinked',
  'remine',
  'terminate',
  'login',
  'update',
  'removals',
  'errored',
  'repaired',
  'revoked',
  'numbersChanged',
  'linked',
);
const happenings = fc.array(
  fc.record({
    mood: fc.option(mood, { nil: null }),
    acts: fc.array(anyAct, { maxLength: 3 }),
    lasts: fc.constantFrom(1_000, minute, hour, day),
  }),
  { maxLength: 5 },
);

type Story = typeof happenings extends fc.Arbitrary<infer Told> ? Told : never;

async function through(life: Life, story: Story): Promise<void> {
  for (const { mood: next, acts, lasts } of story) {
    if (next !== null) {
      life.plaid.mood.clear();
      for (const [call, said] of next) life.plaid.mood.set(call, said);
    }
    for (const name of acts) act(life, name);
    await life.until(clock + lasts);
  }
}

/** What neither waiting nor a user mends is told to operators. */
const alerts: Partial<Record<FailureType, string>> = {
  PRODUCT_UNAVAILABLE: 'product_unavailable',
  MISCONFIGURED: 'plaid_misconfigured',
  TOKEN_REFUSED: 'token_refused',
  BAD_REQUEST: 'update_stuck',
};

/** That an Item whose updates Plaid refuses shows it, by the table of codes. */
function isShown(life: Life): void {
  const { plaid, row, state } = life;
  // The row and the working copy agree.
  expect(state.phase === 'needs_relink').toBe(row.error !== null);
  const [sync, accounts] = [plaid.mood.get('sync'), plaid.mood.get('accounts')];
  // Without transactions the accounts are asked for all the same.
  const goesOn = sync === undefined || failureTypeOf(sync) === 'PRODUCT_UNAVAILABLE';
  const said = goesOn ? (accounts ?? sync) : sync;
  const type = said === undefined ? null : (failureTypeOf(said) ?? 'UPSTREAM_DOWN');
  const { clients, operators } = life.shown();
  expect(clients).toBe(operators);
  if (type === null || (type === 'NOT_READY' && !state.hasCursor)) return;
  expect([said, clients, operators]).toEqual([said, true, true]);
  // A login, or a consent, is asked for where one helps; an outage sends nobody to Link.
  if (beginsEpisode(type) && plaid.mood.get('getItem') === undefined) expect(row.error).not.toBeNull();
  const alert = alerts[type];
  if (alert !== undefined && row.error === null && state.hasCursor) {
    expect([said, [...row.alerts]]).toEqual([said, expect.arrayContaining([alert])]);
  }
  if (goesOn && accounts === undefined && row.error === null) expect(row.accountsOpen).toBe(true);
}

/** Longer than the longest pause, and than the time-out of an idle Item. */
const bound = 3 * day;

describe('an Item, whatever Plaid answers', () => {
  it('is healthy, or shows why not, and is told of once, for as long as Plaid is the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), happenings, mood, async (mined, story, last) => {
        const life = new Life(mined);
        await through(life, story);
        life.plaid.mood.clear();
        for (const [call, said] of last) life.plaid.mood.set(call, said);
        await life.until(clock + bound);
        const { length: told } = life.row.told;
        const before = life.steps;
        for (let time = 0; time < 16; time += 1) {
          await life.until(clock + 6 * hour);
          isShown(life);
        }
        // One lasting state: neither pairs of errored and repaired, nor circles.
        expect(life.row.told.length).toBe(told);
        expect(life.steps - before).toBeLessThan(4_000);
        expect(life.row.told).toEqual(life.row.told.map((_, at) => (at % 2 === 0 ? 'errored' : 'repaired')));
      }),
      { numRuns: 60 },
    );
  });

  it('is freed by whatever an operator does, and by time alone, once Plaid is well again', async () => {
    const ways = fc.constantFrom<Act | 'nothing'>('relinked', 'remine', 'terminate', 'login', 'nothing');
    await fc.assert(
      fc.asyncProperty(fc.boolean(), happenings, ways, async (mined, story, way) => {
        const life = new Life(mined);
        await through(life, story);
        life.plaid.mood.clear();
        if (way !== 'nothing') act(life, way);
        await life.until(clock + bound);
        expect(life.row.error).toBeNull();
        expect(life.state).toMatchObject({ phase: 'idle', run: null, child: null, failing: {} });
        expect(life.row).toMatchObject({ webhooks: [], remineRequested: false, history: 'complete' });
        expect([...life.row.due]).toEqual([]);
        expect(life.row.told.length % 2).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('is removed once Plaid lets it, and shows till then why it is not', async () => {
    await fc.assert(
      fc.asyncProperty(happenings, fc.option(error, { nil: null }), async (story, refused) => {
        const life = new Life(true);
        await through(life, story);
        life.plaid.mood.clear();
        if (refused !== null) life.plaid.mood.set('remove', refused);
        act(life, 'remove');
        await life.until(clock + bound);
        if (!life.row.removed) expect(life.shown()).toEqual({ clients: true, operators: true });
        life.plaid.mood.clear();
        await life.until(clock + bound);
        expect([life.row.removed, life.state.phase]).toEqual([true, 'removed']);
      }),
      { numRuns: 40 },
    );
  });
});
