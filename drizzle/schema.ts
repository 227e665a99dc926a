import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  date,
  foreignKey,
  index,
  integer,
  json,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import type {
  ConnectionAction,
  ConnectionScope,
  ConsentEvidence,
  Grant,
  Initiator,
} from '../domain/exchange/connection.js';
import type { DeliveryState, EndpointState, SignatureKind } from '../domain/exchange/endpoint.js';
import type { EventData, EventType } from '../domain/exchange/event.js';
import type { AccountIdentity } from '../domain/mining/accounts.js';
import type { Form, RecordKind } from '../domain/mining/events.js';
import type { AccountStatus } from '../domain/mining/refine.js';
import type { History, UpdateOutcome } from '../domain/mining/run.js';
import type { PlaidAccount } from '../domain/plaid.js';
import type { AlertKind } from '../domain/ports/alerts.js';
import type { Access, Scope } from '../domain/ports/applications.js';
import type { FloatStatus } from '../domain/ports/floats.js';
import type { InstitutionView } from '../domain/ports/institutions.js';
import type { Seen } from '../domain/ports/items.js';
import type { LinkOutcome, LinkRow, LinkState } from '../domain/ports/links.js';
import type { SegmentEvent } from '../domain/ports/segment.js';
import type { WebhookKey } from '../domain/ports/webhookKeys.js';
import type { StoredWebhook, WebhookOutcomeState, WebhookSource } from '../domain/ports/webhooks.js';
import type { VerificationEnd } from '../domain/webhooks/itemFacts.js';
import type { WebhookKind } from '../domain/webhooks/webhookKind.js';
import { bytea, id, moment, xid8 } from './columns.js';

/**
 * Every table. Migrations are generated from here: `npx drizzle-kit generate`. The types are those of what the driver gives;
 * the stores take the types of their rows from here.
 */

const now = sql`clock_timestamp()`;

/** People of our clients, by the client's own id. */
export const users = pgTable('users', {
  userId: id('user_id').primaryKey(),
  createdAt: moment('created_at').notNull().default(now),
  /** Null until the first Item was linked. */
  activatedAt: moment('activated_at'),
});

/** One public token each: from its receipt to the outcome that answers every repeat. */
export const links = pgTable(
  'links',
  {
    tokenHash: id('token_hash').primaryKey(),
    userId: id('user_id')
      .notNull()
      .references(() => users.userId),
    applicationId: id('application_id').notNull(),
    state: text('state').$type<LinkState>().notNull().default('received'),
    publicTokenKeyId: id('public_token_key_id'),
    publicTokenDataKey: bytea('public_token_data_key'),
    publicTokenCiphertext: bytea('public_token_ciphertext'),
    institutionId: id('institution_id'),
    accounts: jsonb('accounts').$type<LinkRow['accounts']>().notNull(),
    mainAccountId: id('main_account_id'),
    /** The client knows that an account is shared by two logins: nothing is a duplicate, and nothing is replaced. */
    allowDuplicate: boolean('allow_duplicate').notNull().default(false),
    /** What the application is to be granted; null = a link of an older release. */
    connection: jsonb('connection').$type<Grant>(),
    itemId: id('item_id'),
    /** Accounts of replaced Items that the new one does not have; null until it was admitted. */
    droppedAccounts: text('dropped_accounts').array(),
    outcome: jsonb('outcome').$type<LinkOutcome>(),
    createdAt: moment('created_at').notNull().default(now),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    check('links_state', sql`${table.state} IN ('received', 'exchanging', 'exchanged', 'finished')`),
    index('links_unfinished')
      .on(table.updatedAt)
      .where(sql`${table.state} <> 'finished'`),
    index('links_by_user').on(table.userId, table.createdAt).concurrently(),
  ],
);

