import postgres from 'postgres';
import { createTestDatabase } from './testDatabase.js';

const tables = async (url: string): Promise<string[]> => {
  const sql = postgres(url, { max: 1 });
  try {
    const rows = await sql<{ name: string }[]>`
      select table_name as name from information_schema.tables where table_schema = 'public' order by 1`;
    return rows.map(({ name }) => name);
  } finally {
    await sql.end();
  }
};

describe('a test database', () => {
  it('is migrated, a new one for each caller, also when all ask at once, and is gone after drop', async () => {
    const databases = await Promise.all([1, 2, 3].map(() => createTestDatabase()));
    expect(new Set(databases.map(({ url }) => url)).size).toBe(3);
    for (const { url } of databases) expect(await tables(url)).toContain('transactions');
    await Promise.all(databases.map((database) => database.drop()));
    await expect(tables(databases[0]?.url ?? '')).rejects.toThrow('does not exist');
  });
});
