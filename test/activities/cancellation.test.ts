import type { Context } from '@temporalio/activity';
import { asyncLocalStorage, CancelledFailure } from '@temporalio/activity';
import type { ActivityDeps } from '../../activities/deps.js';
import { createActivities } from '../../activities/index.js';
import { defaultPolicy } from '../../domain/item/policy.js';

/** One attempt as its worker runs it, and the word that nobody waits for it any more. */
function attempt() {
  const over = new AbortController();
  const cancelled = new Promise<never>((_, reject) => {
    over.signal.addEventListener('abort', () => reject(new CancelledFailure('TIMED_OUT')));
  });
  cancelled.catch(() => undefined);
  const context = {
    info: { attempt: 1 },
    heartbeat: () => undefined,
    cancellationSignal: over.signal,
    cancelled,
  } as unknown as Context;
  return {
    run: <T>(work: () => Promise<T>): Promise<T> => asyncLocalStorage.run(context, work),
    cancel: () => over.abort(),
  };
}

const sealed = { keyId: 'k', dataKey: Buffer.from('d'), ciphertext: Buffer.from('c') };

/** Plaid answers when the test says so; what is written is noted. */
function world() {
  const written: string[] = [];
  let asked: () => void;
  let answer: () => void;
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const isAnswered = new Promise<void>((resolve) => (answer = resolve));
  const late =
    <T>(value: T) =>
    async (): Promise<T> => {
      asked();
      await isAnswered;
      return value;
    };
  const reported: unknown[] = [];
  const activities = createActivities({
    policy: defaultPolicy,
    crashPoint: () => undefined,
    reportUnexpected: (_activity: string, error: unknown) => reported.push(error),
    secrets: { seal: async () => sealed, open: async () => 'access-token' },
    plaid: {
      removeItem: late(undefined),
      exchangePublicToken: late({ accessToken: 'access-token', itemId: 'item' }),
    },
    items: {
      credentials: async () => ({ itemId: 'item', accessToken: sealed }),
      finishRemoval: async () => void written.push('removed'),
    },
    links: {
      beginExchange: async () => ({ publicToken: sealed }),
      storeExchanged: async () => void written.push('exchanged'),
    },
  } as unknown as ActivityDeps);
  return { activities, written, reported, isAsked, answer: () => answer() };
}

describe('an attempt that nobody waits for any more', () => {
  it('ends at once where it waits, and writes nothing of what comes late', async () => {
    const { activities, written, reported, isAsked, answer } = world();
    const { run, cancel } = attempt();
    const removing = run(() => activities.removeItem({ itemId: 'item' }));
    await isAsked;
    cancel();
    await expect(removing).rejects.toBeInstanceOf(CancelledFailure);
    answer();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(written).toEqual([]);
    expect(reported).toEqual([]);
  });

  it('begins nothing', async () => {
    const { activities, written } = world();
    const { run, cancel } = attempt();
    cancel();
    await expect(run(() => activities.removeItem({ itemId: 'item' }))).rejects.toBeInstanceOf(
      CancelledFailure,
    );
    expect(written).toEqual([]);
  });

  it('stores the access token of an exchange all the same: there is no other copy', async () => {
    const { activities, written, isAsked, answer } = world();
    const { run, cancel } = attempt();
    const exchange = run(() => activities.exchangePublicToken({ tokenHash: 'hash' }));
    await isAsked;
    cancel();
    answer();
    expect(await exchange).toEqual({ kind: 'exchanged', itemId: 'item' });
    expect(written).toEqual(['exchanged']);
  });

  it('is not told from another while it is waited for', async () => {
    const { activities, written, answer } = world();
    answer();
    await attempt().run(() => activities.removeItem({ itemId: 'item' }));
    expect(written).toEqual(['removed']);
  });
});
