import type { Grant } from '../../domain/exchange/connection.js';
import { wholeGrant } from '../../domain/exchange/connection.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { Actor } from '../../domain/ports/connections.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import type { Tx } from '../../drizzle/rows.js';
import type { TestItem, World } from './world.js';
import { newId } from './world.js';

export const anyActor: Actor = { initiator: 'operator', applicationId: null, keyId: null, reason: null };

/** An application that sees what it is connected with, or everything. */
export async function newApplication(
  { sql }: World,
  access: Viewer['access'] = 'connected',
): Promise<Viewer> {
  const applicationId = newId('app');
  await sql`INSERT INTO applications (application_id, name, access) VALUES (${applicationId}, 'A client', ${access})`;
  return { applicationId, access };
}

/** Does something to connections of an Item, under its lock. */
export async function underLock<T>({ sql }: World, itemId: string, work: (tx: Tx) => Promise<T>): Promise<T> {
  return (await sql.begin(async (tx) => {
    await tx`SELECT FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`;
    return work(tx);
  })) as T;
}

/** Connects an application with an Item; resolves to the connection's id. */
export const connect = async (
  world: World,
  { itemId, userId }: TestItem,
  { applicationId }: Viewer,
  grant: Partial<Grant> = {},
): Promise<string> =>
  underLock(world, itemId, (tx) =>
    grantConnection(tx, { itemId, userId, applicationId }, { ...wholeGrant, ...grant }, anyActor),
  );
