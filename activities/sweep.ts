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

/** A list, and what of it is there by now. */
function listing<T>(list: Promise<T[]>) {
  let found: T[] = [];
  const state = {
    hasEnded: false,
    fault: new Failure('UPSTREAM_DOWN', 'the list of what is due has not come in its time') as unknown,
    ended: list.then(
      (all) => {
        found = all;
        state.fault = null;
        state.hasEnded = true;
      },
      (error: unknown) => {
        state.fault = error;
        state.hasEnded = true;
      },
    ),
    /** What is there and was not taken before. */
    take(): T[] {
      const taken = found;
      found = [];
      return taken;
    },
  };
  return state;
}

const within = (ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, pause(Math.max(0, ms), undefined, { ref: false })]);

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
     * is the first of the next run. Where one list fails, or comes late, what stands in the other is signalled first; then it rejects, or signals what came. Safe to repeat.
     */
    async sweep(input: { graceMs: number }): Promise<SweepResult> {
      const begunAt = pace.now();
      const leftMs = () => pace.longestMs - (pace.now() - begunAt);
      const items = listing(sweeps.findDue(itemsAtOnce, input.graceMs));
      const links = listing(sweeps.findStaleLinks(linksAtOnce, input.graceMs));
      const both = Promise.all([items.ended, links.ended]);
      const result: SweepResult = { items: 0, links: 0, unknown: 0, failed: 0, left: 0 };
      const alerts: (() => Promise<void>)[] = [];

      /** Signals what stands in the lists that are there, and notes it. */
      const signalThem = async (longestMs: number): Promise<void> => {
        const found = interleaved(items.take().map(ofItem), links.take().map(ofLink));
        if (found.length === 0) return;
        const inTime = { ...pace, longestMs: Math.max(leastMs, longestMs) };
        const { signalled, failed, raiseAlerts } = await signalEach(deps, 'sweep', found, inTime);
        alerts.push(raiseAlerts);
        const signalledItems = signalled.flatMap((subject) => ('item' in subject ? [subject.item] : []));
        const signalledLinks = signalled.flatMap((subject) => ('link' in subject ? [subject.link] : []));
        await sweeps.recordSignalled({ items: signalledItems, links: signalledLinks });
        result.items += signalledItems.length;
        result.links += signalledLinks.length;
        result.failed += failed;
        result.left += found.length - signalled.length;
      };

      await Promise.race([items.ended, links.ended]);
      await within(otherListMs, both);
      // The other one comes late, perhaps, and has time then.
      const isWhole = items.hasEnded && links.hasEnded;
      await signalThem(isWhole ? leftMs() : leftMs() / 2);
      if (!isWhole) {
        await within(leftMs() + leastMs, both);
        await signalThem(leftMs());
      }
      const faults: unknown[] = [items.fault, links.fault].filter((fault) => fault !== null);
      result.unknown = await sweeps.ignoreUnknown();
      for (const raiseAlerts of alerts) await raiseAlerts();
      if (faults.length > 0) throw faults[0];
      return result;
    },
  };
}
