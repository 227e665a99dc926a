import { writeFileSync } from 'node:fs';
import { bundleWorkflows } from './temporal/bundle.js';

/** Writes the bundle of the workflows to the file of the first argument: the image's build step. See WORKFLOW_BUNDLE. */
const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: node --import tsx src/bundle.ts FILE\n');
  process.exitCode = 2;
} else {
  const { code } = await bundleWorkflows();
  writeFileSync(file, code);
}
