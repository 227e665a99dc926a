import type { Failure, FailureType } from './failures.js';

/**
 * Plaid's error codes in our terms: the one table. Adapters, activities, routes and stores read it, docs/plaid-errors.md has a row
 * for each code. A code that is not here is an outage: what nobody understands is neither the caller's nor the user's fault.
 */

/** Who has to do something before the same call can succeed. */
export type Actor = 'user' | 'client' | 'operator' | 'bank' | 'plaid' | 'nobody';

export interface PlaidErrorMeaning {
  failure: FailureType;
  actor: Actor;
  /** The Item has no account any more: those that we have are closed. */
  closesAccounts?: true;
  /** It is of one institution alone: what another one is answered nobody knows by it. */
  ofOneBank?: true;
}

const login = { failure: 'LOGIN_REQUIRED', actor: 'user' } as const;
const consent = { failure: 'CONSENT_REQUIRED', actor: 'user' } as const;
const unsupported = { failure: 'BANK_UNSUPPORTED', actor: 'client' } as const;
const gone = { failure: 'ITEM_GONE', actor: 'client' } as const;
const unavailable = { failure: 'PRODUCT_UNAVAILABLE', actor: 'nobody' } as const;
const misconfigured = { failure: 'MISCONFIGURED', actor: 'operator' } as const;
const wrongRequest = { failure: 'BAD_REQUEST', actor: 'operator' } as const;
const ofTheClient = { failure: 'BAD_REQUEST', actor: 'client' } as const;
const busy = { failure: 'RATE_LIMITED', actor: 'nobody' } as const;
const notAtThisBank = { ...misconfigured, ofOneBank: true } as const;
const bankDown = { failure: 'INSTITUTION_DOWN', actor: 'bank' } as const;

