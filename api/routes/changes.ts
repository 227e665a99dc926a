import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { granted } from '../itemAccess.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import { consentProblems } from '../problems.js';
import { changesAnswer, changesQuery } from '../schemas/changes.js';
import { itemParams } from '../schemas/items.js';

const decimal = /^\d{1,16}$/;

/** A page of changes; `rows` are JSON texts. */
const pageText = (rows: readonly string[], next: number, more: boolean, cursor: string | null): string =>
  `{"data":[${rows.join(',')}],"next":${next},"has_more":${more},"next_cursor":${JSON.stringify(cursor)}}`;

function refusedParameter(pointer: string, detail: string): Problem {
  return new Problem('invalid_request', { errors: [{ in: 'query', pointer, detail }] });
}

export function changeRoutes(app: Api, { changes }: RouteContext): void {
  app.get(
    '/items/:itemId/changes',
    operation({
      id: 'listChangesOfItem',
      summary: "What has changed in an item's records, in order",
      description:
        'Who applies every change in its order, from a snapshot on, holds an exact copy of what it may see: upsert `added` and `modified`, drop ' +
        '`removed`. Begin with `snapshot=true` and page by `cursor` to the end; then ask with `after` = the `next` of the last page, as often as you like. ' +
        'The feed reaches back as far as the streams do (30 days unless configured otherwise); behind that the answer is `feed_expired`: begin with a snapshot ' +
        'again. Closed accounts are removed from the copy; rows of a connection with `lookback_days` have to be dropped by their date. After a connection was ' +
        'narrowed the feed leaves out what is no longer granted.',
      tag: 'Items',
      scope: 'read',
      answers: { 200: { description: 'A page of changes, or of the live records', schema: changesAnswer } },
      problems: ['not_found', 'invalid_cursor', 'feed_expired', ...consentProblems],
    }).with({ params: itemParams, querystring: changesQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { after, record, snapshot, cursor, limit } = request.query;
      const viewer = viewerOf(request);
      const records = [...record].sort();
      if (!snapshot) {
        if (cursor !== undefined) throw refusedParameter('/cursor', 'is for snapshots only');
        const page = await changes.changes(viewer, itemId, records, after ?? 0, limit);
        if (page === 'expired') {
          throw new Problem('feed_expired', {
            members: { snapshot: `/v1/items/${encodeURIComponent(itemId)}/changes?snapshot=true` },
          });
        }
        const { rows, next, hasMore } = granted(page);
        return reply.type('application/json').send(pageText(rows, next, hasMore, null));
      }
      if (after !== undefined) throw refusedParameter('/after', 'is not for snapshots');
      const query = { list: 'snapshot', filters: { applicationId: viewer.applicationId, itemId, records } };
      const [stands, ...key] = readCursor(query, cursor) ?? [];
      // Where the first page stood: what has changed since comes in the feed, whether or not a later page has shown it.
      const from = stands === undefined || !decimal.test(stands) ? null : Number(stands);
      const page = granted(
        await changes.snapshot(viewer, itemId, records, limit, key.length === 2 ? key : null),
      );
      const next = from ?? page.sequence;
      const nextCursor = writeCursor(query, page.next === null ? null : [String(next), ...page.next]);
      return reply.type('application/json').send(pageText(page.rows, next, nextCursor !== null, nextCursor));
    },
  );
}
