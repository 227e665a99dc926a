import { itemWebhooks } from './itemFacts.js';
import type { WebhookKind } from './webhookKind.js';

export interface ReadWebhook {
  webhook_type: string | null;
  webhook_code: string | null;
  item_id: string | null;
  /** The item workflow's part in it, or null when there is none. */
  kind: WebhookKind | null;
  /** Transaction ids that TRANSACTIONS_REMOVED names. */
  removed_ids: string[];
  /** Why nothing is done, when `kind` is null. */
  ignored: 'malformed_body' | 'no_item_id' | 'logged_only' | 'not_handled' | null;
}

const kinds: Readonly<Record<string, WebhookKind>> = {
  'TRANSACTIONS/INITIAL_UPDATE': 'update',
  'TRANSACTIONS/DEFAULT_UPDATE': 'update',
  'TRANSACTIONS/SYNC_UPDATES_AVAILABLE': 'update',
  'TRANSACTIONS/HISTORICAL_UPDATE': 'history',
  'TRANSACTIONS/TRANSACTIONS_REMOVED': 'removals',
  // Plaid has read the bank for another product: the accounts' balances are newer, too.
  'HOLDINGS/DEFAULT_UPDATE': 'update',
  'INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE': 'update',
  'INVESTMENTS_TRANSACTIONS/HISTORICAL_UPDATE': 'update',
  'LIABILITIES/DEFAULT_UPDATE': 'update',
  ...itemWebhooks,
};

const loggedOnly: ReadonlySet<string> = new Set(['ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED']);

// PostgreSQL's text takes no NUL, and no name or id of Plaid's holds one. 256 characters, as everywhere: not UTF-16 units.
const shape = /^[^\u0000]{1,256}$/u;
const text = (value: unknown): string | null =>
  typeof value === 'string' && shape.test(value) ? value : null;

/** Reads a verified body. Total: any JSON value, and text that is no JSON, has an answer. */
export function readWebhook(body: string): ReadWebhook {
  const nothing: ReadWebhook = {
    webhook_type: null,
    webhook_code: null,
    item_id: null,
    kind: null,
    removed_ids: [],
    ignored: 'malformed_body',
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return nothing;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return nothing;
  const fields = parsed as Record<string, unknown>;
  const webhook_type = text(fields['webhook_type']);
  const webhook_code = text(fields['webhook_code']);
  const item_id = text(fields['item_id']);
  const read = { ...nothing, webhook_type, webhook_code, item_id };
  if (webhook_type === null || webhook_code === null) return read;
  const name = `${webhook_type}/${webhook_code}`;
  const kind = Object.hasOwn(kinds, name) ? (kinds[name] ?? null) : null;
  if (kind === null) return { ...read, ignored: loggedOnly.has(name) ? 'logged_only' : 'not_handled' };
  if (item_id === null) return { ...read, ignored: 'no_item_id' };
  const removed = fields['removed_transactions'];
  const removed_ids =
    kind === 'removals' && Array.isArray(removed)
      ? removed.filter((id): id is string => text(id) !== null)
      : [];
  return { ...read, kind, removed_ids, ignored: null };
}
