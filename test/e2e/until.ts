import { isDeepStrictEqual } from 'node:util';
import { endWaiting } from '../../tools/faults/until.js';

export { until } from '../../tools/faults/until.js';

// The test's own time-out ends the test, the end of the test file ends the asking.
afterAll(endWaiting);

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
