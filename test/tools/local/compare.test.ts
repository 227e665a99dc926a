import { compareItem, type Observed, type StreamEvent, type Truth } from '../../../tools/local/compare.js';

const account = {
  account_id: 'acc1',
  name: 'Checking',
  official_name: null,
  mask: '0000',
  type: 'depository',
  subtype: 'checking',
  balances: {
    available: 100.5,
    current: 110,
    limit: null,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
  },
};
const transaction = (id: string, over: object = {}) => ({
  transaction_id: id,
  account_id: 'acc1',
  amount: -12.345,
  iso_currency_code: 'USD',
  unofficial_currency_code: null,
  date: '2026-03-01',
  authorized_date: null,
  name: 'Coffee',
  original_description: 'COFFEE 123',
  merchant_name: null,
  pending: false,
  pending_transaction_id: null,
  payment_channel: 'in store',
  personal_finance_category: { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence_level: 'HIGH' },
  ...over,
});
const refined = (id: string, over: object = {}) => ({
  id,
  account_id: 'acc1',
  status: 'posted',
  direction: 'inflow',
  amount: '12.345',
  currency: 'USD',
  date: '2026-03-01',
  authorized_date: null,
  description: 'COFFEE 123',
  merchant: { name: null },
  category: { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence: 'HIGH' },
  channel: 'in store',
  replaces: null,
  ...over,
});
const refinedAccount = {
  id: 'acc1',
  name: 'Checking',
  official_name: null,
  mask: '0000',
  type: 'depository',
  subtype: 'checking',
  status: 'open',
  balances: { available: '100.5', current: '110', limit: null, currency: 'USD' },
  persistent_id: null,
};
const event = (
  sequence: number,
  record: string,
  form: string,
  subject: string,
  data: object,
  gone = '',
): StreamEvent => ({
  id: `o${sequence}.${form}`,
  type: `sluice.${record}.${form}${gone}.v1`,
  subject,
  sequence,
  data: data as StreamEvent['data'],
});

/** One account, two live transactions, one removed: sequences 1 to 5, told without a fault. */
function equalWorld(): { truth: Truth; observed: Observed } {
  const truth: Truth = {
    item_id: 'item1',
    accounts: [{ ...account, closed: false }],
    transactions: [transaction('t1'), transaction('t2')],
    removed: ['t3'],
    closed_account_transactions: [],
    closed_account_removed: [],
    webhooks_due: 0,
  };
  const observed: Observed = {
    accounts: [{ id: 'acc1', raw: account, refined: refinedAccount, live: true }],
    transactions: [
      { id: 't1', raw: transaction('t1'), refined: refined('t1'), live: true },
      { id: 't2', raw: transaction('t2'), refined: refined('t2'), live: true },
      { id: 't3', raw: transaction('t3'), refined: refined('t3'), live: false },
    ],
    events: {
      'raw-accounts': [event(1, 'account', 'raw', 'acc1', account)],
      'refined-accounts': [event(1, 'account', 'refined', 'acc1', refinedAccount)],
      'raw-transactions': [
        event(2, 'transaction', 'raw', 't1', transaction('t1')),
        event(3, 'transaction', 'raw', 't2', transaction('t2')),
        event(4, 'transaction', 'raw', 't3', transaction('t3')),
        event(5, 'transaction', 'raw', 't3', { transaction_id: 't3' }, '.removed'),
      ],
      'refined-transactions': [
        event(2, 'transaction', 'refined', 't1', refined('t1')),
        event(3, 'transaction', 'refined', 't2', refined('t2')),
        event(4, 'transaction', 'refined', 't3', refined('t3')),
        event(5, 'transaction', 'refined', 't3', refined('t3', { status: 'removed' }), '.removed'),
      ],
    },
  };
  return { truth, observed };
}

const without = <T>(list: readonly T[], index: number): T[] => list.filter((_, at) => at !== index);

