import type { Surroundings, System, SystemOptions } from '../../tools/faults/system.js';
import { startSystemIn } from '../../tools/faults/system.js';
import { programArguments } from '../stack/program.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { createNamespace } from '../workflows/harness.js';

export type { Answer, Running, System } from '../../tools/faults/system.js';

/** The services that all test files share. */
export function testSurroundings(): Surroundings {
  const { temporal_address: temporalAddress, kinesis_endpoint: kinesisEndpoint } = testStack();
  return {
    ...{ temporalAddress, kinesisEndpoint, programArguments, createNamespace },
    workflowBundle: workflowBundleFile(),
    createDatabase: createTestDatabase,
  };
}

/**
 * The whole of Sluice for one test file. Its sweep comes more rarely than in a fault run: each costs CPU on cores that several of these
 * share, and few tests wait for one.
 */
export function startSystem(options: SystemOptions = {}): Promise<System> {
  return startSystemIn(testSurroundings(), { ...options, env: { SWEEP_EVERY: 'PT12S', ...options.env } });
}
