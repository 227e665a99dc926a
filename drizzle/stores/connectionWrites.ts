import { randomUUID } from 'node:crypto';
import { deniedOf } from '../../domain/exchange/carriedAccounts.js';
import { wholeGrant } from '../../domain/exchange/connection.js';
import { followAccounts } from '../../domain/exchange/grantedAccounts.js';
import type { AccountsNow } from '../../domain/exchange/grantedAccounts.js';
import type { ConnectionAction, Grant } from '../../domain/exchange/connection.js';
import { readyForEvents } from '../../domain/exchange/itemEvents.js';
import type { EventData, EventType, NewEvent } from '../../domain/exchange/event.js';
import type { Actor } from '../../domain/ports/connections.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { firstOf } from '../rows.js';
import type { Fragment, Tx } from '../rows.js';
import { accounts, applications, connections, items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Present, Selected } from '../selection.js';
import { isLive } from './connectionStatus.js';
import { cancelDeliveries } from './heldDeliveries.js';
import { knownAccounts } from './knownAccounts.js';
import { writeEvents } from './writeEvents.js';

export type { Actor };

const byItem: Actor = {
  initiator: 'item',
  applicationId: null,
  keyId: null,
  reason: 'its accounts have come',
};
const byTheClock: Actor = { initiator: 'clock', applicationId: null, keyId: null, reason: null };

const changed = selection(connections, ['connection_id', 'application_id', 'item_id', 'user_id']);
type Changed = Selected<typeof changed>;

const openAccount = selection(accounts, ['account_id', 'raw']);
const past = selection(connections, ['item_id', 'awaited'], {
  granted: 'granted_accounts',
  awaits: 'awaits_accounts',
});
const following = selection(
  connections,
  ['connection_id', 'application_id', 'item_id', 'user_id', 'account_ids', 'new_accounts', 'awaited'],
  { granted: 'granted_accounts', awaits: 'awaits_accounts' },
);
const readable = selection(items, ['history', 'last_update_outcome'], {
  withoutTransactions: isSet('transactions_unavailable_since'),
});
const linker = selection(applications, ['application_id']);
const ending = selection(connections, [], { days: 'expiry_told_days', at: 'expires_at' });

/** What a connection `c` grants, as its history keeps it. */
const grantOf = (tx: Tx): Fragment => tx`jsonb_build_object('scopes', c.scopes, 'account_ids', c.account_ids,
  'new_accounts', c.new_accounts, 'lookback_days', c.lookback_days, 'expires_at', c.expires_at, 'purpose', c.purpose,
  'evidence', c.evidence)`;

/** The least of the days before an end at `at` (30, 7, 1) that have begun; null = none of them has, or there is no end. */
const daysBefore = (tx: Tx, at: Fragment): Fragment => tx`CASE
  WHEN ${at} <= clock_timestamp() + interval '1 day' THEN 1
  WHEN ${at} <= clock_timestamp() + interval '7 days' THEN 7
  WHEN ${at} <= clock_timestamp() + interval '30 days' THEN 30 END`;

/**
 * Every function here is called in a transaction that holds the Item's row (`FOR NO KEY UPDATE`): what an application is told
 * and what it may read change in one order.
 */

/** What the application of a connection is told, with what is said besides whose it is. */
const connectionEvent = (
  type: EventType,
  { connection_id, application_id, item_id, user_id }: Changed,
  said: EventData,
): NewEvent => ({
  type,
  itemId: item_id,
  userId: user_id,
  connectionId: connection_id,
  applicationId: application_id,
  data: { connection_id, application_id, item_id, user_id, ...said },
});

/** Writes down what was done to connections, and tells their applications. */
async function record(
  tx: Tx,
  rows: readonly Changed[],
  action: ConnectionAction,
  type: EventType,
  actor: Actor,
): Promise<void> {
  if (rows.length === 0) return;
  await tx`
    INSERT INTO connection_history (connection_id, position, action, initiator, application_id, key_id, reason, "grant")
    SELECT c.connection_id, 1 + coalesce((SELECT max(h.position) FROM connection_history h
        WHERE h.connection_id = c.connection_id), 0), ${action}, ${actor.initiator}, ${actor.applicationId}, ${actor.keyId},
      ${actor.reason}, ${grantOf(tx)}
    FROM connections c WHERE c.connection_id = ANY(${rows.map((row) => row.connection_id)}::text[])`;
  await writeEvents(
    tx,
    rows.map((row) => connectionEvent(type, row, { initiator: actor.initiator })),
  );
}