describe('the comparison with the truth', () => {
  it('names a row that was deleted from PostgreSQL by hand', () => {
    const { truth, observed } = equalWorld();
    const broken = { ...observed, transactions: without(observed.transactions, 1) };
    expect(compareItem(truth, broken)).toEqual([
      { store: 'postgres', id: 't2', problem: 'transaction is missing' },
    ]);
  });

  it('names a record that was dropped on its way to a stream, by its gap and by what is then missing', () => {
    const { truth, observed } = equalWorld();
    const dropped = without(observed.events['refined-transactions'], 1);
    const broken = { ...observed, events: { ...observed.events, 'refined-transactions': dropped } };
    expect(compareItem(truth, broken)).toEqual([
      { store: 'refined-transactions', id: 't2', problem: 'transaction is missing' },
      { store: 'refined streams', id: '', problem: 'sequence 3 of 5 is missing' },
    ]);
  });

  it('names a dropped removal although it was the last record of all', () => {
    const { truth, observed } = equalWorld();
    const dropped = observed.events['raw-transactions'].slice(0, -1);
    const broken = { ...observed, events: { ...observed.events, 'raw-transactions': dropped } };
    expect(compareItem(truth, broken)).toEqual([
      { store: 'raw-transactions', id: 't3', problem: 'transaction is there, in truth it is not' },
    ]);
  });

  it('names a stale row with the field, what it is and what it should be', () => {
    const { truth, observed } = equalWorld();
    const stale = { ...truth, transactions: [transaction('t1', { amount: 9.99 }), transaction('t2')] };
    const [postgres, raw, told] = compareItem(stale, observed);
    expect(postgres).toEqual({
      store: 'postgres',
      id: 't1',
      problem: 'transaction differs: amount is -12.345, in truth 9.99',
    });
    expect(raw).toMatchObject({ store: 'raw-transactions', id: 't1' });
    expect(told?.problem).toBe(
      'transaction differs: direction is "inflow", in truth "outflow"; amount is "12.345", in truth "9.99"',
    );
  });

  it('sees a refined row that does not say what its raw row says', () => {
    const { truth, observed } = equalWorld();
    const [first, ...rest] = observed.transactions;
    if (!first) throw new Error('the world has no rows');
    const transactions = [{ ...first, refined: refined('t1', { currency: 'CAD' }) }, ...rest];
    expect(compareItem(truth, { ...observed, transactions })).toEqual([
      { store: 'postgres', id: 't1', problem: 'transaction differs: currency is "CAD", in truth "USD"' },
    ]);
  });

  it('takes text that jsonb refuses as equal to what is stored for it', () => {
    const { truth, observed } = equalWorld();
    const sent = { ...truth, accounts: [{ ...account, name: 'Check\0ing\ud800' }] };
    const kept = { ...account, name: 'Check\ufffding\ufffd' };
    const told = { ...refinedAccount, name: 'Check\ufffding\ufffd' };
    const world = {
      ...observed,
      accounts: [{ id: 'acc1', raw: kept, refined: told, live: true }],
      events: {
        ...observed.events,
        'raw-accounts': [event(1, 'account', 'raw', 'acc1', kept)],
        'refined-accounts': [event(1, 'account', 'refined', 'acc1', told)],
      },
    };
    expect(compareItem(sent, world)).toEqual([]);
  });

  it('names a phantom row, a missing mark and a mark too many', () => {
    const { truth, observed } = equalWorld();
    const differences = compareItem(
      { ...truth, removed: ['t4'], transactions: [transaction('t1')] },
      observed,
    );
    expect(differences.filter(({ store }) => store === 'postgres')).toEqual([
      { store: 'postgres', id: 't2', problem: 'transaction is there, in truth it is not' },
      { store: 'postgres', id: 't4', problem: 'removed transaction is live here' },
      { store: 'postgres', id: 't3', problem: 'transaction is removed here, in truth it never was' },
    ]);
  });

  it('sees a stream that goes back and a sequence that two events claim', () => {
    const { truth, observed } = equalWorld();
    const [first, second, ...rest] = observed.events['raw-transactions'];
    if (!first || !second) throw new Error('the world has fewer events');
    const back = { ...observed.events, 'raw-transactions': [second, first, ...rest] };
    expect(compareItem(truth, { ...observed, events: back })).toEqual([
      { store: 'raw-transactions', id: 'o2.raw', problem: 'sequence 2 comes after 3' },
    ]);
    const twice = { ...observed.events, 'raw-transactions': [first, { ...second, sequence: 2 }, ...rest] };
    expect(compareItem(truth, { ...observed, events: twice })).toEqual(
      expect.arrayContaining([
        { store: 'raw streams', id: 'o3.raw', problem: 'sequence 2 belongs to o2.raw already' },
        { store: 'raw streams', id: '', problem: 'sequence 3 of 5 is missing' },
      ]),
    );
  });

  it('leaves the rows of a closed account apart and wants the account itself closed', () => {
    const { truth, observed } = equalWorld();
    const closed: Truth = {
      ...truth,
      accounts: [{ ...account, closed: true }],
      transactions: [],
      closed_account_transactions: ['t1', 't2'],
    };
    expect(compareItem(closed, observed)).toEqual([
      { store: 'postgres', id: 'acc1', problem: 'account is there, in truth it is not' },
      { store: 'raw-accounts', id: 'acc1', problem: 'account is there, in truth it is not' },
      { store: 'refined-accounts', id: 'acc1', problem: 'account is there, in truth it is not' },
    ]);
  });

  it('does not mind what became of rows and accounts that were sent distorted, and of the others it does', () => {
    const { truth, observed } = equalWorld();
    const distorted = { ...truth, distorted_accounts: ['acc1'], distorted_transactions: ['t1', 't3', 'odd'] };
    const parked = {
      ...observed,
      accounts: [],
      transactions: [
        ...without(without(observed.transactions, 2), 0),
        { id: 'odd', raw: { name: null }, refined: {}, live: true },
      ],
      events: {
        ...observed.events,
        'raw-accounts': [event(1, 'account', 'raw', 'acc1', { ...account, name: 'Odd' })],
      },
    };
    expect(compareItem(distorted, parked)).toEqual([]);
    expect(compareItem(distorted, observed)).toEqual([]);
    expect(compareItem(truth, parked)).not.toEqual([]);
    const lost = { ...parked, transactions: [] };
    expect(compareItem(distorted, lost)).toEqual([
      { store: 'postgres', id: 't2', problem: 'transaction is missing' },
    ]);
  });

  it('does not mind whether a row that was removed in silence before its account closed is marked', () => {
    const { truth, observed } = equalWorld();
    const closed: Truth = {
      ...truth,
      accounts: [{ ...account, closed: true }],
      transactions: [],
      // Of t2 and t3 nobody could hear any more; t3 is removed here, t2 is not.
      removed: [],
      closed_account_transactions: ['t1'],
      closed_account_removed: ['t2', 't3'],
    };
    const accounts = observed.accounts.map((row) => ({ ...row, live: false }));
    const told = (name: 'raw-accounts' | 'refined-accounts') => [
      ...observed.events[name],
      event(6, 'account', name.startsWith('raw') ? 'raw' : 'refined', 'acc1', {}, '.removed'),
    ];
    const events = {
      ...observed.events,
      'raw-accounts': told('raw-accounts'),
      'refined-accounts': told('refined-accounts'),
    };
    expect(compareItem(closed, { ...observed, accounts, events })).toEqual([]);
    // A row that never was any account's is found all the same.
    const invented = [...observed.transactions, { ...observed.transactions[0]!, id: 't9' }];
    expect(compareItem(closed, { ...observed, accounts, events, transactions: invented })).toEqual([
      { store: 'postgres', id: 't9', problem: 'transaction is there, in truth it is not' },
    ]);
  });

  it('finds nothing in an equal world, repeats in transport and the order of fields included', () => {
    const { truth, observed } = equalWorld();
    const [first, ...rest] = observed.events['raw-transactions'];
    if (!first) throw new Error('the world has no events');
    const reordered = Object.fromEntries(Object.entries(transaction('t1')).reverse());
    const events = {
      ...observed.events,
      'raw-transactions': [{ ...first, data: reordered }, first, ...rest, first],
    };
    expect(compareItem(truth, { ...observed, events })).toEqual([]);
  });

  it('reads amounts as Plaid writes them, without exponent and without rounding', () => {
    const { truth, observed } = equalWorld();
    const tiny = transaction('t1', { amount: 1.5e-7 });
    const data = refined('t1', { amount: '0.00000015', direction: 'outflow' });
    const world = {
      truth: { ...truth, transactions: [tiny, transaction('t2')] },
      observed: {
        ...observed,
        transactions: [{ id: 't1', raw: tiny, refined: data, live: true }, ...observed.transactions.slice(1)],
        events: {
          ...observed.events,
          'raw-transactions': [
            event(2, 'transaction', 'raw', 't1', tiny),
            ...observed.events['raw-transactions'].slice(1),
          ],
          'refined-transactions': [
            event(2, 'transaction', 'refined', 't1', data),
            ...observed.events['refined-transactions'].slice(1),
          ],
        },
      },
    };
    expect(compareItem(world.truth, world.observed)).toEqual([]);
  });
});
