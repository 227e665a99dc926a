import type { System, SystemOptions } from '../../tools/faults/system.js';
import { startSystemIn } from '../../tools/faults/system.js';
import { programArguments } from '../stack/program.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { createNamespace } from '../workflows/harness.js';

export type { Answer, Running, System } from '../../tools/faults/system.js';

/** The whole of Sluice for one test file, beside the services that all files share. */
export function startSystem(options: SystemOptions = {}): Promise<System> {
  const { temporal_address: temporalAddress, kinesis_endpoint: kinesisEndpoint } = testStack();
  const workflowBundle = workflowBundleFile();
  return startSystemIn(
    {
      temporalAddress,
      kinesisEndpoint,
      programArguments,
      workflowBundle,
      createNamespace,
      createDatabase: createTestDatabase,
    },
    options,
  );
}