/** Writes down, and tells, which connections of the Item have ended by time: before anything else is done to them. */
async function noteExpired(tx: Tx, itemId: string): Promise<void> {
  const rows = await tx<Changed[]>`
    UPDATE connections c SET expired_noted_at = clock_timestamp()
    WHERE c.item_id = ${itemId} AND c.expires_at <= clock_timestamp() AND c.revoked_at IS NULL AND c.expired_noted_at IS NULL
    RETURNING ${changed.list(tx, 'c')}`;
  await record(tx, rows, 'expired', 'connection.expired', byTheClock);
}

/** What an Item's row says of what can be read of it. */
const readableItem = async (tx: Tx, itemId: string): Promise<Selected<typeof readable> | undefined> =>
  firstOf(
    await tx<Selected<typeof readable>[]>`SELECT ${readable.list(tx)} FROM items WHERE item_id = ${itemId}`,
  );

/** The accounts that a grant means now, and whether it waits for others of the Item's first ones. Null = every one, later ones too. */
async function accountsOf(
  tx: Tx,
  itemId: string,
  { account_ids, new_accounts }: Pick<Grant, 'account_ids' | 'new_accounts'>,
): Promise<{ granted: string[] | null; awaits: boolean }> {
  if (account_ids !== null) return { granted: [...new Set(account_ids)], awaits: false };
  if (new_accounts) return { granted: null, awaits: false };
  const rows = await tx<Selected<typeof openAccount>[]>`
    SELECT ${openAccount.list(tx)} FROM accounts WHERE item_id = ${itemId} ORDER BY account_id`;
  const item = await readableItem(tx, itemId);
  const awaits = rows.length === 0 || item?.last_update_outcome?.unlisted === true;
  return { granted: rows.map((row) => row.account_id), awaits };
}

const moment = (tx: Tx, time: string | null): Fragment => tx`${time}::text::timestamptz`;

/** An Item with a connection is mined: what its missing had stopped is due now. */
async function noteConnected(tx: Tx, itemId: string): Promise<void> {
  await tx`
    UPDATE items SET unconnected_since = NULL, next_due_at = clock_timestamp()
    WHERE item_id = ${itemId} AND unconnected_since IS NOT NULL`;
}

const fallback = 'default';

/**
 * An Item that was linked before there were connections: who linked it sees everything, and is connected before anybody else is. Else
 * the Item would end with the connection of another one.
 */
async function connectLinker(
  tx: Tx,
  to: { itemId: string; userId: string; applicationId: string },
): Promise<void> {
  const found = firstOf(
    await tx<Selected<typeof linker>[]>`
    SELECT ${linker.list(tx, 'a')} FROM items i LEFT JOIN links l ON l.token_hash = i.token_hash
      JOIN applications a ON a.application_id = coalesce(l.application_id, ${fallback}) AND a.access = 'all'
    WHERE i.item_id = ${to.itemId} AND i.admitted_at IS NOT NULL AND l.connection IS NULL
      AND NOT EXISTS (SELECT FROM connections c WHERE c.item_id = i.item_id)`,
  );
  if (found === undefined || found.application_id === to.applicationId) return;
  const reason = 'linked before there were connections';
  const actor: Actor = { initiator: 'operator', applicationId: null, keyId: null, reason };
  await insertConnection(tx, { ...to, applicationId: found.application_id }, wholeGrant, actor);
}

/**
 * Connects an application with an Item. The pair must have no connection that is not revoked. `effectId` (a UUID) names the
 * connection.
 */
export async function grantConnection(
  tx: Tx,
  to: { itemId: string; userId: string; applicationId: string },
  grant: Grant,
  actor: Actor,
  effectId: string = randomUUID(),
): Promise<string> {
  await connectLinker(tx, to);
  const connectionId = await insertConnection(tx, to, grant, actor, effectId);
  const { itemId: item_id, userId: user_id, applicationId } = to;
  const item = await readableItem(tx, item_id);
  if (item !== undefined) await writeEvents(tx, readyForEvents({ item_id, user_id }, item, applicationId));
  return connectionId;
}

