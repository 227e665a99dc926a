import { z } from 'zod';
import { time } from './shared.js';

export const statusNames = ['ACTIVE', 'ERROR', 'REMOVED'] as const;

export const phase = z.enum(['created', 'updating', 'idle', 'needs_relink', 'removed']);

export const history = z.enum(['none', 'initial', 'complete']).meta({
  description: 'How far Plaid has fetched: nothing, about 30 days, up to two years',
});

export const itemFields = {
  item_id: z.string(),
  user_id: z.string(),
  status: z.enum(statusNames),
  phase,
  institution_id: z.string().nullable(),
  institution_name: z.string().nullable(),
  main_account_id: z.string().nullable(),
  error: z
    .object({
      error_type: z.string(),
      error_code: z.string(),
      since: time,
      update_mode: z.boolean().meta({
        description:
          "The user may end it in Link's update mode; false: link another account, or remove the item",
      }),
    })
    .nullable()
    .meta({
      description: "In Plaid's words; docs/plaid-errors.md tells of each code what it means and who acts",
    }),
  history,
  transactions: z.enum(['available', 'unavailable']).meta({
    description:
      '`unavailable`: Plaid says that the login has none (a brokerage, say). Accounts and balances are kept up to date all the same, and ' +
      'Plaid is asked again now and then',
  }),
  stopped: z
    .object({ reason: z.enum(['not_connected', 'removal_requested']), since: time })
    .nullable()
    .meta({
      description:
        'Why nothing is read from the bank any more, whatever `status` says; null: it is read, or the item is removed. `not_connected`: no ' +
        'application is connected with it; a new connection ends that, else the item is removed after a time (`ITEM_GRACE`). ' +
        '`removal_requested`: it is removed as soon as Plaid agrees',
    }),
  last_update_at: time.nullable(),
  last_webhook_at: time.nullable(),
  consent_expires_at: time.nullable().meta({
    description:
      'When the access ends unless the user goes through update mode: the consent, or the connection where the bank will end it, ' +
      'whichever is earlier. As Plaid said last: a consent that was renewed elsewhere is seen when Plaid is asked next',
  }),
  new_accounts_available: z.boolean(),
  created_at: time,
  removed_at: time.nullable(),
};

export const exampleItem = {
  item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr',
  user_id: 'user-42',
  status: 'ACTIVE',
  phase: 'idle',
  institution_id: 'ins_109508',
  institution_name: 'First Platypus Bank',
  main_account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
  error: null,
  history: 'complete',
  transactions: 'available',
  stopped: null,
  last_update_at: '2026-11-21T07:02:09.000Z',
  last_webhook_at: '2026-11-21T07:02:03.000Z',
  consent_expires_at: null,
  new_accounts_available: false,
  created_at: '2026-11-20T10:00:00.000Z',
  removed_at: null,
} as const;
