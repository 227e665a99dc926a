import { instantOf } from '../instants.js';
import { refusalOfId } from '../mining/recordId.js';
import type { UserActionError } from '../mining/run.js';
import type { WebhookKind } from './webhookKind.js';

/** What a webhook of kind `item` says of its Item. */
export type ItemFact =
  /** ITEM ERROR. Plaid's `/item/get` decides whether it is still so. */
  | { kind: 'errored' }
  /** ITEM LOGIN_REPAIRED, by its older name ITEM_REPAIRED too. */
  | { kind: 'repaired' }
  /** ITEM USER_PERMISSION_REVOKED. */
  | { kind: 'permissionRevoked'; error: UserActionError }
  /** ITEM PENDING_EXPIRATION: the consent ends at `at` (ISO 8601). `/item/get` says the same. */
  | { kind: 'consentExpires'; at: string }
  /** ITEM PENDING_DISCONNECT: the bank ends the connection at `at` (ISO 8601). `/item/get` says nothing of it. */
  | { kind: 'disconnects'; at: string }
  | { kind: 'newAccounts' }
  /** ITEM USER_ACCOUNT_REVOKED. */
  | { kind: 'accountRevoked'; accountId: string }
  /** AUTH DEFAULT_UPDATE: the numbers of these accounts must not be used any more. */
  | { kind: 'numbersChanged'; accountIds: string[] }
  /** AUTH AUTOMATICALLY_VERIFIED and its kin: Plaid has ended the verification of an account, well or not. */
  | { kind: 'verificationEnded'; accountId: string; verification: VerificationEnd };

/** How Plaid's verification of an account (by micro-deposits, say) has ended. */
export type VerificationEnd = 'verified' | 'expired' | 'failed';

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && !value.includes('\u0000') ? value : null;

/** One that can be stored: else it is the id of no account of ours. */
const accountId = (value: unknown): string | null =>
  typeof value === 'string' && refusalOfId(value) === null ? value : null;

function ending(kind: 'consentExpires' | 'disconnects', value: unknown): ItemFact | null {
  const at = instantOf(value);
  return at === null ? null : { kind, at };
}

function revocation(error: unknown): ItemFact {
  const code = isObject(error) ? text(error['error_code']) : null;
  const type = isObject(error) ? text(error['error_type']) : null;
  return {
    kind: 'permissionRevoked',
    error: { error_type: type ?? 'ITEM_ERROR', error_code: code ?? 'USER_PERMISSION_REVOKED' },
  };
}

function numbers(fields: Fields): ItemFact {
  const fresh = fields['account_ids_with_new_auth'];
  const updated = fields['account_ids_with_updated_auth'];
  const ids: unknown[] = [
    ...(Array.isArray(fresh) ? (fresh as unknown[]) : []),
    ...(isObject(updated) ? Object.keys(updated) : []),
  ];
  return { kind: 'numbersChanged', accountIds: ids.filter((id): id is string => accountId(id) !== null) };
}

function verificationEnded(fields: Fields, verification: VerificationEnd): ItemFact | null {
  const id = accountId(fields['account_id']);
  return id === null ? null : { kind: 'verificationEnded', accountId: id, verification };
}

const readers: Readonly<Record<string, (fields: Fields) => ItemFact | null>> = {
  'ITEM/ERROR': () => ({ kind: 'errored' }),
  'ITEM/LOGIN_REPAIRED': () => ({ kind: 'repaired' }),
  'ITEM/ITEM_REPAIRED': () => ({ kind: 'repaired' }),
  'ITEM/USER_PERMISSION_REVOKED': (fields) => revocation(fields['error']),
  'ITEM/PENDING_EXPIRATION': (fields) => ending('consentExpires', fields['consent_expiration_time']),
  'ITEM/PENDING_DISCONNECT': (fields) => ending('disconnects', fields['disconnect_time']),
  'ITEM/NEW_ACCOUNTS_AVAILABLE': () => ({ kind: 'newAccounts' }),
  'ITEM/USER_ACCOUNT_REVOKED': (fields) => {
    const id = accountId(fields['account_id']);
    return id === null ? null : { kind: 'accountRevoked', accountId: id };
  },
  'AUTH/DEFAULT_UPDATE': numbers,
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

/** The fact in a stored body; null when the body lacks what its code promises. Total. */
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
