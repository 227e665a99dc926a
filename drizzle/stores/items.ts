import { removedEvent } from '../../domain/exchange/itemEvents.js';
import { wantsConsent } from '../../domain/plaidErrors.js';
import type { TaskName } from '../../domain/item/tasks.js';
import type { ItemStore } from '../../domain/ports/items.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { askingCredentials, holderColumns } from './askingCredentials.js';
import type { HolderRow } from './askingCredentials.js';
import { closeAccounts } from './closeAccounts.js';
import { revokeConnections } from './connectionWrites.js';
import type { Actor } from './connectionWrites.js';
import { dueTasks } from './dueWork.js';
import { healthStands, noteBroken, noteHealthy, noteConsent } from './episodes.js';
import { itemWebhookStore } from './itemWebhooks.js';
import { verificationOf } from './numbersDue.js';
import { lockSeen } from './seen.js';
import { writeEvents } from './writeEvents.js';

const snapshot = selection(items, ['user_id', 'institution_id', 'history', 'next_due_at', 'remines'], {
  removed: isSet('removed_at'),
  broken: isSet('error_code'),
  transactions_unavailable: isSet('transactions_unavailable_since'),
  removal_requested: isSet('removal_requested_at'),
  unconnected: isSet('unconnected_since'),
  remine_requested: isSet('remine_requested_at'),
});
const waitingForNumbers = selection(items, ['numbers_due_at']);
const leaving = selection(items, ['user_id'], { removed: isSet('removed_at') });

/** An Item's end is that of its connections. */
const byItem: Actor = { initiator: 'item', applicationId: null, keyId: null, reason: null };

/**
 * Since when the answers of an Item `i` lack numbers, where one that was asked for at `at` does. Refusals are no such answers: a row of
 * theirs ends with it.
 */
const lackingFrom = (tx: Tx, at: string): Fragment => tx`
  coalesce(CASE WHEN i.numbers_refused_code IS NULL THEN i.numbers_lacking_since END, ${at}::text::timestamptz)`;

/**
 * Numbers `n` of an Item `i` that an answer before lacked, of those in a row that lack some. Whoever else doubts numbers ends the row
 * (`numbersAreDue`): a revocation says nothing of what Plaid's answers lack, nor does a refusal.
 */
const lackedBefore = (tx: Tx): Fragment => tx`
  coalesce(i.numbers_refused_code IS NULL AND n.doubted_at >= i.numbers_lacking_since, false)`;

/**
 * Whether an answer that names these accounts names none of the open ones that it was asked for and that have numbers, or should, and none
 * before lacked only some of them: that time is another doubt's.
 */
async function lacksAll(
  tx: Tx,
  itemId: string,
  accountIds: readonly string[],
  isAsked: (id: Fragment) => Fragment,
): Promise<boolean> {
  const lacking = firstOf(
    await tx<{ all: boolean | null }[]>`
    SELECT bool_and(a.account_id <> ALL(${[...accountIds]}::text[])) AND NOT bool_or(${lackedBefore(tx)}) AS all
    FROM items i JOIN accounts a ON a.item_id = i.item_id
      LEFT JOIN account_numbers n ON n.item_id = a.item_id AND n.account_id = a.account_id
    WHERE i.item_id = ${itemId} AND a.status = 'open' AND (a.raw->>'type' = 'depository' OR n.account_id IS NOT NULL)
      AND ${isAsked(tx`a.account_id`)}`,
  );
  return lacking?.all ?? false;
}

/** How the open accounts of an Item are verified; `verified`: one that should have numbers waits for no verification of its own. */
const verifications = (sql: Sql | Tx, itemId: string): Fragment => sql`(
  SELECT a.account_id, ${verificationOf(sql)} AS verification,
    a.raw->>'type' = 'depository' AND coalesce(${verificationOf(sql)}, 'verified') = 'verified' AS verified
  FROM accounts a WHERE a.item_id = ${itemId} AND a.status = 'open')`;

