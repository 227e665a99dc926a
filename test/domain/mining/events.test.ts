import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import type { Form, OutboxRow, RecordKind } from '../../../domain/mining/events.js';
import { cloudEvent, dataSchema, eventType, streamNames, streamOf } from '../../../domain/mining/events.js';
import { refineAccount, refineTransaction } from '../../../domain/mining/refine.js';
import { owner, plaidAccount, plaidTransaction } from './plaidObjects.js';

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../../schemas');
// What applications are told of has a folder of its own there.
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const schemas = files.map((file) => ({
  file,
  schema: JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { $id: string; $schema: string },
}));
const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
formats.default(ajv);
for (const { schema } of schemas) ajv.addSchema(schema);

const records: RecordKind[] = ['transaction', 'account'];
const forms: Form[] = ['raw', 'refined'];
const as_of = '2026-11-21T10:00:00.000Z';

/** The errors of a value against one of our schemas; empty = valid. */
function errorsOf(id: string, value: unknown): string[] {
  const validate = ajv.getSchema(id);
  if (validate === undefined) throw new Error(`no schema ${id}`);
  if (validate(value)) return [];
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}

const head = fc.record({
  id: fc.uuid(),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  time: fc
    .date({ min: new Date('2020-01-01'), max: new Date('2099-01-01'), noInvalidDate: true })
    .map((at) => at.toISOString()),
  version: fc.integer({ min: 1, max: 1_000_000 }),
});

const transactionRow: fc.Arbitrary<OutboxRow> = fc
  .tuple(head, owner, plaidTransaction, fc.constantFrom('live', 'removed', 'tombstone'))
  .map(([{ version, ...row }, of, raw, state]) => {
    const refined = refineTransaction(raw, of);
    const ids = { id: refined.id, item_id: of.item_id, user_id: of.user_id, account_id: refined.account_id };
    const removed = { ...refined, status: 'removed' };
    // A removal that came before its row: only the ids are known.
    const unseen = {
      ...Object.fromEntries(Object.keys(refined).map((key) => [key, null])),
      ...ids,
      status: 'removed',
    };
    return {
      ...row,
      item_id: of.item_id,
      user_id: of.user_id,
      record: 'transaction',
      removed: state !== 'live',
      subject: raw.transaction_id,
      raw: JSON.stringify(
        state === 'live' ? raw : { transaction_id: raw.transaction_id, account_id: raw.account_id },
      ),
      refined: JSON.stringify({
        ...(state === 'live' ? refined : state === 'removed' ? removed : unseen),
        version,
      }),
    };
  });

const accountRow: fc.Arbitrary<OutboxRow> = fc
  .tuple(head, owner, plaidAccount, fc.constantFrom('open', 'closed', 'removed'), fc.boolean())
  .map(([{ version, ...row }, of, raw, state, is_main]) => ({
    ...row,
    item_id: of.item_id,
    user_id: of.user_id,
    record: 'account',
    removed: state === 'removed',
    subject: raw.account_id,
    raw: JSON.stringify(state === 'removed' ? { account_id: raw.account_id } : raw),
    refined: JSON.stringify({
      ...refineAccount(raw, { ...of, status: state === 'open' ? 'open' : 'closed', is_main, as_of }),
      version,
    }),
  }));

const row = fc.oneof(transactionRow, accountRow);

describe('names', () => {
  it('are those of the contract', () => {
    expect(eventType('transaction', 'raw', false)).toBe('sluice.transaction.raw.v1');
    expect(eventType('account', 'refined', true)).toBe('sluice.account.refined.removed.v1');
    expect(records.flatMap((record) => forms.map((form) => streamOf(record, form))).sort()).toEqual(
      [...streamNames].sort(),
    );
  });

  it('every event type has its schema, and every schema file is named after its id', () => {
    for (const record of records) {
      for (const form of forms) {
        for (const removed of [false, true]) {
          expect(ajv.getSchema(dataSchema(record, form, removed))).toBeDefined();
        }
      }
    }
    expect(schemas).toHaveLength(11);
    for (const { file, schema } of schemas) {
      expect(schema.$id).toBe(`urn:sluice:schema:${file.replace(/\.json$/, '')}`);
      expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
    }
  });
});

