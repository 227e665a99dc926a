import { z } from 'zod';
import { anyId, id, shown, time, wellFormed } from './shared.js';

export const applicationParams = id('Id of the application', anyId);

export const keyParams = id('Id of the key (not the key itself)', anyId);

export const applicationBody = z
  .strictObject({ name: wellFormed(shown(200)) })
  .meta({ examples: [{ name: 'payments' }] });

const scope = z.enum(['read', 'write', 'numbers', 'admin']);

export const keyBody = z
  .strictObject({
    scopes: z
      .array(scope)
      .min(1)
      .max(4)
      .meta({ description: '`admin` implies `read` and `write`, never `numbers`' }),
  })
  .meta({ examples: [{ scopes: ['read', 'write'] }] });

export const applicationAnswer = z
  .object({ application_id: z.string(), name: z.string(), created_at: time })
  .meta({
    id: 'Application',
    examples: [{ application_id: anyId, name: 'payments', created_at: '2026-11-21T07:02:09.000Z' }],
  });

export const keyAnswer = z
  .object({
    key_id: z.string(),
    key: z.string().meta({ description: 'Shown this once; only its hash is kept' }),
    application_id: z.string(),
    scopes: z.array(scope),
  })
  .meta({
    id: 'NewKey',
    examples: [
      {
        key_id: anyId,
        key: 'sluice_qZ7bq0Y5nq8mJX2o0c4XG1l6v0rU3v9wE5tY8kB2dNs',
        application_id: anyId,
        scopes: ['read', 'write'],
      },
    ],
  });