/** Items: what is known of them, what is intended with them, and how far they are mined. */
export const items = pgTable(
  'items',
  {
    itemId: id('item_id').primaryKey(),
    userId: id('user_id')
      .notNull()
      .references(() => users.userId),
    tokenHash: id('token_hash').notNull(),
    accessTokenKeyId: id('access_token_key_id'),
    accessTokenDataKey: bytea('access_token_data_key'),
    accessTokenCiphertext: bytea('access_token_ciphertext'),
    institutionId: id('institution_id'),
    institutionName: text('institution_name'),
    mainAccountId: id('main_account_id'),
    createdAt: moment('created_at').notNull().default(now),
    /** Null until the duplicate guard let it pass: invisible till then. */
    admittedAt: moment('admitted_at'),
    removalRequestedAt: moment('removal_requested_at'),
    removedAt: moment('removed_at'),
    /** The Item whose linking asked for this one's removal. */
    replacedBy: id('replaced_by'),
    errorType: text('error_type'),
    errorCode: text('error_code'),
    errorSince: moment('error_since'),
    /** The error is the word of a product call, not of `/item/get`: only a product call that works ends its episode. */
    errorByCall: boolean('error_by_call').notNull().default(false),
    /** Counts episodes of user-action errors. */
    errorEpisode: integer('error_episode').notNull().default(0),
    /** Counts what was learned of the Item's health: an answer to a question asked before the newest one is refused. */
    healthAnswers: integer('health_answers').notNull().default(0),
    /** Counts what happened to the account numbers: each reading, and whatever makes one due or forbids one. */
    numbersFacts: integer('numbers_facts').notNull().default(0),
    history: text('history').$type<History>().notNull().default('none'),
    /** Plaid's cursor after the last applied update; '' = none yet. */
    cursor: text('cursor').notNull().default(''),
    /** Plaid says that the Item has no transactions: since then its updates have been of the accounts alone. */
    transactionsUnavailableSince: moment('transactions_unavailable_since'),
    lastUpdateId: text('last_update_id'),
    lastUpdateOutcome: jsonb('last_update_outcome').$type<UpdateOutcome>(),
    lastUpdateAt: moment('last_update_at'),
    /** Set while an update of several pages is on its way. */
    updateStartedAt: moment('update_started_at'),
    nextDueAt: moment('next_due_at'),
    /** From when on the account numbers are to be read (again); in the future while Plaid has them not ready. */
    numbersDueAt: moment('numbers_due_at'),
    /** When the newest question for account numbers was asked that Plaid has answered or refused; null = none is known. */
    numbersAskedAt: moment('numbers_asked_at'),
    /** Plaid's code for why it has no numbers to give, at the last question for them; null = it has some, or has them not ready. */
    numbersRefusedCode: text('numbers_refused_code'),
    /** Since when its answers name no open account at all: one such answer alone takes no numbers away. */
    numbersLackingSince: moment('numbers_lacking_since'),
    /** When the user's consent ends, by `/item/get` and PENDING_EXPIRATION. */
    consentExpiresAt: moment('consent_expires_at'),
    /** When the bank ends the connection (PENDING_DISCONNECT, of which `/item/get` knows nothing), unless the user acts. */
    disconnectsAt: moment('disconnects_at'),
    newAccountsAvailable: boolean('new_accounts_available').notNull().default(false),
    /** When the Item was linked or its main account changed last: the item-change cool-down counts from here. */
    mainAccountChangedAt: moment('main_account_changed_at'),
    /** USER_PERMISSION_REVOKED came: nothing is mined until the user goes through update mode. */
    revokedAt: moment('revoked_at'),
    /** Plaid's `last_successful_update` that our last update is known to cover; compared with Plaid's times only. */
    plaidUpdatedAt: moment('plaid_updated_at'),
    /** A remine was asked for and has not ended. */
    remineRequestedAt: moment('remine_requested_at'),
    /** Counts remines: part of the workflow id of each. */
    remines: integer('remines').notNull().default(0),
    /** Since when a Segment event waits to be sent; null = none does. */
    segmentDueAt: moment('segment_due_at'),
    /** Sequence of the newest outbox row, and of the newest of each kind of record. */
    lastSequence: bigint('last_sequence', { mode: 'number' }).notNull().default(0),
    lastTransactionSequence: bigint('last_transaction_sequence', { mode: 'number' }).notNull().default(0),
    lastAccountSequence: bigint('last_account_sequence', { mode: 'number' }).notNull().default(0),
    /** Since when the streams lack something of what the outbox holds; null = nothing. */
    unsentSince: moment('unsent_since'),
    /** Since when no application is connected any more: nothing is mined, and the Item is removed after a time. */
    unconnectedSince: moment('unconnected_since'),
  },
  (table) => [
    check('items_history', sql`${table.history} IN ('none', 'initial', 'complete')`),
    index('items_by_user').on(table.userId, table.createdAt, table.itemId),
    index('items_by_due')
      .on(table.nextDueAt)
      .where(sql`${table.removedAt} IS NULL`),
    index('items_by_removal')
      .on(table.removalRequestedAt)
      .where(sql`${table.removedAt} IS NULL`),
    index('items_by_numbers')
      .on(table.numbersDueAt)
      .where(sql`${table.numbersDueAt} IS NOT NULL`),
    index('items_by_unsent')
      .on(table.unsentSince)
      .where(sql`${table.unsentSince} IS NOT NULL`),
    index('items_by_segment')
      .on(table.segmentDueAt)
      .where(sql`${table.segmentDueAt} IS NOT NULL`),
    index('items_by_remine')
      .on(table.remineRequestedAt)
      .where(sql`${table.remineRequestedAt} IS NOT NULL`),
    index('items_by_institution').on(table.institutionId),
    index('items_unconnected')
      .on(table.unconnectedSince)
      .where(sql`${table.unconnectedSince} IS NOT NULL AND ${table.removedAt} IS NULL`),
  ],
);

