import { ourselves } from '../../domain/exchange/viewer.js';
import type { Refused } from '../../domain/exchange/viewer.js';
import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import { createStores } from '../../drizzle/index.js';
import type { Stores } from '../../drizzle/index.js';
import { openDatabase } from '../../src/clients/postgres.js';
import type { Grant } from '../../domain/exchange/connection.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { identityOf } from '../../domain/mining/accounts.js';
import { minedPage } from '../../domain/mining/page.js';
import type { UserActionError } from '../../domain/mining/run.js';
import type { PlaidAccount, PlaidRemovedTransaction, PlaidTransaction } from '../../domain/plaid.js';
import type { TextPage } from '../../domain/ports/pages.js';
import type { ItemWebhooksEffect, Seen } from '../../domain/ports/items.js';
import type { Access } from '../../domain/ports/applications.js';
import type { Admission, NewLink, OfferedAccount } from '../../domain/ports/links.js';
import type { MiningStore, Update } from '../../domain/ports/mining.js';
import type { Sealed } from '../../domain/ports/secrets.js';
import type { NewWebhook } from '../../domain/ports/webhooks.js';
import { readWebhook } from '../../domain/webhooks/webhook.js';
import { eventErrors, writtenEvents } from './eventSchemas.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import type { TestDatabase } from '../stack/testDatabase.js';

/** A migrated database of its own for one test file, a pool for the test's own questions, and stores on a second one. */
export interface World {
  url: string;
  sql: postgres.Sql;
  stores: Stores;
  close(): Promise<void>;
}

/** `given`: another database than an empty one. */
export async function openWorld(given?: TestDatabase): Promise<World> {
  const database = given ?? (await createTestDatabase());
  const sql = openDatabase(database.url, { max: 12, applicationName: 'test' });
  // By its name `npm run record-statements` tells what the stores ask from what the tests ask.
  const ofStores = openDatabase(database.url, { max: 12, applicationName: 'sluice' });
  return {
    url: database.url,
    sql,
    stores: createStores(ofStores),
    async close() {
      // Whatever a test has done, what it has told applications is of the published shape.
      const errors = (await writtenEvents(sql)).flatMap(eventErrors);
      await Promise.all([sql.end({ timeout: 5 }), ofStores.end({ timeout: 5 })]);
      await database.drop();
      if (errors.length > 0) throw new Error(`events that fit no schema: ${[...new Set(errors)].join('; ')}`);
    },
  };
}

