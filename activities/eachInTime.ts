export interface Pace {
  /** How many are on their way at the same time. */
  atOnce: number;
  /** None begins after so many milliseconds; what has begun ends by a deadline of its own. */
  longestMs: number;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
}

/**
 * Runs `work` for one after the other in their order, some at the same time, for as long as there is time. Resolves to those
 * that were begun. `work` never rejects.
 */
export async function eachInTime<T>(
  all: readonly T[],
  pace: Pace,
  work: (one: T) => Promise<void>,
): Promise<T[]> {
  const endAt = pace.now() + pace.longestMs;
  const begun: T[] = [];
  const lane = async (): Promise<void> => {
    while (begun.length < all.length && pace.now() < endAt) {
      const one = all[begun.length] as T;
      begun.push(one);
      await work(one);
    }
  };
  await Promise.all(Array.from({ length: pace.atOnce }, lane));
  return begun;
}
