import { z } from 'zod';
import { time } from './shared.js';

/** Objects of Plaid's `/auth/get`: open, since Plaid adds fields at any time. */
const numbersOfKind = z.array(z.record(z.string(), z.unknown()));

export const numbersAnswer = z
  .object({
    item_id: z.string(),
    numbers: z.array(
      z.object({
        account_id: z.string(),
        as_of: time.meta({ description: 'When they were read from Plaid' }),
        ach: numbersOfKind,
        eft: numbersOfKind,
        international: numbersOfKind,
        bacs: numbersOfKind,
      }),
    ),
    withheld: z
      .array(
        z.object({
          account_id: z.string(),
          reason: z.enum([
            'account_closed',
            'account_revoked',
            'permission_revoked',
            'item_removed',
            'unreadable',
          ]),
        }),
      )
      .meta({
        description:
          'Accounts whose numbers are stored and must not be used, or cannot be decrypted (`unreadable`: they are read from Plaid anew with a ' +
          'later update, once they are a day old)',
      }),
    missing: z
      .array(
        z.object({
          account_id: z.string(),
          reason: z.enum([
            'verification_pending',
            'verification_expired',
            'verification_failed',
            'consent_required',
            'not_available',
          ]),
          error_code: z
            .string()
            .nullable()
            .meta({ description: "Plaid's, of `consent_required` and `not_available`" }),
        }),
      )
      .meta({
        description:
          'Open accounts that have no numbers: Plaid has not verified them, or refuses the question. A verification that expired or ' +
          'failed needs its user (Link once more), `consent_required` a visit to update mode, which asks for it',
      }),
    next_read_at: time
      .nullable()
      .meta({ description: 'When Plaid is asked for numbers (again); null: nothing is waited for' }),
  })
  .meta({
    id: 'Numbers',
    examples: [
      {
        item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr',
        numbers: [
          {
            account_id: 'blgvvBlXw3cq5GMPwqB6s6q4dLKB9WcVqGDGo',
            as_of: '2026-11-20T10:00:00.000Z',
            ach: [{ account: '9876543210', routing: '110000000', wire_routing: '110000001' }],
            eft: [],
            international: [],
            bacs: [],
          },
        ],
        withheld: [],
        missing: [],
        next_read_at: null,
      },
    ],
  });
