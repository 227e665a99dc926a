import type { Chance } from './chance.js';
import { between, pick } from './chance.js';

/** The faults of a run with real processes, in the words of the report. Numbers that are missing are the matter of other tests. */
export const faults = {
  F2: 'worker killed at named points and at random, paused (SIGSTOP)',
  F3: 'API killed and paused, while clients repeat with the same Idempotency-Key',
  F4: 'PostgreSQL killed, restarted, its connections cut and silent',
  F5: 'Temporal killed, restarted, its connections cut and silent',
  F6: 'Kinesis refuses, throttles, fails in part, hangs, loses its answer',
  F7: 'Segment answers 429, 500 or nothing',
  F8: "Plaid's errors, late and broken answers, pages that move, its connections cut and silent",
  F9: 'true webhooks repeated, late, out of order, in a burst, lost',
  F10: 'forged webhooks',
  F17: 'workflow runs terminated by an operator',
  F18: 'SIGTERM and restart of workers and API',
  F19: 'Item removed while it is updated',
  F20: 'endpoint of events down, slow, cut',
  F21: 'connection revoked and expired while it is read',
  F22: 'clock of a worker, of the API or of the listener jumps by an hour, ahead or back',
  F23: 'user erased while an Item is updated',
  F24: 'listener killed at named points and at random, paused; user events repeated, out of order, refused by the stream',
  F25: "worker killed in a walk through Plaid's institutions, while some of them move",
} as const;
export type FaultId = keyof typeof faults;
export const faultIds = Object.keys(faults) as FaultId[];

/**
 * How often each is to strike in the long run, as ../shared/reliability.md has it where it says so: ends of processes, calls or webhooks where a
 * deed consists of some, else deeds.
 */
export const longCounts: Readonly<Record<FaultId, number>> = {
  F2: 2_000,
  F3: 1_000,
  F4: 200,
  F5: 50,
  F6: 20_000,
  F7: 5_000,
  F8: 10_000,
  F9: 100_000,
  F10: 14_000,
  F17: 20,
  F18: 50,
  F19: 500,
  F20: 5_000,
  F21: 500,
  F22: 100,
  F23: 500,
  F24: 10_000,
  F25: 100,
};
/** Seeds of F1 in the long run. */
export const longSimulations = 200_000;

/** What breaks a path. `forget`: the open connections alone go silent. */
export type Break = 'cut' | 'silence' | 'forget';
/** Who stands at the near end of a path. */
export const processNames = ['api', 'worker0', 'worker1', 'listener0', 'listener1'] as const;
export type Process = (typeof processNames)[number];

/** What is done, but for when and how long. Plain JSON, so that two schedules can be compared and printed. */
export type Deed =
  | { kind: 'killWorkerAt'; worker: 0 | 1; point: string }
  | { kind: 'killWorker' | 'pauseWorker' | 'replaceWorker'; worker: 0 | 1 }
  | { kind: 'killApi' | 'pauseApi' | 'replaceApi' }
  | { kind: 'killListenerAt'; listener: 0 | 1; point: string; words: number; seed: number }
  | { kind: 'killListener' | 'pauseListener' | 'replaceListener'; listener: 0 | 1 }
  | { kind: 'userEvents'; words: number; seed: number }
  | { kind: 'breakUserEvents'; how: 'refuse' | 'throttle' }
  | { kind: 'syncInstitutions'; worker: 0 | 1; renamed: number[]; latencyMs: number; afterMs: number }
  | { kind: 'jumpClock'; process: Process; byMinutes: number }
  | { kind: 'killPostgres' | 'killTemporal' }
  | { kind: 'breakDatabase' | 'breakTemporal'; process: Process; how: Break }
  | { kind: 'breakPlaid'; how: Break }
  | { kind: 'breakKinesis'; how: 'refuse' | 'throttle' | 'part' | 'loseAnswer' | 'hang'; percent: number }
  | { kind: 'breakSegment'; how: 429 | 500 | 'hang' }
  | { kind: 'breakEndpoint'; how: 429 | 500 | 'hang' | 'reset' }
  | { kind: 'plaidFails'; item: number; path: string; fault: Record<string, unknown>; times: number }
  | { kind: 'plaidFailsOften'; fault: Record<string, unknown>; percent: number }
  | { kind: 'pagesMove'; item: number }
  | { kind: 'webhooks'; item: number; duplicate: number; delayMs: number; reorder: boolean }
  | { kind: 'loseWebhook'; item: number }
  | { kind: 'forgeWebhook'; item: number; sign: string; duplicate: number }
  | { kind: 'terminateRun'; item: number }
  | { kind: 'removeItem' | 'eraseUser'; rows: number; afterMs: number }
  | { kind: 'revokeConnection'; item: number; byTime: boolean };

