import { setTimeout as pause } from 'node:timers/promises';
import type { NativeConnection } from '@temporalio/worker';
import { Failure } from '../../domain/failures.js';

export interface HungConnectionOptions {
  /** The worker's own. */
  connection: NativeConnection;
  /** Asks Temporal over another connection. */
  ping: () => Promise<void>;
  /** Between two questions; default 15 s. */
  everyMs?: number;
  /** Longer than any question takes that ends: by its deadline, or by the pings of the SDK after 45 s. Default a minute. */
  patienceMs?: number;
}

/** So many pings in a row, with patience between them: the worker's connection had time to come back by itself. */
const answeredPings = 2;
const questionMs = 10_000;

/**
 * Rejects when the worker's connection hangs while Temporal answers others. For TLS on a connection that was taken, and on which nothing is
 * said (a balancer whose server is gone), the SDK waits without end and opens no other one: polls and calls on it end nevermore, not by
 * their deadlines either. Who hears of it ends the process. Once `signal` is aborted nobody hears any more.
 */
export async function whenHung(options: HungConnectionOptions, signal: AbortSignal): Promise<never> {
  const { connection, ping, everyMs = 15_000, patienceMs = 60_000 } = options;
  const answered = (work: Promise<unknown>): Promise<boolean> =>
    work.then(
      () => true,
      () => false,
    );
  const passed = (ms: number): Promise<false> =>
    pause(ms, false as const, { signal, ref: false }).catch(() => false as const);
  const ask = (): Promise<unknown> =>
    connection.withDeadline(Date.now() + questionMs, () => connection.workflowService.getSystemInfo({}));

  for (;;) {
    await passed(everyMs);
    if (signal.aborted) return new Promise(() => undefined);
    const ended = answered(ask()).then(() => true);
    let pings = 0;
    while (!(await Promise.race([ended, passed(patienceMs)])) && !signal.aborted) {
      pings = (await answered(ping())) ? pings + 1 : 0;
      if (pings === answeredPings)
        throw new Failure('ORCHESTRATOR_DOWN', "the worker's connection hangs while Temporal answers others");
    }
  }
}
