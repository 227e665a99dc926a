import type { PairResult } from './pairs.js';

/** One line of the table that `npm run bench` ends with. */
export interface Figure {
  what: string;
  figure: string;
  goal: string;
  /** Whether the goal is met; a figure without a goal always is. */
  reached: boolean;
}

export interface Measured {
  /** Goes to `tools/bench/results/` as it is. */
  result: { workload: string };
  figures: Figure[];
}

export interface BenchOptions {
  /** Pairs to measure where two sides are compared; one more is run first and dropped. */
  pairs: number;
  /** Items of the simulator in the workload that measures it alone. */
  items: number;
  say: (line: string) => void;
}

export type Workload = (options: BenchOptions) => Promise<Measured>;

const ratios = ({ median, min, max }: PairResult): string =>
  `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;

export const atLeast = (what: string, pair: PairResult, goal: number): Figure => ({
  what,
  figure: ratios(pair),
  goal: `≥ ${goal}`,
  reached: pair.median >= goal,
});

export const atMost = (what: string, value: number | null, goal: number, digits = 2): Figure => ({
  what,
  figure: value === null ? 'not measured here' : value.toFixed(digits),
  goal: `≤ ${goal}`,
  reached: value !== null && value <= goal,
});

export const below = (what: string, value: number | null, goal: number, note = ''): Figure => ({
  what,
  figure: value === null ? 'not measured here' : `${value}${note}`,
  goal: `< ${goal}`,
  reached: value !== null && value < goal,
});

export const from = (what: string, value: number | null, goal: number, note = ''): Figure => ({
  what,
  figure: value === null ? 'not measured here' : `${value}${note}`,
  goal: `≥ ${goal}`,
  reached: value !== null && value >= goal,
});

export const exactly = (what: string, value: number, goal: number): Figure => ({
  what,
  figure: String(value),
  goal: String(goal),
  reached: value === goal,
});

export const known = (what: string, figure: string): Figure => ({ what, figure, goal: '–', reached: true });

/** A ratio without a goal. */
export const shown = (what: string, pair: PairResult): Figure => known(what, ratios(pair));

/** The value below which `share` of the sorted values lie. */
export const percentile = (sorted: readonly number[], share: number): number =>
  Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) * 10) /
  10;
