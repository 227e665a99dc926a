import { isCalendarDate } from '../../../domain/mining/oddValues.js';
import { minedPage } from '../../../domain/mining/page.js';
import type { PlaidTransaction } from '../../../domain/plaid.js';

describe('a calendar date', () => {
  it('is what the Gregorian calendar has, of each year that matters to the rule of leap years', () => {
    const two = (n: number): string => String(n).padStart(2, '0');
    const wrong: string[] = [];
    for (const year of ['0001', '1900', '1999', '2000', '2024', '2025', '2100', '2400', '9999']) {
      for (let month = 0; month <= 13; month += 1) {
        for (let day = 0; day <= 32; day += 1) {
          const text = `${year}-${two(month)}-${two(day)}`;
          const instant = new Date(`${text}T00:00:00Z`);
          // A Date rolls what does not exist over into the next month.
          const exists = !Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(text);
          if (isCalendarDate(text) !== exists) wrong.push(text);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each(['0000-01-01', '2026-1-1', '2026-01-01T00:00:00Z', ' 2026-01-01', '2026-01-01\n', '20260101', ''])(
    'is not %j',
    (text) => expect(isCalendarDate(text)).toBe(false),
  );
});

it('a page tells of a transaction once: removed before modified before added', () => {
  const row = (id: string, amount: number): PlaidTransaction => ({
    transaction_id: id,
    account_id: 'acc-1',
    amount,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
    date: '2026-11-20',
    name: 'Coffee',
    pending: false,
  });
  const page = minedPage(
    '',
    {
      added: [row('a', 1), row('b', 1), row('c', 1)],
      modified: [row('a', 2), row('c', 2)],
      removed: [{ transaction_id: 'c', account_id: 'acc-1' }],
      accounts: [],
      next_cursor: 'end',
      has_more: false,
      transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
    },
    { item_id: 'ItemA', user_id: 'user-1', institution_id: null },
  );
  expect(page.transactions.map(({ raw }) => [raw.transaction_id, raw.amount])).toEqual([
    ['b', 1],
    ['a', 2],
  ]);
  expect(page.removed.map((one) => one.transaction_id)).toEqual(['c']);
});
