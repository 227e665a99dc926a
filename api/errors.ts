import type { FailureType, UpstreamError } from '../domain/failures.js';
import { Failure } from '../domain/failures.js';
import { describeForeignError, ownFrames } from '../domain/foreignError.js';
import { failureTypeOf } from '../domain/plaidErrors.js';
import type { ProblemCode } from './problems.js';
import { problemTypes } from './problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request was answered with when it was a problem. */
    problem: ProblemCode | null;
  }
}

/** One fault in a request: where, by JSON pointer into the part named by `in`, and what is expected there. */
export interface FieldError {
  in: 'body' | 'query' | 'path' | 'headers';
  pointer: string;
  detail: string;
}

export interface ProblemOptions {
  /** For humans. Never holds what the client sent as a secret, nor text of a foreign system. */
  detail?: string;
  errors?: FieldError[];
  plaid?: UpstreamError | null | undefined;
  /** Answered as `Retry-After`, rounded up to seconds. */
  retryAfterMs?: number | undefined;
  /** Further members of the answer (`item_id`, `dependencies`). */
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An answer other than the one hoped for; whatever is thrown in a handler ends as one of these. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  /** Read by Fastify too: a validator may return a Problem, and keeps its status. */
  readonly statusCode: number;
  readonly options: ProblemOptions;

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(options.detail ?? problemTypes[code].title, { cause: options.cause });
    this.code = code;
    this.statusCode = problemTypes[code].status;
    this.options = options;
  }

  headers(): Record<string, string> {
    const { retryAfterMs, headers = {} } = this.options;
    if (retryAfterMs === undefined) return headers;
    return { ...headers, 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
  }

  /** The body, `application/problem+json`. */
  body(instance: string, requestId: string): string {
    const { title, status } = problemTypes[this.code];
    const { detail, errors, plaid, members = {} } = this.options;
    return JSON.stringify({
      type: `/problems/${this.code}`,
      title,
      status,
      detail: detail ?? problemTypes[this.code].help,
      instance,
      code: this.code,
      request_id: requestId,
      ...(errors === undefined ? {} : { errors }),
      ...(plaid == null ? {} : { plaid: shownPlaidError(plaid) }),
      ...members,
    });
  }
}

/** Field by field, so that nothing else that an adapter may hang onto the error can leave. */
function shownPlaidError(error: UpstreamError): UpstreamError {
  return { error_type: error.error_type, error_code: error.error_code, request_id: error.request_id };
}

const soon = 5_000;
const untilMended = 30_000;
const minutes = 60_000;

const plaidCodes: Readonly<Record<FailureType, ProblemCode>> = {
  RATE_LIMITED: 'plaid_busy',
  MAINTENANCE: 'plaid_busy',
  UPSTREAM_DOWN: 'plaid_unreachable',
  INSTITUTION_DOWN: 'institution_unavailable',
  LOGIN_REQUIRED: 'login_required',
  CONSENT_REQUIRED: 'login_required',
  BANK_UNSUPPORTED: 'plaid_refused',
  UNKNOWN_INSTITUTION: 'unknown_institution',
  INVALID_PUBLIC_TOKEN: 'invalid_public_token',
  LINK_OUTCOME_UNKNOWN: 'link_outcome_unknown',
  NOT_READY: 'product_not_ready',
  ITEM_GONE: 'plaid_refused',
  TOKEN_REFUSED: 'plaid_refused',
  PERMISSION_REVOKED: 'plaid_refused',
  PAGES_MOVED: 'plaid_refused',
  PRODUCT_UNAVAILABLE: 'plaid_refused',
  MISCONFIGURED: 'plaid_refused',
  RECORD_REFUSED: 'plaid_refused',
  BAD_REQUEST: 'plaid_refused',
  USER_BEING_ERASED: 'user_being_erased',
  ORCHESTRATOR_DOWN: 'orchestrator_down',
  ORCHESTRATOR_REFUSED: 'internal_error',
  SECRET_UNREADABLE: 'internal_error',
};

function codeOfPlaid(failure: Failure): ProblemCode {
  if (failure.timedOut) return 'plaid_timeout';
  // Also those that no waiting mends (an institution that Plaid gave up, say): it is the bank all the same. Not where we may not use it.
  if (failure.upstream?.error_type === 'INSTITUTION_ERROR' && failure.type !== 'MISCONFIGURED')
    return 'institution_unavailable';
  return plaidCodes[failure.type];
}

/** Answered with `Retry-After`, a minute unless Plaid named another time: its windows are minutes. */
const worthWaiting: ReadonlySet<ProblemCode> = new Set(['plaid_busy', 'product_not_ready']);

