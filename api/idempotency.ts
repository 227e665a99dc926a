import { createHash, randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { secretContext } from '../domain/ids.js';
import { hashedName, namedIn, nameInPath } from '../domain/namedPath.js';
import type { KeyedRequest, StoredAnswer } from '../domain/ports/idempotency.js';
import type { Sealed } from '../domain/ports/secrets.js';
import { callerOf, viewerOf } from './auth.js';
import type { Api, RouteContext } from './deps.js';
import { loggedError, Problem } from './errors.js';
import { granted } from './itemAccess.js';
import { addProblems } from './operation.js';
import type { ProblemCode } from './problems.js';
import { targetOf } from './requestHead.js';
import { idempotencyHeaders } from './schemas/idempotency.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** SHA-256 of the body as it came, hex; null without an Idempotency-Key or without a body. */
    bodyHash: string | null;
    /** The run that this request has to finish; null = it has none. */
    keyedRun: { keyed: KeyedRequest; runner: string; effectId: string; prepared: Sealed | null } | null;
    /** Set by a handler whose answer is worth nothing after that moment (ISO). */
    answerExpires: string | null;
  }
}

const keyHeader = 'idempotency-key';
const methods: ReadonlySet<string> = new Set(['POST', 'PATCH', 'DELETE']);
/** The running request may answer long before its lease ends. */
const usualRetryMs = 5_000;
/** Plaid's clock and ours may differ, and a token that dies on its way to the client is of no use. */
const expiryMarginMs = 60_000;
/** An entry of the primary key's index holds 2,704 bytes. */
const longestPath = 1_024;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** For the parser of bodies: two requests are the same when their bytes are. */
export function hashBody(request: FastifyRequest, body: string): void {
  if (body !== '' && request.headers[keyHeader] !== undefined) request.bodyHash = sha256(body);
}

/** Depends on what Plaid says at the moment, as all that is answered 424 does, and not on the request or on what is stored here. */
const passing: ReadonlySet<ProblemCode> = new Set(['login_required']);

/** Whether the same request would rightly be answered alike tomorrow. What is not final did nothing, or joins when repeated. */
function isFinal(status: number, problem: ProblemCode | null): boolean {
  if (status < 200 || status >= 500) return false;
  if ([401, 403, 408, 424, 429].includes(status)) return false;
  return problem === null || !passing.has(problem);
}

/** A path as it is kept: in a long one the hash of what it names stands for that, by which an erasure finds it. */
export function keptPath(path: string): string {
  if (path.length <= longestPath) return path;
  const name = namedIn(path);
  const kept = path.split('/');
  if (name !== null) kept[nameInPath] = hashedName(sha256(name));
  const text = kept.join('/');
  return text.length > longestPath ? hashedName(sha256(path)) : text;
}

/** One spelling of what routes take for the same path: as encodeURIComponent writes each part. Routes take no other escapes than of UTF-8. */
const spelledAlike = (path: string): string =>
  path
    .split('/')
    .map((part) => encodeURIComponent(decodeURIComponent(part)))
    .join('/');

function keyedRequestOf(request: FastifyRequest, key: string): KeyedRequest {
  const caller = callerOf(request);
  const [path = '/', query = ''] = targetOf(request.url).split(/\?(.*)/s, 2);
  return {
    application_id: caller.application_id,
    method: request.method,
    path: keptPath(spelledAlike(path)),
    key,
    // The scopes too: an answer may hold what another key of the application must not see (a new key with `numbers`).
    requestHash: sha256(JSON.stringify([query, request.bodyHash, [...caller.scopes].sort()])),
  };
}

const contextOf = ({ application_id, method, path, key }: KeyedRequest): string =>
  secretContext.answer(application_id, method, path, key);

const storedText = z.object({ headers: z.record(z.string(), z.string()), body: z.string().nullable() });
/** What the answer says in headers of its own; all others are made for every answer. */
const keptHeaders = ['location'];

/** A UUID for what the request makes: the same in every run of it, whatever became of the runs before. */
export const effectIdOf = (request: FastifyRequest): string => request.keyedRun?.effectId ?? randomUUID();

/** The request as the stores know it; null without an Idempotency-Key. */
export const keyedOf = (request: FastifyRequest): KeyedRequest | null => request.keyedRun?.keyed ?? null;

/**
 * A secret of the answer that is made here and stored nowhere else: the same in every run of the request. It is set down,
 * sealed, before anything is done with it.
 */
