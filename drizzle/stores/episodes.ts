import { needsRelinkEvent, repairedEvent } from '../../domain/exchange/itemEvents.js';
import type { UserActionError } from '../../domain/mining/run.js';
import type { Consent } from '../../domain/item/health.js';
import { closesAccounts, failureTypeOf } from '../../domain/plaidErrors.js';
import type { Seen } from '../../domain/ports/items.js';
import { codeThatDisconnects } from '../../domain/webhooks/itemFacts.js';
import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { items } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { numbersAreDue } from './numbersDue.js';
import { closeAccounts } from './closeAccounts.js';
import { suspendConnections } from './connectionWrites.js';
import type { Actor } from './connectionWrites.js';
import { revocationWaits } from './revocationWaits.js';
import { lockSeen, sameHealth } from './seen.js';
import { heardSince } from './heardSince.js';
import { writeEvents } from './writeEvents.js';

const numbered = selection(items, ['user_id'], { episode: 'error_episode' });
const ended = selection(items, ['error_type', 'error_code']);

const byBank: Actor = { initiator: 'bank', applicationId: null, keyId: null, reason: null };

/**
 * Episodes of user-action errors. An episode and the Segment event of its start or end are committed together;
 * the event's id is made of the episode's number, so that no event is sent twice.
 */

/** Records the event of an Item that has just changed sides; `error` is the one that the episode began or ended with. */
async function recordEvent(
  tx: Tx,
  itemId: string,
  episode: number,
  name: 'errored' | 'repaired',
  error: Selected<typeof ended>,
): Promise<void> {
  // Where nothing is due what waits was dropped for want of a write key: it is old, and would be told before this one.
  await tx`
    DELETE FROM segment_events e USING items i
    WHERE i.item_id = ${itemId} AND i.segment_due_at IS NULL AND e.item_id = i.item_id AND e.sent_at IS NULL`;
  await tx`
    INSERT INTO segment_events (message_id, item_id, user_id, event, properties)
    SELECT ${`${itemId}:${name}:${episode}`}, item_id, user_id, ${`item ${name}`},
      jsonb_build_object('item_id', item_id, 'institution_id', institution_id,
        'error_type', ${error.error_type}::text, 'error_code', ${error.error_code}::text)
    FROM items WHERE item_id = ${itemId}
    ON CONFLICT DO NOTHING`;
  await tx`
    UPDATE items SET segment_due_at = coalesce(segment_due_at, clock_timestamp()) WHERE item_id = ${itemId}`;
}

/** Whether an answer about the health of the Item may be written, under its lock: one that is removed takes every one. */
export async function healthStands(
  tx: Tx,
  itemId: string,
  seen: Seen,
): Promise<'stands' | 'moved' | 'unconnected'> {
  const item = await lockSeen(tx, itemId);
  if (item === null || item.removed) return 'stands';
  if (item.unconnected) return 'unconnected';
  return sameHealth(item.seen, seen) ? 'stands' : 'moved';
}

/**
 * What a check said besides the Item's health, under its lock. A bank that was not known when the Item was linked, or that Plaid has moved to
 * another id since, is known from here on. An end of the connection that was announced, and whose time had passed at the question,
 * did not come where the check calls the Item healthy. What is new by it makes older answers older.
 */
export async function noteConsent(
  tx: Tx,
  itemId: string,
  seen: Pick<Seen, 'at'>,
  consent: Consent | null,
): Promise<void> {
  if (consent === null) return;
  const { id = null, name = null } = consent.institution ?? {};
  await tx`
    UPDATE items SET institution_id = coalesce(${id}::text, institution_id),
      institution_name = CASE WHEN ${id}::text = institution_id OR ${id}::text IS NULL
        THEN coalesce(${name}::text, institution_name) ELSE ${name}::text END,
      consent_expires_at = ${consent.expiresAt}::text::timestamptz,
      health_answers = health_answers + CASE
        WHEN coalesce(${id}::text, institution_id) IS DISTINCT FROM institution_id
          OR consent_expires_at IS DISTINCT FROM ${consent.expiresAt}::text::timestamptz THEN 1 ELSE 0 END,
      disconnects_at = CASE WHEN ${consent.isConnected} AND disconnects_at <= ${seen.at}::text::timestamptz
        THEN NULL ELSE disconnects_at END
    WHERE item_id = ${itemId} AND removed_at IS NULL`;
}

