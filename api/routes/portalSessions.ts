import { randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { callerOf, hashKey } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { sameSecret } from '../idempotency.js';
import { operation } from '../operation.js';
import { portalSessionAnswer, portalSessionBody } from '../schemas/portal.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';

const sessionMs = 15 * 60_000;

export function portalSessionRoutes(app: Api, context: RouteContext): void {
  const { portal, portalPage } = context;

  app.post(
    '/users/:userId/portal-sessions',
    {
      // No body asks for a page without a way back.
      preValidation: async (request: FastifyRequest) => {
        request.body ??= {};
      },
      ...operation({
        id: 'createPortalSession',
        summary: "A link to the user's page",
        description:
          'There the user sees which applications may read their accounts, narrows, renews and ends that. The link is for this user alone, for ' +
          '15 minutes. Give it to nobody else; it ends with the key that asked for it.',
        tag: 'Connections',
        scope: 'consent',
        answers: { 201: { description: 'The link', schema: portalSessionAnswer } },
        problems: ['not_found', 'malformed_json', 'unsupported_media_type', 'payload_too_large'],
      }).with({ params: userParams, querystring: noQuery, body: portalSessionBody }),
    },
    async (request, reply) => {
      const { userId } = request.params;
      const { return_url = null, locale = null } = request.body;
      const { application_id, key_id } = callerOf(request);
      const token = await sameSecret(context, request, () => randomBytes(32).toString('base64url'));
      const session = { userId, applicationId: application_id, keyId: key_id, returnUrl: return_url, locale };
      const opened = await portal.open(hashKey(token), session, sessionMs);
      if (opened === null) throw new Problem('not_found');
      request.answerExpires = opened.expiresAt;
      const origin = portalPage.url ?? `${request.protocol}://${request.host}`;
      return reply.code(201).send({ url: `${origin}/portal/${token}`, expires_at: opened.expiresAt });
    },
  );
}
