import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SetupFailure } from './setupFailure.mjs';
import { cacheDir, inherited, npmCli } from './environment.mjs';
import { withFileLock } from './fileLock.mjs';
import { showProgress } from './progress.mjs';

const INSTALL_TIMEOUT_MS = 20 * 60_000;

/**
 * What `package-lock.json` asks for and `node_modules` does not have. npm writes the hidden lockfile last, so an install
 * that was interrupted has none and counts as missing whole.
 * @param {string} root folder of package.json
 * @param {{ withDevelopment: boolean }} options a production image has no development packages and needs none
 * @returns {string[]} package folders, empty when everything is there
 */
export function missingDependencies(root, { withDevelopment }) {
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  if (!wanted)
    throw new SetupFailure(
      'package-lock.json is missing or unreadable: restore it with `git checkout package-lock.json`',
    );
  const installed = readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (!installed) return ['node_modules'];
  return Object.keys(wanted).filter((folder) => {
    const entry = wanted[folder];
    if (folder === '' || !entry || entry.optional || entry.devOptional || entry.link) return false;
    if (entry.dev && !withDevelopment) return false;
    return installed[folder]?.version !== entry.version;
  });
}

/**
 * Installs exactly what the lockfile names, once, however many scripts start at the same time.
 * @param {string} root
 * @param {{ withDevelopment: boolean }} options
 */
export async function ensureDependencies(root, options) {
  if (missingDependencies(root, options).length === 0) return;
  const name = createHash('sha256').update(root).digest('hex').slice(0, 16);
  const lock = path.join(cacheDir, 'locks', `install-${name}`);
  await withFileLock(lock, { timeoutMs: INSTALL_TIMEOUT_MS }, async () => {
    if (missingDependencies(root, options).length === 0) return;
    await showProgress('installing dependencies (npm ci)', () => runInstall(root));
  });
  const missing = missingDependencies(root, options);
  if (missing.length > 0) {
    throw new SetupFailure(
      `after npm ci these are still missing: ${missing.slice(0, 5).join(', ')}. Run \`npm ci --include=dev\` and look at its messages`,
    );
  }
}

/** @param {string} root @returns {Promise<void>} */
function runInstall(root) {
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // The npm that runs this script is the npm that the user has; its name on PATH may be another or none.
  const [command, full] = npmCli ? [process.execPath, [npmCli, ...args]] : ['npm', args];
  return new Promise((resolve, reject) => {
    const child = spawn(command, full, {
      cwd: root,
      env: inherited,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: INSTALL_TIMEOUT_MS,
    });
    let output = '';
    child.stderr.on('data', (chunk) => {
      if (output.length < 20_000) output += String(chunk);
    });
    child.on('error', (error) =>
      reject(
        new SetupFailure(`npm does not run (${error.message}): install npm beside Node, then start again`),
      ),
    );
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new SetupFailure(
            `npm ci failed (${signal ?? code}):\n${firstErrors(output)}\nCheck the network or the registry of npm (\`npm config get registry\`), then start again`,
          ),
        );
    });
  });
}

/** npm says first what is wrong, then prints a page of usage. @param {string} output */
function firstErrors(output) {
  const lines = output.split('\n').map((line) => line.replace(/^npm error ?/, '  '));
  const usage = lines.findIndex((line) => /Clean install a project/.test(line));
  return lines
    .slice(0, usage < 0 ? lines.length : usage)
    .filter((line) => line.trim() && !line.startsWith('npm warn'))
    .slice(0, 12)
    .join('\n');
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean, dev?: boolean, devOptional?: boolean, link?: boolean }> | undefined}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
