import fc from 'fast-check';
import { newestFailure } from '../../../domain/item/failing.js';
import type { ItemEvent, ItemState, WorkKind } from '../../../domain/item/state.js';
import { nextStep, reduce, rules, stateFrom } from './core.js';
import type { MiningRun, PageResult, RunEnd, UpdateOutcome } from '../../../domain/mining/run.js';
import { afterPage, afterRemineStep, startRun, updateIdOf } from '../../../domain/mining/run.js';
import { setDue, taskDone } from '../../../domain/item/tasks.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { itemSnapshot as snapshot } from './itemSnapshot.js';

const t0 = Date.UTC(2026, 0, 1);
const policy = defaultPolicy;
const hour = 3_600_000;
const outcome: UpdateOutcome = {
  added: 0,
  modified: 0,
  removed: 0,
  accounts: 0,
  changes: 0,
  pages: 1,
  history: 'complete',
};
const applied: Extract<PageResult, { kind: 'applied' }> = {
  kind: 'applied',
  outcome,
  webhooksWaiting: 0,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: t0 + 36 * hour,
  calls: 1,
};
const withdrawn: PageResult = { kind: 'moved', atDurableCursor: true, calls: 1 };
const moved: PageResult = { kind: 'moved', atDurableCursor: false, calls: 1 };
const refused: PageResult = {
  kind: 'refused',
  error: { error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' },
  calls: 1,
};
const doubted: PageResult = { kind: 'doubted', failure: 'LOGIN_REQUIRED', calls: 1 };
const staged: PageResult = { kind: 'staged', rows: 500, calls: 1 };

const populated = (changes: Parameters<typeof snapshot>[0] = {}): ItemState =>
  stateFrom(
    snapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 10 * hour, ...changes }),
    policy,
    t0,
  );
const running = (state = populated()): ItemState => reduce(state, { kind: 'runStarted', updateId: 'a' }, t0);
const failureOf = (type: 'UPSTREAM_DOWN' | 'BAD_REQUEST' | 'TOKEN_REFUSED') => ({
  step: 'page',
  type,
  at: new Date(t0).toISOString(),
});

/** The answers in their order, each at the time at which it is asked for. */
function answer(state: ItemState, answers: PageResult[], from = t0): { state: ItemState; now: number } {
  let now = from;
  for (const result of answers) {
    let step = nextStep(state, now);
    for (; step.kind === 'wait'; step = nextStep(state, now)) now = step.until;
    expect(step).toEqual({ kind: 'page' });
    state = reduce(state, { kind: 'pageEnded', result }, now);
  }
  return { state, now };
}

describe('a durable cursor whose first page has moved', () => {
  it('is tried again after pauses, shown from the first time on, and given up for a reading from the start', () => {
    let { state, now } = answer(running(), [withdrawn]);
    expect(newestFailure(state.failing)).toMatchObject({ step: 'page', type: 'PAGES_MOVED' });
    expect(nextStep(state, now)).toEqual({ kind: 'wait', until: now + policy.retryFirst });
    ({ state, now } = answer(
      state,
      Array.from({ length: policy.cursorTries - 1 }, () => withdrawn),
      now,
    ));
    expect([state.run, state.deadEnd?.cursorLost]).toEqual([null, true]);
    expect(nextStep(state, now)).toEqual({ kind: 'reportDeadEnd' });
    state = reduce(state, { kind: 'deadEndReported', remines: 3 }, now);
    expect(nextStep(state, now)).toEqual({ kind: 'wait', until: now + policy.betweenUpdates });
    expect(nextStep(state, now + policy.betweenUpdates)).toEqual({ kind: 'remine' });
    expect([state.remines, state.cursorLost]).toEqual([3, true]);
  });

  it('is not given up for moves further on, which are no fault of its own', () => {
    const some = Array.from({ length: policy.cursorTries - 1 }, () => withdrawn);
    const { state } = answer(running(), [...some, staged, moved, ...some]);
    expect(state.run).not.toBeNull();
  });

  it('is given up too when an update has been begun again too often', () => {
    const { state } = answer(
      running(),
      Array.from({ length: policy.restartsInAll }, () => moved),
    );
    expect(state.deadEnd).toMatchObject({ cursorLost: true, failure: { type: 'PAGES_MOVED' } });
  });

  it('is read from the start although the history is not complete', () => {
    const young = running(populated({ history: 'initial' }));
    const { state, now } = answer(young, [refused, refused]);
    const reported = reduce(state, { kind: 'deadEndReported', remines: 1 }, now);
    expect(nextStep(reported, now + policy.betweenUpdates)).toEqual({ kind: 'remine' });
  });
});

