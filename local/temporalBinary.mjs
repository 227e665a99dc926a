import { execFile, spawn } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { SetupFailure } from './setupFailure.mjs';
import * as here from './environment.mjs';
import { withFileLock } from './fileLock.mjs';
import { say, showProgress } from './progress.mjs';

/** The server that the tests run against and `docker-compose.yml` names; CLI 1.5.1 is the newest that `go install` accepts and holds it. */
export const TEMPORAL_SERVER_VERSION = '1.29.1';
const CLI_VERSION = 'v1.5.1';
const GO_PACKAGE = `github.com/temporalio/cli/cmd/temporal@${CLI_VERSION}`;
const DOWNLOAD_ORIGIN = 'https://temporal.download';

const CONNECT_TIMEOUT_MS = 5_000;
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const BUILD_TIMEOUT_MS = 30 * 60_000;

/**
 * @typedef {object} Sources
 * @property {string | undefined} override value of SLUICE_TEMPORAL_BIN
 * @property {readonly string[]} searchPath folders of PATH
 * @property {string} cacheDir
 * @property {string} downloadOrigin
 * @property {string} goPackage
 * @property {Readonly<Record<string, string | undefined>>} environment for `go`
 * @property {(line: string) => void} say
 */

/** @type {Promise<string> | undefined} */
let found;

/** `findTemporal` for this process: the bootstrap and the stack ask once between them. */
export function temporalProgram() {
  return (found ??= findTemporal());
}

/**
 * The `temporal` program to run, from the first place that has it: SLUICE_TEMPORAL_BIN, PATH, the cache, the SDK's official
 * download, `go install`. The last two end in the cache, outside the clone.
 * @param {Partial<Sources>} [given]
 * @returns {Promise<string>} absolute path of a program that answered `--version`
 */
export async function findTemporal(given = {}) {
  /** @type {Sources} */
  const sources = {
    override: here.temporalBinOverride,
    searchPath: here.searchPath,
    cacheDir: here.cacheDir,
    downloadOrigin: DOWNLOAD_ORIGIN,
    goPackage: GO_PACKAGE,
    environment: here.inherited,
    say,
    ...given,
  };
  if (sources.override) return checkOverride(sources.override, sources);

  for (const folder of sources.searchPath) {
    const candidate = path.join(folder, 'temporal');
    if (isProgram(candidate) && (await hasTestedVersion(candidate, sources))) return candidate;
  }
  const cached = path.join(sources.cacheDir, `temporal-${CLI_VERSION.slice(1)}`, 'temporal');
  if (isProgram(cached) && (await hasTestedVersion(cached, sources))) return cached;

  mkdirSync(path.dirname(cached), { recursive: true });
  const waiting = (/** @type {number} */ pid) =>
    sources.say(`process ${pid} is fetching the Temporal dev server, waiting for it`);
  return withFileLock(`${cached}.lock`, { timeoutMs: BUILD_TIMEOUT_MS, waiting }, async () => {
    // Whoever held the lock before may just have put it there.
    if (isProgram(cached) && (await hasTestedVersion(cached, sources))) return cached;
    const failures = [];
    for (const fetchProgram of [download, goInstall]) {
      const scratch = mkdtempSync(path.join(path.dirname(cached), 'fetch-'));
      try {
        const program = await fetchProgram(scratch, sources);
        if (!(await hasTestedVersion(program, sources)))
          throw new Error('it is not the tested server version');
        // A rename is all or nothing: a killed fetch leaves no half program under the name that is looked for.
        renameSync(program, cached);
        return cached;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        failures.push(`${fetchProgram === download ? 'download' : 'go install'}: ${reason}`);
        sources.say(`Temporal, ${failures.at(-1)}`);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    }
    throw new SetupFailure(
      [
        `no Temporal dev server (Server ${TEMPORAL_SERVER_VERSION}) could be found or fetched:`,
        ...failures.map((failure) => `  ${failure}`),
        'Do one of these, then start again:',
        `  - install Go from https://go.dev/dl/ (it is then built here with: go install ${sources.goPackage})`,
        `  - install the Temporal CLI with Server ${TEMPORAL_SERVER_VERSION} as \`temporal\` on PATH (https://docs.temporal.io/cli)`,
        '  - name a program: SLUICE_TEMPORAL_BIN=/path/to/temporal',
      ].join('\n'),
    );
  });
}

/** @param {string} program @param {Sources} sources */
async function checkOverride(program, sources) {
  const version = await serverVersion(program);
  if (!version) {
    throw new SetupFailure(
      `SLUICE_TEMPORAL_BIN=${program} does not run as the Temporal CLI: correct it, or unset it and one is found or fetched`,
    );
  }
  if (version !== TEMPORAL_SERVER_VERSION) {
    sources.say(
      `SLUICE_TEMPORAL_BIN has Server ${version}; tested is ${TEMPORAL_SERVER_VERSION}. Used all the same.`,
    );
  }
  return path.resolve(program);
}

/** @param {string} program @param {Sources} sources */
async function hasTestedVersion(program, sources) {
  const version = await serverVersion(program);
  if (version === TEMPORAL_SERVER_VERSION) return true;
  sources.say(
    `${program} passed over: ${version ? `it has Server ${version}` : 'it does not run'}, tested is ${TEMPORAL_SERVER_VERSION}`,
  );
  return false;
}

/** @param {string} program @returns {Promise<string | undefined>} */
function serverVersion(program) {
  return new Promise((resolve) => {
    execFile(program, ['--version'], { timeout: 20_000 }, (error, stdout) => {
      resolve(error ? undefined : /Server (\d+\.\d+\.\d+)/.exec(stdout)?.[1]);
    });
  });
}

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * As the SDK's own test environment does it: ask the official site where the archive of this platform is, then take the
 * program out of it.
 * @param {string} scratch @param {Sources} sources
 */
async function download(scratch, sources) {
  const arch = { x64: 'amd64', arm64: 'arm64' }[/** @type {string} */ (process.arch)];
  const platform = { linux: 'linux', darwin: 'darwin' }[/** @type {string} */ (process.platform)];
  if (!arch || !platform) throw new Error(`no official build for ${process.platform} ${process.arch}`);
  const question = `${sources.downloadOrigin}/cli/${CLI_VERSION}?arch=${arch}&platform=${platform}&format=tar.gz`;
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

/** @param {string} scratch @param {Sources} sources */
async function goInstall(scratch, sources) {
  const go = [...sources.searchPath, '/usr/local/go/bin']
    .map((folder) => path.join(folder, 'go'))
    .find(isProgram);
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
