import { z } from 'zod';
import { shown, time } from './shared.js';
import { userParams } from './users.js';

export const floatParams = z.strictObject({
  ...userParams.shape,
  floatId: shown(128).meta({ description: "The owner's own id of the float", examples: ['float-7'] }),
});

const floatStatus = z.enum(['active', 'closed']);

export const floatBody = z
  .strictObject({ status: floatStatus })
  .meta({ examples: [{ status: 'active' }, { status: 'closed' }] });

export const floatAnswer = z
  .object({
    user_id: z.string(),
    float_id: z.string(),
    status: floatStatus,
    occurred_at: time.meta({ description: 'When it became so' }),
  })
  .meta({
    id: 'Float',
    examples: [
      {
        user_id: 'user-42',
        float_id: 'float-7',
        status: 'active',
        occurred_at: '2026-11-21T07:02:09.000Z',
      },
    ],
  });
