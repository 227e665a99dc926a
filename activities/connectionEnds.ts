import { Failure } from '../domain/failures.js';
import type { EndedItem } from '../domain/ports/connectionEnds.js';
import type { ItemSignal } from '../domain/ports/gateway.js';
import type { ActivityDeps } from './deps.js';

/** Of each kind, in one sweep. */
const itemsAtOnce = 500;

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

  /** What is to be done stands in the rows: what no signal reaches, its workflow finds there, and the sweep finds removals. */
  async function signalAll(found: readonly EndedItem[], signal: ItemSignal): Promise<void> {
    for (const { itemId, userId } of found) {
      await gateway.signalItem(itemId, userId, signal).catch((error: unknown) => {
        if (!(error instanceof Failure && error.type === 'ORCHESTRATOR_DOWN'))
          deps.reportUnexpected('endConnections', error);
      });
    }
  }

  return {
    /**
     * What comes of connections by time: those that have ended are written down and told, those that end soon are told, and Items
     * with which nobody has been connected for long enough are to be removed. At most 500 Items of each kind. Safe to repeat.
     */
    async endConnections(): Promise<ConnectionEnds> {
      const ended = await connectionEnds.noteExpired(itemsAtOnce);
      await signalAll(ended, { kind: 'foundDue' });
      const expiring = await connectionEnds.reportExpiring(itemsAtOnce);
      if (itemGraceMs === 0) return { ended: ended.length, expiring, removed: 0, kept: 0 };
      const { requested, kept } = await connectionEnds.requestRemovals(itemsAtOnce, itemGraceMs);
      await signalAll(requested, { kind: 'removalRequested' });
      for (const { itemId } of kept) {
        const alert = { kind: 'removal_waits_for_float', key: itemId, item_id: itemId } as const;
        await alerts.raise({ ...alert, detail: {} });
      }
      return { ended: ended.length, expiring, removed: requested.length, kept: kept.length };
    },
  };
}