async function insertConnection(
  tx: Tx,
  to: { itemId: string; userId: string; applicationId: string },
  grant: Grant,
  actor: Actor,
  effectId: string = randomUUID(),
): Promise<string> {
  const connectionId = `con_${effectId}`;
  const { granted, awaits } = await accountsOf(tx, to.itemId, grant);
  await tx`
    INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, account_ids, new_accounts,
      granted_accounts, awaits_accounts, lookback_days, expires_at, expiry_told_days, purpose, evidence)
    VALUES (${connectionId}, ${to.applicationId}, ${to.itemId}, ${to.userId}, ${grant.scopes}::text[],
      ${grant.account_ids}::text[], ${grant.new_accounts}, ${granted}::text[], ${awaits}, ${grant.lookback_days},
      -- What is near from the beginning is no news.
      ${moment(tx, grant.expires_at)}, ${daysBefore(tx, moment(tx, grant.expires_at))}, ${grant.purpose},
      ${grant.evidence === null ? null : JSON.stringify(grant.evidence)}::text::jsonb)`;
  await noteConnected(tx, to.itemId);
  const row = {
    connection_id: connectionId,
    application_id: to.applicationId,
    item_id: to.itemId,
    user_id: to.userId,
  };
  await record(tx, [row], 'created', 'connection.created', actor);
  return connectionId;
}

/**
 * Gives a connection that is not revoked another grant, whole. `renewed`: its end by time has moved as well, and is told of anew.
 * `takesAway`: its list of accounts is chosen anew, the same as before or not. Resolves to false when there is none.
 */
export async function changeConnection(
  tx: Tx,
  connectionId: string,
  itemId: string,
  grant: Grant,
  { renewed, takesAway = false }: { renewed: boolean; takesAway?: boolean },
  actor: Actor,
): Promise<boolean> {
  await noteExpired(tx, itemId);
  const { granted, awaits } = await accountsOf(tx, itemId, grant);
  const sameList = tx`NOT ${takesAway}::boolean AND c.account_ids IS NOT DISTINCT FROM ${grant.account_ids}::text[]`;
  const same = tx`${sameList} AND c.new_accounts = ${grant.new_accounts}`;
  const row = firstOf(
    await tx<Changed[]>`
    UPDATE connections c SET scopes = ${grant.scopes}::text[], account_ids = ${grant.account_ids}::text[],
      new_accounts = ${grant.new_accounts},
      -- The same choice as before stays what it has become: accounts that came since are in it, or are not.
      granted_accounts = CASE WHEN ${same} THEN c.granted_accounts ELSE ${granted}::text[] END,
      awaits_accounts = CASE WHEN ${same} THEN c.awaits_accounts ELSE ${awaits} OR (${sameList} AND c.awaited IS NOT NULL) END,
      -- Whether later ones are granted says nothing of those.
      awaited = CASE WHEN ${sameList} THEN c.awaited END,
      lookback_days = ${grant.lookback_days}, expires_at = ${moment(tx, grant.expires_at)}, purpose = ${grant.purpose},
      evidence = ${grant.evidence === null ? null : JSON.stringify(grant.evidence)}::text::jsonb,
      expired_noted_at = CASE WHEN ${renewed} THEN NULL ELSE c.expired_noted_at END,
      expiry_told_days = CASE WHEN ${renewed} THEN ${daysBefore(tx, moment(tx, grant.expires_at))} ELSE c.expiry_told_days END
    WHERE c.connection_id = ${connectionId} AND c.item_id = ${itemId} AND c.revoked_at IS NULL
    RETURNING ${changed.list(tx, 'c')}`,
  );
  if (row === undefined) return false;
  await (renewed ? noteConnected(tx, itemId) : noteUnconnected(tx, itemId));
  await record(
    tx,
    [row],
    renewed ? 'renewed' : 'updated',
    renewed ? 'connection.renewed' : 'connection.updated',
    actor,
  );
  return true;
}

