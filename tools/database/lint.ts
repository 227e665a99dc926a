// `npm run lint:migrations`: what of our migrations a live table, or the release before, would not survive.
import { fileURLToPath } from 'node:url';
import { lintMigrations } from './migrationLint.js';

const findings = await lintMigrations(fileURLToPath(new URL('../../drizzle/migrations', import.meta.url)));
for (const line of findings) process.stderr.write(`${line}\n`);
if (findings.length > 0) {
  process.stderr.write('What to do instead: docs/upgrading.md, "The database"\n');
  process.exitCode = 1;
}
