import { readFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type { Activities } from '../../activities/index.js';
import { createWorkers, runWorkers, stopWorkers } from '../../src/temporal/workers.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { installRuntime, until } from '../workflows/harness.js';

export const deploymentName = 'sluice';

/** The workflows as they are, and as a later release has them that goes another way than their histories say. */
const code = readFileSync(workflowBundleFile(), 'utf8');
const bundles = {
  asItIs: code,
  /** A page is another activity: a run that one of both has begun cannot be replayed by the other. */
  other: code.replaceAll('.minePage(', '.minePageAnew('),
};

export interface Build {
  stop(): Promise<void>;
}

/**
 * Workers of all queues built from one commit; without `buildId` they have no version. Every workflow task is replayed from
 * its history, so that a run which has changed its code is found.
 */
export async function startBuild(options: {
  namespace: string;
  buildId?: string;
  bundle: keyof typeof bundles;
  activities: Partial<Activities> & { minePageAnew: Activities['minePage'] };
}): Promise<Build> {
  if (bundles.other === code) throw new Error('the bundle does not call minePage as this test thinks');
  installRuntime();
  const { namespace, buildId, activities } = options;
  const connection = await NativeConnection.connect({ address: testStack().temporal_address });
  const workers = await createWorkers({
    connection,
    namespace,
    roles: ['core', 'plaid'],
    activities,
    version: buildId === undefined ? undefined : { deploymentName, buildId },
    callsPerSecond: { plaid: 0, plaidFirst: 0, plaidLink: 0 },
    workflowBundle: { code: bundles[options.bundle] },
    maxCachedWorkflows: 0,
  });
  const running = runWorkers(workers);
  return {
    async stop() {
      stopWorkers(workers);
      await running;
      await connection.close();
    },
  };
}

/** As `temporal worker deployment set-current-version` does; an empty `buildId` names the workers without a version. */
export function makeCurrent(client: Client, namespace: string, buildId: string): Promise<void> {
  // The server hears of a build with its first polls.
  return until(async () => {
    await client.workflowService.setWorkerDeploymentCurrentVersion({ namespace, deploymentName, buildId });
    return true;
  });
}

/** Which build did each workflow task of a run, in order; null = one without a version. The newest run when `runId` is absent. */
export async function buildsOf(
  client: Client,
  workflowId: string,
  runId?: string,
): Promise<(string | null)[]> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  return (events ?? [])
    .map((event) => event.workflowTaskCompletedEventAttributes)
    .filter((task) => task != null)
    .map((task) => task.deploymentVersion?.buildId ?? null);
}

/** The runs of a workflow, the first one first. */
export async function runsOf(client: Client, workflowId: string): Promise<string[]> {
  const runs: string[] = [];
  let runId: string | null | undefined = (await client.workflow.getHandle(workflowId).describe()).runId;
  while (runId) {
    runs.unshift(runId);
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId;
  }
  return runs;
}
