import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate as applyMigrations } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';
import { databaseFailure } from './failures.js';

/** Drizzle wraps the driver's error in one that quotes the statement. */
const rootOf = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url));
/** Any number that nobody else uses in this database. */
const lockKey = 7_305_418_201;
const keepAliveSeconds = 10;

/**
 * Brings the database to the newest schema. Drizzle's migrator takes no lock, so an advisory one on the same single
 * connection lets the first of many migrators work and the others find nothing to do.
 */
export async function migrate(databaseUrl: string): Promise<void> {
  // A statement may take as long as it likes here, so nothing but TCP's own probes tells of a host that has vanished.
  const sql = postgres(databaseUrl, {
    max: 1,
    connect_timeout: 10,
    keep_alive: keepAliveSeconds,
    onnotice: () => undefined,
  });
  try {
    await sql`SELECT pg_advisory_lock(${lockKey})`;
    await applyMigrations(drizzle(sql), { migrationsFolder });
  } catch (error) {
    throw databaseFailure(rootOf(error));
  } finally {
    // The lock belongs to the connection and goes with it.
    await sql.end({ timeout: 5 });
  }
}
