import { say } from '../local/progress.mjs';
import { play } from './core/simulation.js';
import type { SimulationFigures } from './report.js';

/** Seeds between two lines of progress. */
const sayEvery = 10_000;

/** F1: `count` lives of the pure core from seed `first` on, each played twice, to the same bit. */
export async function simulate(
  first: number,
  count: number,
  signal: AbortSignal,
): Promise<SimulationFigures> {
  const begun = performance.now();
  let failed = 0;
  let seeds = 0;
  for (let seed = first; seed < first + count && !signal.aborted; seed += 1) {
    const [played, repeated] = [await play(seed), await play(seed)];
    const wrong = played.hash === repeated.hash ? played.wrong : [...played.wrong, 'OTHER another life'];
    seeds += 1;
    if (wrong.length > 0) {
      failed += 1;
      say(`F1 seed ${seed}: ${wrong.slice(0, 5).join('; ')}`);
      say(`  once more: npm run faults -- --only F1 --seed ${seed} --simulations 1`);
    }
    if (seeds % sayEvery === 0) say(`F1: ${seeds} seeds, ${failed} failed`);
  }
  return { seeds, seconds: (performance.now() - begun) / 1_000, failed };
}
