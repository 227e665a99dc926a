import fc from 'fast-check';
import { newestFailure } from '../../../domain/item/failing.js';
import type { ItemEvent, ItemSnapshot, ItemState, WorkKind } from '../../../domain/item/state.js';
import { nextStep, reduce, stateFrom } from './core.js';
import type { PageResult, RunEnd, UpdateOutcome } from '../../../domain/mining/run.js';
import type { TaskName } from '../../../domain/item/tasks.js';
import { taskDone } from '../../../domain/item/tasks.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { itemSnapshot as snapshot } from './itemSnapshot.js';

const t0 = Date.UTC(2026, 0, 1);
const policy = defaultPolicy;
const hour = 3_600_000;

const outcome = (changes: Partial<UpdateOutcome> = {}): UpdateOutcome => ({
  added: 3,
  modified: 0,
  removed: 0,
  accounts: 1,
  changes: 4,
  pages: 1,
  history: 'complete',
  ...changes,
});

const without = (due: ItemState['due'], name: TaskName): ItemState['due'] => taskDone(due, name, false, t0);

const applied = (changes: Partial<UpdateOutcome> = {}, waiting = 0): PageResult => ({
  kind: 'applied',
  outcome: outcome(changes),
  webhooksWaiting: waiting,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: t0 + 36 * 3_600_000,
  calls: 1,
});

const populated = (): ItemState =>
  stateFrom(snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 3_600_000 }), policy, t0);

/** Runs events and returns the state; `at` is the clock of each. */
function play(state: ItemState, events: [ItemEvent, number][]): ItemState {
  return events.reduce((current, [event, at]) => reduce(current, event, at), state);
}

describe('a newborn Item', () => {
  it('updates at once, without a webhook', () => {
    const born = stateFrom(snapshot(), policy, t0);
    expect(nextStep(born, t0)).toEqual({ kind: 'startRun' });
  });

  it('does not take "not ready" for "empty": it polls with growing pauses', () => {
    let state = stateFrom(snapshot(), policy, t0);
    const pauses: number[] = [];
    const shown: unknown[] = [];
    let now = t0;
    for (let poll = 0; poll < 12; poll += 1) {
      state = reduce(state, { kind: 'runStarted', updateId: `u${poll}` }, now);
      state = reduce(state, { kind: 'pageEnded', result: { kind: 'notReady', calls: 1 } }, now);
      expect(state.history).toBe('none');
      expect(state.phase).toBe('created');
      pauses.push(state.nextDueAt - now);
      shown.push(newestFailure(state.failing)?.type);
      now = state.nextDueAt;
    }
    // Some minutes are nothing to wonder at.
    expect(shown.indexOf('NOT_READY')).toBe(5);
    expect(shown.slice(5)).toEqual(shown.slice(5).map(() => 'NOT_READY'));
    expect(pauses[0]).toBe(policy.pollFirst);
    expect(pauses.at(-1)).toBe(policy.pollLongest);
    expect([...pauses].sort((a, b) => a - b)).toEqual(pauses);
  });

  it('whose accounts are refused has its rows, and shows why the accounts are missing until they come', () => {
    const accountsFailure = {
      type: 'NOT_READY' as const,
      error: { error_type: 'ITEM_ERROR', error_code: 'PRODUCT_NOT_READY' },
    };
    const refused = { ...applied(), accountsFailure } as PageResult;
    const calls = { sync: [], accounts: [] };
    const started = reduce(stateFrom(snapshot(), policy, t0), { kind: 'runStarted', updateId: 'u' }, t0);
    const poor = reduce(started, { kind: 'pageEnded', result: refused }, t0);
    const child = reduce(stateFrom(snapshot(), policy, t0), { kind: 'historyStarted' }, t0);
    const end = refused as RunEnd;
    for (const state of [poor, reduce(child, { kind: 'historyEnded', remine: false, end, calls }, t0)]) {
      expect([state.phase, newestFailure(state.failing)]).toMatchObject([
        'idle',
        { step: 'page', type: 'NOT_READY', error_code: 'PRODUCT_NOT_READY' },
      ]);
    }
    const again = reduce(poor, { kind: 'runStarted', updateId: 'v' }, t0);
    const whole = reduce(again, { kind: 'pageEnded', result: applied() }, t0);
    expect(newestFailure(whole.failing)).toBeNull();
  });

  it('keeps polling until the history is complete, then waits as long as the row says', () => {
    let state = stateFrom(snapshot(), policy, t0);
    state = play(state, [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'pageEnded', result: applied({ history: 'initial' }) }, t0],
    ]);
    expect(state.nextDueAt - t0).toBe(policy.pollFirst);
    state = play(state, [
      [{ kind: 'runStarted', updateId: 'b' }, t0],
      [{ kind: 'pageEnded', result: applied({ history: 'complete', added: 0, changes: 0 }) }, t0],
    ]);
    expect(state.history).toBe('complete');
    // The one draw of the time-out is the row's: the sweep finds nothing due before the Item does.
    expect(state.nextDueAt).toBe(t0 + 36 * hour);
  });

  it('of which Plaid has no transactions is not polled, and is idle till the time that the row says', () => {
    const born = stateFrom(snapshot(), policy, t0);
    const end = { ...applied({ history: 'none', added: 0, changes: 0 }), transactionsUnavailable: true };
    const state = play(born, [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'pageEnded', result: end }, t0],
    ]);
    const idle = {
      phase: 'idle',
      hasCursor: false,
      transactionsUnavailable: true,
      nextDueAt: t0 + 36 * hour,
    };
    expect(state).toMatchObject(idle);
    // A run that knows nothing but the row, and one that reloads it.
    const row = snapshot({ transactionsUnavailable: true, nextDueAt: t0 + 36 * hour });
    expect(stateFrom(row, policy, t0)).toMatchObject(idle);
    expect(reduce(born, { kind: 'reloaded', snapshot: row }, t0).transactionsUnavailable).toBe(true);
    // A remine that a client asks for would else be asked for for ever.
    const asked = reduce(state, { kind: 'remineRequested', remines: 1 }, t0 + hour);
    expect(nextStep(asked, t0 + hour + policy.betweenUpdates)).toEqual({ kind: 'remine' });
    const later = play(state, [
      [{ kind: 'runStarted', updateId: 'b' }, t0],
      [{ kind: 'pageEnded', result: applied({ history: 'initial' }) }, t0],
    ]);
    expect(later).toMatchObject({ transactionsUnavailable: false, hasCursor: true });
    expect(later.nextDueAt - t0).toBe(policy.pollFirst);
  });

  it('polls quickly again once something has moved', () => {
    let state = stateFrom(snapshot(), policy, t0);
    const pauseAfter = (result: PageResult): number => {
      state = play(state, [
        [{ kind: 'runStarted', updateId: 'u' }, t0],
        [{ kind: 'pageEnded', result }, t0],
      ]);
      return state.nextDueAt - t0;
    };
    const nothing = applied({ history: 'initial', changes: 0 });
    const first = pauseAfter(applied({ history: 'initial' }));
    expect([first, pauseAfter(nothing), pauseAfter(nothing)]).toEqual([
      policy.pollFirst,
      2 * policy.pollFirst,
      4 * policy.pollFirst,
    ]);
    expect(pauseAfter(applied({ history: 'initial' }))).toBe(policy.pollFirst);
  });
});

