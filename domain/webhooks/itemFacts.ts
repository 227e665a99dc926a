import { instantOf } from '../instants.js';
import { isObject } from '../mining/oddValues.js';
import { refusalOfId } from '../mining/recordId.js';
import type { UserActionError } from '../mining/run.js';
import { isCode } from '../plaidErrors.js';
import type { WebhookKind } from './webhookKind.js';

/** What a webhook of kind `item` says of its Item. */
export type ItemFact =
  /** ITEM ERROR. Plaid's `/item/get` decides whether it is still so. */
  | { kind: 'errored' }
  /** ITEM LOGIN_REPAIRED, by its older name ITEM_REPAIRED too. */
  | { kind: 'repaired' }
  /** ITEM USER_PERMISSION_REVOKED. */
  | { kind: 'permissionRevoked'; error: UserActionError }
  /** ITEM PENDING_EXPIRATION: the consent ends at `at` (ISO 8601; null = it does not say when). `/item/get` says the same. */
  | { kind: 'consentExpires'; at: string | null }
  /** ITEM PENDING_DISCONNECT: the bank ends the connection at `at` (ISO 8601; null = it does not say when). `/item/get` says nothing of it. */
  | { kind: 'disconnects'; at: string | null }
  | { kind: 'newAccounts' }
  /** ITEM USER_ACCOUNT_REVOKED; null = it does not say which. */
  | { kind: 'accountRevoked'; accountId: string | null }
  /** AUTH DEFAULT_UPDATE: the numbers of these accounts must not be used any more; `unnamed`: nor those of others, which it does not name. */
  | { kind: 'numbersChanged'; accountIds: string[]; unnamed: boolean }
  /** AUTH AUTOMATICALLY_VERIFIED and its kin: Plaid has ended the verification of an account (null = it does not say which), well or not. */
  | { kind: 'verificationEnded'; accountId: string | null; verification: VerificationEnd };

/** The bank has announced the end of the connection, of which `/item/get` says nothing. */
export const codeThatDisconnects = 'PENDING_DISCONNECT';

/** There are accounts that the user has not shared. */
export const codeOfNewAccounts = 'NEW_ACCOUNTS_AVAILABLE';

/** Webhooks about the Item whose outcome, or order among themselves, waits for an answer of `/item/get`. The others wait for nobody. */
export const codesThatAsk: readonly string[] = [
  'ERROR',
  'LOGIN_REPAIRED',
  'ITEM_REPAIRED',
  'PENDING_EXPIRATION',
  codeThatDisconnects,
];

/** Nothing is given out from then on, whatever else waits. */
export const codeThatWithholds = 'USER_PERMISSION_REVOKED';

/** Of kind `item`: after them numbers that were read before must not be given out, of all accounts or of some. */
export const codesThatWithhold: readonly string[] = [
  codeThatWithholds,
  'USER_ACCOUNT_REVOKED',
  'DEFAULT_UPDATE',
];

/** How Plaid's verification of an account (by micro-deposits, say) has ended. */
export type VerificationEnd = 'verified' | 'expired' | 'failed';

type Fields = Record<string, unknown>;

/** One that can be stored: else it is the id of no account of ours. */
const accountId = (value: unknown): string | null =>
  typeof value === 'string' && refusalOfId(value) === null ? value : null;

/** Of its error only Plaid's type is kept: under another code nobody who reads it would see that the permission is gone. */
function revocation(said: unknown): ItemFact {
  const type = isObject(said) ? said['error_type'] : null;
  const error = { error_type: isCode(type) ? type : 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
  return { kind: 'permissionRevoked', error };
}

function numbers(fields: Fields): ItemFact {
  const fresh = fields['account_ids_with_new_auth'] ?? [];
  const updated = fields['account_ids_with_updated_auth'] ?? {};
  // What stands in the place of a list is an entry that names none.
  const named: unknown[] = [
    ...(Array.isArray(fresh) ? (fresh as unknown[]) : [null]),
    ...(isObject(updated) ? Object.keys(updated) : [null]),
  ];
  return {
    kind: 'numbersChanged',
    accountIds: named.filter((id): id is string => accountId(id) !== null),
    unnamed: named.length === 0 || named.some((id) => typeof id !== 'string' || id === ''),
  };
}

const verificationEnded = (fields: Fields, verification: VerificationEnd): ItemFact => ({
  kind: 'verificationEnded',
  accountId: accountId(fields['account_id']),
  verification,
});

const readers: Readonly<Record<string, (fields: Fields) => ItemFact>> = {
  'ITEM/ERROR': () => ({ kind: 'errored' }),
  'ITEM/LOGIN_REPAIRED': () => ({ kind: 'repaired' }),
  'ITEM/ITEM_REPAIRED': () => ({ kind: 'repaired' }),
  'ITEM/USER_PERMISSION_REVOKED': (fields) => revocation(fields['error']),
  'ITEM/PENDING_EXPIRATION': (fields) => ({
    kind: 'consentExpires',
    at: instantOf(fields['consent_expiration_time']),
  }),
  'ITEM/PENDING_DISCONNECT': (fields) => ({ kind: 'disconnects', at: instantOf(fields['disconnect_time']) }),
  'ITEM/NEW_ACCOUNTS_AVAILABLE': () => ({ kind: 'newAccounts' }),
  'ITEM/USER_ACCOUNT_REVOKED': (fields) => ({
    kind: 'accountRevoked',
    accountId: accountId(fields['account_id']),
  }),
  'AUTH/DEFAULT_UPDATE': numbers,
  // The answer of `/auth/get` says what is missing.
  'AUTH/PRODUCT_PERMISSIONS_REQUIRED': () => ({ kind: 'numbersChanged', accountIds: [], unnamed: false }),
  'AUTH/AUTOMATICALLY_VERIFIED': (fields) => verificationEnded(fields, 'verified'),
  'AUTH/MANUALLY_VERIFIED': (fields) => verificationEnded(fields, 'verified'),
  'AUTH/VERIFICATION_EXPIRED': (fields) => verificationEnded(fields, 'expired'),
  'AUTH/VERIFICATION_FAILED': (fields) => verificationEnded(fields, 'failed'),
  // Its `status` is MANUALLY_VERIFIED or VERIFICATION_FAILED; whatever else Plaid may say, the numbers are asked for.
  'AUTH/SMS_MICRODEPOSITS_VERIFICATION': (fields) =>
    verificationEnded(fields, fields['status'] === 'VERIFICATION_FAILED' ? 'failed' : 'verified'),
};

/** Names (`TYPE/CODE`) of the webhooks that carry such a fact. */
export const itemWebhooks: Readonly<Record<string, WebhookKind>> = Object.fromEntries(
  Object.keys(readers).map((name) => [name, 'item' as const]),
);

/** The fact in a stored body, with null for what the body lacks of what its code promises; null when it has no code of these. Total. */
export function itemFactOf(body: string): ItemFact | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return null;
  }
  if (!isObject(parsed)) return null;
  const name = `${String(parsed['webhook_type'])}/${String(parsed['webhook_code'])}`;
  return Object.hasOwn(readers, name) ? (readers[name]?.(parsed) ?? null) : null;
}
