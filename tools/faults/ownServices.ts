import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflows } from '../../src/temporal/bundle.js';
import { compileProgram } from '../local/compileProgram.mjs';
import type { Stack } from '../local/stack.js';
import { startStack } from '../local/stack.js';
import type { Surroundings } from './system.js';
import type { OwnServices } from './world.js';

/** PostgreSQL and Temporal that keep what they were given through a `kill -9`, and the Kinesis emulator. */
export interface OwnSurroundings {
  surroundings: Surroundings;
  services: OwnServices;
  stop(): Promise<void>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts services that nobody else uses, in a folder that goes with them. */
export async function startOwnServices(): Promise<OwnSurroundings> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'sluice-faults-'));
  const program = path.join(dataDir, 'program');
  const workflowBundle = path.join(dataDir, 'workflows.js');
  const wanted = ['postgres', 'temporal', 'kinesis'] as const;
  const [stack, bundle] = await Promise.all([
    // What the emulator is told once it tells until it ends, and no fault ends it; a save of all of it stops its answers for seconds.
    startStack({ dataDir, freePorts: true, services: wanted, forgetful: ['kinesis'] }),
    bundleWorkflows(),
    compileProgram(program),
  ]);
  writeFileSync(workflowBundle, bundle.code);
  return {
    surroundings: {
      temporalAddress: stack.urls.temporal_address,
      kinesisEndpoint: stack.urls.kinesis_endpoint,
      programArguments: (entry) => [path.join(program, entry.replace(/\.ts$/, '.js'))],
      workflowBundle,
      // Provisioning makes in both what it needs.
      async createNamespace() {
        const connection = await Connection.connect({ address: stack.urls.temporal_address });
        return { client: new Client({ connection, namespace: 'default' }), connection, namespace: 'default' };
      },
      createDatabase: () => Promise.resolve({ url: stack.urls.database_url, drop: () => Promise.resolve() }),
      adopt(child) {
        stack.guard.add(child, 'SIGTERM');
        void child.exited.then(() => stack.guard.remove(child));
      },
    },
    services: { kill: (service, awayMs) => kill(stack, service, awayMs) },
    async stop() {
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** As a crash; it is started at the same address with the same data `awayMs` later. */
async function kill(stack: Stack, service: 'postgres' | 'temporal', awayMs: number): Promise<void> {
  const pid = stack.pids()[service];
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await pause(awayMs);
  await stack.restart(service);
}
