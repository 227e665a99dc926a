import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const workflowsPath = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url));

/**
 * The workflows as one script for the worker's sandbox. Takes seconds: made once and shared where many workers start.
 *
 * Its modules are loaded once a worker, frozen: they hold no state (lint). Each workflow loaded them for itself, which took a tenth to
 * a fifth of its replay's time.
 */
export async function bundleWorkflows(): Promise<{ code: string }> {
  const silent = {
    log: () => {},
    trace: () => {},
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: () => {},
  };
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    preloadModules: [workflowsPath],
    logger: silent,
  });
  return { code };
}