export function itemStore(sql: Sql): ItemStore {
  return {
    ...itemWebhookStore(sql),

    async snapshot(itemId) {
      const row = firstOf(
        await sql<
          (Selected<typeof snapshot> & {
            has_cursor: boolean;
            webhooks: number;
            newest_webhook_at: Date | null;
            due: TaskName[];
          })[]
        >`
        SELECT ${snapshot.list(sql, 'i')}, i.cursor <> '' AS has_cursor, w.webhooks, w.newest_webhook_at,
          ${dueTasks(sql)} AS due
        FROM items i, LATERAL (
          SELECT count(*) FILTER (WHERE kind IN ('update', 'history'))::int AS webhooks,
            max(received_at) AS newest_webhook_at, array_agg(DISTINCT kind) AS kinds
          FROM webhooks WHERE item_id = i.item_id AND outcome = 'pending'
        ) w
        WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`,
      );
      if (row === undefined) return null;
      return {
        itemId,
        userId: row.user_id,
        institutionId: row.institution_id,
        removed: row.removed,
        broken: row.broken,
        history: row.history,
        hasCursor: row.has_cursor,
        transactionsUnavailable: row.transactions_unavailable,
        nextDueAt: row.next_due_at?.getTime() ?? null,
        removalRequested: row.removal_requested,
        unconnected: row.unconnected,
        due: row.due,
        webhooksWaiting: row.webhooks,
        newestWebhookAt: row.newest_webhook_at?.getTime() ?? null,
        remineRequested: row.remine_requested,
        remines: row.remines,
      };
    },

    async credentials(itemId, { forRemoval }) {
      const row = firstOf(
        await sql<HolderRow[]>`
        SELECT ${holderColumns(sql)} FROM items i WHERE i.item_id = ${itemId} AND i.removed_at IS NULL`,
      );
      return row === undefined || ((row.closed || row.unconnected) && !forRemoval)
        ? null
        : askingCredentials(row);
    },

    async setBroken(itemId, seen, error, dueAt, { byCall = false, consent = null } = {}) {
      return sql.begin(async (tx) => {
        const stands = await healthStands(tx, itemId, seen);
        if (stands !== 'stands') return stands === 'unconnected';
        await noteBroken(tx, itemId, error, { byCall, dueAt, unheard: true });
        await noteConsent(tx, itemId, seen, consent);
        return true;
      });
    },

    async setHealthy(itemId, seen, consent = null) {
      return sql.begin(async (tx) => {
        const stands = await healthStands(tx, itemId, seen);
        if (stands !== 'stands') return stands === 'unconnected';
        await noteHealthy(tx, itemId, seen);
        await noteConsent(tx, itemId, seen, consent);
        return true;
      });
    },

    async noteConsent(itemId, seen, consent) {
      await sql.begin(async (tx) => {
        if ((await healthStands(tx, itemId, seen)) === 'stands') await noteConsent(tx, itemId, seen, consent);
      });
    },

    async finishRemoval(itemId) {
      await sql.begin(async (tx) => {
        const item = firstOf(
          await tx<Selected<typeof leaving>[]>`
          SELECT ${leaving.list(tx)} FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`,
        );
        if (item === undefined || item.removed) return;
        await closeAccounts(tx, itemId);
        await tx`
          UPDATE items SET removed_at = clock_timestamp(), access_token_key_id = NULL, access_token_data_key = NULL,
            access_token_ciphertext = NULL, next_due_at = NULL, numbers_due_at = NULL, update_started_at = NULL, remine_requested_at = NULL,
            disconnects_at = NULL
          WHERE item_id = ${itemId}`;
        await tx`DELETE FROM account_numbers WHERE item_id = ${itemId}`;
        await tx`DELETE FROM staged_pages WHERE item_id = ${itemId}`;
        await tx`
          UPDATE webhooks SET outcome = 'ignored', reason = 'item_removed', settled_at = clock_timestamp()
          WHERE item_id = ${itemId} AND outcome = 'pending'`;
        await revokeConnections(tx, itemId, null, byItem);
        // Last: to those whose connections have just ended with the Item, and to nobody who had left before.
        await writeEvents(tx, [removedEvent({ item_id: itemId, user_id: item.user_id })]);
      });
    },

    async ignoreWebhooks(itemId, reason) {
      const ended = await sql`
        WITH waiting AS (
          SELECT webhook_id FROM webhooks WHERE item_id = ${itemId} AND outcome = 'pending' ORDER BY webhook_id FOR UPDATE
        )
        UPDATE webhooks w SET outcome = 'ignored', reason = ${reason}, settled_at = clock_timestamp()
        FROM waiting WHERE w.webhook_id = waiting.webhook_id AND w.outcome = 'pending' RETURNING 1`;
      return ended.length;
    },

    async saveNumbers(itemId, seen, numbers, part, lackingFor) {
      return sql.begin(async (tx) => {
        const item = await lockSeen(tx, itemId);
        if (item === null || item.closed || item.unconnected) return true;
        if (item.seen.numbers !== seen.numbers) return false;
        const accountIds = numbers.map(({ accountId }) => accountId);
        const isAsked = (id: Fragment): Fragment =>
          part === undefined ? tx`true` : tx`${id} = ANY(${[...part.of]}::text[])`;
        const isNone = lackingFor !== undefined && (await lacksAll(tx, itemId, accountIds, isAsked));
        if (isNone) {
          const pause = `${lackingFor} milliseconds`;
          // Half of it: the clocks of the worker that waits and of the database differ.
          const doubted = await tx<Selected<typeof waitingForNumbers>[]>`
            UPDATE items i SET numbers_lacking_since = ${lackingFrom(tx, seen.at)}, numbers_refused_code = NULL,
              numbers_due_at = clock_timestamp() + ${pause}::interval, numbers_facts = numbers_facts + 1
            WHERE item_id = ${itemId} AND (i.numbers_refused_code IS NOT NULL
              OR (numbers_lacking_since > clock_timestamp() - ${pause}::interval / 2) IS NOT FALSE)
            RETURNING ${waitingForNumbers.list(tx, 'i')}`;
          if (doubted[0] !== undefined) return { doubtedUntil: doubted[0].numbers_due_at?.getTime() ?? 0 };
        }
        // One answer may be short. Of an account that it lacks the numbers are withheld till the next one, which takes them.
        const withheld =
          lackingFor !== undefined && !isNone
            ? await tx`
                UPDATE account_numbers n SET doubted_at = ${seen.at}::text::timestamptz
                FROM items i JOIN accounts a ON a.item_id = i.item_id
                WHERE i.item_id = ${itemId} AND n.item_id = i.item_id AND n.account_id <> ALL(${accountIds}::text[])
                  AND NOT ${lackedBefore(tx)} AND ${isAsked(tx`n.account_id`)}
                  AND a.account_id = n.account_id AND a.status = 'open' RETURNING 1`
            : [];
        const soon = withheld.length > 0 ? `${lackingFor ?? 0} milliseconds` : null;
        await tx`
          DELETE FROM account_numbers WHERE item_id = ${itemId} AND (account_id = ANY(${accountIds}::text[])
            OR ${isAsked(tx`account_id`)} AND doubted_at IS DISTINCT FROM ${seen.at}::text::timestamptz)`;
        for (const { accountId, sealed } of numbers) {
          await tx`
            INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext, as_of)
            VALUES (${itemId}, ${accountId}, ${sealed.keyId}, ${sealed.dataKey}, ${sealed.ciphertext},
              ${seen.at}::text::timestamptz)`;
        }
        await tx`
          UPDATE accounts SET revoked_at = NULL
          WHERE item_id = ${itemId} AND account_id = ANY(${accountIds}::text[])
            AND revoked_at <= ${seen.at}::text::timestamptz`;
        // Answers that lack another one each time are asked for with pauses that double.
        const lackingSince = lackingFrom(tx, seen.at);
        const row = firstOf(
          await tx<[Selected<typeof waitingForNumbers>]>`
          UPDATE items i SET numbers_facts = numbers_facts + 1, numbers_refused_code = NULL,
            numbers_asked_at = ${seen.at}::text::timestamptz,
            numbers_lacking_since = CASE WHEN ${soon}::text IS NOT NULL THEN ${lackingSince} END,
            numbers_due_at = CASE WHEN ${soon}::text IS NULL THEN ${part?.dueAt ?? null}::text::timestamptz
              ELSE clock_timestamp() + greatest(${soon}::interval, clock_timestamp() - ${lackingSince}) END
          WHERE item_id = ${itemId} RETURNING ${waitingForNumbers.list(tx, 'i')}`,
        );
        return soon === null ? true : { doubtedUntil: row.numbers_due_at?.getTime() ?? 0 };
      });
    },

    async accountsBesideUnverified(itemId) {
      const { accounts, unverified, pending } = firstOf(
        await sql<[{ accounts: string[]; unverified: boolean; pending: boolean }]>`
        SELECT coalesce(array_agg(v.account_id ORDER BY v.account_id) FILTER (WHERE v.verified), '{}') AS accounts,
          coalesce(bool_or(v.verification <> 'verified'), false) AS unverified,
          coalesce(bool_or(v.verification = 'pending'), false) AS pending
        FROM ${verifications(sql, itemId)} AS v`,
      );
      return { accountIds: unverified ? accounts : [], pending };
    },

    async keepNumbers(itemId, seen, retryAt, refusedCode = null, lackingFor = 0) {
      return sql.begin(async (tx) => {
        const item = await lockSeen(tx, itemId);
        if (item === null || item.closed || item.unconnected) return { dueAt: null };
        if (item.seen.numbers !== seen.numbers) return 'moved' as const;
        // Until an answer lists them: what is said besides proves no consent.
        if (refusedCode !== null && wantsConsent(refusedCode))
          await tx`
            UPDATE account_numbers SET doubted_at = ${seen.at}::text::timestamptz
            WHERE item_id = ${itemId} AND doubted_at IS NULL`;
        // What is withheld is asked for, whatever is said meanwhile: nobody else would. Of a closed account nobody needs any.
        const isWithheld = tx`EXISTS (
          SELECT FROM account_numbers n LEFT JOIN accounts a ON a.item_id = n.item_id AND a.account_id = n.account_id
          WHERE n.item_id = i.item_id AND n.doubted_at IS NOT NULL AND a.status IS DISTINCT FROM 'closed')`;
        const isRefused = tx`(${refusedCode}::text IS NOT NULL AND ${isWithheld})`;
        const lackingSince = tx`coalesce(i.numbers_lacking_since, ${seen.at}::text::timestamptz)`;
        const row = firstOf(
          await tx<[Selected<typeof waitingForNumbers>]>`
          WITH verifications AS (
            SELECT coalesce(bool_or(v.verification = 'pending'), false) AS pending,
              coalesce(bool_or(v.verification IN ('expired', 'failed')), false) AS ended,
              coalesce(bool_or(v.verified), false) AND ${refusedCode}::text IS NULL AS others
            FROM ${verifications(tx, itemId)} AS v
          )
          UPDATE items i SET numbers_facts = i.numbers_facts + 1, numbers_refused_code = ${refusedCode}::text,
            numbers_asked_at = ${seen.at}::text::timestamptz,
            numbers_lacking_since = CASE WHEN ${isRefused} THEN ${lackingSince} END,
            numbers_due_at = CASE
              WHEN ${isRefused} THEN clock_timestamp()
                + greatest(${`${lackingFor} milliseconds`}::interval, clock_timestamp() - ${lackingSince})
              WHEN v.pending OR v.others OR NOT v.ended OR ${isWithheld} THEN ${retryAt}::text::timestamptz END
          FROM verifications v WHERE i.item_id = ${itemId} RETURNING ${waitingForNumbers.list(tx, 'i')}`,
        );
        return { dueAt: row.numbers_due_at?.getTime() ?? null };
      });
    },
  };
}
