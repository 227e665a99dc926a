import type {
  PlaidAccount,
  PlaidInstitution,
  PlaidItemView,
  PlaidNumbers,
  PlaidRemovedTransaction,
  PlaidSyncPage,
  PlaidTransaction,
} from '../../domain/plaid.js';
import { Failure } from '../../domain/failures.js';
import { instantOf } from '../../domain/instants.js';
import { refusalOfId } from '../../domain/mining/recordId.js';
import type { InstitutionList } from '../../domain/ports/plaid.js';
import type { WebhookKey } from '../../domain/ports/webhookKeys.js';
import { isObject } from '../../domain/mining/oddValues.js';
import { isCode } from '../../domain/plaidErrors.js';
import type { JsonObject } from '../../domain/mining/oddValues.js';
import { failureOfShape } from './plaidFailures.js';

/** Characters (not UTF-16 units) of an id or a name: what an index takes, whatever they are made of. */
const longestText = 256;

/**
 * Readers of Plaid's answers. They check what the program cannot go on without and nothing else: fields and enum values that are
 * new pass through untouched, and so do entries of lists that are of an odd shape, which whoever keeps them parks alone. What
 * does not fit is UPSTREAM_DOWN, since a proxy or a cut connection is the likely cause.
 */
const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0;

/** A short text for people or an id: null when it is none, or none that the database takes. */
const orNull = (value: unknown): string | null =>
  isText(value) && [...value].length <= longestText && !value.includes('\u0000') ? value : null;

function text(path: string, body: JsonObject, field: string): string {
  const value = body[field];
  if (!isText(value)) throw failureOfShape(path, `no ${field}`);
  return value;
}

/**
 * The entries of a list, as they came. A list that is null or left out is an empty one; something else in its place is an entry
 * that is no such thing.
 */
const entriesOf = (value: unknown): unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : value === null || value === undefined ? [] : [value];

/**
 * The entries of a list of all accounts. One that is null counts as an entry that is no account: what is not listed is closed,
 * and a list that was not given says that of nothing.
 */
export function accountsOf(path: string, body: JsonObject): PlaidAccount[] {
  const { accounts } = body;
  if (accounts === undefined) throw failureOfShape(path, 'no accounts');
  return (Array.isArray(accounts) ? accounts : [accounts]) as PlaidAccount[];
}

/**
 * What of a list can be handed on to a client as Plaid's objects. One that is no list says nothing: a client would take an empty one
 * for Plaid's word that there is nothing.
 */
export function objectsOf(path: string, body: JsonObject, field: string): JsonObject[] {
  const list = body[field];
  if (!Array.isArray(list)) throw failureOfShape(path, `no list of ${field}`);
  return (list as unknown[]).filter(isObject);
}

/** An answer that says nothing but that it was done is one of Plaid's when it has the id of the request: any other object is somebody else's. */
export function checkDone(path: string, body: JsonObject): void {
  text(path, body, 'request_id');
}

export const requestIdOf = (path: string, body: JsonObject): string => text(path, body, 'request_id');

const isInstitution = (entry: unknown): entry is PlaidInstitution =>
  isObject(entry) && orNull(entry['institution_id']) !== null && orNull(entry['name']) !== null;

export function institutionOf(path: string, body: JsonObject): PlaidInstitution {
  const { institution } = body;
  if (!isInstitution(institution)) throw failureOfShape(path, 'no institution');
  return institution;
}

/** A page of the list. An entry without id or name can be neither kept nor shown: it is counted and left out. */
export function institutionsOf(path: string, body: JsonObject): InstitutionList {
  const { total } = body;
  if (typeof total !== 'number') throw failureOfShape(path, 'no total');
  const listed = entriesOf(body['institutions']);
  const nameless = listed.flatMap((entry) =>
    isObject(entry) && !isInstitution(entry) ? (orNull(entry['institution_id']) ?? []) : [],
  );
  return { institutions: listed.filter(isInstitution), nameless, listed: listed.length, total };
}

