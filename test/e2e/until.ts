import { isDeepStrictEqual } from 'node:util';

let over = false;
afterAll(() => {
  over = true;
});

/**
 * Asks again until the answer is true; an error counts as "not yet". The test's own time-out ends the test, the end of the test
 * file ends the asking: else what a failed test still waits for would keep the process alive.
 */
export async function until(condition: () => Promise<boolean> | boolean, pauseMs = 100): Promise<void> {
  for (;;) {
    if (over) throw new Error('the test file is over');
    const met = await Promise.resolve()
      .then(condition)
      .catch(() => false);
    if (met) return;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Two answers of one moment: asked again when the first one has changed meanwhile, since an update may come between two reads. */
export async function readTogether<First, Second>(
  first: () => Promise<First>,
  second: () => Promise<Second>,
): Promise<[First, Second]> {
  for (;;) {
    const before = await first();
    const beside = await second();
    if (isDeepStrictEqual(await first(), before)) return [before, beside];
  }
}
