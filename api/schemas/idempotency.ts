import { z } from 'zod';
import { pattern } from './shared.js';

export const idempotencyHeaders = z.looseObject({
  'idempotency-key': z
    .string()
    .regex(pattern('^[\\u0021-\\u007e]{1,255}$'), 'must be 1 to 255 visible ASCII characters')
    .optional()
    .meta({
      description: 'Any text of your own, new for each request that is not a repeat: a UUID, say',
      examples: ['7a0c5a57-1d5f-4a49-9a8b-0f7f4c1b8f0e'],
    }),
});