/** Notes since when nobody is connected with the Item, when that is so. Resolves to whether it has just become so. */
async function noteUnconnected(tx: Tx, itemId: string): Promise<boolean> {
  const noted = await tx`
    UPDATE items i SET unconnected_since = clock_timestamp()
    WHERE i.item_id = ${itemId} AND i.unconnected_since IS NULL AND i.removed_at IS NULL
      AND EXISTS (SELECT FROM connections c WHERE c.item_id = i.item_id)
      AND NOT EXISTS (SELECT FROM connections c WHERE c.item_id = i.item_id AND ${isLive(tx)})
    RETURNING 1`;
  return noted.length > 0;
}

async function endConnections(
  tx: Tx,
  itemId: string,
  connectionId: string | null,
  actor: Actor,
): Promise<Changed[]> {
  await noteExpired(tx, itemId);
  const rows = await tx<Changed[]>`
    UPDATE connections c SET revoked_at = clock_timestamp(), revoked_reason = ${actor.reason},
      revoked_initiator = ${actor.initiator}
    WHERE c.item_id = ${itemId} AND c.revoked_at IS NULL
      ${connectionId === null ? tx`` : tx`AND c.connection_id = ${connectionId}`}
    RETURNING ${changed.list(tx, 'c')}`;
  await record(tx, rows, 'revoked', 'connection.revoked', actor);
  await noteUnconnected(tx, itemId);
  return rows;
}

/**
 * Revokes connections of the Item that are not: all of them, or the one named. Deliveries about it that wait are cancelled.
 * Resolves to the ids of those that ended now. Called once in a transaction.
 */
export async function revokeConnections(
  tx: Tx,
  itemId: string,
  connectionId: string | null,
  actor: Actor,
): Promise<string[]> {
  const ended = await endConnections(tx, itemId, connectionId, actor);
  await cancelDeliveries(tx, ended);
  return ended.map((row) => row.connection_id);
}

/** The same, for all connections of several Items. */
export async function revokeEveryConnection(
  tx: Tx,
  itemIds: readonly string[],
  actor: Actor,
): Promise<string[]> {
  const ended: Changed[] = [];
  for (const itemId of itemIds) ended.push(...(await endConnections(tx, itemId, null, actor)));
  await cancelDeliveries(tx, ended);
  return ended.map((row) => row.connection_id);
}

/** Notes which connections of the Item have ended by time. Resolves to whether nobody is connected any more since then. */
export async function expireConnections(tx: Tx, itemId: string): Promise<boolean> {
  await noteExpired(tx, itemId);
  return noteUnconnected(tx, itemId);
}

/** Tells of connections of the Item that end by time in 30, 7 or 1 days, each once. */
export async function reportExpiring(tx: Tx, itemId: string): Promise<void> {
  const days = daysBefore(tx, tx`c.expires_at`);
  const rows = await tx<(Changed & Present<Selected<typeof ending>>)[]>`
    UPDATE connections c SET expiry_told_days = ${days}
    WHERE c.item_id = ${itemId} AND c.revoked_at IS NULL AND c.expires_at > clock_timestamp()
      AND ${days} < coalesce(c.expiry_told_days, 31)
    RETURNING ${changed.list(tx, 'c')}, ${ending.list(tx, 'c')}`;
  await writeEvents(
    tx,
    rows.map((row) =>
      connectionEvent('connection.expiring', row, { expires_at: row.at.toISOString(), days: row.days }),
    ),
  );
}

/** Notes that a connection which goes on with the Item was suspended, also where its time is over: a renewal alone does not bring it back. */
export async function suspendCarried(tx: Tx, connectionId: string, actor: Actor): Promise<void> {
  const rows = await tx<Changed[]>`
    UPDATE connections c SET suspended_at = clock_timestamp() WHERE c.connection_id = ${connectionId}
    RETURNING ${changed.list(tx, 'c')}`;
  await record(tx, rows, 'suspended', 'connection.suspended', actor);
}

/** Suspends the Item's live connections (`bank`), or resumes those that are suspended: of one application, or of all (null). Resolves to whether there were any. */
export async function suspendConnections(
  tx: Tx,
  itemId: string,
  suspended: boolean,
  applicationId: string | null,
  actor: Actor,
): Promise<boolean> {
  const rows = await tx<Changed[]>`
    UPDATE connections c SET suspended_at = CASE WHEN ${suspended} THEN clock_timestamp() END
    WHERE c.item_id = ${itemId} AND ${isLive(tx)} AND (c.suspended_at IS NULL) = ${suspended}
      ${applicationId === null ? tx`` : tx`AND c.application_id = ${applicationId}`}
    RETURNING ${changed.list(tx, 'c')}`;
  const [action, type] = suspended
    ? (['suspended', 'connection.suspended'] as const)
    : (['resumed', 'connection.resumed'] as const);
  await record(tx, rows, action, type, actor);
  return rows.length > 0;
}

