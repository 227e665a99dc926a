import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { distort } from '../distortion.js';
import { PlaidApiError } from '../errors.js';
import type { Fault } from '../faults.js';
import { requestId } from '../ids.js';
import { AnswerBuffers, type JsonPart } from '../jsonParts.js';
import type { Item } from '../item/item.js';
import { noteAccess } from '../item/lastAccess.js';
import { parseBody } from '../validation.js';
import type { World } from '../world.js';

/** JSON of an answer in parts, without `request_id` and the closing brace, for answers that are too large to build as objects. */
export class RawAnswer {
  constructor(
    readonly json: readonly JsonPart[],
    /** Runs when the answer has reached the client whole. */
    readonly afterSent: () => void = () => undefined,
    /** Runs right after the work, whatever becomes of the answer. */
    readonly afterWork: () => void = () => undefined,
  ) {}
}

export interface Caller {
  /** The client that calls; `null` when any credentials are accepted, so that tokens are bound to nobody. */
  clientId: string | null;
  /** The client id it gave, also when tokens are bound to nobody: it distinguishes applications. */
  application: string;
  requestId: string;
  /** No list of the answer is to have more entries; without end but for a fault. */
  mostRows: number;
  /** Where the caller reaches this simulator. */
  origin: string;
}

const buffers = new AnswerBuffers();

type Body = Record<string, unknown>;

/** Endpoints of Plaid that take no access token name the Item otherwise, or are about none. */
export interface Endpoint<T extends z.ZodType> {
  path: string;
  body: T;
  /** What it answers must outlive a crash: it is on disk before the answer goes. */
  durable?: boolean;
  /** Asks for no credentials, and takes the body `null` for an empty one: Plaid's client for Go sends that. */
  open?: boolean;
  /** What credentials that do not hold are answered with, where it is not Plaid's usual 400. */
  unauthorizedStatus?: number;
  run: (body: z.output<T>, caller: Caller) => object | RawAnswer | Promise<object | RawAnswer>;
}

/** Adds one of Plaid's endpoints, with everything that all of them share: faults, credentials, limits, validation, `request_id`. */
export function plaidEndpoint<T extends z.ZodType>(
  app: FastifyInstance,
  world: World,
  endpoint: Endpoint<T>,
): void {
  app.post(endpoint.path, async (request, reply) => {
    const id = requestId();
    const body = isObject(request.body) ? request.body : {};
    const item = itemOf(world, body);
    world.calls.note(endpoint.path, item?.id ?? null);
    const faults = world.faults.strike(endpoint.path, item?.id ?? null);
    await pause(world, faults);
    if (faults.some((fault) => fault.kind === 'reset' && fault.when === 'before')) return hangUp(reply);
    try {
      raise(faults);
      const isEmpty = request.body === undefined || (endpoint.open === true && request.body === null);
      if (!isEmpty && !isObject(request.body)) throw new PlaidApiError('INVALID_BODY');
      const application = credential(request, body, 'client_id');
      const caller = {
        clientId: endpoint.open ? null : authenticateAs(world, request, body, endpoint.unauthorizedStatus),
        application,
        requestId: id,
        mostRows: mostRows(faults),
        origin: `${request.protocol}://${request.host}`,
      };
      enforceLimits(world, endpoint.path, application, item, body);
      const answer = await endpoint.run(parseBody(endpoint.body, body), caller);
      const raw = answer instanceof RawAnswer ? answer : null;
      raw?.afterWork();
      if (item) noteAccess(world, item, endpoint.path);
      if (endpoint.durable) await world.keeper.saved();
      if (faults.some((fault) => fault.kind === 'reset' && fault.when === 'after')) return hangUp(reply);
      const distortions = faults.flatMap((fault) => (fault.kind === 'distort' ? [fault.distortion] : []));
      const text = raw
        ? buffers.join([...raw.json, Buffer.from(`,"request_id":"${id}"}`)])
        : JSON.stringify({ ...shortened(answer, caller.mostRows), request_id: id });
      if (distortions.length > 0) {
        const sent = distortions.reduce<unknown>(distort, JSON.parse(text.toString()));
        // It is not what a client must know from now on: a run that it ends does not count as read.
        return send(reply, 200, JSON.stringify(sent), faults, null);
      }
      if (raw) reply.raw.once('finish', raw.afterSent);
      if (typeof text !== 'string') reply.raw.once('finish', () => buffers.sent(text));
      return send(reply, 200, text, faults, raw);
    } catch (error) {
      if (!(error instanceof PlaidApiError)) throw error;
      return send(reply, error.status, JSON.stringify(error.body(id)), faults, null);
    }
  });
}

