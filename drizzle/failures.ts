import { DrizzleQueryError } from 'drizzle-orm';
import { Failure } from '../domain/failures.js';

/** SQLSTATE classes that name a value: no type, check, key or index of ours takes it, today or tomorrow. */
const aboutValues: ReadonlySet<string> = new Set(['22', '23', '54']);
/**
 * Classes by which our statements and the database do not fit together: who may come in, what one may do, and which tables,
 * columns, functions, schemas and databases there are.
 */
const aboutSetUp: ReadonlySet<string> = new Set(['28', '42', '3D', '3F']);
const sqlState = /^[0-9A-Z]{5}$/;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';

/**
 * The name of a setting that the server or a pooler does not know, where its text is this and nothing else: a name that stands in our
 * own statements or in DATABASE_URL.
 */
function unknownSetting(code: string, error: unknown): string | null {
  const text = error instanceof Error ? error.message : '';
  const found =
    code === '42704'
      ? /^unrecognized configuration parameter "([\w.]{1,63})"$/.exec(text)
      : code === '08P01'
        ? /^unsupported startup parameter(?: in options)?: ([\w.]{1,63})$/.exec(text)
        : null;
  return found?.[1] ?? null;
}

/** What an operator looks for, by PostgreSQL's code. */
const inWords: Readonly<Record<string, string>> = {
  '28P01': 'user and password do not fit',
  '28000': 'this user may not come in',
  '42501': 'a right is missing',
  '42P01': 'a table is missing',
  '42703': 'a column is missing',
  '3D000': 'there is no such database',
  '3F000': 'there is no such schema',
};

/**
 * A database error as a Failure. Only its code is kept: PostgreSQL's messages and details quote rows. What is not known to be
 * somebody's mistake is an outage.
 */
export function databaseFailure(error: unknown): unknown {
  // The query builder's own, which quotes the statement and its parameters; what happened is its cause.
  if (error instanceof DrizzleQueryError) return databaseFailure(error.cause);
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  if (code === '' || error instanceof TypeError) return error;
  const kind = sqlState.test(code) ? code.slice(0, 2) : '';
  const setting = unknownSetting(code, error);
  if (setting !== null) {
    const message = `the database, or a pooler in front of it, does not take the setting ${setting} of DATABASE_URL`;
    return new Failure('MISCONFIGURED', message, { retryable: true });
  }
  if (aboutValues.has(kind)) return new Failure('BAD_REQUEST', `the database refused a value (${code})`);
  if (aboutSetUp.has(kind)) {
    const words = inWords[code] === undefined ? code : `${code}: ${inWords[code]}`;
    return new Failure('MISCONFIGURED', `the database refuses us (${words})`, { retryable: true });
  }
  return new Failure('UPSTREAM_DOWN', `the database did not do it (${code})`);
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
