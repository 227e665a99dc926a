import type { Attempt } from './attempt.js';
import { temporalAttempt } from './attempt.js';
import type { ActivityDeps } from './deps.js';

const eventsAtOnce = 20;

export function segmentActivities(
  deps: Pick<ActivityDeps, 'segment' | 'segments'>,
  attempt: Attempt = temporalAttempt,
) {
  const { segment, segments } = deps;

  return {
    /** Sends the Item's events that Segment lacks, in order. At least once: Segment drops repeats of a message id. */
    async sendSegmentEvents(input: { itemId: string }): Promise<{ done: boolean }> {
      const { itemId } = input;
      if (segment === null) {
        await segments.discard(itemId);
        return { done: true };
      }
      return attempt(async (signal) => {
        const events = await segments.unsent(itemId, eventsAtOnce);
        for (const event of events) {
          await segment.track(event);
          await segments.recordSent(itemId, [event.messageId]);
          // Somebody else goes on: what a late attempt sends would come after what is newer.
          if (signal.aborted) return { done: false };
        }
        return { done: events.length < eventsAtOnce };
      });
    },
  };
}