function isObject(body: unknown): body is Body {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}

function itemOf(world: World, body: Body): Item | undefined {
  const byAccess = world.findByToken(body['access_token']);
  if (byAccess) return byAccess;
  const token = body['public_token'];
  const known = typeof token === 'string' ? world.publicTokens.get(token) : undefined;
  return known && world.items.get(known.itemId);
}

function credential(request: FastifyRequest, body: Body, name: 'client_id' | 'secret'): string {
  const header = request.headers[name === 'client_id' ? 'plaid-client-id' : 'plaid-secret'];
  const value = body[name] ?? header;
  return typeof value === 'string' ? value : '';
}

function authenticateAs(
  world: World,
  request: FastifyRequest,
  body: Body,
  status: number | undefined,
): string | null {
  try {
    return authenticate(world, request, body);
  } catch (error) {
    if (status === undefined || !(error instanceof PlaidApiError)) throw error;
    throw new PlaidApiError(error.code, error.message, { status });
  }
}

/** Checks client id and secret, in headers or body. */
function authenticate(world: World, request: FastifyRequest, body: Body): string | null {
  const clientId = credential(request, body, 'client_id');
  const secret = credential(request, body, 'secret');
  const missing = [clientId === '' ? 'client_id' : '', secret === '' ? 'secret' : ''].filter(Boolean);
  if (missing.length > 0) {
    throw new PlaidApiError(
      'MISSING_FIELDS',
      `the following required fields are missing: ${missing.join(', ')}`,
    );
  }
  const clients = world.options.clients;
  if (Object.keys(clients).length === 0) return null;
  if (!Object.hasOwn(clients, clientId) || clients[clientId] !== secret)
    throw new PlaidApiError('INVALID_API_KEYS');
  return clientId;
}

function enforceLimits(
  world: World,
  path: string,
  clientId: string,
  item: Item | undefined,
  body: Body,
): void {
  const fromStart = path === '/transactions/sync' && (body['cursor'] ?? '') === '';
  const refused = world.limits.call(world.clock.now(), {
    path,
    clientId,
    itemId: item?.id ?? null,
    fromStart,
  });
  if (refused !== null) throw new PlaidApiError(refused);
}

async function pause(world: World, faults: readonly Fault[]): Promise<void> {
  let ms = world.options.latencyMs;
  for (const fault of faults) if (fault.kind === 'latency') ms += fault.ms;
  if (ms > 0) await sleep(ms);
}

function raise(faults: readonly Fault[]): void {
  for (const fault of faults) {
    if (fault.kind === 'error') {
      throw new PlaidApiError(fault.code, undefined, { type: fault.type, status: fault.status });
    }
    if (fault.kind === 'status') {
      const code = { 429: 'RATE_LIMIT', 503: 'PLANNED_MAINTENANCE' }[fault.status] ?? 'INTERNAL_SERVER_ERROR';
      throw new PlaidApiError(code, undefined, { status: fault.status });
    }
  }
}

function mostRows(faults: readonly Fault[]): number {
  return Math.min(...faults.map((fault) => (fault.kind === 'short' ? fault.rows : Infinity)));
}

/** Lists side by side, and nothing else: `numbers` of `/auth/get`, say. */
const areLists = (value: unknown): value is Record<string, unknown[] | null> =>
  isObject(value) && Object.values(value).every((list) => list === null || Array.isArray(list));

/** An answer whose lists end early. */
function shortened(answer: object, most: number): object {
  if (most === Infinity) return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([name, value]: [string, unknown]) => {
      if (Array.isArray(value)) return [name, value.slice(0, most)];
      return [name, areLists(value) ? shortened(value, most) : value];
    }),
  );
}

function hangUp(reply: FastifyReply): FastifyReply {
  reply.hijack();
  reply.raw.socket?.destroy();
  return reply;
}

function send(
  reply: FastifyReply,
  status: number,
  text: string | Buffer,
  faults: readonly Fault[],
  raw: RawAnswer | null,
): FastifyReply {
  const cut = faults.find((fault) => fault.kind === 'truncate');
  let payload = text;
  if (cut?.kind === 'truncate') {
    payload = (typeof text === 'string' ? Buffer.from(text) : text).subarray(0, cut.bytes);
    if (raw) reply.raw.removeListener('finish', raw.afterSent);
  }
  return reply.code(status).header('content-type', 'application/json; charset=utf-8').send(payload);
}
