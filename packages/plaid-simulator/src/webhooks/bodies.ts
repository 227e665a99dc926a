import { PlaidApiError } from '../errors.js';
import { instant, DAY_MS } from '../calendar.js';
import { plaidId } from '../ids.js';
import type { Item } from '../item/item.js';
import type { WebhookFields } from './body.js';

/** Notice that Plaid gives before a connection ends. */
const NOTICE_MS = 7 * DAY_MS;

/** Types of webhooks that name no Item. */
const WITHOUT_ITEM: ReadonlySet<string> = new Set(['ASSETS', 'DASHBOARD_CONFIGURED_ALERT', 'LINK']);

export function isAboutItem(type: string): boolean {
  return !WITHOUT_ITEM.has(type);
}

/** The fields which a webhook of this type and code has at Plaid beside those that all have; for codes that bear none, nothing. */
export function defaultFields(type: string, code: string, item: Item, now: number): WebhookFields {
  const accountIds = item.openAccounts.map(({ account }) => account.account_id);
  const { status } = item.facts;
  switch (`${type}/${code}`) {
    case 'TRANSACTIONS/INITIAL_UPDATE':
    case 'TRANSACTIONS/HISTORICAL_UPDATE':
    case 'TRANSACTIONS/DEFAULT_UPDATE':
      return { error: null, new_transactions: 0 };
    case 'TRANSACTIONS/TRANSACTIONS_REMOVED':
      return { error: null, removed_transactions: [] };
    case 'TRANSACTIONS/SYNC_UPDATES_AVAILABLE':
      return {
        initial_update_complete: status !== 'NOT_READY',
        historical_update_complete: status === 'HISTORICAL_UPDATE_COMPLETE',
      };
    case 'TRANSACTIONS/RECURRING_TRANSACTIONS_UPDATE':
      return { account_ids: accountIds };
    case 'ITEM/ERROR':
      return { error: new PlaidApiError('ITEM_LOGIN_REQUIRED').body() };
    case 'ITEM/PENDING_EXPIRATION':
      return { consent_expiration_time: instant(now + NOTICE_MS) };
    case 'ITEM/PENDING_DISCONNECT':
      return { reason: 'INSTITUTION_TOKEN_EXPIRATION', disconnect_time: instant(now + NOTICE_MS) };
    case 'ITEM/USER_PERMISSION_REVOKED':
      return {
        error: new PlaidApiError('USER_PERMISSION_REVOKED', undefined, { type: 'ITEM_ERROR' }).body(),
      };
    case 'ITEM/USER_ACCOUNT_REVOKED':
      return { account_id: accountIds[0] ?? '' };
    case 'ITEM/NEW_ACCOUNTS_AVAILABLE':
      return { error: null };
    case 'ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED':
      return { error: null, new_webhook_url: item.facts.webhook };
    case 'AUTH/DEFAULT_UPDATE':
      return {
        account_ids_with_new_auth: [],
        account_ids_with_updated_auth: Object.fromEntries(
          accountIds.slice(0, 1).map((id) => [id, ['ACCOUNT_NUMBER']]),
        ),
        error: null,
      };
    case 'AUTH/AUTOMATICALLY_VERIFIED':
    case 'AUTH/VERIFICATION_EXPIRED':
      return { account_id: accountIds[0] ?? '', error: null };
    case 'AUTH/SMS_MICRODEPOSITS_VERIFICATION':
      return { account_id: accountIds[0] ?? '', status: 'MANUALLY_VERIFIED' };
    case 'IDENTITY/DEFAULT_UPDATE':
      return {
        account_ids_with_updated_identity: Object.fromEntries(
          accountIds.slice(0, 1).map((id) => [id, ['PHONES']]),
        ),
        error: null,
      };
    case 'HOLDINGS/DEFAULT_UPDATE':
      return { error: null, new_holdings: 0, updated_holdings: 0 };
    case 'INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE':
      return { error: null, new_investments_transactions: 0, cancelled_investments_transactions: 0 };
    case 'LIABILITIES/DEFAULT_UPDATE':
      return {
        error: null,
        account_ids_with_new_liabilities: [],
        account_ids_with_updated_liabilities: {},
      };
    case 'ASSETS/PRODUCT_READY':
      return { asset_report_id: plaidId('asset report', item.id), report_type: 'FULL' };
    case 'ASSETS/ERROR':
      return {
        asset_report_id: plaidId('asset report', item.id),
        error: new PlaidApiError('PRODUCT_NOT_ENABLED').body(),
      };
    default:
      return {};
  }
}
