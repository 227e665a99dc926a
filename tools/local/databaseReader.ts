import postgres from 'postgres';
import type { StoredRecord } from './compare.js';

/** Reads what is stored straight from the tables: the comparison must not trust the API that it checks. */
export interface DatabaseReader {
  readItem(itemId: string): Promise<{ transactions: StoredRecord[]; accounts: StoredRecord[] }>;
  /** Live transactions stored. */
  countTransactions(itemId: string): Promise<number>;
  /** Changes that a stream has not accepted yet. */
  countUnsent(itemId: string): Promise<number>;
  close(): Promise<void>;
}

type Json = StoredRecord['raw'];

export function openDatabaseReader(databaseUrl: string): DatabaseReader {
  const sql = postgres(databaseUrl, { max: 2, connect_timeout: 10, onnotice: () => undefined });
  return {
    readItem: (itemId) =>
      // One snapshot: accounts and transactions change together.
      sql.begin('isolation level repeatable read read only', async (snapshot) => {
        const transactions = await snapshot<
          { id: string; raw: Json | null; refined: Json; status: string }[]
        >`
          select transaction_id as id, raw, refined, status from transactions where item_id = ${itemId}`;
        const accounts = await snapshot<{ id: string; raw: Json; refined: Json; status: string }[]>`
          select account_id as id, raw, refined, status from accounts where item_id = ${itemId}`;
        return {
          transactions: transactions.map(({ id, raw, refined, status }) => ({
            id,
            raw: raw ?? {},
            refined,
            live: status !== 'removed',
          })),
          accounts: accounts.map(({ id, raw, refined, status }) => ({
            id,
            raw,
            refined,
            live: status === 'open',
          })),
        };
      }),
    countTransactions: async (itemId) => {
      const [row] = await sql<{ count: number }[]>`
        select count(*)::int as count from transactions where item_id = ${itemId} and status <> 'removed'`;
      return row?.count ?? 0;
    },
    countUnsent: async (itemId) => {
      const [row] = await sql<{ count: number }[]>`
        select count(*)::int as count
        from outbox cross join (values ('raw'), ('refined')) as forms (form)
        left join outbox_marks marks
          on marks.item_id = outbox.item_id and marks.record = outbox.record and marks.form = forms.form
        where outbox.item_id = ${itemId} and outbox.sequence > coalesce(marks.sent, 0)`;
      return row?.count ?? 0;
    },
    close: () => sql.end({ timeout: 5 }),
  };
}
