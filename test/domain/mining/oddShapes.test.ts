import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { dataSchema } from '../../../domain/mining/events.js';
import { minedPage } from '../../../domain/mining/page.js';
import type { RefinedTransaction } from '../../../domain/mining/refine.js';
import { refineAccount, refineTransaction } from '../../../domain/mining/refine.js';
import type { PlaidAccount, PlaidSyncPage, PlaidTransaction } from '../../../domain/plaid.js';
import { account as accountOf } from '../../activities/fakePlaid.js';
import { distorted, oddValue, plaidAccount, plaidTransaction } from './plaidObjects.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const readJson = (file: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(root, file), 'utf8')) as Record<string, unknown>;
const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
const files = readdirSync(path.join(root, 'schemas')).filter((name) => name.endsWith('.json'));
for (const file of files) ajv.addSchema(readJson(`schemas/${file}`));
ajv.addSchema(readJson('docs/openapi.json'), 'openapi');

/** What is wrong with a value by one of our schemas; empty = nothing. */
function errorsOf(id: string, value: unknown): string[] {
  const validate = ajv.getSchema(id);
  if (validate === undefined) throw new Error(`no schema ${id}`);
  if (validate(value)) return [];
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}

/** The errors of a refined record by OpenAPI and by the schema of the streams, as it leaves: numbered, through JSON. */
function errorsOfRefined(record: 'transaction' | 'account', refined: object, removed = false): string[] {
  const leaves: unknown = JSON.parse(JSON.stringify({ ...refined, version: 1 }));
  return [
    ...errorsOf(dataSchema(record, 'refined', removed), leaves),
    ...errorsOf(`openapi#/components/schemas/${record === 'account' ? 'Account' : 'Transaction'}`, leaves),
  ];
}

const owner = { item_id: 'item1', user_id: 'user1', institution_id: 'ins_1' };
const circumstances = { ...owner, status: 'open', is_main: true, as_of: '2026-11-21T10:00:00.000Z' } as const;
const row: PlaidTransaction = {
  transaction_id: 'tx1',
  account_id: 'acc1',
  amount: 5,
  iso_currency_code: 'USD',
  unofficial_currency_code: null,
  date: '2026-11-01',
  pending: false,
};
const account = accountOf('acc1');
/** A value in the place of another, whatever its type. */
const instead = <T extends object>(of: T, field: string, value: unknown): T => ({ ...of, [field]: value });

const pageWith = (rows: Partial<Record<'added' | 'modified' | 'removed', unknown>>): PlaidSyncPage =>
  ({
    added: [],
    modified: [],
    removed: [],
    accounts: [],
    next_cursor: 'c1',
    has_more: false,
    transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
    ...rows,
  }) as PlaidSyncPage;

