import { proxyActivities } from '@temporalio/workflow';
import type { ActivityInterfaceFor, ActivityOptions } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { taskQueues } from '../domain/ids.js';

/**
 * Proxies are named by what a repeat means. Each has a bound for one attempt, and a number of attempts: what cannot be had by
 * them comes back as a failure, and the workflow decides when to ask again. To wait in the queue is no failure, so no bound counts
 * that time; after `inLine` the call comes back (`onlyWaited`), so that the workflow sees what has happened meanwhile.
 */
type Call = Pick<ActivityOptions, 'priority' | 'summary'> & {
  /** How long it may wait for its turn; default an hour. */
  inLine?: number;
};

const usuallyInLine = '1h';

/** A killed worker is noticed after this long; activities beat every second. */
const heartbeatTimeout = '15s';

function proxy({ inLine, ...options }: ActivityOptions & Call): ActivityInterfaceFor<Activities> {
  // Who gives a bound for everything means the waiting, too.
  const waits =
    options.scheduleToCloseTimeout === undefined ? { scheduleToStartTimeout: inLine ?? usuallyInLine } : {};
  return proxyActivities<Activities>({ heartbeatTimeout, ...waits, ...options });
}

/** PostgreSQL and signals: cheap, idempotent, on the workflow's own queue. */
export const db = (call: Call = {}): ActivityInterfaceFor<Activities> =>
  proxy({
    ...call,
    startToCloseTimeout: '60s',
    // With these pauses: an hour.
    retry: {
      initialInterval: '500ms',
      backoffCoefficient: 2,
      maximumInterval: '30s',
      maximumAttempts: 120,
    },
  });

/**
 * The same for what a Schedule begins anew within minutes: what fails for long must not keep the next run from beginning, since the two
 * never overlap.
 */
export const sweeper = (call: Call = {}): ActivityInterfaceFor<Activities> =>
  proxy({ ...call, startToCloseTimeout: '60s', retry: { initialInterval: '500ms', maximumAttempts: 2 } });

const startToCloseTimeout = '2m';

/** What sends to endpoints: some seconds, and at the most one attempt more. It takes up by itself what an attempt that died has left. */
export const deliverer = (call: Call = {}): ActivityInterfaceFor<Activities> =>
  proxy({
    ...call,
    taskQueue: taskQueues.events,
    startToCloseTimeout: '60s',
    // With these pauses: an hour.
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: 120 },
  });

/**
 * A read at Plaid and what it writes here: safe to repeat. After half a minute it comes back: the workflow shows what failed, does
 * what is due beside it, and has pauses of its own. `first`: the cursor is empty, which Plaid limits apart.
 */
export const plaidRead = (call: Call & { first?: boolean } = {}): ActivityInterfaceFor<Activities> => {
  const { first, ...options } = call;
  return proxy({
    ...options,
    startToCloseTimeout,
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s', maximumAttempts: 6 },
    taskQueue: first ? taskQueues.plaidFirst : taskQueues.plaid,
  });
};

/** The same while a user waits, who may not wait as long. */
export const plaidWhileUserWaits = (
  call: Call & Pick<ActivityOptions, 'scheduleToCloseTimeout'> = {},
): ActivityInterfaceFor<Activities> =>
  proxy({
    startToCloseTimeout,
    // With these pauses: ten minutes.
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s', maximumAttempts: 15 },
    ...call,
    taskQueue: taskQueues.plaidLink,
  });

/** A call that must never be made twice. */
export const plaidOnce = (call: Call = {}): ActivityInterfaceFor<Activities> =>
  proxy({
    ...call,
    taskQueue: taskQueues.plaidLink,
    startToCloseTimeout: '90s',
    retry: { maximumAttempts: 1 },
  });

/** The streams: one short try, since the outbox keeps what was not sent and mining goes on. */
export const publisher = (call: Call = {}): ActivityInterfaceFor<Activities> =>
  proxy({
    ...call,
    startToCloseTimeout: '60s',
    retry: { maximumAttempts: 1 },
  });