describe('a durable cursor that Plaid refuses', () => {
  const wrong = (error_code: string): PageResult => ({
    kind: 'refused',
    error: { error_type: 'INVALID_REQUEST', error_code },
    calls: 1,
  });

  it('is asked with once more after a pause, and goes on where that was all', () => {
    const { state, now } = answer(running(), [refused]);
    expect([state.deadEnd, newestFailure(state.failing)]).toMatchObject([null, { type: 'BAD_REQUEST' }]);
    expect(nextStep(state, now)).toEqual({ kind: 'wait', until: now + policy.retryFirst });
    const later = answer(state, [staged, applied], now).state;
    expect([later.phase, later.deadEnds, newestFailure(later.failing)]).toEqual(['idle', 0, null]);
  });

  it.each(['UNKNOWN_FIELDS', 'NOT_FOUND', 'INVALID_HEADERS', 'MISSING_FIELDS'])(
    'for what is no fault of the cursor (%s) is kept: the update ends, and is tried again with pauses',
    (code) => {
      let { state, now } = answer(running(), [wrong(code)]);
      for (const deadEnds of [1, 2, 3]) {
        expect(state).toMatchObject({
          deadEnds,
          deadEnd: { cursorLost: false, error: { error_code: code } },
        });
        state = reduce(state, { kind: 'deadEndReported', remines: null }, now);
        expect([state.remineRequested, state.cursorLost]).toEqual([false, false]);
        const pause = policy.retryFirst * 2 ** (deadEnds - 1);
        expect(nextStep(state, now)).toEqual({ kind: 'wait', until: now + pause });
        now += pause;
        state = reduce(state, { kind: 'runStarted', updateId: `u${deadEnds}` }, now);
        ({ state, now } = answer(state, deadEnds === 3 ? [applied] : [wrong(code)], now));
      }
      expect(newestFailure(state.failing)).toBeNull();
    },
  );

  it('is given up the second time, and for the second time in a row only after a pause', () => {
    const { state, now } = answer(running(), [refused, refused]);
    expect(state.deadEnd).toMatchObject({ error: { error_code: 'INVALID_FIELD' }, cursorLost: true });
    expect(newestFailure(state.failing)).toMatchObject({ type: 'BAD_REQUEST' });
    let again = reduce(state, { kind: 'deadEndReported', remines: 1 }, now);
    again = reduce(again, { kind: 'remineStarted' }, now);
    const end: ItemEvent = {
      kind: 'historyEnded',
      remine: true,
      end: applied,
      calls: { sync: [], accounts: [] },
    };
    again = reduce(again, end, now);
    expect([again.cursorLost, again.remineRequested]).toEqual([false, false]);
    const second = answer(running(again), [refused, refused], now);
    again = reduce(second.state, { kind: 'deadEndReported', remines: 2 }, second.now);
    expect(nextStep(again, second.now + policy.betweenUpdates).kind).toBe('wait');
    expect(again.restUntil).toBeGreaterThanOrEqual(second.now + policy.retryFirst);
  });

  it('in the middle of an update is begun again from its first page', () => {
    const { state } = answer(running(), [staged, refused]);
    expect(state.run).toMatchObject({ page: 0, restarts: 1, fromStart: false });
  });
});

