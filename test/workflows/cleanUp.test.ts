import { randomUUID } from 'node:crypto';
import type { Activities } from '../../activities/index.js';
import { taskQueues } from '../../domain/ids.js';
import { perishables } from '../../domain/retention.js';
import type { Perishable, Retention } from '../../domain/retention.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

let temporal: TemporalHarness;
let calls: { what: Perishable; keepMs: number; after: string | null }[];
/** Batches that each kind takes. */
let batches: number;
let before: () => void | Promise<void>;

const activities: Partial<Activities> = {
  async deleteExpired(input) {
    calls.push(input);
    await before();
    const done = Number(input.after ?? 0) + 1;
    return { deleted: 10, next: done < batches ? String(done) : null };
  },
};

const keep: Retention = {
  outbox: 1,
  webhooks: 2,
  links: 3,
  parkedRows: 4,
  parkedEvents: 5,
  segmentEvents: 6,
  balances: 7,
  events: 8,
};
const start = () =>
  temporal.client.workflow.start('cleanUp', {
    workflowId: randomUUID(),
    taskQueue: taskQueues.core,
    args: [{ keep }],
  });
const each = (n: number) => Object.fromEntries(perishables.map((what) => [what, n]));

beforeAll(async () => {
  temporal = await startTemporal(activities);
});
afterAll(() => temporal?.stop());
beforeEach(() => {
  calls = [];
  batches = 2;
  before = () => undefined;
});

it('goes on where it was when a worker is lost', async () => {
  let reached = false;
  before = () => {
    if (calls.length !== 4) return;
    reached = true;
    throw new Error('lost');
  };
  const run = await start();
  await until(() => reached);
  before = () => undefined;
  await temporal.restartWorkers(activities);
  expect(await run.result()).toEqual(each(20));
  expect(calls.slice(0, 5).map(({ what, after }) => [what, after])).toEqual([
    ['outbox', null],
    ['outbox', '1'],
    ['webhooks', null],
    ['webhooks', '1'],
    ['webhooks', '1'],
  ]);
});

it('takes one kind after the other, each with its own age, and counts', async () => {
  batches = 1;
  const run = await start();
  expect(await run.result()).toEqual(each(10));
  expect(calls.map(({ what }) => what)).toEqual([...perishables]);
  expect(Object.fromEntries(calls.map(({ what, keepMs }) => [what, keepMs]))).toEqual({
    ...keep,
    idempotencyKeys: 0,
  });
});

it('carries its place into a new run before the history grows long', async () => {
  await temporal.restartWorkers(activities, { maxCachedWorkflows: 10 });
  batches = 25;
  const run = await start();
  expect(await run.result()).toEqual(each(250));
  expect(calls.map(({ after }) => after)).toEqual(
    perishables.flatMap(() => Array.from({ length: 25 }, (_, n) => (n === 0 ? null : String(n)))),
  );
  const first = temporal.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
  expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
});