export const plaidErrors = {
  // ITEM_ERROR: the user acts at the bank or in update mode.
  ITEM_LOGIN_REQUIRED: login,
  ITEM_LOCKED: login,
  USER_SETUP_REQUIRED: login,
  PASSWORD_RESET_REQUIRED: login,
  INVALID_CREDENTIALS: login,
  INVALID_MFA: login,
  INVALID_OTP: login,
  INVALID_PHONE_NUMBER: login,
  INVALID_SEND_METHOD: login,
  INSUFFICIENT_CREDENTIALS: login,
  INVALID_UPDATED_USERNAME: login,
  USER_INPUT_TIMEOUT: login,
  MANUAL_VERIFICATION_REQUIRED: login,
  NO_ACCOUNTS: { ...login, closesAccounts: true },
  ACCESS_NOT_GRANTED: consent,
  PRODUCT_PERMISSIONS_REQUIRED: consent,
  // No login mends these.
  ITEM_NOT_SUPPORTED: unsupported,
  MFA_NOT_SUPPORTED: unsupported,
  // The Item is no more.
  ITEM_NOT_FOUND: gone,
  ITEM_CONCURRENTLY_DELETED: gone,
  // This product of this Item: not yet, or never.
  PRODUCT_NOT_READY: { failure: 'NOT_READY', actor: 'plaid' },
  NO_AUTH_ACCOUNTS: unavailable,
  NO_INVESTMENT_ACCOUNTS: unavailable,
  NO_INVESTMENT_AUTH_ACCOUNTS: unavailable,
  NO_LIABILITY_ACCOUNTS: unavailable,
  PRODUCTS_NOT_SUPPORTED: unavailable,
  INSTANT_MATCH_FAILED: unavailable,
  PRODUCT_NOT_ENABLED: { failure: 'PRODUCT_UNAVAILABLE', actor: 'operator' },

  // INVALID_INPUT. A revocation is one as an API error, and an ITEM_ERROR inside a webhook: one meaning.
  USER_PERMISSION_REVOKED: { failure: 'PERMISSION_REVOKED', actor: 'client' },
  ADDITIONAL_CONSENT_REQUIRED: consent,
  // Also what Plaid says to keys of another environment or client: the Item may live on.
  INVALID_ACCESS_TOKEN: { failure: 'TOKEN_REFUSED', actor: 'operator' },
  INVALID_PUBLIC_TOKEN: { failure: 'INVALID_PUBLIC_TOKEN', actor: 'client' },
  INVALID_LINK_TOKEN: ofTheClient,
  INVALID_ACCOUNT_ID: ofTheClient,
  INVALID_INSTITUTION: { failure: 'UNKNOWN_INSTITUTION', actor: 'client' },
  INVALID_API_KEYS: misconfigured,
  UNAUTHORIZED_ENVIRONMENT: misconfigured,
  UNAUTHORIZED_ROUTE_ACCESS: misconfigured,
  DIRECT_INTEGRATION_NOT_ENABLED: misconfigured,
  INVALID_PRODUCT: misconfigured,
  INVALID_LINK_CUSTOMIZATION: misconfigured,
  INVALID_WEBHOOK_VERIFICATION_KEY_ID: wrongRequest,
  INVALID_AUDIT_COPY_TOKEN: wrongRequest,
  INVALID_PROCESSOR_TOKEN: wrongRequest,
  INVALID_USER_TOKEN: wrongRequest,
  INVALID_STRIPE_ACCOUNT: wrongRequest,
  INCORRECT_DEPOSIT_VERIFICATION: ofTheClient,
  TOO_MANY_VERIFICATION_ATTEMPTS: ofTheClient,

  // INVALID_REQUEST
  MISSING_FIELDS: wrongRequest,
  UNKNOWN_FIELDS: wrongRequest,
  INVALID_FIELD: wrongRequest,
  INVALID_BODY: wrongRequest,
  INVALID_HEADERS: wrongRequest,
  INVALID_ACCOUNT_NUMBER: wrongRequest,
  INCOMPATIBLE_API_VERSION: misconfigured,
  INVALID_CONFIGURATION: misconfigured,
  NOT_FOUND: wrongRequest,
  NO_LONGER_AVAILABLE: wrongRequest,
  SANDBOX_ONLY: wrongRequest,

  // INVALID_RESULT
  LAST_UPDATED_DATETIME_OUT_OF_RANGE: { failure: 'BAD_REQUEST', actor: 'bank' },
  PLAID_DIRECT_ITEM_IMPORT_RETURNED_INVALID_MFA: wrongRequest,

  // INSTITUTION_ERROR: a bank's outage is nobody's login.
  INSTITUTION_DOWN: bankDown,
  INSTITUTION_NOT_RESPONDING: bankDown,
  INSTITUTION_NOT_AVAILABLE: bankDown,
  INSTITUTION_NO_LONGER_SUPPORTED: unsupported,
  UNSUPPORTED_RESPONSE: { failure: 'PRODUCT_UNAVAILABLE', actor: 'plaid' },
  UNAUTHORIZED_INSTITUTION: notAtThisBank,
  INSTITUTION_REGISTRATION_REQUIRED: notAtThisBank,
  INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT: notAtThisBank,

  // RATE_LIMIT_EXCEEDED
  RATE_LIMIT: busy,
  INSTITUTION_RATE_LIMIT: { ...busy, ofOneBank: true },
  ACCOUNTS_LIMIT: busy,
  ACCOUNTS_BALANCE_GET_LIMIT: busy,
  AUTH_LIMIT: busy,
  BALANCE_LIMIT: busy,
  IDENTITY_LIMIT: busy,
  INSTITUTIONS_GET_LIMIT: busy,
  INSTITUTIONS_GET_BY_ID_LIMIT: busy,
  INVESTMENT_HOLDINGS_GET_LIMIT: busy,
  INVESTMENT_TRANSACTIONS_LIMIT: busy,
  ITEM_GET_LIMIT: busy,
  SANDBOX_TRANSACTIONS_CREATE_LIMIT: busy,
  TRANSACTIONS_LIMIT: busy,
  TRANSACTIONS_REFRESH_LIMIT: busy,
  TRANSACTIONS_SYNC_LIMIT: busy,
  // Quotas carry the type of a rate limit, but no waiting ends them.
  CREDITS_EXHAUSTED: misconfigured,
  TRIAL_CONNECTION_LIMIT: misconfigured,
  ADDITION_LIMIT: misconfigured,

  // API_ERROR
  INTERNAL_SERVER_ERROR: { failure: 'UPSTREAM_DOWN', actor: 'plaid' },
  PLANNED_MAINTENANCE: { failure: 'MAINTENANCE', actor: 'plaid' },

  // TRANSACTIONS_ERROR
  TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION: { failure: 'PAGES_MOVED', actor: 'nobody' },

  // Link's own, RECAPTCHA_ERROR and OAUTH_ERROR: seen in the browser, not here.
  RECAPTCHA_REQUIRED: ofTheClient,
  RECAPTCHA_BAD: ofTheClient,
  INCORRECT_OAUTH_NONCE: ofTheClient,
  INCORRECT_LINK_TOKEN: ofTheClient,
  OAUTH_STATE_ID_ALREADY_PROCESSED: ofTheClient,
  OAUTH_STATE_ID_NOT_FOUND: ofTheClient,

  // SANDBOX_ERROR
  SANDBOX_PRODUCT_NOT_ENABLED: misconfigured,
  SANDBOX_WEBHOOK_INVALID: wrongRequest,
} as const satisfies Record<string, PlaidErrorMeaning>;

