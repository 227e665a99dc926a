import type { ItemChangeReason, ItemCommandStore } from '../../domain/ports/itemCommands.js';
import { nextVersion } from '../../domain/mining/accountVersions.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accountRow, versionOf, writeAccounts } from './applyAccounts.js';
import type { AccountRow } from './applyAccounts.js';
import { numbersAreDue } from './numbersDue.js';
import { onceFor } from './onceFor.js';

const commanded = selection(items, ['user_id', 'institution_id', 'main_account_id', 'last_sequence'], {
  removed: isSet('removed_at'),
  removal_requested: isSet('removal_requested_at'),
});
type CommandedItem = Selected<typeof commanded>;

const remine = selection(items, [], { number: 'remines' });

/**
 * What clients ask of an Item. The wish is committed here, under the Item's lock; the Item's workflow does the work, and finds
 * the wish in the row also when no signal came through.
 */
export function itemCommandStore(sql: Sql): ItemCommandStore {
  async function lock(tx: Tx, itemId: string): Promise<CommandedItem | null> {
    const item = firstOf(
      await tx<CommandedItem[]>`
      SELECT ${commanded.list(tx)} FROM items WHERE item_id = ${itemId} AND admitted_at IS NOT NULL FOR NO KEY UPDATE`,
    );
    return item ?? null;
  }

  const hasActiveFloat = (tx: Sql | Tx, userId: string) => tx<{ active: boolean }[]>`
    SELECT EXISTS (SELECT FROM floats WHERE user_id = ${userId} AND status = 'active') AS active`;

  async function chooseMainAccount(
    tx: Tx,
    itemId: string,
    item: CommandedItem,
    accountId: string,
  ): Promise<'done' | 'unknown_account' | 'item_removed'> {
    if (item.removed || item.removal_requested) return 'item_removed';
    const rows = await tx<AccountRow[]>`
      SELECT ${accountRow.list(tx)} FROM accounts
      WHERE item_id = ${itemId} AND (account_id = ${accountId} OR is_main) ORDER BY account_id`;
    const chosen = rows.find((row) => row.account_id === accountId);
    if (chosen === undefined || chosen.status === 'closed') return 'unknown_account';
    if (item.main_account_id === accountId && chosen.is_main) return 'done';
    const owner = { item_id: itemId, user_id: item.user_id, institution_id: item.institution_id };
    const changes = rows
      .filter((row) => row.is_main !== (row.account_id === accountId))
      .map((row) => nextVersion(versionOf(row), { is_main: row.account_id === accountId }));
    await writeAccounts(tx, owner, item.last_sequence, changes);
    const last = item.last_sequence + changes.length;
    await tx`
      UPDATE items SET main_account_id = ${accountId}, main_account_changed_at = clock_timestamp(),
        last_sequence = ${last}, last_account_sequence = ${last},
        unsent_since = coalesce(unsent_since, clock_timestamp())
      WHERE item_id = ${itemId}`;
    return 'done';
  }

  return {
    async requestRemoval(itemId, { force }) {
      return sql.begin(async (tx) => {
        // User before Item, as everywhere: floats are written under the user's lock.
        const user = firstOf(
          await tx`
          SELECT FROM users WHERE user_id = (
            SELECT user_id FROM items WHERE item_id = ${itemId} AND admitted_at IS NOT NULL)
          FOR NO KEY UPDATE`,
        );
        const item = user && (await lock(tx, itemId));
        if (!item) return 'not_found';
        if (item.removed || item.removal_requested) return 'already';
        const float = firstOf(await hasActiveFloat(tx, item.user_id));
        if (!force && float?.active) return 'active_float';
        await tx`UPDATE items SET removal_requested_at = clock_timestamp() WHERE item_id = ${itemId}`;
        return 'requested';
      });
    },

    async setMainAccount(itemId, accountId, keyed = null) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null) return 'not_found';
        let outcome: 'done' | 'unknown_account' | 'item_removed' = 'done';
        await onceFor(tx, keyed, async () => {
          outcome = await chooseMainAccount(tx, itemId, item, accountId);
          return outcome === 'done' ? outcome : null;
        });
        return outcome;
      });
    },

    async itemChangeReasons(userId, cooldownMs) {
      const float = firstOf(await hasActiveFloat(sql, userId));
      const cooling = firstOf(
        await sql<{ cooling: boolean }[]>`
        SELECT EXISTS (
          SELECT FROM items WHERE user_id = ${userId} AND admitted_at IS NOT NULL AND removed_at IS NULL
            AND greatest(admitted_at, main_account_changed_at)
              > clock_timestamp() - ${`${cooldownMs} milliseconds`}::interval) AS cooling`,
      );
      const reasons: ItemChangeReason[] = [];
      if (float?.active) reasons.push('ACTIVE_FLOAT');
      if (cooling?.cooling) reasons.push('COOLDOWN');
      return reasons;
    },

    async noteRelinked(itemId, keyed = null) {
      await sql.begin(async (tx) => {
        await onceFor(tx, keyed, async () => {
          // Not once more: what the bank reports meanwhile is newer than this visit to update mode.
          await tx`
            UPDATE items SET new_accounts_available = false, disconnects_at = NULL
            WHERE item_id = ${itemId} AND removed_at IS NULL AND removal_requested_at IS NULL`;
          return 'noted';
        });
        await tx`
          UPDATE items SET next_due_at = clock_timestamp(),
            -- What Plaid answers to questions from before is not of the Item as it is now.
            health_answers = health_answers + 1, ${numbersAreDue(tx)}
          WHERE item_id = ${itemId} AND removed_at IS NULL AND removal_requested_at IS NULL`;
      });
    },

    async requestRemine(itemId, keyed = null) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null) return 'not_found';
        const number = await onceFor(tx, keyed, async () => {
          if (item.removed || item.removal_requested) return null;
          const row = firstOf(
            await tx<[Selected<typeof remine>]>`
            UPDATE items SET remines = remines + CASE WHEN remine_requested_at IS NULL THEN 1 ELSE 0 END,
              remine_requested_at = coalesce(remine_requested_at, clock_timestamp())
            WHERE item_id = ${itemId} RETURNING ${remine.list(tx)}`,
          );
          return String(row.number);
        });
        return number === null ? 'item_removed' : { number: Number(number) };
      });
    },
  };
}
