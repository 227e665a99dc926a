// Plain JavaScript: it is loaded natively, before jest's own transforms, and Node 20 knows no TypeScript.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tsImport } from 'tsx/esm/api';
import { testServices } from './environment.mjs';
import { compileProgram } from './compileProgram.mjs';

/**
 * What tests find already there: PostgreSQL, Temporal and Kinesis on free ports and in memory or a scratch folder, the program as
 * JavaScript, the workflows as one script.
 * @returns {Promise<{ env: Record<string, string>, stop: () => Promise<void> }>} `env` says where they are: see testStack.ts and program.ts
 */
export async function startTestServices() {
  const { startStack } = await tsImport('./stack.ts', import.meta.url);
  const { bundleWorkflows } = await tsImport('../../src/temporal/bundle.ts', import.meta.url);
  const dataDir = mkdtempSync(path.join(tmpdir(), 'sluice-test-'));
  const program = path.join(dataDir, 'program');
  const bundleFile = path.join(dataDir, 'workflows.js');
  const [stack, bundle] = await Promise.all([
    startStack({ dataDir, freePorts: true, ephemeral: true, services: testServices }),
    bundleWorkflows(),
    compileProgram(program),
  ]);
  // Bundling takes seconds, and a test run has hundreds of workers.
  writeFileSync(bundleFile, bundle.code);
  return {
    env: {
      SLUICE_TEST_STACK: JSON.stringify(stack.urls),
      SLUICE_TEST_PROGRAM: program,
      SLUICE_TEST_BUNDLE: bundleFile,
    },
    stop: () => stack.stop(),
  };
}
