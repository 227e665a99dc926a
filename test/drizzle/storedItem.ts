import type postgres from 'postgres';

export interface StoredTransaction {
  transaction_id: string;
  account_id: string | null;
  status: string;
  date: string;
  amount: string | null;
  currency: string | null;
  raw: Record<string, unknown> | null;
  refined: Record<string, unknown>;
  version: number;
  sanitized: boolean;
}

export interface StoredChange {
  sequence: number;
  record: string;
  removed: boolean;
  subject: string;
  version: number;
  raw: unknown;
  refined: Record<string, unknown>;
}

/** What the tables hold of one Item, in a stable order. */
export function storedItem(sql: postgres.Sql, itemId: string) {
  return {
    transactions: async () => [
      ...(await sql<StoredTransaction[]>`
        SELECT transaction_id, account_id, status, date::text AS date, amount::text AS amount, currency, raw, refined,
          version, sanitized
        FROM transactions WHERE item_id = ${itemId} ORDER BY transaction_id`),
    ],
    accounts: async () => [
      ...(await sql<
        {
          account_id: string;
          status: string;
          is_main: boolean;
          raw: unknown;
          refined: Record<string, unknown>;
          version: number;
          as_of: Date;
          sanitized: boolean;
          replaces: string | null;
          replaced_by: string | null;
        }[]
      >`
        SELECT account_id, status, is_main, raw, refined, version, as_of, sanitized, replaces, replaced_by
        FROM accounts WHERE item_id = ${itemId} ORDER BY account_id`),
    ],
    outbox: async () => [
      ...(await sql<StoredChange[]>`
        SELECT sequence, record, removed, subject, version, raw, refined
        FROM outbox WHERE item_id = ${itemId} ORDER BY sequence`),
    ],
    row: async () => {
      const [row] = await sql`SELECT * FROM items WHERE item_id = ${itemId}`;
      if (row === undefined) throw new Error('no such Item');
      return row as Record<string, unknown>;
    },
    staged: async (): Promise<number> => {
      const [row] = await sql<[{ n: number }]>`
        SELECT count(*)::int AS n FROM staged_pages WHERE item_id = ${itemId}`;
      return row.n;
    },
  };
}
