import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import { taskQueues } from '../../domain/ids.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

interface PageCall {
  syncId: string;
  offset: number;
}

let temporal: TemporalHarness;
let calls: PageCall[];
let finished: Parameters<Activities['finishInstitutionSync']>[0][];
/** What a walk with all its pages has seen fewer of than Plaid counts. */
let lacking: number;
let statusCalls: Parameters<Activities['saveInstitutionStatuses']>[0][];
/** What one of the calls for a status ends with. */
let statusEnds: (call: number) => void;
/** Plaid's list as its length; a test changes it on the way. */
let total: number;
let size: number;
let before: (call: number) => void | Promise<void>;

const activities: Partial<Activities> = {
  async saveInstitutionPage({ syncId, offset }) {
    calls.push({ syncId, offset });
    await before(calls.length);
    const listed = Math.max(0, Math.min(size, total - offset));
    return { listed, kept: listed, total };
  },
  async finishInstitutionSync(input) {
    finished.push(input);
    const complete = input.expected === total - lacking;
    return { complete, vanished: complete ? 1 : 0 };
  },
  async saveInstitutionStatuses(input) {
    statusCalls.push(input);
    statusEnds(statusCalls.length);
    const next = { start: 'ins_9', after: `ins_${statusCalls.length}`, wrapped: false };
    return { checked: 2, failed: 1, next: statusCalls.length < 4 ? next : null };
  },
};

const start = (workflowType: string, input: object) =>
  temporal.client.workflow.start(workflowType, {
    workflowId: randomUUID(),
    taskQueue: taskQueues.core,
    args: [input],
  });
const sync = (pagesPerMinute = 1_000) => start('syncInstitutions', { pagesPerMinute });

beforeAll(async () => {
  temporal = await startTemporal(activities);
});
afterAll(() => temporal?.stop());
beforeEach(() => {
  calls = [];
  finished = [];
  lacking = 0;
  statusCalls = [];
  statusEnds = () => undefined;
  total = 12;
  size = 5;
  before = () => undefined;
});

describe('the sync of institutions', () => {
  it('fails when Plaid refuses it for good', async () => {
    before = () => {
      throw ApplicationFailure.nonRetryable('wrong country', 'BAD_REQUEST');
    };
    const run = await sync();
    await expect(run.result()).rejects.toThrow();
    expect([calls.length, finished]).toEqual([1, []]);
  });

  it('goes on behind a page that is refused, and marks nothing', async () => {
    [total, size] = [1_200, 500];
    before = () => {
      if (calls.at(-1)?.offset === 500) throw ApplicationFailure.nonRetryable('odd', 'BAD_REQUEST');
    };
    const run = await sync();
    expect(await run.result()).toEqual({ complete: false, vanished: 0, walks: 3 });
    expect(calls.map(({ offset }) => offset)).toEqual([1, 2, 3].flatMap(() => [0, 500, 1_000]));
    expect(finished).toEqual([]);
  });

  it('goes on at the page where a worker was lost, and waits where Plaid asks to', async () => {
    let reached = false;
    before = (call) => {
      if (call !== 2) return;
      reached = true;
      throw ApplicationFailure.create({ type: 'RATE_LIMITED', nextRetryDelay: 2_000 });
    };
    const run = await sync();
    await until(() => reached);
    await temporal.restartWorkers(activities);
    expect(await run.result()).toEqual({ complete: true, vanished: 1, walks: 1 });
    expect(calls.map(({ offset }) => offset)).toEqual([0, 5, 5, 10]);
    expect(new Set(calls.map(({ syncId }) => syncId)).size).toBe(1);
    expect(finished).toEqual([{ syncId: calls[0]?.syncId, expected: 12, last: false }]);
  });

  it('walks again, as another, when the list changed under it, and marks by the one that held still', async () => {
    before = (call) => {
      if (call === 2) total = 11;
    };
    const run = await sync();
    expect(await run.result()).toEqual({ complete: true, vanished: 1, walks: 2 });
    const [first, second] = [...new Set(calls.map(({ syncId }) => syncId))];
    expect(calls.map(({ syncId, offset }) => [syncId, offset])).toEqual([
      ...[0, 5, 10].map((offset) => [first, offset]),
      ...[0, 5, 10].map((offset) => [second, offset]),
    ]);
    expect(finished).toEqual([{ syncId: second, expected: 11, last: false }]);
  });

  it('marks nothing when the list never holds still, and ends', async () => {
    before = () => {
      total += 1;
    };
    const run = await sync();
    expect(await run.result()).toEqual({ complete: false, vanished: 0, walks: 3 });
    expect(finished).toEqual([]);
  });

  it('says of the last walk that none follows it, for it to be shown where none was complete', async () => {
    lacking = 1;
    const run = await sync();
    expect(await run.result()).toEqual({ complete: false, vanished: 0, walks: 3 });
    expect(finished.map(({ last }) => last)).toEqual([false, false, true]);
  });

  it("keeps Plaid's limit by a durable timer", async () => {
    const run = await sync(2);
    const timers = async (): Promise<number> =>
      ((await run.fetchHistory()).events ?? []).filter((event) => event.timerStartedEventAttributes).length;
    await until(async () => (await timers()) === 1);
    expect(calls.map(({ offset }) => offset)).toEqual([0, 5]);
    await run.terminate('seen enough');
  });

  it('carries its place into a new run before the history grows long', async () => {
    await temporal.restartWorkers(activities, { maxCachedWorkflows: 10 });
    total = 120;
    size = 1;
    const run = await sync();
    expect(await run.result()).toEqual({ complete: true, vanished: 1, walks: 1 });
    expect(calls.map(({ offset }) => offset)).toEqual(Array.from({ length: 120 }, (_, n) => n));
    expect(new Set(calls.map(({ syncId }) => syncId)).size).toBe(1);
    const first = temporal.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
  });
});

describe('the round for connection status', () => {
  it('goes from batch to batch under one time, and counts', async () => {
    const run = await start('refreshInstitutionStatus', { callsPerMinute: 1_000_000 });
    expect(await run.result()).toEqual({ checked: 8, failed: 4 });
    expect(statusCalls.map(({ round }) => round?.after)).toEqual([undefined, 'ins_1', 'ins_2', 'ins_3']);
    expect(new Set(statusCalls.map(({ since }) => since)).size).toBe(1);
  });

  it('waits where Plaid as a whole does not answer, and the later ones have their turn all the same', async () => {
    statusEnds = (call) => {
      if (call === 2) throw ApplicationFailure.nonRetryable('slow down', 'RATE_LIMITED');
    };
    const run = await start('refreshInstitutionStatus', { callsPerMinute: 1_000_000 });
    expect(await run.result()).toEqual({ checked: 6, failed: 3 });
    expect(statusCalls.map(({ round }) => round?.after)).toEqual([undefined, 'ins_1', 'ins_1', 'ins_3']);
  });
});
