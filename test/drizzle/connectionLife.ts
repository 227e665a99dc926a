import type { Grant } from '../../domain/exchange/connection.js';
import { grantByDefault } from '../../domain/exchange/connection.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { Linking, World } from './world.js';
import {
  account,
  linkedItem,
  newApplication,
  newId,
  openWorld,
  runUpdate,
  sealed,
  seenNow,
} from './world.js';

/** The database of the test file that imports this. */
export let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

export const grant = (changes: Partial<Grant> = {}): Grant => ({
  ...grantByDefault(['transactions']),
  ...changes,
});
export const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
export const nobody = { initiator: 'operator', applicationId: null, keyId: null, reason: null } as const;

export interface StoredConnection {
  connection_id: string;
  application_id: string;
  granted: string[] | null;
  new_accounts: boolean;
  status: string;
  revoked_initiator: string | null;
}

export const connectionsOf = (itemId: string) => world.sql<StoredConnection[]>`
  SELECT connection_id, application_id, granted_accounts AS granted, new_accounts, revoked_initiator,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired'
      WHEN suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END AS status
  FROM connections WHERE item_id = ${itemId} ORDER BY created_at, connection_id`;

export const eventsOf = async (itemId: string): Promise<string[]> => {
  const rows = await world.sql<{ type: string }[]>`
    SELECT type FROM events WHERE item_id = ${itemId} AND type LIKE 'connection.%' ORDER BY position`;
  return rows.map(({ type }) => type);
};

export const historyOf = async (connectionId: string): Promise<string[]> => {
  const rows = await world.sql<{ action: string }[]>`
    SELECT action FROM connection_history WHERE connection_id = ${connectionId} ORDER BY position`;
  return rows.map(({ action }) => action);
};

export const itemRow = async (itemId: string) => {
  const [row] = await world.sql<
    { unconnected: boolean; asked: boolean; due: boolean | null; replaced_by: string | null }[]
  >`SELECT unconnected_since IS NOT NULL AS unconnected, removal_requested_at IS NOT NULL AS asked,
      next_due_at <= clock_timestamp() AS due, replaced_by FROM items WHERE item_id = ${itemId}`;
  if (row === undefined) throw new Error('no such Item');
  return row;
};

/** An Item that an application of access `connected` has linked. */
export async function connectedItem(linking: Linking = {}) {
  const applicationId = linking.applicationId ?? (await newApplication(world));
  const item = await linkedItem(world, { connection: grant(), ...linking, applicationId });
  return { ...item, applicationId };
}

/** A link of another application for the accounts in its metadata, received and not exchanged. */
export async function received(userId: string, applicationId: string, more: Linking = {}): Promise<string> {
  const tokenHash = newId('hash');
  await world.stores.links.receive({
    token_hash: tokenHash,
    user_id: userId,
    application_id: applicationId,
    publicToken: sealed('public'),
    institution_id: 'ins_1',
    accounts: more.metadata ?? [account('acc-1')].map(metadataOf),
    main_account_id: null,
    connection: more.connection === undefined ? grant() : more.connection,
  });
  return tokenHash;
}

export const metadataOf = ({ account_id, ...rest }: ReturnType<typeof account>) => ({
  ...(identityOf({ account_id, ...rest }) as { mask: string; name: string; type: string; subtype: string }),
  id: `new-${account_id}`,
});

/** An Item whose two accounts (`all`) have got other ids (`heirs`). */
export async function withHeirs() {
  const all = ['acc-1', 'acc-2'].map((id) => account(id, { mask: id }));
  const heirs = all.map((raw) => ({ ...raw, account_id: `heir-${raw.account_id}` }));
  const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
  await runUpdate(world, item, [{}], { accounts: all });
  await runUpdate(world, item, [{}], { accounts: heirs });
  return { item, all, heirs };
}

/** Breaks an Item; resolves to what a Link that may replace it says of it. */
export async function broken(itemId: string) {
  const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  await world.stores.items.setBroken(itemId, await seenNow(world, itemId), error, inDays(1));
  return { itemId, seen: await seenNow(world, itemId) };
}

/** Another application, connected with the Item. */
export async function connectedTo(item: { itemId: string; userId: string }): Promise<string> {
  const applicationId = await newApplication(world);
  await world.stores.links.join(await received(item.userId, applicationId), item.itemId);
  return applicationId;
}

export const by = (application_id: string) => ({ application_id, key_id: 'key-1' });
