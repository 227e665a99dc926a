import { z } from 'zod';
import { callerOf, hashKey, newKey } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf, keyedOf, sameSecret } from '../idempotency.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import {
  applicationAnswer,
  applicationBody,
  applicationChange,
  applicationParams,
  applicationsAnswer,
  applicationsQuery,
  keyAnswer,
  keyBody,
  keyParams,
  keysAnswer,
} from '../schemas/applications.js';
import { noQuery } from '../schemas/shared.js';

export function accessRoutes(app: Api, context: RouteContext): void {
  const { applications } = context;

  app.post(
    '/applications',
    operation({
      id: 'createApplication',
      summary: 'Make an application',
      description:
        'With `access` `connected`, which is the default, it sees nothing until it is connected with an item: it links one, or is granted one.',
      tag: 'Access',
      scope: 'admin',
      answers: { 201: { description: 'The application', schema: applicationAnswer } },
      problems: ['malformed_json', 'unsupported_media_type', 'payload_too_large'],
    }).with({ querystring: noQuery, body: applicationBody }),
    async (request, reply) => {
      const { name, ...more } = request.body;
      return reply.code(201).send(await applications.create(name, effectIdOf(request), more));
    },
  );

  app.get(
    '/applications',
    operation({
      id: 'listApplications',
      summary: 'Applications, in the order in which they were made',
      tag: 'Access',
      scope: 'consent',
      answers: { 200: { description: 'A page of applications', schema: applicationsAnswer } },
      problems: ['invalid_cursor'],
    }).with({ querystring: applicationsQuery }),
    async (request) => {
      const { limit, cursor } = request.query;
      const query = { list: 'applications', filters: {} };
      const page = await applications.page(limit, readCursor(query, cursor));
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
  );

  app.get(
    '/applications/:id',
    operation({
      id: 'getApplication',
      summary: 'An application',
      tag: 'Access',
      scope: 'consent',
      answers: { 200: { description: 'The application', schema: applicationAnswer } },
      problems: ['not_found'],
    }).with({ params: applicationParams, querystring: noQuery }),
    async (request) => {
      const found = await applications.get(request.params.id);
      if (found === null) throw new Problem('not_found');
      return found;
    },
  );

  app.patch(
    '/applications/:id',
    operation({
      id: 'changeApplication',
      summary: 'Change an application',
      description:
        'What is named is changed, and null takes it away. A change of `access` holds from the next request on; connections stay as they are.',
      tag: 'Access',
      scope: 'admin',
      answers: { 200: { description: 'The application', schema: applicationAnswer } },
      problems: ['not_found', 'malformed_json', 'unsupported_media_type', 'payload_too_large'],
    }).with({ params: applicationParams, querystring: noQuery, body: applicationChange }),
    async (request) => {
      const changed = await applications.change(request.params.id, request.body, keyedOf(request));
      if (changed === null) throw new Problem('not_found');
      return changed;
    },
  );

  app.get(
    '/applications/:id/keys',
    operation({
      id: 'listKeys',
      summary: 'The keys of an application',
      description: 'In the order in which they were made, revoked ones too. Never the keys themselves.',
      tag: 'Access',
      scope: 'admin',
      answers: { 200: { description: 'A page of keys', schema: keysAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: applicationParams, querystring: applicationsQuery }),
    async (request) => {
      const { id } = request.params;
      const { limit, cursor } = request.query;
      const query = { list: 'keys', filters: { id } };
      const page = await applications.keys(id, limit, readCursor(query, cursor));
      if (page === null) throw new Problem('not_found');
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
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
