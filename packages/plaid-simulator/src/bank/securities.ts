import { plaidId } from '../ids.js';
import type { WireSecurity } from '../wire.js';

/** How a custom user's file names a security. */
export interface GivenSecurity {
  isin?: string | undefined;
  cusip?: string | undefined;
  sedol?: string | undefined;
  name?: string | undefined;
  ticker_symbol?: string | undefined;
  currency?: string | undefined;
}

interface Listed {
  name: string;
  type: string;
  subtype: string;
  price: number;
  cash?: true;
  sector?: string;
  industry?: string;
  fixedIncome?: NonNullable<WireSecurity['fixed_income']>;
}

export const CASH = 'CUR:USD';

/** What is traded in this world, by ticker. Prices are in US dollars. */
const LISTED: Readonly<Record<string, Listed>> = {
  [CASH]: { name: 'U S Dollar', type: 'cash', subtype: 'cash', price: 1, cash: true },
  KTTL: {
    ...{ name: 'Kettle & Bean Holdings Inc.', type: 'equity', subtype: 'common stock', price: 42.1 },
    ...{ sector: 'Consumer Services', industry: 'Restaurants' },
  },
  HRBR: {
    ...{ name: 'Harbor Light Energy Corp.', type: 'equity', subtype: 'common stock', price: 18.45 },
    ...{ sector: 'Utilities', industry: 'Electric Utilities' },
  },
  GRNTX: { name: 'Granite 500 Index Fund', type: 'mutual fund', subtype: 'mutual fund', price: 112.37 },
  CDRB: { name: 'Cedar Total Bond ETF', type: 'etf', subtype: 'etf', price: 71.02 },
  JNPR27: {
    ...{
      name: 'Juniper Water District 4.25% 2037',
      type: 'fixed income',
      subtype: 'municipal bond',
      price: 98.6,
    },
    fixedIncome: {
      yield_rate: { percentage: 4.25, type: 'coupon' },
      maturity_date: '2037-06-15',
      issue_date: '2017-06-15',
      face_value: 100,
    },
  },
};

/** What accounts hold that nothing else is said of. */
export const HELD: readonly string[] = Object.keys(LISTED).filter((ticker) => ticker !== CASH);

/** What a security is known by. */
export function keyOf({ ticker_symbol, isin, cusip, sedol, name }: GivenSecurity): string {
  return ticker_symbol ?? isin ?? cusip ?? sedol ?? name ?? 'unknown';
}

/** A security's last price; `null` where this world does not trade it. */
export function listedPrice(key: string): number | null {
  return LISTED[key]?.price ?? null;
}

const OPTION = /^([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})$/;
const CURRENCY = /^CUR:([A-Z]{3,5})$/;

/** What a ticker says of a security that this world does not list: an option (OCC's form), a currency, else a share. */
function unlisted(key: string): Pick<WireSecurity, 'type' | 'subtype' | 'option_contract'> {
  const [, underlying = '', year = '', month = '', day = '', side = '', strike = ''] = OPTION.exec(key) ?? [];
  if (underlying !== '') {
    return {
      type: 'derivative',
      subtype: 'option',
      option_contract: {
        contract_type: side === 'C' ? 'call' : 'put',
        expiration_date: `20${year}-${month}-${day}`,
        strike_price: Number(strike) / 1000,
        underlying_security_ticker: underlying,
      },
    };
  }
  if (CURRENCY.test(key)) return { type: 'cryptocurrency', subtype: 'cryptocurrency', option_contract: null };
  return { type: 'equity', subtype: 'common stock', option_contract: null };
}

/** Plaid's object. Who holds a security makes no difference: its id follows from the world's seed and what it is known by. */
export function securityView(
  seed: string,
  key: string,
  given: GivenSecurity,
  price: number | null,
  day: string,
): WireSecurity {
  const listed = LISTED[key];
  const kind = listed ? { type: listed.type, subtype: listed.subtype, option_contract: null } : unlisted(key);
  return {
    security_id: plaidId(seed, 'security', key),
    isin: given.isin ?? null,
    cusip: given.cusip ?? null,
    sedol: given.sedol ?? null,
    institution_security_id: null,
    institution_id: null,
    proxy_security_id: null,
    name: given.name ?? listed?.name ?? key,
    ticker_symbol: listed ? key : (given.ticker_symbol ?? null),
    is_cash_equivalent: listed?.cash ?? false,
    ...kind,
    close_price: price ?? listed?.price ?? null,
    close_price_as_of: day,
    update_datetime: null,
    iso_currency_code: given.currency ?? 'USD',
    unofficial_currency_code: null,
    market_identifier_code: kind.type === 'equity' ? 'XNAS' : null,
    sector: listed?.sector ?? null,
    industry: listed?.industry ?? null,
    cfi_code: null,
    figi: null,
    fixed_income: listed?.fixedIncome ?? null,
  };
}
