import { z } from 'zod';
import type { Grant } from '../../domain/exchange/connection.js';
import { connectionScopes } from '../../domain/exchange/connection.js';
import { instantOf } from '../../domain/instants.js';
import { pattern, shown, storable, wellFormed } from './shared.js';

/** Seven years and a day: nothing reaches further back. */
const longestLookback = 2_557;

const unique = (values: readonly string[]): boolean => new Set(values).size === values.length;

/** A time that has not come yet. PostgreSQL knows no year beyond this one that JSON could write. */
export const futureTime = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2027-01-31T00:00:00Z' })
  .regex(pattern('^[0-9]{4}-'), 'must be in the year 9999 or before')
  .refine((at) => instantOf(at) !== null, 'must be in the year 9999 or before, by UTC')
  .refine((at) => Date.parse(at) > Date.now(), 'must be in the future');

const evidence = z
  .strictObject({
    disclosure_id: wellFormed(shown(256)).meta({ description: 'Your name of the text that was shown' }),
    sha256: z
      .string()
      .regex(pattern('^[0-9a-f]{64}$'), 'must be a SHA-256 in 64 small hexadecimal digits')
      .meta({ description: 'Of that text' }),
    at: z.iso
      .datetime({ offset: true, error: 'must be a time such as 2026-11-21T10:00:00Z' })
      .regex(pattern('^(?!0000)[0-9]{4}-'), 'must be in the year 1 or later')
      .meta({ description: 'When the user agreed' }),
  })
  .meta({ description: 'What the user was shown and agreed to. Kept as it is' });

/** The fields of a grant, all that there are. What is not granted is denied; an empty list grants nothing. */
export const grantFields = {
  scopes: z
    .array(z.enum(connectionScopes))
    .max(connectionScopes.length)
    .refine(unique, 'must name each scope once')
    .meta({ description: 'What may be read; empty = nothing' }),
  account_ids: z
    .array(wellFormed(shown(256)))
    .max(500)
    .refine(unique, 'must name each account once')
    .nullable()
    .meta({ description: 'Accounts that may be read; null = all that are there at the grant, empty = none' }),
  new_accounts: z.boolean().meta({ description: 'Accounts that come later may be read too' }),
  lookback_days: z
    .int()
    .min(1)
    .max(longestLookback)
    .nullable()
    .meta({ description: 'Days back from the day of a request; null = all that there is' }),
  expires_at: futureTime.nullable().meta({ description: 'Its end; null = none' }),
  purpose: storable(1_000).nullable().meta({ description: 'What for, in words for the user' }),
  evidence: evidence.nullable(),
};

/** A grant in a body; what is left out is the default of the operation. */
export const grantInput = z.strictObject(grantFields).partial();

/** What a body leaves out, or says without a value (the fields that know null mean it). */
export type GrantInput = z.output<typeof grantInput>;

/** The grant that a body asks for, with `defaults` where it says nothing. */
export function grantOf(input: GrantInput, defaults: Grant): Grant {
  const said = Object.entries(input).filter(([, value]) => value !== undefined);
  return { ...defaults, ...(Object.fromEntries(said) as Partial<Grant>) };
}
