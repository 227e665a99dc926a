import { runJob } from '../../src/process.js';

/** A job that never ends by itself. */
class Unusable extends Error {}
await runJob(
  'job',
  async () => {
    process.stdout.write('job ready\n');
    await new Promise((resolve) => setTimeout(resolve, 600_000));
    return true;
  },
  Unusable,
);
