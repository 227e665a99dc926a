import type { FastifyRequest } from 'fastify';
import type { Grant } from '../../domain/exchange/connection.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { Actor, Changed, ChangeRefusal, ConnectionsOf } from '../../domain/ports/connections.js';
import { allows, callerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf, keyedOf } from '../idempotency.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import { applicationParams } from '../schemas/applications.js';
import {
  connectionAnswer,
  connectionChangeBody,
  connectionHistoryAnswer,
  connectionParams,
  connectionsAnswer,
  connectionsQuery,
  historyQuery,
  newConnectionBody,
  renewalBody,
  revocationBody,
  revokedAnswer,
} from '../schemas/connections.js';
import { itemParams } from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';
import { wakeItem } from '../wakeItem.js';

const bodyProblems = ['malformed_json', 'unsupported_media_type', 'payload_too_large'] as const;

const mayConsent = (request: FastifyRequest): boolean => allows(callerOf(request).scopes, 'consent');

/** Whose connections the caller sees: with `consent` everybody's, else what its application sees. */
function sightOf(request: FastifyRequest): Viewer {
  const { application_id, access } = callerOf(request);
  return { applicationId: application_id, access: mayConsent(request) ? 'all' : access };
}

/** Whose connections the caller may change: without `consent` its own. */
function handsOf(request: FastifyRequest): Viewer {
  return {
    applicationId: callerOf(request).application_id,
    access: mayConsent(request) ? 'all' : 'connected',
  };
}

function actorOf(request: FastifyRequest, given: Partial<Pick<Actor, 'initiator' | 'reason'>> = {}): Actor {
  const { application_id, key_id } = callerOf(request);
  if (given.initiator === 'operator' && !mayConsent(request)) {
    throw new Problem('insufficient_scope', { detail: 'The initiator operator needs the scope consent.' });
  }
  return {
    initiator: given.initiator ?? (mayConsent(request) ? 'operator' : 'application'),
    applicationId: application_id,
    keyId: key_id,
    reason: given.reason ?? null,
  };
}

/** No body says nothing of why. */
const bodyOrNothing = {
  preValidation: async (request: FastifyRequest) => {
    request.body ??= {};
  },
};

const inBody = (pointer: string, detail: string): Problem =>
  new Problem('invalid_request', { errors: [{ in: 'body', pointer, detail }] });

function problemOfRefusal(refusal: ChangeRefusal, asked: Partial<Grant>): Problem {
  switch (refusal.kind) {
    case 'not_found':
      return new Problem('not_found');
    case 'item_removed':
      return new Problem('item_removed');
    case 'revoked':
      return new Problem('connection_revoked');
    case 'past':
      return inBody('/expires_at', 'must be in the future');
    case 'unknown_accounts':
      return new Problem('invalid_request', {
        errors: refusal.accountIds.map((accountId) => ({
          in: 'body',
          pointer: `/account_ids/${asked.account_ids?.indexOf(accountId) ?? 0}`,
          detail: 'is no account of the item',
        })),
      });
    case 'widens':
      return new Problem('narrowing_only', {
        errors: refusal.fields.map((field) => ({
          in: 'body',
          pointer: `/${field}`,
          detail: 'would grant more, or change what was agreed to',
        })),
      });
  }
}