/** For codes that Plaid adds after today: only what waiting mends is taken from an error's type. */
const byType: Readonly<Record<string, FailureType>> = {
  RATE_LIMIT_EXCEEDED: 'RATE_LIMITED',
  INSTITUTION_ERROR: 'INSTITUTION_DOWN',
};

/** A code is shown to clients and operators. Whatever else stands in its place (a token echoed back, say) is not. */
export const isCode = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Z][A-Z0-9_]{1,79}$/.test(value);

/** Plaid's name of an error. */
export interface PlaidErrorName {
  error_type: string;
  error_code: string;
}

/** What the table says of a code; null = it is not known. */
export function meaningOf(errorCode: string): PlaidErrorMeaning | null {
  return Object.hasOwn(plaidErrors, errorCode) ? plaidErrors[errorCode as keyof typeof plaidErrors] : null;
}

/** The failure that an error of Plaid's is; null = neither its code nor its type says. */
export function failureTypeOf({ error_type, error_code }: PlaidErrorName): FailureType | null {
  const known = meaningOf(error_code);
  if (known !== null) return known.failure;
  return Object.hasOwn(byType, error_type) ? (byType[error_type] as FailureType) : null;
}

/**
 * Whether a refusal of `/transactions/sync` may mean its cursor. Plaid has published no code of the cursor's own: a wrong one is an
 * INVALID_FIELD ("cursor not associated with access_token"). A code of tomorrow that names the cursor in its name is taken at its word.
 */
export const blamesCursor = (errorCode: string): boolean =>
  errorCode === 'INVALID_FIELD' || (meaningOf(errorCode) === null && errorCode.split('_').includes('CURSOR'));

/** Whether a failure is that of one institution alone: it is down, or this client may not use it. */
export const isOfInstitution = ({ type, upstream }: Pick<Failure, 'type' | 'upstream'>): boolean =>
  type === 'INSTITUTION_DOWN' ||
  (upstream !== undefined && meaningOf(upstream.error_code)?.ofOneBank === true);

/** Failures by which Plaid as a whole asks to wait, or takes nothing of ours. */
const ofPlaid: ReadonlySet<FailureType> = new Set(['RATE_LIMITED', 'MAINTENANCE', 'MISCONFIGURED']);

/** Whether the next call would fare no better, whatever Item or institution it is about: a limit, say, or wrong keys. */
export const concernsAll = ({ type, upstream }: Failure): boolean =>
  ofPlaid.has(type) && !isOfInstitution({ type, upstream });

/** What is wrong with an Item itself, and whether Link's update mode may mend it. */
const ofTheItem: Partial<Record<FailureType, { updateMode: boolean }>> = {
  LOGIN_REQUIRED: { updateMode: true },
  CONSENT_REQUIRED: { updateMode: true },
  BANK_UNSUPPORTED: { updateMode: false },
  PERMISSION_REVOKED: { updateMode: false },
  ITEM_GONE: { updateMode: false },
};

/** Whether a failure is the Item's own: it may begin an episode (status ERROR, one `item errored`). An outage never does. */
export const beginsEpisode = (failure: FailureType): boolean => ofTheItem[failure] !== undefined;

/** Of an Item that Plaid has no more, or whose user has taken the permission back. */
export const isGone = (failure: FailureType): boolean =>
  failure === 'ITEM_GONE' || failure === 'PERMISSION_REVOKED';

/** What an episode's error is; codes that were noted for want of Plaid's own are names of failures. */
const ofEpisode = (errorCode: string): FailureType =>
  meaningOf(errorCode)?.failure ?? (errorCode as FailureType);

/** Whether the user can end an episode of this code in Link's update mode. An unknown one may be tried. */
export const updateModeHelps = (errorCode: string): boolean =>
  ofTheItem[ofEpisode(errorCode)]?.updateMode ?? true;

/** Whether update mode has to ask for the products anew. */
export const wantsConsent = (errorCode: string): boolean => ofEpisode(errorCode) === 'CONSENT_REQUIRED';

/** Whether the Item's bank, or the kind of its login, cannot be reached through Plaid any more. */
export const isUnsupported = (errorCode: string): boolean => ofEpisode(errorCode) === 'BANK_UNSUPPORTED';

export const closesAccounts = (errorCode: string): boolean => meaningOf(errorCode)?.closesAccounts ?? false;

/** Codes of episodes that no update mode ends. */
export const codesWithoutUpdateMode: readonly string[] = [
  ...Object.keys(plaidErrors).filter((code) => !updateModeHelps(code) && beginsEpisode(ofEpisode(code))),
  ...Object.keys(ofTheItem).filter((type) => !updateModeHelps(type)),
];
