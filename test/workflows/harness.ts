import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, DefaultLogger } from '@temporalio/worker';
import type { Worker } from '@temporalio/worker';
import type { Activities } from '../../activities/index.js';
import { Failure } from '../../domain/failures.js';
import type { Gateway } from '../../domain/ports/gateway.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { ensureSearchAttributes } from '../../src/temporal/setUp.js';
import type { Role } from '../../src/temporal/workers.js';
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
export async function until(condition: () => Promise<boolean> | boolean, pauseMs = 200): Promise<void> {
  for (;;) {
    const met = await Promise.resolve()
      .then(condition)
      .catch(() => false);
    if (met) return;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * The gateway, whose signals and questions get longer than any busy machine needs. How long the program itself waits for Temporal is tried in
 * test/temporal and test/clients/silentHosts.test.ts.
 */
function patientGateway(client: Client): Gateway {
  const gateway = createGateway(client);
  return {
    ...gateway,
    signalItem: (itemId, userId, signal, deadlineMs = 120_000) =>
      gateway.signalItem(itemId, userId, signal, deadlineMs),
    async itemStatus(itemId) {
      for (;;) {
        try {
          return await gateway.itemStatus(itemId);
        } catch (error) {
          if (!(error instanceof Failure) || error.type !== 'ORCHESTRATOR_DOWN') throw error;
        }
      }
    },
  };
}

const ofProcess = globalThis as { sluiceTestRuntime?: true };
/** Temporal's runtime is one a process, and a process runs many test files. */
export function installRuntime(): void {
  if (ofProcess.sluiceTestRuntime) return;
  ofProcess.sluiceTestRuntime = true;
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), shutdownSignals: [] });
}

interface WorkersOptions {
  roles?: readonly Role[];
  activitiesAtOnce?: number;
  maxCachedWorkflows?: number;
}

export interface TemporalHarness {
  client: Client;
  gateway: Gateway;
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
  const start = async (
    group: Partial<Activities>,
    { activitiesAtOnce: n, ...changed }: WorkersOptions = options,
  ): Promise<void> => {
    workers = await createWorkers({
      connection: native,
      namespace,
      roles: ['core', 'plaid'],
      activities: group,
      callsPerSecond: { plaid: 0, plaidFirst: 0, plaidLink: 0 },
      workflowBundle,
      maxCachedWorkflows: 0,
      ...changed,
      ...(n === undefined
        ? {}
        : { activitiesAtOnce: { core: n, plaid: n, plaidFirst: n, plaidLink: n, events: n } }),
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
    gateway: patientGateway(client),
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
