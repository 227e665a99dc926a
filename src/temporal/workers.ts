import { Worker } from '@temporalio/worker';
import type { NativeConnection, WorkerOptions } from '@temporalio/worker';
import { Failure } from '../../domain/failures.js';
import { taskQueues } from '../../domain/ids.js';

export type Role = 'core' | 'plaid';

/** Activities of each queue that a process runs at a time. */
export type ActivitiesAtOnce = Record<keyof typeof taskQueues, number>;

/**
 * As many as the process's connections to the database can serve: Temporal's own 400 on ten connections would wait behind one another
 * until they fail, with what Plaid has answered them. What has no place here waits in its queue, where waiting is no failure.
 * With these an activity may hold its connection for two seconds on average. Most of the time of those on Plaid's queues is Plaid's.
 */
export const activitiesFor = (connections: number): ActivitiesAtOnce => ({
  core: 4 * connections,
  plaid: 6 * connections,
  plaidFirst: 2 * connections,
  plaidLink: 4 * connections,
  events: 2 * connections,
});

export interface WorkersOptions {
  connection: NativeConnection;
  namespace: string;
  roles: readonly Role[];
  activities: object;
  /** Calls a second over all workers; 0 = unlimited. */
  callsPerSecond: { plaid: number; plaidFirst: number; plaidLink: number };
  /** See `bundleWorkflows`; needed for the role `core`. */
  workflowBundle: { code: string } | { codePath: string };
  /**
   * What these workers were built from; undefined = they are not versioned. Every queue is of the version: a run that is pinned
   * to it has its activities done by it, too.
   */
  version?: { deploymentName: string; buildId: string } | undefined;
  /** Workflows kept in memory; 0 replays each from its history, which tests use to find what is not deterministic. */
  maxCachedWorkflows?: number | undefined;
  /** Temporal's default when absent. */
  activitiesAtOnce?: ActivitiesAtOnce | undefined;
}

/**
 * Of one piece of a workflow's code, while nothing else runs on its thread. The SDK's own is five seconds, and who takes longer ends the process
 * ("async hook stack has become corrupted"), and the next one: thousands of signals that an Item got while no worker ran take as long
 * on a busy machine. The SDK takes the option, and does not show it in its types.
 */
const workflowCode = { isolateExecutionTimeout: '30s' };

/** The workers of one process: `core` runs workflows, what is ours and what goes to endpoints, `plaid` the rate-limited queues of Plaid's calls. */
export async function createWorkers(options: WorkersOptions): Promise<Worker[]> {
  const { connection, namespace, activities, version } = options;
  const shared: Omit<WorkerOptions, 'taskQueue'> = {
    connection,
    namespace,
    activities,
    shutdownGraceTime: '20s',
    shutdownForceTime: '25s',
    // Every workflow ends where it began. An Item, which has no end, moves when it continues as new.
    ...(version === undefined
      ? {}
      : {
          workerDeploymentOptions: {
            useWorkerVersioning: true,
            version,
            defaultVersioningBehavior: 'PINNED',
          },
        }),
  };
  const of = (queue: keyof typeof taskQueues): Pick<WorkerOptions, 'maxConcurrentActivityTaskExecutions'> =>
    options.activitiesAtOnce === undefined
      ? {}
      : { maxConcurrentActivityTaskExecutions: options.activitiesAtOnce[queue] };
  const core = (): Promise<Worker> =>
    Worker.create({
      ...shared,
      ...of('core'),
      taskQueue: taskQueues.core,
      workflowBundle: options.workflowBundle,
      ...workflowCode,
      ...(options.maxCachedWorkflows === undefined ? {} : { maxCachedWorkflows: options.maxCachedWorkflows }),
    });
  const plaid = (
    queue: Exclude<keyof typeof taskQueues, 'core' | 'events'>,
    perSecond: number,
  ): Promise<Worker> =>
    Worker.create({
      ...shared,
      ...of(queue),
      taskQueue: taskQueues[queue],
      ...(perSecond > 0 ? { maxTaskQueueActivitiesPerSecond: perSecond } : {}),
    });
  const { callsPerSecond } = options;
  const events = (): Promise<Worker> =>
    Worker.create({ ...shared, ...of('events'), taskQueue: taskQueues.events });
  return Promise.all([
    ...(options.roles.includes('core') ? [core(), events()] : []),
    ...(options.roles.includes('plaid')
      ? [
          plaid('plaid', callsPerSecond.plaid),
          plaid('plaidFirst', callsPerSecond.plaidFirst),
          plaid('plaidLink', callsPerSecond.plaidLink),
        ]
      : []),
  ]);
}

/**
 * Runs the workers of one process until they are stopped. One that fails stops the others: resolves, or rejects with the first
 * failure, only when all have ended, since until then their activities use what the process holds open.
 */
export async function runWorkers(workers: readonly Worker[]): Promise<void> {
  const ends = await Promise.allSettled(
    workers.map(async (worker) => {
      try {
        await worker.run();
      } finally {
        stopWorkers(workers);
      }
    }),
  );
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Lets the workers end what they have begun; those that are ending already are left alone. */
export function stopWorkers(workers: readonly Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Throws ORCHESTRATOR_DOWN unless every worker takes tasks: none yet, one that has failed, one that is stopping. */
export function assertPolling(workers: readonly Worker[]): void {
  const polls = (worker: Worker): boolean => {
    const { runState, workflowPollerState, activityPollerState } = worker.getStatus();
    // A worker without workflows has no poller of them.
    const failed = workflowPollerState === 'FAILED' || activityPollerState === 'FAILED';
    return runState === 'RUNNING' && activityPollerState === 'POLLING' && !failed;
  };
  if (workers.length > 0 && workers.every(polls)) return;
  throw new Failure('ORCHESTRATOR_DOWN', 'not every task queue is polled');
}
