import { refusals } from '../domain/exchange/viewer.js';

/**
 * Every problem that this API answers with (RFC 9457). The code is part of the contract: it is never renamed. `type` of an
 * answer is `/problems/<code>`, a page that shows what stands here.
 */
export interface ProblemType {
  status: number;
  title: string;
  /** What happened, and what the client can do about it. */
  help: string;
}

export const problemTypes = {
  invalid_request: {
    status: 400,
    title: 'The request does not fit its schema',
    help: 'A field, query parameter or path segment is missing, unknown, of another type or out of range. `errors` names each one by JSON pointer. Correct the request; repeating it cannot help.',
  },
  malformed_json: {
    status: 400,
    title: 'The body is not valid JSON',
    help: 'The body could not be parsed, does not have the announced length, or holds a key such as `__proto__`. Send well-formed JSON.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor does not belong to this list',
    help: 'A cursor continues exactly the list and filters that it came from; only `limit` may change. Pass `next_cursor` on unchanged, or start again without a cursor.',
  },
  unauthorized: {
    status: 401,
    title: 'No valid API key',
    help: 'Send `Authorization: Bearer <key>` with a key that was not revoked. Absent, unknown and revoked keys are answered alike.',
  },
  webhook_rejected: {
    status: 401,
    title: 'The webhook is not signed by Plaid',
    help: 'The Plaid-Verification header is absent, too old, signed by another key, or made for another body. Make sure that no proxy changes the bytes of the body.',
  },
  insufficient_scope: {
    status: 403,
    title: 'The API key lacks the scope',
    help: 'The operation needs a scope that this key does not carry. `admin` implies `read`, `write` and `consent`, never `numbers`.',
  },
  consent_missing: {
    status: 403,
    title: 'The connection does not grant this',
    help: "The application's connection with the item (`connection_id`) lacks the scope (`scope`), or grants no account. Only the user or the operator can widen it.",
  },
  consent_expired: {
    status: 403,
    title: 'The connection has expired',
    help: 'The time of the connection (`connection_id`) is over. Ask the user, or the operator, to renew it.',
  },
  consent_suspended: {
    status: 403,
    title: 'The connection is suspended',
    help: 'The user has revoked the item at the bank. Send the user through Link in update mode, then report it as relinked; cached rows are readable again when the connection (`connection_id`) is resumed.',
  },
  consent_revoked: {
    status: 403,
    title: 'The connection was revoked',
    help: 'The connection (`connection_id`) has ended for good. Let the user connect the account again: that makes a new one.',
  },
  not_from_page: {
    status: 403,
    title: "The form was not sent from the user's page",
    help: 'Another site sent it. Nothing was done.',
  },
  narrowing_only: {
    status: 403,
    title: 'The application may only narrow its connection',
    help: '`errors` names each field that would grant more, or change what was agreed to. Ask the user: a key of scope `consent` writes it then.',
  },
  sandbox_only: {
    status: 403,
    title: 'Only in the sandbox',
    help: "The operation exists in Plaid's sandbox and in the simulator only.",
  },
  not_found: {
    status: 404,
    title: 'There is no such resource',
    help: 'The path is unknown, or the named user, item, connection, webhook, application or key does not exist, or the application was never connected with it. A user exists from the first link token or item.',
  },
  unknown_institution: {
    status: 404,
    title: 'Plaid knows no such institution',
    help: 'Use an institution id as Plaid lists it.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not take this method',
    help: 'The `Allow` header lists the methods that it takes.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    help: 'The headers or the body came too slowly. Repeat the request.',
  },
  no_item: {
    status: 409,
    title: 'There is no item to update',
    help: 'Update mode was asked for, and the user has no item that can be updated. Ask for `{"mode":"create"}` or leave the mode out.',
  },
  update_mode_useless: {
    status: 409,
    title: "No update mode mends this item's error",
    help: '`plaid` names the error: Plaid reaches the item\'s bank, or logins of its kind, no more. Remove the item, and let the user link another account with `{"mode":"create"}`.',
  },
  public_token_used: {
    status: 409,
    title: 'The public token was used by another user or application',
    help: 'A public token links one item to one user, for one application. Let this user go through Link for a token of their own.',
  },
  duplicate_item: {
    status: 409,
    title: 'The user has linked this account already',
    help: '`item_id` names the item that holds it, which you see: you are connected with it, or see every item. Use that one; when it is broken, send the user through update mode.',
  },
  connection_exists: {
    status: 409,
    title: 'The application is connected with the item',
    help: '`connection_id` names the connection, which may have expired or be suspended. Change it, renew it, or revoke it first.',
  },
  connection_revoked: {
    status: 409,
    title: 'The connection was revoked',
    help: 'That was the end of it. A new grant makes a new connection.',
  },
  too_many_endpoints: {
    status: 409,
    title: 'The application has as many endpoints as it may have',
    help: 'An application may have 100. Delete one, or change the URL or the types of one.',
  },
  active_float: {
    status: 409,
    title: 'The user has an active float',
    help: 'The item is needed until the float is closed. Close the float first, or remove the item with `force=true` and a key of scope `admin`.',
  },
  replay_refused: {
    status: 409,
    title: 'The webhook cannot be replayed',
    help: 'It was rejected, or it is a TRANSACTIONS_REMOVED that was acted on: it carries no time, and might name what has come back since. Ask for a remine of the item instead.',
  },
  item_removed: {
    status: 409,
    title: 'The item was removed',
    help: 'Its access token is erased, its removal was asked for, or no application is connected with it any more. Cached rows stay readable; link the account again for more.',
  },
  request_running: {
    status: 409,
    title: 'The same request is still running',
    help: 'A request with this `Idempotency-Key` has not been answered yet. Repeat it after `Retry-After` seconds: it gets the answer, or runs when the other one has died.',
  },
  login_required: {
    status: 409,
    title: 'The user has to act at the bank',
    help: 'Send the user through Link in update mode, then report it as relinked.',
  },
  feed_expired: {
    status: 410,
    title: 'What follows this place is not kept any more',
    help: 'Of the events: begin without `after`, and read each item anew. Of the changes of an item: begin anew with `?snapshot=true`, and go on from the `next` that it gives.',
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    help: 'Bodies are limited to 256 KiB, webhooks to 1 MiB.',
  },
  uri_too_long: {
    status: 414,
    title: 'The address is too long',
    help: 'Shorten the path or the query.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The content type is not supported',
    help: 'Send `Content-Type: application/json`.',
  },
  item_id_not_allowed: {
    status: 422,
    title: 'Create mode takes no item',
    help: '`{"mode":"create"}` asks for another item: leave `item_id` out, or ask for update mode.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key stands for another request',
    help: 'This `Idempotency-Key` was sent before with another body, with another query, or by a key with other scopes. Send a new one for a new request.',
  },
  invalid_public_token: {
    status: 422,
    title: 'Plaid does not exchange this public token',
    help: 'It is unknown, expired (30 minutes), was exchanged elsewhere, or is of an item of another user. Let the user go through Link again.',
  },
  unknown_account: {
    status: 422,
    title: 'The item has no such open account',
    help: "Choose one of the item's accounts with status `open`.",
  },
  plaid_refused: {
    status: 424,
    title: 'Plaid refused the request',
    help: "`plaid` carries Plaid's own error. Repeating the request unchanged cannot help.",
  },
  product_not_ready: {
    status: 424,
    title: 'Plaid has not fetched the data yet',
    help: 'Plaid reads the bank for the first time, or never succeeded. Repeat the request after `Retry-After` seconds; a webhook tells the service when the data are there.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    help: 'The limit of this API key, or of an address that sent unknown keys, is spent. Repeat the request after `Retry-After` seconds.',
  },
  webhook_keys_busy: {
    status: 429,
    title: 'Too many unknown webhook keys',
    help: 'The budget for looking up verification keys is spent. Deliver again after `Retry-After` seconds.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    help: 'All headers together are limited to 16 KiB.',
  },
  internal_error: {
    status: 500,
    title: 'The service failed',
    help: 'This is a fault of the service. Report the `request_id` to its operator.',
  },
  link_outcome_unknown: {
    status: 502,
    title: 'The exchange has no known outcome',
    help: "Plaid's answer to the exchange was lost, and a public token can be exchanged only once. Every repeat is answered alike; the operator was alerted. Let the user go through Link again.",
  },
  institution_unavailable: {
    status: 502,
    title: 'The bank behind Plaid is not available',
    help: 'Try again in some hours. The user does not have to log in again.',
  },
  plaid_unreachable: {
    status: 502,
    title: 'Plaid did not answer properly',
    help: 'The connection to Plaid broke, or Plaid failed. Try again later.',
  },
  unavailable: {
    status: 503,
    title: 'The service is not available for the moment',
    help: 'The database does not answer in time or is not set up, or the process has more to do than it can. Nothing is wrong with the request: repeat it after `Retry-After` seconds.',
  },
  orchestrator_down: {
    status: 503,
    title: 'Work cannot be started for the moment',
    help: 'Temporal does not answer. Repeat the request after `Retry-After` seconds: it joins what was begun.',
  },
  webhook_undecided: {
    status: 503,
    title: 'The webhook could not be verified for the moment',
    help: 'The verification key could not be looked up. Deliver again.',
  },
  plaid_busy: {
    status: 503,
    title: 'Plaid asks to wait',
    help: 'Plaid limits the rate or is under maintenance. Repeat the request after `Retry-After` seconds.',
  },
  live_reads_busy: {
    status: 503,
    title: 'Too many live reads at once',
    help: 'The process answers a bounded number of live reads at a time, and ends those that wait when it stops. Repeat the request after `Retry-After` seconds, or read what is cached.',
  },
  event_waits_busy: {
    status: 503,
    title: 'Too many requests wait for events',
    help: 'The process lets a bounded number of requests wait. Repeat the request after `Retry-After` seconds, or ask without `wait`.',
  },
  not_ready: {
    status: 503,
    title: 'A dependency is not ready',
    help: '`dependencies` names each one and whether it is up, with a `reason` where an operator has to act.',
  },
  link_pending: {
    status: 504,
    title: 'The item is still being linked',
    help: 'Linking goes on. Repeat the request with the same public token: it joins and gets the outcome.',
  },
  login_check_pending: {
    status: 504,
    title: 'The check of the login still runs',
    help: 'It goes on, and items that it finds stale are updated. There is no need to repeat the request.',
  },
  plaid_timeout: {
    status: 504,
    title: 'Plaid did not answer in time',
    help: 'Try again later.',
  },
} as const satisfies Record<string, ProblemType>;

export type ProblemCode = keyof typeof problemTypes;

/** What an operation on an item may be refused with for want of a connection that lets the application. */
export const consentProblems: readonly ProblemCode[] = refusals;

export const problemCodes = Object.keys(problemTypes) as ProblemCode[];

export const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(problemTypes, code);
