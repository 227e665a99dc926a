import { Random } from '../random.js';
import type { WireInstitution } from '../wire.js';
import { logoOf } from './logo.js';

type Product = WireInstitution['products'][number];
type Country = WireInstitution['country_codes'][number];

/** How logging in at the institution ends: as usual, or with this Plaid error. */
type Availability = 'ok' | 'INSTITUTION_DOWN' | 'INSTITUTION_NO_LONGER_SUPPORTED';

export interface SimulatedInstitution {
  /** The id that it was asked for by: a bank may have an old one beside the present one. */
  id: string;
  /** The same under each of its ids: what its users and their data follow from. */
  bankId: string;
  name: string;
  countries: Country[];
  products: Product[];
  routingNumbers: string[];
  oauth: boolean;
  url: string;
  color: string;
  health: 'HEALTHY' | 'DEGRADED' | 'DOWN';
  availability: Availability;
  /** Tokenised account numbers: another number for each Item, and a `persistent_account_id` to know accounts by. */
  tokenizesNumbers: boolean;
}

/**
 * The bank that gives cached balances of cards only, no refresh without a depository account, a short history, and nothing of
 * payments that are not booked yet.
 */
export const CAPITAL_ONE = 'ins_128026';
const CAPITAL_ONE_DAYS = 90;

/** How many days of history a bank gives when so many are asked for. */
export function daysGiven(bankId: string, asked: number): number {
  return bankId === CAPITAL_ONE ? Math.min(asked, CAPITAL_ONE_DAYS) : asked;
}

/** Does the bank report payments that are pending? */
export function hasPendingFeed(bankId: string): boolean {
  return bankId !== CAPITAL_ONE;
}

/** The one bank whose tokenised numbers outlive their revocation. */
export const US_BANK = 'ins_127990';

const US_PRODUCTS: Product[] = [
  ...(['assets', 'auth', 'balance', 'identity', 'investments', 'liabilities'] as const),
  ...(['signal', 'statements', 'transactions'] as const),
];
const EUROPE_PRODUCTS: Product[] = ['auth', 'balance', 'identity', 'transactions'];

type Known = readonly [id: string, name: string, extra?: Partial<SimulatedInstitution>];

const BRITISH_OAUTH: Partial<SimulatedInstitution> = {
  countries: ['GB'],
  products: EUROPE_PRODUCTS,
  oauth: true,
};

/**
 * The institutions of Plaid's sandbox, the banks that give out tokenised account numbers, and those that the test suites of Plaid's
 * client libraries ask for (`ins_12`, both routing numbers of Bank of America, four British ones with OAuth).
 */
const KNOWN: readonly Known[] = [
  ['ins_109508', 'First Platypus Bank', { routingNumbers: ['011401533', '021000021'] }],
  ['ins_109509', 'First Gingham Credit Union'],
  ['ins_109510', 'Tattersall Federal Credit Union'],
  ['ins_109511', 'Tartan Bank'],
  ['ins_109512', 'Houndstooth Bank', { routingNumbers: ['021000021'] }],
  ['ins_130016', 'First Platypus Balance Bank'],
  ['ins_43', 'Tartan-Dominion Bank of Canada', { countries: ['CA'] }],
  ['ins_116834', 'First Platypus Bank (UK)', { countries: ['GB'], products: EUROPE_PRODUCTS }],
  ['ins_117650', 'Royal Bank of Plaid', BRITISH_OAUTH],
  ['ins_127287', 'Platypus OAuth Bank', { oauth: true, tokenizesNumbers: true }],
  ['ins_132241', 'First Platypus OAuth App2App Bank', { oauth: true }],
  ['ins_117181', 'Flexible Platypus Open Banking (QR Code)', BRITISH_OAUTH],
  ['ins_135858', 'Windowpane Bank'],
  ['ins_132363', 'Pluto Bank (degraded)', { health: 'DEGRADED' }],
  ['ins_132361', 'Unhealthy Platypus Bank (down)', { health: 'DOWN', availability: 'INSTITUTION_DOWN' }],
  ['ins_133402', 'Unsupported Platypus Bank', { availability: 'INSTITUTION_NO_LONGER_SUPPORTED' }],
  ['ins_56', 'Chase', { oauth: true, tokenizesNumbers: true, routingNumbers: ['021000021', '322271627'] }],
  ['ins_13', 'PNC', { oauth: true, tokenizesNumbers: true, routingNumbers: ['043000096'] }],
  [US_BANK, 'US Bank', { oauth: true, tokenizesNumbers: true, routingNumbers: ['091000022'] }],
  [CAPITAL_ONE, 'Capital One', { oauth: true, routingNumbers: ['031176110'] }],
  ['ins_127989', 'Bank of America', { oauth: true, routingNumbers: ['021200339', '052001633'] }],
  ['ins_12', 'Fidelity'],
  ['ins_190001', 'Thistle and Rose Bank', BRITISH_OAUTH],
  ['ins_190002', 'Leek and Daffodil Building Society', BRITISH_OAUTH],
];

