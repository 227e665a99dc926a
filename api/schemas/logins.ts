import { z } from 'zod';
import { exampleItem } from './itemShape.js';
import { anyId } from './shared.js';

export const loginBody = z
  .strictObject({})
  // A body may be left out altogether.
  .default({})
  .meta({ examples: [{}] });

export const loginAnswer = z
  .object({
    items: z.array(
      z.object({
        item_id: z.string(),
        stale: z.boolean(),
        webhook_id: z
          .string()
          .optional()
          .meta({ description: 'Of a stale item: the stored webhook that makes it update' }),
        reason: z
          .string()
          .optional()
          .meta({
            description:
              'Why it is stale: `last_update_old`, `plaid_newer`, `update_waiting`; of one that is not, what kept us from asking Plaid ' +
              '(`UPSTREAM_DOWN`, say)',
          }),
      }),
    ),
  })
  .meta({
    id: 'LoginCheck',
    examples: [
      {
        items: [
          {
            item_id: exampleItem.item_id,
            stale: true,
            webhook_id: anyId,
            reason: 'last_update_old',
          },
        ],
      },
      { items: [{ item_id: exampleItem.item_id, stale: false }] },
    ],
  });
