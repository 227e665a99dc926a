import { setTimeout as pause } from 'node:timers/promises';
import { Failure } from '../domain/failures.js';
import type { DueItem, StaleLink } from '../domain/ports/sweep.js';
import type { ActivityDeps } from './deps.js';
import type { Pace } from './eachInTime.js';
import { signalEach, usualPace } from './signalEach.js';
import type { Recipient } from './signalEach.js';

/** Of each kind of due work. */
const itemsAtOnce = 500;
const linksAtOnce = 500;
/** For signals, however long it took to find whom: there is time for those that are begun by then, and to note them. */
const leastMs = 5_000;

/** Behind a lock, perhaps: an attempt has its time, and what has not come by then is the next run's. */
async function inTime<T>(list: Promise<T[]>, longestMs: number): Promise<T[]> {
  const over = new AbortController();
  const late = pause(longestMs, null, { ref: false, signal: over.signal }).then(() => {
    throw new Failure('UPSTREAM_DOWN', 'the list of what is due has not come in its time');
  });
  return Promise.race([list, late]).finally(() => {
    late.catch(() => undefined);
    over.abort();
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
  const { sweeps, gateway } = deps;

  const ofItem = (item: DueItem): Recipient => ({
    key: item.itemId,
    itemId: item.itemId,
    kinds: item.kinds,
    signal: () => gateway.signalItem(item.itemId, item.userId, { kind: 'foundDue' }),
  });
  const ofLink = (link: StaleLink): Recipient => ({
    key: link.tokenHash,
    itemId: null,
    kinds: ['link'],
    signal: () => gateway.startLink(link.tokenHash, link.userId),
  });

  /** Signals what stands in a list, for as long as there is time until `endsAt`, and notes whom. */
  async function workOff<T>(
    list: Promise<T[]>,
    endsAt: number,
    recipientOf: (one: T) => Recipient,
    note: (signalled: T[]) => Promise<void>,
  ) {
    const found = await inTime(list, pace.longestMs + leastMs);
    const recipients = found.map((one) => ({ ...recipientOf(one), one }));
    const longestMs = Math.max(leastMs, endsAt - pace.now());
    const { signalled, ...ends } = await signalEach(deps, 'sweep', recipients, { ...pace, longestMs });
    if (signalled.length > 0) await note(signalled.map(({ one }) => one));
    return { ...ends, signalled: signalled.length, left: found.length - signalled.length };
  }

  return {
    /**
     * Finds in PostgreSQL what no signal has reached (webhooks without an outcome, Items past their due time or intent, outbox
     * rows unsent, links left half way) and signals the workflows. Ends in its time on a slow Temporal or database: what it did not come to
     * is the first of the next run. Items and links are worked off each by themselves: where one list fails, or comes late, the other is
     * signalled all the same. Then it rejects. Safe to repeat.
     */
    async sweep({ graceMs }: { graceMs: number }): Promise<SweepResult> {
      const endsAt = pace.now() + pace.longestMs;
      const ends = await Promise.allSettled([
        workOff(sweeps.findDue(itemsAtOnce, graceMs), endsAt, ofItem, (items) =>
          sweeps.recordSignalled({ items }),
        ),
        workOff(sweeps.findStaleLinks(linksAtOnce, graceMs), endsAt, ofLink, (links) =>
          sweeps.recordSignalled({ links }),
        ),
      ]);
      const raiseAlerts = async (end: (typeof ends)[number]): Promise<void> => {
        if (end.status === 'fulfilled') await end.value.raiseAlerts();
      };
      const [items, links] = ends;
      const [unknown, ...raised] = await Promise.allSettled([
        sweeps.ignoreUnknown(),
        raiseAlerts(items),
        raiseAlerts(links),
      ]);
      if (items.status === 'rejected') throw items.reason;
      if (links.status === 'rejected') throw links.reason;
      if (unknown.status === 'rejected') throw unknown.reason;
      for (const end of raised) if (end.status === 'rejected') throw end.reason;
      return {
        items: items.value.signalled,
        links: links.value.signalled,
        unknown: unknown.value,
        failed: items.value.failed + links.value.failed,
        left: items.value.left + links.value.left,
      };
    },
  };
}
