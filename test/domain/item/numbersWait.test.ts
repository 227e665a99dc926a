import { alsoDue, setDue, taskFailed } from '../../../domain/item/tasks.js';
import type { ItemEvent, ItemState } from '../../../domain/item/state.js';
import { defaultPolicy } from '../../../domain/item/policy.js';
import { nextStep, reduce, stateFrom } from './core.js';
import { itemSnapshot as snapshot } from './itemSnapshot.js';

const t0 = Date.parse('2026-11-20T08:00:00Z');
const hour = 3_600_000;
const idle = (): ItemState =>
  stateFrom(
    snapshot({ hasCursor: true, history: 'complete', nextDueAt: t0 + 30 * hour, due: ['numbers'] }),
    defaultPolicy,
    t0,
  );

/** An Item whose numbers Plaid has not ready: they are waited for until tomorrow. */
const waiting = (): ItemState =>
  reduce(idle(), { kind: 'taskEnded', task: 'numbers', more: true, nextAt: t0 + 24 * hour }, t0);

describe('numbers that are not ready', () => {
  it('are asked for at the time that the store says, and not before', () => {
    expect(nextStep(idle(), t0)).toEqual({ kind: 'numbers' });
    const state = waiting();
    expect(nextStep(state, t0)).toEqual({ kind: 'wait', until: t0 + 24 * hour });
    expect(nextStep(state, t0 + 24 * hour)).toEqual({ kind: 'numbers' });
    expect(state.lastFailure).toBeNull();
  });

  it.each<[string, ItemEvent]>([
    ['a webhook', { kind: 'itemWebhooksEnded', health: null, numbersDue: true, more: false }],
    ['update mode', { kind: 'relinked' }],
    [
      'a look at the row',
      {
        kind: 'reloaded',
        snapshot: snapshot({
          hasCursor: true,
          history: 'complete',
          nextDueAt: t0 + 30 * hour,
          due: ['numbers'],
        }),
      },
    ],
  ])('are asked for at once after %s', (_name, event) => {
    expect(reduce(waiting(), event, t0 + hour).due.numbers).toEqual({ at: t0 + hour, failures: 0 });
  });

  it('are asked for at once after an update that the row says made them due', () => {
    const running = reduce(waiting(), { kind: 'runStarted', updateId: 'u' }, t0 + hour);
    const outcome = { added: 0, modified: 0, removed: 0, accounts: 1, changes: 1, pages: 1 };
    const ended = (makesDue?: ['numbers']): ItemEvent => ({
      kind: 'pageEnded',
      result: {
        kind: 'applied',
        outcome: { ...outcome, history: 'complete' },
        webhooksWaiting: 0,
        removalsWaiting: 0,
        broken: false,
        nextDueAt: t0 + 40 * hour,
        calls: 1,
        ...(makesDue === undefined ? {} : { makesDue }),
      },
    });
    expect(reduce(running, ended(['numbers']), t0 + 2 * hour).due.numbers?.at).toBe(t0 + 2 * hour);
    expect(reduce(running, ended(), t0 + 2 * hour).due.numbers?.at).toBe(t0 + 24 * hour);
  });

  it('keep the pause that failures have earned', () => {
    const failed = taskFailed(setDue({}, 'numbers', t0), 'numbers', () => hour, t0);
    expect(alsoDue(failed, ['numbers'], t0)).toEqual(failed);
  });
});

describe('webhooks that tell of accounts', () => {
  const told = (health: 'healthy' | null): ItemEvent => ({
    kind: 'itemWebhooksEnded',
    health,
    numbersDue: true,
    updateDue: true,
    more: false,
  });
  it.each(['healthy', null] as const)('make an update due (asked after its health: %s)', (health) => {
    const state = reduce(waiting(), told(health), t0 + hour);
    expect(state.wanted).not.toBeNull();
    const quiet = reduce(waiting(), { ...told(health), updateDue: false } as ItemEvent, t0 + hour);
    expect(quiet.wanted).toBeNull();
  });
});
