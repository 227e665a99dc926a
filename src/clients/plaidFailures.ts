import type { FailureType, UpstreamError } from '../../domain/failures.js';
import { Failure } from '../../domain/failures.js';
import { failureTypeOf, isCode } from '../../domain/plaidErrors.js';

/** An HTTP answer of Plaid, or of something between Plaid and us. */
export interface PlaidAnswer {
  status: number;
  /** The parsed body; undefined when it is no JSON. */
  body: unknown;
  retryAfter: string | undefined;
}

const isRequestId = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9-]{1,40}$/.test(value);

function upstreamError(body: unknown): UpstreamError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { error_type, error_code, request_id } = body as Record<string, unknown>;
  if (!isCode(error_type) || !isCode(error_code)) return undefined;
  return { error_type, error_code, request_id: isRequestId(request_id) ? request_id : null };
}

/** Whether an answer is Plaid's error object, whatever its HTTP status says. No answer of an endpoint has these fields; an Item's error has its own place. */
export const isErrorObject = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  ['error_type', 'error_code'].some((field) => {
    const said = (body as Record<string, unknown>)[field];
    return said !== undefined && said !== null;
  });

const longestRetryAfterMs = 3_600_000;

/** `Retry-After` in milliseconds from seconds, an HTTP date or an ISO time; undefined when it says nothing usable. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  if (!Number.isFinite(seconds) || seconds < 0) return undefined;
  return Math.min(longestRetryAfterMs, Math.ceil(seconds * 1000));
}

/**
 * Plaid's code decides, then the error's type, and the HTTP status only where Plaid said nothing: nearly everything is a 400 at
 * Plaid, a bank's outage too.
 */
function typeOf(status: number, upstream: UpstreamError | undefined): FailureType {
  const said = upstream === undefined ? null : failureTypeOf(upstream);
  if (said !== null) return said;
  if (status === 429) return 'RATE_LIMITED';
  // We follow no redirect: it would carry the secret to another host. A base URL that redirects is a wrong one.
  if (status >= 300 && status < 400) return 'MISCONFIGURED';
  // Also a refusal of a kind that nobody knows yet: what we do not understand is no mistake of the caller's.
  return 'UPSTREAM_DOWN';
}

/**
 * An answer that is no success, as a Failure. `outcomeUnknown` when Plaid may have done the work all the same: it broke
 * down (5xx), or what came is not Plaid's error object. A refusal in Plaid's own words is definite.
 */
export function failureOfAnswer(path: string, answer: PlaidAnswer, now: number): Failure {
  const upstream = upstreamError(answer.body);
  const type = typeOf(answer.status, upstream);
  const said = upstream ? `${upstream.error_type}/${upstream.error_code}` : 'no error object of its own';
  const refused = type === 'MAINTENANCE' || type === 'RATE_LIMITED' || type === 'MISCONFIGURED';
  return new Failure(type, `Plaid answered ${path} with HTTP ${answer.status}, ${said}`, {
    upstream,
    retryAfterMs: retryAfterMs(answer.retryAfter, now),
    // A success that carries an error contradicts itself: where it is an outage, nobody knows what was done.
    outcomeUnknown:
      !refused &&
      (answer.status >= 500 || upstream === undefined || (answer.status === 200 && type === 'UPSTREAM_DOWN')),
  });
}

/** A 200 whose body is not what the endpoint answers: cut off, no JSON, or without what we rely on. */
export function failureOfShape(path: string, what: string): Failure {
  return new Failure('UPSTREAM_DOWN', `Plaid's answer to ${path} is not usable: ${what}`, {
    outcomeUnknown: true,
  });
}

const unsentSyscalls: ReadonlySet<unknown> = new Set(['connect', 'getaddrinfo']);
const unsentCodes = /^(ECONNREFUSED|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH|CERT_|SELF_SIGNED_|UNABLE_TO_)/;
const unsentTlsCodes: ReadonlySet<string> = new Set([
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

const textField = (value: unknown, field: string): string | undefined => {
  const found =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : null;
  return typeof found === 'string' ? found : undefined;
};

/**
 * A call that got no answer, as a Failure. Nothing of the original error is kept but a code from a closed alphabet: an
 * axios error holds PLAID-SECRET in its headers and the access token in its body.
 */
export function failureOfSilence(path: string, error: unknown, timedOutAfterMs: number | null): Failure {
  if (timedOutAfterMs !== null) {
    return new Failure('UPSTREAM_DOWN', `Plaid did not answer ${path} within ${timedOutAfterMs} ms`, {
      outcomeUnknown: true,
      timedOut: true,
    });
  }
  const code = textField(error, 'code');
  const cause =
    typeof error === 'object' && error !== null ? (error as { cause?: unknown }).cause : undefined;
  const unsent =
    (code !== undefined && (unsentCodes.test(code) || unsentTlsCodes.has(code))) ||
    unsentSyscalls.has(textField(cause, 'syscall'));
  const shown = isCode(code) ? code : 'no code';
  return new Failure('UPSTREAM_DOWN', `Plaid could not be asked for ${path}: ${shown}`, {
    outcomeUnknown: !unsent,
  });
}
