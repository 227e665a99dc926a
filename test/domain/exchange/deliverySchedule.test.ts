import { afterFailedAttempt, deliveryPauses, pauseAfter } from '../../../domain/exchange/deliverySchedule.js';
import { afterAttempt } from '../../../domain/exchange/endpointHealth.js';
import type { Answered, EndpointHealth } from '../../../domain/exchange/endpointHealth.js';

const hour = 3_600_000;

describe('the schedule of a delivery', () => {
  it('is that of Standard Webhooks, give or take a fifth, and then at its end', () => {
    const minutes = deliveryPauses.map((pause) => pause / 60_000);
    expect(minutes).toEqual([5 / 60, 5, 30, 120, 300, 600, 840, 1_200, 1_440]);
    for (const [index, pause] of deliveryPauses.entries()) {
      expect(pauseAfter(index + 1, null, 0)).toBe(pause * 0.8);
      expect(pauseAfter(index + 1, null, 1)).toBe(pause * 1.2);
    }
    expect(pauseAfter(10, null, 0.5)).toBeNull();
    expect(pauseAfter(10, 1_000, 0.5)).toBeNull();
  });

  it('keeps what the receiver asks for, up to a day', () => {
    expect(pauseAfter(1, 90_000, 0.5)).toBe(90_000);
    expect(pauseAfter(2, 1_000, 0.5)).toBe(300_000);
    expect(pauseAfter(1, 1_000 * hour, 0.5)).toBe(24 * hour);
  });
});

describe('an attempt that comes before its time', () => {
  it('is none of the schedule, which goes on as if it had not been', () => {
    expect(afterFailedAttempt(10, hour, null, 0.5)).toEqual({ counted: false, pauseMs: hour });
    expect(afterFailedAttempt(2, hour, 2 * hour, 0.5)).toEqual({ counted: false, pauseMs: 2 * hour });
    expect(afterFailedAttempt(2, hour, 1_000 * hour, 0.5)).toEqual({ counted: false, pauseMs: 24 * hour });
  });

  it('takes the place of the one whose time has come meanwhile', () => {
    expect(afterFailedAttempt(2, 0, null, 0.5)).toEqual({ counted: true, pauseMs: 300_000 });
    expect(afterFailedAttempt(10, -1, null, 0.5)).toEqual({ counted: true, pauseMs: null });
  });
});

describe('the health of an endpoint', () => {
  const healthy: EndpointHealth = { state: 'enabled', failures: 0, failingSince: null, quietUntil: null };
  const broken: Answered = { status: 500, retryAfterMs: null };
  const fine: Answered = { status: 204, retryAfterMs: null };

  function after(answers: Answered[], from = healthy, at = (n: number) => n * 1_000) {
    let health = from;
    const changes: (string | undefined)[] = [];
    for (const [n, answer] of answers.entries()) {
      const judged = afterAttempt(health, answer, at(n), 0.5);
      health = judged.health;
      if (judged.change !== null) changes.push(judged.change.to);
    }
    return { health, changes };
  }

  it('fails after five failures in a row, and is left alone for longer and longer', () => {
    expect(after(Array(4).fill(broken)).health).toMatchObject({
      state: 'enabled',
      failures: 4,
      quietUntil: null,
    });
    const five = after(Array(5).fill(broken));
    expect(five).toEqual({
      health: { state: 'failing', failures: 5, failingSince: 0, quietUntil: 64_000 },
      changes: ['failing'],
    });
    expect(after([broken], five.health, () => 100_000).health.quietUntil).toBe(220_000);
    const patient = after(Array(40).fill(broken), healthy, (n) => n * 2 * hour);
    expect(patient.health.quietUntil).toBe(78 * hour + hour);
  });

  it('is left alone no longer for what was on its way when it began to fail', () => {
    const atOnce = after(Array(16).fill(broken), healthy, () => 0);
    expect(atOnce.health).toEqual({ state: 'failing', failures: 5, failingSince: 0, quietUntil: 60_000 });
    expect(after([broken], atOnce.health, () => 59_000).health).toEqual(atOnce.health);
    expect(after([{ status: 503, retryAfterMs: 90_000 }], atOnce.health, () => 0).health.quietUntil).toBe(
      90_000,
    );
    expect(after([broken], atOnce.health, () => 61_000).health).toMatchObject({
      failures: 6,
      quietUntil: 181_000,
    });
  });

  it('is well at the first success, whenever it comes', () => {
    expect(after([broken, broken, fine, broken])).toMatchObject({
      health: { failures: 1, failingSince: 3_000 },
      changes: [],
    });
    expect(after([...Array<Answered>(7).fill(broken), fine])).toEqual({
      health: healthy,
      changes: ['failing', 'recovered'],
    });
  });

  it('is left alone for as long as it asks, though others that were on their way are taken', () => {
    const busy: Answered = { status: 429, retryAfterMs: 600_000 };
    expect(after([busy, fine, fine]).health).toEqual({ ...healthy, quietUntil: 600_000 });
    expect(after([busy, fine], healthy, (n) => n * 700_000).health).toEqual(healthy);
  });

  it('is off after a 410, and after five days in which nothing got through', () => {
    expect(after([{ status: 410, retryAfterMs: null }])).toMatchObject({
      health: { state: 'disabled' },
      changes: ['disabled'],
    });
    const days = (n: number) => after(Array(n).fill(broken), healthy, (k) => k * 24 * hour);
    expect(days(5).health.state).toBe('failing');
    expect(days(6)).toMatchObject({ health: { state: 'disabled' }, changes: ['failing', 'disabled'] });
    expect(after(Array(3).fill({ status: null, retryAfterMs: null })).health.failures).toBe(3);
  });

  it('that is off stays so, whatever was on its way', () => {
    for (const state of ['paused', 'disabled'] as const) {
      for (const answer of [fine, broken, { status: 410, retryAfterMs: null }]) {
        expect(after([answer], { ...healthy, state })).toMatchObject({ health: { state }, changes: [] });
      }
    }
  });

  it('is slowed by 429, 502, 504 and by Retry-After', () => {
    for (const status of [429, 502, 504]) {
      expect(after([{ status, retryAfterMs: null }]).health.quietUntil).toBe(5_000);
      expect(after([{ status, retryAfterMs: 60_000 }]).health.quietUntil).toBe(60_000);
    }
    expect(after([{ status: 503, retryAfterMs: 9_000 }]).health.quietUntil).toBe(9_000);
    expect(after([broken]).health.quietUntil).toBeNull();
    expect(after([{ status: 429, retryAfterMs: 9_000 * hour }]).health.quietUntil).toBe(24 * hour);
  });
});
