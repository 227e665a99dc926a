import type { EventType } from '../exchange/event.js';
import type { EventBody } from '../exchange/eventBody.js';
import type { Viewer } from '../exchange/viewer.js';

/** A place among the events: behind the transaction `xid` up to the event `position` in it. Decimal texts. */
export interface EventPlace {
  xid: string;
  position: string;
}

/** A place that was given to a client. */
export interface GivenPlace extends EventPlace {
  /** When, in milliseconds of the epoch. */
  at: number;
}

export interface EventPage {
  events: EventBody[];
  /** Everything up to here was looked at; where the next page begins. */
  next: EventPlace;
  /** More may stand behind `next` already; also behind a page without events. */
  hasMore: boolean;
  /** What `newest` said at this moment. */
  newest: string;
}

export interface EventStore {
  /**
   * Events behind `after` (null = from the oldest that is kept) that the viewer may be told of now, in the order of their
   * commits, and none of a transaction while an older one still runs: so that none is missed that commits late. `consent`: also of
   * the connections of every application. `types` null = every one. `lost`: this database has never been at that place, or was set
   * back since.
   */
  page(
    viewer: Viewer & { consent: boolean },
    after: EventPlace | GivenPlace | null,
    types: readonly EventType[] | null,
    limit: number,
  ): Promise<EventPage | 'lost'>;
  /** A text that is another one once further events may be read, whomever they are for. */
  newest(): Promise<string>;
}
