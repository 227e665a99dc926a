import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { freePort } from '../../tools/local/ports.js';
import { until } from '../e2e/until.js';

/** PgBouncer of the machine; null where there is none (Debian: `apt-get install pgbouncer`). */
export const pgbouncerProgram: string | null = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].reduce<
  string | null
>((found, program) => {
  if (found !== null) return found;
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return program;
  } catch {
    return null;
  }
}, null);

export interface Pgbouncer {
  /** The same database, by way of the pooler. */
  url(databaseUrl: string): string;
  close(): Promise<void>;
}

/** It refuses to run as root. */
function ordinaryUser(): string[] {
  if (process.getuid?.() !== 0) return [];
  const names = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':')[0]);
  return ['-u', names.includes('postgres') ? 'postgres' : 'nobody'];
}

/** PgBouncer with its own defaults, in front of the server of `serverUrl`. */
export async function startPgbouncer(
  serverUrl: string,
  mode: 'session' | 'transaction',
  more: Record<string, string | number> = {},
): Promise<Pgbouncer> {
  const server = new URL(serverUrl);
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-pgbouncer-'));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const users = path.join(folder, 'users.txt');
  const [user, password] = [server.username, server.password].map(decodeURIComponent);
  writeFileSync(users, `"${user}" "${password}"\n`, { mode: 0o644 });
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: users,
    pool_mode: mode,
    ...more,
  };
  const file = path.join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    [
      '[databases]',
      `* = host=${server.hostname} port=${server.port}`,
      '[pgbouncer]',
      ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n'),
    { mode: 0o644 },
  );
  const child: ChildProcess = spawn(pgbouncerProgram ?? '', ['-q', ...ordinaryUser(), file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'close');
  const url = (databaseUrl: string): string => {
    const through = new URL(databaseUrl);
    through.hostname = '127.0.0.1';
    through.port = String(port);
    return through.href;
  };
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended: ${said}`);
    const sql = postgres(url(serverUrl), { max: 1, connect_timeout: 5, fetch_types: false });
    try {
      await sql.unsafe('SELECT 1');
      return true;
    } catch {
      return false;
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
  return {
    url,
    async close() {
      child.kill('SIGQUIT');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
