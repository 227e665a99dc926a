import { Failure } from '../../domain/failures.js';
import { grantConnection, revokeConnections } from '../../drizzle/stores/connectionWrites.js';
import { whileRefused } from '../stack/refusedRows.js';
import {
  begunNow,
  newApplication,
  newId,
  pageOf,
  runUpdate,
  saysNothing,
  sealed,
  seenNow,
  transaction,
  updateOf,
  webhook,
} from './world.js';
import {
  by,
  connectedItem,
  connectedTo,
  connectionsOf,
  eventsOf,
  grant,
  historyOf,
  inDays,
  itemRow,
  nobody,
  received,
  world,
} from './connectionLife.js';

/** What would have been written by an update that began while somebody was connected. */
async function lateUpdate(item: { itemId: string; userId: string }) {
  const began = await begunNow(world, item.itemId);
  const [row] = await world.sql<
    [{ cursor: string }]
  >`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
  const page = (more: boolean) =>
    pageOf(item, row.cursor, newId('c'), more, { added: [transaction(newId('late'))] });
  return {
    stage: () =>
      world.stores.mining.stagePage(item.itemId, newId('u'), 0, { began, remine: false }, page(true)),
    apply: () => world.stores.mining.apply(updateOf(item, newId('u'), page(false), { began })),
  };
}

describe('an Item with which nobody is connected any more', () => {
  async function unconnected() {
    const item = await connectedItem();
    await runUpdate(world, item, [{ added: [transaction('t-1')] }]);
    const late = await lateUpdate(item);
    const seen = await seenNow(world, item.itemId);
    await world.sql.begin((tx) => revokeConnections(tx, item.itemId, null, nobody));
    return { ...item, late, seen };
  }

  it('is not mined: nothing is asked for, and what comes late is not written', async () => {
    const { itemId, userId, late, seen } = await unconnected();
    const { items, mining, links, logins, sweep } = world.stores;
    const before = await world.sql`SELECT * FROM items WHERE item_id = ${itemId}`;
    expect(await items.snapshot(itemId)).toMatchObject({ unconnected: true, removalRequested: false });
    expect(await items.credentials(itemId, { forRemoval: false })).toBeNull();
    expect(await items.credentials(itemId, { forRemoval: true })).not.toBeNull();
    expect(await mining.beginPage(itemId, 'u', 0)).toEqual({ kind: 'gone' });
    expect([await late.stage(), await late.apply()]).toEqual([{ kind: 'gone' }, { kind: 'gone' }]);
    expect(await mining.applyRemovals(itemId, seen, ['t-1'], ['t-1'])).toBe(0);
    expect(await items.saveNumbers(itemId, seen, [{ accountId: 'acc-1', sealed: sealed('n') }])).toBe(true);
    expect(await items.keepNumbers(itemId, seen, inDays(1))).toEqual({ dueAt: null });
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    expect(await items.setBroken(itemId, seen, error, inDays(1))).toBe(true);
    expect(await items.setHealthy(itemId, seen, { expiresAt: inDays(9), isConnected: true })).toBe(true);
    expect(await logins.itemsToCheck(userId)).toEqual([]);
    expect([...(await world.sql`SELECT * FROM items WHERE item_id = ${itemId}`)]).toEqual([...before]);
    expect([...(await world.sql`SELECT 1 FROM account_numbers WHERE item_id = ${itemId}`)]).toEqual([]);
    expect([...(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${itemId}`)]).toEqual([]);
    // Nor is its workflow signalled again and again for what waits.
    for (const code of ['DEFAULT_UPDATE', 'TRANSACTIONS_REMOVED']) {
      await world.stores.webhooks.store(webhook(itemId, code, { removed_transactions: ['t-1'] }));
    }
    await world.sql`UPDATE items SET next_due_at = now() - interval '1 hour', numbers_due_at = now() - interval '1 hour',
      remine_requested_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
    await world.sql`UPDATE webhooks SET received_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
    const due = await sweep.findDue(10_000, 0);
    expect(due.filter((one) => one.itemId === itemId).flatMap(({ kinds }) => kinds)).toEqual(['publish']);
    expect(await links.get('absent')).toBeNull();
  });

  it('goes on where a new connection comes, and joins also who sees every Item', async () => {
    const { itemId, userId } = await unconnected();
    await world.sql`UPDATE items SET next_due_at = now() + interval '1 day' WHERE item_id = ${itemId}`;
    const all = await newApplication(world, 'all');
    expect(await world.stores.links.join(await received(userId, all), itemId)).toBe('joined');
    expect(await itemRow(itemId)).toMatchObject({ unconnected: false, due: true });
    expect(await world.stores.mining.beginPage(itemId, 'u', 0)).toMatchObject({ kind: 'fetch' });
    expect(await runUpdate(world, { itemId, userId }, [{}])).toMatchObject({ kind: 'applied' });
  });

  it('is removed after its time, unless the user owes a float, or somebody is connected', async () => {
    const { connectionEnds, floats } = world.stores;
    const week = 7 * 86_400_000;
    const [waits, owes, joined, early] = [
      await unconnected(),
      await unconnected(),
      await unconnected(),
      await unconnected(),
    ];
    for (const { itemId } of [waits, owes, joined]) {
      await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ${itemId}`;
    }
    await floats.record({ userId: owes.userId, floatId: 'f', status: 'active', occurredAt: null, by: null });
    const applicationId = await newApplication(world);
    const join = await received(joined.userId, applicationId);
    // A grant that is on its way when the sweep looks.
    let ends: Awaited<ReturnType<typeof connectionEnds.requestRemovals>> | undefined;
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${joined.itemId} FOR NO KEY UPDATE`;
      ends = await connectionEnds.requestRemovals(100, week);
      const to = { itemId: joined.itemId, userId: joined.userId, applicationId };
      await grantConnection(tx, to, grant(), nobody);
    });
    const ids = (found: { itemId: string }[] = []) => found.map(({ itemId }) => itemId);
    expect([ids(ends?.requested), ids(ends?.kept)]).toEqual([[waits.itemId], [owes.itemId]]);
    expect((await connectionEnds.requestRemovals(100, week)).requested).toEqual([]);
    expect(await world.stores.links.join(join, joined.itemId)).toBe('duplicate');
    const asked = await Promise.all([waits, owes, joined, early].map(({ itemId }) => itemRow(itemId)));
    expect(asked.map((row) => row.asked)).toEqual([true, false, false, false]);
    await floats.record({ userId: owes.userId, floatId: 'f', status: 'closed', occurredAt: null, by: null });
    expect(ids((await connectionEnds.requestRemovals(100, week)).requested)).toEqual([owes.itemId]);
    expect(await connectionEnds.requestRemovals(100, week)).toEqual({
      requested: [],
      kept: [],
      fault: null,
    });
  });

  it('that may not go hides none of those behind it', async () => {
    const [owes, behind] = [await unconnected(), await unconnected()];
    await world.stores.floats.record({
      userId: owes.userId,
      floatId: 'f',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    await world.sql`UPDATE items SET unconnected_since = now() - interval '9 days' WHERE item_id = ${owes.itemId}`;
    await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ${behind.itemId}`;
    const { connectionEnds } = world.stores;
    const first = await connectionEnds.requestRemovals(1, 7 * 86_400_000);
    const second = await connectionEnds.requestRemovals(1, 7 * 86_400_000);
    expect([first.kept.length, second.requested.map(({ itemId }) => itemId)]).toEqual([1, [behind.itemId]]);
    await world.stores.floats.record({
      userId: owes.userId,
      floatId: 'f',
      status: 'closed',
      occurredAt: null,
      by: null,
    });
    await connectionEnds.requestRemovals(1, 7 * 86_400_000);
  });
});

describe('an Item whose rows the database does not write', () => {
  it.each(['23514', 'XX001'])('holds up the ends of no other (%s)', async (code) => {
    const { connectionEnds } = world.stores;
    const [bad, good] = [await connectedItem(), await connectedItem()];
    const [staying, following] = [await connectedItem(), await connectedItem()];
    const expires = (item: { itemId: string }, at: string) =>
      world.sql`UPDATE connections SET expires_at = ${at} WHERE item_id = ${item.itemId}`;
    await expires(bad, inDays(-2));
    await expires(good, inDays(-1));
    await expires(staying, inDays(0.5));
    await expires(following, inDays(0.6));
    const refused = {
      statements: ['UPDATE ON connections', 'UPDATE ON items'],
      rows: `NEW.item_id IN ('${bad.itemId}', '${staying.itemId}')`,
      code,
    };
    await whileRefused(world.sql, refused, async () => {
      expect(await connectionEnds.noteExpired(100)).toMatchObject({
        ended: [{ itemId: good.itemId }],
        fault: expect.any(Failure),
      });
      expect(await eventsOf(good.itemId)).toContain('connection.expired');
      await expect(connectionEnds.reportExpiring(100)).rejects.toBeInstanceOf(Failure);
      expect(await eventsOf(following.itemId)).toContain('connection.expiring');
      await world.sql`ALTER TABLE items DISABLE TRIGGER refuse`;
      await world.sql`UPDATE items SET unconnected_since = ${inDays(-20)} WHERE item_id = ${bad.itemId}`;
      await world.sql`UPDATE items SET unconnected_since = ${inDays(-10)} WHERE item_id = ${good.itemId}`;
      await world.sql`ALTER TABLE items ENABLE TRIGGER refuse`;
      const { fault } = await connectionEnds.requestRemovals(100, 7 * 86_400_000);
      expect(fault).toBeInstanceOf(Failure);
      expect(await itemRow(good.itemId)).toMatchObject({ asked: true });
    });
    expect(await connectionEnds.noteExpired(100)).toEqual({ ended: [], fault: null });
    await connectionEnds.reportExpiring(100);
    await connectionEnds.requestRemovals(100, 7 * 86_400_000);
  });
});

it('many Items whose rows the database does not write, the first of all each time, hold up the end of no other', async () => {
  const { connectionEnds } = world.stores;
  const bad = [];
  for (let n = 0; n < 6; n += 1) bad.push((await connectedItem()).itemId);
  const good = await connectedItem();
  await world.sql`UPDATE connections SET expires_at = ${inDays(-2)} WHERE item_id = ANY(${bad})`;
  await world.sql`UPDATE connections SET expires_at = ${inDays(-1)} WHERE item_id = ${good.itemId}`;
  const refused = { statements: ['UPDATE ON connections'], rows: `NEW.item_id <> '${good.itemId}'` };
  await whileRefused(world.sql, refused, async () => {
    expect(await connectionEnds.noteExpired(100)).toMatchObject({
      ended: [{ itemId: good.itemId }],
      fault: expect.any(Failure),
    });
    expect(await eventsOf(good.itemId)).toContain('connection.expired');
  });
  expect((await connectionEnds.noteExpired(100)).ended).toHaveLength(6);
});

describe('the end of a connection by time', () => {
  it('is written down and told once, and stops the mining when it was the last', async () => {
    const item = await connectedItem({ connection: grant({ expires_at: inDays(400) }) });
    const second = await newApplication(world);
    await world.stores.links.join(
      await received(item.userId, second, { connection: grant({ expires_at: inDays(300) }) }),
      item.itemId,
    );
    const { connectionEnds } = world.stores;
    const pass = (applicationId: string) =>
      world.sql`UPDATE connections SET expires_at = now() - interval '1 s'
        WHERE item_id = ${item.itemId} AND application_id = ${applicationId}`;
    await pass(second);
    expect(await connectionEnds.noteExpired(100)).toEqual({ ended: [], fault: null });
    expect(await itemRow(item.itemId)).toMatchObject({ unconnected: false });
    await pass(item.applicationId);
    // Two sweeps at once.
    const both = await Promise.all([connectionEnds.noteExpired(100), connectionEnds.noteExpired(100)]);
    expect(both.flatMap(({ ended }) => ended)).toEqual([{ itemId: item.itemId, userId: item.userId }]);
    expect(await connectionEnds.noteExpired(100)).toEqual({ ended: [], fault: null });
    const ended = (await eventsOf(item.itemId)).filter((type) => type === 'connection.expired');
    expect(ended).toHaveLength(2);
    expect(await itemRow(item.itemId)).toMatchObject({ unconnected: true });
    const [first] = await connectionsOf(item.itemId);
    expect(await historyOf(first?.connection_id ?? '')).toEqual(['created', 'expired']);
  });

  it('waits for nobody who holds connections, be they many: the others are written down and told', async () => {
    const { connectionEnds } = world.stores;
    const held: string[] = [];
    for (let n = 0; n < 6; n += 1) held.push((await connectedItem()).itemId);
    const free = await connectedItem();
    const expire = (itemIds: readonly string[], at: string) =>
      world.sql`UPDATE connections SET expires_at = ${at} WHERE item_id = ANY(${[...itemIds]})`;
    const holding = (work: () => Promise<unknown>) =>
      world.sql.begin(async (tx) => {
        await tx`SELECT FROM connections WHERE item_id = ANY(${held}) FOR UPDATE`;
        return work();
      });
    await expire(held, inDays(0.4));
    await expire([free.itemId], inDays(0.5));
    await holding(() => connectionEnds.reportExpiring(1_000));
    expect((await eventsOf(free.itemId)).at(-1)).toBe('connection.expiring');
    for (const itemId of held) expect((await eventsOf(itemId)).at(-1)).toBe('connection.created');
    await expire(held, inDays(-2));
    await expire([free.itemId], inDays(-1));
    expect(await holding(() => connectionEnds.noteExpired(1_000))).toMatchObject({
      ended: [{ itemId: free.itemId }],
      fault: null,
    });
    expect(await eventsOf(free.itemId)).toContain('connection.expired');
    expect((await connectionEnds.noteExpired(1_000)).ended).toHaveLength(held.length);
  });

  it('waits for nobody who holds one of the Items: the others are written down, told and removed', async () => {
    const { connectionEnds } = world.stores;
    const items = [await connectedItem(), await connectedItem()].map(({ itemId }) => itemId);
    const [held = '', free = ''] = items;
    const set = (expiresAt: string, unconnectedSince: string | null = null) =>
      world.sql.begin(async (tx) => {
        await tx`UPDATE connections SET expires_at = ${expiresAt} WHERE item_id = ANY(${items})`;
        await tx`UPDATE connections SET expires_at = expires_at - interval '1 s' WHERE item_id = ${held}`;
        await tx`UPDATE items SET unconnected_since = ${unconnectedSince}::text::timestamptz WHERE item_id = ANY(${items})`;
        await tx`UPDATE items SET unconnected_since = unconnected_since - interval '1 s' WHERE item_id = ${held}`;
      });
    const told = async () => {
      const rows = await world.sql<{ item_id: string }[]>`
        SELECT item_id FROM events WHERE item_id = ANY(${items}) AND type = 'connection.expiring' ORDER BY position`;
      return rows.map(({ item_id }) => item_id);
    };
    const remove = async () => (await connectionEnds.requestRemovals(1_000, 7 * 86_400_000)).requested;
    const expire = async () => (await connectionEnds.noteExpired(1_000)).ended;
    const ours = (found: { itemId: string }[]) =>
      found.map(({ itemId }) => itemId).filter((id) => items.includes(id));
    const holding = <T>(lock: 'items' | 'users', work: () => Promise<T>): Promise<T> =>
      world.sql.begin(async (tx) => {
        await tx`SELECT FROM items WHERE item_id = ${held} AND ${lock === 'items'} FOR UPDATE`;
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM items WHERE item_id = ${held}) AND ${lock === 'users'} FOR UPDATE`;
        return work();
      }) as Promise<T>;

    await set(inDays(5));
    await holding('items', () => connectionEnds.reportExpiring(1_000));
    expect(await told()).toEqual([free]);
    await connectionEnds.reportExpiring(1_000);
    expect(await told()).toEqual([free, held]);
    await set(inDays(-8));
    expect(ours(await holding('items', expire))).toEqual([free]);
    expect(ours(await expire())).toEqual([held]);
    for (const lock of ['items', 'users'] as const) {
      await world.sql`UPDATE items SET removal_requested_at = NULL WHERE item_id = ANY(${items})`;
      await set(inDays(-8), inDays(-8));
      expect(ours(await holding(lock, remove))).toEqual([free]);
      expect(ours(await remove())).toEqual([held]);
    }
  });

  it.each(['renewed', 'updated', 'revoked'] as const)(
    'stands in its history before what is done to it since, noted by nobody till then: %s',
    async (action) => {
      const item = await connectedItem({ connection: grant({ expires_at: inDays(9) }) });
      const [{ connection_id = '' } = {}] = await connectionsOf(item.itemId);
      const { connections, connectionEnds } = world.stores;
      const sight = { applicationId: item.applicationId, access: 'connected' } as const;
      await world.sql`UPDATE connections SET expires_at = now() - interval '1 s' WHERE connection_id = ${connection_id}`;
      const may = { mayWiden: false, actor: nobody };
      if (action === 'renewed') await connections.renew(sight, connection_id, inDays(90), { actor: nobody });
      else if (action === 'revoked') await connections.revoke(sight, connection_id, { actor: nobody });
      else await connections.change(sight, connection_id, { scopes: ['accounts'] }, may);
      expect(await historyOf(connection_id)).toEqual(['created', 'expired', action]);
      expect(await eventsOf(item.itemId)).toEqual([
        ...['connection.created', 'connection.expired', `connection.${action}`],
      ]);
      expect(await itemRow(item.itemId)).toMatchObject({ unconnected: action !== 'renewed' });
      await connectionEnds.noteExpired(100);
      expect(await historyOf(connection_id)).toHaveLength(3);
    },
  );

  it('is told 30, 7 and 1 days before, each once, and not where it was as near from the beginning', async () => {
    const item = await connectedItem({ connection: grant({ expires_at: inDays(90) }) });
    const short = await connectedItem({ connection: grant({ expires_at: inDays(5) }) });
    const { connectionEnds } = world.stores;
    const told = async ({ itemId }: { itemId: string }) => {
      await connectionEnds.reportExpiring(100);
      await connectionEnds.reportExpiring(100);
      const rows = await world.sql<{ days: number }[]>`
        SELECT (data->>'days')::int AS days FROM events
        WHERE item_id = ${itemId} AND type = 'connection.expiring' ORDER BY position`;
      return rows.map(({ days }) => days);
    };
    const left = ({ itemId }: { itemId: string }, days: number) =>
      world.sql`UPDATE connections SET expires_at = now() + ${`${days} days`}::interval WHERE item_id = ${itemId}`;
    expect(await told(item)).toEqual([]);
    await left(item, 29);
    expect(await told(item)).toEqual([30]);
    await left(item, 7);
    expect(await told(item)).toEqual([30, 7]);
    await left(item, 0.5);
    expect(await told(item)).toEqual([30, 7, 1]);
    expect(await told(short)).toEqual([]);
    await left(short, 1);
    expect(await told(short)).toEqual([1]);
  });
});

