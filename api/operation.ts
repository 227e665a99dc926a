import type { FastifyContextConfig } from 'fastify';
import type { z } from 'zod';
import type { Scope } from '../domain/ports/applications.js';
import type { ProblemCode } from './problems.js';
import { problemTypes } from './problems.js';
import { problemAnswer } from './schemas/problem.js';

export type Tag =
  | 'Users'
  | 'Items'
  | 'Connections'
  | 'Institutions'
  | 'Webhooks'
  | 'Events'
  | 'Endpoints'
  | 'Access'
  | 'Service';

export interface Operation {
  /** Unique; a name for generated clients. */
  id: string;
  summary: string;
  description?: string;
  tag: Tag;
  /** null = open to everybody. */
  scope: Scope | null;
  /** Another scope that will do as well. */
  orScope?: Scope;
  answers: Record<number, { description: string; schema: z.ZodType; contentType?: string }>;
  problems: readonly ProblemCode[];
}

type Content = { description: string; content: Record<string, { schema: z.ZodType }> };

/** Answered before an operation is reached. */
const anyRequest: readonly ProblemCode[] = ['request_timeout', 'headers_too_large'];
const withKey: readonly ProblemCode[] = ['unauthorized', 'insufficient_scope', 'rate_limited'];
const always: readonly ProblemCode[] = ['invalid_request', 'internal_error', 'unavailable'];

interface Documented {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  security: Record<string, string[]>[];
  /** Shapes are zod schemas; typed loosely, since one status may carry an answer or several problems. */
  response: Record<string, unknown>;
}

interface Described {
  /** The options of the route: with the schemas of what it takes. */
  with<Parts extends object>(parts: Parts): { config: FastifyContextConfig; schema: Documented & Parts };
}

/** Describes problems among the answers of an operation, in place. */
export function addProblems(response: Record<string, unknown>, codes: Iterable<ProblemCode>): void {
  for (const code of codes) {
    const { status, title } = problemTypes[code];
    const line = `\`${code}\`: ${title}`;
    const known = response[String(status)] as Content | undefined;
    response[String(status)] = {
      description: known === undefined ? line : `${known.description}  \n${line}`,
      content: { 'application/problem+json': { schema: problemAnswer } },
    } satisfies Content;
  }
}

/** The part of a route's options that OpenAPI shows and that the access check reads: one list for both. */
export function operation(op: Operation): Described {
  const codes = new Set<ProblemCode>([
    ...anyRequest,
    ...(op.scope === null ? [] : [...withKey, ...always]),
    ...op.problems,
  ]);
  const response: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(op.answers)) {
    response[status] = {
      description: answer.description,
      content: { [answer.contentType ?? 'application/json']: { schema: answer.schema } },
    } satisfies Content;
  }
  addProblems(response, codes);
  const documented: Documented = {
    operationId: op.id,
    summary: op.summary,
    ...(op.description === undefined ? {} : { description: op.description }),
    tags: [op.tag],
    security: [op.scope, op.orScope].flatMap((scope) => (scope == null ? [] : [{ ApiKey: [scope] }])),
    response,
  };
  return {
    with: (parts) => {
      if ('params' in parts) addProblems(response, ['uri_too_long']);
      const config = { scope: op.scope, ...(op.orScope === undefined ? {} : { orScope: op.orScope }) };
      return { config, schema: { ...documented, ...parts } };
    },
  };
}
