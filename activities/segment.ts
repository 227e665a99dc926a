import type { ActivityDeps } from './deps.js';

const eventsAtOnce = 20;

export function segmentActivities(deps: ActivityDeps) {
  const { segment, segments } = deps;

  return {
    /** Sends what Segment has not been told of an Item, in order. At least once: Segment drops repeats of a message id. */
    async sendSegmentEvents(input: { itemId: string }): Promise<{ done: boolean }> {
      const { itemId } = input;
      if (segment === null) {
        await segments.discard(itemId);
        return { done: true };
      }
      const events = await segments.unsent(itemId, eventsAtOnce);
      for (const event of events) {
        await segment.track(event);
        await segments.markSent(itemId, [event.messageId]);
      }
      return { done: events.length < eventsAtOnce };
    },
  };
}