/** What a failed call to Plaid means to the client. */
export function problemOfPlaid(failure: Failure): Problem {
  const code = codeOfPlaid(failure);
  return new Problem(code, {
    plaid: failure.upstream,
    retryAfterMs: worthWaiting.has(code) ? (failure.retryAfterMs ?? minutes) : failure.retryAfterMs,
    cause: failure,
  });
}

/** The same for an error of Plaid's that was stored with an outcome. */
export function problemOfPlaidError(error: UpstreamError | null): Problem {
  const options = { plaid: error };
  if (error === null) return new Problem('plaid_unreachable');
  const type = failureTypeOf(error) ?? 'UPSTREAM_DOWN';
  // Keys, rights and quotas, whatever type of error they carry.
  if (type === 'MISCONFIGURED') return new Problem('plaid_refused', options);
  if (error.error_type === 'INSTITUTION_ERROR') return new Problem('institution_unavailable', options);
  const code = plaidCodes[type];
  if (code === 'plaid_busy' || error.error_type === 'RATE_LIMIT_EXCEEDED') {
    return new Problem('plaid_busy', { ...options, retryAfterMs: minutes });
  }
  if (error.error_type === 'API_ERROR') return new Problem('plaid_unreachable', options);
  // There is no item yet whose user could be sent to update mode.
  return new Problem(code === 'plaid_unreachable' ? code : 'plaid_refused', options);
}

/** What a failure of our own dependencies (PostgreSQL, Temporal, keys) means to the client. */
function problemOfOwn(failure: Failure): Problem {
  switch (failure.type) {
    case 'ORCHESTRATOR_DOWN':
      return new Problem('orchestrator_down', { retryAfterMs: failure.retryAfterMs ?? soon, cause: failure });
    case 'UPSTREAM_DOWN':
    case 'RATE_LIMITED':
    case 'MAINTENANCE':
    // An operator has to act, and the same request is good afterwards.
    case 'MISCONFIGURED':
      return new Problem('unavailable', { retryAfterMs: failure.retryAfterMs ?? soon, cause: failure });
    case 'USER_BEING_ERASED':
      return new Problem('user_being_erased');
    case 'BAD_REQUEST':
      // A store refuses only values: text that no column of its type can hold.
      return new Problem('invalid_request', {
        detail: 'A value of the request cannot be stored.',
        cause: failure,
      });
    default:
      // Our own database waits for its operator: what was asked for is as good as before, and nothing of it is done.
      return failure.retryable
        ? new Problem('unavailable', { retryAfterMs: failure.retryAfterMs ?? untilMended, cause: failure })
        : new Problem('internal_error', { cause: failure });
  }
}

const byStatus: Readonly<Record<number, ProblemCode>> = {
  400: 'invalid_request',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'payload_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  431: 'headers_too_large',
  503: 'unavailable',
};

const malformed: ReadonlySet<string> = new Set([
  'FST_ERR_CTP_INVALID_JSON_BODY',
  'FST_ERR_CTP_EMPTY_JSON_BODY',
  'FST_ERR_CTP_INVALID_CONTENT_LENGTH',
]);

/** Total: any thrown value becomes a Problem, and one that nobody foresaw becomes `internal_error`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Failure) return problemOfOwn(error);
  if (!(error instanceof Error)) return new Problem('internal_error', { cause: error });
  const { statusCode, code } = error as { statusCode?: unknown; code?: unknown };
  if (typeof code === 'string' && malformed.has(code)) return new Problem('malformed_json', { cause: error });
  // Only Fastify's own errors may say what the client did wrong.
  const known = typeof statusCode === 'number' && typeof code === 'string' && code.startsWith('FST_');
  return new Problem((known ? byStatus[statusCode] : undefined) ?? 'internal_error', { cause: error });
}

/** What our own services lack or refuse: without the words an operator would not find it. */
const ofOurOwn: ReadonlySet<FailureType> = new Set(['MISCONFIGURED', 'ORCHESTRATOR_REFUSED']);

/**
 * What a log line may say of an error: types, codes and the lines of ours. Messages of foreign errors may quote data, so they
 * stay out.
 */
export function loggedError(error: unknown): Record<string, unknown> {
  if (error instanceof Problem) {
    return { problem: error.code, ...(error.cause === undefined ? {} : loggedError(error.cause)) };
  }
  if (error instanceof Failure) {
    const { type, message, upstream } = error;
    const shown = upstream === undefined && ofOurOwn.has(type) ? { message } : {};
    return { failure: type, ...shown, error_code: upstream?.error_code, frames: ownFrames(error) };
  }
  if (error instanceof Error) {
    const { class: name, ...shown } = describeForeignError(error);
    return { error: name, ...shown };
  }
  return { error: typeof error };
}
