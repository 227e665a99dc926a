import type { ActivityDeps } from './deps.js';

const itemsAtOnce = 500;
const linksAtOnce = 100;

export function sweepActivities(deps: ActivityDeps) {
  const { sweeps, gateway } = deps;

  return {
    /**
     * Finds in PostgreSQL what no signal told of (webhooks without an outcome, Items past their due time or intent, outbox
     * rows unsent, links left half way) and tells the workflows. Safe to repeat.
     */
    async sweep(input: {
      graceMs: number;
    }): Promise<{ items: number; links: number; unknown: number; failed: number }> {
      const unknown = await sweeps.settleUnknown();
      const items = await sweeps.findDue(itemsAtOnce, input.graceMs);
      let failed = 0;
      for (const { itemId, userId } of items) {
        // One workflow that takes no signal (its history is full, say) must not hide the others.
        await gateway.signalItem(itemId, userId, { kind: 'foundDue' }).catch(() => {
          failed += 1;
        });
      }
      const links = await sweeps.findStaleLinks(linksAtOnce, input.graceMs);
      for (const { tokenHash, userId } of links) {
        await gateway.startLink(tokenHash, userId).catch(() => {
          failed += 1;
        });
      }
      return { items: items.length, links: links.length, unknown, failed };
    },
  };
}
