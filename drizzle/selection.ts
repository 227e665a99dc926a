import { getTableName } from 'drizzle-orm';
import type { GetColumnData } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import type { Fragment, Sql, Tx } from './rows.js';

type Columns<Table extends PgTable> = Table['_']['columns'];

/** A row of a table as the driver gives it, by the names that its columns have in PostgreSQL. */
export type RowOf<Table extends PgTable> = {
  [Key in keyof Columns<Table> as Columns<Table>[Key]['_']['name']]: GetColumnData<Columns<Table>[Key]>;
};

/** The names of its columns. */
export type NameOf<Table extends PgTable> = keyof RowOf<Table> & string;

/** `null` for each column that may be it. */
type NullsOf<Table extends PgTable> = {
  [
    Key in keyof Columns<Table> as Columns<Table>[Key]['_']['name']
  ]: Columns<Table>[Key]['_']['notNull'] extends true ? never : null;
};

/** A column under another name, whether it is set, or its text as PostgreSQL writes it: a time with all its microseconds. */
type Derived<Column extends string> = Column | { isSet: Column } | { text: Column };

type ValueOf<Table extends PgTable, Wish> = Wish extends { isSet: string }
  ? boolean
  : Wish extends { text: infer Column extends NameOf<Table> }
    ? string | NullsOf<Table>[Column]
    : RowOf<Table>[Wish & NameOf<Table>];

type Flat<Row> = { [Key in keyof Row]: Row[Key] };

/** What a statement that is written by hand lists of a table. Its names are checked against the schema, which gives its types. */
export interface Selection<Row> {
  /** The list for the statement's text, where the table is called `alias` (default: its own name). */
  list(sql: Sql | Tx, alias?: string): Fragment;
  /** For the type only (`Selected`); never set. */
  readonly row?: Row;
}

/** The rows that a selection gives. */
export type Selected<Of extends Selection<unknown>> = NonNullable<Of['row']>;

/** The same rows where the statement leaves out those that have a null. */
export type Present<Row> = { [Key in keyof Row]: NonNullable<Row[Key]> };

/** That a column is not null. */
export const isSet = <const Column extends string>(column: Column) => ({ isSet: column });
/** A column as text. */
export const asText = <const Column extends string>(column: Column) => ({ text: column });

const quoted = (name: string): string => `"${name}"`;

/**
 * Columns of a table by their names in PostgreSQL, and `derived` ones under names of their own.
 * @example selection(items, ['user_id'], { removed: isSet('removed_at') }) // { user_id: string; removed: boolean }
 */
export function selection<
  Table extends PgTable,
  Taken extends NameOf<Table> = never,
  Wishes extends Record<string, Derived<NameOf<Table>>> = Record<never, never>,
>(
  table: Table,
  taken: readonly Taken[],
  derived?: Wishes,
): Selection<Flat<Pick<RowOf<Table>, Taken> & { [Key in keyof Wishes]: ValueOf<Table, Wishes[Key]> }>> {
  const tableName = getTableName(table);
  const expression = (wish: Derived<string>, of: string): string => {
    if (typeof wish === 'string') return of + quoted(wish);
    return 'isSet' in wish ? `${of}${quoted(wish.isSet)} IS NOT NULL` : `${of}${quoted(wish.text)}::text`;
  };
  return {
    list(sql, alias = tableName) {
      const of = `${quoted(alias)}.`;
      const named = Object.entries<Derived<string>>(derived ?? {}).map(
        ([name, wish]) => `${expression(wish, of)} AS ${quoted(name)}`,
      );
      return sql.unsafe([...taken.map((name) => of + quoted(name)), ...named].join(', '));
    },
  };
}
