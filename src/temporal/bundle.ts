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
    webpackConfigHook: forOurNode,
    logger: silent,
  });
  return { code };
}

type BundleOptions = Parameters<typeof bundleWorkflowCode>[0];

/** Temporal compiles workflows for a Node without object spread: a reducer, which is made of them, goes through a helper at each. */
const forOurNode: NonNullable<BundleOptions['webpackConfigHook']> = (config) => {
  const rules = (config.module?.rules ?? []).filter(isSwcRule);
  if (rules.length === 0)
    throw new Error(
      'Temporal compiles workflows otherwise than it did: see webpackConfigHook in src/temporal/bundle.ts',
    );
  for (const rule of rules) rule.use.options.jsc.target = 'es2022';
  return config;
};

interface SwcRule {
  use: { options: { jsc: { target: string } } };
}

const isSwcRule = (rule: unknown): rule is SwcRule =>
  (rule as { use?: { options?: { jsc?: unknown } } } | undefined)?.use?.options?.jsc !== undefined;
