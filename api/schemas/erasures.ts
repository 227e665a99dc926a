import { z } from 'zod';
import { anyId, id, time } from './shared.js';

const erasureId = `era_${anyId}`;
const userHash = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae';

export const erasureParams = id('Id of the erasure', erasureId);

export const erasureQuery = z.strictObject({
  force: z
    .enum(['true', 'false'], 'must be true or false')
    .default('false')
    .transform((value) => value === 'true')
    .meta({ description: 'Although the user has an active float', 'x-default': false }),
});

export const erasureAnswer = z
  .object({
    erasure_id: z.string(),
    user_hash: z
      .string()
      .meta({ description: 'SHA-256 of the user id (UTF-8), hex: the id itself is kept nowhere' }),
    state: z.enum(['removing', 'deleting', 'done']).meta({
      description:
        '`removing`: items are being removed at Plaid, or links are ending (`left`); `deleting`: rows and workflows are; `done`: nothing is left',
    }),
    left: z.object({ items: z.int().min(0), links: z.int().min(0) }),
    requested_at: time,
    ended_at: time.nullable(),
    deleted: z.record(z.string(), z.int()).meta({ description: 'Rows by table, so far' }),
  })
  .meta({
    id: 'Erasure',
    examples: [
      {
        erasure_id: erasureId,
        user_hash: userHash,
        state: 'removing',
        left: { items: 1, links: 0 },
        requested_at: '2026-11-27T10:00:00.000Z',
        ended_at: null,
        deleted: {},
      },
      {
        erasure_id: erasureId,
        user_hash: userHash,
        state: 'done',
        left: { items: 0, links: 0 },
        requested_at: '2026-11-27T10:00:00.000Z',
        ended_at: '2026-11-27T10:04:11.000Z',
        deleted: { transactions: 1500, accounts: 3, items: 1, users: 1 },
      },
    ],
  });

export const exportAnswer = z.string().meta({
  examples: [
    '{"type":"export","user_id":"user-42","at":"2026-11-27T10:00:00.000Z"}\n' +
      '{"type":"user","user_id":"user-42","created_at":"2026-11-20T10:00:00.000Z","activated_at":"2026-11-20T10:00:01.000Z"}\n' +
      '{"type":"end","lines":1}\n',
  ],
});
