import type { WireEnrichments } from '../wire.js';
import { categoryOf } from './categories.js';
import { counterpartiesOf, merchantNamed } from './merchants.js';

/** A transaction of the client's own, as `/transactions/enrich` takes it. Amounts are not negative; `direction` is their sign. */
export interface ClientTransaction {
  id: string;
  client_user_id?: string | undefined;
  client_account_id?: string | undefined;
  account_type?: string | undefined;
  account_subtype?: string | undefined;
  description: string;
  amount: number;
  direction: 'INFLOW' | 'OUTFLOW';
  iso_currency_code: string;
  location?:
    | {
        country?: string | undefined;
        region?: string | undefined;
        city?: string | undefined;
        address?: string | undefined;
        postal_code?: string | undefined;
      }
    | undefined;
}

/** What the catalogue of merchants has to say about a transaction's text. A store is what stands as `#1234` behind the name. */
export function enrichmentOf(given: ClientTransaction): WireEnrichments {
  const merchant = merchantNamed(given.description);
  const category = categoryOf(merchant?.category ?? 'OTHER_OTHER');
  const place = given.location;
  return {
    check_number: /\bCHECK #?(\d+)/i.exec(given.description)?.[1] ?? null,
    counterparties: counterpartiesOf(merchant).map((other) => ({ ...other, phone_number: null })),
    entity_id: merchant?.entityId ?? null,
    legacy_category: category.legacyPath,
    legacy_category_id: category.legacyId,
    location: {
      address: place?.address ?? null,
      city: place?.city ?? null,
      country: place?.country ?? null,
      lat: null,
      lon: null,
      postal_code: place?.postal_code ?? null,
      region: place?.region ?? null,
      store_number: merchant ? (/#(\d+)/.exec(given.description)?.[1] ?? null) : null,
    },
    logo_url: null,
    merchant_name: merchant?.name ?? null,
    payment_channel: merchant?.channel ?? 'other',
    personal_finance_category: {
      primary: category.primary,
      detailed: category.detailed,
      confidence_level: merchant ? 'VERY_HIGH' : 'LOW',
      version: 'v2',
    },
    personal_finance_category_icon_url: category.iconUrl,
    phone_number: null,
    website: merchant?.website ?? null,
  };
}