describe('webhooks', () => {
  it('are coalesced: a burst makes one update, after the quiet period', () => {
    let state = populated();
    for (let n = 0; n < 5; n += 1) {
      state = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + n * 100);
    }
    expect(nextStep(state, t0 + 400)).toEqual({ kind: 'wait', until: t0 + 400 + policy.quiet });
    expect(nextStep(state, t0 + 400 + policy.quiet)).toEqual({ kind: 'startRun' });
  });

  it('that never stop cannot put an update off beyond the deadline', () => {
    let state = populated();
    for (let ms = 0; ms < policy.quietDeadline; ms += 500) {
      state = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + ms);
    }
    expect(nextStep(state, t0 + policy.quietDeadline)).toEqual({ kind: 'startRun' });
  });

  it('during an update mean: once more', () => {
    let state = play(populated(), [
      [{ kind: 'webhook', webhook: 'update' }, t0],
      [{ kind: 'runStarted', updateId: 'a' }, t0 + 1000],
      [{ kind: 'webhook', webhook: 'update' }, t0 + 1500],
    ]);
    expect(nextStep(state, t0 + 1500)).toEqual({ kind: 'page' });
    state = reduce(state, { kind: 'pageEnded', result: applied({ changes: 0 }) }, t0 + 2000);
    expect(state.wanted).not.toBeNull();
    expect(nextStep(state, t0 + 2000 + policy.betweenUpdates)).toEqual({ kind: 'startRun' });
  });

  it('that the database still holds after an update ask for another one', () => {
    const state = play(populated(), [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'pageEnded', result: applied({ changes: 0 }, 2) }, t0],
    ]);
    expect(nextStep(state, t0 + policy.betweenUpdates + policy.quietDeadline)).toEqual({ kind: 'startRun' });
  });

  it('HISTORICAL_UPDATE hands the update to pageHistory, and nothing else writes meanwhile', () => {
    let state = reduce(populated(), { kind: 'webhook', webhook: 'history' }, t0);
    expect(nextStep(state, t0 + policy.quiet)).toEqual({ kind: 'history' });
    state = reduce(state, { kind: 'historyStarted' }, t0 + policy.quiet);
    state = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + 2000);
    expect(nextStep(state, t0 + 60_000).kind).toBe('wait');
    expect(nextStep(state, t0 + policy.quiet + policy.childCheck)).toEqual({ kind: 'lookAtHistory' });
    const end = applied() as RunEnd;
    state = reduce(
      state,
      { kind: 'historyEnded', remine: false, end, calls: { sync: [], accounts: [] } },
      t0 + 90_000,
    );
    expect(nextStep(state, t0 + 90_000)).toEqual({ kind: 'publish' });
    state = reduce(state, { kind: 'taskEnded', task: 'publish', more: false }, t0 + 91_000);
    expect(nextStep(state, t0 + 99_000)).toEqual({ kind: 'startRun' });
  });
});

