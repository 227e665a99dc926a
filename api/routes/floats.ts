import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { operation } from '../operation.js';
import { floatAnswer, floatBody, floatParams } from '../schemas/floats.js';
import { noQuery } from '../schemas/shared.js';

export function floatRoutes(app: Api, { floats }: RouteContext): void {
  app.put(
    '/users/:userId/floats/:floatId',
    operation({
      id: 'putFloat',
      summary: 'Say what a float is',
      description:
        'Floats (short-term advances) are owned by another service; this reports one, as the stream of user events does. ' +
        'An item is not removed while its user has an active float. The latest word counts: the answer is the float as it stands, ' +
        'which an event of a later time may have decided. A float that an application of access `connected` tells of is its own: others do ' +
        'not see it, and it sees none of others. It keeps the items all the same.',
      tag: 'Users',
      scope: 'write',
      answers: { 200: { description: 'The float', schema: floatAnswer } },
      problems: [
        'not_found',
        'user_being_erased',
        'malformed_json',
        'unsupported_media_type',
        'payload_too_large',
      ],
    }).with({ params: floatParams, querystring: noQuery, body: floatBody }),
    async (request) => {
      const { userId, floatId } = request.params;
      const by = viewerOf(request);
      const float = await floats.record({
        userId,
        floatId,
        status: request.body.status,
        occurredAt: null,
        by,
      });
      if (float === null) throw new Problem('not_found');
      return float;
    },
  );

  app.get(
    '/users/:userId/floats/:floatId',
    operation({
      id: 'getFloat',
      summary: 'A float',
      description:
        'What was said of it last, over REST or by an event. One of a user who is not known yet is 404.',
      tag: 'Users',
      scope: 'read',
      answers: { 200: { description: 'The float', schema: floatAnswer } },
      problems: ['not_found'],
    }).with({ params: floatParams, querystring: noQuery }),
    async (request) => {
      const { userId, floatId } = request.params;
      const float = await floats.get(viewerOf(request), userId, floatId);
      if (float === null) throw new Problem('not_found');
      return float;
    },
  );
}
