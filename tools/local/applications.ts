import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launch, logTail } from './childProcess.js';
import { tuningEnvironment } from './environment.mjs';
import { answersOk, type ServiceSpec } from './service.js';
import { plaidEnvironment, type PlaidSandbox } from './plaidSandbox.js';
import { keptSecrets } from './secrets.js';
import { SetupFailure } from './setupFailure.mjs';
import type { Stack } from './stack.js';

export const APPLICATIONS = ['api', 'worker', 'listener'] as const;
export type Application = (typeof APPLICATIONS)[number];

const ENTRY = { api: 'server', worker: 'worker', listener: 'listener', provision: 'provision' } as const;
const METRICS = { api: 'apiMetrics', worker: 'workerMetrics', listener: 'listenerMetrics' } as const;
const PROVISION_TIMEOUT_MS = 120_000;

/** Environment of the production processes (docs/contract: environment), pointed at the local stack. */
function applicationEnvironment(stack: Stack, sandbox: PlaidSandbox | undefined): Record<string, string> {
  const secrets = keptSecrets(stack.dataDir);
  return {
    // Nobody else asks here: only a loop that has gone wild should meet the limit.
    RATE_LIMIT_PER_MINUTE: '60000',
    // On a developer's machine, busy with other things, late is better than refused.
    SHED_LOAD_AFTER: 'PT0S',
    // Each read of a shard costs the emulator 10 to 20 ms of CPU, and a stack is idle for most of its life.
    USER_EVENTS_POLL: 'PT5S',
    // Receivers of a developer run on the same machine, without certificates.
    ENDPOINTS_ALLOW: '127.0.0.0/8,::1/128',
    ENDPOINTS_INSECURE: 'true',
    ...tuningEnvironment,
    DATABASE_URL: stack.urls.database_url,
    TEMPORAL_ADDRESS: stack.urls.temporal_address,
    TEMPORAL_NAMESPACE: 'default',
    ...plaidEnvironment(
      { simulatorUrl: stack.urls.simulator_url, apiUrl: apiUrl(stack), ...secrets },
      sandbox,
    ),
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    KINESIS_ENDPOINT: stack.urls.kinesis_endpoint,
    USER_EVENTS_STREAM: 'user-events',
    SEGMENT_HOST: stack.urls.segment_sink_url,
    SEGMENT_WRITE_KEY: secrets.segmentWriteKey,
    ENCRYPTION_KEYS: secrets.encryptionKeys,
    ADMIN_API_KEY: secrets.adminApiKey,
    HOST: '127.0.0.1',
  };
}

export function apiUrl(stack: Stack): string {
  return `http://127.0.0.1:${stack.ports.api}`;
}

/**
 * API, worker and listener as they run in production: plain Node, TypeScript by tsx, one process each. `more` goes on top of their
 * environment.
 */
export function applicationService(
  name: Application,
  stack: Stack,
  sandbox?: PlaidSandbox,
  more: Record<string, string> = {},
): ServiceSpec {
  const logFile = stack.logFile(name);
  let before = 0;
  return {
    name,
    prepare: () => {
      before = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
      return Promise.resolve();
    },
    launch: {
      name,
      command: process.execPath,
      args: nodeArguments(name),
      env: {
        ...applicationEnvironment(stack, sandbox),
        METRICS_PORT: String(stack.ports[METRICS[name]]),
        ...(name === 'api' && { PORT: String(stack.ports.api) }),
        ...more,
      },
      logFile,
    },
    isReady: () =>
      name === 'api'
        ? answersOk(`${apiUrl(stack)}/readyz`)
        : Promise.resolve(readFileSync(logFile).subarray(before).includes(`"msg":"${name} ready"`)),
    readyTimeoutMs: 90_000,
    stopSignal: 'SIGTERM',
    stopGraceMs: 35_000, // they give themselves 30 s to finish what runs
  };
}

/** Migrates, and makes search attributes, schedules and streams; one-shot and idempotent. */
export async function provision(
  stack: Stack,
  sandbox?: PlaidSandbox,
  more: Record<string, string> = {},
): Promise<void> {
  const child = await launch({
    name: 'provision',
    command: process.execPath,
    args: nodeArguments('provision'),
    env: { ...applicationEnvironment(stack, sandbox), ...more },
    logFile: stack.logFile('provision'),
  });
  stack.guard.add(child, 'SIGTERM');
  const timer = setTimeout(() => void child.stop('SIGTERM', 5_000), PROVISION_TIMEOUT_MS);
  const exit = await child.exited;
  clearTimeout(timer);
  stack.guard.remove(child);
  if (exit.code !== 0) {
    throw new SetupFailure(
      `provisioning failed (${exit.signal ?? `exit ${exit.code}`}). Its log ${child.logFile} ends with:\n${logTail(child.logFile)}`,
    );
  }
}

function nodeArguments(name: keyof typeof ENTRY): string[] {
  const entry = fileURLToPath(new URL(`../../src/${ENTRY[name]}.ts`, import.meta.url));
  return ['--enable-source-maps', '--import', import.meta.resolve('tsx'), entry];
}
