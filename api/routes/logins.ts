import type { FastifyRequest } from 'fastify';
import { viewerOf } from '../auth.js';
import { within } from '../deadline.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf } from '../idempotency.js';
import { operation } from '../operation.js';
import { loginAnswer, loginBody } from '../schemas/logins.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';

export function loginRoutes(app: Api, { reads, gateway, limits }: RouteContext): void {
  app.post(
    '/users/:userId/logins',
    {
      preValidation: async (request: FastifyRequest) => {
        request.body ??= {};
      },
      ...operation({
        id: 'checkLogin',
        summary: 'The user has logged in: are the items fresh?',
        description:
          'An item is stale when its last update is too old, or when Plaid has read the bank since. A stale item gets a synthetic ' +
          'webhook `TRANSACTIONS/SYNC_UPDATES_AVAILABLE`, which makes it update; while an update webhook waits already, that one is ' +
          'named. Broken and removed items are not checked. The same check runs for `user.logged_in` events of the stream.',
        tag: 'Users',
        scope: 'write',
        answers: { 202: { description: 'The items that were checked', schema: loginAnswer } },
        problems: [
          'not_found',
          'malformed_json',
          'unsupported_media_type',
          'payload_too_large',
          'orchestrator_down',
          'login_check_pending',
        ],
      }).with({ params: userParams, querystring: noQuery, body: loginBody }),
    },
    async (request, reply) => {
      const { userId } = request.params;
      const viewer = viewerOf(request);
      if ((await reads.user(viewer, userId)) === null) throw new Problem('not_found');
      const late = (): Problem => new Problem('login_check_pending');
      // The gateway bounds the wait itself; the outer bound only catches one that does not.
      const checks = await within(
        gateway.checkUser(userId, limits.checkMs, effectIdOf(request)),
        limits.checkMs + limits.askMs,
        late,
      );
      if (checks === null) throw late();
      // All of them were checked: what is mined is shared. Those that the application sees are answered.
      const seen = await reads.seenItems(
        viewer,
        checks.map(({ item_id }) => item_id),
      );
      const shown = checks.filter(({ item_id }) => seen.has(item_id));
      return reply.status(202).send({
        items: shown.map(({ item_id, stale, webhook_id, reason }) => ({
          item_id,
          stale,
          ...(webhook_id === null ? {} : { webhook_id }),
          ...(reason === null ? {} : { reason }),
        })),
      });
    },
  );
}
