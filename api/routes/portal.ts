import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Actor, Changed, ChangeRefusal } from '../../domain/ports/connections.js';
import type { PortalConnection, PortalSession } from '../../domain/ports/portal.js';
import { hashKey } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { loggedError, Problem, problemOf } from '../errors.js';
import type { Limiter } from '../rateLimit.js';
import type { Notice, Shown } from '../portal/pages.js';
import {
  confirmRevocation,
  confirmRevocationOfAll,
  isRenewable,
  noticeOf,
  overview,
  problemDocument,
  renewedUntil,
} from '../portal/pages.js';
import { styleSheet } from '../portal/style.js';
import { policyOfPortal } from '../securityHeaders.js';
import { wakeItem } from '../wakeItem.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Says nothing of any user. */
    forEverybody?: boolean;
  }
}

const token = /^[A-Za-z0-9_-]{43}$/;
const pageParams = z.object({ token: z.string() });
const connectionParams = z.object({ token: z.string(), id: z.string() });

/** In place of a problem that speaks to programs. */
const words: Partial<Record<number, { title: string; text: string }>> = {
  403: {
    title: 'That did not come from this page',
    text: 'For your safety nothing was done. Open the page anew from where you came, and press once more.',
  },
  404: {
    title: 'This page has closed',
    text: 'It is open for 15 minutes, and for one user. Open it anew from where you came.',
  },
  429: { title: 'Too many tries', text: 'Wait a minute, and open the page anew from where you came.' },
};
const trouble = {
  title: 'This does not work at the moment',
  text: 'Nothing was changed that you did not see. Try it once more in a minute.',
};

/**
 * Whether a browser sends the form from one of our pages. The path alone is a secret that no other site knows; this holds when it has got
 * out. Under our Referrer-Policy browsers name no origin (`null`), and say in Sec-Fetch-Site where the page stood.
 */
function isFromHere({ headers, host }: FastifyRequest, ours: string | null): boolean {
  const { 'sec-fetch-site': site, origin } = headers;
  if (site !== undefined && site !== 'same-origin') return false;
  if (origin === undefined || (origin === 'null' && site !== undefined)) return true;
  if (!URL.canParse(origin)) return false;
  return origin === ours || new URL(origin).host === host;
}