describe('a revocation at the bank', () => {
  const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };

  it('suspends what was over by time then, and is renewed: by a client, by a change of its end, by another Link', async () => {
    const { stores, sql } = world;
    const renewals: ((
      sight: { applicationId: string; access: 'connected' },
      id: string,
    ) => Promise<unknown>)[] = [
      (sight, id) => stores.connections.renew(sight, id, inDays(90), { actor: nobody }),
      (sight, id) =>
        stores.connections.change(sight, id, { expires_at: inDays(90) }, { mayWiden: true, actor: nobody }),
    ];
    for (const renew of renewals) {
      const item = await connectedItem();
      const [{ connection_id = '' } = {}] = await connectionsOf(item.itemId);
      await sql`UPDATE connections SET expires_at = clock_timestamp() WHERE connection_id = ${connection_id}`;
      const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await stores.items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
      expect((await connectionsOf(item.itemId))[0]?.status).toBe('expired');
      await renew({ applicationId: item.applicationId, access: 'connected' }, connection_id);
      expect((await connectionsOf(item.itemId))[0]?.status).toBe('suspended');
      expect((await historyOf(connection_id)).slice(-2)).toEqual(['renewed', 'suspended']);
      expect((await eventsOf(item.itemId)).at(-1)).toBe('connection.suspended');
    }
  });

  it('suspends every connection with it, in its transaction, by a webhook and by a call alike', async () => {
    for (const way of ['webhook', 'call'] as const) {
      const item = await connectedItem();
      const second = await connectedTo(item);
      const { items, itemCommands } = world.stores;
      const [{ at: before }] = await world.sql<[{ at: string }]>`SELECT clock_timestamp()::text AS at`;
      if (way === 'call') {
        await items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
      } else {
        const seen = await seenNow(world, item.itemId);
        const broken = { kind: 'broken', seen, error: gone, byCall: false } as const;
        await items.applyItemWebhooks(item.itemId, {
          ...saysNothing,
          health: { ...broken, dueAt: inDays(1), consent: null },
          revocation: 'confirmed',
        });
      }
      const statuses = async () => (await connectionsOf(item.itemId)).map(({ status }) => status);
      expect(await statuses()).toEqual(['suspended', 'suspended']);
      const viewer = (applicationId: string) => ({ applicationId, access: 'connected' }) as const;
      const updateMode = async (applicationId: string, picked = before) => {
        await itemCommands.noteUpdateMode(viewer(applicationId), item.itemId, picked);
        return itemCommands.resumeConnection(item.itemId, by(applicationId));
      };
      const now = async () => (await world.sql<[{ at: string }]>`SELECT clock_timestamp()::text AS at`)[0].at;
      // Not while the bank refuses the Item, and then for the application whose user has been there since alone.
      expect(await updateMode(second, await now())).toBe(false);
      await world.sql`UPDATE connections SET relink_began_at = NULL WHERE item_id = ${item.itemId}`;
      await items.setHealthy(item.itemId, await seenNow(world, item.itemId));
      expect(await statuses()).toEqual(['suspended', 'suspended']);
      expect(await itemCommands.resumeConnection(item.itemId, by(second))).toBe(false);
      expect(await updateMode(second, before)).toBe(false);
      expect(await updateMode(second, await now())).toBe(true);
      expect(await itemCommands.resumeConnection(item.itemId, by(second))).toBe(false);
      expect(await itemCommands.resumeConnection(item.itemId, by(item.applicationId))).toBe(false);
      expect(await statuses()).toEqual(['suspended', 'active']);
      expect(await eventsOf(item.itemId)).toEqual([
        ...['connection.created', 'connection.created', 'connection.suspended', 'connection.suspended'],
        'connection.resumed',
      ]);
    }
  });
});
