// `npm run record-statements`: writes statements.json, what this release asks PostgreSQL. Run it from the commit that is released.
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inherited } from '../../tools/local/environment.mjs';
import { jestCommand } from '../../tools/local/jestCommand.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'sluice-statements-'));
const recorded = path.join(scratch, 'statements.json');
const child = spawn(process.execPath, jestCommand(['--config', path.join(here, 'record.config.mjs')]), {
  env: { ...inherited, SLUICE_RECORDED: recorded },
  stdio: 'inherit',
});
const code = await new Promise((resolve) => child.once('close', resolve));
// Of tests that failed nobody knows what they have not sent.
if (code === 0) copyFileSync(recorded, path.join(here, 'statements.json'));
rmSync(scratch, { recursive: true, force: true });
process.exitCode = code === 0 ? 0 : 1;
