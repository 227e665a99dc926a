import type { AskingCredentials, Seen } from '../../domain/ports/items.js';
import { sealedOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accessToken } from './accessToken.js';
import { seenOf } from './seen.js';

const holder = selection(items, ['item_id', 'user_id', 'institution_id', 'cursor', 'error_by_call'], {
  ...accessToken,
  closed: isSet('removal_requested_at'),
  unconnected: isSet('unconnected_since'),
  broken: isSet('error_code'),
});

export type HolderRow = Selected<typeof holder> & { seen: Seen };

/** What of an Item `i` is needed to ask Plaid about it, a `HolderRow`. */
export const holderColumns = (sql: Sql): Fragment => sql`${holder.list(sql, 'i')}, ${seenOf(sql)} AS seen`;

/** Null when its token was erased. */
export function askingCredentials(row: HolderRow): AskingCredentials | null {
  const token = sealedOf(row.key_id, row.data_key, row.ciphertext);
  if (token === null) return null;
  return {
    itemId: row.item_id,
    userId: row.user_id,
    institutionId: row.institution_id,
    accessToken: token,
    seen: row.seen,
    episodeBy: !row.broken ? null : row.error_by_call ? 'call' : 'item',
    cursor: row.cursor,
  };
}
