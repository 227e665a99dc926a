import type { Chance } from './chance.js';
import { mulberry32, weighted } from './chance.js';
import type { Deed, DeedKind, FaultId } from './strikes.js';
import { deedKinds, faultIds } from './strikes.js';

/** One deed of a round: when it is done, in milliseconds from the round's beginning, and how long it lasts. */
export interface Strike {
  at: number;
  lasts: number;
  fault: FaultId;
  deed: Deed;
}

export interface RoundPlan {
  seed: number;
  faults: FaultId[];
  /** How many Items live through it. */
  items: number;
  strikes: Strike[];
}

/** As many as there are kinds of them. */
export const fewestItems = 4;

export interface PlanOptions {
  /** How long faults come, in milliseconds. */
  durationMs: number;
  /** None but these; absent = all, mixed as chance will have it. */
  only?: readonly FaultId[];
  /** Whether PostgreSQL and Temporal may be killed. */
  ownServices: boolean;
  /** How many times as short the pauses between two deeds of one fault are; absent = 1. */
  pace?: number;
  /** How many Items live through the round; absent = the fewest. */
  items?: number;
  /** The longest that anything lasts, in milliseconds; absent = as long as usual. */
  longestMs?: number;
}

/** Between two deeds of one fault, as a part of the round, and of the longest stretch in milliseconds: a long round has more deeds. */
const pauses = { from: 0.05, to: 0.3, ofMs: 20_000 };
/** The longest that anything lasts, as a part of the round. */
const longestPart = 0.35;
/** The longest that anything lasts unless somebody asks for more: a round has many deeds, and not a few long ones. */
export const usualLongestMs = 20_000;
/** The longest that may be asked for: longer than any deadline of a call of ours. */
export const longestOfAllMs = 90_000;

/** The faults of one round. The same seed and options give the same plan. */
export function planRound(seed: number, options: PlanOptions): RoundPlan {
  const chance = mulberry32(seed * 7_919 + 17);
  const possible = deedKinds.filter(({ ownServices }) => options.ownServices || ownServices !== true);
  const drawn = options.only ?? drawFaults(chance);
  const strikes = drawn.flatMap((fault) =>
    strikesOf(
      possible.filter((kind) => kind.fault === fault),
      options,
      mulberry32(seed * 101 + faultIds.indexOf(fault)),
    ),
  );
  const { items = fewestItems } = options;
  return { seed, faults: [...drawn], items, strikes: strikes.sort((a, b) => a.at - b.at) };
}

/** One fault alone in three rounds of ten, so that its figures are its own; else some at once. */
function drawFaults(chance: Chance): FaultId[] {
  const first = faultIds[Math.floor(chance() * faultIds.length)] ?? 'F2';
  const alone = chance() < 0.3;
  return faultIds.filter((fault) => {
    const drawn = chance() < 0.4;
    return fault === first || (!alone && drawn);
  });
}

function strikesOf(
  kinds: readonly DeedKind[],
  { durationMs, pace = 1, longestMs = usualLongestMs }: PlanOptions,
  chance: Chance,
): Strike[] {
  const [first, ...others] = kinds;
  if (first === undefined) return [];
  const longest = Math.min(longestMs, durationMs * longestPart);
  const stretch = Math.min(pauses.ofMs, durationMs) / pace;
  const pause = (): number => stretch * (pauses.from + chance() * (pauses.to - pauses.from));
  const strikes: Strike[] = [];
  for (let at = pause() / 2; at < durationMs;) {
    const kind = weighted([first, ...others], chance);
    const lasts = Math.round(kind.lasts * longest * (0.1 + 0.9 * chance()));
    strikes.push({ at: Math.round(at), lasts, fault: kind.fault, deed: kind.draw(chance) });
    at += lasts + pause();
  }
  return strikes;
}
