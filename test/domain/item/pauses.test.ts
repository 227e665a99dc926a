import { defaultPolicy } from '../../../domain/item/policy.js';
import type { ItemEvent, ItemState } from '../../../domain/item/state.js';
import { newestFailure } from '../../../domain/item/failing.js';
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

  it('of a removal that Plaid refused ends when it is asked for once more, a minute after the last try', () => {
    let state = reduce(idle(), { kind: 'removalRequested' }, t0);
    for (let failures = 0; failures < 20; failures += 1)
      state = reduce(state, failed('remove', 'UPSTREAM_DOWN', t0), t0);
    expect(state.removeDueAt).toBe(t0 + retryLongest);
    const asked = (at: number) => reduce(state, { kind: 'removalRequested' }, at).removeDueAt;
    expect([asked(t0 + 1), asked(t0 + hour)]).toEqual([t0 + retryAsked, t0 + hour]);
  });

  it('stays when a sweep has the row looked at', () => {
    const state = longPaused();
    const looked = reduce(state, { kind: 'foundDue' }, t0 + hour);
    const snapshot = { ...itemSnapshot({ hasCursor: true, history: 'complete' }), webhooksWaiting: 3 };
    const reloaded = reduce(looked, { kind: 'reloaded', snapshot }, t0 + hour);
    expect(reloaded.run?.notBefore).toBe(t0 + retryLongest);
  });

  it('ends when a sweep finds a webhook that has come since the last try, and was signalled to nobody', () => {
    const found = (state: ItemState, newestWebhookAt: number): ItemState => {
      const snapshot = itemSnapshot({
        ...{ hasCursor: true, history: 'complete', webhooksWaiting: 1, due: ['itemWebhooks'] },
        newestWebhookAt,
      });
      return reduce(state, { kind: 'reloaded', snapshot }, t0 + hour);
    };
    const { failure } = failed('page', 'UPSTREAM_DOWN', t0);
    const ofPage = longPaused();
    const owned = reduce(idle(), { kind: 'historyStarted' }, t0);
    const ofChild = reduce(owned, { kind: 'historyHeldUp', remine: false, failure }, t0);
    let ofWebhooks = idle();
    for (let failures = 0; failures < 20; failures += 1) {
      const event = { kind: 'stepFailed', step: 'itemWebhooks', failure } as const;
      ofWebhooks = reduce(ofWebhooks, event, t0);
    }
    const ended = (at: number) => [
      (found(ofPage, at).run?.notBefore ?? 0) <= t0 + hour,
      found(ofChild, at).child?.asked ?? false,
      (found(ofWebhooks, at).due.itemWebhooks?.at ?? 0) <= t0 + hour,
    ];
    expect(ended(t0 + minute)).toEqual([true, true, true]);
    // The last try was for it.
    expect(ended(t0 - minute)).toEqual([false, false, false]);
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

  const childDown = {
    kind: 'historyHeldUp',
    remine: false,
    failure: failed('page', 'UPSTREAM_DOWN', t0).failure,
  } as const satisfies ItemEvent;

  it.each(requests)('of a child ends with %s: it is told once', (_name, event) => {
    let state = reduce(idle(), { kind: 'historyStarted' }, t0);
    expect(reduce(state, event, t0 + 1).child?.asked).toBeUndefined();
    state = reduce(state, childDown, t0);
    // Work beside the child goes before.
    state = { ...reduce(state, event, t0 + hour), due: {}, remineRequested: false };
    expect(nextStep(state, t0 + hour)).toEqual({ kind: 'askHistory' });
    const told = reduce(state, { kind: 'historyAsked' }, t0 + hour);
    expect(nextStep(told, t0 + hour).kind).not.toBe('askHistory');
  });

  it('of a child that was left behind ends when the Item is taken up: it says how it is, and a remine ends it', () => {
    const row = itemSnapshot({ hasCursor: true, history: 'complete', historyRunning: true });
    const taken = stateFrom(row, defaultPolicy, t0 + hour);
    expect(nextStep(taken, t0 + hour)).toEqual({ kind: 'askHistory' });
    const told = reduce(taken, { kind: 'historyAsked' }, t0 + hour);
    expect(nextStep(told, t0 + hour).kind).toBe('wait');
    const heard = reduce(told, childDown, t0 + hour);
    expect(newestFailure(heard.failing)).toEqual(childDown.failure);
    const asked = reduce(heard, { kind: 'remineRequested', remines: 1 }, t0 + hour);
    expect(nextStep(asked, t0 + hour)).toEqual({ kind: 'stopHistory' });
    // Nobody asks one that does not wait any more.
    const better = reduce(taken, { ...childDown, failure: null }, t0 + hour);
    expect(nextStep(better, t0 + hour).kind).toBe('wait');
  });

  it('of a child that could not be ended is known once it is found alive', () => {
    const held = reduce(reduce(idle(), { kind: 'historyStarted' }, t0), childDown, t0);
    const asked = reduce(held, { kind: 'remineRequested', remines: 1 }, t0);
    const failure = { step: 'stopHistory', type: 'UNEXPECTED' as const, at: new Date(t0).toISOString() };
    const told = reduce(asked, { kind: 'historyAsked' }, t0);
    const refused = reduce(told, { kind: 'stepFailed', step: 'stopHistory', failure }, t0);
    expect(nextStep(refused, t0).kind).toBe('wait');
    const at = t0 + defaultPolicy.retryFirst;
    expect(nextStep(refused, at)).toEqual({ kind: 'lookAtHistory' });
    expect(nextStep(reduce(refused, { kind: 'historyAlive' }, at), at)).toEqual({ kind: 'stopHistory' });
  });

  /** The Item breaks after a minute, and is found repaired at two hours. */
  const brokenAndMended = (healthy: Mended): ((state: ItemState) => ItemState) => {
    const said = { kind: 'itemWebhooksEnded', numbersDue: false, more: false } as const;
    return (state) => {
      const broken = reduce(state, { ...said, health: 'broken' }, t0 + minute);
      expect(broken.phase).toBe('needs_relink');
      const asked = reduce(broken, { kind: 'relinked' }, t0 + minute);
      // It would be refused for what the episode is about.
      expect(nextStep({ ...asked, due: {} }, t0 + minute)).toEqual({ kind: 'check' });
      return reduce(asked, healthy, t0 + 2 * hour);
    };
  };
  type Mended = Extract<ItemEvent, { kind: 'checked' | 'itemWebhooksEnded' | 'reloaded' }>;
  const row = itemSnapshot({ hasCursor: true, history: 'complete' });
  const ends: [string, (state: ItemState) => ItemState][] = [
    ['a repair that a check finds', brokenAndMended({ kind: 'checked', result: 'healthy' })],
    [
      'a repair that a webhook tells of',
      brokenAndMended({ kind: 'itemWebhooksEnded', numbersDue: false, more: false, health: 'healthy' }),
    ],
    ['a repair that the row knows', brokenAndMended({ kind: 'reloaded', snapshot: row })],
    [
      'a new connection',
      (state) => {
        const snapshot = { ...row, unconnected: true };
        const alone = reduce(state, { kind: 'reloaded', snapshot }, t0 + hour);
        return reduce(alone, { kind: 'reloaded', snapshot: row }, t0 + 2 * hour);
      },
    ],
  ];

  it.each(ends)('of a child ends with %s, and is shown until then', (_name, end) => {
    const held = reduce(reduce(idle(), { kind: 'historyStarted' }, t0), childDown, t0);
    const state = end(held);
    expect(newestFailure(state.failing)).toEqual(childDown.failure);
    expect(nextStep({ ...state, due: {} }, t0 + 2 * hour)).toEqual({ kind: 'askHistory' });
  });

  it.each(ends)('of updates that were given up, of numbers and of remines ends with %s', (_name, end) => {
    const { failure } = failed('page', 'UPSTREAM_DOWN', t0);
    const given = {
      ...idle(),
      ...{ deadEnds: 20, restUntil: t0 + 6 * hour, unread: { tries: 20, until: t0 + 6 * hour } },
      due: { numbers: { at: t0 + 6 * hour, failures: 20 } },
      failing: { page: failure, numbers: failure, remine: failure },
    };
    const state = end(given);
    const soon = t0 + 2 * hour + minute;
    expect([state.restUntil <= soon, (state.due.numbers?.at ?? 0) <= soon]).toEqual([true, true]);
    expect((state.unread?.until ?? 0) <= soon).toBe(true);
    expect(nextStep({ ...state, due: {} }, soon).kind).toBe('startRun');
  });

  it.each([false, true])(
    'of the polls of an Item that Plaid is not ready for is not ended by sweeps, whatever waits (mined before: %s)',
    (hasCursor) => {
      const waits = (webhooksWaiting: number) =>
        itemSnapshot({ hasCursor, nextDueAt: t0 - hour, webhooksWaiting, newestWebhookAt: t0 - hour });
      let state = stateFrom(waits(1), defaultPolicy, t0);
      let polls = 0;
      const sweep = (webhooks: number, now: number): void => {
        state = reduce(state, { kind: 'foundDue' }, now);
        state = reduce(state, { kind: 'reloaded', snapshot: waits(webhooks) }, now);
        if (nextStep(state, now + minute / 2).kind !== 'startRun') return;
        polls += 1;
        state = reduce(state, { kind: 'runStarted', updateId: `u${polls}` }, now + minute / 2);
        state = reduce(
          state,
          { kind: 'pageEnded', result: { kind: 'notReady', calls: 1 } },
          now + minute / 2,
        );
      };
      for (let n = 0; n < 60; n += 1) sweep(1, t0 + n * minute);
      expect(polls).toBeLessThan(20);
      // One that came since, and of which no signal was heard, is asked for at once.
      const before = polls;
      sweep(2, t0 + hour);
      expect(polls).toBe(before + 1);
    },
  );

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
