import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import * as schema from '../../drizzle/schema.js';
import type { World } from './world.js';
import { openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** How a value shows at run time what its type in the schema promises. */
type KindOf<Value> = [Value] extends [Date]
  ? 'Date'
  : [Value] extends [Uint8Array]
    ? 'Uint8Array'
    : [Value] extends [string[]]
      ? 'string[]'
      : [Value] extends [string]
        ? 'string'
        : [Value] extends [number]
          ? 'number'
          : [Value] extends [boolean]
            ? 'boolean'
            : 'any JSON';

function kindOf(value: unknown): string {
  if (value instanceof Date) return 'Date';
  if (value instanceof Uint8Array) return 'Uint8Array';
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return 'string[]';
  if (typeof value === 'object') return 'any JSON';
  return typeof value;
}

type Typed = { _: { data: unknown } };
/** A column of the schema, what the types say that comes of it (`tsc` checks it), and a value of its type in SQL. */
function column<Column extends Typed>(like: Column, says: KindOf<Column['_']['data']>, sample: string) {
  return { like: like as unknown as { columnType: string; getSQLType(): string }, says, sample };
}

/** One of each type of column that the schema has. */
const samples = [
  column(schema.items.itemId, 'string', "'item'"),
  column(schema.alerts.key, 'string', "'text'"),
  column(schema.items.createdAt, 'Date', "'2026-11-27 10:00:00.123456+00'"),
  column(schema.transactions.date, 'Date', "'2026-11-27'"),
  column(schema.transactions.amount, 'string', "'12.340'"),
  column(schema.items.remines, 'number', "'7'"),
  column(schema.items.lastSequence, 'number', "'9007199254740991'"),
  column(schema.accounts.isMain, 'boolean', "'true'"),
  column(schema.webhooks.body, 'Uint8Array', "'\\x00ff'"),
  column(schema.webhooks.webhookId, 'string', "'00000000-0000-4000-8000-000000000000'"),
  column(schema.webhooks.removedIds, 'string[]', "'{a,b}'"),
  column(schema.events.xid, 'string', "'9007199254740993'"),
  column(schema.webhooks.headers, 'any JSON', `'{"a": 1}'`),
  column(schema.transactions.raw, 'any JSON', `'{"a": 1}'`),
];

/** SQL type and Drizzle's kind of a column: the latter decides its type in TypeScript. */
const typeOf = (of: { columnType: string; getSQLType(): string }) => `${of.getSQLType()} as ${of.columnType}`;

describe('what the driver gives for a column', () => {
  it.each(samples.map((sample) => [typeOf(sample.like), sample] as const))(
    'is what the types say: %s',
    async (_, { like, says, sample }) => {
      const type = like.getSQLType().replace(/ COLLATE .*/, '');
      const [row] = await world.sql.unsafe(`SELECT CAST(${sample} AS ${type}) AS value`);
      expect(kindOf(row?.value)).toBe(says);
    },
  );

  it('is known here of every type that the schema has', () => {
    const known = new Set(samples.map(({ like }) => typeOf(like)));
    const tables = Object.values(schema as Record<string, unknown>).filter((value) => is(value, PgTable));
    const unknown = tables.flatMap((table) =>
      Object.values(getTableColumns(table))
        .filter((of) => !known.has(typeOf(of)))
        .map((of) => `${getTableName(table)}.${of.name}: ${typeOf(of)}`),
    );
    expect(tables.length).toBeGreaterThan(20);
    expect(unknown).toEqual([]);
  });

  it.each([
    '0001-01-01T00:00:00.000Z',
    '0026-11-20T07:02:09.120Z',
    '0099-12-31T23:59:59.999Z',
    '0100-01-01T00:00:00.000Z',
  ])('is the time that was stored, in years that JavaScript takes for others: %s', async (at) => {
    const [row] = await world.sql<{ moment: Date; day: Date }[]>`
        SELECT ${at}::text::timestamptz AS moment, ${at}::text::date AS day`;
    expect([row?.moment.toISOString(), row?.day.toISOString().slice(0, 10)]).toEqual([at, at.slice(0, 10)]);
  });
});
