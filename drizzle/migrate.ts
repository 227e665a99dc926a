import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Failure } from '../domain/failures.js';
import { takeConcurrentStep } from './concurrentIndex.js';
import { databaseFailure } from './failures.js';
import { readMigrations } from './migrationFiles.js';
import type { Migration } from './migrationFiles.js';
import { openMigratorSession, watchHolders } from './migratorSession.js';
import type { Holders, MigratorSession, OnWait } from './migratorSession.js';
import type { Sql } from './rows.js';

/** Times in milliseconds. */
export interface MigrateOptions {
  /** Called with one line when something is waited for. */
  onWait?: OnWait;
  /** Where the migrations are; default: ours. */
  folder?: string;
  /**
   * For a lock that somebody else holds, in a transaction; default 2 s. All that come after us wait behind us: so we rather
   * step back, let them by and try again.
   */
  lockTimeoutMs?: number;
  /** The same for an index made CONCURRENTLY, behind which nobody waits; default 10 min. */
  concurrentLockTimeoutMs?: number;
  /** How long a migration that does not get its locks is tried; default 15 min. */
  patienceMs?: number;
  /** Between two tries; default 1 s, doubled each time up to 15 s. */
  pauseMs?: number;
}

const ourFolder = fileURLToPath(new URL('./migrations', import.meta.url));
const longestPauseMs = 15_000;
/** lock_not_available, and deadlock_detected: those who hold it go on, and so may we when they are through. */
const lockCodes: ReadonlySet<unknown> = new Set(['55P03', '40P01']);

const isAboutLocks = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && lockCodes.has(error.code);

/** The journal is Drizzle's, with its names: databases have it from migrators before this one. */
async function applied(sql: Sql): Promise<ReadonlySet<number>> {
  await sql.unsafe(`
    CREATE SCHEMA IF NOT EXISTS drizzle;
    CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`);
  const rows = await sql<{ at: number }[]>`SELECT created_at::float8 AS at FROM drizzle.__drizzle_migrations`;
  return new Set(rows.map(({ at }) => at));
}

const writeJournal = (sql: Sql, { hash, createdAt }: Migration): Promise<unknown> =>
  sql`INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES (${hash}, ${createdAt})`;

/** Does one migration and notes it. Broken off anywhere it leaves nothing, or what it can go on with. */
async function apply(session: MigratorSession, migration: Migration, options: MigrateOptions): Promise<void> {
  const { work } = migration;
  const inTransaction = work.kind === 'transaction';
  const lockTimeoutMs = inTransaction
    ? (options.lockTimeoutMs ?? 2_000)
    : (options.concurrentLockTimeoutMs ?? 600_000);
  await session.sql.unsafe(`SET lock_timeout = ${lockTimeoutMs}`);
  if (inTransaction) {
    await session.sql.begin(async (tx) => {
      for (const statement of work.statements) await tx.unsafe(statement);
      await writeJournal(tx as unknown as Sql, migration);
    });
    return;
  }
  for (const step of work.steps) await takeConcurrentStep(session, step);
  await writeJournal(session.sql, migration);
}

/** Tries a migration until it has got its locks, or patience ends. */
async function applyPatiently(
  session: MigratorSession,
  holders: Holders,
  migration: Migration,
  options: MigrateOptions,
): Promise<void> {
  const deadline = performance.now() + (options.patienceMs ?? 900_000);
  for (let pauseMs = options.pauseMs ?? 1_000; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await apply(session, migration, options);
    } catch (error) {
      if (!isAboutLocks(error)) throw error;
      const who = holders.take();
      const what = `a lock that ${who === '' ? 'others hold' : `is held by ${who}`}`;
      if (performance.now() + pauseMs > deadline)
        throw new Failure('UPSTREAM_DOWN', `gave up waiting for ${what}`);
      options.onWait?.(`migration ${migration.tag} waits for ${what}, trying again`);
      await sleep(pauseMs);
    }
  }
}

/** As the domain knows it, with the migration's name. PostgreSQL's own text may quote rows. */
function failureOf(error: unknown, tag: string): unknown {
  const failure = databaseFailure(error);
  if (!(failure instanceof Failure)) return failure;
  return new Failure(failure.type, `migration ${tag}: ${failure.message}`, { retryable: failure.retryable });
}

async function applyAll(url: string, session: MigratorSession, options: MigrateOptions): Promise<void> {
  const before = await applied(session.sql);
  const waiting = readMigrations(options.folder ?? ourFolder).filter(
    ({ createdAt }) => !before.has(createdAt),
  );
  if (waiting.length === 0) return;
  const holders = watchHolders(url, session, Math.min((options.lockTimeoutMs ?? 2_000) / 4, 500));
  try {
    for (const migration of waiting) {
      try {
        await applyPatiently(session, holders, migration, options);
      } catch (error) {
        throw failureOf(error, migration.tag);
      }
    }
  } finally {
    await holders.end();
  }
}

/**
 * Brings the database to the newest schema. Of many migrators one works, the others wait and find nothing to do. Each migration
 * is a transaction of its own, or a list of indexes made CONCURRENTLY. It is noted in the journal when it stands: a migrator
 * that was killed leaves work which the next one ends.
 *
 * Rejects with a Failure that names the migration; UPSTREAM_DOWN when it does not get its locks in time.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<void> {
  try {
    const session = await openMigratorSession(databaseUrl, options.onWait ?? (() => undefined));
    try {
      await applyAll(databaseUrl, session, options);
    } finally {
      await session.end();
    }
  } catch (error) {
    throw databaseFailure(error);
  }
}