describe('an update', () => {
  it('restarts from its first page under another id when data moved, and gives up for a while after many times', () => {
    let state = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    state = reduce(state, { kind: 'pageEnded', result: { kind: 'staged', rows: 500, calls: 1 } }, t0);
    expect(state.run).toMatchObject({ page: 1, rows: 500 });
    for (let n = 1; n <= policy.restarts; n += 1) {
      state = reduce(
        state,
        { kind: 'pageEnded', result: { kind: 'moved', atDurableCursor: false, calls: 1 } },
        t0,
      );
      expect(state.run).toMatchObject({ page: 0, rows: 0, restarts: n });
    }
    expect(nextStep(state, t0)).toEqual({ kind: 'wait', until: t0 + policy.retryFirst });
  });

  it('keeps its page and its place when a page cannot be had', () => {
    let state = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    state = reduce(state, { kind: 'pageEnded', result: { kind: 'staged', rows: 500, calls: 1 } }, t0);
    const failure = { step: 'page', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
    state = reduce(state, { kind: 'stepFailed', step: 'page', failure }, t0);
    expect(state.run).toMatchObject({ page: 1, rows: 500, failures: 1 });
    expect(nextStep(state, t0)).toEqual({ kind: 'wait', until: t0 + policy.retryFirst });
    expect(nextStep(state, t0 + policy.retryFirst)).toEqual({ kind: 'page' });
  });

  it('that meets a broken Item waits for a human; a webhook makes it ask /item/get, not /transactions/sync', () => {
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    let state = play(populated(), [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'pageEnded', result: { kind: 'needsUser', error, calls: 1 } }, t0],
    ]);
    expect(state.phase).toBe('needs_relink');
    expect(nextStep(state, t0)).toEqual({ kind: 'segment' });
    state = reduce(state, { kind: 'taskEnded', task: 'segment', more: false }, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'wait', until: t0 + policy.brokenCheck });
    state = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + 1000);
    expect(nextStep(state, t0 + 1000)).toEqual({ kind: 'check' });
    state = play(state, [
      [{ kind: 'checked', result: 'broken' }, t0 + 1000],
      [{ kind: 'taskEnded', task: 'segment', more: false }, t0 + 1000],
    ]);
    expect(nextStep(state, t0 + 1000).kind).toBe('wait');
    state = play(state, [
      [{ kind: 'checked', result: 'healthy' }, t0 + 2000],
      [{ kind: 'taskEnded', task: 'segment', more: false }, t0 + 2000],
    ]);
    expect(nextStep(state, t0 + 2000 + policy.quietDeadline)).toEqual({ kind: 'startRun' });
    // The row makes them due with the repair: the sweep need not find that.
    expect(state.due.numbers?.at).toBe(t0 + 2000);
  });
});

describe('webhooks about the Item itself', () => {
  const broken = {
    kind: 'itemWebhooksEnded',
    health: 'broken',
    numbersDue: false,
    more: false,
  } as const;

  it('are acted on at once, also while an update waits for its turn, and never start one', () => {
    const state = play(populated(), [
      [{ kind: 'webhook', webhook: 'update' }, t0],
      [{ kind: 'webhook', webhook: 'item' }, t0],
    ]);
    expect(nextStep(state, t0)).toEqual({ kind: 'itemWebhooks' });
    const alone = reduce(populated(), { kind: 'webhook', webhook: 'item' }, t0);
    expect(alone.wanted).toBeNull();
  });

  it('of which more wait are acted on again at once, whatever the first have said, and so are named removals', () => {
    for (const health of ['healthy', 'broken', null] as const) {
      const state = reduce(populated(), { ...broken, health, more: true }, t0);
      expect(state.due.itemWebhooks?.at).toBe(t0);
      // A reload of the row may come first, and takes nothing of it.
      if (health === null) expect(nextStep(state, t0)).toEqual({ kind: 'reload' });
      else
        expect(nextStep({ ...state, due: without(state.due, 'segment') }, t0)).toEqual({
          kind: 'itemWebhooks',
        });
    }
    const removals = reduce(
      populated(),
      { kind: 'taskEnded', task: 'removals', more: true, makesDue: ['publish'] },
      t0,
    );
    expect([
      removals.due.removals?.at,
      reduce(removals, { kind: 'taskEnded', task: 'removals', more: false }, t0).due.removals,
    ]).toEqual([t0, undefined]);
  });

  it('that find it broken drop the run on its way; an update that ends well meanwhile proves nothing', () => {
    const running = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    const stopped = reduce(running, broken, t0);
    expect([stopped.phase, stopped.run]).toEqual(['needs_relink', null]);
    const paging = play(populated(), [
      [{ kind: 'historyStarted' }, t0],
      [broken, t0],
      [
        {
          kind: 'historyEnded',
          remine: false,
          end: { ...applied(), broken: true } as RunEnd,
          calls: { sync: [], accounts: [] },
        },
        t0,
      ],
    ]);
    expect(paging.phase).toBe('needs_relink');
  });

  it('that find it healthy wake a broken Item, and leave a healthy one at what it does', () => {
    const healthy = { ...broken, health: 'healthy' } as const;
    const woken = play(populated(), [
      [broken, t0],
      [healthy, t0 + 1000],
    ]);
    expect([woken.phase, woken.wanted === null]).toEqual(['idle', false]);
    const running = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    expect(reduce(running, healthy, t0)).toMatchObject({ phase: 'updating', run: { base: 'a' } });
  });

  it('whose outcome was lost are looked up in the row, which decides', () => {
    const lost = play(populated(), [
      [broken, t0],
      [{ ...broken, health: null }, t0 + 1000],
    ]);
    expect(nextStep({ ...lost, due: without(lost.due, 'segment') }, t0 + 1000)).toEqual({ kind: 'reload' });
    const row = snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 });
    expect(reduce(lost, { kind: 'reloaded', snapshot: row }, t0 + 1000)).toMatchObject({ phase: 'idle' });
    const sick = { ...row, broken: true, nextDueAt: t0 + 5000 };
    const told = reduce(populated(), { kind: 'reloaded', snapshot: sick }, t0);
    expect([told.phase, told.nextDueAt]).toEqual(['needs_relink', t0 + 5000]);
  });

  it('never block mining when Segment does not answer', () => {
    const failure = { step: 'segment', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
    const state = play(populated(), [
      [broken, t0],
      [{ ...broken, health: 'healthy' }, t0],
      [{ kind: 'stepFailed', step: 'segment', failure }, t0],
    ]);
    expect(nextStep(state, t0 + policy.quietDeadline)).toEqual({ kind: 'startRun' });
    expect(nextStep(state, t0 + policy.retryFirst)).toEqual({ kind: 'segment' });
  });
});

