import { mock } from 'node:test';
import { Failure } from '../../domain/failures.js';
import type { DueEndpoint } from '../../domain/ports/deliveries.js';
import { startEndpointWaker } from '../../src/endpointWaker.js';

/** Endpoints that nobody serves, however often they are woken; `refuse` says what Temporal answers. */
async function wokenOf(due: string[], refuse: (id: string) => Failure | null): Promise<Set<string>> {
  const asked = new Set<string>();
  const failed: unknown[] = [];
  let rounds = 0;
  const waker = startEndpointWaker({
    everyMs: 1,
    onFailure: (error) => failed.push(error),
    sending: {
      // As the store does: a part of them at once, always in the same order.
      dueEndpoints: async (_limit: number, except: readonly DueEndpoint[] = []) => {
        rounds += 1;
        return due
          .filter((id) => !except.some(({ endpointId }) => endpointId === id))
          .slice(0, 2)
          .map((endpointId) => ({ endpointId, servedAt: null }));
      },
    },
    gateway: {
      async wakeEndpoint(id) {
        const failure = refuse(id);
        if (failure !== null) throw failure;
        asked.add(id);
      },
    },
  });
  while (rounds < 6 && failed.every((error) => (error as Failure).type === 'ORCHESTRATOR_REFUSED')) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await waker.stop();
  return asked;
}

const all = ['e1', 'e2', 'e3', 'e4', 'e5'];

it('wakes those behind endpoints that stay due', async () => {
  expect(await wokenOf(all, () => null)).toEqual(new Set(all));
});

it('wakes those behind one whose signal Temporal will never take', async () => {
  const refusing = (id: string) => (id === 'e1' ? new Failure('ORCHESTRATOR_REFUSED', 'no') : null);
  expect(await wokenOf(all, refusing)).toEqual(new Set(all.slice(1)));
});

it('wakes those behind some whose signals Temporal does not answer', async () => {
  let now = 0;
  mock.method(performance, 'now', () => now);
  mock.timers.enable({ apis: ['setTimeout'] });
  const answered = new Set<string>();
  let hangs = true;
  const waker = startEndpointWaker({
    onFailure: () => undefined,
    sending: {
      dueEndpoints: async (_limit: number, except: readonly DueEndpoint[] = []) =>
        all
          .filter((id) => !except.some(({ endpointId }) => endpointId === id))
          .map((endpointId) => ({ endpointId, servedAt: null })),
    },
    gateway: {
      async wakeEndpoint(id) {
        if (!hangs || (id !== 'e1' && id !== 'e2')) return void answered.add(id);
        await new Promise((resolve) => setTimeout(resolve, 5_000));
        throw new Failure('ORCHESTRATOR_DOWN', 'no answer');
      },
    },
  });
  try {
    for (; now < 90_000; now += 100) {
      hangs = now < 60_000;
      if (now === 60_000) expect(answered).toEqual(new Set(all.slice(2)));
      mock.timers.tick(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    const stopped = waker.stop();
    mock.timers.tick(5_000);
    await stopped;
    mock.reset();
  }
  expect(answered).toEqual(new Set(all));
});

it('that is stopped wakes nobody more, however many are due: the worker stops behind it', async () => {
  const asked: string[] = [];
  let answer: () => void = () => undefined;
  const waker = startEndpointWaker({
    everyMs: 1,
    onFailure: () => undefined,
    sending: { dueEndpoints: async () => all.map((endpointId) => ({ endpointId, servedAt: null })) },
    gateway: {
      wakeEndpoint: (id) => {
        asked.push(id);
        return new Promise((resolve) => (answer = resolve));
      },
    },
  });
  while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const stopped = waker.stop();
  answer();
  await stopped;
  expect(asked).toEqual(['e1']);
});
