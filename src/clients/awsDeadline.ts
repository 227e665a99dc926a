import { once } from 'node:events';

/**
 * One call of an AWS client within `timeoutMs`: all of it, the search for credentials included, which the SDK does not bound.
 * Rejects with the signal's TimeoutError.
 */
export async function withinDeadline<Answer>(
  timeoutMs: number,
  call: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
): Promise<Answer> {
  const abortSignal = AbortSignal.timeout(timeoutMs);
  const late = once(abortSignal, 'abort').then((): never => {
    throw abortSignal.reason;
  });
  return Promise.race([call({ abortSignal }), late]);
}
