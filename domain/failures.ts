/**
 * The few ways in which work fails here. Every adapter turns foreign errors (Plaid's, PostgreSQL's, AWS's)
 * into one of these at its own edge; nobody else knows a foreign code, except as text to show.
 */
export type FailureType =
  /** Too many calls; the work is untouched. Retry after a minute or `retryAfterMs`. */
  | 'RATE_LIMITED'
  /** The other side did not answer, or said that it is broken. Retry later. */
  | 'UPSTREAM_DOWN'
  /** Plaid has announced maintenance: leave it alone for minutes. */
  | 'MAINTENANCE'
  /** The bank behind Plaid is down or slow: retry with long pauses. */
  | 'INSTITUTION_DOWN'
  /** Plaid has not fetched the data yet. */
  | 'NOT_READY'
  /** The user has to act at the bank or in Link's update mode. */
  | 'LOGIN_REQUIRED'
  /** The user has not agreed, or no more, that this product be read: update mode asks for it. */
  | 'CONSENT_REQUIRED'
  /** The Item's bank, or the kind of its login, is out of Plaid's reach for good: no login mends it. */
  | 'BANK_UNSUPPORTED'
  /** The Item does not exist at Plaid any more. */
  | 'ITEM_GONE'
  /** Plaid does not take the access token (of another environment or client, say): nothing is known of the Item by it. */
  | 'TOKEN_REFUSED'
  /** The user took back the permission: the Item is never revived. */
  | 'PERMISSION_REVOKED'
  /** Data moved while pages were read: restart from the update's first cursor. */
  | 'PAGES_MOVED'
  /** The public token is not one that Plaid will exchange, or one of another user's Item. */
  | 'INVALID_PUBLIC_TOKEN'
  /** The exchange's answer was lost: an Item may exist at Plaid that nobody can reach. */
  | 'LINK_OUTCOME_UNKNOWN'
  /** This Item cannot give the product that was asked for (no numbers, say). */
  | 'PRODUCT_UNAVAILABLE'
  /** Plaid knows no such institution. */
  | 'UNKNOWN_INSTITUTION'
  /** Credentials, permissions or a database's schema are wrong: an operator has to act. */
  | 'MISCONFIGURED'
  /** One record that the other side will never take (too large, say). */
  | 'RECORD_REFUSED'
  /** The request was wrong; repeating it cannot help. */
  | 'BAD_REQUEST'
  /** Everything of the user is being deleted: nothing new begins. */
  | 'USER_BEING_ERASED'
  /** Temporal could not be reached, or did not answer in time. */
  | 'ORCHESTRATOR_DOWN'
  /** Temporal refuses this call for what it is, and always will: a fault of ours. */
  | 'ORCHESTRATOR_REFUSED'
  /** Stored secret bytes do not open: wrong row, changed bytes, or a missing key. */
  | 'SECRET_UNREADABLE';

/** What a foreign system said, as far as it may be shown: never a message text, a token or a secret. */
export interface UpstreamError {
  error_type: string;
  error_code: string;
  request_id: string | null;
}

export interface FailureOptions {
  upstream?: UpstreamError | undefined;
  /** How long the other side asked us to wait, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** True when the request may have been carried out although no answer came. */
  outcomeUnknown?: boolean | undefined;
  /** True when no answer came in time, as opposed to a broken one. */
  timedOut?: boolean | undefined;
  /**
   * Whether the same call may succeed later; default: what its type says. Our own database that lacks a right or a table is
   * MISCONFIGURED and is asked again: its operator mends it, and nothing of ours must be given up meanwhile.
   */
  retryable?: boolean | undefined;
}

/** The one error class of the program. `message` is for humans and never holds a secret. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly type: FailureType;
  readonly upstream: UpstreamError | undefined;
  readonly retryAfterMs: number | undefined;
  readonly outcomeUnknown: boolean;
  readonly timedOut: boolean;
  readonly retryable: boolean;

  constructor(type: FailureType, message: string, options: FailureOptions = {}) {
    super(message);
    this.type = type;
    this.upstream = options.upstream;
    this.retryAfterMs = options.retryAfterMs;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
    this.timedOut = options.timedOut ?? false;
    this.retryable = options.retryable ?? isRetryable(type);
  }
}

/** Plaid, or the bank behind it, is down or busy: that passes without anybody's doing, and says nothing of what was asked for. */
export const outages: ReadonlySet<FailureType> = new Set<FailureType>([
  'RATE_LIMITED',
  'UPSTREAM_DOWN',
  'MAINTENANCE',
  'INSTITUTION_DOWN',
]);

const retryable: ReadonlySet<FailureType> = new Set<FailureType>([...outages, 'ORCHESTRATOR_DOWN']);

/** Whether the same call may succeed later without anybody changing anything. */
export function isRetryable(type: FailureType): boolean {
  return retryable.has(type);
}
