/**
 * The words that the schemas of requests and answers share. The schemas are zod: what validates is what OpenAPI shows. One with an
 * `id` becomes a component of that name.
 */
import { z } from 'zod';
import { instantOf } from '../../domain/instants.js';

// Patterns are strings in OpenAPI too; `u` makes them count characters, as PostgreSQL and JSON Schema do, not UTF-16 units.
export const pattern = (source: string): RegExp => new RegExp(source, 'u');

export const shown = (longest: number): z.ZodString =>
  z
    .string()
    .regex(
      pattern(`^[^\\u0000-\\u001f\\u007f]{1,${longest}}$`),
      `must be 1 to ${longest} characters, none of them a control character`,
    );

/** The same, or an empty text, which says nothing: Link on Android gives that for what it does not know. */
export const shownOrEmpty = (longest: number): z.ZodString =>
  z
    .string()
    .regex(
      pattern(`^[^\\u0000-\\u001f\\u007f]{0,${longest}}$`),
      `must be at most ${longest} characters, none of them a control character`,
    );

const opaque = z.string().regex(pattern('^[A-Za-z0-9_-]{1,64}$'), 'must be an id as this API gave it');

/** Text in a body: PostgreSQL takes neither NUL nor a lone surrogate, and both can be written in JSON. */
export const storable = (longest: number): z.ZodString =>
  z
    .string()
    .regex(pattern(`^[^\\u0000]{0,${longest}}$`), `must be at most ${longest} characters without NUL`)
    .refine((value) => !/\p{Cs}/u.test(value), 'must be well-formed Unicode');

export const wellFormed = (schema: z.ZodString): z.ZodString =>
  schema.refine((value) => !/\p{Cs}/u.test(value), 'must be well-formed Unicode');

export const id = (what: string, example: string) =>
  z.strictObject({ id: opaque.meta({ description: what, examples: [example] }) });

export const anyId = '0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11';

/** Whole numbers in a query: digits only, where `Number` would take `1e2`, ` 5` and the empty text. */
export const digits = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value;

export const limit = z
  .preprocess(digits, z.int().min(1).max(500))
  .default(100)
  .meta({ description: 'Rows on a page', 'x-default': 100 });

/** Two of the longest ids of four bytes a character, in base64, and the seal. */
export const longestCursor = 4_096;

const cursor = z
  .string()
  .min(1)
  .max(longestCursor)
  .optional()
  .meta({ description: '`next_cursor` of the page before, under the same filters' });

export const paging = { limit, cursor };

export const flag = (description: string) =>
  z
    .preprocess(
      (value) => (value === 'true' ? true : value === 'false' ? false : value),
      z.boolean('must be true or false'),
    )
    .default(false)
    .meta({ description, 'x-default': false });

/** A comma-separated list of words; what is said twice counts once. */
export const words = <const Words extends readonly [string, ...string[]]>(
  description: string,
  all: Words,
  absent: Words[number][],
) =>
  z
    .preprocess(
      (value) => (typeof value === 'string' ? [...new Set(value.split(','))] : value),
      z.array(z.enum(all)).min(1),
    )
    .default(absent as never)
    .meta({ description, style: 'form', explode: false, 'x-default': absent });

export const format = z
  .enum(['refined', 'raw'])
  .default('refined')
  .meta({ description: "`raw`: Plaid's own objects as received" });

export const includeRemoved = flag('Rows of REMOVED items too, and of those that a new link has replaced');

export const day = (description: string) =>
  z.iso
    .date('must be a date such as 2026-01-31')
    // Our calendar has no year 0, and PostgreSQL refuses it.
    .regex(pattern('^(?!0000)'), 'must be in the year 1 or later')
    .optional()
    .meta({ description });

/**
 * A time in a request, from here on the instant that it names as ISO 8601 in milliseconds: PostgreSQL takes neither every zone that RFC 3339
 * can write, nor a text of any length.
 */
export const instant = (example: string) =>
  z.iso
    .datetime({ offset: true, error: `must be a time such as ${example}` })
    .regex(pattern('^(?!0000)[0-9]{4}-'), 'must be in a year from 1 to 9999')
    .refine((at) => instantOf(at) !== null, 'must be in a year from 1 to 9999, by UTC')
    .overwrite((at) => instantOf(at) ?? at);

export const noQuery = z.strictObject({});

// Said, not enforced: an answer must not fail because a stored time is written in another way.
export const time = z.string().meta({ format: 'date-time' });

export const decimal = z.string().meta({ description: 'Decimal number as text', examples: ['12.34'] });

export const plaidObject = z
  .looseObject({})
  .meta({ id: 'PlaidObject', description: "Plaid's object as received" });

export const plaidRequestId = z
  .string()
  .meta({ description: "Id of Plaid's own answer, for questions to Plaid" });

export const pageOf = <Row extends z.ZodType, Meta extends z.ZodType>(row: Row, meta: Meta) =>
  z.object({
    data: z.array(row),
    next_cursor: z.string().nullable().meta({ description: 'null at the end' }),
    has_more: z.boolean(),
    meta,
  });

/** A page with the example of its row. */
export const examplePage = (row: z.ZodType, meta: object) => ({
  examples: [
    {
      data: (row.meta()?.['examples'] as unknown[] | undefined)?.slice(0, 1) ?? [],
      next_cursor: null,
      has_more: false,
      meta,
    },
  ],
});
