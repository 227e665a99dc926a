import { defaultPolicy } from '../../../domain/item/policy.js';
import { goOnFrom } from '../../../domain/item/reduce.js';
import type { ItemState } from '../../../domain/item/state.js';
import type { CarriedState } from '../../../domain/item/upgrade.js';
import { upgrade } from '../../../domain/item/upgrade.js';
import { nextStep, reduce, stateFrom } from './core.js';
import { itemSnapshot } from './itemSnapshot.js';

const t0 = Date.UTC(2026, 0, 1);

/** What the first versions carried, as JSON: neither version nor table of due work, and nothing of updates that get nowhere. */
const first = {
  itemId: 'ItemA',
  userId: 'user-1',
  institutionId: 'ins_1',
  policy: defaultPolicy,
  phase: 'updating',
  history: 'initial',
  hasCursor: true,
  wanted: { quietUntil: t0 + 1000, deadline: t0 + 5000, historical: true },
  run: { base: 'b', restarts: 2, page: 3, rows: 1500, failures: 1, notBefore: t0 + 7 },
  child: null,
  remineRequested: false,
  remines: 4,
  removalRequested: false,
  reloadAt: null,
  numbersDueAt: t0 + 30_000,
  numbersFailures: 3,
  removalsDueAt: null,
  removalsFailures: 0,
  itemWebhooksDueAt: null,
  itemWebhooksFailures: 0,
  segmentDueAt: null,
  segmentFailures: 0,
  publishDueAt: t0 + 60_000,
  publishFailures: 2,
  nextDueAt: t0 + 3_600_000,
  polls: 2,
  checkFailures: 0,
  removeFailures: 0,
  restUntil: t0,
  calls: { sync: [t0 - 1], accounts: [] },
  lastUpdateAt: t0 - 5,
  lastFailure: { step: 'page', type: 'UPSTREAM_DOWN', at: '2026-01-01T00:00:00.000Z' },
};
/** Those that came after: an update can be given up, and a child is known by its number. */
const second = {
  ...first,
  run: null,
  child: { checkAt: t0 + 9, remine: true, number: 3, heldUp: true },
  deadEnd: null,
  deadEnds: 2,
  cursorLost: true,
  removeDueAt: t0 + 4,
};
/** Version 1, written down: a later version upgrades it, and this stays as it is. */
const one = {
  v: 1,
  itemId: 'ItemA',
  userId: 'user-1',
  institutionId: 'ins_1',
  phase: 'updating',
  history: 'complete',
  hasCursor: true,
  wanted: null,
  run: {
    base: 'b',
    restarts: 2,
    fromStart: false,
    page: 3,
    rows: 1500,
    failures: 1,
    firstPageMoves: 0,
    doubts: 0,
    notBefore: t0 + 7,
  },
  child: null,
  remineRequested: false,
  remines: 0,
  deadEnd: null,
  deadEnds: 0,
  cursorLost: false,
  removalRequested: false,
  reloadAt: null,
  due: { numbers: { at: t0 + 30_000, failures: 3 } },
  nextDueAt: t0 + 3_600_000,
  polls: 0,
  checkFailures: 0,
  removeFailures: 0,
  removeDueAt: 0,
  restUntil: 0,
  calls: { sync: [], accounts: [] },
  lastUpdateAt: null,
  lastFailure: null,
};
const newest: ItemState = stateFrom(itemSnapshot({ hasCursor: true, due: ['numbers'] }), defaultPolicy, t0);

const failing = Object.fromEntries(
  Object.entries(newest).filter(([name]) => name !== 'transactionsUnavailable'),
);

/** Every shape that a run may have handed on; none is ever taken out. */
const carried: [name: string, state: CarriedState][] = [
  ['the first, in the middle of a page', first as CarriedState],
  ['the first, with a child', { ...first, run: null, child: { checkAt: t0, remine: false } } as CarriedState],
  ['the second', second as CarriedState],
  ['version 1', one],
  ['version 1 with what fails, before Items without transactions', failing as unknown as CarriedState],
  ['the newest', newest],
];

