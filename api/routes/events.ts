import { eventTypes } from '../../domain/exchange/event.js';
import type { EventPage, EventPlace, GivenPlace } from '../../domain/ports/events.js';
import { allows, assertStillStands, callerOf, viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import {
  describedEvents,
  eventSchema,
  eventsAnswer,
  eventsQuery,
  eventTypesAnswer,
} from '../schemas/events.js';
import { noQuery } from '../schemas/shared.js';

const decimal = /^\d{1,19}$/;

export function eventRoutes(app: Api, context: RouteContext): void {
  const { applications, events, eventWaits, eventsKeptMs, now = Date.now } = context;

  /** The place that a cursor names; it is good for as long as nothing behind it may have been deleted. */
  function placeOf(key: string[] | null): GivenPlace | null {
    if (key === null) return null;
    const [xid = '', position = '', at = ''] = key;
    if (key.length !== 3 || !key.every((part) => decimal.test(part))) {
      throw new Problem('invalid_cursor', {
        errors: [{ in: 'query', pointer: '/after', detail: 'is not a place among the events' }],
      });
    }
    if (Number(at) < now() - eventsKeptMs) throw new Problem('feed_expired');
    return { xid, position, at: Number(at) };
  }

  app.get(
    '/events',
    operation({
      id: 'listEvents',
      summary: 'What has happened, in order',
      description:
        'The events that endpoints are sent, with the same ids, for 30 days unless configured otherwise; no endpoint is needed. Pass `next` on as ' +
        '`after`: none is missed, none comes twice. With `wait` the answer comes with the first event, or empty after so many ' +
        'seconds; 401 in place of both once the key was revoked meanwhile. An application sees events of an item from the moment of its connection on while that is active, and those of its ' +
        'own connections always; a key with the scope `consent` those of every connection. No change of rights brings back what a ' +
        'cursor has passed.',
      tag: 'Events',
      scope: 'read',
      answers: { 200: { description: 'Events, oldest first', schema: eventsAnswer } },
      problems: ['invalid_cursor', 'feed_expired', 'event_waits_busy'],
    }).with({ querystring: eventsQuery }),
    async (request, reply) => {
      const { after, types, wait, limit } = request.query;
      const viewer = { ...viewerOf(request), consent: allows(callerOf(request).scopes, 'consent') };
      const query = { list: 'events', filters: { applicationId: viewer.applicationId } };
      const wanted = types.length === eventTypes.length ? null : types;

      async function pageAfter(place: EventPlace | null): Promise<EventPage> {
        const page = await events.page(viewer, place, wanted, limit);
        // A place of another database, or of one that was set back since.
        if (page === 'lost') throw new Problem('feed_expired');
        return page;
      }

      let page = await pageAfter(placeOf(readCursor(query, after, 'after')));
      if (wait > 0 && page.events.length === 0) {
        await eventWaits.run(async () => {
          const end = new AbortController();
          const timer = setTimeout(() => end.abort(), wait * 1_000);
          reply.raw.once('close', () => end.abort());
          try {
            while (page.events.length === 0 && !end.signal.aborted && !eventWaits.isStopped()) {
              if (!page.hasMore) await eventWaits.untilNewer(page.newest, end.signal);
              page = await pageAfter(page.next);
              if (page.events.length > 0) await assertStillStands(applications, request);
            }
          } finally {
            clearTimeout(timer);
          }
        });
      }
      const { xid, position } = page.next;
      const next = writeCursor(query, [xid, position, String(now())]);
      return { data: page.events, next, has_more: page.hasMore };
    },
  );

  const described = eventTypes.map((type) => ({
    type,
    description: describedEvents[type].description,
    schema: eventSchema(type),
  }));

  app.get(
    '/event-types',
    operation({
      id: 'listEventTypes',
      summary: 'The types of events, with their JSON Schemas',
      tag: 'Events',
      scope: 'read',
      answers: { 200: { description: 'Every type', schema: eventTypesAnswer } },
      problems: [],
    }).with({ querystring: noQuery }),
    async () => ({ data: described }),
  );
}