const FIRST_WORDS = [
  'Amber',
  'Birch',
  'Cedar',
  'Delta',
  'Elm',
  'Fern',
  'Granite',
  'Harbor',
  'Iris',
  'Juniper',
];
const SECOND_WORDS = [
  'Ridge',
  'Valley',
  'River',
  'Prairie',
  'Summit',
  'Lake',
  'Meadow',
  'Coast',
  'Forest',
  'Plains',
];
const LAST_WORDS = [
  'Bank',
  'Credit Union',
  'Savings Bank',
  'Federal Credit Union',
  'Community Bank',
  'Trust',
];

function colorOf(random: Random): string {
  return `#${[0, 1, 2].map(() => random.integer(20, 200).toString(16).padStart(2, '0')).join('')}`;
}

/** What Plaid says of a British institution's payments. */
const BRITISH_PAYMENTS: NonNullable<WireInstitution['payment_initiation_metadata']> = {
  supports_international_payments: false,
  supports_sepa_instant: false,
  maximum_payment_amount: { GBP: '20000' },
  supports_refund_details: true,
  standing_order_metadata: null,
  supports_payment_consents: false,
};

/** An institution that takes no new Items is found by its id only. */
export function takesNewItems(institution: SimulatedInstitution): boolean {
  return institution.availability !== 'INSTITUTION_NO_LONGER_SUPPORTED';
}

/** All institutions of a world: Plaid's known ones first, then seeded ones up to `count`. */
export class InstitutionCatalogue {
  /** Those that Plaid lists: a bank under its present id only. */
  all: readonly SimulatedInstitution[];
  private readonly byId: Map<string, SimulatedInstitution>;
  /** Present ids by old ones. */
  private readonly renewed = new Map<string, string>();
  private readonly logos = new Map<string, string>();

  constructor(seed: string, count: number) {
    const list = KNOWN.map(([id, name, extra]): SimulatedInstitution => {
      const random = new Random(seed, 'institution', id);
      return {
        id,
        bankId: id,
        name,
        countries: ['US'],
        products: US_PRODUCTS,
        routingNumbers: [],
        oauth: false,
        url: `https://${id.replace('_', '-')}.example.com`,
        color: colorOf(random),
        health: 'HEALTHY',
        availability: 'ok',
        tokenizesNumbers: false,
        ...extra,
      };
    });
    for (let n = list.length; n < count; n += 1) {
      const id = `ins_${200_000 + n}`;
      const random = new Random(seed, 'institution', id);
      const canadian = random.chance(0.04);
      list.push({
        id,
        bankId: id,
        name: `${random.pick(FIRST_WORDS)} ${random.pick(SECOND_WORDS)} ${random.pick(LAST_WORDS)} ${n}`,
        countries: [canadian ? 'CA' : 'US'],
        products: US_PRODUCTS,
        routingNumbers: canadian ? [] : [`0${random.digits(8)}`],
        oauth: random.chance(0.2),
        url: `https://${id.replace('_', '-')}.example.com`,
        color: colorOf(random),
        health: random.chance(0.03) ? 'DEGRADED' : 'HEALTHY',
        availability: 'ok',
        tokenizesNumbers: false,
      });
    }
    this.all = list;
    this.byId = new Map(list.map((institution) => [institution.id, institution]));
  }

