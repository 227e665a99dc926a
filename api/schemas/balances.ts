import { z } from 'zod';
import { refinedBalances } from './accounts.js';
import { aboutExampleItem, aboutItems } from './completeness.js';
import { exampleItem } from './itemShape.js';
import { day, examplePage, pageOf, paging, shown } from './shared.js';

export const balancesQuery = z.strictObject({
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  from: day('First day (UTC), inclusive'),
  to: day('Last day (UTC), inclusive; before `from` the list is empty'),
  ...paging,
});

const dayBalances = z
  .object({
    item_id: z.string(),
    account_id: z.string(),
    day: z.iso.date().meta({ description: 'UTC' }),
    balances: refinedBalances.meta({ description: 'The last ones seen that day' }),
  })
  .meta({
    id: 'DayBalances',
    examples: [
      {
        item_id: exampleItem.item_id,
        account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        day: '2026-11-21',
        balances: {
          available: '100',
          current: '110.5',
          limit: null,
          currency: 'USD',
          as_of: '2026-11-21T07:00:00.000Z',
        },
      },
    ],
  });

export const balancesAnswer = pageOf(dayBalances, aboutItems).meta({
  id: 'BalancePage',
  ...examplePage(dayBalances, aboutExampleItem),
});
