import { Failure } from '../../domain/failures.js';
import { callerOf, viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf } from '../idempotency.js';
import { operation } from '../operation.js';
import { erasureAnswer, erasureParams, erasureQuery } from '../schemas/erasures.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';

/** The end of everything that is held of a user. The wish is committed, a workflow carries it out. */
export function erasureRoutes(app: Api, { erasures, gateway }: RouteContext): void {
  app.delete(
    '/users/:userId',
    operation({
      id: 'eraseUser',
      summary: 'Erase everything of a user',
      description:
        'Answered when it is recorded. From then on nothing is linked for the user (409 `user_being_erased`); the items are removed at ' +
        'Plaid, then every row, stored answer and workflow of the user is deleted, and the streams and endpoints are told. With Plaid down it ' +
        'goes on when Plaid is back. A repeat gets the same erasure, also when it has ended; a user who comes back under the same id is a new one. ' +
        '`force=true` erases although the user has an active float. An application that sees only what it is connected with gets 404.',
      tag: 'Users',
      scope: 'admin',
      answers: { 202: { description: 'The erasure', schema: erasureAnswer } },
      problems: ['not_found', 'active_float'],
    }).with({ params: userParams, querystring: erasureQuery }),
    async (request, reply) => {
      const { application_id: applicationId, key_id: keyId } = callerOf(request);
      // What others are connected with is not its to end.
      if (viewerOf(request).access !== 'all') throw new Problem('not_found');
      const erasureId = `era_${effectIdOf(request)}`;
      const { force } = request.query;
      const erasure = await erasures.request(request.params.userId, {
        erasureId,
        force,
        applicationId,
        keyId,
      });
      if (erasure === 'not_found') throw new Problem('not_found');
      if (erasure === 'active_float') throw new Problem('active_float');
      if (erasure.state !== 'done') {
        await gateway.startErasure(erasure.erasure_id).catch((error: unknown) => {
          const type = error instanceof Failure ? error.type : 'UNEXPECTED';
          // Only an outage ends by itself.
          const level = type === 'ORCHESTRATOR_DOWN' ? 'warn' : 'error';
          app.log[level]({ erasure_id: erasure.erasure_id, type }, 'left to the sweep');
        });
      }
      return reply.code(202).header('location', `/v1/erasures/${erasure.erasure_id}`).send(erasure);
    },
  );

  app.get(
    '/erasures/:id',
    operation({
      id: 'getErasure',
      summary: 'How far an erasure is',
      description: 'It stays as a tombstone that names nobody: the hash of the user id, times and counts.',
      tag: 'Users',
      scope: 'admin',
      answers: { 200: { description: 'The erasure', schema: erasureAnswer } },
      problems: ['not_found'],
    }).with({ params: erasureParams, querystring: noQuery }),
    async (request) => {
      if (viewerOf(request).access !== 'all') throw new Problem('not_found');
      const erasure = await erasures.get(request.params.id);
      if (erasure === null) throw new Problem('not_found');
      return erasure;
    },
  );
}