/** Ids under which Plaid gave an institution that now has another one: both are one institution to the duplicate guard. */
export const institutionAliases = pgTable(
  'institution_aliases',
  {
    aliasId: id('alias_id').notNull(),
    institutionId: id('institution_id').notNull(),
    noticedAt: moment('noticed_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.aliasId, table.institutionId] })],
);

/** How an Item's accounts look to the duplicate guard, from the moment of linking. */
export const accountIdentities = pgTable(
  'account_identities',
  {
    itemId: id('item_id')
      .notNull()
      .references(() => items.itemId),
    position: integer('position').notNull(),
    persistentAccountId: id('persistent_account_id'),
    mask: text('mask'),
    name: text('name'),
    type: text('type'),
    subtype: text('subtype'),
  },
  (table) => [primaryKey({ columns: [table.itemId, table.position] })],
);

export const accounts = pgTable(
  'accounts',
  {
    itemId: id('item_id').notNull(),
    accountId: id('account_id').notNull(),
    status: text('status').$type<AccountStatus>().notNull(),
    isMain: boolean('is_main').notNull(),
    /** Plaid's object as received. */
    raw: jsonb('raw').$type<PlaidAccount>().notNull(),
    /** The refined account; `version` and `balances.as_of` are shown from their columns. */
    refined: jsonb('refined').notNull(),
    /** When Plaid listed it last: a newer fetch of the same content is no change. */
    asOf: moment('as_of').notNull(),
    /** Since when Plaid lists it, breaks aside in which nobody stood in its place; null = it was listed before that was kept. */
    listedSince: moment('listed_since'),
    version: integer('version').notNull(),
    sanitized: boolean('sanitized').notNull().default(false),
    /** When USER_ACCOUNT_REVOKED that names it came, unless Plaid has listed it since: its numbers are withheld. */
    revokedAt: moment('revoked_at'),
    /** How a webhook said that its verification has ended, and when that came; null = what Plaid's object says is newer. */
    verification: text('verification').$type<VerificationEnd>(),
    verificationAt: moment('verification_at'),
    /** The closed account of the Item whose place it took, and the one that took its place. */
    replaces: id('replaces'),
    replacedBy: id('replaced_by'),
    createdAt: moment('created_at').notNull().default(now),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.accountId] }),
    foreignKey({ columns: [table.itemId], foreignColumns: [items.itemId] }),
    check('accounts_status', sql`${table.status} IN ('open', 'closed')`),
  ],
);

/** Account and routing numbers, encrypted; read through one audited door only. */
export const accountNumbers = pgTable(
  'account_numbers',
  {
    itemId: id('item_id').notNull(),
    accountId: id('account_id').notNull(),
    numbersKeyId: id('numbers_key_id').notNull(),
    numbersDataKey: bytea('numbers_data_key').notNull(),
    numbersCiphertext: bytea('numbers_ciphertext').notNull(),
    asOf: moment('as_of').notNull().default(now),
    /** USER_ACCOUNT_REVOKED came since they were read: withheld until they are read again. */
    doubtedAt: moment('doubted_at'),
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.accountId] }),
    foreignKey({ columns: [table.itemId], foreignColumns: [items.itemId] }),
  ],
);

/** Transactions, raw and refined. A row is never deleted: Plaid's removal sets its status. */
export const transactions = pgTable(
  'transactions',
  {
    itemId: id('item_id').notNull(),
    transactionId: id('transaction_id').notNull(),
    accountId: id('account_id'),
    status: text('status').notNull(),
    /** '-infinity' for a tombstone: it has none, and is listed last. Read as text: the driver has no such date. */
    date: date('date', { mode: 'date' }),
    /** Plaid's sign: positive = money out. */
    amount: numeric('amount'),
    currency: text('currency'),
    /**
     * Plaid's object as received; null for a tombstone, a removal whose row never came. `json`, not `jsonb`: it is kept and
     * passed on as text, and to parse it into a tree cost a third of the writing.
     */
    raw: json('raw'),
    /** Of `raw` as it was written, so that rows which Plaid sends again unchanged need not be sent on; null = not known. */
    rawHash: text('raw_hash'),
    /** The refined transaction without `version`; text for the same reason. */
    refined: json('refined').notNull(),
    version: integer('version').notNull(),
    /** A text in it held what jsonb refuses, and has it replaced. */
    sanitized: boolean('sanitized').notNull().default(false),
    /** Number of the remine of which a reading did not list it: another reading without it sets it to removed. */
    missedBy: integer('missed_by'),
    createdAt: moment('created_at').notNull().default(now),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.transactionId] }),
    check('transactions_status', sql`${table.status} IN ('pending', 'posted', 'removed')`),
    index('transactions_by_date').on(table.itemId, table.date.desc().nullsFirst(), table.transactionId),
  ],
);

/** Pages of updates on their way; unlogged (see the migration): the chain of cursors shows what a crash took. */
export const stagedPages = pgTable(
  'staged_pages',
  {
    itemId: id('item_id').notNull(),
    updateId: text('update_id').notNull(),
    page: integer('page').notNull(),
    cursor: text('cursor').notNull(),
    nextCursor: text('next_cursor').notNull(),
    horizon: moment('horizon').notNull(),
    /** What the Item's row said when the update began (`Seen`); null: staged by an older release, to be read again. */
    began: jsonb('began').$type<Seen>(),
    rowCount: integer('row_count').notNull(),
    /** What `entriesOf` makes of a page: entries, and Plaid's and the refined objects in lines. */
    rows: jsonb('rows').notNull(),
    raws: text('raws').notNull(),
    refineds: text('refineds').notNull(),
    stagedAt: moment('staged_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.itemId, table.updateId, table.page] })],
);

/** Rows that PostgreSQL refused alone; the rest of their update was applied. */
export const parkedRows = pgTable(
  'parked_rows',
  {
    itemId: id('item_id').notNull(),
    transactionId: id('transaction_id').notNull(),
    updateId: text('update_id').notNull(),
    row: text('row').notNull(),
    reason: text('reason').notNull(),
    parkedAt: moment('parked_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.itemId, table.transactionId] })],
);

/** Every change of a record, numbered per Item without gaps. */
export const outbox = pgTable(
  'outbox',
  {
    itemId: id('item_id').notNull(),
    sequence: bigint('sequence', { mode: 'number' }).notNull(),
    id: uuid('id')
      .notNull()
      .default(sql`gen_random_uuid()`),
    record: text('record').$type<RecordKind>().notNull(),
    removed: boolean('removed').notNull(),
    subject: id('subject').notNull(),
    version: integer('version').notNull(),
    raw: json('raw').notNull(),
    refined: json('refined').notNull(),
    /** Of a transaction that Plaid lists under another account now: the one before, whose readers lose it. */
    movedFrom: id('moved_from'),
    createdAt: moment('created_at').notNull().default(now),
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.sequence] }),
    check('outbox_record', sql`${table.record} IN ('transaction', 'account')`),
  ],
);

/** Up to which sequence the streams have accepted an Item's records. */
export const outboxMarks = pgTable(
  'outbox_marks',
  {
    itemId: id('item_id').notNull(),
    record: text('record').$type<RecordKind>().notNull(),
    form: text('form').$type<Form>().notNull(),
    sent: bigint('sent', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.itemId, table.record, table.form] })],
);

