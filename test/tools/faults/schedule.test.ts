import { planRound } from '../../../tools/faults/schedule.js';
import { deedKinds, faultIds } from '../../../tools/faults/strikes.js';

const options = { durationMs: 20_000, ownServices: true };
const seeds = Array.from({ length: 400 }, (_, n) => n);

it('a seed gives the same deeds at the same moments, another seed others', () => {
  for (const seed of seeds) expect(planRound(seed, options)).toEqual(planRound(seed, options));
  const plans = new Set(seeds.map((seed) => JSON.stringify(planRound(seed, options).strikes)));
  expect(plans.size).toBe(seeds.length);
});

it('what is asked for comes, each fault of it, and nothing else; in the order of time and within the round', () => {
  for (const seed of seeds) {
    const { faults, strikes } = planRound(seed, { ...options, only: ['F2', 'F6'] });
    expect(faults).toEqual(['F2', 'F6']);
    expect([...new Set(strikes.map(({ fault }) => fault))].sort()).toEqual(['F2', 'F6']);
    const times = strikes.map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(Math.max(...times)).toBeLessThan(options.durationMs);
  }
});

it('all kinds of deeds come, some rounds have one fault alone, and services of others are not killed', () => {
  const plans = seeds.map((seed) => planRound(seed, options));
  const kinds = new Set(plans.flatMap(({ strikes }) => strikes.map(({ deed }) => deed.kind)));
  const drawn = new Set(deedKinds.map((kind) => kind.draw(() => 0.5).kind));
  expect([...kinds].sort()).toEqual([...drawn].sort());
  expect(new Set(deedKinds.map(({ fault }) => fault))).toEqual(new Set(faultIds));
  for (const fault of faultIds)
    expect(plans.some(({ faults }) => faults.length === 1 && faults[0] === fault)).toBe(true);
  const shared = seeds.flatMap((seed) => planRound(seed, { ...options, ownServices: false }).strikes);
  expect(shared.filter(({ deed }) => /^kill(Postgres|Temporal)$/.test(deed.kind))).toEqual([]);
});

it('a round three times as long has about three times the deeds', () => {
  const count = (durationMs: number): number =>
    seeds.reduce((sum, seed) => sum + planRound(seed, { durationMs, ownServices: true }).strikes.length, 0);
  expect(count(60_000) / count(20_000)).toBeGreaterThan(2);
});

it('at three times the pace a fault whose deeds last for no time has about three times the deeds', () => {
  const count = (pace: number): number =>
    seeds.reduce((sum, seed) => sum + planRound(seed, { ...options, only: ['F9'], pace }).strikes.length, 0);
  expect(count(3) / count(1)).toBeGreaterThan(2);
});

it('nothing lasts longer than it is told to', () => {
  const longest = (longestMs?: number): number =>
    Math.max(
      ...seeds.flatMap((seed) =>
        planRound(seed, { ...options, ...(longestMs === undefined ? {} : { longestMs }) }).strikes.map(
          ({ lasts }) => lasts,
        ),
      ),
    );
  expect(longest(900)).toBeLessThanOrEqual(900);
  expect(longest()).toBeGreaterThan(900);
});
