import { Failure } from '../domain/failures.js';
import type { ConcurrentStep } from './migrationFiles.js';
import type { MigratorSession } from './migratorSession.js';
import { firstOf } from './rows.js';
import type { Sql } from './rows.js';

type Creation = Extract<ConcurrentStep, { does: 'create' }>;

interface Standing {
  /** False when whoever built it was stopped: it is kept up to date and answers nothing. */
  valid: boolean;
  /** Unique or not, and how PostgreSQL writes what is indexed. */
  definition: string;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** How PostgreSQL writes an index down, without the names of its schema and itself. */
async function standing(sql: Sql, index: string, table?: string): Promise<Standing | undefined> {
  const rows = await sql<Standing[]>`
    SELECT i.indisvalid AS valid,
      i.indisunique || ' ' || t.relname || ' ' || regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', '') AS definition
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE i.indexrelid = to_regclass(${quoted(index)})
      AND (${table ?? null}::text IS NULL OR i.indrelid = to_regclass(${table ?? null}))`;
  return firstOf(rows);
}

/** What the statement asks for: PostgreSQL makes it of an empty copy of the table that bears the table's name. */
async function wanted(sql: Sql, step: Creation): Promise<string | undefined> {
  const made: { definition?: string } = {};
  const undo = new Error('only to look');
  const table = quoted(step.table);
  await sql
    .begin(async (tx) => {
      await tx.unsafe(`CREATE TEMP TABLE ${table} (LIKE ${table})`);
      await tx.unsafe(step.statement.replace(/ CONCURRENTLY /i, ' '));
      const found = await standing(tx as unknown as Sql, step.index, `pg_temp.${table}`);
      if (found !== undefined) made.definition = found.definition;
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  return made.definition;
}

const dropInvalid = (session: MigratorSession, index: string): Promise<unknown> =>
  session.sql.unsafe(`DROP INDEX CONCURRENTLY IF EXISTS ${quoted(index)}`);

async function create(session: MigratorSession, step: Creation): Promise<void> {
  const found = await standing(session.sql, step.index);
  if (found?.valid === true) {
    // A migrator that was killed before it wrote its journal, or an operator in a quiet hour, has built it.
    if (found.definition === (await wanted(session.sql, step))) return;
    throw new Failure('MISCONFIGURED', `another index is called ${step.index}: rename or drop it`);
  }
  if (found !== undefined) await dropInvalid(session, step.index);
  try {
    await session.sql.unsafe(step.statement);
  } catch (error) {
    // Half an index slows down every write and answers nothing. Who cannot drop it now does so at the next start.
    if (!session.lost) await dropInvalid(session, step.index).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes or drops one index while others read and write the table, and resolves when it is so. May be begun again after it was
 * broken off anywhere: what stands already is left, half an index is dropped and built again.
 */
export async function takeConcurrentStep(session: MigratorSession, step: ConcurrentStep): Promise<void> {
  if (step.does === 'create') return create(session, step);
  if ((await standing(session.sql, step.index)) !== undefined) await session.sql.unsafe(step.statement);
}