/** Every webhook, verified or not, known or not. No foreign key: intake never waits for an Item's row. */
export const webhooks = pgTable(
  'webhooks',
  {
    webhookId: uuid('webhook_id')
      .primaryKey()
      .default(sql`gen_random_uuid()`),
    receivedAt: moment('received_at').notNull().default(now),
    source: text('source').$type<WebhookSource>().notNull(),
    verdict: text('verdict').$type<StoredWebhook['verdict']>().notNull(),
    webhookType: text('webhook_type'),
    webhookCode: text('webhook_code'),
    itemId: id('item_id'),
    /** What it asks of the item workflow; null when nothing. */
    kind: text('kind').$type<WebhookKind>(),
    removedIds: text('removed_ids').array().notNull(),
    outcome: text('outcome').$type<WebhookOutcomeState>().notNull(),
    reason: text('reason'),
    settledAt: moment('settled_at'),
    signalledAt: moment('signalled_at'),
    headers: jsonb('headers').notNull(),
    body: bytea('body').notNull(),
  },
  (table) => [
    check('webhooks_verdict', sql`${table.verdict} IN ('accepted', 'rejected')`),
    check('webhooks_outcome', sql`${table.outcome} IN ('pending', 'done', 'ignored', 'rejected')`),
    index('webhooks_by_time').on(table.receivedAt.desc(), table.webhookId.desc()),
    index('webhooks_by_item').on(table.itemId, table.receivedAt.desc(), table.webhookId.desc()),
    index('webhooks_pending')
      .on(table.itemId, table.receivedAt)
      .where(sql`${table.outcome} = 'pending'`),
    index('webhooks_rejected')
      .on(table.receivedAt)
      .where(sql`${table.verdict} = 'rejected'`),
  ],
);

/**
 * Whom the sweep signalled for due work, and when last; and the walks through Plaid's institutions that nobody believes before the next one
 * agrees. No foreign key: to note it waits for no Item's row.
 */