describe('a remine', () => {
  it('waits for a healthy Item that has a cursor, and is the only writer while it runs', () => {
    const asked = (row: Partial<ItemSnapshot>) =>
      reduce(stateFrom(snapshot(row), policy, t0), { kind: 'remineRequested', remines: 3 }, t0);
    expect(nextStep(asked({ hasCursor: false }), t0).kind).not.toBe('remine');
    expect(nextStep(asked({ hasCursor: true, broken: true }), t0).kind).not.toBe('remine');
    // Plaid may never say how far the history is.
    expect(nextStep(asked({ hasCursor: true, history: 'none' }), t0)).toEqual({ kind: 'remine' });
    let state = reduce(populated(), { kind: 'remineRequested', remines: 3 }, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'remine' });
    state = play(state, [
      [{ kind: 'remineStarted' }, t0],
      [{ kind: 'webhook', webhook: 'update' }, t0],
    ]);
    expect(nextStep(state, t0 + policy.quietDeadline).kind).toBe('wait');
    const end: ItemEvent = {
      kind: 'historyEnded',
      remine: true,
      end: applied() as RunEnd,
      calls: { sync: [], accounts: [] },
    };
    const ended = reduce(state, end, t0 + 60_000);
    expect([ended.remineRequested, ended.child, ended.wanted !== null]).toEqual([false, null, true]);
  });

  it('is wanted by the row until it is done', () => {
    const row = snapshot({ history: 'complete', hasCursor: true, remineRequested: true, remines: 2 });
    const state = stateFrom(row, policy, t0);
    expect([state.remineRequested, state.remines]).toEqual([true, 2]);
    const running = stateFrom({ ...row, remineRunning: true }, policy, t0);
    expect(running.child).toEqual({
      checkAt: t0 + policy.childCheck,
      remine: true,
      number: 2,
      heldUp: false,
      asked: true,
    });
  });

  it('that an update has found to be needed is begun after it', () => {
    const asked = { ...applied(), remineAsked: 1 } as PageResult;
    const state = play(populated(), [
      [{ kind: 'runStarted', updateId: 'u' }, t0],
      [{ kind: 'pageEnded', result: asked }, t0],
      [{ kind: 'taskEnded', task: 'publish', more: false }, t0],
    ]);
    expect([state.remineRequested, state.remines]).toEqual([true, 1]);
    expect(nextStep(state, t0 + policy.betweenUpdates)).toEqual({ kind: 'remine' });
  });

  it('that is asked for while an earlier one reports its end is not taken for answered', () => {
    const state = play(populated(), [
      [{ kind: 'remineRequested', remines: 1 }, t0],
      [{ kind: 'remineStarted' }, t0],
      // The first is applied by now, so the row has given the next client a number of its own.
      [{ kind: 'remineRequested', remines: 2 }, t0 + 1000],
    ]);
    expect(state.child?.number).toBe(1);
    const ended = reduce(
      state,
      {
        kind: 'historyEnded',
        remine: true,
        end: applied() as RunEnd,
        calls: { sync: [], accounts: [] },
      },
      t0 + 2000,
    );
    expect(nextStep(ended, t0 + 2000 + policy.betweenUpdates)).toEqual({ kind: 'publish' });
    const published = reduce(
      ended,
      { kind: 'taskEnded', task: 'publish', more: false },
      t0 + 2000 + policy.betweenUpdates,
    );
    expect(nextStep(published, t0 + 2000 + policy.betweenUpdates)).toEqual({ kind: 'remine' });
  });
});

describe('publishing', () => {
  it('never blocks mining: a refused try gives way for its pause', () => {
    let state = play(populated(), [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'pageEnded', result: applied() }, t0],
    ]);
    expect(nextStep(state, t0)).toEqual({ kind: 'publish' });
    const failure = { step: 'publish', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
    state = reduce(state, { kind: 'stepFailed', step: 'publish', failure }, t0);
    state = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + 1000);
    expect(nextStep(state, t0 + 1000 + policy.betweenUpdates)).toEqual({ kind: 'startRun' });
    expect(nextStep(state, t0 + policy.retryFirst)).toEqual({ kind: 'publish' });
  });
});

describe('removal', () => {
  it('goes before everything, then drains the outbox and ends', () => {
    let state = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    state = reduce(state, { kind: 'removalRequested' }, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'remove' });
    state = reduce(state, { kind: 'removed' }, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'publish' });
    state = reduce(state, { kind: 'taskEnded', task: 'publish', more: false }, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'end' });
  });

  it('a removed Item that is woken by a late webhook does nothing', () => {
    const state = stateFrom(snapshot({ removed: true, webhooksWaiting: 1 }), policy, t0);
    expect(nextStep(state, t0)).toEqual({ kind: 'end' });
  });
});

