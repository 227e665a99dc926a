import { defaultPolicy } from '../../../domain/item/policy.js';
import type { ItemEvent, ItemState } from '../../../domain/item/state.js';
import { nextStep, reduce, stateFrom } from './core.js';
import { itemSnapshot } from './itemSnapshot.js';

const t0 = Date.parse('2026-11-20T08:00:00Z');
const minute = 60_000;
const hour = 60 * minute;
const { retryAsked, retryLongest, retryBank } = defaultPolicy;

const idle = (): ItemState =>
  stateFrom(
    itemSnapshot({ hasCursor: true, history: 'complete', nextDueAt: t0 + 30 * hour, due: [] }),
    defaultPolicy,
    t0,
  );

const failed = (
  step: 'page' | 'publish' | 'remove',
  type: 'UPSTREAM_DOWN' | 'INSTITUTION_DOWN',
  at: number,
) =>
  ({
    kind: 'stepFailed',
    step,
    failure: { step, type, at: new Date(at).toISOString() },
  }) satisfies ItemEvent;

/** An Item whose page has failed at `t0` for the twentieth time in a row: its pause is the longest. */
function longPaused(type: 'UPSTREAM_DOWN' | 'INSTITUTION_DOWN' = 'UPSTREAM_DOWN'): ItemState {
  let state = reduce(idle(), { kind: 'runStarted', updateId: 'u1' }, t0);
  for (let failures = 0; failures < 20; failures += 1) state = reduce(state, failed('page', type, t0), t0);
  return state;
}

const requests: [string, ItemEvent][] = [
  ['a webhook', { kind: 'webhook', webhook: 'update' }],
  ['a webhook about the Item', { kind: 'webhook', webhook: 'item' }],
  ['update mode', { kind: 'relinked' }],
  ['a link', { kind: 'linked' }],
  ['a remine', { kind: 'remineRequested', remines: 1 }],
];

describe('the pause of what fails', () => {
  it.each(requests)('of a page ends with %s, a minute after the last try', (_name, event) => {
    const state = longPaused();
    expect(state.run?.notBefore).toBe(t0 + retryLongest);
    expect(reduce(state, event, t0 + hour).run?.notBefore).toBe(t0 + hour);
    expect(reduce(state, event, t0 + 1).run?.notBefore).toBe(t0 + retryAsked);
  });

  it('is not made longer by anybody', () => {
    const state = reduce(idle(), { kind: 'runStarted', updateId: 'u1' }, t0);
    const once = reduce(state, failed('page', 'UPSTREAM_DOWN', t0), t0);
    for (const [, event] of requests) {
      expect(reduce(once, event, t0 + 1).run?.notBefore).toBe(once.run?.notBefore);
    }
  });

  it('is no shorter than the other side asked for, and keeps no removal waiting', () => {
    const state = reduce(idle(), { kind: 'runStarted', updateId: 'u1' }, t0);
    const { failure } = failed('page', 'UPSTREAM_DOWN', t0);
    const asked = { ...failure, retryAfter: new Date(t0 + 2 * hour).toISOString() };
    const paused = reduce(state, { kind: 'stepFailed', step: 'page', failure: asked }, t0);
    expect(paused.run?.notBefore).toBe(t0 + 2 * hour);
    expect(nextStep(paused, t0 + hour)).toMatchObject({ kind: 'wait' });
    // Whoever asks: it is the other side that would refuse them.
    for (const [, event] of requests)
      expect(reduce(paused, event, t0 + hour).run?.notBefore).toBe(t0 + 2 * hour);
    const removed = reduce(paused, { kind: 'removalRequested' }, t0 + 1);
    expect(nextStep(removed, t0 + 1)).toMatchObject({ kind: 'remove' });
  });

  it('stays when a sweep has the row looked at', () => {
    const state = longPaused();
    const looked = reduce(state, { kind: 'foundDue' }, t0 + hour);
    const snapshot = { ...itemSnapshot({ hasCursor: true, history: 'complete' }), webhooksWaiting: 3 };
    const reloaded = reduce(looked, { kind: 'reloaded', snapshot }, t0 + hour);
    expect(reloaded.run?.notBefore).toBe(t0 + retryLongest);
  });

  it.each(requests)('of publishing and of a removal ends with %s', (_name, event) => {
    let state = reduce(idle(), { kind: 'removalRequested' }, t0);
    for (let failures = 0; failures < 20; failures += 1) {
      state = reduce(state, failed('publish', 'UPSTREAM_DOWN', t0), t0);
      state = reduce(state, failed('remove', 'UPSTREAM_DOWN', t0), t0);
    }
    expect([state.due.publish?.at, state.removeDueAt]).toEqual([t0 + retryLongest, t0 + retryLongest]);
    const asked = reduce(state, event, t0 + hour);
    expect([asked.due.publish?.at, asked.removeDueAt]).toEqual([t0 + hour, t0 + hour]);
  });

  it.each(requests)('of an update that was given up ends with %s', (_name, event) => {
    let state = idle();
    for (let ends = 0; ends < 20; ends += 1) {
      state = reduce(state, { kind: 'runStarted', updateId: `u${ends}` }, t0);
      const page = { kind: 'refused' as const, calls: 1, error: null };
      state = reduce(state, { kind: 'pageEnded', result: page }, t0);
      state = reduce(state, { kind: 'deadEndReported', remines: null }, t0);
    }
    expect(state.restUntil).toBe(t0 + retryLongest);
    expect(reduce(state, event, t0 + hour).restUntil).toBeLessThanOrEqual(t0 + hour + minute);
  });

  it.each(requests)('of a child ends with %s: it is told once', (_name, event) => {
    let state = reduce(idle(), { kind: 'historyStarted' }, t0);
    expect(reduce(state, event, t0 + 1).child?.asked).toBeUndefined();
    const { failure } = failed('page', 'UPSTREAM_DOWN', t0);
    state = reduce(state, { kind: 'historyHeldUp', remine: false, failure }, t0);
    // Work beside the child goes before.
    state = { ...reduce(state, event, t0 + hour), due: {}, remineRequested: false };
    expect(nextStep(state, t0 + hour)).toEqual({ kind: 'askHistory' });
    const told = reduce(state, { kind: 'historyAsked' }, t0 + hour);
    expect(nextStep(told, t0 + hour).kind).not.toBe('askHistory');
  });

  it('of a check of a broken Item is not ended by everybody: a minute lies between two tries', () => {
    const broken = stateFrom(
      itemSnapshot({ hasCursor: true, history: 'complete', broken: true, nextDueAt: t0 + 6 * hour, due: [] }),
      defaultPolicy,
      t0,
    );
    const asked = reduce(broken, { kind: 'webhook', webhook: 'update' }, t0);
    expect(nextStep(asked, t0)).toEqual({ kind: 'check' });
    const failure = { step: 'check', type: 'UPSTREAM_DOWN' as const, at: new Date(t0).toISOString() };
    let state = asked;
    for (let failures = 0; failures < 20; failures += 1) {
      state = reduce(state, { kind: 'stepFailed', step: 'check', failure }, t0);
    }
    const again = reduce(state, { kind: 'webhook', webhook: 'update' }, t0 + 1);
    expect(nextStep(again, t0 + 1)).toEqual({ kind: 'wait', until: t0 + retryAsked });
    expect(nextStep(again, t0 + retryAsked)).toEqual({ kind: 'check' });
  });

  it('is at most half an hour while the bank is down: it is asked for one of its Items at a time', () => {
    expect(longPaused('INSTITUTION_DOWN').run?.notBefore).toBe(t0 + retryBank);
  });
});
