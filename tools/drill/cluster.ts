import { appendFileSync, renameSync, rmSync, writeFileSync, chownSync } from 'node:fs';
import {
  chmod,
  copyFile,
  lstat,
  lchown,
  mkdir,
  readdir,
  readlink,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { makeFolderFor, resolvePostgresAccount } from '../local/postgresAccount.js';
import type { Stack } from '../local/stack.js';

/** The stack's PostgreSQL, as its operator keeps and restores it: a base backup, the log since, a point in time. */
export interface Cluster {
  /** From now on the log is archived beside the cluster. Restarts the server once: its setting asks for it. */
  keepLog(stack: Stack): Promise<void>;
  /** A base backup while the server works on. Resolves to when it was whole. */
  backUp(databaseUrl: string): Promise<void>;
  /** What was committed until now is in the archive when it resolves. */
  archiveAll(databaseUrl: string): Promise<void>;
  /** The server is dead: its folder is lost, and made anew from the backup. The next start goes through the log up to `at`. */
  restore(at: string): Promise<void>;
  /** Removes what stands beside the cluster. */
  cleanUp(): void;
}

/** Files that are no part of a backup: the log comes from the archive, the rest belongs to the server that runs. */
const leftOut = (name: string): boolean => name === 'postmaster.pid' || name === 'postmaster.opts';
const emptied = new Set(['pg_wal', 'pg_replslot', 'pg_stat_tmp']);

/** Copies a folder with owners and modes; what vanishes meanwhile is made good by the log. */
async function copyFolder(from: string, to: string, isCluster = true): Promise<void> {
  const { mode, uid, gid } = await lstat(from);
  await mkdir(to, { mode });
  await lchown(to, uid, gid);
  for (const name of await readdir(from)) {
    if (isCluster && leftOut(name)) continue;
    const [source, target] = [path.join(from, name), path.join(to, name)];
    const stat = await lstat(source).catch(() => null);
    if (stat === null) continue;
    if (stat.isDirectory()) {
      if (isCluster && emptied.has(name)) {
        await mkdir(target, { mode: stat.mode });
        await lchown(target, stat.uid, stat.gid);
      } else await copyFolder(source, target, false);
      continue;
    }
    try {
      if (stat.isSymbolicLink()) await symlink(await readlink(source), target);
      else {
        await copyFile(source, target);
        await chmod(target, stat.mode);
      }
      await lchown(target, stat.uid, stat.gid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** The cluster of a stack's data folder; `pg_basebackup` is no part of the embedded server, so its parts are done one by one. */
export async function openCluster(dataDir: string): Promise<Cluster> {
  const { clusterDir, user } = await resolvePostgresAccount(dataDir);
  const archive = `${clusterDir}.log`;
  const backup = `${clusterDir}.backup`;
  makeFolderFor(user, archive);

  async function withSession<T>(databaseUrl: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const sql = postgres(databaseUrl, { max: 1, idle_timeout: 0, onnotice: () => undefined });
    try {
      return await work(sql);
    } finally {
      await sql.end({ timeout: 5 });
    }
  }

  return {
    async keepLog(stack) {
      await withSession(stack.urls.database_url, async (sql) => {
        const command = `cp "%p" "${archive}/%f.part" && mv "${archive}/%f.part" "${archive}/%f"`;
        await sql.unsafe(`ALTER SYSTEM SET archive_command = ${quoted(command)}`);
        await sql.unsafe(`ALTER SYSTEM SET archive_mode = 'on'`);
      });
      await stack.restart('postgres');
    },

    backUp: (databaseUrl) =>
      withSession(databaseUrl, async (sql) => {
        await sql`SELECT pg_backup_start('drill', fast => true)`;
        rmSync(backup, { recursive: true, force: true });
        await copyFolder(clusterDir, backup);
        const [label] = await sql<
          { labelfile: string }[]
        >`SELECT labelfile FROM pg_backup_stop(wait_for_archive => true)`;
        const file = path.join(backup, 'backup_label');
        await writeFile(file, label?.labelfile ?? '', { mode: 0o600 });
        if (user) chownSync(file, user.uid, user.gid);
      }),

    archiveAll: (databaseUrl) =>
      withSession(databaseUrl, async (sql) => {
        const [at] = await sql<{ segment: string }[]>`
          SELECT pg_walfile_name(pg_current_wal_lsn()) AS segment FROM (SELECT txid_current()) AS something_to_archive`;
        await sql`SELECT pg_switch_wal()`;
        for (;;) {
          const [done] = await sql<{ done: boolean }[]>`
            SELECT coalesce(last_archived_wal >= ${at?.segment ?? ''}, false) AS done FROM pg_stat_archiver`;
          if (done?.done) return;
          await sleep(100);
        }
      }),

    async restore(at) {
      renameSync(clusterDir, `${clusterDir}.lost`);
      rmSync(`${clusterDir}.lost`, { recursive: true, force: true });
      await copyFolder(backup, clusterDir, false);
      const settings = {
        restore_command: `cp "${archive}/%f" "%p"`,
        recovery_target_time: at,
        recovery_target_action: 'promote',
        // Its log would come under the names of what is archived there.
        archive_mode: 'off',
      };
      const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}\n`);
      appendFileSync(path.join(clusterDir, 'postgresql.auto.conf'), lines.join(''));
      const signal = path.join(clusterDir, 'recovery.signal');
      writeFileSync(signal, '', { mode: 0o600 });
      if (user) chownSync(signal, user.uid, user.gid);
    },

    cleanUp() {
      for (const folder of [archive, backup]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves when the server has gone through its log and takes writes. */
export async function untilPromoted(databaseUrl: string): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => undefined });
  try {
    for (;;) {
      const [row] = await sql<{ recovering: boolean }[]>`SELECT pg_is_in_recovery() AS recovering`;
      if (row?.recovering === false) return;
      await sleep(100);
    }
  } finally {
    await sql.end({ timeout: 5 });
  }
}