export interface DeedKind {
  fault: FaultId;
  weight: number;
  /** Longest duration of what lasts, as a part of the longest that the schedule allows. */
  lasts: number;
  /** Only where the services are the run's own: others use them else. */
  ownServices?: true;
  draw(chance: Chance): Deed;
}

const points = [
  ['page.beforeCall', 3],
  ['page.afterAnswer', 3],
  ['page.afterStaging', 2],
  ['apply.before', 3],
  ['apply.afterCommit', 3],
  ['publish.beforePut', 4],
  ['publish.afterPut', 4],
  ['publish.afterMark', 4],
  ['link.beforeExchange', 1],
  ['link.afterExchange', 1],
  ['link.afterStore', 1],
  ['deliver.beforeSend', 5],
  ['deliver.afterSend', 5],
  ['deliver.afterRecord', 5],
  ['erase.afterStop', 1],
  ['erase.afterRows', 3],
  ['erase.afterWorkflows', 1],
  ['erase.afterPut', 1],
  ['erase.afterEnd', 1],
] as const;

const pointsOfListener = [
  ['listener.beforeEffect', 2],
  ['listener.afterEffect', 2],
  ['listener.afterCheckpoint', 2],
] as const;
/** Where a process may be told to end: a long run has to reach each of them. */
export const crashPoints: readonly string[] = [...points, ...pointsOfListener].map(([point]) => point);

export const plaidPaths = [
  '/transactions/sync',
  '/accounts/get',
  '/auth/get',
  '/item/get',
  '/item/remove',
] as const;
const plaidFailures: readonly Record<string, unknown>[] = [
  { error_code: 'INTERNAL_SERVER_ERROR' },
  { error_code: 'INSTITUTION_DOWN' },
  { error_code: 'RATE_LIMIT', status: 429 },
  { error_type: 'API_ERROR', error_code: 'SOMETHING_NEW', status: 500 },
  { status: 502 },
  { reset: 'before' },
  { reset: 'after' },
  { truncate: 200 },
  { latency_ms: 4_000 },
  { latency_ms: 12_000 },
];
const signatures = [
  'wrong_key',
  'unknown_kid',
  'expired',
  'future',
  'expired_key',
  'none',
  'alg_none',
  'hs256',
  'body_changed',
  'reindented',
] as const;

const one = <const T extends readonly [unknown, ...unknown[]]>(list: T, chance: Chance): T[number] =>
  pick(list, chance) ?? list[0];
const worker = (chance: Chance): 0 | 1 => (chance() < 0.5 ? 0 : 1);
const anyBreak = (chance: Chance): Break => one(['silence', 'silence', 'cut', 'forget'], chance);
const anyProcess = (chance: Chance): Process => one(processNames, chance);
const seedOf = (chance: Chance): number => between(0, 1_000_000, chance);
/** Which of the Items of a round: taken modulo their number. */
const anyItem = (chance: Chance): number => between(0, 59, chance);

