import { z } from 'zod';
import { refinedAccount } from './accounts.js';
import { digits, flag, limit, longestCursor, words } from './shared.js';
import { refinedTransaction } from './transactions.js';

const records = ['transaction', 'account'] as const;

/** Sequences are whole numbers up to 2^53. */
const sequence = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : digits(value);

export const changesQuery = z.strictObject({
  after: z
    .preprocess(sequence, z.int().min(0))
    .optional()
    .meta({ description: '`next` of the answer before; without it from the beginning' }),
  record: words('Changes of these only, separated by commas; each needs its scope', records, [...records]),
  snapshot: flag('The live records in place of changes: the way to begin, and to begin anew'),
  cursor: z
    .string()
    .min(1)
    .max(longestCursor)
    .optional()
    .meta({ description: 'With `snapshot`: `next_cursor` of the page before' }),
  limit,
});

const example = refinedTransaction.meta()?.['examples'] as [{ id: string }];

const change = z
  .object({
    sequence: z
      .int()
      .meta({ description: 'Rises with each change of the item; in a snapshot where that stands' }),
    record: z.enum(records),
    change: z.enum(['added', 'modified', 'removed']).meta({
      description: 'Take `added` and `modified` alike: a record may have been changed before it was granted',
    }),
    subject: z.string().meta({ description: 'Id of the transaction or account' }),
    version: z.int().min(1),
    object: z
      .union([refinedTransaction, refinedAccount])
      .nullable()
      .meta({ description: 'The record as it was then, refined; null when it was removed' }),
  })
  .meta({ id: 'Change' });

export const changesAnswer = z
  .object({
    data: z.array(change),
    next: z.int().meta({
      description: 'Pass it on as `after`. Of a snapshot: where the feed goes on once all pages were read',
    }),
    has_more: z.boolean().meta({ description: 'More is there already; also behind a page that is empty' }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Of a snapshot: its next page; null at its end, and in the feed' }),
  })
  .meta({
    id: 'ChangePage',
    examples: [
      {
        data: [
          {
            sequence: 412,
            record: 'transaction',
            change: 'added',
            subject: example[0].id,
            version: 1,
            object: example[0],
          },
        ],
        next: 412,
        has_more: false,
        next_cursor: null,
      },
    ],
  });
