import { ourselves } from '../domain/exchange/viewer.js';
import type { DeadEnd } from '../domain/mining/run.js';
import type { ActivityDeps } from './deps.js';

export function deadEndActivities({ items, mining, commands, alerts }: ActivityDeps) {
  return {
    /**
     * An update was given up: its pages are dropped and an alert is raised, once a code of Plaid's. Where the durable cursor may be to blame, a
     * remine is asked for, which reads everything from the empty cursor. Resolves to that remine's number; null when there is
     * none, since the Item has no cursor or is to be removed. Safe to repeat: a remine that is asked for already is joined.
     */
    async reportDeadEnd(input: { itemId: string; deadEnd: DeadEnd }): Promise<{ remines: number | null }> {
      const { itemId } = input;
      const { updateId, cursorLost, error, failure } = input.deadEnd;
      await mining.discard(itemId, updateId);
      const row = await items.snapshot(itemId);
      const canRemine = cursorLost && row !== null && row.hasCursor;
      await alerts.raise({
        kind: canRemine ? 'cursor_lost' : 'update_stuck',
        key: canRemine || error === null ? itemId : `${itemId}/${error.error_code}`,
        item_id: itemId,
        detail: {
          type: failure.type,
          error_type: error?.error_type ?? null,
          error_code: error?.error_code ?? null,
        },
      });
      const remine = canRemine ? await commands.requestRemine(ourselves, itemId) : null;
      return {
        remines: remine !== null && typeof remine === 'object' && 'number' in remine ? remine.number : null,
      };
    },
  };
}
