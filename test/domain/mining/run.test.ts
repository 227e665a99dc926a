import type { MiningRun, PageResult, RunAfter } from '../../../domain/mining/run.js';
import {
  afterPage,
  afterPageFailure,
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
