import type { EventType } from '../../domain/exchange/event.js';
import type { EventBody } from '../../domain/exchange/eventBody.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { EventPlace } from '../../domain/ports/events.js';
import type { World } from './world.js';

export type Reader = Viewer & { consent?: boolean };

/** One page of the feed, of what it shows at this moment. */
export async function page(
  world: World,
  reader: Reader,
  after: EventPlace | null,
  limit = 100,
  types: EventType[] | null = null,
) {
  const found = await world.stores.events.page({ consent: false, ...reader }, after, types, limit);
  if (found === 'lost') throw new Error('the place is lost');
  return found;
}

/** Everything that the reader is told from `after` on, once every transaction has ended that may hold something back. */
export async function told(
  world: World,
  reader: Reader,
  after: EventPlace | null = null,
  limit = 100,
  types: EventType[] | null = null,
) {
  // Other test files write in other databases of the same server: what is newer than their oldest transaction waits for it.
  const [written] = await world.sql<[{ xid: string | null }]>`
    SELECT max(xid::text::numeric)::text AS xid FROM events`;
  const events: EventBody[] = [];
  let place = after;
  for (;;) {
    const found = await page(world, reader, place, limit, types);
    events.push(...found.events);
    place = found.next;
    if (!found.hasMore && BigInt(place.xid) > BigInt(written.xid ?? 0)) return { events, place };
  }
}
