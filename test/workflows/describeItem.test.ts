import { reduce, stateFrom } from '../domain/item/core.js';
import { startRun } from '../../domain/mining/run.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { describeItem, statusOf } from '../../workflows/describeItem.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';

const t0 = Date.UTC(2026, 0, 1);
const at = (ms: number): string => new Date(t0 + ms).toISOString();
const state = {
  ...stateFrom(
    itemSnapshot({ history: 'complete', hasCursor: true, nextDueAt: t0 + 1_000 }),
    defaultPolicy,
    t0,
  ),
  restUntil: t0 + 60_000,
};

describe('what is shown of an Item', () => {
  it('names the end of the pause after an update that was given up, not the time that it missed', () => {
    expect(statusOf(state).next_due_at).toBe(at(60_000));
    const wanted = { quietUntil: t0 + 500, deadline: t0 + 500, historical: false };
    expect(statusOf({ ...state, wanted }).next_due_at).toBe(at(60_000));
    expect(statusOf({ ...state, wanted, restUntil: 0 }).next_due_at).toBe(at(500));
    expect(statusOf({ ...state, phase: 'needs_relink' }).next_due_at).toBe(at(1_000));
  });

  it('names the end of the pause of an update that is on its way, and whose page cannot be had', () => {
    const run = { ...startRun('u'), failures: 1, notBefore: t0 + 90_000 };
    const wanted = { quietUntil: t0 + 500, deadline: t0 + 500, historical: false };
    expect(statusOf({ ...state, restUntil: 0, wanted, run }).next_due_at).toBe(at(90_000));
    expect(statusOf({ ...state, restUntil: 0, run }).next_due_at).toBe(at(90_000));
    expect(statusOf({ ...state, restUntil: 0, run: startRun('u') }).next_due_at).toBe(at(1_000));
  });

  it('names it, too, where the workflow that pages has said so, until it says that it has its page', () => {
    const paging = {
      ...state,
      restUntil: 0,
      child: { checkAt: t0, remine: false, number: 0, heldUp: false },
    };
    const failure = { step: 'page', type: 'UPSTREAM_DOWN', at: at(0) } as const;
    const report = { kind: 'historyHeldUp', remine: false } as const;
    const held = reduce(paging, { ...report, failure, notBefore: t0 + 90_000 }, t0);
    expect(statusOf(held).next_due_at).toBe(at(90_000));
    // One that has just taken it over says nothing of it yet.
    expect(statusOf(reduce(paging, { ...report, failure }, t0)).next_due_at).toBe(at(1_000));
    const had = reduce(held, { ...report, failure: null, notBefore: 0 }, t0);
    expect(statusOf(had).next_due_at).toBe(at(1_000));
  });

  it('names no next update of an Item that is mined no more, and says why it is not', () => {
    const step = { kind: 'wait', until: t0 } as const;
    const connected = describeItem(state, step, t0);
    expect(connected).toContain(`next update due ${at(60_000)}`);
    const stops = [
      [{ unconnected: true }, 'no application is connected'],
      [
        { removalRequested: true, removeDueAt: t0 + 5_000 },
        `its removal is asked for, next try ${at(5_000)}`,
      ],
    ] as const;
    for (const [stop, said] of stops) {
      const stopped = { ...state, ...stop };
      expect(statusOf(stopped).next_due_at).toBeNull();
      expect(describeItem(stopped, step, t0)).toContain(said);
      expect(describeItem(stopped, step, t0)).not.toContain('next update due');
      expect(connected).not.toContain(said);
    }
  });

  it('counts the updates that were given up', () => {
    const step = { kind: 'wait', until: t0 } as const;
    expect(describeItem({ ...state, deadEnds: 3 }, step, t0)).toContain('updates given up: 3 in a row');
    expect(describeItem(state, step, t0)).not.toContain('given up');
  });
});
