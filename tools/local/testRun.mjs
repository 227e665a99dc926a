// `npm test`: everything CI runs. jest, with a part of it on other releases of Node and the static checks beside it; the last line counts
// all: each static check as one, each jest test as one each time that it runs.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inherited, npmCli } from './environment.mjs';
import { jestCommand } from './jestCommand.mjs';
import { NODE_RELEASES, nodeProgram, otherNodesUnusable } from './nodeReleases.mjs';
import { countResults } from './testCount.mjs';
import { startTestServices } from './testServices.mjs';

const STATIC_CHECKS = [
  'lint:types',
  'lint:code',
  'lint:format',
  'lint:architecture',
  'lint:unused',
  'lint:openapi',
  'lint:migrations',
];
const STATIC_CHECK_TIMEOUT_MS = 30 * 60_000;
const OTHER_NODE_TIMEOUT_MS = 20 * 60_000;
/** What runs on other releases of Node: the domain and the API, and one journey through all the processes. */
const ON_OTHER_NODES = [
  '--selectProjects',
  'sluice',
  // Many small cases of the same few lines, a minute of them: one release plays these for all.
  '--testPathIgnorePatterns=test/domain/item/(simulation|everyError)|test/api/rights',
  '--',
  'test/domain',
  'test/api',
  'test/e2e/secrets.test.ts',
];
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const scratch = mkdtempSync(path.join(tmpdir(), 'sluice-results-'));

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    rmSync(scratch, { recursive: true, force: true });
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

const asked = process.argv.slice(2);
const [failedChecks, jestRuns] = await Promise.all([runStaticChecks(), runTests()]);
const count = countResults({ checks: STATIC_CHECKS, failedChecks, jestRuns });
rmSync(scratch, { recursive: true, force: true });
for (const problem of count.problems) process.stdout.write(`failed: ${problem}\n`);
process.stdout.write(`${count.passed} passed, ${count.failed} failed\n`);
process.exitCode = count.failed > 0 ? 1 : 0;

/**
 * Beside jest, whose longest files wait for most of their time; what jest leaves of the machine is theirs. One at a time, and output is
 * shown only of what failed. @returns {Promise<string[]>}
 */
async function runStaticChecks() {
  const [command, prefix] = npmCli ? [process.execPath, [npmCli]] : ['npm', []];
  /** @type {string[]} */
  const failed = [];
  for (const name of STATIC_CHECKS) {
    const started = Date.now();
    const args = [...prefix, 'run', '-s', name];
    const { code, output } = await run(command, args, { timeout: STATIC_CHECK_TIMEOUT_MS, yields: true });
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    process.stdout.write(
      `${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n${code === 0 ? '' : `${output.trimEnd()}\n`}`,
    );
    if (code !== 0) failed.push(name);
  }
  return failed;
}

/** All runs of jest find the same services: starting them costs twenty seconds of CPU. */
async function runTests() {
  let services;
  try {
    services = await startTestServices();
  } catch (error) {
    const name = error instanceof Error ? error.message : String(error);
    return [{ name: `the services of the tests (${name})`, code: 1, json: undefined }];
  }
  const env = { ...inherited, ...services.env };
  try {
    // The longest files come first and wait for most of their time: what the other releases run finds its place beside them.
    // Whoever names tests wants those alone.
    const others = asked.length === 0 ? runOnOtherNodes(env) : Promise.resolve([]);
    return [await runJest(asked, env), ...(await others)];
  } finally {
    await services.stop();
  }
}

/** @typedef {Record<string, string | undefined>} Env */

/** @param {readonly string[]} args @param {Env} env */
async function runJest(args, env) {
  const outputFile = path.join(scratch, 'jest.json');
  const child = track(
    spawn(process.execPath, jestCommand(['--json', `--outputFile=${outputFile}`, ...args]), {
      cwd: root,
      env,
      stdio: ['ignore', 'ignore', 'inherit'], // with --json jest reports on stderr and prints the JSON on stdout
    }),
  );
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });
  return { name: 'jest', code, json: readText(outputFile) };
}

/** All releases at once, one worker each. @param {Env} env */
async function runOnOtherNodes(env) {
  const unusable = otherNodesUnusable();
  if (unusable !== undefined) {
    const versions = NODE_RELEASES.map(({ version }) => version);
    process.stdout.write(`skipped: tests on Node ${versions.join(' and ')} (${unusable})\n`);
    return [];
  }
  return Promise.all(NODE_RELEASES.map((release) => runOnNode(release, env)));
}

/** @param {typeof NODE_RELEASES[number]} release @param {Env} env */
async function runOnNode(release, env) {
  const name = `Node ${release.version}`;
  const started = Date.now();
  const outputFile = path.join(scratch, `${release.version}.json`);
  const reported = (/** @type {number} */ code, /** @type {string} */ output) => {
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    process.stdout.write(
      `${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n${code === 0 ? '' : `${output.trimEnd()}\n`}`,
    );
    return { name, code, json: readText(outputFile) };
  };
  try {
    const program = await nodeProgram(release);
    const args = jestCommand(['--json', `--outputFile=${outputFile}`, '-w', '1', ...ON_OTHER_NODES]);
    const { code, output } = await run(program, args, { timeout: OTHER_NODE_TIMEOUT_MS, env });
    return reported(code, output);
  } catch (error) {
    return reported(1, error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {string} command @param {string[]} args
 * @param {{ timeout: number, env?: Env, yields?: boolean }} options `yields`: everything else goes first
 * @returns {Promise<{ code: number, output: string }>}
 */
function run(command, args, { timeout, env = inherited, yields = false }) {
  return new Promise((resolve) => {
    const child = track(spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout }));
    if (yields && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => (output += String(chunk)));
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code, signal) =>
      resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output }),
    );
  });
}

/** @template {import('node:child_process').ChildProcess} T @param {T} child @returns {T} */
function track(child) {
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/** @param {string} file */
function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
