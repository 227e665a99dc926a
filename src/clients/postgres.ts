import postgres from 'postgres';

export interface DatabaseOptions {
  /** Connections of this process. */
  max: number;
  /** For one statement, in milliseconds; default 60 s, since an update of a large Item is one statement. */
  statementTimeoutMs?: number;
  applicationName?: string;
  /**
   * Every prepared statement is planned once, not for each of its parameters: for a process of many small reads by key, whose
   * plans do not differ. With a LIMIT in a parameter PostgreSQL would plan anew each time, which took half of a read.
   */
  plansOnce?: boolean;
}

const connectTimeoutSeconds = 5;
const idleInTransactionMs = 60_000;

/** PostgreSQL's bigint as a JavaScript number: ours are counters far below 2^53. */
const int8 = { to: 20, from: [20], serialize: String, parse: Number };

/**
 * Lists are read from an index in its order and stop at the page's end. The planner knows only the average Item: for a large
 * one among small ones it took all that follows by a bitmap and sorted it (3,420 rows for a page of 100).
 */
const readInOrder = { enable_bitmapscan: 'off', random_page_cost: '1.1' };

/** After these the connection closes, whatever is sent: ended by an operator, by a crash, by a time limit, or cut. */
const closingCodes: ReadonlySet<string> = new Set([
  '57P01',
  '57P02',
  '57P05',
  '25P03',
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
]);

const closesConnection = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && closingCodes.has(String(error.code));

type Run = (tx: postgres.TransactionSql) => Promise<unknown>;

/**
 * postgres.js 3.4.9 ends a failed transaction with ROLLBACK, also on a connection that is gone: it then writes to no socket,
 * from a timer, where nobody can catch it, and the process dies (porsager/postgres#1154). So a transaction that has lost its
 * connection is left pending, and the close of the connection, for which `begin` waits as well, rejects it.
 */
function surviveCuts(sql: object): void {
  const client = sql as { begin: (run: Run) => Promise<unknown> };
  const begin = client.begin.bind(client);
  client.begin = (run) =>
    begin((tx) =>
      run(tx).catch((error: unknown) => {
        if (closesConnection(error)) return new Promise(() => undefined);
        throw error;
      }),
    );
}

/** A pool of connections for the stores; connects when it is first used. */
export function openDatabase(url: string, options: DatabaseOptions): postgres.Sql {
  const sql = postgres(url, {
    max: options.max,
    connect_timeout: connectTimeoutSeconds,
    idle_timeout: 300,
    onnotice: () => undefined,
    types: { int8 },
    connection: {
      application_name: options.applicationName ?? 'sluice',
      statement_timeout: options.statementTimeoutMs ?? 60_000,
      idle_in_transaction_session_timeout: idleInTransactionMs,
      ...readInOrder,
      ...(options.plansOnce === true ? { plan_cache_mode: 'force_generic_plan' } : {}),
    },
  });
  surviveCuts(sql);
  return sql;
}
