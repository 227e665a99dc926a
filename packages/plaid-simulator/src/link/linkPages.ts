import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { World } from '../world.js';
import { bankPageView, decideAtBank, signInAtBank } from './bankPage.js';
import { act, openSession, resumeSession } from './flow.js';
import { OutOfStep } from './session.js';
import { sessionView } from './view.js';

const asset = (name: string) => readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');

const SCRIPT = 'text/javascript; charset=utf-8';
const ASSETS = [
  ['/link/v2/stable/link-initialize.js', 'link-initialize.js', SCRIPT],
  ['/link/assets/dom.js', 'dom.js', SCRIPT],
  ['/link/assets/link.js', 'link.js', SCRIPT],
  ['/link/assets/panes.js', 'panes.js', SCRIPT],
  ['/link/assets/bank.js', 'bank.js', SCRIPT],
  ['/link/assets/link.css', 'link.css', 'text/css; charset=utf-8'],
] as const;

/** Nothing but this origin's own files and calls; data URLs for logos only. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'";

const text = z.string().max(60_000);
const id = z.string().max(200);
const loginFields = { username: text, password: text };

const actions = z.discriminatedUnion('action', [
  z.strictObject({ action: z.enum(['continue', 'back', 'retry', 'stay']) }),
  z.strictObject({ action: z.enum(['oauth_open', 'oauth_check', 'oauth_closed']) }),
  z.strictObject({ action: z.literal('search'), query: z.string().max(200) }),
  z.strictObject({ action: z.literal('institution'), institution_id: id }),
  z.strictObject({ action: z.literal('credentials'), ...loginFields }),
  z.strictObject({ action: z.literal('mfa'), answers: z.array(text).max(20) }),
  z.strictObject({ action: z.literal('accounts'), account_ids: z.array(id).max(100) }),
  z.strictObject({ action: z.literal('exit'), force: z.boolean().optional() }),
]);

/** A request of the page that does not fit: the page and this file are not of one version, or somebody tries things. */
class BadCall extends Error {}

function read<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new BadCall(parsed.error.issues[0]?.message ?? 'invalid');
  return parsed.data;
}

/** The origin of a page that may frame Link; `null` for what is none. */
function originOf(text: unknown): string | null {
  if (typeof text !== 'string' || !URL.canParse(text)) return null;
  const { origin, protocol } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && origin === text ? origin : null;
}

function sendPage(reply: FastifyReply, html: string, framedBy: string | null): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', `${POLICY}; frame-ancestors ${framedBy ?? "'none'"}`)
    .send(html);
}

/** Link in the browser: its page, the bank's page of OAuth, the script of `Plaid.create`, and what the pages call. */
export function linkPages(app: FastifyInstance, world: World): void {
  const page = asset('link.html');
  const bank = asset('bank.html');

  app.addHook('onSend', async (_request, reply) => {
    // Addresses of these pages hold tokens: no cache keeps them, no other site hears of them.
    reply.headers({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
  });
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof OutOfStep) return reply.code(409).send({ error: error.message });
    if (error instanceof BadCall) return reply.code(400).send({ error: error.message });
    throw error;
  });

  // In the frame of `Plaid.create` the address says whose page it is in: no other may frame it, and only that one is spoken to.
  app.get<{ Querystring: { origin?: unknown } }>('/link', (request, reply) =>
    sendPage(reply, page, originOf(request.query.origin)),
  );
  app.get('/link/oauth', (_request, reply) => sendPage(reply, bank, null));
  for (const [path, name, type] of ASSETS) {
    const content = asset(name);
    app.get(path, (_request, reply) =>
      reply
        .type(type)
        // A front end with a policy of its own (COEP) must be able to load the script.
        .header('cross-origin-resource-policy', 'cross-origin')
        .send(content),
    );
  }

  app.post('/link/session/open', async (request) => {
    const body = read(
      z.strictObject({
        link_token: id,
        surface: z.enum(['embedded', 'hosted']),
        received_redirect_uri: z.string().max(4_000).nullish(),
      }),
      request.body,
    );
    const { session, heard } =
      typeof body.received_redirect_uri === 'string'
        ? resumeSession(world, body.link_token, body.surface, body.received_redirect_uri)
        : { session: openSession(world, body.link_token, body.surface), heard: 0 };
    await world.keeper.saved();
    return sessionView(world, session, heard);
  });

  app.post('/link/session/act', async (request) => {
    const body = read(
      z.strictObject({
        session_id: id,
        link_token: id,
        heard: z.int().min(0),
        does: actions,
      }),
      request.body,
    );
    const session = world.linkSessions.get(body.session_id);
    if (!session || session.linkToken !== body.link_token) throw new OutOfStep('there is no such session');
    act(world, session, body.does);
    await world.keeper.saved();
    return sessionView(world, session, body.heard, body.does.action === 'search' ? body.does.query : '');
  });

  const visit = { state: id };
  app.post('/link/oauth/view', async (request) =>
    bankPageView(world, read(z.strictObject(visit), request.body).state),
  );
  app.post('/link/oauth/sign-in', async (request) => {
    const { state, ...login } = read(z.strictObject({ ...visit, ...loginFields }), request.body);
    return signInAtBank(world, state, login);
  });
  app.post('/link/oauth/decide', async (request) => {
    const body = read(
      z.strictObject({ ...visit, account_ids: z.array(id).max(100).nullable() }),
      request.body,
    );
    return decideAtBank(world, body.state, body.account_ids);
  });
}
