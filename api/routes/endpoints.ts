import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { EndpointView } from '../../domain/exchange/endpoint.js';
import { endpointUrlFault } from '../../domain/exchange/peerAddress.js';
import { secretContext } from '../../domain/ids.js';
import { allows, callerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf, keyedOf, sameSecret } from '../idempotency.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import {
  deliveriesAnswer,
  deliveriesQuery,
  deliveryWithAttempts,
  endpointAnswer,
  endpointBody,
  endpointChange,
  endpointParams,
  endpointsAnswer,
  endpointsQuery,
  endpointWithSecret,
  overlapMs,
  recoverAnswer,
  recoverBody,
  replayAnswer,
  replayBody,
  rotateBody,
} from '../schemas/endpoints.js';
import { noQuery } from '../schemas/shared.js';
import { newSigningSecret, publicKeyOf } from '../signingSecrets.js';

const withBody = ['malformed_json', 'unsupported_media_type', 'payload_too_large'] as const;

/** Where an application wants to be told. It manages its own endpoints, and sees no others. */
export function endpointRoutes(app: Api, context: RouteContext): void {
  const { endpoints, deliveries, secrets, endpointRules } = context;
  const applicationOf = (request: FastifyRequest): string => callerOf(request).application_id;

  function assertUrl(url: string): void {
    const fault = endpointUrlFault(url, endpointRules);
    if (fault === null) return;
    throw new Problem('invalid_request', { errors: [{ in: 'body', pointer: '/url', detail: fault }] });
  }

  /** What an endpoint of scope `consent` is told is told to keys of that scope only: no other key leads it elsewhere. Null = there is none. */
  async function assertMayUse(request: FastifyRequest, endpointId: string): Promise<EndpointView | null> {
    const found = await endpoints.get(applicationOf(request), endpointId);
    if (found?.consent === true && !allows(callerOf(request).scopes, 'consent')) {
      throw new Problem('insufficient_scope', { detail: 'This endpoint needs the scope consent.' });
    }
    return found;
  }

  /** A secret that is the same in every run of the request, sealed for the endpoint. */
  async function secretFor(request: FastifyRequest, endpointId: string, signature: 'hmac' | 'ed25519') {
    const text = await sameSecret(context, request, () => newSigningSecret(signature));
    const sealed = await secrets.seal(text, secretContext.endpointSecret(endpointId));
    return { secret: { sealed, publicKey: publicKeyOf(text) }, shown: signature === 'hmac' ? text : null };
  }

  app.post(
    '/endpoints',
    operation({
      id: 'createEndpoint',
      summary: 'Have events sent to a URL',
      description:
        'Requests are signed as [Standard Webhooks 1.0.0](https://www.standardwebhooks.com) says. The secret is shown once. ' +
        'An endpoint is sent what its application may see, from now on; `replay` brings what was before.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 201: { description: 'The endpoint, with its secret', schema: endpointWithSecret } },
      problems: ['too_many_endpoints', ...withBody],
    }).with({ querystring: noQuery, body: endpointBody }),
    async (request, reply) => {
      const { url, types, signature, rate_per_second } = request.body;
      assertUrl(url);
      const endpointId = `end_${effectIdOf(request)}`;
      const { secret, shown } = await secretFor(request, endpointId, signature);
      const made = await endpoints.create({
        endpointId,
        applicationId: applicationOf(request),
        url,
        types: [...new Set(types)],
        signature,
        ratePerSecond: rate_per_second,
        consent: allows(callerOf(request).scopes, 'consent'),
        secret,
      });
      if (made === 'full') throw new Problem('too_many_endpoints');
      return reply.code(201).send({ ...made, secret: shown });
    },
  );

  app.get(
    '/endpoints',
    operation({
      id: 'listEndpoints',
      summary: 'The endpoints of the application, oldest first',
      tag: 'Endpoints',
      scope: 'read',
      answers: { 200: { description: 'A page of endpoints', schema: endpointsAnswer } },
      problems: ['invalid_cursor'],
    }).with({ querystring: endpointsQuery }),
    async (request) => {
      const { limit, cursor } = request.query;
      const query = { list: 'endpoints', filters: { application: applicationOf(request) } };
      const page = await endpoints.page(applicationOf(request), limit, readCursor(query, cursor));
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
  );

  app.get(
    '/endpoints/:id',
    operation({
      id: 'getEndpoint',
      summary: 'An endpoint, and how it fares',
      tag: 'Endpoints',
      scope: 'read',
      answers: { 200: { description: 'The endpoint', schema: endpointAnswer } },
      problems: ['not_found'],
    }).with({ params: endpointParams, querystring: noQuery }),
    async (request) => {
      const found = await endpoints.get(applicationOf(request), request.params.id);
      if (found === null) throw new Problem('not_found');
      return found;
    },
  );

  app.patch(
    '/endpoints/:id',
    operation({
      id: 'changeEndpoint',
      summary: 'Change an endpoint, pause it, or enable it once more',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 200: { description: 'The endpoint', schema: endpointAnswer } },
      problems: ['not_found', ...withBody],
    }).with({ params: endpointParams, querystring: noQuery, body: endpointChange }),
    async (request) => {
      await assertMayUse(request, request.params.id);
      const { url, types, rate_per_second, state } = request.body;
      if (url !== undefined) assertUrl(url);
      const changed = await endpoints.change(
        applicationOf(request),
        request.params.id,
        {
          url,
          types: types && [...new Set(types)],
          ratePerSecond: rate_per_second,
          state,
        },
        keyedOf(request),
      );
      if (changed === null) throw new Problem('not_found');
      return changed;
    },
  );

  app.delete(
    '/endpoints/:id',
    operation({
      id: 'deleteEndpoint',
      summary: 'Send no more to an endpoint',
      description: 'What waits for it is cancelled.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 204: { description: 'Deleted', schema: z.undefined() } },
      problems: ['not_found'],
    }).with({ params: endpointParams, querystring: noQuery }),
    async (request, reply) => {
      await assertMayUse(request, request.params.id);
      if (!(await endpoints.remove(applicationOf(request), request.params.id, keyedOf(request))))
        throw new Problem('not_found');
      return reply.code(204).send();
    },
  );

  app.post(
    '/endpoints/:id/rotate-secret',
    operation({
      id: 'rotateEndpointSecret',
      summary: 'Give an endpoint another secret',
      description:
        'For the time of `overlap` every request carries two signatures, by the secret of now and by the new one. At most two are ' +
        'valid: a second rotation within that time ends the older one.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 200: { description: 'The endpoint, with its new secret', schema: endpointWithSecret } },
      problems: ['not_found', ...withBody],
    }).with({ params: endpointParams, querystring: noQuery, body: rotateBody }),
    async (request) => {
      const { id } = request.params;
      const before = await assertMayUse(request, id);
      if (before === null) throw new Problem('not_found');
      const { secret, shown } = await secretFor(request, id, before.signature);
      const overlap = overlapMs(request.body.overlap) ?? 0;
      const rotated = await endpoints.rotate(applicationOf(request), id, secret, overlap, keyedOf(request));
      if (rotated === null) throw new Problem('not_found');
      return { ...rotated, secret: shown };
    },
  );

  app.post(
    '/endpoints/:id/ping',
    operation({
      id: 'pingEndpoint',
      summary: 'Send an `endpoint.ping`',
      description:
        'It takes the way of every event: signed, tried again, and held while the endpoint is off.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 202: { description: 'Its delivery', schema: deliveryWithAttempts } },
      problems: ['not_found'],
    }).with({ params: endpointParams, querystring: noQuery }),
    async (request, reply) => {
      await assertMayUse(request, request.params.id);
      const deliveryId = await endpoints.ping(applicationOf(request), request.params.id, keyedOf(request));
      const found = deliveryId === null ? null : await deliveries.get(applicationOf(request), deliveryId);
      if (found === null) throw new Problem('not_found');
      return reply.code(202).send({ ...found.delivery, tries: found.tries });
    },
  );

  app.post(
    '/endpoints/:id/recover',
    operation({
      id: 'recoverEndpoint',
      summary: 'Try once more what has failed',
      description:
        'Deliveries in state `failed` of events of the time: with all attempts of the schedule, from now on.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 202: { description: 'How many', schema: recoverAnswer } },
      problems: ['not_found', ...withBody],
    }).with({ params: endpointParams, querystring: noQuery, body: recoverBody }),
    async (request, reply) => {
      await assertMayUse(request, request.params.id);
      const { since, until = null } = request.body;
      const queued = await deliveries.recover(
        applicationOf(request),
        request.params.id,
        { since, until },
        keyedOf(request),
      );
      if (queued === null) throw new Problem('not_found');
      return reply.code(202).send({ queued });
    },
  );

  app.post(
    '/endpoints/:id/replay',
    operation({
      id: 'replayEvents',
      summary: 'Send events of a time once more',
      description:
        'Those that the application may see now and that are of the types of the endpoint, whether or not they were delivered, ' +
        'under their own ids. For an endpoint that is new, that lost something, or that now wants more types.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 202: { description: 'How many', schema: replayAnswer } },
      problems: ['not_found', ...withBody],
    }).with({ params: endpointParams, querystring: noQuery, body: replayBody }),
    async (request, reply) => {
      await assertMayUse(request, request.params.id);
      const { since, until = null, types, missing_only } = request.body;
      const replayed = await deliveries.replay(
        applicationOf(request),
        request.params.id,
        { since, until, types, missingOnly: missing_only },
        keyedOf(request),
      );
      if (replayed === null) throw new Problem('not_found');
      return reply.code(202).send({ queued: replayed.queued, next_since: replayed.nextSince });
    },
  );

  app.get(
    '/endpoints/:id/deliveries',
    operation({
      id: 'listDeliveries',
      summary: 'Deliveries of an endpoint, newest events first',
      tag: 'Endpoints',
      scope: 'read',
      answers: { 200: { description: 'A page of deliveries', schema: deliveriesAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: endpointParams, querystring: deliveriesQuery }),
    async (request) => {
      const { limit, cursor, state } = request.query;
      const { id } = request.params;
      const query = { list: 'deliveries', filters: { endpoint: id, state } };
      const page = await deliveries.page(
        applicationOf(request),
        id,
        { state },
        limit,
        readCursor(query, cursor),
      );
      if (page === null) throw new Problem('not_found');
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
  );
}
