import { createHash } from 'node:crypto';
import { PlaidApiError } from '../errors.js';

/**
 * A place in an Item's log. A final cursor has `end: null`; a paging cursor pins the log's length at the first page of its run and
 * says how many changes were already given.
 */
export interface Cursor {
  from: number;
  end: number | null;
  offset: number;
}

const LONGEST_CURSOR = 256;
const FORM = /^[A-Za-z0-9+/]+={0,2}$/;

function owner(itemId: string, accountId: string | null): string {
  return createHash('sha256')
    .update(`${itemId}/${accountId ?? ''}`)
    .digest('hex')
    .slice(0, 16);
}

export function encodeCursor(cursor: Cursor, itemId: string, accountId: string | null): string {
  const parts = [1, owner(itemId, accountId), cursor.from, cursor.end ?? '', cursor.offset];
  return Buffer.from(parts.join(':')).toString('base64');
}

/** Reads a cursor of this Item (and account stream); any other text is INVALID_FIELD. */
export function decodeCursor(text: string, itemId: string, accountId: string | null, length: number): Cursor {
  const refuse = () => new PlaidApiError('INVALID_FIELD', 'cursor not associated with access_token');
  if (text.length > LONGEST_CURSOR || !FORM.test(text)) throw refuse();
  const match = /^1:([0-9a-f]{16}):(\d+):(\d*):(\d+)$/.exec(Buffer.from(text, 'base64').toString('latin1'));
  if (!match || match[1] !== owner(itemId, accountId)) throw refuse();
  const from = Number(match[2]);
  const end = match[3] === '' ? null : Number(match[3]);
  if (from > length || (end !== null && (end > length || end < from))) throw refuse();
  return { from, end, offset: Number(match[4]) };
}
