import { NativeConnection } from '@temporalio/worker';
import type { Worker } from '@temporalio/worker';
import { createWorkers, runWorkers, stopWorkers } from '../../src/temporal/workers.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { createNamespace, installRuntime } from '../workflows/harness.js';

/** A worker as far as its end is concerned: it runs until it fails or has done what it had begun when it was stopped. */
class FakeWorker {
  private state: 'RUNNING' | 'DRAINING' | 'STOPPED' = 'RUNNING';
  private end: { resolve: () => void; reject: (error: Error) => void } | null = null;

  getState(): string {
    return this.state;
  }
  run(): Promise<void> {
    return new Promise((resolve, reject) => (this.end = { resolve, reject }));
  }
  shutdown(): void {
    if (this.state !== 'RUNNING') throw new Error('it is asked to stop once');
    this.state = 'DRAINING';
  }
  hasDrained(): void {
    this.state = 'STOPPED';
    this.end?.resolve();
  }
  fail(error: Error): void {
    this.state = 'STOPPED';
    this.end?.reject(error);
  }
}

/** Time for everything that can happen without anybody's doing. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const asWorkers = (fakes: FakeWorker[]): Worker[] => fakes as unknown as Worker[];

describe('the workers of a process', () => {
  it('have ended when the last one has, though one fails before: the others still use what is open', async () => {
    const fakes = [new FakeWorker(), new FakeWorker(), new FakeWorker()];
    const [failing, draining, other] = fakes as [FakeWorker, FakeWorker, FakeWorker];
    let end: unknown = 'none yet';
    void runWorkers(asWorkers(fakes)).catch((error: unknown) => (end = error));
    await settled();
    const failure = new Error('lost its connection');
    failing.fail(failure);
    await settled();
    expect([end, draining.getState(), other.getState()]).toEqual(['none yet', 'DRAINING', 'DRAINING']);
    other.hasDrained();
    await settled();
    expect(end).toBe('none yet');
    draining.hasDrained();
    await settled();
    expect(end).toBe(failure);
  });

  it('that are stopped end well, and are asked once', async () => {
    const fakes = [new FakeWorker(), new FakeWorker()];
    const running = runWorkers(asWorkers(fakes));
    stopWorkers(asWorkers(fakes));
    stopWorkers(asWorkers(fakes));
    for (const fake of fakes) fake.hasDrained();
    await expect(running).resolves.toBeUndefined();
  });

  // Ten thousand signals that came while no worker ran took one eight seconds beside others, and the SDK's own bound ended each process.
  it('lets workflow code take longer than the SDK does: at its bound the whole process ends', async () => {
    installRuntime();
    const { connection: client, namespace } = await createNamespace();
    const connection = await NativeConnection.connect({ address: testStack().temporal_address });
    const workers = await createWorkers({
      ...{
        connection,
        namespace,
        activities: { none: async () => undefined },
        workflowBundle: { codePath: workflowBundleFile() },
      },
      roles: ['core'],
      callsPerSecond: { plaid: 0, plaidFirst: 0, plaidLink: 0 },
    });
    const running = runWorkers(workers);
    expect(workers[0]?.options.isolateExecutionTimeoutMs).toBe(30_000);
    stopWorkers(workers);
    await running;
    await connection.close();
    await client.close();
  });
});
