import type {
  PlaidAccount,
  PlaidInstitution,
  PlaidItemView,
  PlaidNumbers,
  PlaidRemovedTransaction,
  PlaidSyncPage,
  PlaidTransaction,
} from '../../domain/plaid.js';
import { instantOf } from '../../domain/instants.js';
import type { WebhookKey } from '../../domain/ports/webhookKeys.js';
import { failureOfShape } from './plaidFailures.js';

/**
 * Readers of Plaid's answers. They check what the program relies on and nothing else: fields and enum values that are new
 * pass through untouched. What does not fit is UPSTREAM_DOWN, since a proxy or a cut connection is the likely cause.
 */
export type JsonObject = Record<string, unknown>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0;
const isMoney = (value: unknown): boolean =>
  value === null || value === undefined || (typeof value === 'number' && Number.isFinite(value));
const orNull = (value: unknown): string | null => (isText(value) ? value : null);

function text(path: string, body: JsonObject, field: string): string {
  const value = body[field];
  if (!isText(value)) throw failureOfShape(path, `no ${field}`);
  return value;
}

function list<T>(path: string, body: JsonObject, field: string, fits: (entry: unknown) => entry is T): T[] {
  const value = body[field];
  if (!Array.isArray(value)) throw failureOfShape(path, `no list ${field}`);
  if (!value.every(fits)) throw failureOfShape(path, `an entry of ${field} lacks what every entry has`);
  return value;
}

// Only that it is an object: a row that lacks something is parked by itself (see minedPage) and must not block its page.
const isTransaction = (entry: unknown): entry is PlaidTransaction => isObject(entry);

const isRemoved = (entry: unknown): entry is PlaidRemovedTransaction => isObject(entry);

const isAccount = (entry: unknown): entry is PlaidAccount => {
  if (!isObject(entry) || !isObject(entry['balances'])) return false;
  const { available, current, limit } = entry['balances'];
  return (
    isText(entry['account_id']) &&
    typeof entry['name'] === 'string' &&
    isText(entry['type']) &&
    isMoney(available) &&
    isMoney(current) &&
    isMoney(limit)
  );
};

export const accountsOf = (path: string, body: JsonObject): PlaidAccount[] =>
  list(path, body, 'accounts', isAccount);

export const requestIdOf = (path: string, body: JsonObject): string => text(path, body, 'request_id');

const isInstitution = (entry: unknown): entry is PlaidInstitution =>
  isObject(entry) && isText(entry['institution_id']) && isText(entry['name']);

export function institutionOf(path: string, body: JsonObject): PlaidInstitution {
  const { institution } = body;
  if (!isInstitution(institution)) throw failureOfShape(path, 'no institution');
  return institution;
}

/** A page of the list. An entry without id or name can be neither kept nor shown: it is counted and left out. */
export function institutionsOf(
  path: string,
  body: JsonObject,
): { institutions: PlaidInstitution[]; listed: number; total: number } {
  const { institutions, total } = body;
  if (!Array.isArray(institutions)) throw failureOfShape(path, 'no list institutions');
  if (typeof total !== 'number') throw failureOfShape(path, 'no total');
  return { institutions: institutions.filter(isInstitution), listed: institutions.length, total };
}

export function syncPageOf(path: string, body: JsonObject, cursor: string): PlaidSyncPage {
  const { next_cursor, has_more } = body;
  if (typeof next_cursor !== 'string') throw failureOfShape(path, 'no next_cursor');
  if (typeof has_more !== 'boolean') throw failureOfShape(path, 'no has_more');
  // Asked with the same cursor again the same page would come for ever.
  if (has_more && (next_cursor === '' || next_cursor === cursor)) {
    throw failureOfShape(path, 'more pages, but a cursor that leads nowhere');
  }
  return {
    added: list(path, body, 'added', isTransaction),
    modified: list(path, body, 'modified', isTransaction),
    removed: list(path, body, 'removed', isRemoved),
    accounts: accountsOf(path, body),
    next_cursor,
    has_more,
    transactions_update_status:
      orNull(body['transactions_update_status']) ?? 'TRANSACTIONS_UPDATE_STATUS_UNKNOWN',
  };
}

export function transactionsOf(
  path: string,
  body: JsonObject,
): { transactions: PlaidTransaction[]; total: number } {
  const total = body['total_transactions'];
  if (typeof total !== 'number') throw failureOfShape(path, 'no total_transactions');
  return { transactions: list(path, body, 'transactions', isTransaction), total };
}

export function itemOf(path: string, body: JsonObject): PlaidItemView {
  const item = body['item'];
  if (!isObject(item)) throw failureOfShape(path, 'no item');
  const error = item['error'];
  const status = isObject(body['status']) ? body['status'] : {};
  const transactions = isObject(status['transactions']) ? status['transactions'] : {};
  return {
    item_id: text(path, item, 'item_id'),
    institution_id: orNull(item['institution_id']),
    institution_name: orNull(item['institution_name']),
    error: isObject(error)
      ? { error_type: text(path, error, 'error_type'), error_code: text(path, error, 'error_code') }
      : null,
    consent_expiration_time: instantOf(item['consent_expiration_time']),
    last_successful_update: orNull(transactions['last_successful_update']),
  };
}

const forms = ['ach', 'eft', 'international', 'bacs'] as const;
const isNumber = (entry: unknown): entry is JsonObject & { account_id: string } =>
  isObject(entry) && isText(entry['account_id']);

/** One entry per account that has a number of any form; an account may have several. */
export function numbersOf(path: string, body: JsonObject): PlaidNumbers[] {
  const numbers = body['numbers'];
  if (!isObject(numbers)) throw failureOfShape(path, 'no numbers');
  const found = new Map<string, PlaidNumbers>();
  for (const form of forms) {
    for (const entry of list(path, numbers, form, isNumber)) {
      const account_id = entry.account_id;
      const known = found.get(account_id) ?? { account_id, ach: [], eft: [], international: [], bacs: [] };
      known[form].push(entry);
      found.set(account_id, known);
    }
  }
  return [...found.values()];
}

export const linkTokenOf = (path: string, body: JsonObject): { link_token: string; expiration: string } => ({
  link_token: text(path, body, 'link_token'),
  expiration: text(path, body, 'expiration'),
});

export const exchangeOf = (path: string, body: JsonObject): { accessToken: string; itemId: string } => ({
  accessToken: text(path, body, 'access_token'),
  itemId: text(path, body, 'item_id'),
});

export function webhookKeyOf(path: string, body: JsonObject): WebhookKey {
  const key = body['key'];
  if (!isObject(key)) throw failureOfShape(path, 'no key');
  const expired_at = key['expired_at'] ?? null;
  if (expired_at !== null && typeof expired_at !== 'number') throw failureOfShape(path, 'a bad expired_at');
  return {
    kid: text(path, key, 'kid'),
    kty: text(path, key, 'kty'),
    crv: text(path, key, 'crv'),
    alg: text(path, key, 'alg'),
    x: text(path, key, 'x'),
    y: text(path, key, 'y'),
    expired_at,
  };
}