describe('an update that was given up', () => {
  it.each<[string, ItemState, PageResult]>([
    ['refused without a cursor', running(populated({ hasCursor: false, history: 'none' })), refused],
    ['refused with one', running(), refused],
  ])('(%s) holds nothing else of the Item up', (_name, from, result) => {
    const { state, now } = answer(from, [result]);
    const reported = reduce(state, { kind: 'deadEndReported', remines: null }, now);
    const told: [ItemEvent, WorkKind][] = [
      [{ kind: 'webhook', webhook: 'item' }, 'itemWebhooks'],
      [{ kind: 'removalRequested' }, 'remove'],
    ];
    for (const [event, step] of told)
      expect(nextStep(reduce(reported, event, now), now)).toEqual({ kind: step });
    expect(nextStep({ ...reported, due: setDue(reported.due, 'numbers', now) }, now)).toEqual({
      kind: 'numbers',
    });
    expect(nextStep({ ...reported, due: setDue(reported.due, 'removals', now) }, now)).toEqual({
      kind: 'removals',
    });
  });

  it('is tried again with pauses that grow to the longest, and is not forgotten', () => {
    let { state } = { state: populated() };
    let now = t0;
    const pauses: number[] = [];
    for (let n = 0; n < 16; n += 1) {
      state = reduce(state, { kind: 'runStarted', updateId: `u${n}` }, now);
      state = reduce(state, { kind: 'stepFailed', step: 'page', failure: failureOf('BAD_REQUEST') }, now);
      expect([state.run, newestFailure(state.failing)?.type]).toEqual([null, 'BAD_REQUEST']);
      expect(nextStep(state, now)).toEqual({ kind: 'reportDeadEnd' });
      state = reduce(state, { kind: 'deadEndReported', remines: null }, now);
      const step = nextStep(state, now);
      if (step.kind !== 'wait') throw new Error(`no pause but ${step.kind}`);
      pauses.push(step.until - now);
      now = step.until;
      expect(nextStep(state, now)).toEqual({ kind: 'startRun' });
    }
    expect([pauses[0], pauses.at(-1)]).toEqual([policy.retryFirst, policy.retryLongest]);
    expect([...pauses].sort((a, b) => a - b)).toEqual(pauses);
  });

  it('gives way at once to a remine that somebody asks for', () => {
    let state = populated();
    for (let n = 0; n < 8; n += 1) {
      state = answer(running(state), [refused]).state;
      state = reduce(state, { kind: 'deadEndReported', remines: null }, t0);
    }
    expect(nextStep(state, t0 + policy.betweenUpdates).kind).toBe('wait');
    const asked = reduce(state, { kind: 'remineRequested', remines: 5 }, t0);
    expect(nextStep(asked, t0 + policy.betweenUpdates)).toEqual({ kind: 'remine' });
    const row = snapshot({ history: 'complete', hasCursor: true, remineRequested: true, remines: 5 });
    const found = reduce(state, { kind: 'reloaded', snapshot: row }, t0);
    expect(nextStep(found, t0 + policy.betweenUpdates)).toEqual({ kind: 'remine' });
  });
});

describe('an update whose page cannot be had', () => {
  const down = (state: ItemState): ItemState =>
    reduce(state, { kind: 'stepFailed', step: 'page', failure: failureOf('UPSTREAM_DOWN') }, t0);

  it('holds up neither numbers nor named removals', () => {
    const state = down(running(populated({ due: ['numbers', 'removals'] })));
    expect(nextStep(state, t0)).toEqual({ kind: 'numbers' });
    expect(nextStep({ ...state, due: taskDone(state.due, 'numbers', false, t0) }, t0)).toEqual({
      kind: 'removals',
    });
    expect(nextStep(state, t0 + policy.retryFirst)).toEqual({ kind: 'page' });
  });

  it('gives way to a remine, which begins with what it was to do', () => {
    const asked = reduce(down(running()), { kind: 'remineRequested', remines: 2 }, t0);
    expect(nextStep(asked, t0)).toEqual({ kind: 'remine' });
    const started = reduce(asked, { kind: 'remineStarted' }, t0);
    expect([started.run, started.child?.remine]).toEqual([null, true]);
    const busy = reduce(running(), { kind: 'remineRequested', remines: 2 }, t0);
    expect(nextStep(busy, t0)).toEqual({ kind: 'page' });
  });

  it('gives way also when pageHistory owns it, is shown, and holds up no numbers', () => {
    const owned = reduce(populated({ due: ['numbers'] }), { kind: 'historyStarted' }, t0);
    const failure = failureOf('UPSTREAM_DOWN');
    const held = reduce(owned, { kind: 'historyHeldUp', remine: false, failure }, t0);
    expect(newestFailure(held.failing)).toEqual(failure);
    expect(nextStep(held, t0)).toEqual({ kind: 'numbers' });
    const asked = reduce(held, { kind: 'remineRequested', remines: 2 }, t0);
    expect(nextStep(asked, t0)).toEqual({ kind: 'stopHistory' });
    const stopped = reduce(asked, { kind: 'historyLost' }, t0);
    expect(nextStep(stopped, t0)).toEqual({ kind: 'remine' });
    const better = reduce(asked, { kind: 'historyHeldUp', remine: false, failure: null }, t0);
    expect(nextStep(better, t0)).toEqual({ kind: 'numbers' });
  });

  it('and whose child was given up is not taken for the child that runs now', () => {
    const remine = reduce(populated(), { kind: 'remineStarted' }, t0);
    const end: ItemEvent = {
      kind: 'historyEnded',
      remine: false,
      end: applied,
      calls: { sync: [], accounts: [] },
    };
    expect(reduce(remine, end, t0)).toEqual(remine);
    const failure = failureOf('UPSTREAM_DOWN');
    expect(reduce(remine, { kind: 'historyHeldUp', remine: false, failure }, t0)).toEqual(remine);
  });
});

