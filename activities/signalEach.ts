import { eachByItself } from '../domain/eachByItself.js';
import { Failure } from '../domain/failures.js';
import type { ActivityDeps } from './deps.js';
import { eachInTime } from './eachInTime.js';
import type { Pace } from './eachInTime.js';

/** With a signal's own deadline, and time to record, within what Temporal gives one attempt: a minute. */
export const usualPace: Pace = { atOnce: 16, longestMs: 40_000, now: () => performance.now() };

/** A workflow that a list says has something to do. */
export interface Recipient {
  /** Under which an alert tells of it. */
  key: string;
  itemId: string | null;
  /** What is due there. */
  kinds: readonly string[];
  signal: () => Promise<void>;
}

/** An operator has to know of what takes no signal: Temporal will refuse it each time. */
export const raiseRefused = (
  alerts: ActivityDeps['alerts'],
  { key, itemId, kinds }: Omit<Recipient, 'signal'>,
): Promise<void> => alerts.raise({ kind: 'signal_refused', key, item_id: itemId, detail: { kinds } });

/**
 * Signals one after the other, some at once, for as long as there is time. One workflow that takes no signal (its history is full, say)
 * must not hide the others: it is counted, and what Temporal will refuse in each run an operator has to know of. Resolves to those that
 * were begun, to how many of them did not take it, and to what raises the alerts. That comes last, once it is noted who was signalled:
 * somebody may have locked them.
 */
export async function signalEach<T extends Recipient>(
  { alerts, reportUnexpected }: Pick<ActivityDeps, 'alerts' | 'reportUnexpected'>,
  activity: string,
  recipients: readonly T[],
  pace: Pace = usualPace,
): Promise<{ signalled: T[]; failed: number; raiseAlerts: () => Promise<void> }> {
  const refused: T[] = [];
  /** The first of each type that does not pass by itself. */
  const faults = new Map<string, unknown>();
  let failed = 0;
  const signalled = await eachInTime(recipients, pace, async (recipient) => {
    try {
      await recipient.signal();
    } catch (error) {
      failed += 1;
      const type = error instanceof Failure ? error.type : 'UNEXPECTED';
      if (type === 'ORCHESTRATOR_REFUSED') refused.push(recipient);
      if (type !== 'ORCHESTRATOR_DOWN' && !faults.has(type)) faults.set(type, error);
    }
  });
  for (const error of faults.values()) reportUnexpected(activity, error);
  const raiseAlerts = (): Promise<void> =>
    eachByItself(refused, (recipient) => raiseRefused(alerts, recipient));
  return { signalled, failed, raiseAlerts };
}

/** The same for workflows that are none of Items, by the ids of what they are for. Resolves to the ids. */
export async function signalIds(
  deps: Parameters<typeof signalEach>[0],
  activity: string,
  kind: string,
  ids: readonly string[],
  signal: (id: string) => Promise<void>,
): Promise<{ signalled: string[]; failed: number; raiseAlerts: () => Promise<void> }> {
  const recipients = ids.map((key) => ({ key, itemId: null, kinds: [kind], signal: () => signal(key) }));
  const { signalled, ...ends } = await signalEach(deps, activity, recipients);
  return { signalled: signalled.map(({ key }) => key), ...ends };
}
