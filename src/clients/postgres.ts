import postgres from 'postgres';
import { hostsOf, settingStatements } from '../../domain/databaseSession.js';
import { Failure } from '../../domain/failures.js';
import { gated, PostgresGate } from './postgresGate.js';
import { assertOwnSessions } from './postgresPooler.js';
import { watchedSockets } from './postgresSocket.js';
import type { Endpoints } from './postgresWire.js';

/** Times in milliseconds. */
export interface DatabaseOptions {
  /** Connections of this process. */
  max: number;
  /** For one statement; default 60 s, since an update of a large Item is one statement. The server ends it. */
  statementTimeoutMs?: number;
  /**
   * For the server to say anything while it owes an answer, else it is taken for gone. Default: ten seconds more than a
   * statement may take, since a server that is working says nothing.
   */
  answerTimeoutMs?: number;
  /** For a lock that somebody else holds; default: as long as the statement may take. */
  lockTimeoutMs?: number;
  /** For a transaction that says nothing more; default 60 s. */
  idleInTransactionMs?: number;
  /**
   * For a whole transaction; default two minutes, on servers from 17 on. It alone ends one whose client went silent in the middle
   * of a message: for the server that one neither idles nor runs a statement, and its locks would stay for ever.
   */
  transactionMs?: number;
  /** For a connection to become free; default 30 s. */
  connectionWaitMs?: number;
  /** Keeps half of the connections free of statements that take longer than this; default: none is kept free. */
  slowAfterMs?: number;
  /** A standby will do; default: it is left for the next host, or refused until the name leads to the primary. */
  readsOnly?: boolean;
  applicationName?: string;
  /**
   * Every prepared statement is planned once, not for each of its parameters: for a process of many small reads by key, whose
   * plans do not differ. With a LIMIT in a parameter PostgreSQL would plan anew each time, which took half of a read.
   */
  plansOnce?: boolean;
}

/** For a process whose clients wait: better no answer within seconds than one after a minute. */
export const forRequests = {
  statementTimeoutMs: 10_000,
  answerTimeoutMs: 12_000,
  lockTimeoutMs: 2_000,
  idleInTransactionMs: 10_000,
  transactionMs: 60_000,
  connectionWaitMs: 5_000,
  slowAfterMs: 500,
  plansOnce: true,
} as const satisfies Partial<DatabaseOptions>;

const connectTimeoutSeconds = 5;
/** Each of them comes in turn, for whoever opens a connection: of some that open one at once most meet a wrong one several times. */
const triesAHost = 8;
/** After a connection that failed, before the next; the driver's own pauses grow to 20 s. */
const pauseSeconds = (failures: number): number => (failures === 0 ? 0 : 0.1 + Math.random() * 0.4);

/** PostgreSQL's bigint as a JavaScript number: ours are counters far below 2^53. */
const int8 = { to: 20, from: [20], serialize: String, parse: Number };

/** As the driver's own, but for years below 100, which JavaScript takes for those of 1950 to 2049 unless they stand in an ISO 8601 text. */
const date = {
  to: 1184,
  from: [1082, 1114, 1184],
  serialize: (value: Date | string) => new Date(value).toISOString(),
  parse: (text: string) => new Date(text.startsWith('00') ? text.replace(/ (.+\+\d\d)$/, 'T$1:00') : text),
};

/**
 * Lists are read from an index in its order and stop at the page's end. The planner knows only the average Item: for a large
 * one among small ones it took all that follows by a bitmap and sorted it (3,420 rows for a page of 100).
 */
const readInOrder = { enable_bitmapscan: 'off', random_page_cost: '1.1' };

/** The driver's options as it has made them of a URL; its types do not name them all. */
interface ParsedUrl {
  host: string[];
  port: number[];
  path: string | false;
  ssl: unknown;
  sslnegotiation: unknown;
}

/** Where the driver would connect to. It only reads the URL here: a pool without a query opens nothing. */
function endpointsOf(url: string): Endpoints {
  const parsed = postgres(url, { max: 1 }).options as unknown as ParsedUrl;
  return {
    hosts: hostsOf(parsed),
    path: parsed.path,
    ssl: parsed.ssl,
    sslNegotiation: parsed.sslnegotiation,
  };
}

/** What the patch adds to the driver, raised with each change of it. */
const patch = 'nothing outlives a refusal or a connection, 5';

/**
 * As published, postgres.js 3.4.9 keeps what a refused statement or a lost connection has left: the next answer begins with holes
 * and reads as "no such row" (docs/decisions/0014). So nothing is asked through a driver that lacks our patch.
 */
export function assertDriverIsPatched(
  installedPatch: () => unknown = () => (postgres as { sluicePatch?: unknown }).sluicePatch,
): void {
  if (installedPatch() === patch) return;
  throw new Failure(
    'MISCONFIGURED',
    'the PostgreSQL driver lacks our patch (patches/): install with `npm ci`, scripts not ignored, or run `npx patch-package`',
  );
}

/** `work`, once for all who ask, and again after it has failed. */
function onceDone(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () =>
    (running ??= work().catch((error: unknown) => {
      running = null;
      throw error;
    }));
}

/**
 * A pool of connections for the stores; connects when it is first used. Nothing waits without end: for a connection, for a
 * lock, for an answer. Each session begins with the settings that we rely on; one that cannot have them, or that a pooler shares
 * with others, is refused with MISCONFIGURED.
 */
export function openDatabase(url: string, options: DatabaseOptions): postgres.Sql {
  assertDriverIsPatched();
  const statementTimeoutMs = options.statementTimeoutMs ?? 60_000;
  const waitMs = options.connectionWaitMs ?? 30_000;
  const endpoints = endpointsOf(url);
  const sockets = watchedSockets(endpoints, options.answerTimeoutMs ?? statementTimeoutMs + 10_000, {
    settings: settingStatements({
      statement_timeout: String(statementTimeoutMs),
      idle_in_transaction_session_timeout: String(options.idleInTransactionMs ?? 60_000),
      transaction_timeout: String(options.transactionMs ?? 120_000),
      lock_timeout: String(options.lockTimeoutMs ?? 0),
      ...readInOrder,
      ...(options.plansOnce === true ? { plan_cache_mode: 'force_generic_plan' } : {}),
    }),
    readsOnly: options.readsOnly ?? false,
    checkPooler: onceDone(() => assertOwnSessions(url)),
  });
  const sql = postgres(url, {
    max: options.max,
    // Of several hosts those that say nothing leave time for the last one: who waits goes on no longer than one waits for a connection.
    connect_timeout:
      endpoints.hosts.length > 1
        ? Math.min(connectTimeoutSeconds, waitMs / 1_000 / endpoints.hosts.length)
        : connectTimeoutSeconds,
    idle_timeout: 300,
    backoff: pauseSeconds,
    onnotice: () => undefined,
    types: { int8, date },
    // Hosts and TLS are the sockets' matter. With more than one host the driver would not report one that fails.
    socket: sockets,
    host: endpoints.hosts[0]?.host,
    ssl: false,
    // Poolers take the name and refuse what else may stand here.
    connection: { application_name: options.applicationName ?? 'sluice' },
  } as postgres.Options<{ int8: typeof int8; date: typeof date }>);
  return gated(
    sql,
    new PostgresGate({
      atOnce: options.max,
      waitMs,
      slowAfterMs: options.slowAfterMs ?? null,
    }),
    endpoints.hosts.length > 1 ? endpoints.hosts.length * triesAHost : 0,
  );
}
