import fc from 'fast-check';
import { failureOfAnswer, failureOfSilence, retryAfterMs } from '../../src/clients/plaidFailures.js';
import type { FailureType } from '../../domain/failures.js';
import { isRetryable } from '../../domain/failures.js';

const of = (error_type: string, error_code: string, status = 400) =>
  failureOfAnswer(
    '/path',
    { status, body: { error_type, error_code, request_id: 'r1' }, retryAfter: undefined },
    0,
  );

// plaid-contract section 3, row by row.
const rows: [string, string, number, FailureType][] = [
  ['ITEM_ERROR', 'ITEM_LOGIN_REQUIRED', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'PRODUCT_NOT_READY', 400, 'NOT_READY'],
  ['ITEM_ERROR', 'ITEM_NOT_FOUND', 400, 'ITEM_GONE'],
  ['INVALID_INPUT', 'INVALID_ACCESS_TOKEN', 400, 'TOKEN_REFUSED'],
  ['ITEM_ERROR', 'NO_ACCOUNTS', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'NO_AUTH_ACCOUNTS', 400, 'PRODUCT_UNAVAILABLE'],
  ['ITEM_ERROR', 'ACCESS_NOT_GRANTED', 400, 'CONSENT_REQUIRED'],
  ['ITEM_ERROR', 'ITEM_LOCKED', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'USER_SETUP_REQUIRED', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'PASSWORD_RESET_REQUIRED', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'INVALID_CREDENTIALS', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'INVALID_MFA', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'INSUFFICIENT_CREDENTIALS', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'INVALID_UPDATED_USERNAME', 400, 'LOGIN_REQUIRED'],
  ['ITEM_ERROR', 'ITEM_NOT_SUPPORTED', 400, 'BANK_UNSUPPORTED'],
  ['ITEM_ERROR', 'MFA_NOT_SUPPORTED', 400, 'BANK_UNSUPPORTED'],
  ['ITEM_ERROR', 'PRODUCTS_NOT_SUPPORTED', 400, 'PRODUCT_UNAVAILABLE'],
  ['ITEM_ERROR', 'PRODUCT_NOT_ENABLED', 400, 'PRODUCT_UNAVAILABLE'],
  ['ITEM_ERROR', 'ITEM_CONCURRENTLY_DELETED', 400, 'ITEM_GONE'],
  ['INVALID_INPUT', 'USER_PERMISSION_REVOKED', 400, 'PERMISSION_REVOKED'],
  ['ITEM_ERROR', 'USER_PERMISSION_REVOKED', 400, 'PERMISSION_REVOKED'],
  ['INVALID_INPUT', 'INVALID_ACCOUNT_ID', 400, 'BAD_REQUEST'],
  ['INVALID_INPUT', 'ADDITIONAL_CONSENT_REQUIRED', 400, 'CONSENT_REQUIRED'],
  ['INVALID_INPUT', 'INVALID_PUBLIC_TOKEN', 400, 'INVALID_PUBLIC_TOKEN'],
  ['INVALID_INPUT', 'INVALID_LINK_TOKEN', 400, 'BAD_REQUEST'],
  ['INVALID_INPUT', 'INVALID_API_KEYS', 400, 'MISCONFIGURED'],
  ['INVALID_INPUT', 'UNAUTHORIZED_ENVIRONMENT', 400, 'MISCONFIGURED'],
  ['INVALID_INPUT', 'UNAUTHORIZED_ROUTE_ACCESS', 400, 'MISCONFIGURED'],
  ['INVALID_INPUT', 'INVALID_PRODUCT', 400, 'MISCONFIGURED'],
  ['INVALID_INPUT', 'INVALID_INSTITUTION', 400, 'UNKNOWN_INSTITUTION'],
  ['INVALID_REQUEST', 'MISSING_FIELDS', 400, 'BAD_REQUEST'],
  ['INVALID_REQUEST', 'UNKNOWN_FIELDS', 400, 'BAD_REQUEST'],
  ['INVALID_REQUEST', 'INVALID_FIELD', 400, 'BAD_REQUEST'],
  ['INVALID_REQUEST', 'INVALID_BODY', 400, 'BAD_REQUEST'],
  ['INVALID_REQUEST', 'NOT_FOUND', 404, 'BAD_REQUEST'],
  ['INVALID_RESULT', 'LAST_UPDATED_DATETIME_OUT_OF_RANGE', 400, 'BAD_REQUEST'],
  ['INSTITUTION_ERROR', 'INSTITUTION_DOWN', 400, 'INSTITUTION_DOWN'],
  ['INSTITUTION_ERROR', 'INSTITUTION_NOT_RESPONDING', 400, 'INSTITUTION_DOWN'],
  ['INSTITUTION_ERROR', 'INSTITUTION_NOT_AVAILABLE', 400, 'INSTITUTION_DOWN'],
  ['INSTITUTION_ERROR', 'INSTITUTION_NO_LONGER_SUPPORTED', 400, 'BANK_UNSUPPORTED'],
  ['INSTITUTION_ERROR', 'UNAUTHORIZED_INSTITUTION', 400, 'MISCONFIGURED'],
  ['INSTITUTION_ERROR', 'INSTITUTION_REGISTRATION_REQUIRED', 400, 'MISCONFIGURED'],
  ['INSTITUTION_ERROR', 'UNSUPPORTED_RESPONSE', 400, 'PRODUCT_UNAVAILABLE'],
  ['TRANSACTIONS_ERROR', 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION', 400, 'PAGES_MOVED'],
  ['RATE_LIMIT_EXCEEDED', 'TRANSACTIONS_SYNC_LIMIT', 429, 'RATE_LIMITED'],
  ['RATE_LIMIT_EXCEEDED', 'RATE_LIMIT', 429, 'RATE_LIMITED'],
  ['RATE_LIMIT_EXCEEDED', 'INSTITUTION_RATE_LIMIT', 429, 'RATE_LIMITED'],
  ['RATE_LIMIT_EXCEEDED', 'CREDITS_EXHAUSTED', 429, 'MISCONFIGURED'],
  ['RATE_LIMIT_EXCEEDED', 'TRIAL_CONNECTION_LIMIT', 429, 'MISCONFIGURED'],
  ['RATE_LIMIT_EXCEEDED', 'ADDITION_LIMIT', 429, 'MISCONFIGURED'],
  ['API_ERROR', 'INTERNAL_SERVER_ERROR', 500, 'UPSTREAM_DOWN'],
  ['API_ERROR', 'PLANNED_MAINTENANCE', 503, 'MAINTENANCE'],
  ['SANDBOX_ERROR', 'SANDBOX_PRODUCT_NOT_ENABLED', 400, 'MISCONFIGURED'],
];

describe("Plaid's errors in our terms", () => {
  it.each(rows)('%s/%s (HTTP %i) is %s', (type, code, status, expected) => {
    const failure = of(type, code, status);
    expect(failure.type).toBe(expected);
    expect(failure.upstream).toEqual({ error_type: type, error_code: code, request_id: 'r1' });
  });

  it("a bank's outage is retried although it is a 400, a spent quota is not although it is a 429", () => {
    expect(isRetryable(of('INSTITUTION_ERROR', 'INSTITUTION_DOWN').type)).toBe(true);
    expect(isRetryable(of('RATE_LIMIT_EXCEEDED', 'CREDITS_EXHAUSTED', 429).type)).toBe(false);
    expect(isRetryable(of('API_ERROR', 'PLANNED_MAINTENANCE', 503).type)).toBe(true);
  });

  it.each([
    ['RATE_LIMIT_EXCEEDED', 400, 'RATE_LIMITED'],
    ['API_ERROR', 400, 'UPSTREAM_DOWN'],
    ['INSTITUTION_ERROR', 400, 'INSTITUTION_DOWN'],
    ['ITEM_ERROR', 400, 'UPSTREAM_DOWN'],
    ['INVALID_INPUT', 400, 'UPSTREAM_DOWN'],
    ['A_TYPE_OF_TOMORROW', 400, 'UPSTREAM_DOWN'],
    ['A_TYPE_OF_TOMORROW', 500, 'UPSTREAM_DOWN'],
    ['A_TYPE_OF_TOMORROW', 429, 'RATE_LIMITED'],
  ])('an unknown code of type %s with HTTP %i is %s', (type, status, expected) => {
    expect(of(type, 'A_CODE_OF_TOMORROW', status).type).toBe(expected);
  });

  it('a refusal in its own words is definite, a breakdown is not', () => {
    expect(of('INVALID_INPUT', 'INVALID_PUBLIC_TOKEN').outcomeUnknown).toBe(false);
    expect(of('RATE_LIMIT_EXCEEDED', 'RATE_LIMIT', 429).outcomeUnknown).toBe(false);
    expect(of('API_ERROR', 'PLANNED_MAINTENANCE', 503).outcomeUnknown).toBe(false);
    expect(of('API_ERROR', 'INTERNAL_SERVER_ERROR', 500).outcomeUnknown).toBe(true);
  });

  it('is total, and shows nothing that is no code', () => {
    const words = fc.constantFrom('constructor', '__proto__', 'toString', 'token-1234567890');
    const field = fc.oneof(fc.string(), words, fc.jsonValue());
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 599 }),
        fc.oneof(fc.jsonValue(), fc.record({ error_type: field, error_code: field, request_id: field })),
        fc.option(fc.string(), { nil: undefined }),
        (status, body, retryAfter) => {
          const failure = failureOfAnswer('/p', { status, body, retryAfter }, 0);
          expect(typeof failure.type).toBe('string');
          for (const code of [failure.upstream?.error_type, failure.upstream?.error_code]) {
            expect(code === undefined || /^[A-Z][A-Z0-9_]*$/.test(code)).toBe(true);
          }
        },
      ),
    );
  });
});

describe('a call without an answer', () => {
  it.each([
    ['refused', { code: 'ECONNREFUSED' }, false],
    ['no such name', { code: 'ENOTFOUND' }, false],
    ['connecting timed out', { code: 'ETIMEDOUT', cause: { syscall: 'connect' } }, false],
    ['bad certificate', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, false],
    ['reset', { code: 'ECONNRESET' }, true],
    ['timed out while reading', { code: 'ETIMEDOUT', cause: { syscall: 'read' } }, true],
    ['nothing known', 'what?', true],
  ])('%s', (_name, error, unknown) => {
    expect(failureOfSilence('/p', error, null)).toMatchObject({
      type: 'UPSTREAM_DOWN',
      outcomeUnknown: unknown,
    });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-21T10:00:00Z');
  it.each([
    ['5', 5_000],
    ['0', 0],
    ['Sat, 21 Nov 2026 10:00:30 GMT', 30_000],
    ['2026-11-21T10:01:00Z', 60_000],
    ['999999999', 3_600_000],
    ['Sat, 21 Nov 2026 09:00:00 GMT', undefined],
    ['-5', undefined],
    ['soon', undefined],
    [undefined, undefined],
  ])('%p', (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected);
  });
});
