import { Failure } from '../domain/failures.js';
import type { DueItem, StaleLink } from '../domain/ports/sweep.js';
import type { ActivityDeps } from './deps.js';
import { eachInTime } from './eachInTime.js';
import type { Pace } from './eachInTime.js';

/** Of each kind of due work. */
const itemsAtOnce = 500;
const linksAtOnce = 500;

/** With a signal's own deadline, and time to read and to record, within what Temporal gives one attempt: a minute. */
const usualPace: Pace = { atOnce: 16, longestMs: 40_000, now: () => performance.now() };

type Subject = { item: DueItem } | { link: StaleLink };

/** One of each, alternating: however slow the signals are, neither waits for the end of the other. */
function interleaved(items: readonly DueItem[], links: readonly StaleLink[]): Subject[] {
  const longer = Math.max(items.length, links.length);
  return Array.from({ length: longer }).flatMap((_, index): Subject[] => {
    const [item, link] = [items[index], links[index]];
    return [...(item ? [{ item }] : []), ...(link ? [{ link }] : [])];
  });
}

export interface SweepResult {
  /** Signalled in this run. */
  items: number;
  links: number;
  /** Webhooks of Items that never became ours, ended now. */
  unknown: number;
  /** Of those signalled, how many did not take it. */
  failed: number;
  /** Found, and left to the next run because this one's time was over. */
  left: number;
}

export function sweepActivities(deps: ActivityDeps, pace: Pace = usualPace) {
  const { sweeps, gateway, alerts, reportUnexpected } = deps;

  const signal = (subject: Subject): Promise<void> =>
    'item' in subject
      ? gateway.signalItem(subject.item.itemId, subject.item.userId, { kind: 'foundDue' })
      : gateway.startLink(subject.link.tokenHash, subject.link.userId);

  /** A call that Temporal will refuse in each run: an operator has to know of it. */
  async function alertOf(subject: Subject): Promise<void> {
    const [key, itemId, kinds] =
      'item' in subject
        ? [subject.item.itemId, subject.item.itemId, subject.item.kinds]
        : [subject.link.tokenHash, null, ['link']];
    await alerts.raise({ kind: 'signal_refused', key, item_id: itemId, detail: { kinds } });
  }

  return {
    /**
     * Finds in PostgreSQL what no signal has reached (webhooks without an outcome, Items past their due time or intent, outbox
     * rows unsent, links left half way) and signals the workflows. Ends in its time on a slow Temporal: what it did not come to
     * is the first of the next run. Safe to repeat.
     */
    async sweep(input: { graceMs: number }): Promise<SweepResult> {
      const [items, links] = await Promise.all([
        sweeps.findDue(itemsAtOnce, input.graceMs),
        sweeps.findStaleLinks(linksAtOnce, input.graceMs),
      ]);
      const found = interleaved(items, links);
      const refused: Subject[] = [];
      /** The first of each type that does not pass by itself. */
      const faults = new Map<string, unknown>();
      let failed = 0;
      const signalled = await eachInTime(found, pace, async (subject) => {
        try {
          await signal(subject);
        } catch (error) {
          // One workflow that takes no signal (its history is full, say) must not hide the others.
          failed += 1;
          const type = error instanceof Failure ? error.type : 'UNEXPECTED';
          if (type === 'ORCHESTRATOR_REFUSED') refused.push(subject);
          if (type !== 'ORCHESTRATOR_DOWN' && !faults.has(type)) faults.set(type, error);
        }
      });
      const signalledItems = signalled.flatMap((subject) => ('item' in subject ? [subject.item] : []));
      const signalledLinks = signalled.flatMap((subject) => ('link' in subject ? [subject.link] : []));
      await sweeps.recordSignalled({ items: signalledItems, links: signalledLinks });
      for (const error of faults.values()) reportUnexpected('sweep', error);
      for (const subject of refused) await alertOf(subject);
      const unknown = await sweeps.ignoreUnknown();
      return {
        items: signalledItems.length,
        links: signalledLinks.length,
        unknown,
        failed,
        left: found.length - signalled.length,
      };
    },
  };
}
