import { z } from 'zod';
import { plaidAccount } from './accounts.js';
import { aboutExampleItem, aboutItems } from './completeness.js';
import { exampleItem } from './itemShape.js';
import {
  day,
  decimal,
  digits,
  examplePage,
  format,
  includeRemoved,
  limit,
  pageOf,
  paging,
  plaidObject,
  plaidRequestId,
  shown,
  words,
} from './shared.js';

const transactionStatuses = ['pending', 'posted', 'removed'] as const;

const transactionFilters = {
  from: day('First date, inclusive'),
  to: day('Last date, inclusive; before `from` the list is empty'),
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  status: words('Transactions of these only, separated by commas', transactionStatuses, [
    'pending',
    'posted',
  ]),
  format,
  ...paging,
};

export const transactionsOfItemQuery = z.strictObject(transactionFilters);

export const transactionsOfUserQuery = z.strictObject({
  include_removed: includeRemoved,
  ...transactionFilters,
});

const offset = z
  .preprocess(digits, z.int().min(0).max(999_999))
  .default(0)
  .meta({ description: 'Rows to skip', 'x-default': 0 });

export const liveTransactionsQuery = z.strictObject({
  from: day('First date, inclusive; default: two years before `to`'),
  to: day('Last date, inclusive; default: tomorrow (UTC), so that no time zone lacks its today'),
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  limit,
  offset,
});

export const refinedTransaction = z
  .object({
    id: z.string(),
    item_id: z.string(),
    user_id: z.string(),
    account_id: z.string().nullable(),
    institution_id: z.string().nullable(),
    status: z.enum(transactionStatuses),
    direction: z.enum(['outflow', 'inflow']).nullable(),
    amount: decimal.nullable(),
    currency: z.string().nullable(),
    date: z.string().nullable(),
    authorized_date: z.string().nullable(),
    datetime: z.string().nullable(),
    authorized_datetime: z.string().nullable(),
    description: z.string().nullable(),
    merchant: z
      .object({
        name: z.string().nullable(),
        id: z.string().nullable(),
        logo_url: z.string().nullable(),
        website: z.string().nullable(),
      })
      .nullable(),
    category: z
      .object({ primary: z.string(), detailed: z.string(), confidence: z.string().nullable() })
      .nullable(),
    channel: z.string().nullable(),
    check_number: z.string().nullable(),
    location: z.looseObject({}).nullable(),
    replaces: z
      .string()
      .nullable()
      .meta({ description: 'The pending transaction whose place this one took' }),
    version: z.int().min(1),
  })
  .meta({
    id: 'Transaction',
    examples: [
      {
        id: 'lPNjeW1nR6CDn5okmGQ6hEpMo4lLNoSrzqDje',
        item_id: exampleItem.item_id,
        user_id: 'user-42',
        account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        institution_id: 'ins_109508',
        status: 'posted',
        direction: 'outflow',
        amount: '12.34',
        currency: 'USD',
        date: '2026-11-19',
        authorized_date: '2026-11-18',
        datetime: null,
        authorized_datetime: null,
        description: 'COFFEE 0042',
        merchant: { name: 'Coffee', id: null, logo_url: null, website: null },
        category: { primary: 'FOOD_AND_DRINK', detailed: 'FOOD_AND_DRINK_COFFEE', confidence: 'HIGH' },
        channel: 'in store',
        check_number: null,
        location: null,
        replaces: null,
        version: 1,
      },
    ],
    description: 'Fields are null only in a row that was removed before it was ever seen',
  });

export const liveTransactionsAnswer = z
  .object({
    transactions: z.array(plaidObject),
    total_transactions: z
      .number()
      .meta({ description: 'In the range, as far as Plaid has fetched it; page on with `offset`' }),
    request_id: plaidRequestId,
  })
  .meta({
    id: 'LiveTransactions',
    examples: [
      {
        transactions: [
          {
            transaction_id: 'lPNjeW1nR6CDn5okmGQ6hEpMo4lLNoSrzqDje',
            account_id: plaidAccount.account_id,
            amount: 12.34,
            iso_currency_code: 'USD',
            date: '2026-11-19',
            name: 'Coffee',
            original_description: 'COFFEE 0042',
            pending: false,
          },
        ],
        total_transactions: 1,
        request_id: 'm8MDnv9okwxFNBV',
      },
    ],
  });

export const transactionsAnswer = pageOf(z.union([refinedTransaction, plaidObject]), aboutItems).meta({
  id: 'TransactionPage',
  ...examplePage(refinedTransaction, aboutExampleItem),
});
