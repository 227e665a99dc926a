import { plaidId } from '../ids.js';
import type { DetailedCategory } from './categories.js';

export type Channel = 'in store' | 'online' | 'other';

/** Where money goes to or comes from in seeded data. Amounts are positive for money out, as everywhere at Plaid. */
export interface Merchant {
  /** As a bank prints it, upper case; also what rows of custom users are matched with. */
  statement: string;
  name: string;
  entityId: string;
  website: string | null;
  category: DetailedCategory;
  channel: Channel;
  /** Typical amounts, in the account's currency: from, to. */
  amount: readonly [number, number];
  weight: number;
  mcc: string;
}

/** The other side of a transaction with a merchant, as Plaid shows it; null without one: an empty list. */
export const counterpartiesOf = (merchant: Merchant | null) =>
  merchant === null
    ? []
    : [
        {
          name: merchant.name,
          entity_id: merchant.entityId,
          type: 'merchant' as const,
          website: merchant.website,
          logo_url: null,
          confidence_level: 'VERY_HIGH',
          account_numbers: null,
        },
      ];

type Line = readonly [
  name: string,
  category: DetailedCategory,
  channel: Channel,
  from: number,
  to: number,
  weight: number,
  mcc: string,
];

/** Made-up shops: a simulator must not put words about real companies into anybody's data. */
const LINES: readonly Line[] = [
  ['Kettle & Bean', 'FOOD_AND_DRINK_COFFEE', 'in store', 2.5, 14, 14, '5814'],
  ['Morning Cup', 'FOOD_AND_DRINK_COFFEE', 'in store', 3, 11, 8, '5814'],
  ['Green Basket Market', 'FOOD_AND_DRINK_GROCERIES', 'in store', 9, 160, 14, '5411'],
  ['Harvest Corner', 'FOOD_AND_DRINK_GROCERIES', 'in store', 6, 90, 9, '5411'],
  ['Burger Barn', 'FOOD_AND_DRINK_FAST_FOOD', 'in store', 6, 28, 9, '5814'],
  ['Noodle House', 'FOOD_AND_DRINK_RESTAURANT', 'in store', 12, 70, 6, '5812'],
  ['Trattoria Vecchia', 'FOOD_AND_DRINK_RESTAURANT', 'in store', 22, 140, 4, '5812'],
  ['Doorstep Meals', 'FOOD_AND_DRINK_RESTAURANT', 'online', 14, 65, 5, '5812'],
  ['Metro Transit', 'TRANSPORTATION_PUBLIC_TRANSIT', 'other', 2.75, 33, 7, '4111'],
  ['Ride Hail', 'TRANSPORTATION_TAXIS_AND_RIDE_SHARES', 'online', 5, 48, 8, '4121'],
  ['Fuel Stop', 'TRANSPORTATION_GAS', 'in store', 18, 85, 6, '5541'],
  ['Bazaar Online', 'GENERAL_MERCHANDISE_ONLINE_MARKETPLACES', 'online', 6, 240, 10, '5999'],
  ['Big Box Depot', 'GENERAL_MERCHANDISE_SUPERSTORES', 'in store', 12, 210, 6, '5310'],
  ['Pixel Works', 'GENERAL_MERCHANDISE_ELECTRONICS', 'online', 19, 900, 2, '5732'],
  ['Thread & Needle', 'GENERAL_MERCHANDISE_CLOTHING_AND_ACCESSORIES', 'in store', 15, 180, 3, '5651'],
  ['Paper Moon Books', 'GENERAL_MERCHANDISE_BOOKSTORES_AND_NEWSSTANDS', 'in store', 7, 60, 2, '5942'],
  ['Nuts and Bolts Hardware', 'HOME_IMPROVEMENT_HARDWARE', 'in store', 5, 150, 2, '5251'],
  ['Streamly', 'ENTERTAINMENT_TV_AND_MOVIES', 'online', 8.99, 19.99, 3, '4899'],
  ['Tune Cloud', 'ENTERTAINMENT_MUSIC_AND_AUDIO', 'online', 5.99, 16.99, 2, '5815'],
  ['Iron Gym', 'PERSONAL_CARE_GYMS_AND_FITNESS_CENTERS', 'other', 25, 79, 1, '7997'],
  ['Corner Pharmacy', 'MEDICAL_PHARMACIES_AND_SUPPLEMENTS', 'in store', 4, 95, 3, '5912'],
  ['City Power and Light', 'RENT_AND_UTILITIES_GAS_AND_ELECTRICITY', 'other', 40, 190, 1, '4900'],
  ['Fiberlink', 'RENT_AND_UTILITIES_INTERNET_AND_CABLE', 'online', 45, 95, 1, '4899'],
  ['Talkmore Mobile', 'RENT_AND_UTILITIES_TELEPHONE', 'online', 20, 85, 1, '4814'],
  ['Shield Insurance', 'GENERAL_SERVICES_INSURANCE', 'online', 60, 180, 1, '6300'],
  ['Blue Sky Air', 'TRAVEL_FLIGHTS', 'online', 120, 780, 1, '4511'],
  ['Harbor Inn', 'TRAVEL_LODGING', 'online', 90, 520, 1, '7011'],
];

export const MERCHANTS: readonly Merchant[] = LINES.map(
  ([name, category, channel, from, to, weight, mcc]) => ({
    statement: name.toUpperCase(),
    name,
    entityId: plaidId('merchant', name),
    website: `${name.toLowerCase().replace(/[^a-z]+/g, '-')}.example.com`,
    category,
    channel,
    amount: [from, to],
    weight,
    mcc,
  }),
);

export interface Place {
  city: string;
  region: string;
  postalCode: string;
  country: string;
  lat: number;
  lon: number;
}

export const PLACES: readonly Place[] = [
  { city: 'Seattle', region: 'WA', postalCode: '98101', country: 'US', lat: 47.6101, lon: -122.3364 },
  { city: 'Portland', region: 'OR', postalCode: '97204', country: 'US', lat: 45.5183, lon: -122.6745 },
  { city: 'Denver', region: 'CO', postalCode: '80202', country: 'US', lat: 39.7527, lon: -104.9992 },
  { city: 'Austin', region: 'TX', postalCode: '78701', country: 'US', lat: 30.2712, lon: -97.7437 },
  { city: 'Chicago', region: 'IL', postalCode: '60601', country: 'US', lat: 41.8864, lon: -87.6186 },
  { city: 'Boston', region: 'MA', postalCode: '02108', country: 'US', lat: 42.3576, lon: -71.0636 },
  { city: 'Malakoff', region: 'NY', postalCode: '14236', country: 'US', lat: 42.9001, lon: -78.8886 },
];

/** The merchant that a bank's text names, if the catalogue knows it. */
export function merchantNamed(description: string): Merchant | null {
  const text = description.toUpperCase();
  return MERCHANTS.find((merchant) => text.includes(merchant.statement)) ?? null;
}
