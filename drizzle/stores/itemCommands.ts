import { updatedEvents } from '../../domain/exchange/itemEvents.js';
import type { Refused, Viewer } from '../../domain/exchange/viewer.js';
import type { ItemChangeReason, ItemCommandStore } from '../../domain/ports/itemCommands.js';
import { nextVersion } from '../../domain/mining/accountVersions.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { applications, connections, items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { accountRow, versionOf, writeAccounts } from './applyAccounts.js';
import type { AccountRow } from './applyAccounts.js';
import { hasActiveFloat } from './floats.js';
import { hasRelinked, isLive } from './connectionStatus.js';
import { revokeConnections, suspendConnections } from './connectionWrites.js';
import { releaseDeliveries } from './heldDeliveries.js';
import { numbersAreDue } from './numbersDue.js';
import { onceFor } from './onceFor.js';
import { remineIsAsked } from './remineIsAsked.js';
import { writeEvents } from './writeEvents.js';
import { refusedBy, rightsOf } from './rights.js';
import type { Verdict } from './rights.js';

const commanded = selection(items, ['user_id', 'institution_id', 'main_account_id', 'last_sequence'], {
  removed: isSet('removed_at'),
  removal_requested: isSet('removal_requested_at'),
});
type CommandedItem = Selected<typeof commanded>;

