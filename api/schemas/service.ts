import { z } from 'zod';

export const liveAnswer = z.object({ status: z.literal('up') }).meta({ examples: [{ status: 'up' }] });

export const readyAnswer = z
  .object({
    status: z.literal('ready'),
    dependencies: z.record(
      z.string(),
      z.object({
        status: z.enum(['up', 'down']),
        reason: z
          .string()
          .optional()
          .meta({ description: 'One line for operators, where something is missing or set up wrongly' }),
      }),
    ),
  })
  .meta({
    examples: [
      { status: 'ready', dependencies: { postgresql: { status: 'up' }, temporal: { status: 'up' } } },
    ],
  });