describe('an Item with which nobody is connected', () => {
  const row = { history: 'complete', hasCursor: true, nextDueAt: t0 } as const;
  const connected = (is: boolean): ItemEvent => ({
    kind: 'reloaded',
    snapshot: snapshot({ ...row, unconnected: !is, due: ['publish', 'numbers', 'itemWebhooks', 'removals'] }),
  });
  const busy: [string, ItemState][] = [
    ['is idle', populated()],
    ['is being updated', reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0)],
    ['is broken', stateFrom(snapshot({ ...row, broken: true }), policy, t0)],
    ['is to be read anew', stateFrom(snapshot({ ...row, remineRequested: true, remines: 1 }), policy, t0)],
  ];
  for (const [how, before] of busy) {
    it(`and that ${how} does nothing but publish what was written, whatever it is told`, () => {
      let state = reduce(before, connected(false), t0);
      for (const event of [
        { kind: 'webhook', webhook: 'update' },
        { kind: 'webhook', webhook: 'item' },
        { kind: 'relinked' },
        { kind: 'remineRequested', remines: 2 },
        { kind: 'linked' },
      ] as const) {
        state = reduce(state, event, t0 + 1);
      }
      expect(state.run).toBeNull();
      expect(nextStep(state, t0 + 1)).toEqual({ kind: 'publish' });
      state = reduce(state, { kind: 'taskEnded', task: 'publish', more: false }, t0 + 1);
      expect(nextStep(state, t0 + 3_600_000).kind).toBe('wait');
      expect(nextStep(reduce(state, { kind: 'removalRequested' }, t0 + 2), t0 + 2)).toEqual({
        kind: 'remove',
      });
    });
  }

  it('catches up at once when somebody is, also one that Plaid had nothing for yet', () => {
    for (const born of [populated(), stateFrom(snapshot(), policy, t0)]) {
      const before = { ...born, nextDueAt: t0 + 1e9, polls: 9 };
      const apart = reduce(before, { kind: 'reloaded', snapshot: snapshot({ unconnected: true }) }, t0);
      const again = reduce(apart, { kind: 'reloaded', snapshot: snapshot({ nextDueAt: t0 + 1e9 }) }, t0);
      expect(nextStep(again, t0 + policy.quiet)).toEqual({ kind: 'startRun' });
    }
  });
});

describe('a state rebuilt from the row', () => {
  it('takes up every intent', () => {
    const rebuilt = (changes: Partial<ItemSnapshot>) =>
      stateFrom(
        snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 1e9, ...changes }),
        policy,
        t0,
      );
    expect(nextStep(rebuilt({}), t0)).toEqual({ kind: 'wait', until: t0 + 48 * 3_600_000 });
    expect(nextStep(rebuilt({ due: ['publish'] }), t0)).toEqual({ kind: 'publish' });
    expect(nextStep(rebuilt({ due: ['numbers'] }), t0)).toEqual({ kind: 'numbers' });
    expect(nextStep(rebuilt({ due: ['removals'] }), t0)).toEqual({ kind: 'removals' });
    expect(nextStep(rebuilt({ removalRequested: true }), t0)).toEqual({ kind: 'remove' });
    expect(nextStep(rebuilt({ webhooksWaiting: 1 }), t0 + policy.quiet)).toEqual({ kind: 'startRun' });
    expect(nextStep(rebuilt({ nextDueAt: t0 }), t0)).toEqual({ kind: 'startRun' });
    const owned = rebuilt({ historyRunning: true, nextDueAt: t0 });
    expect(nextStep(owned, t0)).toEqual({ kind: 'askHistory' });
    expect(nextStep(reduce(owned, { kind: 'historyAsked' }, t0), t0).kind).toBe('wait');
    expect(nextStep(rebuilt({ broken: true, nextDueAt: t0 }), t0)).toEqual({ kind: 'check' });
  });
});

describe('a row that was read again', () => {
  const reloaded = (changes: Partial<ItemSnapshot>): ItemEvent => ({
    kind: 'reloaded',
    snapshot: snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 3_600_000, ...changes }),
  });

  it('never undoes what is under way: an update, a removal that was told, the end', () => {
    const running = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    expect(reduce(running, reloaded({}), t0)).toMatchObject({ phase: 'updating', run: { base: 'a' } });
    const asked = reduce(populated(), { kind: 'removalRequested' }, t0);
    expect(nextStep(reduce(asked, reloaded({}), t0), t0)).toEqual({ kind: 'remove' });
    const removed = reduce(populated(), { kind: 'removed' }, t0);
    expect(reduce(removed, reloaded({ webhooksWaiting: 1 }), t0)).toMatchObject({
      phase: 'removed',
      wanted: null,
    });
  });
});

describe('a step that fails', () => {
  const failure = { step: 'x', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
  const rebuilt = (changes: Partial<ItemSnapshot>): ItemState =>
    stateFrom(
      snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 1e9, ...changes }),
      policy,
      t0,
    );
  const deadEnd = { updateId: 'a', failure, error: null, cursorLost: true, dueAt: t0 };
  const paging = { ...populated(), child: { checkAt: t0, remine: false, number: 0, heldUp: false } };

  it.each<[WorkKind, ItemState]>([
    ['remove', rebuilt({ removalRequested: true })],
    ['reload', reduce(populated(), { kind: 'foundDue' }, t0)],
    ['check', reduce(rebuilt({ broken: true }), { kind: 'webhook', webhook: 'update' }, t0 - policy.quiet)],
    ['startRun', rebuilt({ nextDueAt: t0 })],
    ['remine', rebuilt({ remineRequested: true })],
    ['lookAtHistory', paging],
    ['reportDeadEnd', { ...populated(), deadEnd }],
    ['numbers', rebuilt({ due: ['numbers'] })],
    ['removals', rebuilt({ due: ['removals'] })],
    ['itemWebhooks', rebuilt({ due: ['itemWebhooks'] })],
    ['segment', rebuilt({ due: ['segment'] })],
    ['publish', rebuilt({ due: ['publish'] })],
  ])('%s is done again after a pause, and not before', (step, state) => {
    expect(nextStep(state, t0)).toEqual({ kind: step });
    const failed = reduce(state, { kind: 'stepFailed', step, failure }, t0);
    expect(nextStep(failed, t0)).toEqual({ kind: 'wait', until: t0 + policy.retryFirst });
    expect(nextStep(failed, t0 + policy.retryFirst)).toEqual({ kind: step });
    expect(newestFailure(failed.failing)).toBe(failure);
  });

  it('and is a removal lets nothing else begin meanwhile', () => {
    const state = play(populated(), [
      [{ kind: 'removalRequested' }, t0],
      [{ kind: 'stepFailed', step: 'remove', failure }, t0],
      [{ kind: 'webhook', webhook: 'update' }, t0],
      [{ kind: 'webhook', webhook: 'item' }, t0],
    ]);
    expect(nextStep(state, t0 + policy.quietDeadline)).toEqual({
      kind: 'wait',
      until: t0 + policy.retryFirst,
    });
  });
});

