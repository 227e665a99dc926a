import fc from 'fast-check';
import { readWebhook } from '../../../domain/webhooks/webhook.js';

const body = (fields: Record<string, unknown>): string => JSON.stringify(fields, null, 2);
const update = { webhook_type: 'TRANSACTIONS', webhook_code: 'DEFAULT_UPDATE', item_id: 'i1' };

describe('bodies that mean nothing to us', () => {
  it.each([
    '',
    '{',
    'null',
    '[]',
    '7',
    '"text"',
    'undefined',
    '{"webhook_type":"ITEM"}',
    '[{"item_id":"i"}]',
  ])('%s is malformed', (text) => {
    expect(readWebhook(text)).toMatchObject({ kind: null, ignored: 'malformed_body' });
  });

  it.each([
    ['a number', 7],
    ['an object', {}],
    ['nothing', ''],
    ['a NUL', 'i\u0000'],
    ['endless text', 'i'.repeat(257)],
    ['null', null],
  ])('an item_id that is %s is none', (_name, item_id) => {
    expect(readWebhook(body({ ...update, item_id }))).toMatchObject({
      item_id: null,
      kind: null,
      ignored: 'no_item_id',
    });
  });

  it.each(['__proto__', 'constructor', 'toString', 'TRANSACTIONS'])('a type named %s is no type', (type) => {
    expect(readWebhook(body({ ...update, webhook_type: type, webhook_code: type }))).toMatchObject({
      kind: null,
      ignored: 'not_handled',
    });
  });

  it('case counts', () => {
    expect(readWebhook(body({ ...update, webhook_code: 'default_update' })).ignored).toBe('not_handled');
  });

  it('is total: any text, any JSON', () => {
    const words = fc.constantFrom(
      'TRANSACTIONS',
      'ITEM',
      'DEFAULT_UPDATE',
      'TRANSACTIONS_REMOVED',
      'HISTORICAL_UPDATE',
    );
    const field = fc.oneof(words, fc.jsonValue());
    const near = fc.record(
      { webhook_type: field, webhook_code: field, item_id: field, removed_transactions: field },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          near.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          const read = readWebhook(text);
          // Something to do, or the reason why not: never both, never neither.
          expect(read.kind === null).toBe(read.ignored !== null);
          if (read.kind !== null) expect(read.item_id).not.toBeNull();
          if (read.kind !== 'removals') expect(read.removed_ids).toEqual([]);
          expect(read.removed_ids.every((id) => typeof id === 'string' && id.length > 0)).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('bodies that ask for something', () => {
  it.each<[code: string, kind: string, type?: string]>([
    ['INITIAL_UPDATE', 'update'],
    ['DEFAULT_UPDATE', 'update'],
    ['SYNC_UPDATES_AVAILABLE', 'update'],
    ['HISTORICAL_UPDATE', 'history'],
    ['TRANSACTIONS_REMOVED', 'removals'],
    // The accounts and balances of an Item without transactions are newer, too.
    ['DEFAULT_UPDATE', 'update', 'HOLDINGS'],
    ['DEFAULT_UPDATE', 'update', 'INVESTMENTS_TRANSACTIONS'],
    ['HISTORICAL_UPDATE', 'update', 'INVESTMENTS_TRANSACTIONS'],
    ['DEFAULT_UPDATE', 'update', 'LIABILITIES'],
    ['PRODUCT_PERMISSIONS_REQUIRED', 'item', 'AUTH'],
  ])('%s is %s (of %s)', (webhook_code, kind, webhook_type = 'TRANSACTIONS') => {
    const said = { ...update, webhook_type, webhook_code, a_field_of_tomorrow: 1 };
    expect(readWebhook(body(said))).toEqual({
      webhook_type,
      webhook_code,
      item_id: 'i1',
      kind,
      removed_ids: [],
      ignored: null,
    });
  });

  it('the ids of removed rows are kept, what is no id is dropped', () => {
    const removed_transactions = ['t1', 7, null, '', 't\u0000', { id: 't2' }, 't3'];
    const read = readWebhook(body({ ...update, webhook_code: 'TRANSACTIONS_REMOVED', removed_transactions }));
    expect(read.removed_ids).toEqual(['t1', 't3']);
  });

  it.each(['a', 'ж', '漢', '😀'])('ids have up to 256 characters, also such as %s', (character) => {
    const [longest, longer] = [character.repeat(256), character.repeat(257)];
    expect(readWebhook(body({ ...update, item_id: longest }))).toMatchObject({
      item_id: longest,
      ignored: null,
    });
    expect(readWebhook(body({ ...update, item_id: longer }))).toMatchObject({
      item_id: null,
      ignored: 'no_item_id',
    });
  });

  it('WEBHOOK_UPDATE_ACKNOWLEDGED is logged only, an unknown code is kept with its name', () => {
    expect(
      readWebhook(body({ ...update, webhook_type: 'ITEM', webhook_code: 'WEBHOOK_UPDATE_ACKNOWLEDGED' })),
    ).toMatchObject({ kind: null, ignored: 'logged_only', item_id: 'i1' });
    expect(readWebhook(body({ ...update, webhook_code: 'A_CODE_OF_TOMORROW' }))).toMatchObject({
      webhook_code: 'A_CODE_OF_TOMORROW',
      ignored: 'not_handled',
      item_id: 'i1',
    });
  });
});
