import { eachByItself } from '../domain/eachByItself.js';
import type { EndedItem } from '../domain/ports/connectionEnds.js';
import type { ActivityDeps } from './deps.js';
import { signalEach, usualPace } from './signalEach.js';
import type { Recipient } from './signalEach.js';

/** Of each kind, in one sweep. */
const itemsAtOnce = 500;
/** What is left of an attempt's minute when 1,500 Items were written. */
const signallingMs = 20_000;

export interface ConnectionEnds {
  /** Items with which nobody is connected any more since a connection has ended by time. */
  ended: number;
  /** Items of which a connection ends soon, told now. */
  expiring: number;
  /** Items whose removal was asked for, since nobody has been connected for long enough. */
  removed: number;
  /** Items that would go, and wait for the end of their user's float. */
  kept: number;
}

export function connectionEndActivities(deps: ActivityDeps) {
  const { connectionEnds, gateway, alerts, itemGraceMs } = deps;

  const recipientOf = ({ itemId, userId }: EndedItem, kind: 'foundDue' | 'removalRequested'): Recipient => ({
    key: itemId,
    itemId,
    kinds: ['connections'],
    signal: () => gateway.signalItem(itemId, userId, { kind }),
  });

  return {
    /**
     * What comes of connections by time: those that have ended are written down and told, those that end soon are told, and Items
     * with which nobody has been connected for long enough are to be removed. At most 500 Items of each kind. What fails holds up nothing
     * else, then it rejects. Safe to repeat.
     */
    async endConnections(): Promise<ConnectionEnds> {
      const faults: unknown[] = [];
      const tried = async <T>(work: Promise<T>, none: T): Promise<T> =>
        work.catch((error: unknown) => {
          faults.push(error);
          return none;
        });
      const nobody = { ended: [], requested: [], kept: [], fault: null };
      const expired = await tried(connectionEnds.noteExpired(itemsAtOnce), nobody);
      const { ended } = expired;
      const expiring = await tried(connectionEnds.reportExpiring(itemsAtOnce), 0);
      const { requested, kept, fault } =
        itemGraceMs === 0
          ? nobody
          : await tried(connectionEnds.requestRemovals(itemsAtOnce, itemGraceMs), nobody);
      for (const one of [expired.fault, fault]) if (one !== null) faults.push(one);
      const alerting = eachByItself(kept, ({ itemId }) =>
        alerts.raise({ kind: 'removal_waits_for_float', key: itemId, item_id: itemId, detail: {} }),
      );
      await tried(alerting, undefined);
      // Last: it stands in the rows, where an Item that no signal reaches finds it, and the sweep finds removals.
      const recipients = [
        ...requested.map((item) => recipientOf(item, 'removalRequested')),
        ...ended.map((item) => recipientOf(item, 'foundDue')),
      ];
      const pace = { ...usualPace, longestMs: signallingMs };
      const { raiseAlerts } = await signalEach(deps, 'endConnections', recipients, pace);
      await raiseAlerts();
      if (faults.length > 0) throw faults[0];
      return { ended: ended.length, expiring, removed: requested.length, kept: kept.length };
    },
  };
}
