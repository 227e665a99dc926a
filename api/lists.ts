import { createHash } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import type { PageKey, TextPage } from '../domain/ports/pages.js';
import { Problem } from './errors.js';
import { longestCursor } from './schemas/shared.js';

/** A list and the filters under which it is read. `limit` is none of them: it may change from page to page. */
export interface ListQuery {
  list: string;
  filters: Readonly<Record<string, unknown>>;
}

/**
 * Binds a key to its list and filters, and finds every damaged character. It is no secret: who forges a cursor chooses
 * nothing but a place in a list that the key may read anyway.
 */
function sealOf(query: ListQuery, key: PageKey): string {
  const filters = Object.entries(query.filters)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([query.list, filters, key]))
    .digest('base64url')
    .slice(0, 22);
}

/** The opaque cursor that continues after `key`; null at the end. */
export function writeCursor(query: ListQuery, key: PageKey | null): string | null {
  if (key === null) return null;
  return Buffer.from(JSON.stringify([...key, sealOf(query, key)])).toString('base64url');
}

/**
 * The inverse; null without a cursor. A cursor of another list, of other filters or of nobody: 400, which names the query's
 * `parameter`.
 */
export function readCursor(
  query: ListQuery,
  cursor: string | undefined,
  parameter = 'cursor',
): PageKey | null {
  if (cursor === undefined) return null;
  const parts = partsOf(cursor);
  const seal = parts?.pop();
  if (parts === null || parts.length === 0 || seal !== sealOf(query, parts)) {
    throw new Problem('invalid_cursor', {
      errors: [
        { in: 'query', pointer: `/${parameter}`, detail: 'is not a cursor of this list and these filters' },
      ],
    });
  }
  return parts;
}

function partsOf(cursor: string): string[] | null {
  if (cursor.length > longestCursor) return null;
  try {
    const bytes = Buffer.from(cursor, 'base64url');
    // Node skips characters that are no base64: two different texts must not be the same cursor.
    if (bytes.toString('base64url') !== cursor) return null;
    const value: unknown = JSON.parse(bytes.toString());
    return Array.isArray(value) && value.every((part) => typeof part === 'string') ? value : null;
  } catch {
    return null;
  }
}

/**
 * The body of a list. `rows` are as the database gave them: they are spliced in as bytes, since parsing and writing a hundred
 * rows again costs more than everything else in such a request.
 */
export function listBody(rows: Uint8Array, cursor: string | null, meta: object): Buffer {
  const next = JSON.stringify(cursor);
  return Buffer.concat([
    Buffer.from('{"data":['),
    rows,
    Buffer.from(`],"next_cursor":${next},"has_more":${cursor !== null},"meta":${JSON.stringify(meta)}}`),
  ]);
}

/** Answers with a page. */
export const sendList = (reply: FastifyReply, query: ListQuery, page: TextPage, meta: object): FastifyReply =>
  reply
    .type('application/json; charset=utf-8')
    .send(listBody(page.rows, writeCursor(query, page.next), meta));
