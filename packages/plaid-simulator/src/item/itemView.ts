import { instant } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import type { WireItem, WireItemStatus, WireItemWithConsent, WirePlaidError } from '../wire.js';
import type { World } from '../world.js';
import { consentedDataScopes, consentedProducts } from './consentedData.js';
import type { Item } from './item.js';

function errorOf(item: Item): WirePlaidError | null {
  const { failure } = item.facts;
  if (!failure) return null;
  // Of INVALID_INPUT as an answer, but an error of the Item inside one.
  const type = failure.code === 'USER_PERMISSION_REVOKED' ? 'ITEM_ERROR' : undefined;
  return new PlaidApiError(failure.code, undefined, { reason: failure.reason, type }).body();
}

function authMethodOf(item: Item): WireItem['auth_method'] {
  if (!item.hasProduct('auth')) return null;
  const deposited = item.accounts.some(({ account }) => account.verification_status !== undefined);
  return deposited ? 'AUTOMATED_MICRODEPOSITS' : 'INSTANT_AUTH';
}

/** Plaid's `item` object as product endpoints send it. */
export function itemView(world: World, item: Item): WireItem {
  const institution = world.institutions.get(item.facts.institutionId);
  const { consent, products } = item.facts;
  const supported = institution?.products ?? [];
  return {
    auth_method: authMethodOf(item),
    available_products: supported.filter((product) => !products.includes(product)),
    billed_products: products,
    consent_expiration_time:
      consent?.reason === 'INSTITUTION_TOKEN_EXPIRATION' ? instant(consent.expiresAt) : null,
    consented_products: consentedProducts(world, item),
    error: errorOf(item),
    institution_id: item.facts.institutionId,
    institution_name: institution?.name ?? null,
    item_id: item.id,
    products,
    update_type: 'background',
    webhook: item.facts.webhook ?? '',
  };
}

/** Plaid's `item` object of `/item/get`. */
export function itemGetView(world: World, item: Item): WireItemWithConsent {
  return {
    ...itemView(world, item),
    consented_data_scopes: consentedDataScopes(world, item),
    consented_use_cases: [],
    created_at: instant(item.facts.createdAt),
  };
}

export function itemStatus(item: Item): WireItemStatus {
  const { lastSuccessfulUpdate, lastFailedUpdate, lastWebhook } = item.facts;
  const iso = (at: number | null) => (at === null ? null : instant(at));
  return {
    investments: item.hasProduct('investments')
      ? {
          last_successful_update: iso(lastSuccessfulUpdate ?? item.facts.createdAt),
          last_failed_update: iso(lastFailedUpdate),
        }
      : null,
    last_webhook: lastWebhook && { sent_at: instant(lastWebhook.sentAt), code_sent: lastWebhook.code },
    transactions: item.hasProduct('transactions')
      ? { last_successful_update: iso(lastSuccessfulUpdate), last_failed_update: iso(lastFailedUpdate) }
      : null,
  };
}
