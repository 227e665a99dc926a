// `npm run record-histories`: plays every path of the workflows and keeps its history as that of this release (docs/upgrading.md).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inherited } from './environment.mjs';
import { jestCommand } from './jestCommand.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** @param {Record<string, string | undefined>} env @returns {Promise<number>} */
const run = (env) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, jestCommand(['-w', '1', 'test/replay']), {
      cwd: root,
      env: { ...inherited, ...env },
      stdio: 'inherit',
    });
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });

// What was recorded is replayed at once.
process.exitCode = (await run({ RECORD_HISTORIES: 'yes' })) || (await run({}));
