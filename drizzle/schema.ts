import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  date,
  foreignKey,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  uuid,
} from 'drizzle-orm/pg-core';
import { bytea, id, moment } from './columns.js';

/** Every table. Migrations are generated from here: `npx drizzle-kit generate`. */

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
    state: text('state').notNull().default('received'),
    publicTokenKeyId: id('public_token_key_id'),
    publicTokenDataKey: bytea('public_token_data_key'),
    publicTokenCiphertext: bytea('public_token_ciphertext'),
    institutionId: id('institution_id'),
    accounts: jsonb('accounts').notNull(),
    mainAccountId: id('main_account_id'),
    itemId: id('item_id'),
    outcome: jsonb('outcome'),
    createdAt: moment('created_at').notNull().default(now),
    updatedAt: moment('updated_at').notNull().default(now),
  },
  (table) => [
    check('links_state', sql`${table.state} IN ('received', 'exchanging', 'exchanged', 'finished')`),
    index('links_unfinished')
      .on(table.updatedAt)
      .where(sql`${table.state} <> 'finished'`),
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
    /** Counts episodes of user-action errors. */
    errorEpisode: integer('error_episode').notNull().default(0),
    history: text('history').notNull().default('none'),
    /** Plaid's cursor after the last applied update; '' = none yet. */
    cursor: text('cursor').notNull().default(''),
    lastUpdateId: text('last_update_id'),
    lastUpdateOutcome: jsonb('last_update_outcome'),
    lastUpdateAt: moment('last_update_at'),
    /** Set while an update of several pages is on its way. */
    updateStartedAt: moment('update_started_at'),
    nextDueAt: moment('next_due_at'),
    numbersDueAt: moment('numbers_due_at'),
    consentExpiresAt: moment('consent_expires_at'),
    newAccountsAvailable: boolean('new_accounts_available').notNull().default(false),
    /** Sequence of the newest outbox row, and of the newest of each kind of record. */
    lastSequence: bigint('last_sequence', { mode: 'number' }).notNull().default(0),
    lastTransactionSequence: bigint('last_transaction_sequence', { mode: 'number' }).notNull().default(0),
    lastAccountSequence: bigint('last_account_sequence', { mode: 'number' }).notNull().default(0),
    /** Since when the streams lack something of what the outbox holds; null = nothing. */
    unsentSince: moment('unsent_since'),
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
  ],
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
    status: text('status').notNull(),
    isMain: boolean('is_main').notNull(),
    /** Plaid's object as received. */
    raw: jsonb('raw').notNull(),
    /** The refined account; `version` and `balances.as_of` are shown from their columns. */
    refined: jsonb('refined').notNull(),
    /** When Plaid listed it last: a newer fetch of the same content is no change. */
    asOf: moment('as_of').notNull(),
    version: integer('version').notNull(),
    sanitized: boolean('sanitized').notNull().default(false),
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
  },
  (table) => [
    primaryKey({ columns: [table.itemId, table.accountId] }),
    foreignKey({ columns: [table.itemId], foreignColumns: [items.itemId] }),
  ],
);

/** Transactions, raw and refined. A row is never deleted: Plaid's removal marks it. */
export const transactions = pgTable(
  'transactions',
  {
    itemId: id('item_id').notNull(),
    transactionId: id('transaction_id').notNull(),
    accountId: id('account_id'),
    status: text('status').notNull(),
    /** '-infinity' for a tombstone: it has none, and is listed last. */
    date: date('date', { mode: 'string' }),
    /** Plaid's sign: positive = money out. */
    amount: numeric('amount'),
    currency: text('currency'),
    /** Plaid's object as received; null for a tombstone, a removal whose row never came. */
    raw: jsonb('raw'),
    /** The refined transaction without `version`. */
    refined: jsonb('refined').notNull(),
    version: integer('version').notNull(),
    /** A text in it held what jsonb refuses, and has it replaced. */
    sanitized: boolean('sanitized').notNull().default(false),
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
    rowCount: integer('row_count').notNull(),
    rows: jsonb('rows').notNull(),
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
    record: text('record').notNull(),
    removed: boolean('removed').notNull(),
    subject: id('subject').notNull(),
    version: integer('version').notNull(),
    raw: jsonb('raw').notNull(),
    refined: jsonb('refined').notNull(),
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
    record: text('record').notNull(),
    form: text('form').notNull(),
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
    source: text('source').notNull(),
    verdict: text('verdict').notNull(),
    webhookType: text('webhook_type'),
    webhookCode: text('webhook_code'),
    itemId: id('item_id'),
    /** What it asks of the item workflow; null when nothing. */
    kind: text('kind'),
    removedIds: text('removed_ids').array().notNull(),
    outcome: text('outcome').notNull(),
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

/** What an operator has to know of. One row a matter. */
export const alerts = pgTable(
  'alerts',
  {
    kind: text('kind').notNull(),
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
  createdAt: moment('created_at').notNull().default(now),
});

export const apiKeys = pgTable('api_keys', {
  keyId: id('key_id').primaryKey(),
  applicationId: id('application_id')
    .notNull()
    .references(() => applications.applicationId),
  /** SHA-256 of the key, hex. */
  keyHash: id('key_hash').notNull().unique(),
  scopes: text('scopes').array().notNull(),
  /** Made from ADMIN_API_KEY. */
  bootstrap: boolean('bootstrap').notNull().default(false),
  createdAt: moment('created_at').notNull().default(now),
  revokedAt: moment('revoked_at'),
});
