/** Numbers in [0, 1). */
export type Chance = () => number;

/** A small generator of numbers in [0, 1): the same seed gives the same moments. */
export function mulberry32(seed: number): Chance {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const pick = <T>(list: readonly T[], chance: Chance): T | undefined =>
  list[Math.floor(chance() * list.length)];

/** A whole number from `from` to `to`, both included. */
export const between = (from: number, to: number, chance: Chance): number =>
  from + Math.floor(chance() * (to - from + 1));

/** One of the entries, more often the heavier it is. */
export function weighted<T extends { weight: number }>(list: readonly [T, ...T[]], chance: Chance): T {
  let left = chance() * list.reduce((sum, { weight }) => sum + weight, 0);
  return list.find(({ weight }) => (left -= weight) < 0) ?? list[0];
}
