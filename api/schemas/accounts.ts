import { z } from 'zod';
import { aboutExampleItem, aboutItems } from './completeness.js';
import { exampleItem } from './itemShape.js';
import {
  decimal,
  examplePage,
  format,
  includeRemoved,
  pageOf,
  paging,
  plaidObject,
  plaidRequestId,
  time,
} from './shared.js';

export const accountsOfItemQuery = z.strictObject({ format, ...paging });

export const accountsOfUserQuery = z.strictObject({ include_removed: includeRemoved, format, ...paging });

export const refinedBalances = z.object({
  available: decimal.nullable(),
  current: decimal.nullable(),
  limit: decimal.nullable(),
  currency: z.string().nullable(),
  as_of: time,
});

export const refinedAccount = z
  .object({
    id: z.string(),
    item_id: z.string(),
    user_id: z.string(),
    institution_id: z.string().nullable(),
    name: z.string().nullable().meta({ description: 'null where Plaid gives none' }),
    official_name: z.string().nullable(),
    mask: z.string().nullable(),
    type: z.string().nullable().meta({ description: 'null where Plaid gives none' }),
    subtype: z.string().nullable(),
    status: z.enum(['open', 'closed']),
    is_main: z.boolean(),
    balances: refinedBalances
      .nullable()
      .meta({ description: 'null where the connection does not grant `balances`' }),
    persistent_id: z.string().nullable(),
    holder_category: z.string().nullable(),
    replaces: z.string().nullable().meta({
      description: 'The closed account of the item whose place this one took: the bank gave it another id',
    }),
    replaced_by: z
      .string()
      .nullable()
      .meta({ description: 'The account that took the place of this closed one' }),
    version: z.int().min(1),
  })
  .meta({
    id: 'Account',
    examples: [
      {
        id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        item_id: exampleItem.item_id,
        user_id: 'user-42',
        institution_id: 'ins_109508',
        name: 'Plaid Checking',
        official_name: 'Plaid Gold Standard 0% Interest Checking',
        mask: '0000',
        type: 'depository',
        subtype: 'checking',
        status: 'open',
        is_main: true,
        balances: {
          available: '100',
          current: '110.5',
          limit: null,
          currency: 'USD',
          as_of: '2026-11-21T07:02:09.000Z',
        },
        persistent_id: null,
        holder_category: 'personal',
        replaces: null,
        replaced_by: null,
        version: 1,
      },
    ],
  });

export type RefinedAccount = z.infer<typeof refinedAccount>;

export const plaidAccount = {
  account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
  balances: {
    available: 100,
    current: 110.5,
    limit: null,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
  },
  mask: '0000',
  name: 'Plaid Checking',
  official_name: 'Plaid Gold Standard 0% Interest Checking',
  type: 'depository',
  subtype: 'checking',
};

export const liveAccountsAnswer = z
  .object({ accounts: z.array(plaidObject), request_id: plaidRequestId })
  .meta({
    id: 'LiveAccounts',
    examples: [{ accounts: [plaidAccount], request_id: 'm8MDnv9okwxFNBV' }],
  });

export const accountsAnswer = pageOf(z.union([refinedAccount, plaidObject]), aboutItems).meta({
  id: 'AccountPage',
  ...examplePage(refinedAccount, aboutExampleItem),
});
