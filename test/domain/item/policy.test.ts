import fc from 'fast-check';
import {
  backoff,
  defaultPolicy,
  jitteredTimeout,
  nextCallAt,
  recordCalls,
} from '../../../domain/item/policy.js';

describe('the spacing of calls', () => {
  it('never lets more than the limit start in any window, however eager the caller', () => {
    const window = 60_000;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        // Of each call: how long the caller idles before it, and how long the call takes.
        fc.array(
          fc.record({
            idle: fc.oneof(fc.constant(0), fc.nat(90_000)),
            takes: fc.oneof(fc.constant(0), fc.nat(30_000)),
          }),
          { maxLength: 200 },
        ),
        (limit, wishes) => {
          let now = 0;
          let calls: number[] = [];
          const started: number[] = [];
          for (const { idle, takes } of wishes) {
            now += idle;
            now = Math.max(now, nextCallAt(calls, limit, window, now));
            started.push(now);
            now += takes;
            calls = recordCalls(calls, 1, limit, window, now);
          }
          // Started calls number i and i + limit lie a whole window apart.
          for (let index = limit; index < started.length; index += 1) {
            expect((started[index] as number) - (started[index - limit] as number)).toBeGreaterThanOrEqual(
              window,
            );
          }
        },
      ),
    );
  });

  it('repeats inside one step count each', () => {
    const calls = recordCalls([], 3, 5, 1_000, 100);
    expect(calls).toEqual([100, 100, 100]);
    expect(nextCallAt(calls, 3, 1_000, 200)).toBe(1_100);
    expect(nextCallAt(calls, 4, 1_000, 200)).toBe(200);
  });

  it('never asks to wait longer than it must: the earliest allowed time is now or one window after a call', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(100_000)).map((times) => times.sort((a, b) => a - b)),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(100_000),
        (calls, limit, now) => {
          const at = nextCallAt(calls, limit, 60_000, now);
          expect(at === now || calls.includes(at - 60_000)).toBe(true);
          if (calls.length < limit) expect(at).toBe(now);
        },
      ),
    );
  });

  it('forgets what no longer matters and never keeps more than the limit', () => {
    expect(recordCalls([0, 500], 1, 10, 1_000, 1_000)).toEqual([500, 1_000]);
    expect(recordCalls([1, 2, 3], 2, 3, 1_000, 10)).toEqual([3, 10, 10]);
  });
});

describe('pauses', () => {
  it('double from the first to the longest and stay there', () => {
    expect([0, 1, 2, 3, 4].map((failures) => backoff(failures, 10, 45))).toEqual([10, 10, 20, 40, 45]);
    expect(backoff(1_000_000, 10, 45)).toBe(45);
  });

  it('the time-out of idle Items is spread over 24 to 48 h', () => {
    const hour = 3_600_000;
    expect(jitteredTimeout(defaultPolicy, 0)).toBe(24 * hour);
    expect(jitteredTimeout(defaultPolicy, 0.5)).toBe(36 * hour);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        const timeout = jitteredTimeout(defaultPolicy, random);
        expect(timeout).toBeGreaterThanOrEqual(24 * hour);
        expect(timeout).toBeLessThanOrEqual(48 * hour);
      }),
    );
  });
});
