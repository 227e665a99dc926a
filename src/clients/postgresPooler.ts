import postgres from 'postgres';
import { pooledByTransaction, sessionsAreOwn } from '../../domain/databaseSession.js';
import type { AskServerProcess } from '../../domain/databaseSession.js';
import { Failure } from '../../domain/failures.js';

/** Less than a connection of the pool may take, since one waits for the answer. */
const answerWithinMs = 4_000;

const open = (url: string): postgres.Sql =>
  postgres(url, { max: 1, connect_timeout: 3, fetch_types: false, onnotice: () => undefined });

const processOf =
  (sql: postgres.Sql): AskServerProcess =>
  async () => {
    const [row] = await sql.unsafe<{ pid: number }[]>('SELECT pg_backend_pid() AS pid');
    if (row === undefined) throw new Failure('UPSTREAM_DOWN', 'the database does not say who answers');
    return row.pid;
  };

/**
 * Resolves when connections to `url`, behind a pooler, have sessions of their own. Rejects with MISCONFIGURED when they are
 * shared, with UPSTREAM_DOWN when that cannot be told in four seconds. Opens two connections, and closes them.
 */
export async function assertOwnSessions(url: string): Promise<void> {
  const pair = [open(url), open(url)] as const;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Failure('UPSTREAM_DOWN', 'the pooler in front of the database has no session free')),
      answerWithinMs,
    );
  });
  try {
    const own = await Promise.race([sessionsAreOwn(processOf(pair[0]), processOf(pair[1])), late]);
    if (!own) throw new Failure('MISCONFIGURED', pooledByTransaction, { retryable: true });
  } finally {
    clearTimeout(timer);
    for (const sql of pair) void sql.end({ timeout: 0 }).catch(() => undefined);
  }
}
