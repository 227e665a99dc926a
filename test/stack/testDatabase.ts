import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { migrate } from '../../drizzle/migrate.js';
import { testStack } from './testStack.js';

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

const TEMPLATE = 'sluice_migrated';
/** Any number: which of the test processes makes the template. */
const TEMPLATE_LOCK = 7_200_113;

/** A fresh migrated database for one test file: copied from a template that the first caller migrates. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await administer(async (sql) => {
    // Also while copying: PostgreSQL refuses to copy a database that another session is in.
    await sql`select pg_advisory_lock(${TEMPLATE_LOCK})`;
    const [template] = await sql`select datistemplate from pg_database where datname = ${TEMPLATE}`;
    if (!template?.['datistemplate']) {
      // A template that is not marked is the half work of a caller that failed.
      await sql.unsafe(`drop database if exists ${TEMPLATE}`);
      await sql.unsafe(`create database ${TEMPLATE}`);
      await migrate(urlOf(TEMPLATE));
      await sql.unsafe(`alter database ${TEMPLATE} is_template true`);
    }
    await sql.unsafe(`create database ${name} template ${TEMPLATE}`);
  });
  return databaseOf(name);
}

/** What a database holds at this moment, as a backup keeps it. Its sessions are ended: no other way does PostgreSQL copy it. */
export async function backUp(url: string): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const source = new URL(url).pathname.slice(1);
  await administer(async (sql) => {
    await sql.unsafe(`alter database ${source} allow_connections false`);
    await sql`select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = ${source}`;
    await sql.unsafe(`create database ${name} template ${source}`);
    await sql.unsafe(`alter database ${source} allow_connections true`);
  });
  return databaseOf(name);
}

const databaseOf = (name: string): TestDatabase => ({
  url: urlOf(name),
  drop: () => administer((sql) => sql.unsafe(`drop database if exists ${name} with (force)`)),
});

function urlOf(database: string): string {
  const url = new URL(testStack().database_url);
  url.pathname = `/${database}`;
  return url.href;
}

async function administer(work: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(urlOf('postgres'), { max: 1, connect_timeout: 10, onnotice: () => undefined });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