/** Everything that can be done, with how often it comes up among the deeds of its fault. */
export const deedKinds: readonly DeedKind[] = [
  {
    fault: 'F2',
    weight: 4,
    lasts: 0,
    draw(chance) {
      const [point, most] = one(points, chance);
      return {
        kind: 'killWorkerAt',
        worker: worker(chance),
        point: `${point}:${between(1, most, chance)}`,
      };
    },
  },
  { fault: 'F2', weight: 4, lasts: 0.3, draw: (c) => ({ kind: 'killWorker', worker: worker(c) }) },
  { fault: 'F2', weight: 2, lasts: 1, draw: (c) => ({ kind: 'pauseWorker', worker: worker(c) }) },
  { fault: 'F3', weight: 2, lasts: 0.3, draw: () => ({ kind: 'killApi' }) },
  { fault: 'F3', weight: 1, lasts: 0.7, draw: () => ({ kind: 'pauseApi' }) },
  { fault: 'F4', weight: 1, lasts: 0.5, ownServices: true, draw: () => ({ kind: 'killPostgres' }) },
  {
    fault: 'F4',
    weight: 3,
    lasts: 1,
    draw: (c) => ({ kind: 'breakDatabase', process: anyProcess(c), how: anyBreak(c) }),
  },
  { fault: 'F5', weight: 1, lasts: 0.5, ownServices: true, draw: () => ({ kind: 'killTemporal' }) },
  {
    fault: 'F5',
    weight: 3,
    lasts: 1,
    draw: (c) => ({ kind: 'breakTemporal', process: anyProcess(c), how: anyBreak(c) }),
  },
  {
    fault: 'F6',
    weight: 1,
    lasts: 1,
    draw: (c) => ({
      kind: 'breakKinesis',
      how: one(['part', 'part', 'refuse', 'throttle', 'loseAnswer', 'hang'], c),
      percent: between(1, 50, c),
    }),
  },
  {
    fault: 'F7',
    weight: 1,
    lasts: 1,
    draw: (c) => ({ kind: 'breakSegment', how: one([429, 500, 'hang'], c) }),
  },
  {
    fault: 'F8',
    weight: 6,
    lasts: 0,
    draw: (c) => ({
      kind: 'plaidFails',
      item: anyItem(c),
      path: one(plaidPaths, c),
      fault: pick(plaidFailures, c) ?? {},
      times: between(1, 3, c),
    }),
  },
  {
    fault: 'F8',
    weight: 4,
    lasts: 1,
    draw: (c) => ({
      kind: 'plaidFailsOften',
      fault: pick(plaidFailures, c) ?? {},
      percent: between(30, 100, c),
    }),
  },
  { fault: 'F8', weight: 3, lasts: 0, draw: (c) => ({ kind: 'pagesMove', item: anyItem(c) }) },
  { fault: 'F8', weight: 1, lasts: 0.7, draw: (c) => ({ kind: 'breakPlaid', how: anyBreak(c) }) },
  {
    fault: 'F9',
    weight: 3,
    lasts: 0,
    draw: (c) => ({
      kind: 'webhooks',
      item: anyItem(c),
      duplicate: one([1, 3, 10, 100, 1_000], c),
      delayMs: between(0, 3_000, c),
      reorder: c() < 0.5,
    }),
  },
  { fault: 'F9', weight: 2, lasts: 0, draw: (c) => ({ kind: 'loseWebhook', item: anyItem(c) }) },
  {
    fault: 'F10',
    weight: 1,
    lasts: 0,
    draw: (c) => ({
      kind: 'forgeWebhook',
      item: anyItem(c),
      sign: pick(signatures, c) ?? 'none',
      duplicate: one([1, 5, 20, 100], c),
    }),
  },
  { fault: 'F17', weight: 1, lasts: 0, draw: (c) => ({ kind: 'terminateRun', item: anyItem(c) }) },
  { fault: 'F18', weight: 2, lasts: 0, draw: (c) => ({ kind: 'replaceWorker', worker: worker(c) }) },
  { fault: 'F18', weight: 1, lasts: 0, draw: () => ({ kind: 'replaceApi' }) },
  {
    fault: 'F19',
    weight: 1,
    lasts: 0,
    draw: (c) => ({ kind: 'removeItem', rows: one([5, 520, 1_100], c), afterMs: between(0, 2_500, c) }),
  },
  {
    fault: 'F20',
    weight: 1,
    lasts: 1,
    draw: (c) => ({ kind: 'breakEndpoint', how: one([429, 500, 'hang', 'reset'], c) }),
  },
  {
    fault: 'F21',
    weight: 1,
    lasts: 0,
    draw: (c) => ({ kind: 'revokeConnection', item: anyItem(c), byTime: c() < 0.4 }),
  },
  {
    fault: 'F23',
    weight: 1,
    lasts: 0,
    draw: (c) => ({ kind: 'eraseUser', rows: one([5, 520], c), afterMs: between(0, 3_000, c) }),
  },
  {
    fault: 'F22',
    weight: 1,
    lasts: 1,
    draw: (c) => ({ kind: 'jumpClock', process: anyProcess(c), byMinutes: one([60, -60], c) }),
  },
  {
    fault: 'F24',
    weight: 4,
    lasts: 0,
    draw: (c) => ({ kind: 'userEvents', words: between(3, 40, c), seed: seedOf(c) }),
  },
  {
    fault: 'F24',
    weight: 3,
    lasts: 0,
    draw(chance) {
      const [point, most] = one(pointsOfListener, chance);
      return {
        kind: 'killListenerAt',
        listener: worker(chance),
        point: `${point}:${between(1, most, chance)}`,
        words: between(20, 60, chance),
        seed: seedOf(chance),
      };
    },
  },
  { fault: 'F24', weight: 2, lasts: 0.3, draw: (c) => ({ kind: 'killListener', listener: worker(c) }) },
  { fault: 'F24', weight: 1, lasts: 1, draw: (c) => ({ kind: 'pauseListener', listener: worker(c) }) },
  { fault: 'F24', weight: 1, lasts: 0, draw: (c) => ({ kind: 'replaceListener', listener: worker(c) }) },
  {
    fault: 'F24',
    weight: 1,
    lasts: 1,
    draw: (c) => ({ kind: 'breakUserEvents', how: one(['refuse', 'throttle'], c) }),
  },
  {
    fault: 'F25',
    weight: 1,
    lasts: 0.3,
    draw: (c) => ({
      kind: 'syncInstitutions',
      worker: worker(c),
      renamed: Array.from({ length: between(0, 3, c) }, () => between(0, 900, c)),
      latencyMs: between(100, 1_500, c),
      afterMs: between(0, 4_000, c),
    }),
  },
];
