// `npm run record-histories`: plays every path of the workflows and keeps its history as that of this release (docs/upgrading.md).
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inherited } from './environment.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
/** @param {Record<string, string | undefined>} env @returns {Promise<number>} */
const run = (env) =>
  new Promise((resolve) => {
    const args = ['--experimental-vm-modules', '--no-warnings', jest, '-w', '1', 'test/replay'];
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...inherited, ...env },
      stdio: 'inherit',
    });
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });

// What was recorded is replayed at once.
process.exitCode = (await run({ RECORD_HISTORIES: 'yes' })) || (await run({}));
