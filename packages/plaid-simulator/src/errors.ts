import type { WirePlaidError } from './wire.js';

type ErrorType = WirePlaidError['error_type'];

interface Known {
  type: ErrorType;
  status: number;
  message: string;
  display?: string;
}

const DEFAULT_STATUS = 400;

function family(type: ErrorType, codes: Record<string, string>, status = DEFAULT_STATUS): [string, Known][] {
  return Object.entries(codes).map(([code, message]) => [code, { type, status, message }]);
}

/** Plaid's codes with their type, HTTP status and message. Nearly all are 400, outages of a bank included. */
const CATALOGUE = new Map<string, Known>([
  ...family('INVALID_REQUEST', {
    MISSING_FIELDS: 'the request was missing required fields',
    UNKNOWN_FIELDS: 'the request included fields that are not recognized by this endpoint',
    INVALID_FIELD: 'a field of the request was invalid',
    INVALID_BODY: 'body could not be parsed as JSON',
    INVALID_HEADERS: 'Content-Type must be application/json',
    INCOMPATIBLE_API_VERSION: 'the requested Plaid-Version does not exist',
    SANDBOX_ONLY: 'this endpoint is only available in the sandbox environment',
  }),
  ['NOT_FOUND', { type: 'INVALID_REQUEST', status: 404, message: 'the endpoint could not be found' }],
  ...family('INVALID_INPUT', {
    INVALID_API_KEYS: 'invalid client_id or secret provided',
    INVALID_ACCESS_TOKEN: 'could not find matching access token',
    INVALID_PUBLIC_TOKEN: 'could not find matching public token',
    INVALID_LINK_TOKEN: 'could not find matching link token',
    INVALID_PRODUCT: 'client is not authorized to access the requested products',
    INVALID_ACCOUNT_ID: 'one or more of the account IDs could not be found on this Item',
    INVALID_USER_TOKEN: 'could not find matching user',
    INVALID_INSTITUTION: 'invalid institution_id provided',
    INVALID_WEBHOOK_VERIFICATION_KEY_ID:
      'invalid key_id provided. note that key_ids are specific to Plaid environments, and verification keys rotate',
    UNAUTHORIZED_ENVIRONMENT: 'you are not authorized to use this environment',
    UNAUTHORIZED_ROUTE_ACCESS: 'client is not authorized to access this route',
    USER_PERMISSION_REVOKED:
      'the holder of this account has revoked their permission for your application to access it',
    ADDITIONAL_CONSENT_REQUIRED: 'client does not have user consent to access this product',
    DIRECT_INTEGRATION_NOT_ENABLED: 'your client_id is only authorized to use Plaid Link',
    INVALID_CONFIGURATION: 'the link configuration is invalid',
  }),
  ...family('INVALID_RESULT', {
    LAST_UPDATED_DATETIME_OUT_OF_RANGE:
      'requested datetime out of range, most recently updated balance is older',
  }),
  ...family('ITEM_ERROR', {
    ITEM_NOT_FOUND:
      'The Item you requested cannot be found. This Item does not exist, has been previously removed via /item/remove, or has had access removed by the user.',
    PRODUCT_NOT_READY:
      'the requested product is not yet ready. please provide a webhook or try the request again later',
    PRODUCTS_NOT_SUPPORTED: 'the products are not supported by this institution or Item',
    PRODUCT_NOT_ENABLED: 'the requested product is not enabled for this Item',
    NO_ACCOUNTS: 'no valid accounts were found for this Item',
    NO_AUTH_ACCOUNTS:
      'there are no valid checking or savings account(s) associated with this Item. See https://plaid.com/docs/api/#item-errors for more.',
    NO_INVESTMENT_ACCOUNTS: 'there are no valid investment account(s) associated with this Item',
    NO_LIABILITY_ACCOUNTS: 'there are no valid liability account(s) associated with this Item',
    ACCESS_NOT_GRANTED: 'access to this product was not granted for the account',
    ITEM_CONCURRENTLY_DELETED: 'this item was deleted while the operation was in progress',
    ITEM_NOT_SUPPORTED: 'this account is currently not supported',
    MFA_NOT_SUPPORTED:
      'this account requires a MFA type that we do not currently support for the institution',
  }),
  [
    'ITEM_LOGIN_REQUIRED',
    {
      type: 'ITEM_ERROR',
      status: DEFAULT_STATUS,
      message:
        "the login details of this item have changed (credentials, MFA, or required user action) and a user login is required to update this information. use Link's update mode to restore the item to a good state",
      display:
        'Username or password incorrect. If you have recently changed your password, update it and try again.',
    },
  ],
  [
    'INVALID_CREDENTIALS',
    {
      type: 'ITEM_ERROR',
      status: DEFAULT_STATUS,
      message: 'the credentials were not correct. please try again',
      display: 'The provided credentials were not correct. Please try again.',
    },
  ],
  ...family('ITEM_ERROR', {
    INSUFFICIENT_CREDENTIALS: 'the user did not complete authorization at the institution',
    INVALID_MFA: 'the provided MFA response(s) were not correct. please try again',
    INVALID_SEND_METHOD: 'the provided MFA send method was invalid',
    INVALID_UPDATED_USERNAME: 'the username provided to update mode did not match its original username',
    INVALID_PHONE_NUMBER: 'the submitted phone number was invalid',
    INVALID_OTP: 'the submitted OTP was invalid',
    ITEM_LOCKED:
      'the account is locked. prompt the user to visit the institution site and unlock their account',
    USER_SETUP_REQUIRED:
      'the account has not been fully set up. prompt the user to visit the issuing institution site and finish the setup process',
    USER_INPUT_TIMEOUT: 'user did not respond in time',
    PASSWORD_RESET_REQUIRED: 'the user must reset their password',
  }),
  ...family('INSTITUTION_ERROR', {
    INSTITUTION_DOWN: 'this institution is not currently responding to this request. please try again soon',
    INSTITUTION_NOT_RESPONDING:
      'this institution is not currently responding to this request. please try again soon',
    INSTITUTION_NOT_AVAILABLE: 'this institution is not currently available',
    INSTITUTION_NO_LONGER_SUPPORTED: 'this institution is no longer supported',
    INSTITUTION_REGISTRATION_REQUIRED:
      'this institution requires your application to be registered before use',
    UNAUTHORIZED_INSTITUTION: 'client is not authorized to access this institution',
    UNSUPPORTED_RESPONSE: 'the data returned from the financial institution is not supported or is invalid',
  }),
  ...family(
    'RATE_LIMIT_EXCEEDED',
    Object.fromEntries(
      [
        'ACCOUNTS_LIMIT',
        'ACCOUNTS_BALANCE_GET_LIMIT',
        'ADDITION_LIMIT',
        'AUTH_LIMIT',
        'BALANCE_LIMIT',
        'CREDITS_EXHAUSTED',
        'IDENTITY_LIMIT',
        'INSTITUTIONS_GET_BY_ID_LIMIT',
        'INSTITUTIONS_GET_LIMIT',
        'INSTITUTION_RATE_LIMIT',
        'INVESTMENT_HOLDINGS_GET_LIMIT',
        'INVESTMENT_TRANSACTIONS_LIMIT',
        'ITEM_GET_LIMIT',
        'RATE_LIMIT',
        'SANDBOX_TRANSACTIONS_CREATE_LIMIT',
        'TRANSACTIONS_LIMIT',
        'TRANSACTIONS_REFRESH_LIMIT',
        'TRANSACTIONS_SYNC_LIMIT',
        'TRIAL_CONNECTION_LIMIT',
      ].map((code) => [
        code,
        `rate limit exceeded for attempts to access this endpoint (${code}). please try again later`,
      ]),
    ),
    429,
  ),
  ...family('API_ERROR', { INTERNAL_SERVER_ERROR: 'an unexpected error occurred' }, 500),
  ...family(
    'API_ERROR',
    { PLANNED_MAINTENANCE: 'the Plaid API is temporarily unavailable due to planned maintenance' },
    503,
  ),
  ...family('SANDBOX_ERROR', {
    SANDBOX_PRODUCT_NOT_ENABLED: 'the requested product is not enabled for this Item',
    SANDBOX_WEBHOOK_INVALID: 'webhook for the provided access token is not set or is invalid',
  }),
  ...family('TRANSACTIONS_ERROR', {
    TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION:
      'Underlying transaction data changed since last page was fetched. Please restart pagination from last update.',
  }),
]);

