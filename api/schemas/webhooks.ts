import { z } from 'zod';
import { exampleItem } from './itemShape.js';
import { anyId, examplePage, id, pageOf, paging, shown, time } from './shared.js';

export const webhookParams = id('Id of the stored webhook', anyId);

export const webhooksQuery = z.strictObject({
  item_id: shown(256).optional().meta({ description: 'Webhooks of one item' }),
  verdict: z
    .enum(['accepted', 'rejected'])
    .optional()
    .meta({ description: 'Whether the signature was good' }),
  outcome: z
    .enum(['pending', 'done', 'ignored', 'rejected'])
    .optional()
    .meta({ description: 'What came of them' }),
  ...paging,
});

export const webhookAnswer = z
  .object({
    webhook_id: z.string(),
    received_at: time,
    source: z.enum(['plaid', 'synthetic', 'replay']),
    verdict: z.enum(['accepted', 'rejected']),
    webhook_type: z.string().nullable(),
    webhook_code: z.string().nullable(),
    item_id: z.string().nullable(),
    outcome: z.object({
      state: z.enum(['pending', 'done', 'ignored', 'rejected']),
      reason: z.string().nullable(),
    }),
    body: z.string().meta({ description: 'As received, as text' }),
  })
  .meta({
    id: 'Webhook',
    examples: [
      {
        webhook_id: anyId,
        received_at: '2026-11-21T07:02:03.000Z',
        source: 'plaid',
        verdict: 'accepted',
        webhook_type: 'TRANSACTIONS',
        webhook_code: 'SYNC_UPDATES_AVAILABLE',
        item_id: exampleItem.item_id,
        outcome: { state: 'done', reason: null },
        body: '{\n  "item_id": "Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr",\n  "webhook_code": "SYNC_UPDATES_AVAILABLE",\n  "webhook_type": "TRANSACTIONS"\n}',
      },
    ],
  });

export const webhooksAnswer = pageOf(webhookAnswer, z.object({})).meta({
  id: 'WebhookPage',
  ...examplePage(webhookAnswer, {}),
});