/** The grants of applications to items: enumerated, granted, changed, renewed, revoked. */
export function connectionRoutes(app: Api, context: RouteContext): void {
  const { connections } = context;

  async function listOf(
    request: FastifyRequest,
    of: ConnectionsOf,
    { status, expires_before, limit, cursor }: (typeof connectionsQuery)['_output'],
  ) {
    const filter = { statuses: [...status].sort(), expiresBefore: expires_before };
    const query = { list: 'connections', filters: { ...of, ...filter } };
    const after = readCursor(query, cursor);
    const page = await connections.page(sightOf(request), of, filter, limit, after);
    if (page === null) throw new Problem('not_found');
    const next = writeCursor(query, page.next);
    return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
  }

  /** The connection after a change; what the caller sees and may not change is refused by name. */
  async function changed(
    request: FastifyRequest,
    connectionId: string,
    outcome: Changed | ChangeRefusal,
    asked: Partial<Grant>,
  ) {
    if (outcome.kind === 'done') return outcome.connection;
    // Whoever may change it, and finds none: its user's rows are just being deleted.
    const asks = outcome.kind === 'not_found' && !mayConsent(request);
    const seen = asks ? await connections.get(sightOf(request), connectionId) : null;
    if (seen !== null && seen.application.application_id !== callerOf(request).application_id) {
      throw new Problem('insufficient_scope', {
        detail: 'The connection of another application is changed with the scope consent.',
      });
    }
    throw problemOfRefusal(outcome, asked);
  }

  app.get(
    '/users/:userId/connections',
    operation({
      id: 'listConnectionsOfUser',
      summary: "A user's connections",
      description:
        'Which applications may read which items, in the order in which they were granted; ended ones too. An application sees its own, a key ' +
        'of scope `consent` all.',
      tag: 'Connections',
      scope: 'read',
      orScope: 'consent',
      answers: { 200: { description: 'A page of connections', schema: connectionsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: userParams, querystring: connectionsQuery }),
    async (request) => listOf(request, { userId: request.params.userId }, request.query),
  );

  app.get(
    '/items/:itemId/connections',
    operation({
      id: 'listConnectionsOfItem',
      summary: "An item's connections",
      tag: 'Connections',
      scope: 'read',
      orScope: 'consent',
      answers: { 200: { description: 'A page of connections', schema: connectionsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: itemParams, querystring: connectionsQuery }),
    async (request) => listOf(request, { itemId: request.params.itemId }, request.query),
  );

  app.get(
    '/applications/:id/connections',
    operation({
      id: 'listConnectionsOfApplication',
      summary: "An application's connections",
      description: "Another application's: with a key of scope `consent` alone.",
      tag: 'Connections',
      scope: 'read',
      orScope: 'consent',
      answers: { 200: { description: 'A page of connections', schema: connectionsAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: applicationParams, querystring: connectionsQuery }),
    async (request) => listOf(request, { applicationId: request.params.id }, request.query),
  );

  app.get(
    '/connections/:id',
    operation({
      id: 'getConnection',
      summary: 'A connection',
      description: 'Its status is of this moment: an end by time needs nobody to note it.',
      tag: 'Connections',
      scope: 'read',
      orScope: 'consent',
      answers: { 200: { description: 'The connection', schema: connectionAnswer } },
      problems: ['not_found'],
    }).with({ params: connectionParams, querystring: noQuery }),
    async (request) => {
      const connection = await connections.get(sightOf(request), request.params.id);
      if (connection === null) throw new Problem('not_found');
      return connection;
    },
  );

  app.get(
    '/connections/:id/history',
    operation({
      id: 'listConnectionHistory',
      summary: 'What happened to a connection',
      description: 'From its grant on: who, why, and what it grants from then on. Only ever added to.',
      tag: 'Connections',
      scope: 'read',
      orScope: 'consent',
      answers: { 200: { description: 'A page of the history', schema: connectionHistoryAnswer } },
      problems: ['not_found', 'invalid_cursor'],
    }).with({ params: connectionParams, querystring: historyQuery }),
    async (request) => {
      const { id } = request.params;
      const query = { list: 'connection-history', filters: { id } };
      const after = readCursor(query, request.query.cursor);
      const page = await connections.history(sightOf(request), id, request.query.limit, after);
      if (page === null) throw new Problem('not_found');
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
  );

  app.post(
    '/items/:itemId/connections',
    operation({
      id: 'createConnection',
      summary: 'Connect an application with an item',
      description:
        'Without a login: the item is there, and the user has agreed. What is not granted is denied. One connection per application ' +
        'and item: 409 names the one that there is, which is changed or renewed instead.',
      tag: 'Connections',
      scope: 'consent',
      answers: { 201: { description: 'The connection', schema: connectionAnswer } },
      problems: ['not_found', 'item_removed', 'connection_exists', ...bodyProblems],
    }).with({ params: itemParams, querystring: noQuery, body: newConnectionBody }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { application_id: applicationId, ...grant } = request.body;
      const to = { itemId, applicationId, effectId: effectIdOf(request) };
      const outcome = await connections.grant(to, grant, actorOf(request));
      if (outcome.kind === 'unknown_application') throw inBody('/application_id', 'is no application');
      if (outcome.kind === 'exists') {
        throw new Problem('connection_exists', { members: { connection_id: outcome.connectionId } });
      }
      if (outcome.kind !== 'done') throw problemOfRefusal(outcome, grant);
      await wakeItem(context, itemId, outcome.connection.user_id);
      return reply.code(201).send(outcome.connection);
    },
  );

  app.patch(
    '/connections/:id',
    operation({
      id: 'changeConnection',
      summary: 'Change what a connection grants',
      description:
        'What is left out stays. The application itself may only narrow: fewer scopes and accounts, no later accounts, a shorter lookback, an earlier ' +
        'end, down to nothing. To grant more, and to change purpose or evidence, takes the scope `consent`. What is granted no more is ' +
        'answered no more from then on, and `connection.updated` says so.',
      tag: 'Connections',
      scope: 'write',
      orScope: 'consent',
      answers: { 200: { description: 'The connection', schema: connectionAnswer } },
      problems: ['not_found', 'narrowing_only', 'connection_revoked', 'item_removed', ...bodyProblems],
    }).with({ params: connectionParams, querystring: noQuery, body: connectionChangeBody }),
    async (request) => {
      const { id } = request.params;
      const changes = Object.fromEntries(
        Object.entries(request.body).filter(([, value]) => value !== undefined),
      ) as Partial<Grant>;
      const by = { mayWiden: mayConsent(request), actor: actorOf(request), keyed: keyedOf(request) };
      return changed(request, id, await connections.change(handsOf(request), id, changes, by), changes);
    },
  );

  app.post(
    '/connections/:id/renew',
    operation({
      id: 'renewConnection',
      summary: 'Move the end of a connection',
      description:
        'Also of one that has expired: it is active once more. One that is suspended is resumed, unless the bank still has the item revoked.',
      tag: 'Connections',
      scope: 'consent',
      answers: { 200: { description: 'The connection', schema: connectionAnswer } },
      problems: ['not_found', 'connection_revoked', 'item_removed', ...bodyProblems],
    }).with({ params: connectionParams, querystring: noQuery, body: renewalBody }),
    async (request) => {
      const { id } = request.params;
      const { expires_at } = request.body;
      const by = { actor: actorOf(request), keyed: keyedOf(request) };
      const outcome = await connections.renew(handsOf(request), id, expires_at, by);
      const connection = await changed(request, id, outcome, { expires_at });
      await wakeItem(context, connection.item_id, connection.user_id);
      return connection;
    },
  );

  app.post(
    '/connections/:id/revoke',
    {
      ...bodyOrNothing,
      ...operation({
        id: 'revokeConnection',
        summary: 'End a connection',
        description:
          'At once and for good: after the answer nothing of the item is read, sent or told to its application. The application ends its own, a key of scope ' +
          '`consent` any. One that has ended so stays as it is, and is answered alike. When it was the last one, mining stops, and the ' +
          'item is removed after a time.',
        tag: 'Connections',
        scope: 'write',
        orScope: 'consent',
        answers: { 200: { description: 'The connection', schema: connectionAnswer } },
        problems: ['not_found', ...bodyProblems],
      }).with({ params: connectionParams, querystring: noQuery, body: revocationBody }),
    },
    async (request) => {
      const { id } = request.params;
      const { reason = null, initiator } = request.body;
      const actor = actorOf(request, { reason, ...(initiator === undefined ? {} : { initiator }) });
      const outcome = await connections.revoke(handsOf(request), id, { actor });
      const connection = await changed(request, id, outcome, {});
      await wakeItem(context, connection.item_id, connection.user_id);
      return connection;
    },
  );

  app.post(
    '/users/:userId/connections/revoke',
    {
      ...bodyOrNothing,
      ...operation({
        id: 'revokeConnectionsOfUser',
        summary: 'End all connections of a user',
        description: 'Of every application with every item of the user, all of them or none.',
        tag: 'Connections',
        scope: 'consent',
        answers: { 200: { description: 'What was ended', schema: revokedAnswer } },
        problems: ['not_found', ...bodyProblems],
      }).with({ params: userParams, querystring: noQuery, body: revocationBody }),
    },
    async (request) => {
      const { userId } = request.params;
      const { reason = null, initiator } = request.body;
      const actor = actorOf(request, { reason, ...(initiator === undefined ? {} : { initiator }) });
      const revoked = await connections.revokeOfUser(userId, { actor, keyed: keyedOf(request) });
      if (revoked === null) throw new Problem('not_found');
      await Promise.all(revoked.itemIds.map((itemId) => wakeItem(context, itemId, userId)));
      return { connection_ids: revoked.connectionIds };
    },
  );
}