describe('an update that has ended', () => {
  const ended = (result: PageResult): [ItemEvent, number][] => [
    [{ kind: 'runStarted', updateId: 'a' }, t0],
    [{ kind: 'pageEnded', result }, t0],
  ];

  it('is followed by the next one after a rest, but for an Item that was linked just now', () => {
    const state = play(populated(), ended(applied({ changes: 0 }, 1)));
    expect(nextStep(state, t0 + policy.quiet)).toEqual({ kind: 'wait', until: t0 + policy.betweenUpdates });
    expect(nextStep(reduce(state, { kind: 'linked' }, t0), t0)).toEqual({ kind: 'startRun' });
  });

  it('leaves named removals that are still live to be looked up', () => {
    const result = { ...applied({ changes: 0 }), removalsWaiting: 1 } as PageResult;
    expect(nextStep(play(populated(), ended(result)), t0)).toEqual({ kind: 'removals' });
  });

  it('leaves a remine wanted that is not its own, and its number the highest', () => {
    const state = play(populated(), [
      [{ kind: 'remineRequested', remines: 3 }, t0],
      [{ kind: 'remineRequested', remines: 2 }, t0],
      ...ended(applied({ changes: 0 })),
    ]);
    expect([state.remineRequested, state.remines]).toEqual([true, 3]);
  });

  it('without an Item has the row looked at', () => {
    const state = play(populated(), ended({ kind: 'gone', calls: 1 }));
    expect(nextStep(state, t0)).toEqual({ kind: 'reload' });
  });

  it('for want of its user is not asked for again by what came meanwhile', () => {
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    const state = play(populated(), [
      [{ kind: 'runStarted', updateId: 'a' }, t0],
      [{ kind: 'webhook', webhook: 'update' }, t0],
      [{ kind: 'pageEnded', result: { kind: 'needsUser', error, calls: 1 } }, t0],
      [{ kind: 'taskEnded', task: 'segment', more: false }, t0],
    ]);
    expect(nextStep(state, t0 + policy.quietDeadline)).toEqual({
      kind: 'wait',
      until: t0 + policy.brokenCheck,
    });
  });

  it('elsewhere brings its calls along, and counts only where one was waited for', () => {
    const end: ItemEvent = {
      kind: 'historyEnded',
      remine: false,
      end: applied() as RunEnd,
      calls: { sync: [t0 - 1, t0], accounts: [t0] },
    };
    expect(reduce(populated(), end, t0)).toEqual(populated());
    const paged = play(populated(), [
      [{ kind: 'historyStarted' }, t0],
      [end, t0],
    ]);
    expect(paged.calls).toEqual({ sync: [t0 - 1, t0], accounts: [t0] });
  });

  it('was of the whole history when one of the webhooks said so', () => {
    const state = play(populated(), [
      [{ kind: 'webhook', webhook: 'history' }, t0],
      [{ kind: 'webhook', webhook: 'update' }, t0],
    ]);
    expect(nextStep(state, t0 + policy.quietDeadline)).toEqual({ kind: 'history' });
  });
});

describe('what an Item may ask of Plaid', () => {
  const { sync, accounts, window } = policy.limits;
  const running = (page: number, calls: ItemState['calls']): ItemState => {
    const state = reduce(populated(), { kind: 'runStarted', updateId: 'a' }, t0);
    return { ...state, calls, run: state.run && { ...state.run, page } };
  };
  const times = (n: number): number[] => Array.from({ length: n }, () => t0 - 1000);

  it('is a page when its calls of the last minute allow it', () => {
    const wait = { kind: 'wait', until: t0 - 1000 + window };
    expect(nextStep(running(0, { sync: times(sync - 1), accounts: [] }), t0)).toEqual({ kind: 'page' });
    expect(nextStep(running(0, { sync: times(sync), accounts: [] }), t0)).toEqual(wait);
    expect(nextStep(running(0, { sync: [], accounts: times(accounts) }), t0)).toEqual(wait);
    expect(nextStep(running(0, { sync: times(sync), accounts: [] }), wait.until)).toEqual({ kind: 'page' });
  });

  it('is nothing for a while when it is gone: the row says what it is', () => {
    const state = play(populated(), [
      [{ kind: 'itemWebhooksEnded', health: 'broken', numbersDue: false, more: false }, t0],
      [{ kind: 'taskEnded', task: 'segment', more: false }, t0],
      [{ kind: 'webhook', webhook: 'update' }, t0 + policy.brokenCheck],
      [{ kind: 'checked', result: 'gone' }, t0 + policy.brokenCheck],
      [{ kind: 'taskEnded', task: 'segment', more: false }, t0 + policy.brokenCheck],
    ]);
    expect(nextStep(state, t0 + policy.brokenCheck)).toEqual({ kind: 'reload' });
    expect(nextStep({ ...state, reloadAt: null }, t0 + policy.brokenCheck)).toEqual({
      kind: 'wait',
      until: t0 + 2 * policy.brokenCheck,
    });
  });

  it('are its numbers once more after it was relinked', () => {
    expect(reduce(populated(), { kind: 'relinked' }, t0).due.numbers?.at).toBe(t0);
  });
});