/** The user's page: which applications may read their accounts. HTML for people; open to who has the link of a session. */
export function portalRoutes(app: Api, context: RouteContext, limiter: Limiter): void {
  const { portal, connections, portalPage: settings, now = Date.now } = context;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => {
      done(null, new URLSearchParams(body as string));
    },
  );
  app.addHook('onSend', async (request, reply) => {
    void reply.header('content-security-policy', policyOfPortal);
    // What every user gets alike may be kept.
    const kept = request.routeOptions.config.forEverybody === true && reply.statusCode === 200;
    if (kept) void reply.header('cache-control', 'public, max-age=300');
  });
  const send = (reply: FastifyReply, page: string): FastifyReply =>
    reply.type('text/html; charset=utf-8').send(page);

  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    request.problem = problem.code;
    if (problem.statusCode >= 500) request.log.error(loggedError(problem), 'request failed');
    const { title, text } = words[problem.statusCode] ?? trouble;
    const { 'retry-after': retryAfter } = problem.headers();
    if (retryAfter !== undefined) void reply.header('retry-after', retryAfter);
    return send(reply.code(problem.statusCode), problemDocument(settings, title, text));
  });

  async function shownOf(request: FastifyRequest<{ Params: { token: string } }>): Promise<Shown> {
    const given = request.params.token;
    const tokenHash = hashKey(given);
    limiter.beforeLookup(request, tokenHash);
    const session = token.test(given) ? await portal.session(tokenHash) : null;
    if (session === null) {
      await limiter.stranger(request, tokenHash);
      throw new Problem('not_found');
    }
    limiter.found(tokenHash);
    return { path: `/portal/${given}`, session, settings, now: now() };
  }

  /** The same for what changes something. */
  async function pressed(request: FastifyRequest<{ Params: { token: string } }>): Promise<Shown> {
    if (!isFromHere(request, settings.url)) throw new Problem('not_from_page');
    return shownOf(request);
  }

  async function connectionOf(
    { session }: Shown,
    connectionId: string,
  ): Promise<PortalConnection | undefined> {
    const all = await portal.connections(session.userId);
    return all.find(({ connection_id }) => connection_id === connectionId);
  }

  const actorOf = ({ applicationId, keyId }: PortalSession): Actor => ({
    initiator: 'user',
    applicationId,
    keyId,
    reason: null,
  });

  const back = (reply: FastifyReply, { path }: Shown, notice: Notice): FastifyReply =>
    reply.redirect(`${path}?done=${notice}`, 303);

  async function ended(
    reply: FastifyReply,
    shown: Shown,
    outcome: Changed | ChangeRefusal,
    notice: Notice,
  ): Promise<FastifyReply> {
    if (outcome.kind !== 'done') return back(reply, shown, 'too_late');
    await wakeItem(context, outcome.connection.item_id, outcome.connection.user_id);
    return back(reply, shown, notice);
  }

  const formOf = ({ body }: FastifyRequest): URLSearchParams =>
    body instanceof URLSearchParams ? body : new URLSearchParams();

  const page = { schema: { hide: true, params: pageParams } };
  const pageOfConnection = { schema: { hide: true, params: connectionParams } };
  const forEverybody = { schema: { hide: true }, config: { forEverybody: true } };

  app.get('/style.css', forEverybody, async (_request, reply) =>
    reply.type('text/css; charset=utf-8').send(styleSheet(settings)),
  );

  app.get('/logo', forEverybody, async (_request, reply) => {
    if (settings.logo === null) throw new Problem('not_found');
    return reply.type(settings.logo.type).send(Buffer.from(settings.logo.bytes));
  });

  app.get('/:token', page, async (request, reply) => {
    const shown = await shownOf(request);
    const { done } = request.query as { done?: unknown };
    return send(reply, overview(await portal.connections(shown.session.userId), noticeOf(done), shown));
  });

  app.post('/:token/connections/:id/accounts', pageOfConnection, async (request, reply) => {
    const shown = await pressed(request);
    const connection = await connectionOf(shown, request.params.id);
    if (connection === undefined) return back(reply, shown, 'too_late');
    const form = formOf(request);
    const ticked = new Set(form.getAll('account'));
    const kept = connection.accounts.filter(({ account_id }) => ticked.has(account_id));
    const new_accounts = connection.new_accounts && form.has('later');
    if (kept.length === connection.accounts.length && new_accounts === connection.new_accounts) {
      return back(reply, shown, 'unchanged');
    }
    const account_ids = kept.flatMap(({ account_id, past }) => [account_id, ...past]);
    const outcome = await connections.change(
      { ofUser: shown.session.userId },
      connection.connection_id,
      { account_ids, new_accounts },
      { mayWiden: false, actor: actorOf(shown.session) },
    );
    return ended(reply, shown, outcome, 'narrowed');
  });

  app.post('/:token/connections/:id/scopes', pageOfConnection, async (request, reply) => {
    const shown = await pressed(request);
    const connection = await connectionOf(shown, request.params.id);
    if (connection === undefined) return back(reply, shown, 'too_late');
    const ticked = new Set(formOf(request).getAll('scope'));
    const scopes = connection.scopes.filter((scope) => ticked.has(scope));
    if (scopes.length === connection.scopes.length) return back(reply, shown, 'unchanged');
    const outcome = await connections.change(
      { ofUser: shown.session.userId },
      connection.connection_id,
      { scopes },
      { mayWiden: false, actor: actorOf(shown.session) },
    );
    return ended(reply, shown, outcome, 'narrowed');
  });

  app.post('/:token/connections/:id/renew', pageOfConnection, async (request, reply) => {
    const shown = await pressed(request);
    const connection = await connectionOf(shown, request.params.id);
    if (connection === undefined || !isRenewable(connection, shown)) return back(reply, shown, 'too_late');
    const outcome = await connections.renew(
      { ofUser: shown.session.userId },
      connection.connection_id,
      renewedUntil(shown),
      { actor: actorOf(shown.session) },
    );
    return ended(reply, shown, outcome, 'renewed');
  });

  app.get('/:token/connections/:id/revoke', pageOfConnection, async (request, reply) => {
    const shown = await shownOf(request);
    const connection = await connectionOf(shown, request.params.id);
    if (connection === undefined) return back(reply, shown, 'too_late');
    return send(reply, confirmRevocation(connection, shown));
  });

  app.post('/:token/connections/:id/revoke', pageOfConnection, async (request, reply) => {
    const shown = await pressed(request);
    const { userId } = shown.session;
    const by = { actor: actorOf(shown.session) };
    const outcome = await connections.revoke({ ofUser: userId }, request.params.id, by);
    return ended(reply, shown, outcome, 'revoked');
  });

  app.get('/:token/revoke-all', page, async (request, reply) => {
    const shown = await shownOf(request);
    return send(reply, confirmRevocationOfAll(await portal.connections(shown.session.userId), shown));
  });

  app.post('/:token/revoke-all', page, async (request, reply) => {
    const shown = await pressed(request);
    const { userId } = shown.session;
    const revoked = await connections.revokeOfUser(userId, { actor: actorOf(shown.session) });
    await Promise.all((revoked?.itemIds ?? []).map((itemId) => wakeItem(context, itemId, userId)));
    return back(reply, shown, 'revoked_all');
  });
}