export async function sameSecret(
  { idempotency: store, secrets }: Pick<RouteContext, 'idempotency' | 'secrets'>,
  request: FastifyRequest,
  make: () => string,
): Promise<string> {
  if (request.keyedRun === null) return make();
  const { keyed, runner, prepared } = request.keyedRun;
  if (prepared !== null) return secrets.open(prepared, contextOf(keyed));
  const secret = make();
  if (!(await store.prepare(keyed, runner, await secrets.seal(secret, contextOf(keyed))))) {
    // Somebody else runs it by now, with a secret of its own.
    throw new Problem('request_running', { retryAfterMs: usualRetryMs });
  }
  return secret;
}

/**
 * Idempotency-Key for every POST, PATCH and DELETE of the scope that are registered after this. An answer is stored before it
 * is sent. After a crash between the work and its answer the handler runs once more: what it makes bears the id of
 * `effectIdOf`, what it changes is noted with `keyedOf`, or it is idempotent by itself (decision 0015).
 */
export function idempotency(app: Api, { idempotency: store, secrets, limits, reads }: RouteContext): void {
  app.decorateRequest('bodyHash', null);
  app.decorateRequest('keyedRun', null);
  app.decorateRequest('answerExpires', null);

  app.addHook('onRoute', (route) => {
    if (![route.method].flat().some((method) => methods.has(method))) return;
    const response = { ...(route.schema?.response as Record<string, unknown> | undefined) };
    addProblems(response, ['request_running', 'idempotency_key_reused']);
    route.schema = { ...route.schema, headers: idempotencyHeaders, response };
  });

  /** An answer that shows an Item is shown once more only to who may see the Item now. */
  async function assertStillSeen(request: FastifyRequest, body: string | null): Promise<void> {
    const viewer = viewerOf(request);
    if (viewer.access === 'all' || body === null || !body.startsWith('{')) return;
    const shown = JSON.parse(body) as Record<string, unknown>;
    if (typeof shown['item_id'] !== 'string' || !('institution_id' in shown)) return;
    granted(await reads.item(viewer, shown['item_id'], 'command'));
  }

  async function replay(
    request: FastifyRequest,
    reply: FastifyReply,
    keyed: KeyedRequest,
    stored: StoredAnswer,
  ) {
    const { headers, body } = storedText.parse(
      JSON.parse(await secrets.open(stored.answer, contextOf(keyed))),
    );
    await assertStillSeen(request, body);
    reply.code(stored.status).headers(headers).header('idempotency-replayed', 'true');
    if (stored.contentType !== null) reply.type(stored.contentType);
    return reply.send(body ?? undefined);
  }

  app.addHook('preHandler', async (request, reply) => {
    const key = request.headers[keyHeader];
    if (typeof key !== 'string' || !methods.has(request.method)) return;
    const keyed = keyedRequestOf(request, key);
    const runner = randomUUID();
    const start = await store.begin(keyed, runner, limits.leaseMs);
    switch (start.kind) {
      case 'run':
        request.keyedRun = { keyed, runner, effectId: start.effectId, prepared: start.prepared };
        return;
      case 'replay':
        return replay(request, reply, keyed, start.answer);
      case 'running':
        throw new Problem('request_running', { retryAfterMs: Math.min(start.retryAfterMs, usualRetryMs) });
      case 'reused':
        throw new Problem('idempotency_key_reused');
    }
  });

  async function finish(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<void> {
    if (request.keyedRun === null) return;
    const { keyed, runner } = request.keyedRun;
    const expires =
      request.answerExpires === null ? null : Date.parse(request.answerExpires) - expiryMarginMs;
    // An end that cannot be read may have come already.
    const lasting = isFinal(reply.statusCode, request.problem) && !Number.isNaN(expires);
    if (!lasting || (payload != null && typeof payload !== 'string')) return store.release(keyed, runner);
    const headers = Object.fromEntries(
      keptHeaders.flatMap((name) => {
        const value = reply.getHeader(name);
        return typeof value === 'string' ? [[name, value] as const] : [];
      }),
    );
    const contentType = reply.getHeader('content-type');
    const answer = await secrets.seal(JSON.stringify({ headers, body: payload ?? null }), contextOf(keyed));
    const kept = await store.finish(
      keyed,
      runner,
      {
        status: reply.statusCode,
        contentType: typeof contentType === 'string' ? contentType : null,
        answer,
      },
      expires === null ? null : new Date(expires).toISOString(),
    );
    if (!kept) request.log.warn('answered after the lease, the answer of another run stands');
  }

  app.addHook('onSend', async (request, reply, payload) => {
    try {
      await finish(request, reply, payload);
    } catch (error) {
      // The work is done, and its answer true: it goes out. The lease ends by itself, and a repeat runs.
      request.log.error(loggedError(error), 'answer not stored');
    } finally {
      request.keyedRun = null;
    }
  });
}
