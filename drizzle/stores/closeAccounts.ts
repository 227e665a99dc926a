import { refineAccount } from '../../domain/mining/refine.js';
import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { items } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accountRow, writeAccounts } from './applyAccounts.js';
import type { AccountRow } from './applyAccounts.js';

const owned = selection(items, ['user_id', 'institution_id', 'last_sequence']);

/** Closes every open account of an Item whose row is locked, with their events. */
export async function closeAccounts(tx: Tx, itemId: string): Promise<void> {
  const item = firstOf(
    await tx<Selected<typeof owned>[]>`
    SELECT ${owned.list(tx)} FROM items WHERE item_id = ${itemId}`,
  );
  const accounts = await tx<AccountRow[]>`
    SELECT ${accountRow.list(tx)} FROM accounts
    WHERE item_id = ${itemId} AND status = 'open' ORDER BY account_id`;
  if (item === undefined || accounts.length === 0) return;
  const owner = { item_id: itemId, user_id: item.user_id, institution_id: item.institution_id };
  const closed = accounts.map((row) => {
    const { is_main } = row;
    const as_of = row.as_of.toISOString();
    const status = 'closed' as const;
    const refined = refineAccount(row.raw, { ...owner, status, is_main, as_of });
    return { ...row, as_of, status, version: row.version + 1, refined };
  });
  await writeAccounts(tx, itemId, item.last_sequence, closed);
  const last = item.last_sequence + closed.length;
  await tx`
    UPDATE items SET last_sequence = ${last}, last_account_sequence = ${last},
      unsent_since = coalesce(unsent_since, clock_timestamp())
    WHERE item_id = ${itemId}`;
}
