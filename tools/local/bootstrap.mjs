// First step of every npm script: `node tools/local/bootstrap.mjs [--temporal] [--production] <script> [arguments]`.
// Node built-ins only: on a fresh clone there is nothing else. It installs what is missing, finds Temporal when the script needs it,
// and then becomes the script, in this same process: signals to npm reach the program and its pid is the one that is seen.
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SetupFailure } from './setupFailure.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { temporalProgram } from './temporalBinary.mjs';

const OLDEST_NODE = [20, 19];
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

try {
  const args = process.argv.slice(2);
  const flags = new Set();
  while (args[0]?.startsWith('--')) flags.add(args.shift());
  const [script, ...rest] = args;
  if (!script)
    throw new SetupFailure(
      'usage: node tools/local/bootstrap.mjs [--temporal] [--production] <script> [arguments]',
    );

  checkNode();
  await ensureDependencies(root, { withDevelopment: !flags.has('--production') });
  if (flags.has('--temporal')) await temporalProgram();
  await become(path.resolve(root, script), rest);
} catch (error) {
  process.stderr.write(`sluice: ${await textOf(error)}\n`);
  process.exit(1);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new SetupFailure(
    `Node ${process.versions.node} is too old, ${OLDEST_NODE.join('.')} or newer is needed: install it from https://nodejs.org (\`nvm install\` reads .nvmrc)`,
  );
}

/** @param {string} file @param {string[]} args */
async function become(file, args) {
  process.argv = [process.execPath, file, ...args];
  process.setSourceMapsEnabled(true);
  await readTypeScript();
  await import(pathToFileURL(file).href);
}

async function readTypeScript() {
  const { register } = await import('tsx/esm/api');
  register();
}

/** As every command prints it; before the packages are there no more than a code. @param {any} error */
async function textOf(error) {
  if (error instanceof SetupFailure) return error.message;
  try {
    await readTypeScript();
    const { failureText } = await import('./failureText.js');
    return failureText(error);
  } catch {
    return `failed: ${error?.code ?? error?.name}`;
  }
}