describe('a due time that the row has earlier than the working copy', () => {
  const due = (at: number): ItemEvent => ({
    kind: 'reloaded',
    snapshot: snapshot({ history: 'complete', hasCursor: true, nextDueAt: at }),
  });

  it('is kept by an idle Item, else the sweep would find it due for ever', () => {
    const state = play(populated(), [
      [{ kind: 'foundDue' }, t0],
      [due(t0 - 1), t0],
    ]);
    expect(nextStep(state, t0)).toEqual({ kind: 'startRun' });
  });

  it('and later than it changes nothing', () => {
    expect(reduce(populated(), due(t0 + 7_200_000), t0).nextDueAt).toBe(t0 + 3_600_000);
  });

  it('does not take from a poll the pause that it has earned', () => {
    const polling = play(stateFrom(snapshot(), policy, t0), [
      [{ kind: 'runStarted', updateId: 'u1' }, t0],
      [{ kind: 'pageEnded', result: { kind: 'notReady', calls: 1 } }, t0],
      [{ kind: 'reloaded', snapshot: snapshot({ nextDueAt: t0 - 60_000 }) }, t0],
    ]);
    expect(polling.nextDueAt).toBe(t0 + policy.pollFirst);
  });

  describe('of a broken Item', () => {
    const broken = (nextDueAt: number) =>
      snapshot({ history: 'complete', hasCursor: true, broken: true, nextDueAt });
    const sick = (): ItemState => stateFrom(broken(t0 + 3_600_000), policy, t0);

    it('makes it be asked after: an update went well, or an episode began that nobody was told of', () => {
      const state = reduce(sick(), { kind: 'reloaded', snapshot: broken(t0) }, t0);
      expect(nextStep(state, t0)).toEqual({ kind: 'check' });
    });

    it('and idle by its working copy makes both agree at once', () => {
      const state = reduce(populated(), { kind: 'reloaded', snapshot: broken(t0) }, t0);
      expect([state.phase, nextStep(state, t0)]).toEqual(['needs_relink', { kind: 'check' }]);
    });

    it.each<[string, ItemEvent[]]>([
      [
        'a webhook',
        [
          { kind: 'webhook', webhook: 'item' },
          { kind: 'itemWebhooksEnded', health: 'broken', numbersDue: false, repairSaid: true, more: false },
        ],
      ],
      ['a client', [{ kind: 'relinked' }, { kind: 'checked', result: 'broken' }]],
    ])('is asked again with pauses that grow from seconds where %s told of a repair', (_name, events) => {
      const broken = play(populated(), [
        [{ kind: 'runStarted', updateId: 'u1' }, t0],
        [{ kind: 'checked', result: 'broken' }, t0],
      ]);
      expect(broken.nextDueAt).toBe(t0 + policy.brokenCheck);
      let state = events.reduce((current, event) => reduce(current, event, t0), broken);
      const pauses: number[] = [];
      for (
        let now = t0;
        pauses.at(-1) !== policy.brokenCheck;
        state = reduce(state, { kind: 'checked', result: 'broken' }, now)
      ) {
        pauses.push(state.nextDueAt - now);
        now = state.nextDueAt;
        expect(pauses.length).toBeLessThan(20);
      }
      const { retryFirst } = policy;
      expect(pauses.slice(0, 3)).toEqual([retryFirst, 2 * retryFirst, 4 * retryFirst]);
      expect(state.unconfirmed).toBeUndefined();
      // It is confirmed: the next episode knows nothing of it.
      const again = play(
        events.reduce((current, event) => reduce(current, event, t0), broken),
        [
          [{ kind: 'checked', result: 'healthy' }, t0 + 1],
          [{ kind: 'checked', result: 'broken' }, t0 + 2],
        ],
      );
      expect(again.nextDueAt).toBe(t0 + 2 + policy.brokenCheck);
    });

    it('does not take from failing checks the pause that they have earned', () => {
      const failure = { step: 'check', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
      const failing = reduce(sick(), { kind: 'stepFailed', step: 'check', failure }, t0);
      const state = reduce(failing, { kind: 'reloaded', snapshot: broken(t0) }, t0);
      expect(state.nextDueAt).toBe(failing.nextDueAt);
      expect(state.nextDueAt).toBeGreaterThan(t0);
    });
  });
});

describe('any order of events', () => {
  const failure = { step: 'x', type: 'TIMED_OUT' as const, at: new Date(t0).toISOString() };
  const ended = fc.constantFrom<Exclude<RunEnd, { kind: 'stuck' }>>(
    {
      kind: 'applied',
      outcome: outcome(),
      webhooksWaiting: 1,
      removalsWaiting: 1,
      broken: false,
      nextDueAt: t0 + hour,
    },
    {
      kind: 'applied',
      outcome: outcome(),
      webhooksWaiting: 0,
      removalsWaiting: 0,
      broken: true,
      nextDueAt: t0,
    },
    { kind: 'notReady' },
    { kind: 'needsUser', error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' } },
    { kind: 'gone' },
  );
  const result = fc.oneof(
    ended.map((end): PageResult => ({ ...end, calls: 1 })),
    fc.constantFrom<PageResult>(
      { kind: 'staged', rows: 5, calls: 2 },
      { kind: 'moved', atDurableCursor: false, calls: 1 },
      { kind: 'moved', atDurableCursor: true, calls: 1 },
      { kind: 'refused', error: null, calls: 1 },
      { kind: 'doubted', failure: 'LOGIN_REQUIRED', calls: 1 },
    ),
  );
  const stuck = (cursorLost: boolean): RunEnd => ({
    kind: 'stuck',
    updateId: 'x',
    failure: { ...failure, type: 'PAGES_MOVED' },
    error: null,
    cursorLost,
  });
  const end: fc.Arbitrary<RunEnd> = fc.oneof(ended, fc.constantFrom(stuck(true), stuck(false)));
  const steps: WorkKind[] = [
    'page',
    'startRun',
    'history',
    'lookAtHistory',
    'publish',
    'numbers',
    'removals',
    'reload',
    'check',
    'remove',
    'remine',
    'stopHistory',
    'askHistory',
    'reportDeadEnd',
    'itemWebhooks',
    'segment',
  ];
  const event = fc.oneof(
    fc.constantFrom<ItemEvent>(
      { kind: 'linked' },
      { kind: 'webhook', webhook: 'update' },
      { kind: 'webhook', webhook: 'history' },
      { kind: 'webhook', webhook: 'removals' },
      { kind: 'removalRequested' },
      { kind: 'runStarted', updateId: 'x' },
      { kind: 'historyStarted' },
      { kind: 'historyLost' },
      { kind: 'historyAlive' },
      { kind: 'historyHeldUp', remine: false, failure },
      { kind: 'historyHeldUp', remine: true, failure: null },
      { kind: 'deadEndReported', remines: 4 },
      { kind: 'deadEndReported', remines: null },
      { kind: 'taskEnded', task: 'publish', more: false },
      { kind: 'taskEnded', task: 'publish', more: true },
      { kind: 'taskEnded', task: 'numbers', more: false },
      { kind: 'taskEnded', task: 'removals', more: false, makesDue: ['publish'] },
      { kind: 'taskEnded', task: 'removals', more: true, makesDue: ['publish'] },
      { kind: 'removed' },
      { kind: 'foundDue' },
      { kind: 'reloaded', snapshot: snapshot({ due: ['publish', 'numbers'], webhooksWaiting: 3 }) },
      { kind: 'reloaded', snapshot: snapshot({ broken: true, remineRequested: true, remines: 3 }) },
      { kind: 'reloaded', snapshot: null },
    ),
    fc.record({ kind: fc.constant('pageEnded' as const), result }),
    fc.record({
      kind: fc.constant('historyEnded' as const),
      remine: fc.boolean(),
      end,
      calls: fc.constant({ sync: [], accounts: [] }),
    }),
    fc.record({
      kind: fc.constant('checked' as const),
      result: fc.constantFrom('healthy' as const, 'broken' as const, 'gone' as const, 'unsure' as const),
    }),
    fc.record({
      kind: fc.constant('itemWebhooksEnded' as const),
      health: fc.constantFrom('healthy' as const, 'broken' as const, 'gone' as const, null),
      numbersDue: fc.boolean(),
      more: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('taskEnded' as const),
      task: fc.constant('segment' as const),
      more: fc.boolean(),
    }),
    fc.record({ kind: fc.constantFrom('relinked' as const, 'remineStarted' as const) }),
    fc.record({ kind: fc.constant('remineRequested' as const), remines: fc.integer({ min: 1, max: 9 }) }),
    fc.record({
      kind: fc.constant('stepFailed' as const),
      step: fc.constantFrom(...steps),
      failure: fc.constantFrom(failure, { ...failure, type: 'BAD_REQUEST' as const }),
    }),
  ) as fc.Arbitrary<ItemEvent>;

  /** Whatever has happened, the working copy names a time at which the Item is looked at though nobody asks. */
  const somethingIsDue = (state: ItemState): boolean => {
    if (state.phase === 'removed') return true;
    const at = state.child?.checkAt ?? state.run?.notBefore ?? Math.max(state.nextDueAt, state.restUntil);
    return Number.isFinite(at) && at <= t0 + 60 * 60_000 + 48 * 3_600_000;
  };

  it('keeps the state plain JSON, removed Items removed, the next step possible, and something due', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(event, fc.integer({ min: 0, max: 60_000 })), { maxLength: 60 }),
        (events) => {
          let now = t0;
          let state = stateFrom(snapshot(), policy, now);
          let removed = false;
          for (const [next, pause] of events) {
            now += pause;
            state = reduce(state, next, now);
            removed ||= next.kind === 'removed' || (next.kind === 'reloaded' && next.snapshot === null);
            if (removed) expect(state.phase).toBe('removed');
            expect(JSON.parse(JSON.stringify(state))).toEqual(state);
            const step = nextStep(state, now);
            if (step.kind === 'page') expect(state.run).not.toBeNull();
            if (step.kind === 'wait') expect(step.until).toBeGreaterThan(now);
            if (step.kind === 'end') expect(state.phase).toBe('removed');
            if (state.child !== null)
              expect(['page', 'startRun', 'history', 'remine']).not.toContain(step.kind);
            expect(somethingIsDue(state)).toBe(true);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
