import { z } from 'zod';
import { shown, time } from './shared.js';

export const userParams = z.strictObject({
  userId: shown(128).meta({ description: "The client's own id of the user", examples: ['user-42'] }),
});

export const userAnswer = z
  .object({
    user_id: z.string(),
    status: z.enum(['inactive', 'active']),
    activated_at: time.nullable(),
    items: z.int().min(0),
  })
  .meta({
    id: 'User',
    examples: [{ user_id: 'user-42', status: 'active', activated_at: '2026-11-20T10:00:00.000Z', items: 1 }],
  });

export const itemChangeAnswer = z
  .object({
    allowed: z.boolean(),
    reasons: z
      .array(z.enum(['ACTIVE_FLOAT', 'COOLDOWN']))
      .meta({ description: 'Why not; empty when allowed' }),
  })
  .meta({
    id: 'ItemChange',
    examples: [
      { allowed: true, reasons: [] },
      { allowed: false, reasons: ['ACTIVE_FLOAT'] },
    ],
  });
