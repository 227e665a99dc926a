import type { MiningRun, PageResult, RunAfter } from '../../../domain/mining/run.js';
import {
  afterPage,
  afterPageFailure,
  failureOf,
  furtherHistory,
  historyOf,
  startRun,
  updateIdOf,
} from '../../../domain/mining/run.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { rules } from '../item/core.js';

const t0 = Date.UTC(2026, 0, 1);
const runAfter = (run: MiningRun, kind: 'staged' | 'moved'): MiningRun => {
  const result: PageResult =
    kind === 'staged' ? { kind, rows: 500, calls: 1 } : { kind, atDurableCursor: false, calls: 1 };
  return runOf(afterPage(run, result, rules, t0));
};
const runOf = (after: RunAfter): MiningRun => {
  if (!('run' in after)) throw new Error('the run has ended');
  return after.run;
};
const down = { step: 'page', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
const failed = (run: MiningRun): MiningRun => runOf(afterPageFailure(run, down, rules, t0));

describe('a run', () => {
  it('has another id for each restart, so that no late page is taken for one of its own', () => {
    const ids: string[] = [];
    let run = startRun('u');
    for (let n = 0; n < 4; n += 1) {
      ids.push(updateIdOf(run));
      run = runAfter(run, 'moved');
    }
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toBe('u');
  });

  it('forgets its failures with the page that comes at last', () => {
    const twice = failed(failed(startRun('u')));
    expect([twice.failures, twice.notBefore]).toEqual([2, t0 + 2 * defaultPolicy.retryFirst]);
    expect(runAfter(twice, 'staged')).toMatchObject({ page: 1, rows: 500, failures: 0, notBefore: 0 });
  });
});

describe('a run whose pages bring nothing, and of which Plaid says each time that there are more', () => {
  const page = (run: MiningRun, rows: number): RunAfter =>
    afterPage(run, { kind: 'staged', rows, calls: 1 }, rules, t0);
  const emptyPages = (run: MiningRun, pages: number): MiningRun =>
    Array.from({ length: pages }).reduce<MiningRun>((now) => runOf(page(now, 0)), run);

  it.each([false, true])('ends, and is shown (from the start: %s)', (fromStart) => {
    const last = emptyPages(startRun('u', fromStart), defaultPolicy.emptyPages - 1);
    expect(page(last, 0)).toEqual({
      end: expect.objectContaining({
        kind: 'stuck',
        cursorLost: !fromStart,
        failure: expect.objectContaining({ type: 'PAGES_MOVED' }),
      }),
    });
  });

  it('goes on where one of them brings something, or it is carried from before they were counted', () => {
    const some = runOf(page(emptyPages(startRun('u'), defaultPolicy.emptyPages - 1), 1));
    expect(emptyPages(some, defaultPolicy.emptyPages - 1).page).toBe(2 * defaultPolicy.emptyPages - 1);
    const before = startRun('u');
    delete before.emptyPages;
    expect(emptyPages(before, 2)).toMatchObject({ page: 2, emptyPages: 2 });
  });
});

describe('a run whose pages lead nowhere', () => {
  it.each([false, true])('ends where the cursors go in a circle (from the start: %s)', (fromStart) => {
    const end = { kind: 'stuck', cursorLost: !fromStart, failure: { type: 'PAGES_MOVED' } };
    const circling: PageResult = { kind: 'circling', calls: 1 };
    expect(afterPage(startRun('u', fromStart), circling, rules, t0)).toMatchObject({ end });
    expect(failureOf(circling, t0)).toMatchObject({ type: 'PAGES_MOVED' });
  });

  it('ends after more pages than any Item has', () => {
    const last = { ...startRun('u'), page: defaultPolicy.pages - 2 };
    expect(runAfter(last, 'staged').page).toBe(defaultPolicy.pages - 1);
    const further = afterPage(runAfter(last, 'staged'), { kind: 'staged', rows: 500, calls: 1 }, rules, t0);
    expect(further).toMatchObject({ end: { kind: 'stuck', failure: { type: 'PAGES_MOVED' } } });
  });
});

describe('the history of an Item', () => {
  it('goes forward only, and a status that is not known changes nothing', () => {
    const statuses = [
      'NOT_READY',
      'INITIAL_UPDATE_COMPLETE',
      'HISTORICAL_UPDATE_COMPLETE',
      'ONE_OF_TOMORROW',
    ];
    expect(statuses.map(historyOf)).toEqual(['none', 'initial', 'complete', null]);
    expect(furtherHistory('initial', 'complete')).toBe('complete');
    expect(furtherHistory('complete', 'initial')).toBe('complete');
    expect(furtherHistory('initial', null)).toBe('initial');
  });
});