export const sweepTold = pgTable(
  'sweep_told',
  {
    /** A kind of due work of Items, `unconnected`, `link`, `endpoint`, `erasure`, or `institutions`. */
    kind: text('kind').notNull(),
    /** An id by the kind; of a link the hash of its public token, of a walk its sync id. */
    subject: id('subject').notNull(),
    toldAt: moment('told_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.kind, table.subject] }),
    index('sweep_told_by_time').on(table.toldAt),
  ],
);

/** Public keys by which Plaid signs webhooks, as it gave them: they outlive a process and serve all of them. */
export const webhookKeys = pgTable(
  'webhook_keys',
  {
    /** Origin of the Plaid that gave it: a simulator's key must vouch for nothing in production. */
    plaid: text('plaid').notNull(),
    kid: id('kid').notNull(),
    jwk: jsonb('jwk').$type<WebhookKey>().notNull(),
    expiredAt: moment('expired_at'),
    /** When Plaid was asked last. */
    checkedAt: moment('checked_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.plaid, table.kid] })],
);

/** Addresses that webhooks about our Items came from; IPv6 ones by their /64. */
export const webhookSenders = pgTable(
  'webhook_senders',
  {
    plaid: text('plaid').notNull(),
    address: text('address').notNull(),
    seenAt: moment('seen_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.plaid, table.address] })],
);

/** What an operator has to know of. One row a matter. */
export const alerts = pgTable(
  'alerts',
  {
    kind: text('kind').$type<AlertKind>().notNull(),
    key: text('key').notNull(),
    itemId: id('item_id'),
    detail: jsonb('detail').notNull(),
    raisedAt: moment('raised_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.kind, table.key] })],
);

export const applications = pgTable('applications', {
  applicationId: id('application_id').primaryKey(),
  name: text('name').notNull(),
  /** `all` sees every Item, as those did that were made before there were connections. */
  access: text('access').$type<Access>().notNull().default('all'),
  /** What the user's page shows of it. */
  displayName: text('display_name'),
  company: text('company'),
  url: text('url'),
  logoUrl: text('logo_url'),
  reasonForAccess: text('reason_for_access'),
  createdAt: moment('created_at').notNull().default(now),
});

export const apiKeys = pgTable('api_keys', {
  keyId: id('key_id').primaryKey(),
  applicationId: id('application_id')
    .notNull()
    .references(() => applications.applicationId),
  /** SHA-256 of the key, hex. */
  keyHash: id('key_hash').notNull().unique(),
  scopes: text('scopes').array().$type<Scope[]>().notNull(),
  /** Made from ADMIN_API_KEY. */
  bootstrap: boolean('bootstrap').notNull().default(false),
  createdAt: moment('created_at').notNull().default(now),
  /** To the minute: a key in use writes no more often. */
  lastUsedAt: moment('last_used_at'),
  revokedAt: moment('revoked_at'),
});

/** The grants of one application to one Item, with what it may read; one at most per pair that is not revoked. */
export const connections = pgTable(
  'connections',
  {
    connectionId: id('connection_id').primaryKey(),
    applicationId: id('application_id')
      .notNull()
      .references(() => applications.applicationId),
    itemId: id('item_id')
      .notNull()
      .references(() => items.itemId),
    userId: id('user_id').notNull(),
    scopes: text('scopes').array().$type<ConnectionScope[]>().notNull(),
    /** As they were granted; null = all that were there at the grant. */
    accountIds: text('account_ids').array(),
    /** Accounts that come later are granted too. */
    newAccounts: boolean('new_accounts').notNull(),
    /** The accounts that may be read, kept up to date as accounts come; null = every one. */
    grantedAccounts: text('granted_accounts').array(),
    /** Granted before the Item had any account: its first ones are those that were there. */
    awaitsAccounts: boolean('awaits_accounts').notNull().default(false),
    /** Of a connection that goes on with another Item: those granted accounts whose ids there nobody knows yet; null = none. */
    awaited: jsonb('awaited').$type<AccountIdentity[]>(),
    lookbackDays: integer('lookback_days'),
    expiresAt: moment('expires_at'),
    purpose: text('purpose'),
    evidence: jsonb('evidence').$type<ConsentEvidence>(),
    createdAt: moment('created_at').notNull().default(now),
    /** The bank revoked the Item. */
    suspendedAt: moment('suspended_at'),
    /** When update mode was begun for it last while it was suspended. */
    relinkBeganAt: moment('relink_began_at'),
    /** When its end by time was written down and told; it ends by `expires_at`, whether or not this is set. */
    expiredNotedAt: moment('expired_noted_at'),
    /** The least number of days before its end that was told. */
    expiryToldDays: integer('expiry_told_days'),
    revokedAt: moment('revoked_at'),
    revokedReason: text('revoked_reason'),
    revokedInitiator: text('revoked_initiator').$type<Initiator>(),
    /** When it last read each, to the minute. */
    accountsReadAt: moment('accounts_read_at'),
    balancesReadAt: moment('balances_read_at'),
    transactionsReadAt: moment('transactions_read_at'),
    numbersReadAt: moment('numbers_read_at'),
  },
  (table) => [
    uniqueIndex('connections_live')
      .on(table.itemId, table.applicationId)
      .where(sql`${table.revokedAt} IS NULL`),
    index('connections_by_item').on(table.itemId, table.createdAt, table.connectionId),
    index('connections_by_user').on(table.userId, table.createdAt, table.connectionId),
    index('connections_by_application').on(table.applicationId, table.createdAt, table.connectionId),
    index('connections_by_expiry')
      .on(table.expiresAt)
      .where(sql`${table.revokedAt} IS NULL AND ${table.expiredNotedAt} IS NULL`),
  ],
);

/** What happened to connections, and why. Only ever added to: a trigger of the migration refuses the rest. */
export const connectionHistory = pgTable(
  'connection_history',
  {
    connectionId: id('connection_id').notNull(),
    /** From 1 without gaps. */
    position: integer('position').notNull(),
    at: moment('at').notNull().default(now),
    action: text('action').$type<ConnectionAction>().notNull(),
    initiator: text('initiator').$type<Initiator>().notNull(),
    /** The application and the key that asked; null = nobody's key did. */
    applicationId: id('application_id'),
    keyId: id('key_id'),
    reason: text('reason'),
    /** What the connection grants from then on. */
    grant: jsonb('grant').notNull(),
  },
  (table) => [primaryKey({ columns: [table.connectionId, table.position] })],
);

/** What applications are told, written with the change that it tells of. Ids, states and counts: never bank data. */
export const events = pgTable(
  'events',
  {
    eventId: id('event_id').primaryKey(),
    /**
     * The transaction that wrote it, or a younger one that had ended by then (`placeNow`). A cursor is bounded by the oldest that still
     * runs: by position alone it would miss rows.
     */
    xid: xid8('xid')
      .notNull()
      .default(sql`pg_current_xact_id()`),
    position: bigint('position', { mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    type: text('type').$type<EventType>().notNull(),
    time: moment('time').notNull().default(now),
    itemId: id('item_id'),
    userId: id('user_id'),
    connectionId: id('connection_id'),
    endpointId: id('endpoint_id'),
    /** The one application that it is for, besides those of scope `consent`; null = all that are connected with the Item. */
    applicationId: id('application_id'),
    data: jsonb('data').$type<EventData>().notNull(),
  },
  (table) => [
    index('events_by_transaction').on(table.xid, table.position),
    index('events_by_item').on(table.itemId, table.position),
    index('events_by_user').on(table.userId),
    index('events_by_time').on(table.time),
  ],
);

/** Where applications want to be told. */
export const endpoints = pgTable(
  'endpoints',
  {
    endpointId: id('endpoint_id').primaryKey(),
    applicationId: id('application_id')
      .notNull()
      .references(() => applications.applicationId),
    url: text('url').notNull(),
    /** Types of events; empty = every one. */
    types: text('types').array().$type<EventType[]>().notNull(),
    signature: text('signature').$type<SignatureKind>().notNull(),
    ratePerSecond: integer('rate_per_second'),
    /** Made by a key of scope `consent`: it is told of every application's connections. */
    consent: boolean('consent').notNull().default(false),
    state: text('state').$type<EndpointState>().notNull().default('enabled'),
    stateReason: text('state_reason'),
    stateSince: moment('state_since').notNull().default(now),
    secretKeyId: id('secret_key_id').notNull(),
    secretDataKey: bytea('secret_data_key').notNull(),
    secretCiphertext: bytea('secret_ciphertext').notNull(),
    /** Of ed25519: what checks its signatures (`whpk_…`). */
    publicKey: text('public_key'),
    /** The one before a rotation: signs beside the new one until then. */
    previousKeyId: id('previous_key_id'),
    previousDataKey: bytea('previous_data_key'),
    previousCiphertext: bytea('previous_ciphertext'),
    previousUntil: moment('previous_until'),
    /** Attempts in a row that failed, and since when nothing got through. */
    failures: integer('failures').notNull().default(0),
    failingSince: moment('failing_since'),
    /** It is left alone until then: a breaker, or its own Retry-After. */
    restsUntil: moment('rests_until'),
    /**
     * Its application has enabled it, ended its pause or moved it then, or it has recovered: what it was asked before, and did not take, says
     * nothing of it. Null = that has never been.
     */
    judgedSince: moment('judged_since'),
    /** An activity sends what is due until then, and finds by itself what comes meanwhile. */
    leasedUntil: moment('leased_until'),
    createdAt: moment('created_at').notNull().default(now),
    deletedAt: moment('deleted_at'),
  },
  (table) => [
    check('endpoints_state', sql`${table.state} IN ('enabled', 'paused', 'failing', 'disabled')`),
    index('endpoints_by_application')
      .on(table.applicationId, table.createdAt, table.endpointId)
      .where(sql`${table.deletedAt} IS NULL`),
  ],
);

/** One event for one endpoint. Written with the event. */
export const deliveries = pgTable(
  'deliveries',
  {
    deliveryId: id('delivery_id').primaryKey(),
    endpointId: id('endpoint_id').notNull(),
    /** It goes with its event, whoever makes it beside the event's end. */
    eventId: id('event_id')
      .notNull()
      .references(() => events.eventId, { onDelete: 'cascade' }),
    /** Events of a lane go one after the other: the Item, else the user, else the connection or endpoint that it is about. */
    lane: id('lane').notNull(),
    /** The event's. */
    position: bigint('position', { mode: 'number' }).notNull(),
    type: text('type').$type<EventType>().notNull(),
    state: text('state').$type<DeliveryState>().notNull().default('pending'),
    attempts: integer('attempts').notNull().default(0),
    /** Those from before it was asked for once more, or at an older address: its schedule begins after them. */
    attemptsBefore: integer('attempts_before').notNull().default(0),
    nextAttemptAt: moment('next_attempt_at').notNull().default(now),
    /** Who tries it now, and until when another may not. */
    claim: text('claim'),
    claimedUntil: moment('claimed_until'),
    /** HTTP status of the last attempt; null = none was answered. */
    lastStatus: integer('last_status'),
    createdAt: moment('created_at').notNull().default(now),
    endedAt: moment('ended_at'),
  },
  (table) => [
    check(
      'deliveries_state',
      sql`${table.state} IN ('pending', 'delivered', 'failed', 'superseded', 'cancelled', 'held')`,
    ),
    uniqueIndex('deliveries_by_event').on(table.eventId, table.endpointId),
    index('deliveries_due')
      .on(table.endpointId, table.nextAttemptAt)
      .where(sql`${table.state} = 'pending'`),
    index('deliveries_by_lane')
      .on(table.endpointId, table.lane, table.position)
      .where(sql`${table.state} = 'pending'`),
    index('deliveries_held')
      .on(table.endpointId, table.lane)
      .where(sql`${table.state} = 'held'`)
      .concurrently(),
    index('deliveries_by_endpoint').on(table.endpointId, table.position),
  ],
);

export const deliveryAttempts = pgTable(
  'delivery_attempts',
  {
    deliveryId: id('delivery_id')
      .notNull()
      .references(() => deliveries.deliveryId, { onDelete: 'cascade' }),
    /** From 1. */
    number: integer('number').notNull(),
    at: moment('at').notNull(),
    status: integer('status'),
    durationMs: integer('duration_ms').notNull(),
    /** The first KiB of the answer. */
    answer: text('answer'),
    /** Why there was none. */
    failure: text('failure'),
  },
  (table) => [primaryKey({ columns: [table.deliveryId, table.number] })],
);

/** Signed links to the user's page. */
export const portalSessions = pgTable(
  'portal_sessions',
  {
    /** SHA-256 of the token in the link, hex. */
    tokenHash: id('token_hash').primaryKey(),
    userId: id('user_id').notNull(),
    /** Who asked for it. */
    applicationId: id('application_id').notNull(),
    keyId: id('key_id').notNull(),
    returnUrl: text('return_url'),
    locale: text('locale'),
    createdAt: moment('created_at').notNull().default(now),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('portal_sessions_by_expiry').on(table.expiresAt)],
);

/** Users whose data were erased, without their names: what stays says that it was done, when, and of how much. */
export const erasures = pgTable(
  'erasures',
  {
    erasureId: id('erasure_id').primaryKey(),
    /** SHA-256 of the user id, hex: whoever has the id can find the row. An id that can be guessed can be confirmed by it. */
    userHash: id('user_hash').notNull(),
    /** Until the erasure has ended. */
    userId: id('user_id'),
    applicationId: id('application_id').notNull(),
    keyId: id('key_id').notNull(),
    /** Those that were connected with the user: they are told of the end. */
    connectedApplications: text('connected_applications').array().notNull().default([]),
    requestedAt: moment('requested_at').notNull().default(now),
    endedAt: moment('ended_at'),
    /** Rows by table. */
    counts: jsonb('counts').$type<Record<string, number>>().notNull().default({}),
  },
  (table) => [
    uniqueIndex('erasures_running')
      .on(table.userId)
      .where(sql`${table.userId} IS NOT NULL`),
    index('erasures_by_hash').on(table.userHash),
  ],
);

/** SHA-256 of the ids of erased users' Items, hex: what Plaid still sends about one is not kept. Never cleaned up. */
export const erasedItems = pgTable('erased_items', {
  itemHash: id('item_hash').primaryKey(),
  erasedAt: moment('erased_at').notNull().default(now),
});

/** What was done that somebody may have to answer for. Never cleaned up; names no user. */
export const auditEntries = pgTable('audit_entries', {
  entryId: uuid('entry_id')
    .primaryKey()
    .default(sql`gen_random_uuid()`),
  at: moment('at').notNull().default(now),
  action: text('action').notNull(),
  /** What it was done to: an id of ours, or a user's hash. */
  subject: id('subject').notNull(),
  applicationId: id('application_id'),
  keyId: id('key_id'),
  requestId: text('request_id'),
  detail: jsonb('detail').notNull(),
});

/** Short-term advances to a user, owned by another service that reports them to us. */
export const floats = pgTable(
  'floats',
  {
    /** No foreign key: a float may be reported before its user has linked anything. */
    userId: id('user_id').notNull(),
    floatId: id('float_id').notNull(),
    status: text('status').$type<FloatStatus>().notNull(),
    /** When it became so, by the owner's clock: the latest word wins. */
    occurredAt: moment('occurred_at').notNull(),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.floatId] }),
    check('floats_status', sql`${table.status} IN ('active', 'closed')`),
  ],
);

/** Those that an application of access `connected` has told of: none of another one's, also under the same id. */
export const applicationFloats = pgTable(
  'application_floats',
  {
    applicationId: id('application_id').notNull(),
    userId: id('user_id').notNull(),
    floatId: id('float_id').notNull(),
    status: text('status').$type<FloatStatus>().notNull(),
    /** When it became so, by the owner's clock: the latest word wins. */
    occurredAt: moment('occurred_at').notNull(),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    // By the user first: whether one owes a float is asked of all of them.
    primaryKey({ columns: [table.userId, table.floatId, table.applicationId] }),
    check('application_floats_status', sql`${table.status} IN ('active', 'closed')`),
  ],
);

/** How far the listener has read each shard of the user-events stream, and who reads it. */
export const userEventShards = pgTable(
  'user_event_shards',
  {
    stream: text('stream').notNull(),
    shardId: text('shard_id').notNull(),
    parents: text('parents').array().notNull(),
    /** Sequence number after which reading goes on; null = from the beginning. */
    checkpoint: text('checkpoint'),
    /** The listener that reads the shard, until its lease ends. */
    owner: text('owner'),
    leasedUntil: moment('leased_until'),
    /** Read to its end (a shard that was split or merged). */
    finishedAt: moment('finished_at'),
    /** When the stream was made that the row tells of; null = from before this was written down. */
    streamCreatedAt: moment('stream_created_at'),
  },
  (table) => [primaryKey({ columns: [table.stream, table.shardId] })],
);

/** Records of the user-events stream that are no user events; the stream goes on without them. */
export const parkedEvents = pgTable(
  'parked_events',
  {
    stream: text('stream').notNull(),
    shardId: text('shard_id').notNull(),
    /** Of the record; of one that was packed into it with others, `/` and its place from 0 follow. */
    sequenceNumber: text('sequence_number').notNull(),
    /** The first 4 KiB as received; all of what was packed and cannot be taken apart. */
    data: bytea('data').notNull(),
    reason: text('reason').notNull(),
    parkedAt: moment('parked_at').notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.stream, table.shardId, table.sequenceNumber] })],
);

/** Plaid's institutions of the configured countries, as the scheduled sync found them. */
export const institutions = pgTable(
  'institutions',
  {
    institutionId: id('institution_id').primaryKey(),
    name: text('name').notNull(),
    countryCodes: text('country_codes').array().notNull(),
    oauth: boolean('oauth').notNull(),
    products: text('products').array().notNull(),
    url: text('url'),
    primaryColor: text('primary_color'),
    /** Base64 PNG as Plaid gives it. */
    logo: text('logo'),
    /** Plaid's connection status object; asked for institutions in use only. */
    status: jsonb('status').$type<NonNullable<InstitutionView['status']>>(),
    statusAt: moment('status_at'),
    /** The sync that saw it last, and when that one had asked for the page. */
    syncId: text('sync_id'),
    listedAt: moment('listed_at'),
    /** When Plaid was asked whose answer this is. */
    syncedAt: moment('synced_at').notNull().default(now),
    /** Set when a complete sync no longer listed it. */
    vanishedAt: moment('vanished_at'),
  },
  (table) => [index('institutions_by_name').on(table.name, table.institutionId)],
);

/** Banks that Plaid has called down: their Items ask by turns. */
export const bankPauses = pgTable('bank_pauses', {
  institutionId: id('institution_id').primaryKey(),
  /** How often in a row; 0 = one Item was refused for it, which may be the Item's own matter. */
  failures: integer('failures').notNull(),
  /** One of its Items asks whether it is up. */
  probing: boolean('probing').notNull(),
  /** Of a suspicion: when it arose. */
  nextTryAt: moment('next_try_at').notNull(),
  /** MD5 of the id of the Item that was refused last. */
  refusedItem: text('refused_item'),
});

/** Answers by Idempotency-Key: a running entry is a lease, a final one holds the answer, encrypted. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    applicationId: id('application_id').notNull(),
    method: text('method').notNull(),
    path: text('path').notNull(),
    key: id('key').notNull(),
    /** SHA-256 of the request's body, hex. */
    requestHash: text('request_hash').notNull(),
    /** Who runs the request now; another may take over after `leased_until`. */
    runner: text('runner').notNull(),
    leasedUntil: moment('leased_until').notNull(),
    /** Names what the request makes: whoever runs it again under the key makes the same. */
    effectId: uuid('effect_id'),
    /** What the request has done, where no row bears `effectId`: written in the transaction that did it. */
    effect: text('effect'),
    status: integer('status'),
    contentType: text('content_type'),
    /** While `status` is null: what the running request has set down of its answer before its effect. */
    answerKeyId: id('answer_key_id'),
    answerDataKey: bytea('answer_data_key'),
    answerCiphertext: bytea('answer_ciphertext'),
    createdAt: moment('created_at').notNull().default(now),
    /** The answer is replayed until then. */
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.applicationId, table.method, table.path, table.key] }),
    index('idempotency_keys_by_expiry').on(table.expiresAt),
  ],
);

