import type { Sql } from '../../drizzle/rows.js';

/** What the database refuses for as long as something else is done. */
export interface RefusedRows {
  /** Statements, as a trigger names them: `UPDATE ON items`. */
  statements: readonly string[];
  /** Which rows, as a condition on `NEW`. */
  rows: string;
  /** SQLSTATE; default a check that is violated, which no waiting mends. */
  code?: string;
}

/** The database refuses what it is told to while `work` goes on; the triggers are called `refuse`. */
export async function whileRefused<T>(
  sql: Sql,
  { statements, rows, code = '23514' }: RefusedRows,
  work: () => Promise<T>,
): Promise<T> {
  await sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF ${rows} THEN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END IF;
      RETURN NEW;
    END $$`);
  for (const statement of statements)
    await sql.unsafe(`CREATE TRIGGER refuse BEFORE ${statement} FOR EACH ROW EXECUTE FUNCTION refuse()`);
  try {
    return await work();
  } finally {
    await sql.unsafe('DROP FUNCTION refuse CASCADE');
  }
}
