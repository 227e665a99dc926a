import { getTableName } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import { secretContext } from '../../domain/ids.js';
import type { SealedKind } from '../../domain/ids.js';
import type { SealedRowStore } from '../../domain/ports/secrets.js';
import type { Fragment, Sql } from '../rows.js';
import { accountNumbers, endpoints, idempotencyKeys, items, links } from '../schema.js';
import type { NameOf } from '../selection.js';

/** Where secrets of a kind are: the columns are `<column>_key_id`, `<column>_data_key`, `<column>_ciphertext`. */
interface Place {
  table: string;
  id: readonly string[];
  column: string;
  context: (id: readonly string[]) => string;
}

/** What stands before `ending` in the names of a table's columns. */
type Before<Table extends PgTable, Ending extends string> =
  NameOf<Table> extends infer Column ? (Column extends `${infer Start}${Ending}` ? Start : never) : never;

/** A place of which the schema knows every column. */
const place = <Table extends PgTable>(
  table: Table,
  id: readonly NameOf<Table>[],
  column: Before<Table, '_key_id'> & Before<Table, '_data_key'> & Before<Table, '_ciphertext'>,
  context: Place['context'],
): Place => ({ table: getTableName(table), id, column, context });

const places: Readonly<Record<SealedKind, Place>> = {
  'access tokens': place(items, ['item_id'], 'access_token', ([itemId = '']) =>
    secretContext.accessToken(itemId),
  ),
  'public tokens': place(links, ['token_hash'], 'public_token', ([tokenHash = '']) =>
    secretContext.publicToken(tokenHash),
  ),
  'account numbers': place(
    accountNumbers,
    ['item_id', 'account_id'],
    'numbers',
    ([itemId = '', accountId = '']) => secretContext.accountNumbers(itemId, accountId),
  ),
  answers: place(
    idempotencyKeys,
    ['application_id', 'method', 'path', 'key'],
    'answer',
    ([applicationId = '', method = '', path = '', key = '']) =>
      secretContext.answer(applicationId, method, path, key),
  ),
  'endpoint secrets': place(endpoints, ['endpoint_id'], 'secret', ([endpointId = '']) =>
    secretContext.endpointSecret(endpointId),
  ),
  'previous endpoint secrets': place(endpoints, ['endpoint_id'], 'previous', ([endpointId = '']) =>
    secretContext.endpointSecret(endpointId),
  ),
};

/** Every secret that the database holds, of whatever kind, for the re-wrapping of data keys. */
export function sealedRowStore(sql: Sql): SealedRowStore {
  const list = (values: readonly string[]): Fragment[] =>
    values.map((value, n) => (n === 0 ? sql`${value}` : sql`, ${value}`));

  return {
    async page(kind, exceptKeyId, limit, after) {
      const { table, id, column, context } = places[kind];
      const keyId = sql(`${column}_key_id`);
      const dataKey = sql(`${column}_data_key`);
      const ciphertext = sql(`${column}_ciphertext`);
      const rows = await sql<
        { id: string[]; key_id: string; data_key: Uint8Array; ciphertext: Uint8Array }[]
      >`
        SELECT ARRAY[${sql(id)}]::text[] AS id, ${keyId} AS key_id, ${dataKey} AS data_key, ${ciphertext} AS ciphertext
        FROM ${sql(table)}
        WHERE ${keyId} IS NOT NULL AND ${dataKey} IS NOT NULL AND ${ciphertext} IS NOT NULL
          ${exceptKeyId === null ? sql`` : sql`AND ${keyId} <> ${exceptKeyId}`}
          ${after === null ? sql`` : sql`AND (${sql(id)}) > (${list(after)})`}
        ORDER BY ${sql(id)} LIMIT ${limit}`;
      return rows.map(({ id: key, key_id, data_key, ciphertext: bytes }) => ({
        kind,
        id: key,
        context: context(key),
        sealed: { keyId: key_id, dataKey: data_key, ciphertext: bytes },
      }));
    },

    async replace({ kind, id, sealed: before }, after) {
      const { table, id: columns, column } = places[kind];
      const keyId = sql(`${column}_key_id`);
      const dataKey = sql(`${column}_data_key`);
      // Compared, since the row may hold another secret by now: only the very data key that was re-wrapped is replaced.
      const replaced = await sql`
        UPDATE ${sql(table)} SET ${keyId} = ${after.keyId}, ${dataKey} = ${after.dataKey}
        WHERE (${sql(columns)}) = (${list(id)}) AND ${keyId} = ${before.keyId} AND ${dataKey} = ${before.dataKey}
        RETURNING 1`;
      return replaced.length > 0;
    },

    async keysInUse() {
      const counted = await Promise.all(
        Object.values(places).map(({ table, column }) => {
          const keyId = sql(`${column}_key_id`);
          return sql<{ key: string; count: number }[]>`
            SELECT ${keyId} AS key, count(*)::int AS count FROM ${sql(table)} WHERE ${keyId} IS NOT NULL GROUP BY 1`;
        }),
      );
      const inUse = new Map<string, number>();
      for (const { key, count } of counted.flat()) inUse.set(key, (inUse.get(key) ?? 0) + count);
      return inUse;
    },
  };
}
