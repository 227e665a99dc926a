import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { APPLICATIONS, applicationService, provision } from '../local/applications.js';
import { machineEnvironment } from '../local/environment.mjs';
import { startService } from '../local/service.js';
import type { Service } from '../local/service.js';
import { SetupFailure } from '../local/setupFailure.mjs';
import { startStack } from '../local/stack.js';
import type { Stack } from '../local/stack.js';
import { openCluster, untilPromoted } from './cluster.js';
import type { Cluster } from './cluster.js';

/** The whole service on loopback, which can lose its database and Temporal. */
export interface Rig {
  readonly cluster: Cluster;
  stack(): Stack;
  startApplications(): Promise<void>;
  /** Runs a one-shot job of production; resolves to what it wrote. */
  job(name: 'restored' | 'listEnded' | 'reapply', ...args: string[]): Promise<string>;
  /** As a power cut: API, worker, listener, PostgreSQL and Temporal at once. What belongs to others (Plaid, the streams) stays. */
  loseAll(): Promise<void>;
  /** PostgreSQL as it was at `at`, Temporal as on its first day; provisioned, no application yet. */
  restore(at: string): Promise<void>;
  stop(): Promise<void>;
}

/** Paces by which minutes of production pass in seconds; the sweep is what notices that something is due. */
const paces = {
  SWEEP_EVERY: 'PT5S',
  SWEEP_GRACE: 'PT5S',
  PACE: JSON.stringify({
    quiet: 200,
    quietDeadline: 1_000,
    betweenUpdates: 500,
    pollFirst: 1_000,
    pollLongest: 5_000,
    retryFirst: 1_000,
    retryLongest: 5_000,
    brokenCheck: 10_000,
    erasureFirst: 500,
    erasureLongest: 2_000,
    lateWriters: 5_000,
  }),
};

const run = promisify(execFile);
const inMs = 300_000;

export async function openRig(dataDir: string, transactionsPerItem: number): Promise<Rig> {
  const start = (): Promise<Stack> =>
    startStack({ dataDir, freePorts: true, simulator: { transactionsPerItem } });
  let stack = await start();
  const cluster = await openCluster(dataDir);
  let applications: Service[] = [];
  await cluster.keepLog(stack);
  await provision(stack, undefined, paces);

  return {
    cluster,
    stack: () => stack,

    async startApplications() {
      applications = await Promise.all(
        APPLICATIONS.map((name) =>
          startService(applicationService(name, stack, undefined, paces), stack.guard),
        ),
      );
    },

    async job(name, ...args) {
      const entry = fileURLToPath(new URL(`../../src/${name}.ts`, import.meta.url));
      const env = { ...machineEnvironment, DATABASE_URL: stack.urls.database_url };
      const command = ['--import', import.meta.resolve('tsx'), entry, ...args];
      try {
        const { stdout } = await run(process.execPath, command, { env, timeout: inMs, maxBuffer: 2 ** 28 });
        return stdout;
      } catch (error) {
        const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
        throw new SetupFailure(`${name} failed: ${stdout}${stderr}`);
      }
    },

    async loseAll() {
      const { postgres, temporal } = stack.pids();
      const pids = [...applications.map(({ pid }) => pid), postgres, temporal];
      for (const pid of pids) if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await Promise.all(applications.map(({ exited }) => exited));
      applications = [];
      await stack.stop();
    },

    async restore(at) {
      await cluster.restore(at);
      for (const end of ['', '-wal', '-shm'])
        rmSync(path.join(dataDir, `temporal.db${end}`), { force: true });
      stack = await start();
      await untilPromoted(stack.urls.database_url);
      await provision(stack, undefined, paces);
    },

    async stop() {
      await Promise.all(applications.map((application) => application.stop()));
      await stack.stop();
      cluster.cleanUp();
    },
  };
}
