import { asyncLocalStorage } from '@temporalio/activity';
import type { Context } from '@temporalio/activity';
import { temporalAttempt } from '../../activities/attempt.js';

/** An activity that runs at this moment, as far as an attempt asks it. */
function running(startToCloseTimeoutMs: number) {
  const cancelled = new AbortController();
  const context = { info: { startToCloseTimeoutMs }, cancellationSignal: cancelled.signal };
  return {
    cancel: () => cancelled.abort(),
    attempt: <T>(work: (signal: AbortSignal) => Promise<T>) =>
      asyncLocalStorage.run(context as unknown as Context, () => temporalAttempt(work)),
  };
}
const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) =>
    signal.aborted ? resolve(signal.reason) : signal.addEventListener('abort', () => resolve(signal.reason)),
  );

describe('the signal of an attempt', () => {
  it('is aborted before Temporal gives the attempt up', async () => {
    const { attempt } = running(60);
    expect(await attempt(aborted)).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('is aborted when Temporal cancels it, before and while it runs', async () => {
    const { attempt, cancel } = running(3_600_000);
    const reason = attempt(aborted);
    cancel();
    expect(await reason).toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await attempt(aborted)).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('is not aborted by anything else, and not after the work', async () => {
    const { attempt, cancel } = running(3_600_000);
    const signal = await attempt(async (given) => given);
    cancel();
    expect(signal.aborted).toBe(false);
    await expect(attempt(() => Promise.reject(new Error('its own')))).rejects.toThrow('its own');
    expect((await temporalAttempt(async (given) => given)).aborted).toBe(false);
  });
});
