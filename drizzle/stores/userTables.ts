import { getTableName } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import type { Fragment, Sql, Tx } from '../rows.js';
import * as schema from '../schema.js';
import { jsonSpellings } from './jsonSpellings.js';

/** By what a user's rows are known. Read before they are deleted: most tables know the user by an Item alone. */
export interface UserNames {
  userId: string;
  itemIds: string[];
  connectionIds: string[];
  /** Of the user's public tokens. */
  tokenHashes: string[];
  /** What stands for the user and the Items in paths that are too long to be kept. */
  hashedNames: string[];
  /** Paths of requests that name one of these in another spelling than our own. */
  paths: string[];
}

/** A table with rows of users, and which of its rows `t` are this user's. */
export interface UserTable {
  name: string;
  /** The key in whose order several rows are locked, where others lock several at once too; null = nobody does. */
  lockedBy: string | null;
  where: (sql: Sql | Tx, names: UserNames) => Fragment;
  /** Locks what its rows hang on, which comes behind it; absent = nothing. */
  lockFirst?: (tx: Tx, names: UserNames) => Promise<unknown>;
}

const of = (table: PgTable, where: UserTable['where'], lockedBy: string | null = null): UserTable => ({
  name: getTableName(table),
  where,
  lockedBy,
});

const ofItems = (table: PgTable): UserTable =>
  of(table, (sql, { itemIds }) => sql`t.item_id = ANY(${itemIds}::text[])`);
const ofUser = (table: PgTable): UserTable => of(table, (sql, { userId }) => sql`t.user_id = ${userId}`);
const ofBoth = (sql: Sql | Tx, { userId, itemIds }: UserNames): Fragment =>
  sql`(t.user_id = ${userId} OR t.item_id = ANY(${itemIds}::text[]))`;

/** The events whose deliveries and attempts go with them. */
const theirEvents = (sql: Sql | Tx, { userId, itemIds }: UserNames): Fragment => sql`
  SELECT e.event_id FROM events e WHERE e.user_id = ${userId}
  UNION SELECT e.event_id FROM events e WHERE e.item_id = ANY(${itemIds}::text[])`;

/** Whoever makes deliveries of them has locked the events first: in another order the two could wait for each other. */
const lockEvents = async (tx: Tx, names: UserNames): Promise<unknown> =>
  tx`SELECT FROM events WHERE event_id IN (${theirEvents(tx, names)}) ORDER BY event_id FOR UPDATE`;

/**
 * A record that is no user event stands as it was received: the id as a text of JSON in it is all that can be looked for. Only where what nobody
 * escapes stands the rest is compared, which takes ten times as long.
 */
const quotedIn = (sql: Sql | Tx, userId: string): Fragment => {
  const [longest = ''] = (userId.match(/[a-z0-9]+/gi) ?? []).sort((one, other) => other.length - one.length);
  return sql`(position(${Buffer.from(longest)}::bytea IN t.data) > 0 AND encode(t.data, 'escape') ~ ${jsonSpellings(userId)})`;
};

/**
 * Tables with rows of users, children before their parents. Items and users themselves stand last: they go at the end, in one
 * transaction. What is here is erased and exported; a new table belongs here or in `tablesWithoutUsers` (a test asks for it).
 */
export const userTables: readonly UserTable[] = [
  ofItems(schema.transactions),
  ofItems(schema.outbox),
  ofItems(schema.outboxMarks),
  ofItems(schema.stagedPages),
  ofItems(schema.parkedRows),
  ofItems(schema.balanceSnapshots),
  ofItems(schema.accountNumbers),
  ofItems(schema.numberReads),
  ofItems(schema.accountIdentities),
  ofItems(schema.accounts),
  // An answer holds what was read at its path. Before the webhooks and deliveries that a path may name.
  of(schema.idempotencyKeys, (sql, names) => {
    const { userId, itemIds, connectionIds, hashedNames, paths } = names;
    return sql`
    (split_part(t.path, '/', 4) = ANY(${[userId, encodeURIComponent(userId), ...itemIds, ...connectionIds, ...hashedNames]}::text[])
      OR t.path = ANY(${paths}::text[])
      OR t.path LIKE '/v1/webhooks/%' AND EXISTS (SELECT FROM webhooks w
        WHERE w.webhook_id::text = split_part(t.path, '/', 4) AND w.item_id = ANY(${itemIds}::text[]))
      OR t.path LIKE '/v1/deliveries/%' AND EXISTS (SELECT FROM deliveries d
        WHERE d.delivery_id = split_part(t.path, '/', 4) AND d.event_id IN (${theirEvents(sql, names)})))`;
  }),
  ofItems(schema.webhooks),
  of(schema.segmentEvents, ofBoth),
  {
    ...of(
      schema.deliveryAttempts,
      (sql, names) => sql`t.delivery_id IN (
    SELECT d.delivery_id FROM deliveries d WHERE d.event_id IN (${theirEvents(sql, names)}))`,
    ),
    lockFirst: lockEvents,
  },
  of(schema.deliveries, (sql, names) => sql`t.event_id IN (${theirEvents(sql, names)})`, 'delivery_id'),
  of(schema.events, ofBoth),
  of(
    schema.connectionHistory,
    (sql, { connectionIds }) => sql`t.connection_id = ANY(${connectionIds}::text[])`,
  ),
  ofUser(schema.connections),
  ofUser(schema.portalSessions),
  // That an Item may live at Plaid which nobody can reach stays known; whose it was does not (`forgetInAlerts`).
  of(
    schema.alerts,
    (sql, { userId, itemIds, tokenHashes }) => sql`t.kind <> 'link_outcome_unknown' AND (
    t.item_id = ANY(${itemIds}::text[]) OR t.key = ANY(${tokenHashes}::text[]) OR t.detail->>'user_id' = ${userId})`,
  ),
  of(
    schema.sweepTold,
    (sql, { itemIds, tokenHashes }) => sql`t.subject = ANY(${[...itemIds, ...tokenHashes]}::text[])`,
  ),
  of(schema.parkedEvents, (sql, { userId }) => quotedIn(sql, userId)),
  ofUser(schema.floats),
  ofUser(schema.applicationFloats),
  ofUser(schema.links),
];

/** The last to go. */
export const lastUserTables: readonly UserTable[] = [ofUser(schema.items), ofUser(schema.users)];

/** Tables that hold nothing of a user. */
export const tablesWithoutUsers: readonly PgTable[] = [
  schema.institutions,
  schema.institutionAliases,
  schema.bankPauses,
  schema.webhookKeys,
  schema.webhookSenders,
  schema.applications,
  schema.apiKeys,
  schema.endpoints,
  schema.userEventShards,
  // Of an erasure that has ended; of one that goes on, the last to forget whom.
  schema.erasures,
  schema.erasedItems,
  schema.restores,
  schema.auditEntries,
];
