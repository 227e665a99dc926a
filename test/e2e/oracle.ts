import type { Examined } from '../../tools/faults/oracle.js';
import { examine, untilQuiet } from '../../tools/faults/oracle.js';
import type { System } from '../../tools/faults/system.js';
import { eventErrors, writtenEvents } from '../drizzle/eventSchemas.js';

export { closeOracle, examine, readStored, stillWaiting, untilQuiet } from '../../tools/faults/oracle.js';

/**
 * Waits for quiet, compares PostgreSQL, outbox and streams with the simulator's truth, and demands that nothing differs.
 * `remined`: rows may have come and gone between the two readings of a remine, or before its second one was whole. Plaid never told
 * of those, and they need no mark of a removal.
 */
export async function expectTruth(
  system: System,
  itemId: string,
  options: { phase?: string; remined?: boolean } = {},
): Promise<Examined> {
  await untilQuiet(system, itemId, options.phase);
  const told = await examine(system, itemId);
  const { lost, phantom, stale, dup, other } = told;
  // A row that is stored is removed or live, and an event without a stored row is a phantom: of what is live here no removal ever came.
  const missed = options.remined === true ? lost.filter((line) => !line.endsWith('is live here')) : lost;
  expect({ item: itemId, lost: missed, phantom, stale, dup, other }).toEqual({
    item: itemId,
    lost: [],
    phantom: [],
    stale: [],
    dup: [],
    other: [],
  });
  return told;
}

/**
 * What must hold for a whole system at the end: no workflow failed or ended by others than those named, no alert, no error that
 * an adapter did not expect.
 */
export async function expectHealthy(
  system: System,
  options: { terminated?: number; alerts?: string[] } = {},
): Promise<void> {
  const count = async (status: string): Promise<number> =>
    (await system.client.workflow.count(`ExecutionStatus = '${status}'`)).count;
  expect({
    failed: await count('Failed'),
    timedOut: await count('TimedOut'),
    canceled: await count('Canceled'),
    terminated: await count('Terminated'),
  }).toEqual({ failed: 0, timedOut: 0, canceled: 0, terminated: options.terminated ?? 0 });
  expect((await writtenEvents(system.sql)).flatMap(eventErrors)).toEqual([]);
  const alerts = await system.sql<{ kind: string }[]>`SELECT kind FROM alerts ORDER BY kind`;
  expect(alerts.map(({ kind }) => kind)).toEqual(options.alerts ?? []);
  const unexpected = system
    .logs()
    .split('\n')
    .filter((line) => /unexpected error in an activity|nondeterminism/i.test(line));
  expect(unexpected).toEqual([]);
}
