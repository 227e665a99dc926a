import { segmentActivities } from '../../activities/segment.js';
import type { SegmentEvent } from '../../domain/ports/segment.js';

it('an attempt without time leaves the rest to the next one', async () => {
  const told: string[] = [];
  const left = ['m1', 'm2', 'm3'];
  const over = new AbortController();
  const activities = segmentActivities(
    {
      segment: {
        async track({ messageId }) {
          told.push(messageId);
          if (told.length === 2) over.abort();
        },
      },
      segments: {
        unsent: async () => left.map((messageId) => ({ messageId }) as SegmentEvent),
        recordSent: async (_itemId, sent) => void left.splice(0, sent.length),
        discard: async () => undefined,
      },
    },
    (work) => work(over.signal),
  );
  expect(await activities.sendSegmentEvents({ itemId: 'item-1' })).toEqual({ done: false });
  expect([told, left]).toEqual([['m1', 'm2'], ['m3']]);
});
