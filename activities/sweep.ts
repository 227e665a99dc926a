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

/** How long one list that is there waits for the other, whose table somebody may have locked. */
const otherListMs = 5_000;

type Subject = Recipient & ({ item: DueItem } | { link: StaleLink });

/** One of each, alternating: however slow the signals are, neither waits for the end of the other. */
function interleaved<T>(items: readonly T[], links: readonly T[]): T[] {
  const longer = Math.max(items.length, links.length);
  return Array.from({ length: longer }).flatMap((_, index) =>
    [items[index], links[index]].filter((one) => one !== undefined),
  );
}

/** A list, and what of it is known by now. */
function listing<T>(list: Promise<T[]>) {
  const state: { found: T[]; ended: Promise<void>; fault: unknown } = {
    found: [],
    fault: new Failure('UPSTREAM_DOWN', 'the list of what is due has not come in its time'),
    ended: list.then((found) => {
      state.found = found;
      state.fault = null;
    }),
  };
  state.ended.catch((error: unknown) => {
    state.fault = error;
  });
  return state;
}

/** Resolves once both have ended, or one has been there for as long as it waits for the other. */
async function bothInTime(lists: readonly Promise<void>[]): Promise<void> {
  const oneIsThere = Promise.any(lists).then(() => pause(otherListMs, undefined, { ref: false }));
  // Where both have failed, they have ended.
  await Promise.race([Promise.allSettled(lists), oneIsThere.catch(() => undefined)]);
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

  const ofItem = (item: DueItem): Subject => ({
    item,
    key: item.itemId,
    itemId: item.itemId,
    kinds: item.kinds,
    signal: () => gateway.signalItem(item.itemId, item.userId, { kind: 'foundDue' }),
  });
  const ofLink = (link: StaleLink): Subject => ({
    link,
    key: link.tokenHash,
    itemId: null,
    kinds: ['link'],
    signal: () => gateway.startLink(link.tokenHash, link.userId),
  });

  return {
    /**
     * Finds in PostgreSQL what no signal has reached (webhooks without an outcome, Items past their due time or intent, outbox
     * rows unsent, links left half way) and signals the workflows. Ends in its time on a slow Temporal or database: what it did not come to
     * is the first of the next run. Where one list fails what stands in the other is signalled all the same, then it rejects. Safe to repeat.
     */
    async sweep(input: { graceMs: number }): Promise<SweepResult> {
      const begunAt = pace.now();
      const items = listing(sweeps.findDue(itemsAtOnce, input.graceMs));
      const links = listing(sweeps.findStaleLinks(linksAtOnce, input.graceMs));
      await bothInTime([items.ended, links.ended]);
      const faults: unknown[] = [items.fault, links.fault].filter((fault) => fault !== null);
      const found = interleaved(items.found.map(ofItem), links.found.map(ofLink));
      const longestMs = Math.max(leastMs, pace.longestMs - (pace.now() - begunAt));
      const { signalled, failed, raiseAlerts } = await signalEach(deps, 'sweep', found, {
        ...pace,
        longestMs,
      });
      const signalledItems = signalled.flatMap((subject) => ('item' in subject ? [subject.item] : []));
      const signalledLinks = signalled.flatMap((subject) => ('link' in subject ? [subject.link] : []));
      await sweeps.recordSignalled({ items: signalledItems, links: signalledLinks });
      const unknown = await sweeps.ignoreUnknown();
      await raiseAlerts();
      if (faults.length > 0) throw faults[0];
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