export function isKnownCode(code: string): boolean {
  return CATALOGUE.has(code);
}

/** An answer in Plaid's error form. `message` overrides the catalogue's text, `type` and `status` are for codes it does not know. */
export class PlaidApiError extends Error {
  readonly code: string;
  readonly type: ErrorType;
  readonly status: number;
  readonly display: string | null;
  readonly reason: string | null;

  constructor(
    code: string,
    message?: string,
    extra: { type?: string | undefined; status?: number | undefined; reason?: string | undefined } = {},
  ) {
    const known = CATALOGUE.get(code);
    super(message ?? known?.message ?? code);
    this.name = 'PlaidApiError';
    this.code = code;
    this.type = (extra.type as ErrorType | undefined) ?? known?.type ?? 'API_ERROR';
    this.status = extra.status ?? known?.status ?? DEFAULT_STATUS;
    this.display = known?.display ?? null;
    this.reason = extra.reason ?? null;
  }

  /** The body of an API answer (`request_id` given), or the error inside an item or a webhook (`status` instead). */
  body(requestId?: string): WirePlaidError {
    const slug = this.code.toLowerCase().replaceAll('_', '-');
    return {
      display_message: this.display,
      documentation_url: `https://plaid.com/docs/?ref=error#${slug}`,
      error_code: this.code,
      error_message: this.message,
      error_type: this.type,
      ...(this.reason === null ? {} : { error_code_reason: this.reason }),
      ...(requestId === undefined ? { status: this.status } : { request_id: requestId }),
      suggested_action: null,
    };
  }
}
