import { Failure } from '../src/domain/failures.js';

/** Codes of postgres.js for a connection that is not there, and of Node for one that cannot be made. */
const connectionCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** SQLSTATE classes that time may mend: connection, resources, operator intervention, system, rollback (deadlock). */
const transientClasses = new Set(['08', '53', '57', '58', '40']);
/** lock_not_available, read_only_sql_transaction (a server that is just taken out), idle_in_transaction_session_timeout. */
const transientStates = new Set(['55P03', '25006', '25P03']);

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';

/** A database error as a Failure. Only its code is kept: PostgreSQL's messages and details quote rows. */
export function databaseFailure(error: unknown): unknown {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  if (connectionCodes.has(code) || transientClasses.has(code.slice(0, 2)) || transientStates.has(code)) {
    return new Failure('UPSTREAM_DOWN', `the database did not do it (${code})`);
  }
  if (/^[0-9A-Z]{5}$/.test(code)) return new Failure('BAD_REQUEST', `the database refused it (${code})`);
  return error;
}

type Methods = Record<string, (...args: never[]) => Promise<unknown>>;

/** A store whose errors are Failures. */
export function withDatabaseFailures<T extends object>(store: T): T {
  const wrapped = Object.entries(store as unknown as Methods).map(([name, run]) => [
    name,
    async (...args: never[]) => {
      try {
        return await run(...args);
      } catch (error) {
        throw databaseFailure(error);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}
