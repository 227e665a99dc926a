import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import type { MigrateOptions } from '../../drizzle/migrate.js';
import { testStack } from '../stack/testStack.js';

/** An empty database and a folder of migrations, both of one test alone. */
export interface MigrationWorld {
  url: string;
  /** Eight connections that are not the migrator's. */
  sql: postgres.Sql;
  folder: string;
  /** Adds a migration to the folder. */
  add(tag: string, ...statements: string[]): void;
  /** The tags in the database's journal, in the order in which they were noted. */
  applied(): Promise<string[]>;
  close(): Promise<void>;
}

export async function openMigrationWorld(): Promise<MigrationWorld> {
  const name = `migrations_${randomUUID().replaceAll('-', '')}`;
  const administer = async (statement: string): Promise<void> => {
    const admin = postgres(testStack().database_url, { max: 1, onnotice: () => undefined });
    try {
      await admin.unsafe(statement);
    } finally {
      await admin.end({ timeout: 5 });
    }
  };
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(testStack().database_url);
  url.pathname = `/${name}`;
  const sql = postgres(url.href, { max: 8, onnotice: () => undefined });
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-migrations-'));
  mkdirSync(path.join(folder, 'meta'));
  const entries: { idx: number; when: number; tag: string }[] = [];
  return {
    url: url.href,
    sql,
    folder,
    add(tag, ...statements) {
      entries.push({ idx: entries.length, when: 1_000 + entries.length, tag });
      writeFileSync(path.join(folder, `${tag}.sql`), statements.join('--> statement-breakpoint\n'));
      writeFileSync(path.join(folder, 'meta/_journal.json'), JSON.stringify({ entries }));
    },
    async applied() {
      const rows = await sql<{ at: number }[]>`
        SELECT created_at::int AS at FROM drizzle.__drizzle_migrations ORDER BY id`;
      return rows.map(({ at }) => entries.find(({ when }) => when === at)?.tag ?? `unknown ${at}`);
    },
    async close() {
      await sql.end({ timeout: 5 });
      await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Asks until it is so. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Whether a migrator waits in the server for a lock. */
export async function migratorWaits({ sql }: MigrationWorld): Promise<boolean> {
  const rows = await sql`
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'sluice-migrator' AND cardinality(pg_blocking_pids(pid)) > 0`;
  return rows.length > 0;
}

/** How many sessions of migrators the server has. */
export async function migratorSessions({ sql }: MigrationWorld): Promise<number> {
  const rows = await sql`
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice-migrator%'`;
  return rows.length;
}

export interface Index {
  name: string;
  valid: boolean;
}

export const indexesOf = ({ sql }: MigrationWorld, table: string): Promise<Index[]> =>
  sql<Index[]>`
    SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index
    WHERE indrelid = to_regclass(${table}) ORDER BY 1`;

/**
 * Runs `work` while another transaction has done `statement` and is not ended; `work` may end it before. The transaction's
 * end is awaited.
 */
export async function during<T>(
  { sql }: MigrationWorld,
  statement: string,
  work: (end: () => void) => Promise<T>,
): Promise<T> {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  let begun: () => void = () => undefined;
  const began = new Promise<void>((resolve) => (begun = resolve));
  const transaction = sql.begin(async (tx) => {
    await tx.unsafe(statement);
    begun();
    await ended;
  });
  try {
    await Promise.race([began, transaction]);
    return await work(end);
  } finally {
    end();
    await transaction;
  }
}

export type ProcessOptions = Omit<MigrateOptions, 'onWait' | 'folder'>;
