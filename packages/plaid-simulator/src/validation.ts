import { z } from 'zod';
import { isCivilDate } from './calendar.js';
import { PlaidApiError } from './errors.js';

/** Credentials may stand in the body of every request. */
const CREDENTIALS = { client_id: z.string().optional(), secret: z.string().optional() };

/** The body of an endpoint: these fields and the credentials; unknown ones are refused, as Plaid does. */
export function requestBody<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject({ ...CREDENTIALS, ...shape });
}

export const civilDateField = z.string().refine(isCivilDate, 'must be a date formatted YYYY-MM-DD');

/** `options.account_ids`. Null is no choice of accounts: Plaid's own client for Go of before August 2021 sends it so. */
export const accountIdsOption = z.array(z.string()).nullish();

function pathOf(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** Plaid's error for a body that does not fit: first what is missing, then what is unknown, then what is wrong. */
function refusal(error: z.ZodError, body: unknown): PlaidApiError {
  const issues = error.issues;
  const missing = issues.filter((issue) => valueAt(body, issue.path) === undefined);
  if (missing.length > 0) {
    const names = missing.map((issue) => pathOf(issue.path)).join(', ');
    return new PlaidApiError('MISSING_FIELDS', `the following required fields are missing: ${names}`);
  }
  const unknown = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => pathOf([...issue.path, key])) : [],
  );
  if (unknown.length > 0) {
    return new PlaidApiError(
      'UNKNOWN_FIELDS',
      `the following fields are not recognized by this endpoint: ${unknown.join(', ')}`,
    );
  }
  const first = issues[0];
  return new PlaidApiError(
    'INVALID_FIELD',
    `${pathOf(first?.path ?? []) || 'body'}: ${first?.message ?? 'invalid'}`,
  );
}

export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw refusal(parsed.error, body);
  return parsed.data;
}
