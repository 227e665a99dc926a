import type postgres from 'postgres';

/** What of a query of postgres.js is used here: a promise that the driver settles, and hands over to run when it is awaited. */
export interface DriverQuery extends Promise<unknown> {
  strings: unknown;
  handler: (query: DriverQuery) => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** Statements alone: names and lists for a statement come from the same function. */
export const isQuery = (made: unknown): made is DriverQuery => made instanceof Promise;

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

type Made = (...args: unknown[]) => unknown;
type Run = (tx: postgres.TransactionSql) => unknown;
type Begin = (...args: [...string[], Run]) => Promise<unknown>;

/** What becomes of the transaction's connection. */
interface Fate {
  lost: Error | null;
}

/** A transaction's `sql` that sends nothing any more once the connection is lost. */
function watched<Tx extends object>(tx: Tx, fate: Fate): Tx {
  const watch = (made: unknown): unknown => {
    if (!isQuery(made)) return made;
    const { handler, reject } = made;
    made.handler = (query) => (fate.lost === null ? handler(query) : query.reject(fate.lost));
    made.reject = (error) => {
      if (closesConnection(error)) fate.lost ??= error as Error;
      reject(error);
    };
    return made;
  };
  const driver = tx as unknown as { unsafe: Made; savepoint: Made } & Made;
  const own: Made = (...args) => watch(driver(...args));
  return Object.assign(Object.setPrototypeOf(own, tx) as Tx, {
    unsafe: (...args: unknown[]) => watch(driver.unsafe(...args)),
    savepoint: async (...args: unknown[]) => {
      if (fate.lost !== null) throw fate.lost;
      const run = args.pop() as (inner: object) => unknown;
      return driver.savepoint(...args, (inner: object) => ending(async () => run(watched(inner, fate)), fate));
    },
  });
}

/** The end of a transaction's work, which never comes when its connection is lost. */
async function ending(run: () => Promise<unknown>, fate: Fate): Promise<unknown> {
  const forEver = new Promise(() => undefined);
  try {
    const done = await run();
    return fate.lost === null ? done : forEver;
  } catch (error) {
    if (fate.lost !== null || closesConnection(error)) return forEver;
    throw error;
  }
}

/**
 * postgres.js 3.4.9 ends a transaction with COMMIT or ROLLBACK, also on a connection that is gone: it then writes to no
 * socket, from a timer, where nobody can catch it, and the process dies (porsager/postgres#1154). The same with a statement
 * that is sent when the connection has closed between two of them. So a transaction that has lost its connection sends
 * nothing more and is left pending, and the close of the connection, for which `begin` waits as well, rejects it.
 */
export function beginThatSurvives(sql: postgres.Sql): Begin {
  const begin = sql.begin.bind(sql) as unknown as Begin;
  return async (...args) => {
    const fate: Fate = { lost: null };
    const run = args.pop() as Run;
    try {
      return await begin(
        ...(args as string[]),
        (tx: postgres.TransactionSql) =>
          ending(async () => {
            const made = run(watched(tx, fate));
            return Array.isArray(made) ? Promise.all(made) : made;
          }, fate),
      );
    } catch (error) {
      // The connection closed while nothing was asked: what the work does from now on goes nowhere.
      fate.lost ??= error as Error;
      throw error;
    }
  };
}