export function syncPageOf(path: string, body: JsonObject, cursor: string): PlaidSyncPage {
  // Without one the same is asked again, and answered by nothing new.
  const next_cursor = body['next_cursor'] ?? cursor;
  if (typeof next_cursor !== 'string') throw failureOfShape(path, 'no next_cursor');
  const lists = {
    added: entriesOf(body['added']),
    modified: entriesOf(body['modified']),
    removed: entriesOf(body['removed']),
  };
  const isEmpty = Object.values(lists).every(({ length }) => length === 0);
  // Where it is null the next page tells: one that brings nothing is the last.
  const has_more = body['has_more'] === null ? !isEmpty && next_cursor !== cursor : body['has_more'];
  if (typeof has_more !== 'boolean') throw failureOfShape(path, 'no has_more');
  // Asked with the same cursor again the same page would come for ever.
  if (has_more && (next_cursor === '' || next_cursor === cursor)) {
    throw failureOfShape(path, 'more pages, but a cursor that leads nowhere');
  }
  return {
    added: lists.added as PlaidTransaction[],
    modified: lists.modified as PlaidTransaction[],
    removed: lists.removed as PlaidRemovedTransaction[],
    accounts: entriesOf(body['accounts']) as PlaidAccount[],
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
  return { transactions: entriesOf(body['transactions']) as PlaidTransaction[], total };
}

/** An error of which nothing is told is none; one of a shape that nobody knows is one of a code that nobody knows, and so an outage. */
function itemErrorOf(error: unknown): PlaidItemView['error'] {
  if (error === null || error === undefined) return null;
  if (!isObject(error)) return { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' };
  const { error_type, error_code } = error;
  if ((error_type ?? error_code ?? null) === null) return null;
  const type = isCode(error_type) ? error_type : 'ITEM_ERROR';
  return { error_type: type, error_code: isCode(error_code) ? error_code : type };
}

export function itemOf(path: string, body: JsonObject): PlaidItemView {
  const item = body['item'];
  if (!isObject(item)) throw failureOfShape(path, 'no item');
  const status = isObject(body['status']) ? body['status'] : {};
  const transactions = isObject(status['transactions']) ? status['transactions'] : {};
  return {
    institution_id: orNull(item['institution_id']),
    institution_name: orNull(item['institution_name']),
    // However long: it is compared, and not kept.
    webhook: isText(item['webhook']) ? item['webhook'] : null,
    error: itemErrorOf(item['error']),
    consent_expiration_time: instantOf(item['consent_expiration_time']),
    last_successful_update: orNull(transactions['last_successful_update']),
  };
}

const forms = ['ach', 'eft', 'international', 'bacs'] as const;
const isNumber = (
  form: (typeof forms)[number],
  entry: unknown,
): entry is JsonObject & { account_id: string } =>
  isObject(entry) &&
  refusalOfId(entry['account_id']) === null &&
  isText(entry[form === 'international' ? 'iban' : 'account']);

/**
 * One entry per account that has a number of any form; an account may have several. An entry that names no account, or no number, is
 * nobody's; with one, or without one of the lists, the answer is not whole.
 */
export function numbersOf(path: string, body: JsonObject): { numbers: PlaidNumbers[]; isWhole: boolean } {
  const numbers = body['numbers'];
  if (!isObject(numbers)) throw failureOfShape(path, 'no numbers');
  // Not the word that there are none: what was read before stays.
  if (!forms.some((form) => Array.isArray(numbers[form]))) {
    throw new Failure('NOT_READY', `Plaid ${path}: numbers of no form`);
  }
  const found = new Map<string, PlaidNumbers>();
  let isWhole = true;
  for (const form of forms) {
    isWhole &&= Array.isArray(numbers[form]);
    for (const entry of entriesOf(numbers[form])) {
      if (!isNumber(form, entry)) {
        isWhole = false;
        continue;
      }
      const account_id = entry.account_id;
      const known = found.get(account_id) ?? { account_id, ach: [], eft: [], international: [], bacs: [] };
      known[form].push(entry);
      found.set(account_id, known);
    }
  }
  return { numbers: [...found.values()], isWhole };
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