/** An account's balances, a row a day: the last ones seen that day (UTC). */
export const balanceSnapshots = pgTable(
  'balance_snapshots',
  {
    itemId: id('item_id').notNull(),
    accountId: id('account_id').notNull(),
    day: date('day', { mode: 'date' }).notNull(),
    available: numeric('available'),
    current: numeric('current'),
    limit: numeric('limit'),
    currency: text('currency'),
    asOf: moment('as_of').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.accountId, table.day] }),
    index('balance_snapshots_by_day').on(table.day),
  ],
);

/** Who read decrypted account numbers, written before the answer leaves. Never cleaned up. */
export const numberReads = pgTable(
  'number_reads',
  {
    readId: uuid('read_id')
      .primaryKey()
      .default(sql`gen_random_uuid()`),
    itemId: id('item_id').notNull(),
    applicationId: id('application_id').notNull(),
    keyId: id('key_id').notNull(),
    requestId: text('request_id').notNull(),
    accountIds: text('account_ids').array().notNull(),
    readAt: moment('read_at').notNull().default(now),
  },
  (table) => [index('number_reads_by_item').on(table.itemId, table.readAt)],
);

/** Segment events of error episodes, committed with the transition that they report. */
export const segmentEvents = pgTable(
  'segment_events',
  {
    /** `<item_id>:<errored|repaired>:<episode>`. */
    messageId: id('message_id').primaryKey(),
    itemId: id('item_id').notNull(),
    userId: id('user_id').notNull(),
    event: text('event').$type<SegmentEvent['event']>().notNull(),
    properties: jsonb('properties').$type<SegmentEvent['properties']>().notNull(),
    createdAt: moment('created_at').notNull().default(now),
    sentAt: moment('sent_at'),
  },
  (table) => [
    index('segment_events_unsent')
      .on(table.itemId, table.createdAt)
      .where(sql`${table.sentAt} IS NULL`),
  ],
);

/**
 * When this database was found to be set back to a backup. Places that clients were given before are none of its own, and the numbers
 * of changes go on from the time of the restore, above all that were given before.
 */
export const restores = pgTable('restores', {
  restoreId: uuid('restore_id')
    .primaryKey()
    .default(sql`gen_random_uuid()`),
  restoredAt: moment('restored_at').notNull().default(now),
  /** When every Item had been told anew. */
  endedAt: moment('ended_at'),
});
