import { Failure } from '../../domain/failures.js';

/** The Failure that a promise rejects with; anything else (a value, another error) fails the test. */
export async function caught(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error;
  throw new Error('not rejected with a Failure', { cause: error });
}
