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
let type: string;
let nonRetryable: boolean;

const activities = Object.fromEntries(
  parts.map((part) => [
    part,
    async () => {
      if (part === failing) throw ApplicationFailure.create({ type, nonRetryable });
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

const failures = [
  ['UPSTREAM_DOWN', false],
  ['ORCHESTRATOR_DOWN', false],
  ['UNEXPECTED', false],
  ['MISCONFIGURED', true],
] as const;

it.each(parts.flatMap((part) => failures.map(([type, final]) => [part, type, final] as const)))(
  'ends with what it could do where %s fails with %s: the next begins with all of it; an outage fails no run',
  async (part, failure, final) => {
    [done, failing, type, nonRetryable] = [[], part, failure, final];
    const run = await temporal.client.workflow.start('sweep', {
      workflowId: randomUUID(),
      taskQueue: taskQueues.core,
      args: [{ graceMs: 1_000 }],
    });
    if (failure.endsWith('_DOWN')) await run.result();
    else await expect(run.result()).rejects.toThrow(WorkflowFailedError);
    expect([...done].sort()).toEqual(parts.filter((other) => other !== part).sort());
  },
);
