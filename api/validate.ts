import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import type { FieldError } from './errors.js';
import { Problem } from './errors.js';

const parts: Readonly<Record<string, FieldError['in']>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
};

const most = 20;

/** A JSON pointer (RFC 6901). Names that the client chose are cut: an answer need not repeat a kilobyte. */
function pointerTo(path: readonly PropertyKey[]): string {
  return path
    .map((step) => `/${String(step).slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('');
}

function errorsOf(issues: readonly z.core.$ZodIssue[], where: FieldError['in']): FieldError[] {
  return issues.slice(0, most).flatMap((issue): FieldError[] => {
    if (issue.code !== 'unrecognized_keys') {
      return [{ in: where, pointer: pointerTo(issue.path), detail: issue.message }];
    }
    return issue.keys.slice(0, most).map((key) => ({
      in: where,
      pointer: pointerTo([...issue.path, key]),
      detail: 'is not known here',
    }));
  });
}

/** Validates one part of a request by its zod schema; what does not fit is named, what was sent is not repeated. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  const where = parts[httpPart ?? ''] ?? 'body';
  return (data: unknown) => {
    const result = z.safeParse(schema, data);
    if (result.success) return { value: result.data };
    return { error: new Problem('invalid_request', { errors: errorsOf(result.error.issues, where) }) };
  };
};
