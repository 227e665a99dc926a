// Plain JavaScript: jest loads a global setup natively, before its own transforms, and Node 20 knows no TypeScript.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tsImport } from 'tsx/esm/api';
import { compileProgram } from './compile.mjs';

/** Starts PostgreSQL, Temporal and Kinesis once for the whole run, on free ports and in memory or a scratch folder. */
export default async function globalSetup() {
  const { startStack } = await tsImport('../../tools/local/stack.ts', import.meta.url);
  const { testServices } = await import('../../tools/local/environment.mjs');
  const { bundleWorkflows } = await tsImport('../../src/temporal/bundle.ts', import.meta.url);
  const dataDir = mkdtempSync(path.join(tmpdir(), 'sluice-test-'));
  process.env.SLUICE_TEST_PROGRAM = path.join(dataDir, 'program');
  const [stack, bundle] = await Promise.all([
    startStack({ dataDir, freePorts: true, ephemeral: true, services: testServices }),
    bundleWorkflows(),
    compileProgram(process.env.SLUICE_TEST_PROGRAM),
  ]);
  // Bundling takes seconds and cannot run within jest's own module system: once, here.
  process.env.SLUICE_TEST_BUNDLE = path.join(dataDir, 'workflows.js');
  writeFileSync(process.env.SLUICE_TEST_BUNDLE, bundle.code);
  globalThis.sluiceTestStack = stack;
  process.env.SLUICE_TEST_STACK = JSON.stringify(stack.urls);
}
