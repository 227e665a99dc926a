import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** What tests start as a process of its own. */
const ENTRIES = [
  'src/server.ts',
  'src/worker.ts',
  'src/listener.ts',
  'src/provision.ts',
  'src/rewrap.ts',
  'src/restored.ts',
  'src/listEnded.ts',
  'src/reapply.ts',
  'tools/local/segmentSinkServer.ts',
  'packages/plaid-simulator/src/main.ts',
];
/** Packages that find files of their own beside themselves. */
const UNBUNDLED = ['@temporalio/*', '@fastify/swagger-ui', 'pino'];

/** Our files still find what lies beside them in the project. */
const places = {
  name: 'places',
  setup(/** @type {import('esbuild').PluginBuild} */ { onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => ({
      contents: readFileSync(file, 'utf8').replaceAll('import.meta.url', JSON.stringify(pathToFileURL(file))),
      loader: 'ts',
    }));
  },
};

/**
 * Makes the processes that tests start: each entry of the program as JavaScript with most of the packages that it needs, by the compiler that
 * tsx has within. tsx costs two seconds of CPU at each start of a process, the reading of a thousand files another one, that of source maps a
 * sixth of one, and a test run starts hundreds.
 * @param {string} folder made here
 * @param {readonly string[]} entries
 */
export async function compileProgram(folder, entries = ENTRIES) {
  await build({
    absWorkingDir: root,
    entryPoints: [...entries],
    outbase: root,
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    external: UNBUNDLED,
    // Packages that are no ES modules ask for Node's own by `require`.
    banner: {
      js: "import { createRequire as from } from 'node:module'; const require = from(import.meta.url);",
    },
    plugins: [places],
    logLevel: 'warning',
  });
  for (const name of ['node_modules', 'package.json'])
    symlinkSync(path.join(root, name), path.join(folder, name));
}