  /** A bank by any of its ids, under the id that was asked for. */
  get(id: string): SimulatedInstitution | undefined {
    return this.byId.get(id);
  }

  /** A bank by any of its ids, under the one that Plaid knows it by now. */
  present(id: string): SimulatedInstitution | undefined {
    let present = id;
    for (let next = this.renewed.get(present); next !== undefined; next = this.renewed.get(present)) {
      present = next;
    }
    return this.byId.get(present);
  }

  /**
   * One bank has two ids: asked for by `old` it is answered under `present`. One of the two must be a bank's, and the other nobody's;
   * `false` when it is not so.
   */
  rename(old: string, present: string): boolean {
    const [before, after] = [this.byId.get(old), this.byId.get(present)];
    if (before && !after) {
      // What was this bank's id until now lives on for the Items that were made under it.
      const moved = { ...before, id: present };
      this.byId.set(present, moved);
      this.all = this.all.map((institution) => (institution === before ? moved : institution));
    } else if (after && !before) this.byId.set(old, { ...after, id: old });
    else return false;
    this.renewed.set(old, present);
    return true;
  }

  /** The ids that were given up, each with the one that took its place, in the order in which that happened. */
  renames(): [old: string, present: string][] {
    return [...this.renewed];
  }

  /** Plaid's object. Without `optionalMetadata` its three keys are absent, not null. */
  wire(
    institution: SimulatedInstitution,
    include: { optionalMetadata: boolean; status: boolean; authMetadata: boolean; paymentMetadata: boolean },
    at: string,
  ): WireInstitution {
    return {
      connection_availability: takesNewItems(institution) ? 'SUPPORTED' : 'NOT_SUPPORTED',
      country_codes: institution.countries,
      dtc_numbers: [],
      institution_id: institution.id,
      name: institution.name,
      oauth: institution.oauth,
      products: institution.products,
      routing_numbers: institution.routingNumbers,
      ...(include.optionalMetadata
        ? { url: institution.url, primary_color: institution.color, logo: this.logo(institution) }
        : {}),
      ...(include.authMetadata
        ? {
            auth_metadata: {
              supported_methods: {
                instant_auth: institution.products.includes('auth'),
                instant_match: false,
                automated_micro_deposits: false,
                instant_micro_deposits: false,
              },
            },
          }
        : {}),
      ...(include.paymentMetadata
        ? { payment_initiation_metadata: institution.countries.includes('GB') ? BRITISH_PAYMENTS : null }
        : {}),
      ...(include.status ? { status: this.status(institution, at) } : {}),
    };
  }

  private logo(institution: SimulatedInstitution): string {
    const known = this.logos.get(institution.id);
    if (known !== undefined) return known;
    const logo = logoOf(institution.color);
    this.logos.set(institution.id, logo);
    return logo;
  }

  private status(institution: SimulatedInstitution, at: string): NonNullable<WireInstitution['status']> {
    const success = { HEALTHY: 0.98, DEGRADED: 0.62, DOWN: 0 }[institution.health];
    const product = {
      status: institution.health,
      last_status_change: at,
      breakdown: { success, error_plaid: 0.01, error_institution: Number((0.99 - success).toFixed(2)) },
    };
    const updates = {
      ...product,
      breakdown: {
        ...product.breakdown,
        refresh_interval: ({ HEALTHY: 'NORMAL', DEGRADED: 'DELAYED', DOWN: 'STOPPED' } as const)[
          institution.health
        ],
      },
    };
    return {
      item_logins: product,
      transactions_updates: updates,
      auth: product,
      identity: product,
      health_incidents: [],
    };
  }
}