/** Notes which accounts a connection is granted besides, once their Item says their ids. */
export async function awaitAccounts(
  tx: Tx,
  connectionId: string,
  identities: readonly AccountIdentity[],
): Promise<void> {
  if (identities.length === 0) return;
  await tx`
    UPDATE connections SET awaits_accounts = true, awaited = ${JSON.stringify(identities)}::text::jsonb
    WHERE connection_id = ${connectionId}`;
}

/**
 * Accounts that connections which grant later ones had not been granted in the Items that this one has taken the place of, where they had
 * been handed on: connection → accounts.
 */
async function deniedBefore(tx: Tx, itemId: string): Promise<Map<string, AccountIdentity[]>> {
  const rows = await tx<(Selected<typeof past> & { root: string })[]>`
    WITH RECURSIVE line(root, connection_id) AS (
      SELECT c.connection_id, c.connection_id FROM connections c
      WHERE c.item_id = ${itemId} AND c.new_accounts AND c.granted_accounts IS NOT NULL AND c.revoked_at IS NULL
      UNION
      SELECT l.root, c.connection_id FROM line l
        JOIN connection_history h ON h.connection_id = l.connection_id AND h.position = 1 AND h.initiator = 'item'
        JOIN connections n ON n.connection_id = l.connection_id
        JOIN items o ON o.user_id = n.user_id AND o.replaced_by = n.item_id
        JOIN connections c ON c.item_id = o.item_id AND c.application_id = n.application_id
          AND coalesce(c.revoked_initiator = 'item', true)
    )
    SELECT l.root, ${past.list(tx, 'c')} FROM line l JOIN connections c ON c.connection_id = l.connection_id
    WHERE c.item_id <> ${itemId} AND c.granted_accounts IS NOT NULL`;
  const found = new Map<string, AccountIdentity[]>();
  for (const { root, item_id, ...connection } of rows) {
    const deniedThere = deniedOf(await knownAccounts(tx, item_id), connection);
    found.set(root, [...(found.get(root) ?? []), ...deniedThere]);
  }
  return found;
}

/**
 * Lets connections of the Item follow its accounts, and tells those of them whose grant says more since. Resolves to the accounts that an
 * application may read now which it could not before.
 */
export async function extendConnections(
  tx: Tx,
  itemId: string,
  now: Omit<AccountsNow, 'known'>,
): Promise<string[]> {
  const rows = await tx<(Selected<typeof following> & { granted: string[] })[]>`
    SELECT ${following.list(tx)} FROM connections
    WHERE item_id = ${itemId} AND granted_accounts IS NOT NULL AND revoked_at IS NULL ORDER BY connection_id`;
  if (rows.length === 0) return [];
  const stored = await tx<Selected<typeof openAccount>[]>`
    SELECT ${openAccount.list(tx)} FROM accounts WHERE item_id = ${itemId} ORDER BY account_id`;
  const known = stored.map(({ account_id, raw }) => ({ id: account_id, identity: identityOf(raw) }));
  const deniedTo = now.come.length > 0 && !now.first ? await deniedBefore(tx, itemId) : null;
  const added = new Set<string>();
  const widened: Changed[] = [];
  for (const row of rows) {
    const before = { ...row, denied: deniedTo?.get(row.connection_id) ?? [] };
    const next = followAccounts(before, { ...now, known });
    if (next === null) continue;
    next.added.forEach((id) => added.add(id));
    if (next.isNews) widened.push(row);
    await tx`
      UPDATE connections SET account_ids = ${next.account_ids}::text[], granted_accounts = ${next.granted}::text[],
        awaits_accounts = ${next.awaits}, awaited = ${next.awaited === null ? null : JSON.stringify(next.awaited)}::text::jsonb
      WHERE connection_id = ${row.connection_id}`;
  }
  if (widened.length > 0) await expireConnections(tx, itemId);
  await record(tx, widened, 'updated', 'connection.updated', byItem);
  return [...added];
}
