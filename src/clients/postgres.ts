import postgres from 'postgres';
import { Failure } from '../domain/failures.js';

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

/** What the patch adds to the driver, raised with each change of it. */
const patch = 'nothing outlives a refusal or a connection, 1';

/**
 * As published, postgres.js 3.4.9 keeps what a refused statement or a lost connection has left: the next answer begins with holes
 * and reads as "no such row" (docs/decisions/0014). So nothing is asked through a driver that lacks our patch.
 */
export function assertDriverIsPatched(
  mark: () => unknown = () => (postgres as { sluicePatch?: unknown }).sluicePatch,
): void {
  if (mark() === patch) return;
  throw new Failure(
    'MISCONFIGURED',
    'the PostgreSQL driver lacks our patch (patches/): install with `npm ci`, scripts not ignored, or run `npx patch-package`',
  );
}

/** A pool of connections for the stores; connects when it is first used. */
export function openDatabase(url: string, options: DatabaseOptions): postgres.Sql {
  assertDriverIsPatched();
  return postgres(url, {
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
}