function today(state: CarriedState): ItemState {
  const upgraded = upgrade(state);
  if (upgraded === null) throw new Error('it is taken for a shape of a later release');
  return upgraded;
}

describe('a run that goes on where the one before continued as new', () => {
  const row = itemSnapshot({ hasCursor: true, history: 'complete', nextDueAt: t0 + 3_600_000 });
  const rules = { policy: defaultPolicy, patches: {} };

  it('takes no child up again that has reported and is still ending', () => {
    const idle = stateFrom(row, defaultPolicy, t0);
    const ending = { ...row, historyRunning: true, remineRunning: true };
    expect(goOnFrom(idle, ending, rules, t0).child).toBeNull();
    // Who has lost its working copy joins it.
    expect(stateFrom(ending, defaultPolicy, t0).child).not.toBeNull();
  });

  it('wants no update for the webhooks that the one on its way answers, and one for those of an idle Item', () => {
    const told = { ...row, webhooksWaiting: 2 };
    expect(goOnFrom(today(one as CarriedState), told, rules, t0).wanted).toBeNull();
    expect(goOnFrom(stateFrom(row, defaultPolicy, t0), told, rules, t0).wanted).not.toBeNull();
  });

  it('knows what the row knows: a removal, work that is due, that it is broken', () => {
    const known = { ...row, removalRequested: true, broken: true, due: ['publish' as const] };
    expect(goOnFrom(today(one as CarriedState), known, rules, t0)).toMatchObject({
      removalRequested: true,
      phase: 'needs_relink',
      run: null,
      due: { publish: { at: t0, failures: 0 }, numbers: { at: t0 + 30_000, failures: 3 } },
    });
  });
});

describe('a state that an older version carried', () => {
  it.each(carried)('%s: has every field of a new one, and no other', (_name, state) => {
    const upgraded = today(JSON.parse(JSON.stringify(state)) as CarriedState);
    expect(Object.keys(upgraded).sort()).toEqual(Object.keys(newest).sort());
    expect(Object.values(upgraded)).not.toContain(undefined);
    expect(today(upgraded)).toEqual(upgraded);
  });

  it('keeps what was due, its pauses, its run and its child', () => {
    const upgraded = today(first as CarriedState);
    expect(upgraded).toMatchObject({
      due: { numbers: { at: t0 + 30_000, failures: 3 }, publish: { at: t0 + 60_000, failures: 2 } },
      run: { base: 'b', page: 3, restarts: 2, fromStart: false, firstPageMoves: 0, doubts: 0 },
      wanted: first.wanted,
      remines: 4,
      failing: { page: first.lastFailure },
    });
    expect(Object.keys(upgraded.due)).toHaveLength(2);
    expect(today(second as CarriedState)).toMatchObject({
      child: second.child,
      deadEnds: 2,
      cursorLost: true,
      removeDueAt: t0 + 4,
    });
  });

  it.each(carried)('%s: goes on with the row as it is now', (_name, state) => {
    const row = itemSnapshot({ hasCursor: true, history: 'initial', nextDueAt: t0, webhooksWaiting: 1 });
    let now = t0;
    let next = reduce(today(state), { kind: 'reloaded', snapshot: row }, now);
    for (let steps = 0; steps < 50; steps += 1) {
      const step = nextStep(next, now);
      if (step.kind === 'wait') now = step.until;
      else if (step.kind === 'page' || step.kind === 'lookAtHistory') return;
      else if (step.kind === 'startRun') next = reduce(next, { kind: 'runStarted', updateId: 'u' }, now);
      else if (step.kind !== 'end' && (step.kind === 'publish' || step.kind === 'numbers'))
        next = reduce(next, { kind: 'taskEnded', task: step.kind, more: false }, now);
      else throw new Error(`unexpected: ${step.kind}`);
    }
    throw new Error('no update');
  });
});

it('a shape of a later release, behind which an operator has gone back, is none that is known here', () => {
  expect(upgrade({ ...one, v: 2 })).toBeNull();
  expect(upgrade({ v: 7 })).toBeNull();
});
