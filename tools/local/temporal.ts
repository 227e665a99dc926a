import path from 'node:path';
import type { ServiceSpec } from './service.js';
import { answersOk } from './service.js';

export interface TemporalOptions {
  /** The program, see temporalBinary.mjs. */
  readonly binary: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
  readonly uiPort: number;
  /** In memory, for tests; else histories are kept in `<dataDir>/temporal.db`. */
  readonly ephemeral: boolean;
}

/** Priority and fairness of task queues do nothing without the first two. */
const DYNAMIC_CONFIG = [
  'matching.useNewMatcher=true',
  'matching.enableFairness=true',
  // Priority holds within a partition only: with the usual four, a poller that waits on a partition full of backfills
  // passes the news in another one.
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
  // A workflow is deleted once its shard has written down how far it is, every half minute, and this server has one shard for all:
  // erasures that come together waited for each other, one after the other.
  'history.transferProcessorUpdateAckInterval="2s"',
];

/** Temporal's dev server with its Web UI, namespace `default`. */
export function temporalService(options: TemporalOptions): ServiceSpec {
  const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(options.port)];
  args.push('--ui-port', String(options.uiPort), '--namespace', 'default', '--log-level', 'error');
  for (const setting of DYNAMIC_CONFIG) args.push('--dynamic-config-value', setting);
  if (!options.ephemeral) {
    // With these two a database file is as fast as memory; without them it does a quarter of the activities.
    args.push('--db-filename', path.join(options.dataDir, 'temporal.db'));
    args.push('--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=OFF');
  }
  return {
    name: 'temporal',
    launch: {
      name: 'temporal',
      command: options.binary,
      args,
      logFile: options.logFile,
      // Memory for CPU: a test run has enough of the one, and Go collects garbage at each doubling of a heap of some fifty megabytes.
      ...(options.ephemeral ? { env: { GOGC: '400' } } : {}),
    },
    // The Web UI passes this on to the server: one question proves both, and the namespace.
    isReady: () => answersOk(`http://127.0.0.1:${options.uiPort}/api/v1/namespaces/default`),
    readyTimeoutMs: 60_000,
    stopSignal: options.ephemeral ? 'SIGKILL' : 'SIGTERM',
    stopGraceMs: 10_000,
  };
}
