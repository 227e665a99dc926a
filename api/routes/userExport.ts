import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { loggedError, Problem } from '../errors.js';
import { operation } from '../operation.js';
import { exportAnswer } from '../schemas/erasures.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';

/** Each holds a connection to the database for as long as its client reads. */
const exportsAtOnce = 2;
const busyMs = 10_000;

/** Everything that is held of a user, as lines of JSON. */
export function userExportRoutes(app: Api, { reads, exports, now = Date.now }: RouteContext): void {
  let running = 0;

  /** Writes a piece, and resolves when the client has taken enough of it for the next. */
  async function pass(stream: PassThrough, lines: string): Promise<void> {
    if (stream.destroyed) throw new Error('the client has gone');
    if (stream.write(lines)) return;
    const gone = new AbortController();
    const close = (): void => gone.abort();
    stream.once('close', close);
    try {
      await once(stream, 'drain', { signal: gone.signal });
    } finally {
      stream.off('close', close);
    }
  }

  app.get(
    '/users/:userId/export',
    operation({
      id: 'exportUser',
      summary: 'Everything that is held of a user',
      description:
        'NDJSON, of one moment: a header `{type: "export", user_id, at}`, then lines of the types `user`, `item`, `float`, `account`, ' +
        '`balance`, `transaction`, `connection`, `connection_history` and `number_read` (who read account numbers and when, never the numbers), then ' +
        '`{type: "end", lines}` with the count of the lines between. An answer without that last line was cut off: ask again. ' +
        'An application that sees only what it is connected with gets 404.',
      tag: 'Users',
      scope: 'admin',
      answers: {
        200: { description: 'Lines of JSON', schema: exportAnswer, contentType: 'application/x-ndjson' },
      },
      problems: ['not_found'],
    }).with({ params: userParams, querystring: noQuery }),
    async (request, reply) => {
      const { userId } = request.params;
      const viewer = viewerOf(request);
      if (viewer.access !== 'all' || (await reads.user(viewer, userId)) === null)
        throw new Problem('not_found');
      if (running >= exportsAtOnce) throw new Problem('unavailable', { retryAfterMs: busyMs });
      running += 1;
      const stream = new PassThrough();
      const head = { type: 'export', user_id: userId, at: new Date(now()).toISOString() };
      stream.write(`${JSON.stringify(head)}\n`);
      void exports
        .write(userId, (lines) => pass(stream, lines))
        .then(() => stream.end())
        .catch((error: unknown) => {
          // The status has gone out: that the last line is missing tells the client.
          if (!stream.destroyed) request.log.error(loggedError(error), 'export cut off');
          stream.destroy();
        })
        .finally(() => {
          running -= 1;
        });
      return reply.type('application/x-ndjson').send(stream);
    },
  );
}
