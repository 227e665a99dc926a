import { randomUUID } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import { taskQueues } from '../../domain/ids.js';
import { startTemporal } from './harness.js';
import type { TemporalHarness } from './harness.js';

const parts = ['sweep', 'endConnections', 'wakeEndpoints', 'sweepErasures'] as const;
type Part = (typeof parts)[number];

let temporal: TemporalHarness;
let done: Part[];
let failing: Part;
let nonRetryable: boolean;

const activities = Object.fromEntries(
  parts.map((part) => [
    part,
    async () => {
      if (part === failing) throw ApplicationFailure.create({ type: 'UPSTREAM_DOWN', nonRetryable });
      done.push(part);
      return {};
    },
  ]),
) as unknown as Partial<Activities>;

beforeAll(async () => {
  // Nothing of it runs beside another part: what fails has failed before the others begin.
  temporal = await startTemporal(activities, { activitiesAtOnce: 1 });
});
afterAll(() => temporal?.stop());

it.each(parts.flatMap((part) => [true, false].map((final) => [part, final] as const)))(
  'ends with what it could do where %s fails, for good (%s) or not: the next begins with all of it',
  async (part, final) => {
    [done, failing, nonRetryable] = [[], part, final];
    const run = await temporal.client.workflow.start('sweep', {
      workflowId: randomUUID(),
      taskQueue: taskQueues.core,
      args: [{ graceMs: 1_000 }],
    });
    await expect(run.result()).rejects.toThrow(WorkflowFailedError);
    expect([...done].sort()).toEqual(parts.filter((other) => other !== part).sort());
  },
);