const asking = selection(applications, ['access']);
const own = selection(connections, ['connection_id'], { revoked: isSet('revoked_at') });
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

  /** What the application has of the Item; a revoked connection counts where there is no other. */
  async function connectionOf(tx: Tx, itemId: string, applicationId: string) {
    return firstOf(
      await tx<(Selected<typeof asking> & Partial<Selected<typeof own>> & { others: boolean })[]>`
      SELECT ${asking.list(tx, 'a')}, ${own.list(tx, 'c')}, EXISTS (
        SELECT FROM connections o WHERE o.item_id = ${itemId} AND o.application_id <> a.application_id AND ${isLive(tx, 'o')}) AS others
      FROM applications a LEFT JOIN connections c ON c.application_id = a.application_id AND c.item_id = ${itemId}
      WHERE a.application_id = ${applicationId}
      ORDER BY c.revoked_at DESC NULLS FIRST LIMIT 1`,
    );
  }
  /**
   * Why the viewer may not have anything done with the Item, whose row is locked: nobody's right changes meanwhile. `not_found`:
   * it was never connected with it.
   */
  async function refusedTo(tx: Tx, viewer: Viewer, itemId: string): Promise<Refused | 'not_found' | null> {
    if (viewer.access === 'all') return null;
    const rights = rightsOf(tx, viewer, 'command');
    const row = firstOf(
      await tx<{ verdict: { connection?: Verdict } }[]>`
      SELECT json_build_object('item_id', i.item_id ${rights.verdict}) AS verdict
      FROM items i ${rights.join} WHERE i.item_id = ${itemId}`,
    );
    return row === undefined ? 'not_found' : refusedBy(row.verdict.connection, 'command');
  }

  async function chooseMainAccount(
    tx: Tx,
    viewer: Viewer,
    itemId: string,
    item: CommandedItem,
    accountId: string,
  ): Promise<'done' | 'unknown_account' | 'item_removed'> {
    if (item.removed || item.removal_requested) return 'item_removed';
    const rights = rightsOf(tx, viewer, 'command');
    // One that is not granted is none: who asks for it learns nothing.
    const rows = await tx<(AccountRow & { granted: boolean })[]>`
      SELECT ${accountRow.list(tx, 'a')}, ${rights.accountOrNull(tx`a.account_id`)} IS NOT NULL AS granted
      FROM accounts a JOIN items i USING (item_id) ${rights.join}
      WHERE a.item_id = ${itemId} AND (a.account_id = ${accountId} OR a.is_main) ORDER BY a.account_id`;
    const chosen = rows.find((row) => row.account_id === accountId);
    if (chosen === undefined || chosen.status === 'closed' || !chosen.granted) return 'unknown_account';
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
    const counts = { accounts: changes.length, fromSequence: item.last_sequence + 1, toSequence: last };
    await writeEvents(tx, updatedEvents(owner, counts));
    return 'done';
  }

  return {
    async requestRemoval(itemId, { force, by = null }) {
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
        const own = by !== null && !force ? await connectionOf(tx, itemId, by.application_id) : null;
        if (own?.access === 'connected' && own.connection_id == null) return 'not_found';
        // What it had it has no more: the Item is no matter of it.
        if (item.removed || (own?.access === 'connected' && own.revoked)) return 'already';
        if (item.removal_requested) return 'pending';
        const leaves = own?.access === 'connected' ? (own.connection_id ?? null) : null;
        const leave = async (): Promise<void> => {
          if (by === null || leaves === null) return;
          const actor = {
            initiator: 'application',
            applicationId: by.application_id,
            keyId: by.key_id,
          } as const;
          await revokeConnections(tx, itemId, leaves, { ...actor, reason: null });
        };
        if (leaves !== null && own?.others) {
          await leave();
          return 'disconnected';
        }
        if (!force && (await hasActiveFloat(tx, item.user_id))) return 'active_float';
        await leave();
        await tx`UPDATE items SET removal_requested_at = clock_timestamp() WHERE item_id = ${itemId}`;
        return 'requested';
      });
    },

    async noteUpdateMode({ applicationId }, itemId, pickedAt) {
      await sql`
        UPDATE connections c SET relink_began_at = greatest(c.relink_began_at, ${pickedAt}::text::timestamptz)
        WHERE c.item_id = ${itemId} AND c.application_id = ${applicationId} AND c.revoked_at IS NULL
          AND c.suspended_at < ${pickedAt}::text::timestamptz`;
    },

    async resumeConnection(itemId, by) {
      return sql.begin(async (tx) => {
        const item = firstOf(
          await tx`
          SELECT FROM items WHERE item_id = ${itemId} AND error_code IS NULL AND revoked_at IS NULL
            AND removal_requested_at IS NULL FOR NO KEY UPDATE`,
        );
        if (item === undefined) return false;
        // That its user was at the bank may be the word of another one's user, or of a time before the bank took it away.
        const relinking = firstOf(
          await tx`
          SELECT FROM connections c
          WHERE c.item_id = ${itemId} AND c.application_id = ${by.application_id} AND ${hasRelinked(tx)}`,
        );
        if (relinking === undefined) return false;
        const actor = {
          initiator: 'application',
          applicationId: by.application_id,
          keyId: by.key_id,
        } as const;
        const reason = 'the user has been at the bank';
        await suspendConnections(tx, itemId, false, by.application_id, { ...actor, reason });
        await releaseDeliveries(tx, itemId);
        return true;
      });
    },

    async setMainAccount(viewer, itemId, accountId, keyed = null) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null) return 'not_found';
        const refused = await refusedTo(tx, viewer, itemId);
        if (refused !== null) return refused;
        let outcome: 'done' | 'unknown_account' | 'item_removed' = 'done';
        await onceFor(tx, keyed, async () => {
          outcome = await chooseMainAccount(tx, viewer, itemId, item, accountId);
          return outcome === 'done' ? outcome : null;
        });
        return outcome;
      });
    },

    async itemChangeReasons(viewer, userId, cooldownMs) {
      const rights = rightsOf(sql, viewer, 'item');
      const float = await hasActiveFloat(sql, userId);
      const cooling = firstOf(
        await sql<{ cooling: boolean }[]>`
        SELECT EXISTS (
          SELECT FROM items i ${rights.join}
          WHERE i.user_id = ${userId} AND i.admitted_at IS NOT NULL AND i.removed_at IS NULL AND ${rights.allowed}
            AND greatest(i.admitted_at, i.main_account_changed_at)
              > clock_timestamp() - ${`${cooldownMs} milliseconds`}::interval) AS cooling`,
      );
      const reasons: ItemChangeReason[] = [];
      if (float) reasons.push('ACTIVE_FLOAT');
      if (cooling?.cooling) reasons.push('COOLDOWN');
      return reasons;
    },

    async noteRelinked(viewer, itemId, keyed = null) {
      return sql.begin(async (tx) => {
        if ((await lock(tx, itemId)) === null) return 'not_found';
        const refused = await refusedTo(tx, viewer, itemId);
        if (refused !== null) return refused;
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
        return 'noted';
      });
    },

    async requestRemine(viewer, itemId, keyed = null) {
      return sql.begin(async (tx) => {
        const item = await lock(tx, itemId);
        if (item === null) return 'not_found';
        const refused = await refusedTo(tx, viewer, itemId);
        if (refused !== null) return refused;
        const number = await onceFor(tx, keyed, async () => {
          if (item.removed || item.removal_requested) return null;
          const row = firstOf(
            await tx<[Selected<typeof remine>]>`
            UPDATE items SET ${remineIsAsked(tx)} WHERE item_id = ${itemId} RETURNING ${remine.list(tx)}`,
          );
          return String(row.number);
        });
        return number === null ? 'item_removed' : { number: Number(number) };
      });
    },
  };
}
