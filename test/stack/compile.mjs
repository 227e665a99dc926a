import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** The rooms that processes are started from, each file under the name that it has in the project. */
const ROOMS = [
  'src',
  'api',
  'workflows',
  'activities',
  'drizzle',
  'domain',
  'tools/local',
  'packages/plaid-simulator/src',
];
const BESIDE = ['node_modules', 'package.json', 'packages/plaid-simulator/package.json'];

/**
 * Makes the processes that tests start: every TypeScript file of the program as JavaScript, by the compiler that tsx has within, and links
 * to everything else that they read beside themselves. tsx costs two seconds of CPU at each start of a process, and a test run
 * starts hundreds.
 * @param {string} folder made here
 */
export async function compileProgram(folder) {
  const files = ROOMS.flatMap((room) =>
    readdirSync(path.join(root, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))),
  );
  const isSource = (/** @type {string} */ file) => file.endsWith('.ts');
  await build({
    absWorkingDir: root,
    entryPoints: files.filter(isSource),
    outbase: root,
    outdir: folder,
    format: 'esm',
    target: `node${process.versions.node}`,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  });
  for (const file of [...BESIDE, ...files.filter((file) => !isSource(file))]) {
    const link = path.join(folder, file);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.join(root, file), link);
  }
}