describe('an event', () => {
  it('is what its schema says, whatever Plaid sent', () => {
    fc.assert(
      fc.property(row, fc.constantFrom(...forms), (given, form) => {
        const event = JSON.parse(cloudEvent(given, form)) as Record<string, unknown>;
        expect(errorsOf('urn:sluice:schema:event', event)).toEqual([]);
        expect(errorsOf('urn:sluice:schema:batch', [event])).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('carries its data untouched', () => {
    fc.assert(
      fc.property(row, (given) => {
        for (const form of forms) {
          const text = cloudEvent(given, form);
          expect(text.endsWith(`,"data":${given[form]}}`)).toBe(true);
          expect(JSON.parse(text)).toMatchObject({
            id: `${given.id}.${form}`,
            subject: given.subject,
            itemid: given.item_id,
            userid: given.user_id,
            sequence: given.sequence,
            dataschema: dataSchema(given.record, form, given.removed),
          });
        }
      }),
    );
  });
});

describe('what the schemas refuse', () => {
  const transaction = {
    ...refineTransaction(
      {
        transaction_id: 't',
        account_id: 'a',
        amount: 1.5,
        iso_currency_code: 'USD',
        unofficial_currency_code: null,
        date: '2026-11-01',
        pending: false,
      },
      { item_id: 'i', user_id: 'u', institution_id: null },
    ),
    version: 1,
  };
  const account = {
    ...refineAccount(
      {
        account_id: 'a',
        name: 'n',
        official_name: null,
        mask: null,
        type: 'depository',
        subtype: null,
        balances: {
          available: 1,
          current: 1,
          limit: null,
          iso_currency_code: 'USD',
          unofficial_currency_code: null,
        },
      },
      { item_id: 'i', user_id: 'u', institution_id: null, status: 'open', is_main: false, as_of },
    ),
    version: 1,
  };
  const event = JSON.parse(
    cloudEvent(
      {
        id: 'o1',
        item_id: 'i',
        user_id: 'u',
        record: 'transaction',
        removed: false,
        subject: 't',
        sequence: 1,
        time: as_of,
        raw: '{}',
        refined: JSON.stringify(transaction),
      },
      'refined',
    ),
  ) as Record<string, unknown>;

  it('nothing of the examples themselves', () => {
    expect(errorsOf(dataSchema('transaction', 'refined', false), transaction)).toEqual([]);
    expect(errorsOf(dataSchema('account', 'refined', false), account)).toEqual([]);
    expect(errorsOf('urn:sluice:schema:event', event)).toEqual([]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['an amount as number', { amount: 1.5 }],
    ['an amount with exponent', { amount: '1e-7' }],
    ['a negative amount', { amount: '-1.5' }],
    ['no amount', { amount: null }],
    ['version 0', { version: 0 }],
    ['version as text', { version: '1' }],
    ['no version', { version: undefined }],
    ['status removed', { status: 'removed' }],
    ['no account', { account_id: null }],
    ['a date with time', { date: '2026-11-01T00:00:00Z' }],
    ['a field that is not ours', { raw_amount: '1.5' }],
    ['a merchant as text', { merchant: 'shop' }],
  ])('a transaction with %s', (_name, change) => {
    const changed: unknown = JSON.parse(JSON.stringify({ ...transaction, ...change }));
    expect(errorsOf(dataSchema('transaction', 'refined', false), changed)).not.toEqual([]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a balance as number', { balances: { ...account.balances, current: 1 } }],
    ['no as_of', { balances: { ...account.balances, as_of: undefined } }],
    ['another status', { status: 'removed' }],
    ['no is_main', { is_main: undefined }],
    ['no version', { version: undefined }],
    ['a field that is not ours', { routing: '011401533' }],
  ])('an account with %s', (_name, change) => {
    const changed: unknown = JSON.parse(JSON.stringify({ ...account, ...change }));
    expect(errorsOf(dataSchema('account', 'refined', false), changed)).not.toEqual([]);
  });

  it('a removed event of something that is not removed, or not closed', () => {
    expect(errorsOf(dataSchema('transaction', 'refined', true), transaction)).not.toEqual([]);
    expect(errorsOf(dataSchema('account', 'refined', true), account)).not.toEqual([]);
    expect(errorsOf(dataSchema('transaction', 'raw', true), { transaction_id: 't', amount: 1 })).not.toEqual(
      [],
    );
    expect(errorsOf(dataSchema('account', 'raw', true), {})).not.toEqual([]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['sequence 0', { sequence: 0 }],
    ['another form in its id', { id: 'o1.raw' }],
    ["another type's schema", { dataschema: dataSchema('account', 'refined', false) }],
    ["another type's data", { type: eventType('account', 'refined', false) }],
    ['a type that is none', { type: 'sluice.transaction.refined.v2' }],
    ['a source that is none', { source: '/items/i' }],
    ['a time that is none', { time: 'yesterday' }],
    ['no data', { data: undefined }],
    ['no user', { userid: undefined }],
  ])('an event with %s', (_name, change) => {
    const changed: unknown = JSON.parse(JSON.stringify({ ...event, ...change }));
    expect(errorsOf('urn:sluice:schema:event', changed)).not.toEqual([]);
  });

  it('an empty batch', () => {
    expect(errorsOf('urn:sluice:schema:batch', [])).not.toEqual([]);
  });
});