describe('a remine', () => {
  const step = (run: MiningRun, result: PageResult, lost = false) =>
    afterRemineStep(run, afterPage(run, result, rules, t0), { ...rules, cursorLost: lost }, t0);
  const runOf = (after: ReturnType<typeof step>): MiningRun => {
    if (!('run' in after)) throw new Error('it has ended');
    return after.run;
  };

  it('first goes from the durable cursor to its end, and then reads everything from the start', () => {
    const first = startRun('r');
    const second = runOf(step(runOf(step(first, staged)), applied));
    expect([first.fromStart, second.fromStart, second.page]).toEqual([false, true, 0]);
    // The cursor alone tells of what came or went between the two.
    expect(second.keepsCursor).toBe(true);
    expect(step(second, applied)).toEqual({ end: applied });
  });

  it('that is begun again hears first what was removed meanwhile, under ids of their own', () => {
    const ids: string[] = [];
    let run = startRun('r');
    for (let n = 0; n < 5; n += 1) {
      ids.push(updateIdOf(run));
      run = runOf(step(run, applied));
      ids.push(updateIdOf(run));
      run = runOf(step(runOf(step(run, staged)), moved));
      expect(run.fromStart).toBe(false);
    }
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('of an Item whose cursor leads nowhere goes without, says so once, and reuses no id', () => {
    const first = startRun('r');
    const lost = step(runOf(step(first, refused)), refused);
    expect(lost).toMatchObject({ lost: { cursorLost: true }, run: { fromStart: true, restarts: 0 } });
    const again = runOf(step(runOf(step(runOf(lost), staged, true)), moved, true));
    expect(again).toMatchObject({ fromStart: true, restarts: 1 });
    expect(new Set([first, runOf(lost), again].map(updateIdOf)).size).toBe(3);
    expect([runOf(lost).keepsCursor, again.keepsCursor]).toEqual([undefined, undefined]);
    // The cursor of that reading leads on: a later reading keeps what was reached from there, whatever comes between.
    const missing: PageResult = { ...applied, outcome: { ...outcome, missed: 2 } };
    const later = runOf(step(runOf(step(again, missing, true)), applied, true));
    const laterAgain = runOf(step(runOf(step(later, staged, true)), moved, true));
    expect([later, laterAgain]).toMatchObject([
      { keepsCursor: true },
      { fromStart: true, keepsCursor: true },
    ]);
  });

  it('that misses rows reads everything once more, but not for ever', () => {
    const missing: PageResult = { ...applied, outcome: { ...outcome, missed: 2 } };
    const ids: string[] = [];
    let run = startRun('r');
    for (let reading = 1; reading < policy.readings; reading += 1) {
      ids.push(updateIdOf(run));
      const fromStart = runOf(step(run, applied));
      ids.push(updateIdOf(fromStart));
      // What was removed between two readings only the cursor tells.
      run = runOf(step(runOf(step(fromStart, staged)), missing));
      // Later: what is short for a moment would be so twice.
      expect([run.fromStart, run.notBefore]).toEqual([false, t0 + policy.doubtPause]);
      // The other one misses nothing new.
      expect(step(runOf(step(run, applied)), applied)).toEqual({ end: applied });
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect(step(runOf(step(run, applied)), missing)).toEqual({ end: missing });
  });

  it.each<[string, Partial<UpdateOutcome>]>([
    ['PRODUCT_UNAVAILABLE', { unread: 'PRODUCT_UNAVAILABLE' }],
    ['NOT_READY', { unread: 'NOT_READY' }],
    ['PAGES_MOVED', { missed: 1 }],
  ])(
    'that was no whole reading shows why (%s), and is repeated with pauses that somebody can end',
    (type, more) => {
      const calls = { sync: [], accounts: [] };
      const tried = (state: ItemState, at: number) => {
        const started = reduce(state, { kind: 'remineStarted' }, at);
        const end: RunEnd = { ...applied, outcome: { ...outcome, ...more } };
        return reduce(started, { kind: 'historyEnded', remine: true, end, calls }, at);
      };
      const first = tried(reduce(populated(), { kind: 'remineRequested', remines: 2 }, t0), t0);
      expect([first.phase, first.remineRequested]).toEqual(['idle', true]);
      expect(newestFailure(first.failing)).toMatchObject({ step: 'remine', type });
      expect(nextStep(first, t0)).toEqual({ kind: 'wait', until: t0 + policy.retryFirst });
      const second = tried(first, t0 + policy.retryFirst);
      const until = t0 + 3 * policy.retryFirst;
      expect(nextStep(second, t0 + policy.retryFirst)).toEqual({ kind: 'wait', until });
      // Updates go on between its tries, and do not end its pause.
      const updated = reduce(
        reduce(second, { kind: 'runStarted', updateId: 'u' }, t0 + policy.retryFirst),
        { kind: 'pageEnded', result: applied },
        t0 + policy.retryFirst,
      );
      expect([updated.remineRequested, updated.unread]).toEqual([true, { tries: 2, until }]);
      let late = second;
      for (let n = 0; n < 12; n += 1) late = tried(late, t0 + hour);
      expect(late.unread?.until).toBe(t0 + hour + policy.retryLongest);
      const asked = reduce(late, { kind: 'remineRequested', remines: 2 }, t0 + hour);
      expect(asked.unread?.until).toBe(t0 + hour + policy.retryAsked);
      const started = reduce(asked, { kind: 'remineStarted' }, t0 + 2 * hour);
      const whole = reduce(
        started,
        { kind: 'historyEnded', remine: true, end: applied, calls },
        t0 + 2 * hour,
      );
      expect([whole.remineRequested, whole.unread, newestFailure(whole.failing)]).toEqual([
        false,
        undefined,
        null,
      ]);
    },
  );

  it('that is refused from the start ends, and is still asked for', () => {
    const second = startRun('r', true);
    const ended = step(runOf(step(second, refused, true)), refused, true);
    expect(ended).toMatchObject({ end: { kind: 'stuck', cursorLost: false } });
    const state = reduce(
      reduce(populated(), { kind: 'remineRequested', remines: 2 }, t0),
      { kind: 'remineStarted' },
      t0,
    );
    const { end } = ended as { end: RunEnd };
    const calls = { sync: [], accounts: [] };
    const after = reduce(state, { kind: 'historyEnded', remine: true, end, calls }, t0);
    expect([after.child, after.remineRequested, after.deadEnds]).toEqual([null, true, 1]);
    expect(nextStep(after, t0)).toEqual({ kind: 'reportDeadEnd' });
    const reported = reduce(after, { kind: 'deadEndReported', remines: null }, t0);
    expect(nextStep(reported, t0)).toEqual({ kind: 'wait', until: t0 + policy.retryFirst });
    expect(nextStep(reported, t0 + policy.retryFirst)).toEqual({ kind: 'remine' });
  });
});

describe('an update that is refused for want of the user', () => {
  it('is repeated after pauses while /item/get calls the Item healthy, at the same page', () => {
    const { state, now } = answer(running(), [staged, doubted]);
    expect(state).toMatchObject({ phase: 'updating', run: { page: 1, doubts: 1 } });
    expect(newestFailure(state.failing)).toMatchObject({ type: 'LOGIN_REQUIRED' });
    expect(nextStep(state, now)).toEqual({ kind: 'wait', until: now + policy.retryFirst });
    expect(answer(state, [staged], now).state.run).toMatchObject({ page: 2, doubts: 0 });
  });

  it('and whose Item then is found in between is asked after soon, with pauses that grow', () => {
    let state = populated({ broken: true, nextDueAt: t0 });
    let now = t0;
    const pauses: number[] = [];
    for (let n = 0; n < 14; n += 1) {
      expect(nextStep(state, now)).toEqual({ kind: 'check' });
      state = reduce(state, { kind: 'checked', result: 'unsure' }, now);
      state = reduce(state, { kind: 'taskEnded', task: 'segment', more: false }, now);
      expect(state.phase).toBe('needs_relink');
      pauses.push(state.nextDueAt - now);
      now = state.nextDueAt;
    }
    expect([pauses[0], pauses.at(-1)]).toEqual([policy.retryFirst, policy.brokenCheck]);
  });
});

describe('an Item that is found broken while an update runs', () => {
  const broken = snapshot({ history: 'complete', hasCursor: true, broken: true, nextDueAt: t0 + 6 * hour });

  it('waits for its user as soon as the row is looked at, and the run is dropped', () => {
    const state = reduce(running(), { kind: 'reloaded', snapshot: broken }, t0);
    expect([state.phase, state.run]).toEqual(['needs_relink', null]);
    expect(nextStep(state, t0)).toEqual({ kind: 'wait', until: t0 + 6 * hour });
  });

  it('is asked after at once when the update ends well, and never in a day and a half', () => {
    const { state, now } = answer(running(), [{ ...applied, broken: true, nextDueAt: t0 }]);
    expect(state.phase).toBe('needs_relink');
    expect(nextStep(state, now)).toEqual({ kind: 'check' });
    const checked = reduce(state, { kind: 'checked', result: 'broken' }, now);
    expect(checked.nextDueAt).toBe(now + policy.brokenCheck);
  });

  it('is asked after while a child pages, and one that was mended meanwhile waits no longer', () => {
    const paging = reduce(populated(), { kind: 'historyStarted' }, t0);
    let state = reduce(paging, { kind: 'reloaded', snapshot: broken }, t0);
    state = { ...state, child: state.child && { ...state.child, checkAt: t0 + 100 * hour } };
    expect(state.phase).toBe('needs_relink');
    expect(nextStep(state, t0 + 6 * hour)).toEqual({ kind: 'check' });
    const mended = reduce(state, { kind: 'checked', result: 'healthy' }, t0 + 6 * hour);
    expect(mended.phase).toBe('updating');
    const end: ItemEvent = {
      kind: 'historyEnded',
      remine: false,
      end: applied,
      calls: { sync: [], accounts: [] },
    };
    expect(reduce(state, end, t0).phase).toBe('idle');
  });
});

describe('whatever Plaid answers, for ever', () => {
  /** What the world answers to a step, in ever the same way. */
  interface Mood {
    name: string;
    page: PageResult | ReturnType<typeof failureOf>;
  }
  const moods: Mood[] = [
    { name: 'withdrawn', page: withdrawn },
    { name: 'moved', page: moved },
    { name: 'refused', page: refused },
    { name: 'doubted', page: doubted },
    { name: 'down', page: failureOf('UPSTREAM_DOWN') },
    { name: 'badly asked', page: failureOf('BAD_REQUEST') },
    { name: 'token refused', page: failureOf('TOKEN_REFUSED') },
  ];

  interface Played {
    state: ItemState;
    now: number;
    /** Steps that were done, with their times. */
    done: [WorkKind, number][];
  }

  /** Does what the working copy asks for until `until`; a child is a run of its own, and meets the same mood. */
  function live(from: ItemState, mood: Mood | null, start: number, until: number): Played {
    let state = from;
    let now = start;
    let remines = 10;
    const done: Played['done'] = [];
    const calls = { sync: [], accounts: [] };
    let child: MiningRun | null = null;
    const appliedNow = () => ({ ...applied, nextDueAt: now + policy.updateTimeout });
    const pageEvent = (): ItemEvent =>
      mood === null
        ? { kind: 'pageEnded', result: appliedNow() }
        : 'kind' in mood.page
          ? state.run !== null && mood.page.kind === 'doubted' && state.run.doubts >= policy.doubts
            ? { kind: 'pageEnded', result: needsUser }
            : { kind: 'pageEnded', result: mood.page }
          : { kind: 'stepFailed', step: 'page', failure: mood.page };
    const childEnd = (): RunEnd =>
      mood === null
        ? appliedNow()
        : { kind: 'stuck', updateId: 'c', failure: failureOf('BAD_REQUEST'), error: null, cursorLost: false };
    for (let steps = 0; now < until; steps += 1) {
      // Far above what the pauses of a week allow: who gets there runs in circles.
      if (steps > 20_000) throw new Error(`no rest in the mood ${mood?.name}`);
      const step = nextStep(state, now);
      if (step.kind === 'wait') {
        now = Math.min(step.until, until);
        continue;
      }
      if (step.kind === 'end') break;
      done.push([step.kind, now]);
      const events: Record<WorkKind, () => ItemEvent> = {
        reload: () => ({ kind: 'taskEnded', task: 'publish', more: false }),
        startRun: () => ({ kind: 'runStarted', updateId: `u${steps}` }),
        page: pageEvent,
        history: () => ((child = startRun('c')), { kind: 'historyStarted' }),
        remine: () => ((child = startRun('c')), { kind: 'remineStarted' }),
        lookAtHistory: () => {
          const remine = state.child?.remine === true;
          const ended = child !== null;
          child = null;
          return ended ? { kind: 'historyEnded', remine, end: childEnd(), calls } : { kind: 'historyLost' };
        },
        askHistory: () => ({ kind: 'historyAsked' }),
        stopHistory: () => ((child = null), { kind: 'historyLost' }),
        publish: () => ({ kind: 'taskEnded', task: 'publish', more: false }),
        segment: () => ({ kind: 'taskEnded', task: 'segment', more: false }),
        numbers: () => ({ kind: 'taskEnded', task: 'numbers', more: false }),
        removals: () => ({ kind: 'taskEnded', task: 'removals', more: false }),
        check: () => ({
          kind: 'checked',
          result: mood?.name === 'doubted' ? 'unsure' : 'healthy',
        }),
        itemWebhooks: () => ({
          kind: 'itemWebhooksEnded',
          health: 'healthy',
          numbersDue: false,
          more: false,
        }),
        reportDeadEnd: () => ({
          kind: 'deadEndReported',
          remines: state.deadEnd?.cursorLost === true && state.hasCursor ? (remines += 1) : null,
        }),
        remove: () => ({ kind: 'removed' }),
      };
      state = reduce(state, events[step.kind](), now);
    }
    return { state, now, done };
  }
  const needsUser: PageResult = {
    kind: 'needsUser',
    error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
    calls: 1,
  };

  const told = fc.array(
    fc.constantFrom<ItemEvent>(
      { kind: 'webhook', webhook: 'update' },
      { kind: 'webhook', webhook: 'history' },
      { kind: 'webhook', webhook: 'removals' },
      { kind: 'webhook', webhook: 'item' },
      { kind: 'remineRequested', remines: 7 },
      { kind: 'relinked' },
      { kind: 'linked' },
      { kind: 'historyStarted' },
      { kind: 'runStarted', updateId: 'x' },
      {
        kind: 'reloaded',
        snapshot: snapshot({ hasCursor: true, history: 'complete', due: ['numbers', 'removals'] }),
      },
    ),
    { maxLength: 12 },
  );

  it('an Item is tried again, shows why, keeps the pace, and is well once Plaid is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...moods),
        told,
        fc.boolean(),
        fc.constantFrom('none' as const, 'complete' as const),
        (mood, events, hasCursor, history) => {
          let state = populated({ hasCursor, history, nextDueAt: t0 });
          for (const event of events) state = reduce(state, event, t0);
          const week = live(state, mood, t0, t0 + 7 * 24 * hour);
          // It is seen.
          const shown = week.state.phase === 'needs_relink' || newestFailure(week.state.failing) !== null;
          expect([mood.name, shown]).toEqual([mood.name, true]);
          // It is tried again, and not in circles.
          const tries = week.done.filter(
            ([step]) => step === 'page' || step === 'remine' || step === 'check',
          );
          const lastDay = tries.filter(([, at]) => at > t0 + 6 * 24 * hour).length;
          expect([mood.name, lastDay > 0, lastDay < 200]).toEqual([mood.name, true, true]);
          // Operators are told of what no waiting mends.
          if (!['down', 'token refused', 'doubted'].includes(mood.name)) {
            expect([mood.name, week.done.some(([step]) => step === 'reportDeadEnd')]).toEqual([
              mood.name,
              true,
            ]);
          }
          // What needs no transactions is done all the same, unless the Item waits for its user.
          if (week.state.phase !== 'needs_relink') {
            const more = reduce(
              week.state,
              { kind: 'reloaded', snapshot: snapshot({ hasCursor, history, due: ['numbers'] }) },
              week.now,
            );
            const after = live(more, mood, week.now, week.now + policy.childCheck);
            expect([mood.name, after.done.some(([step]) => step === 'numbers')]).toEqual([mood.name, true]);
          }
          // Plaid is well again.
          const well = live(week.state, null, week.now, week.now + 2 * policy.retryLongest + hour);
          expect([mood.name, well.state.phase, newestFailure(well.state.failing), well.state.run]).toEqual([
            mood.name,
            'idle',
            null,
            null,
          ]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('what is shown to fail', () => {
  const at = (type: 'ORCHESTRATOR_DOWN' | 'UPSTREAM_DOWN', step: WorkKind): ItemEvent => ({
    kind: 'stepFailed',
    step,
    failure: { step, type, at: new Date(t0).toISOString() },
  });
  const calls = { sync: [], accounts: [] };

  it.each([false, true])('of a child (remine: %s) goes with the child', (remine) => {
    let state = reduce(populated(), remine ? { kind: 'remineStarted' } : { kind: 'historyStarted' }, t0);
    state = reduce(state, at('ORCHESTRATOR_DOWN', 'lookAtHistory'), t0);
    expect(newestFailure(state.failing)).toMatchObject({ step: 'lookAtHistory' });
    state = reduce(state, { kind: 'historyEnded', remine, end: applied, calls }, t0);
    expect(state.failing).toEqual({});
  });

  it('of the beginning of a child goes with the update that was made without it', () => {
    let state = reduce(populated(), at('ORCHESTRATOR_DOWN', 'history'), t0);
    state = reduce(
      reduce(state, { kind: 'runStarted', updateId: 'u' }, t0),
      { kind: 'pageEnded', result: applied },
      t0,
    );
    expect(state.failing).toEqual({});
  });

  it('of a check goes with any answer of /item/get', () => {
    let state = reduce(populated({ broken: true }), at('UPSTREAM_DOWN', 'check'), t0);
    const ended = { kind: 'itemWebhooksEnded', numbersDue: false, more: false } as const;
    expect(reduce(state, { ...ended, health: null }, t0).failing).toHaveProperty('check');
    state = reduce(state, { ...ended, health: 'broken' }, t0);
    expect(state.failing).toEqual({});
  });
});

describe('named removals that cannot be looked up', () => {
  it('are left to a remine, which begins by itself', () => {
    const due = populated({ due: ['removals'] });
    const ended: ItemEvent = { kind: 'taskEnded', task: 'removals', more: false, remineAsked: 3 };
    const state = reduce(due, ended, t0);
    expect(state).toMatchObject({ due: {}, remineRequested: true, remines: 3 });
    expect(nextStep(state, t0)).toEqual({ kind: 'remine' });
    const removed = reduce({ ...due, phase: 'removed' }, ended, t0);
    expect(removed.remineRequested).toBe(false);
  });
});
