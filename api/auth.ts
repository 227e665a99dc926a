import { createHash, randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Viewer } from '../domain/exchange/viewer.js';
import type { ApiKey, ApplicationStore, Scope } from '../domain/ports/applications.js';
import { Problem } from './errors.js';
import type { Limiter } from './rateLimit.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The key that the request came with; null on routes without one. */
    caller: ApiKey | null;
  }
  interface FastifyContextConfig {
    /** The scope that the route asks for; null = open to everybody. Every route under /v1 names one. */
    scope?: Scope | null;
    /** Another one that will do as well. */
    orScope?: Scope;
  }
}

/** SHA-256 of the key in hex: what is stored. Keys are random, so a slow hash would protect nothing. */
export const hashKey = (key: string): string => createHash('sha256').update(key).digest('hex');

/** A new key: 256 random bits behind a prefix that secret scanners can find. */
export const newKey = (): string => `sluice_${randomBytes(32).toString('base64url')}`;

/** `admin` implies everything but `numbers`: account numbers are read by keys that were made for it. */
export function allows(held: readonly Scope[], needed: Scope): boolean {
  return held.includes(needed) || (needed !== 'numbers' && held.includes('admin'));
}

// One space or more after the scheme, then the token of RFC 6750 (wider: any visible ASCII), bounded before it is hashed.
const bearer = /^Bearer +([\x21-\x7e]{1,512})$/i;

const refused = (): Problem =>
  new Problem('unauthorized', { headers: { 'www-authenticate': 'Bearer realm="sluice"' } });

/** An `onRequest` hook: runs before the body is read, so a stranger cannot make us parse anything. */
export function authenticate(
  applications: Pick<ApplicationStore, 'findKey'>,
  limiter: Limiter,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const { scope, orScope } = request.routeOptions.config;
    // Fails closed: a route that forgot to name its scope is a fault of ours, not an open door.
    if (scope == null) throw new Problem('internal_error');
    const key = bearer.exec(request.headers.authorization ?? '')?.[1];
    if (key === undefined) {
      await limiter.stranger(request, null);
      throw refused();
    }
    const keyHash = hashKey(key);
    limiter.beforeLookup(request, keyHash);
    const caller = await applications.findKey(keyHash);
    if (caller === null) {
      await limiter.stranger(request, keyHash);
      throw refused();
    }
    limiter.found(keyHash);
    request.caller = caller;
    await limiter.caller(request, reply);
    if (!allows(caller.scopes, scope) && (orScope === undefined || !allows(caller.scopes, orScope))) {
      throw new Problem('insufficient_scope', {
        detail: `This operation needs the scope ${scope}${orScope === undefined ? '' : ` or ${orScope}`}.`,
        headers: {
          'www-authenticate': `Bearer realm="sluice", error="insufficient_scope", scope="${scope}"`,
        },
      });
    }
  };
}

/** For a request that has waited: its key may have been revoked meanwhile. */
export async function assertStillStands(
  applications: Pick<ApplicationStore, 'findKey'>,
  request: FastifyRequest,
): Promise<void> {
  const key = bearer.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const caller = await applications.findKey(hashKey(key));
  if (caller?.key_id !== callerOf(request).key_id || caller.access !== callerOf(request).access)
    throw refused();
}

/** The caller of a route that asks for a scope. */
export function callerOf(request: FastifyRequest): ApiKey {
  if (request.caller === null) throw new Problem('internal_error');
  return request.caller;
}

/** The same as the stores ask for it: whose connections decide what is read. */
export function viewerOf(request: FastifyRequest): Viewer {
  const { application_id, access } = callerOf(request);
  return { applicationId: application_id, access };
}