describe('a transaction of an odd shape is what our schemas promise', () => {
  it.each<[string, string, unknown, Partial<RefinedTransaction>]>([
    ['a category as a text', 'personal_finance_category', 'FOOD_AND_DRINK', { category: null }],
    [
      'a category without its primary part',
      'personal_finance_category',
      { primary: null, detailed: 'FOOD_AND_DRINK_COFFEE', confidence_level: 'HIGH' },
      { category: null },
    ],
    [
      'a confidence that is a number',
      'personal_finance_category',
      { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence_level: 0.5 },
      { category: { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence: '0.5' } },
    ],
    ['a check number that is one', 'check_number', 1234, { check_number: '1234' }],
    ['a large check number', 'check_number', 1e21, { check_number: '1000000000000000000000' }],
    ['a check number that is a list', 'check_number', ['1'], { check_number: null }],
    ['an authorized date that is none', 'authorized_date', '0000-00-00', { authorized_date: null }],
    ['an authorized date with a time', 'authorized_date', '2026-11-01T00:00:00Z', { authorized_date: null }],
    ['a time that is none', 'datetime', 'yesterday', { datetime: null }],
    ['a time without a zone', 'datetime', '2026-11-01T10:00:00', { datetime: null }],
    ['a time of no day', 'authorized_datetime', '2026-02-31T10:00:00Z', { authorized_datetime: null }],
    [
      'a time with a zone and parts of a second',
      'datetime',
      '2026-11-01T10:00:00.25+02:00',
      { datetime: '2026-11-01T10:00:00.25+02:00' },
    ],
    ['a location that is a list', 'location', [], { location: null }],
    ['a location that is a text', 'location', 'here', { location: null }],
    ['pending as a text', 'pending', 'false', { status: 'posted' }],
    ['an empty currency', 'iso_currency_code', '', { currency: null }],
    ['a currency that is an object', 'iso_currency_code', {}, { currency: null }],
    ['an empty id of what it replaces', 'pending_transaction_id', '', { replaces: null }],
    ['an id of what it replaces that is true', 'pending_transaction_id', true, { replaces: null }],
    ["a bank's description that is an object", 'original_description', {}, { description: 'Coffee' }],
    ['a merchant that is an object', 'merchant_name', { name: 'Coffee' }, {}],
    ['a website that is a list', 'website', ['https://example.test'], {}],
    ['a channel that is a number', 'payment_channel', 7, { channel: '7' }],
  ])('%s', (_name, field, value, expected) => {
    const refined = refineTransaction(instead({ ...row, name: 'Coffee' }, field, value), owner);
    expect(refined).toMatchObject(expected);
    expect(errorsOfRefined('transaction', refined)).toEqual([]);
  });

  it('whatever stands in whatever field, and what cannot be kept is parked alone as it came', () => {
    const given = distorted(plaidTransaction);
    const lists = fc.record({
      added: fc.array(given, { maxLength: 4 }),
      modified: fc.array(given, { maxLength: 4 }),
      removed: fc.array(fc.oneof(given, oddValue), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(lists, (rows) => {
        const page = minedPage('c0', pageWith(rows), owner);
        const sent: unknown[] = [...rows.added, ...rows.modified, ...rows.removed];
        for (const { raw, refine } of page.transactions) {
          // The very object: nothing of it was changed on the way.
          expect(sent).toContain(raw);
          const refined = refine();
          expect(errorsOfRefined('transaction', refined)).toEqual([]);
          expect(errorsOfRefined('transaction', { ...refined, status: 'removed' }, true)).toEqual([]);
        }
        for (const { transaction_id, account_id } of page.removed) {
          expect(transaction_id).not.toBe('');
          const gone = { transaction_id, account_id };
          expect(errorsOf(dataSchema('transaction', 'raw', true), gone)).toEqual([]);
        }
        const live = new Set(page.transactions.map(({ raw }) => raw.transaction_id));
        const gone = new Set(page.removed.map(({ transaction_id }) => transaction_id));
        const unreadable = page.parked.map(({ raw }) => raw);
        for (const one of [...rows.added, ...rows.modified]) {
          const id = (one as Partial<PlaidTransaction> | null)?.transaction_id ?? '';
          expect(live.has(id) || gone.has(id) || unreadable.some((raw) => Object.is(raw, one))).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a row that nests deeper than the database follows is parked, without what is too deep', () => {
    let deep: unknown = 'at the bottom';
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    const page = minedPage(
      '',
      pageWith({ added: [row, instead({ ...row, transaction_id: 'deep' }, 'x', deep)] }),
      owner,
    );
    expect(page.transactions.map(({ raw }) => raw)).toEqual([row]);
    expect(page.parked).toMatchObject([{ key: 'deep', reason: 'too_deep' }]);
    expect(JSON.stringify(page.parked[0]?.raw)).toContain('"transaction_id":"deep"');
  });
});

describe('an account of an odd shape is what our schemas promise', () => {
  it.each<[string, string, unknown, object]>([
    ['no name', 'name', null, { name: null }],
    ['a name that is a number', 'name', 5, { name: '5' }],
    ['no type', 'type', null, { type: null }],
    ['an empty type', 'type', '', { type: null }],
    ['a subtype that is a list', 'subtype', [], { subtype: null }],
    ['a mask that is a number', 'mask', 1234, { mask: '1234' }],
    ['no balances', 'balances', undefined, { balances: { available: null, current: null, currency: null } }],
    ['balances that are null', 'balances', null, { balances: { current: null } }],
    ['balances that are a list', 'balances', [1], { balances: { current: null } }],
    ['a balance as a text', 'balances', { current: '12.50' }, { balances: { current: '12.50' } }],
    ['a balance that is none', 'balances', { current: 'much' }, { balances: { current: null } }],
    ['a currency that is an object', 'balances', { iso_currency_code: {} }, { balances: { currency: null } }],
    ['an empty persistent id', 'persistent_account_id', '', { persistent_id: null }],
    ['a holder that is an object', 'holder_category', {}, { holder_category: null }],
  ])('%s', (_name, field, value, expected) => {
    const refined = refineAccount(instead(account, field, value), circumstances);
    expect(refined).toMatchObject(expected);
    expect(errorsOfRefined('account', refined)).toEqual([]);
  });

  it('whatever stands in whatever field', () => {
    fc.assert(
      fc.property(distorted(plaidAccount, ['account_id']), (raw) => {
        const refined = refineAccount(raw as PlaidAccount, circumstances);
        expect(errorsOfRefined('account', refined)).toEqual([]);
        expect(errorsOfRefined('account', { ...refined, status: 'closed' }, true)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});