/** Resolves once so many locks are waited for in the world's database: those who wait have read what they read before it. */
export async function lockWaiters({ sql }: Pick<World, 'sql'>, n: number | (() => number)): Promise<void> {
  for (let waiting = 0; waiting < (typeof n === 'number' ? n : n());) {
    const [row] = await sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM pg_locks
      WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`;
    waiting = row.n;
  }
}

/** What a store answers who sees every Item: he is refused nothing. */
export function unrefused<Found>(found: Found | Refused): Exclude<Found, Refused> {
  if (typeof found === 'object' && found !== null && 'refusal' in found) throw new Error('refused');
  return found as Exclude<Found, Refused>;
}

/** The Item as its row says it is. */
export const shownItem = async ({ stores }: Pick<World, 'stores'>, itemId: string) =>
  unrefused(await stores.reads.item(ourselves, itemId, 'item'));

export const newId = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 13)}`;

export const sealed = (text: string): Sealed => ({
  keyId: 'key-1',
  dataKey: Buffer.from(`key of ${text}`),
  ciphertext: Buffer.from(text),
});

export function account(id: string, changes: Partial<PlaidAccount> = {}): PlaidAccount {
  return {
    account_id: id,
    balances: {
      available: 90.5,
      current: 100,
      limit: null,
      iso_currency_code: 'USD',
      unofficial_currency_code: null,
    },
    mask: '0000',
    name: `Checking ${id}`,
    official_name: null,
    type: 'depository',
    subtype: 'checking',
    persistent_account_id: null,
    ...changes,
  };
}

export function transaction(id: string, changes: Partial<PlaidTransaction> = {}): PlaidTransaction {
  return {
    transaction_id: id,
    account_id: 'acc-1',
    amount: 12.34,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
    date: '2026-11-20',
    name: `Coffee ${id}`,
    pending: false,
    ...changes,
  };
}

export interface TestItem {
  itemId: string;
  userId: string;
}

export interface Linking {
  userId?: string;
  itemId?: string;
  institutionId?: string | null;
  accounts?: OfferedAccount[];
  replaceable?: Admission['replaceable'];
  mainAccountId?: string | null;
  /** Who links, and what it is granted; absent: an application that sees every Item, and nothing. */
  applicationId?: string;
  connection?: Grant | null;
  /** The accounts of Link's metadata, at `ins_1`. */
  metadata?: NewLink['accounts'];
}

/** An application, and the grant that it gets without a word. */
export async function newApplication({ sql }: World, access: Access = 'connected'): Promise<string> {
  const applicationId = newId('app');
  await sql`INSERT INTO applications (application_id, name, access) VALUES (${applicationId}, ${applicationId}, ${access})`;
  return applicationId;
}

/** A link up to the stored Item; `admit` is the caller's. */
export async function exchangedItem(
  { stores }: World,
  linking: Linking = {},
): Promise<TestItem & { tokenHash: string }> {
  const userId = linking.userId ?? newId('user');
  const itemId = linking.itemId ?? newId('item');
  const tokenHash = newId('hash');
  await stores.links.receive({
    token_hash: tokenHash,
    user_id: userId,
    application_id: linking.applicationId ?? 'default',
    publicToken: sealed(`public-${itemId}`),
    institution_id: linking.metadata === undefined ? null : 'ins_1',
    accounts: linking.metadata ?? [],
    main_account_id: null,
    connection: linking.connection ?? null,
  });
  await stores.links.beginExchange(tokenHash);
  await stores.links.storeExchanged(tokenHash, { itemId, accessToken: sealed(`access-${itemId}`) });
  return { itemId, userId, tokenHash };
}

export function admission(item: TestItem & { tokenHash: string }, linking: Linking = {}) {
  return {
    tokenHash: item.tokenHash,
    itemId: item.itemId,
    institutionId: linking.institutionId === undefined ? 'ins_1' : linking.institutionId,
    institutionName: 'First Platypus Bank',
    consentExpiresAt: null,
    mainAccountId: linking.mainAccountId === undefined ? 'acc-1' : linking.mainAccountId,
    accounts: linking.accounts ?? [identityOf(account('acc-1'))],
    replaceable: linking.replaceable ?? [],
  };
}

export async function linkedItem(
  world: World,
  linking: Linking = {},
): Promise<TestItem & { tokenHash: string }> {
  const item = await exchangedItem(world, linking);
  const admitted = await world.stores.links.admit(admission(item, linking));
  if (admitted.kind !== 'admitted') throw new Error(`not admitted: ${admitted.kind}`);
  return item;
}

/** What one answer of Plaid's says. */
export interface Said {
  added?: PlaidTransaction[];
  modified?: PlaidTransaction[];
  removed?: PlaidRemovedTransaction[];
}

export function pageOf(item: TestItem, cursor: string, nextCursor: string, hasMore: boolean, said: Said) {
  return minedPage(
    cursor,
    {
      added: said.added ?? [],
      modified: said.modified ?? [],
      removed: said.removed ?? [],
      accounts: [],
      next_cursor: nextCursor,
      has_more: hasMore,
      transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
    },
    { item_id: item.itemId, user_id: item.userId, institution_id: 'ins_1' },
  );
}

export const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
export const accountsAsOf = '2026-11-21T06:00:00.000Z';
const farHorizon = '2999-01-01T00:00:00Z';

/** What the row of a newborn Item says. */
export const newborn: Seen = { at: farHorizon, update: null, rows: 0, health: 0, numbers: 0, remine: null };

/** What the Item's row says now; of a removed one, what a newborn's says. */
export async function seenNow({ stores }: World, itemId: string): Promise<Seen> {
  return (await stores.items.credentials(itemId, { forRemoval: true }))?.seen ?? newborn;
}

/** The same, of an update that answers every webhook whenever it came. */
export const begunNow = async (world: World, itemId: string): Promise<Seen> => ({
  ...(await seenNow(world, itemId)),
  at: farHorizon,
});

/** Writes of somebody who asks and writes at once, with nothing between. */
export function prompt(world: World) {
  const { items, mining } = world.stores;
  const after =
    <A extends unknown[], R>(write: (itemId: string, seen: Seen, ...rest: A) => Promise<R>) =>
    async (itemId: string, ...rest: A): Promise<R> =>
      write(itemId, await seenNow(world, itemId), ...rest);
  return {
    setBroken: after((id, seen, error: UserActionError, due: string) =>
      items.setBroken(id, seen, error, due),
    ),
    setHealthy: after((id, seen) => items.setHealthy(id, seen)),
    saveNumbers: after((id, seen, numbers: { accountId: string; sealed: Sealed }[]) =>
      items.saveNumbers(id, seen, numbers),
    ),
    settleRemovals: after((id, seen, checked: string[], remove: string[]) =>
      mining.applyRemovals(id, seen, checked, remove),
    ),
    async stagePage(
      itemId: string,
      updateId: string,
      page: number,
      mined: Update['page'],
    ): ReturnType<MiningStore['stagePage']> {
      const options = { began: await begunNow(world, itemId), remine: false };
      return mining.stagePage(itemId, updateId, page, options, mined);
    },
  };
}

/** The update that ends with `page`; the pages before it must be staged. */
export function updateOf(
  item: TestItem,
  updateId: string,
  page: Update['page'],
  changes: Partial<Update> = {},
): Update {
  return {
    itemId: item.itemId,
    updateId,
    page,
    pageNumber: 0,
    accounts: [account('acc-1')],
    accountsAsOf,
    began: newborn,
    history: 'complete',
    dueAt,
    numbersAge: defaultPolicy.numbersAge,
    ...changes,
  };
}

export async function durableCursor({ sql }: World, itemId: string): Promise<string> {
  const [row] = await sql<[{ cursor: string }]>`SELECT cursor FROM items WHERE item_id = ${itemId}`;
  return row.cursor;
}

/** A whole update from the durable cursor: all pages but the last are staged, then everything is applied. */
export async function runUpdate(world: World, item: TestItem, pages: Said[], changes: Partial<Update> = {}) {
  const updateId = newId('update');
  const remine = changes.remine ?? false;
  if (remine) await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
  const began = await begunNow(world, item.itemId);
  let cursor = remine ? '' : await durableCursor(world, item.itemId);
  for (const [number, said] of pages.entries()) {
    const next = newId('cursor');
    const last = number === pages.length - 1;
    const page = pageOf(item, cursor, next, !last, said);
    if (last)
      return world.stores.mining.apply(
        updateOf(item, updateId, page, { pageNumber: number, began, ...changes }),
      );
    await world.stores.mining.stagePage(item.itemId, updateId, number, { began, remine }, page);
    cursor = next;
  }
  throw new Error('an update has at least one page');
}

/** A remine whose readings from the start all bring these pages: as many as it takes. */
export async function runRemine(world: World, item: TestItem, pages: Said[], changes: Partial<Update> = {}) {
  const first = await runUpdate(world, item, pages, { ...changes, remine: true });
  return first.kind === 'applied' && first.outcome.missed
    ? runUpdate(world, item, pages, { ...changes, remine: true })
    : first;
}

export interface StoredTransaction {
  id: string;
  status: string;
  version: number;
  raw: PlaidTransaction | null;
  refined: Record<string, unknown>;
  sanitized: boolean;
  xmin: string;
}

export async function storedTransactions(
  { sql }: World,
  itemId: string,
): Promise<Map<string, StoredTransaction>> {
  const rows = await sql<StoredTransaction[]>`
    SELECT transaction_id AS id, status, version, raw, refined, sanitized, xmin::text FROM transactions
    WHERE item_id = ${itemId} ORDER BY transaction_id`;
  return new Map(rows.map((row) => [row.id, row]));
}

export interface StoredChange {
  sequence: number;
  record: 'transaction' | 'account';
  removed: boolean;
  subject: string;
  version: number;
  raw: Record<string, unknown>;
  refined: Record<string, unknown>;
}

export async function storedChanges({ sql }: World, itemId: string): Promise<StoredChange[]> {
  return sql<StoredChange[]>`
    SELECT sequence, record, removed, subject, version, raw, refined FROM outbox
    WHERE item_id = ${itemId} ORDER BY sequence`;
}

export function webhook(itemId: string | null, code: string, more: Record<string, unknown> = {}): NewWebhook {
  const body = JSON.stringify({
    webhook_type: 'TRANSACTIONS',
    webhook_code: code,
    item_id: itemId,
    ...more,
  });
  const read = readWebhook(body);
  return {
    source: 'plaid',
    verdict: 'accepted',
    body: Buffer.from(body),
    headers: { 'content-type': 'application/json' },
    webhook_type: read.webhook_type,
    webhook_code: read.webhook_code,
    item_id: read.item_id,
    kind: read.kind,
    removed_ids: read.removed_ids,
    reason: read.ignored,
  };
}

/** What webhooks about an Item come to that say nothing. */
export const saysNothing: ItemWebhooksEffect = {
  webhooks: [],
  health: null,
  revocation: null,
  consentExpiresAt: null,
  disconnects: null,
  newAccounts: false,
  revokedAccounts: [],
  doubtedNumbers: null,
  staleNumbers: [],
  verifications: [],
  numbersDue: false,
  updateDue: false,
};

/** The rows of a page, as a client reads them. */
export const rowsOf = <Row>({ rows }: TextPage): Row[] =>
  JSON.parse(`[${new TextDecoder().decode(rows)}]`) as Row[];
