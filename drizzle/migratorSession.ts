import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import {
  hostsOf,
  pooledByTransaction,
  sessionsAreOwn,
  settingStatements,
} from '../domain/databaseSession.js';
import type { Host } from '../domain/databaseSession.js';
import { Failure } from '../domain/failures.js';
import { assertEncoding } from './encoding.js';
import { firstOf } from './rows.js';
import type { Sql } from './rows.js';

/** Any number that nobody else uses in this database. */
const lockKey = 7_305_418_201;
const keepAliveSeconds = 10;
const pollEveryMs = 500;
const reportEveryMs = 60_000;

/**
 * A statement may take as long as it likes here. A migrator that was killed must not go on in the server, where it would hold
 * its locks: the server checks whether its client is still there, also while it waits.
 */
const settings = `
  SET client_connection_check_interval = '2s';
  SET tcp_keepalives_idle = ${keepAliveSeconds};
  SET tcp_keepalives_interval = 5;
  SET tcp_keepalives_count = 3`;

/** The only migrator at work in its database: one connection, which holds the migrators' lock. */
export interface MigratorSession {
  /** Throws when the connection was lost: the driver would go on with another one, without the lock. */
  readonly sql: Sql;
  readonly lost: boolean;
  /** The session's number in the server. */
  readonly pid: number;
  /** Which of the URL's hosts that is. */
  readonly host: Host;
  end(): Promise<void>;
}

/** Called when somebody or something is waited for: one line, without secrets. */
export type OnWait = (line: string) => void;

const connect = (
  url: string,
  host: Host,
  name: string,
  more: postgres.Options<Record<string, never>> = {},
): Sql =>
  postgres(url, {
    ...host,
    max: 1,
    connect_timeout: 10,
    keep_alive: keepAliveSeconds,
    // The driver would end it after half an hour or more, and with it the lock: an index may take longer.
    max_lifetime: null,
    onnotice: () => undefined,
    connection: { application_name: name },
    ...more,
  });

async function assertPrimary(sql: Sql): Promise<void> {
  const { standby } = firstOf(await sql<[{ standby: boolean }]>`SELECT pg_is_in_recovery() AS standby`);
  if (standby) throw new Failure('UPSTREAM_DOWN', 'the database is a standby');
}

/**
 * The first of the URL's hosts that answers and is the primary; rejects with why the last one does not serve. One by one: of several that
 * refuse, the driver would try one after the other without end or pause, and say nothing.
 */
async function reach(url: string, connectTo: (host: Host) => Sql): Promise<{ sql: Sql; host: Host }> {
  let failure: unknown;
  for (const host of hostsOf(postgres(url, { max: 1 }).options)) {
    const sql = connectTo(host);
    try {
      await assertPrimary(sql);
      return { sql, host };
    } catch (error) {
      failure = error;
      await sql.end({ timeout: 5 });
    }
  }
  throw failure;
}

/**
 * Polls. Who waits in pg_advisory_lock holds a snapshot, for which CREATE INDEX CONCURRENTLY of the migrator at
 * work would wait: a deadlock.
 */
async function takeLock(sql: Sql, onWait: OnWait): Promise<void> {
  for (let waited = 0; ; waited += pollEveryMs) {
    const row = firstOf(await sql<[{ mine: boolean }]>`SELECT pg_try_advisory_lock(${lockKey}) AS mine`);
    if (row.mine) return;
    if (waited % reportEveryMs === 0)
      onWait('another migrator is at work in this database: waiting for its end');
    await sleep(pollEveryMs);
  }
}

const processOf = (sql: Sql) => async (): Promise<number> => {
  const { pid } = firstOf(await sql<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`);
  return pid;
};

/** Settings and lock belong to the session: behind a pooler that gives it to others, too, two migrators would be at work. */
async function assertOwnSession(sql: Sql, url: string, host: Host): Promise<void> {
  const other = connect(url, host, 'sluice-migrator-watch');
  try {
    if (await sessionsAreOwn(processOf(sql), processOf(other))) return;
    throw new Failure('MISCONFIGURED', pooledByTransaction);
  } finally {
    await other.end({ timeout: 5 });
  }
}

/**
 * Resolves when no other migrator is at work in the database; the lock goes with the connection. Rejects with MISCONFIGURED
 * behind a pooler by transactions, and where the database does not keep every character.
 */
export async function openMigratorSession(url: string, onWait: OnWait): Promise<MigratorSession> {
  const state = { lost: false };
  const onclose = (): boolean => (state.lost = true);
  const { sql, host } = await reach(url, (one) => connect(url, one, 'sluice-migrator', { onclose }));
  try {
    await assertOwnSession(sql, url, host);
    await assertEncoding(sql);
    for (const { text } of settingStatements()) await sql.unsafe(text);
    await sql.unsafe(settings);
    // A host of several that did not answer is no loss: only from here on there is something to lose.
    state.lost = false;
    await takeLock(sql, onWait);
    const pid = await processOf(sql)();
    return {
      get sql() {
        if (state.lost)
          throw new Failure('UPSTREAM_DOWN', 'the connection with the lock of the migrators was lost');
        return sql;
      },
      get lost() {
        return state.lost;
      },
      pid,
      host,
      end: () => sql.end({ timeout: 5 }),
    };
  } catch (error) {
    await sql.end({ timeout: 5 });
    throw error;
  }
}

/** Who holds what a session waits for. */
export interface Holders {
  /** Those that were seen since it was asked last; empty when none was. */
  take(): string;
  end(): Promise<void>;
}

/** Checks from a second connection while a session works, every `everyMs` milliseconds. What it cannot see it leaves out. */
export function watchHolders(
  url: string,
  { pid, host }: Pick<MigratorSession, 'pid' | 'host'>,
  everyMs: number,
): Holders {
  const sql = connect(url, host, 'sluice-migrator-watch');
  let last = '';
  const check = async (): Promise<void> => {
    const rows = await sql<{ who: string }[]>`
      SELECT 'pid ' || pid || ' (' || concat_ws(', ', nullif(application_name, ''), state,
        'in a transaction since ' || to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) || ')' AS who
      FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids(${pid})) AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 3`;
    if (rows.length > 0) last = rows.map(({ who }) => who).join(', ');
  };
  let checking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    checking = checking.then(check).catch(() => undefined);
  }, everyMs);
  return {
    take() {
      const seen = last;
      last = '';
      return seen;
    },
    async end() {
      clearInterval(timer);
      await sql.end({ timeout: 5 });
    },
  };
}