/**
 * Item ERROR; begins an episode unless one is on its way, and closes the accounts where the error says that there are none.
 * That the permission is gone withholds the numbers, whoever has said it: its webhook may be lost. `dueAt` = when `/item/get` is asked
 * again (ISO 8601). With `unheard` a new episode is checked at once: its workflow may not have heard of it, and would wait for hours.
 */
export async function noteBroken(
  tx: Tx,
  itemId: string,
  error: UserActionError,
  { byCall, dueAt, unheard }: { byCall: boolean; dueAt: string; unheard: boolean },
): Promise<void> {
  const isRevoked = failureTypeOf(error) === 'PERMISSION_REVOKED';
  const item = firstOf(
    await tx<(Selected<typeof numbered> & { began: boolean })[]>`
    WITH before AS (
      SELECT item_id, error_since FROM items WHERE item_id = ${itemId} AND removed_at IS NULL FOR NO KEY UPDATE
    )
    UPDATE items i SET error_type = ${error.error_type}, error_code = ${error.error_code},
      error_by_call = ${byCall},
      revoked_at = CASE WHEN ${isRevoked} THEN coalesce(i.revoked_at, clock_timestamp()) ELSE i.revoked_at END,
      error_since = coalesce(i.error_since, clock_timestamp()),
      error_episode = i.error_episode + CASE WHEN i.error_since IS NULL THEN 1 ELSE 0 END,
      health_answers = i.health_answers + 1,
      next_due_at = CASE WHEN i.error_since IS NULL AND ${unheard} THEN clock_timestamp() ELSE ${dueAt}::text::timestamptz END,
      update_started_at = NULL
    FROM before WHERE i.item_id = before.item_id
    RETURNING before.error_since IS NULL AS began, ${numbered.list(tx, 'i')}`,
  );
  if (item?.began) {
    await recordEvent(tx, itemId, item.episode, 'errored', error);
    await writeEvents(tx, [needsRelinkEvent({ item_id: itemId, user_id: item.user_id }, error)]);
  }
  if (item !== undefined && closesAccounts(error.error_code)) await closeAccounts(tx, itemId);
  if (item !== undefined && isRevoked) {
    await suspendConnections(tx, itemId, true, null, byBank);
  }
}

/**
 * Item ACTIVE: ends the episode, if there is one, and makes an update due. The repair takes back an end of the connection that was
 * announced before the question; a revocation that waits to be acted on, besides the webhooks `answered`, goes on withholding.
 */
export async function noteHealthy(
  tx: Tx,
  itemId: string,
  seen: Pick<Seen, 'at'>,
  answered: readonly string[] = [],
): Promise<void> {
  await tx`UPDATE items SET health_answers = health_answers + 1 WHERE item_id = ${itemId} AND removed_at IS NULL`;
  const item = firstOf(
    await tx<(Selected<typeof numbered> & Selected<typeof ended>)[]>`
    WITH before AS (
      SELECT item_id, error_type, error_code FROM items
      WHERE item_id = ${itemId} AND error_since IS NOT NULL AND removed_at IS NULL FOR NO KEY UPDATE
    )
    UPDATE items i SET error_type = NULL, error_code = NULL, error_since = NULL, error_by_call = false,
      revoked_at = CASE WHEN ${revocationWaits(tx, itemId, answered)} THEN i.revoked_at END,
      disconnects_at = CASE WHEN ${heardSince(tx, itemId, codeThatDisconnects, seen.at)} THEN i.disconnects_at END,
      next_due_at = clock_timestamp(), ${numbersAreDue(tx)}
    FROM before WHERE i.item_id = before.item_id
    RETURNING ${numbered.list(tx, 'i')}, ${ended.list(tx, 'before')}`,
  );
  if (item === undefined) return;
  await recordEvent(tx, itemId, item.episode, 'repaired', item);
  await writeEvents(tx, [repairedEvent({ item_id: itemId, user_id: item.user_id })]);
}
