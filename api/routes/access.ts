import { z } from 'zod';
import { callerOf, hashKey, newKey } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf, sameSecret } from '../idempotency.js';
import { operation } from '../operation.js';
import {
  applicationAnswer,
  applicationBody,
  applicationParams,
  keyAnswer,
  keyBody,
  keyParams,
} from '../schemas/applications.js';
import { noQuery } from '../schemas/shared.js';

export function accessRoutes(app: Api, context: RouteContext): void {
  const { applications } = context;

  app.post(
    '/applications',
    operation({
      id: 'createApplication',
      summary: 'Make an application',
      tag: 'Access',
      scope: 'admin',
      answers: { 201: { description: 'The application', schema: applicationAnswer } },
      problems: ['malformed_json', 'unsupported_media_type', 'payload_too_large'],
    }).with({ querystring: noQuery, body: applicationBody }),
    async (request, reply) =>
      reply.code(201).send(await applications.create(request.body.name, effectIdOf(request))),
  );

  app.post(
    '/applications/:id/keys',
    operation({
      id: 'createKey',
      summary: 'Make a key for an application',
      description:
        'The key is shown once. Only a key that carries `numbers` itself may hand out `numbers`: `admin` does not imply it.',
      tag: 'Access',
      scope: 'admin',
      answers: { 201: { description: 'The key', schema: keyAnswer } },
      problems: ['not_found', 'malformed_json', 'unsupported_media_type', 'payload_too_large'],
    }).with({ params: applicationParams, querystring: noQuery, body: keyBody }),
    async (request, reply) => {
      const scopes = [...new Set(request.body.scopes)];
      if (scopes.includes('numbers') && !callerOf(request).scopes.includes('numbers')) {
        throw new Problem('insufficient_scope', {
          detail: 'Only a key with the scope numbers may hand it out.',
        });
      }
      const key = await sameSecret(context, request, newKey);
      const application_id = request.params.id;
      const made = await applications.addKey(application_id, effectIdOf(request), hashKey(key), scopes);
      if (made === null) throw new Problem('not_found');
      return reply.code(201).send({ key_id: made.key_id, key, application_id, scopes });
    },
  );

  app.delete(
    '/keys/:id',
    operation({
      id: 'revokeKey',
      summary: 'Revoke a key',
      description: 'At once. A key that is revoked already stays so, and is answered alike.',
      tag: 'Access',
      scope: 'admin',
      answers: { 204: { description: 'Revoked', schema: z.undefined() } },
      problems: ['not_found'],
    }).with({ params: keyParams, querystring: noQuery }),
    async (request, reply) => {
      if (!(await applications.revokeKey(request.params.id))) throw new Problem('not_found');
      return reply.code(204).send();
    },
  );
}
