// `npm test`: everything CI runs. Static checks, then jest; the last line counts both: each static check as one, each jest test as one.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inherited, npmCli } from './environment.mjs';
import { jestCommand } from './jestCommand.mjs';
import { countResults } from './testCount.mjs';

const STATIC_CHECKS = [
  'lint:types',
  'lint:code',
  'lint:format',
  'lint:architecture',
  'lint:unused',
  'lint:openapi',
  'lint:migrations',
];
const STATIC_CHECK_TIMEOUT_MS = 10 * 60_000;
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

const failedChecks = await runStaticChecks();
const results = path.join(scratch, 'jest.json');
const jestCode = await runJest(results, process.argv.slice(2));
const count = countResults({ checks: STATIC_CHECKS, failedChecks, jestCode, jestJson: readText(results) });
rmSync(scratch, { recursive: true, force: true });
for (const problem of count.problems) process.stdout.write(`failed: ${problem}\n`);
process.stdout.write(`${count.passed} passed, ${count.failed} failed\n`);
process.exitCode = count.failed > 0 ? 1 : 0;

/** Two at a time, as many as the smallest machine has cores. Output is shown only of what failed. @returns {Promise<string[]>} */
async function runStaticChecks() {
  const waiting = [...STATIC_CHECKS];
  /** @type {string[]} */
  const failed = [];
  const lane = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) {
      const started = Date.now();
      const [command, prefix] = npmCli ? [process.execPath, [npmCli]] : ['npm', []];
      const { code, output } = await run(command, [...prefix, 'run', '-s', name]);
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      process.stdout.write(
        `${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n${code === 0 ? '' : `${output.trimEnd()}\n`}`,
      );
      if (code !== 0) failed.push(name);
    }
  };
  await Promise.all([lane(), lane()]);
  return failed;
}

/** @param {string} outputFile @param {string[]} args @returns {Promise<number>} */
async function runJest(outputFile, args) {
  const child = track(
    spawn(process.execPath, jestCommand(['--json', `--outputFile=${outputFile}`, ...args]), {
      cwd: root,
      env: inherited,
      stdio: ['ignore', 'ignore', 'inherit'], // with --json jest reports on stderr and prints the JSON on stdout
    }),
  );
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** @param {string} command @param {string[]} args @returns {Promise<{ code: number, output: string }>} */
function run(command, args) {
  return new Promise((resolve) => {
    const child = track(
      spawn(command, args, {
        cwd: root,
        env: inherited,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: STATIC_CHECK_TIMEOUT_MS,
      }),
    );
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
