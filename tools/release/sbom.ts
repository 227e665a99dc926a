// `npm run -s sbom > sluice-<version>.cdx.json`: what is deployed with a release, as CycloneDX, from package-lock.json.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { npmCli } from '../local/environment.mjs';
import type { LockedPackage } from './licences.js';
import { refusedLicences } from './licences.js';
import type { Bill } from './releaseBill.js';
import { releaseBill } from './releaseBill.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(`${root}${name}`, 'utf8'));

const { packages } = read('package-lock.json') as { packages: Record<string, LockedPackage> };
const refused = refusedLicences(packages);
if (refused.length > 0) {
  process.stderr.write(`${refused.join('\n')}\nWhat is allowed: tools/release/licences.ts\n`);
  process.exit(1);
}
const [command, prefix] = npmCli === undefined ? ['npm', []] : [process.execPath, [npmCli]];
const bill = execFileSync(
  command,
  [
    ...prefix,
    'sbom',
    '--omit=dev',
    '--sbom-format=cyclonedx',
    '--sbom-type=application',
    '--package-lock-only',
  ],
  { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'inherit'] },
);
const manifest = read('package.json') as { name: string; version: string };
process.stdout.write(`${JSON.stringify(releaseBill(JSON.parse(bill) as Bill, manifest), null, 2)}\n`);
