import { mulberry32 } from '../../tools/faults/chance.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';

/** One moment at which the path between a worker and what it needs breaks, and how. Milliseconds since the start. */
interface PathFault {
  at: number;
  /** How long nothing new gets through. Connections that went silent stay so after it. */
  lasts: number;
  how: 'cut' | 'silence' | 'forget';
}

interface PlanOptions {
  seed: number;
  /** How long faults come, in milliseconds. */
  duration: number;
  /** The longest single fault, in milliseconds. */
  longest: number;
  /** Pauses between two faults, in multiples of `longest`. */
  pauses: { from: number; to: number };
}

const shortestMs = 1_000;

/** The faults of one path. The same options give the same plan. */
export function planFaults({ seed, duration, longest, pauses }: PlanOptions): PathFault[] {
  const chance = mulberry32(seed);
  const pause = (): number => longest * (pauses.from + chance() * (pauses.to - pauses.from));
  const plan: PathFault[] = [];
  for (let at = pause() / 2; at < duration;) {
    const draw = chance();
    const how = draw < 0.6 ? 'silence' : draw < 0.85 ? 'cut' : 'forget';
    const lasts = how === 'forget' ? 0 : Math.round(shortestMs + chance() * (longest - shortestMs));
    plan.push({ at: Math.round(at), lasts, how });
    at += lasts + pause();
  }
  return plan;
}

/** Plays the plan to its end on one path; afterwards everything new gets through. */
export async function playFaults(plan: readonly PathFault[], proxy: CuttableProxy): Promise<void> {
  const start = Date.now();
  const untilMs = (ms: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, Math.max(0, start + ms - Date.now())));
  for (const { at, lasts, how } of plan) {
    await untilMs(at);
    proxy[how]();
    await untilMs(at + lasts);
    proxy.restore();
  }
}
