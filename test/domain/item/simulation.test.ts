import { mutants } from '../../../tools/faults/core/mutants.js';
import { play } from '../../../tools/faults/core/simulation.js';

/** `npm run faults -- --only F1 --seed 0 --simulations 200000` plays more of them, each twice. */
const seeds = 2_000;
const playedTwice = 10;
/** Each of the mutants is found by then. */
const seedsOfMutants = 1_000;

it('ends with the truth whatever attempts are killed or come late, and a seed is the same life to the last bit', async () => {
  const done: Record<string, number> = {};
  const failed: unknown[] = [];
  for (let seed = 0; seed < seeds; seed += 1) {
    const played = await play(seed);
    if (played.wrong.length > 0) failed.push([seed, played.wrong]);
    if (seed % playedTwice === 0) expect((await play(seed)).hash).toBe(played.hash);
    for (const [name, n] of Object.entries(played.done)) done[name] = (done[name] ?? 0) + n;
  }
  expect(failed).toEqual([]);
  // The lives are worth living: all that can happen has, many times.
  expect(Object.values(done).every((n) => n > 100)).toBe(true);
  expect(done['attempt killed']).toBeGreaterThan(500);
  expect(done['attempt that comes late']).toBeGreaterThan(500);
}, 600_000);

it.each(Object.entries(mutants))(
  'is noticed: %s',
  async (_name, mutant) => {
    let found: string[] = [];
    for (let seed = 0; seed < seedsOfMutants && found.length === 0; seed += 1) {
      // One that throws, as one that never comes to its end, is noticed as well.
      found = await play(seed, mutant).then(
        ({ wrong }) => wrong,
        (error: unknown) => [String(error)],
      );
    }
    expect(found).not.toEqual([]);
  },
  600_000,
);
