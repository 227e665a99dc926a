import { updatedEvents } from '../../domain/exchange/itemEvents.js';
import { closed, nextVersion } from '../../domain/mining/accountVersions.js';
import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { items } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accountRow, versionOf, writeAccounts } from './applyAccounts.js';
import type { AccountRow } from './applyAccounts.js';
import { writeEvents } from './writeEvents.js';

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
  const versions = accounts.map((row) => nextVersion(versionOf(row), closed));
  await writeAccounts(tx, owner, item.last_sequence, versions);
  const last = item.last_sequence + versions.length;
  await tx`
    UPDATE items SET last_sequence = ${last}, last_account_sequence = ${last},
      unsent_since = coalesce(unsent_since, clock_timestamp())
    WHERE item_id = ${itemId}`;
  const changes = { accounts: versions.length, fromSequence: item.last_sequence + 1, toSequence: last };
  await writeEvents(tx, updatedEvents(owner, changes));
}
