import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, DefaultLogger } from '@temporalio/worker';
import type { Worker } from '@temporalio/worker';
import type { Activities } from '../../activities/index.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { ensureSearchAttributes } from '../../src/temporal/searchAttributes.js';
import { createWorkers } from '../../src/temporal/workers.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';

/** A namespace of its own on the shared Temporal server, so that test files do not meet on the queues. */
export async function createNamespace(): Promise<{
  client: Client;
  connection: Connection;
  namespace: string;
}> {
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address: testStack().temporal_address });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await until(async () => {
    await ensureSearchAttributes(connection, namespace);
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return Object.keys(customAttributes).includes('SluicePhase');
  });
  return { client: new Client({ connection, namespace }), connection, namespace };
}

/** Asks again until the answer is true; an error counts as "not yet". The test's own time-out ends it. */
export async function until(condition: () => Promise<boolean> | boolean, pauseMs = 50): Promise<void> {
  for (;;) {
    const met = await Promise.resolve()
      .then(condition)
      .catch(() => false);
    if (met) return;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

let installed = false;
export function installRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), shutdownSignals: [] });
}

interface WorkersOptions {
  maxConcurrentActivities?: number;
  maxCachedWorkflows?: number;
}

export interface TemporalHarness {
  client: Client;
  gateway: ReturnType<typeof createGateway>;
  namespace: string;
  stop(): Promise<void>;
  /** Ends the workers as a crash of the process would look from the server: nothing is reported any more. */
  restartWorkers(activities: Partial<Activities>, options?: WorkersOptions): Promise<void>;
}

/**
 * Real workflows on a real server with the activities given. Every workflow task replays from history unless workflows are
 * cached, which tests of long histories ask for: their replays would grow with the square of it.
 */
export async function startTemporal(
  activities: Partial<Activities>,
  options: WorkersOptions = {},
): Promise<TemporalHarness> {
  installRuntime();
  const { client, connection, namespace } = await createNamespace();
  const native = await NativeConnection.connect({ address: testStack().temporal_address });
  const workflowBundle = { codePath: workflowBundleFile() };
  let workers: Worker[] = [];
  let running: Promise<unknown> = Promise.resolve();
  const start = async (group: Partial<Activities>, changed: WorkersOptions = options): Promise<void> => {
    workers = await createWorkers({
      connection: native,
      namespace,
      roles: ['core', 'plaid'],
      activities: group,
      callsPerSecond: { plaid: 0, plaidFirst: 0, plaidLink: 0 },
      workflowBundle,
      maxCachedWorkflows: 0,
      ...changed,
    });
    running = Promise.all(workers.map((worker) => worker.run()));
  };
  const end = async (): Promise<void> => {
    for (const worker of workers) worker.shutdown();
    await running;
  };
  await start(activities);
  return {
    client,
    namespace,
    gateway: createGateway(client),
    async restartWorkers(group, changed) {
      await end();
      await start(group, changed);
    },
    async stop() {
      await end();
      await native.close();
      await connection.close();
    },
  };
}
