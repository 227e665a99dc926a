import type { EventType } from '../../domain/exchange/event.js';
import type { EventBody } from '../../domain/exchange/eventBody.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import type { EventPlace } from '../../domain/ports/events.js';
import { revokeConnections, suspendConnections } from '../../drizzle/stores/connectionWrites.js';
import { writeEvents } from '../../drizzle/stores/writeEvents.js';
import { page as pageOf, told as toldOf } from './eventFeed.js';
import type { Reader } from './eventFeed.js';
import { writtenEvents } from './eventSchemas.js';
import { anyActor, connect, newApplication, underLock } from './granting.js';
import type { TestItem, World } from './world.js';
import {
  account,
  linkedItem,
  lockWaiters,
  newId,
  openWorld,
  prompt,
  runUpdate,
  saysNothing,
  transaction,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const page = (reader: Reader, after: EventPlace | null, limit?: number) =>
  pageOf(world, reader, after, limit);
const told = (reader: Reader, after?: EventPlace | null, limit?: number, types?: EventType[]) =>
  toldOf(world, reader, after, limit, types);
const typesOf = (events: EventBody[]): string[] => events.map(({ type }) => type);
const eventsOf = async ({ itemId }: TestItem): Promise<EventBody[]> =>
  (await writtenEvents(world.sql)).filter(({ data }) => data['item_id'] === itemId);

describe('what an Item tells', () => {
  it('its linking, its first data and the end of its history, each once', async () => {
    const item = await linkedItem(world);
    const ids = { item_id: item.itemId, user_id: item.userId };
    const added = [transaction('t1'), transaction('t2')];
    await runUpdate(world, item, [{}], { history: 'none' });
    await runUpdate(world, item, [{ added }], { history: 'initial' });
    await runUpdate(world, item, [{ modified: [transaction('t1', { amount: 1 })] }], { history: 'initial' });
    await runUpdate(world, item, [{ removed: [{ transaction_id: 't2', account_id: 'acc-1' }] }]);
    // Nothing new: nothing is told, and nothing is written.
    await runUpdate(world, item, [{ modified: [transaction('t1', { amount: 1 })] }]);
    const events = await eventsOf(item);
    expect(events.map(({ type, data }) => [type, data])).toEqual([
      ['item.linked', ids],
      [
        'item.updated',
        { ...ids, added: 0, modified: 0, removed: 0, accounts: 1, from_sequence: 1, to_sequence: 1 },
      ],
      [
        'item.updated',
        { ...ids, added: 2, modified: 0, removed: 0, accounts: 0, from_sequence: 2, to_sequence: 3 },
      ],
      ['item.ready', { ...ids, history: 'initial' }],
      [
        'item.updated',
        { ...ids, added: 0, modified: 1, removed: 0, accounts: 0, from_sequence: 4, to_sequence: 4 },
      ],
      [
        'item.updated',
        { ...ids, added: 0, modified: 0, removed: 1, accounts: 0, from_sequence: 5, to_sequence: 5 },
      ],
      ['item.history_complete', ids],
    ]);
    expect(events[0]).toMatchObject({
      specversion: '1.0',
      source: `/sluice/items/${item.itemId}`,
      subject: item.itemId,
    });
  });

  it('that an item without transactions can be read once its accounts are there, and when it gets some after all', async () => {
    const item = await linkedItem(world);
    const ids = { item_id: item.itemId, user_id: item.userId };
    const none = { history: null, transactionsUnavailable: true } as const;
    const ready = async () =>
      (await eventsOf(item)).filter(({ type }) => type === 'item.ready').map(({ data }) => data);
    await runUpdate(world, item, [{}], { ...none, accounts: [], accountsRefused: true });
    expect(await ready()).toEqual([]);
    await runUpdate(world, item, [{}], none);
    await runUpdate(world, item, [{}], none);
    expect(await ready()).toEqual([{ ...ids, history: 'none' }]);
    // Who is connected with it then hears it, too.
    await connect(world, item, await newApplication(world));
    expect(await ready()).toEqual([
      { ...ids, history: 'none' },
      { ...ids, history: 'none' },
    ]);
    await runUpdate(world, item, [{ added: [transaction('t1')] }], { history: 'initial' });
    expect((await ready()).at(-1)).toEqual({ ...ids, history: 'initial' });
  });

  it('that an item can be read whose rows come under a status that nobody knows', async () => {
    const item = await linkedItem(world);
    const ready = async () => (await eventsOf(item)).filter(({ type }) => type === 'item.ready');
    await runUpdate(world, item, [{}], { history: null });
    expect(await ready()).toEqual([]);
    await runUpdate(world, item, [{ added: [transaction('t1')] }, {}], { history: null });
    await runUpdate(world, item, [{}], { history: null });
    expect(await ready()).toMatchObject([{ data: { history: 'initial' } }]);
  });

  it('every change of its records, whoever makes it, in ranges without gaps', async () => {
    const item = await linkedItem(world);
    const { itemId } = item;
    const both = { accounts: [account('acc-1'), account('acc-2', { name: 'Saving', mask: '1111' })] };
    await runUpdate(world, item, [{ added: [transaction('t1'), transaction('t2')] }], both);
    await world.stores.itemCommands.setMainAccount(ourselves, itemId, 'acc-2');
    await world.stores.webhooks.store(
      webhook(itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: ['t1'] }),
    );
    await prompt(world).settleRemovals(itemId, ['t1'], ['t1']);
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await prompt(world).setBroken(itemId, error, '2030-01-01T00:00:00Z');
    await prompt(world).setBroken(itemId, error, '2030-01-01T00:00:00Z');
    await prompt(world).setHealthy(itemId);
    await prompt(world).setHealthy(itemId);
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    await world.stores.items.finishRemoval(itemId);
    await world.stores.items.finishRemoval(itemId);
    const events = await eventsOf(item);
    expect(typesOf(events)).toEqual([
      'item.linked',
      'item.updated',
      'item.ready',
      'item.history_complete',
      'item.updated',
      'item.updated',
      'item.needs_relink',
      'item.repaired',
      'item.updated',
      'item.removed',
    ]);
    expect(events.find(({ type }) => type === 'item.needs_relink')?.data).toMatchObject(error);
    let last = 0;
    for (const { data } of events.filter(({ type }) => type === 'item.updated')) {
      expect(data['from_sequence']).toBe(last + 1);
      last = data['to_sequence'] as number;
    }
    const [row] = await world.sql`SELECT last_sequence::int AS last FROM items WHERE item_id = ${itemId}`;
    expect(row?.['last']).toBe(last);
  });

  it('an end of the consent once, however often it is announced, and new accounts once until they are shared', async () => {
    const item = await linkedItem(world);
    const announce = (at: string | null, newAccounts: boolean, byBank = false) =>
      world.stores.items.applyItemWebhooks(item.itemId, {
        ...saysNothing,
        consentExpiresAt: byBank ? null : at,
        disconnects: byBank ? { at } : null,
        newAccounts,
      });
    await announce('2030-01-02T00:00:00.000Z', false);
    await announce('2030-01-02T00:00:00.000Z', true);
    await announce(null, true);
    // The other webhook that announces an end (PENDING_DISCONNECT).
    await announce('2030-02-02T00:00:00.000Z', false, true);
    await world.stores.itemCommands.noteRelinked(ourselves, item.itemId);
    await announce(null, true);
    expect((await eventsOf(item)).slice(1).map(({ type, data }) => [type, data['expires_at']])).toEqual([
      ['item.consent_expiring', '2030-01-02T00:00:00.000Z'],
      ['item.new_accounts', undefined],
      ['item.consent_expiring', '2030-02-02T00:00:00.000Z'],
      ['item.new_accounts', undefined],
    ]);
  });
});

describe('a cursor among the events', () => {
  it('misses no event that commits after younger ones, where a plain one does', async () => {
    const item = await linkedItem(world);
    const about = {
      itemId: item.itemId,
      userId: item.userId,
      data: { item_id: item.itemId, user_id: item.userId },
    };
    const { place } = await told(ourselves);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let written = (): void => undefined;
    const isWritten = new Promise<void>((resolve) => {
      written = resolve;
    });
    const late = world.sql.begin(async (tx) => {
      await writeEvents(tx, [{ ...about, type: 'item.repaired' }]);
      written();
      await held;
    });
    await isWritten;
    await world.sql.begin((tx) => writeEvents(tx, [{ ...about, type: 'item.new_accounts' }]));

    // What a reader sees that goes by the position alone, and thinks that everything before it was there.
    const plain = await world.sql<
      { position: string }[]
    >`SELECT position FROM events ORDER BY position DESC LIMIT 1`;
    const meanwhile = await page(ourselves, place);
    expect(meanwhile.events).toEqual([]);
    release();
    await late;
    const missed = await world.sql`SELECT FROM events WHERE position > ${plain[0]?.position ?? 0}`;
    expect(missed).toHaveLength(0);

    const { events } = await told(ourselves, meanwhile.next);
    expect(typesOf(events)).toEqual(['item.repaired', 'item.new_accounts']);
  });

  it('keeps the order of an Item’s changes, also where one had begun before the others and waited', async () => {
    const reader = await newApplication(world);
    const { userId } = await linkedItem(world, { itemId: newId('item-1') });
    const first = { userId, itemId: newId('item-2') };
    const second = { userId, itemId: newId('item-3') };
    for (const { itemId } of [first, second])
      await linkedItem(world, { userId, itemId, institutionId: itemId });
    await connect(world, first, reader);
    const connectionId = await connect(world, second, reader);
    const { connections } = world.stores;
    let ending: Promise<unknown> = Promise.resolve();
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${first.itemId} FOR NO KEY UPDATE`;
      // It has written already when it waits for the first Item, and not yet locked the second.
      ending = connections.revokeOfUser(userId, { actor: anyActor });
      await lockWaiters(world, 1);
      const sight = { ...ourselves, access: 'all' } as const;
      const changes = { lookback_days: 30 };
      await connections.change(sight, connectionId, changes, { mayWiden: true, actor: anyActor });
    });
    await ending;
    const { events } = await told(reader);
    expect(typesOf(events.filter(({ subject }) => subject === connectionId))).toEqual([
      'connection.created',
      'connection.updated',
      'connection.revoked',
    ]);
  });

  it('goes through writers at once: every event once, those of an Item in their order', async () => {
    const items = await Promise.all([1, 2, 3, 4].map(() => linkedItem(world)));
    let { place } = await told(ourselves);
    let writing = true;
    const writes = Promise.all(
      items.map(async (item) => {
        for (let n = 1; n <= 15; n += 1) await runUpdate(world, item, [{ added: [transaction(`t${n}`)] }]);
      }),
    ).finally(() => {
      writing = false;
    });
    const read: EventBody[] = [];
    while (writing) {
      const found = await page(ourselves, place, 7);
      read.push(...found.events);
      place = found.next;
    }
    await writes;
    read.push(...(await told(ourselves, place, 7)).events);
    expect(new Set(read.map(({ id }) => id)).size).toBe(read.length);
    for (const item of items) {
      const own = read.filter(({ data }) => data['item_id'] === item.itemId);
      expect(own.map(({ id }) => id)).toEqual((await eventsOf(item)).slice(1).map(({ id }) => id));
    }
  });

  it('goes on behind what is for others, however much that is', async () => {
    const reader = await newApplication(world);
    const { place } = await told(reader);
    await world.sql`
      INSERT INTO events (event_id, type, user_id, data)
      SELECT 'evt_' || gen_random_uuid(), 'user.erased', NULL, '{"erasure_id": "e", "user_hash": "h"}'
      FROM generate_series(1, 4100)`;
    const item = await linkedItem(world);
    await connect(world, item, reader);
    let first = await page(reader, place);
    while (!first.hasMore) first = await page(reader, place);
    expect(first).toMatchObject({ events: [], hasMore: true });
    expect(typesOf((await told(reader, place)).events)).toEqual(['connection.created']);
  });

  it('of a database that was set back is lost', async () => {
    const { place } = await told(ourselves);
    const ahead = { xid: String(BigInt(place.xid) + 1_000_000n), position: '0' };
    expect(await world.stores.events.page({ ...ourselves, consent: false }, ahead, null, 10)).toBe('lost');
  });
});

describe('an application hears', () => {
  const revoke = (item: TestItem, connectionId: string) =>
    underLock(world, item.itemId, (tx) => revokeConnections(tx, item.itemId, connectionId, anyActor));
  const update = (item: TestItem, id: string) => runUpdate(world, item, [{ added: [transaction(id)] }]);
  const itemTypes = (events: EventBody[]) => typesOf(events).filter((type) => type.startsWith('item.'));

  it('of an Item from the moment of its connection to that of its end, and of its connection always', async () => {
    const [reader, other] = [await newApplication(world), await newApplication(world)];
    const item = await linkedItem(world);
    await update(item, 'before');
    const connectionId = await connect(world, item, reader);
    await update(item, 'after');
    const since = await told(reader);
    expect(typesOf(since.events)).toEqual(['connection.created', 'item.ready', 'item.updated']);
    expect(since.events[1]?.data).toMatchObject({ history: 'complete' });
    expect(since.events[0]?.subject).toBe(connectionId);
    expect((await told(other)).events).toEqual([]);

    await revoke(item, connectionId);
    await update(item, 'later');
    expect(typesOf((await told(reader, since.place)).events)).toEqual(['connection.revoked']);
    // From the beginning too.
    expect(typesOf((await told(reader)).events)).toEqual(['connection.created', 'connection.revoked']);
  });

  it('nothing of the Item while the connection is suspended or over by time', async () => {
    const reader = await newApplication(world);
    const item = await linkedItem(world);
    const connectionId = await connect(world, item, reader);
    await update(item, 't1');
    const suspend = (suspended: boolean) =>
      underLock(world, item.itemId, (tx) => suspendConnections(tx, item.itemId, suspended, null, anyActor));
    await suspend(true);
    expect(itemTypes((await told(reader)).events)).toEqual([]);
    await suspend(false);
    expect(itemTypes((await told(reader)).events)).toEqual([
      'item.updated',
      'item.ready',
      'item.history_complete',
    ]);
    await world.sql`
      UPDATE connections SET expires_at = clock_timestamp() - interval '1 second' WHERE connection_id = ${connectionId}`;
    expect(itemTypes((await told(reader)).events)).toEqual([]);
  });

  it('nothing of the Item while it is granted nothing; who is granted later accounts alone hears of them', async () => {
    const item = await linkedItem(world);
    const [none, later] = [await newApplication(world), await newApplication(world)];
    await connect(world, item, none, { account_ids: [], new_accounts: false });
    await connect(world, item, later, { account_ids: [], new_accounts: true });
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    expect(itemTypes((await told(none)).events)).toEqual([]);
    expect(itemTypes((await told(later)).events)).toContain('item.updated');
  });

  it('that an Item was removed, also where its connection ended with it', async () => {
    const [reader, left] = [await newApplication(world), await newApplication(world)];
    const item = await linkedItem(world);
    await connect(world, item, reader);
    await revoke(item, await connect(world, item, left));
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    await underLock(world, item.itemId, (tx) =>
      revokeConnections(tx, item.itemId, null, { ...anyActor, initiator: 'item' }),
    );
    await world.stores.items.finishRemoval(item.itemId);
    expect(itemTypes((await told(reader)).events)).toEqual(['item.removed']);
    expect(itemTypes((await told(left)).events)).toEqual([]);
  });

  it('how much has changed only where it may see all of it', async () => {
    const item = await linkedItem(world);
    const grants = [
      [{}, true],
      [{ scopes: ['accounts' as const] }, false],
      [{ scopes: ['accounts' as const, 'transactions' as const] }, true],
      [{ account_ids: ['acc-1'] }, false],
      [{ lookback_days: 30 }, false],
    ] as const;
    const readers = await Promise.all(
      grants.map(async ([grant, counted]) => {
        const reader = await newApplication(world);
        await connect(world, item, reader, { ...grant } as Parameters<typeof connect>[3]);
        return { reader, counted };
      }),
    );
    await update(item, 't1');
    for (const { reader, counted } of [...readers, { reader: ourselves, counted: true }]) {
      const { events } = await told(reader, null, 100, ['item.updated']);
      const own = events.filter(({ data }) => data['item_id'] === item.itemId);
      expect(own.map(({ data }) => [data['added'], data['to_sequence']])).toEqual([
        [counted ? 1 : undefined, 2],
      ]);
    }
  });

  it("of every application's connections with the scope consent, of its own endpoints, and else of nobody's", async () => {
    const [one, two] = [await newApplication(world), await newApplication(world)];
    const all = await newApplication(world, 'all');
    const item = await linkedItem(world);
    await connect(world, item, one);
    const endpointId = newId('end');
    await world.sql`
      INSERT INTO endpoints (endpoint_id, application_id, url, types, signature, secret_key_id, secret_data_key, secret_ciphertext)
      VALUES (${endpointId}, ${one.applicationId}, 'https://client.example', '{}', 'hmac', 'k', '', '')`;
    await world.sql.begin((tx) =>
      writeEvents(tx, [{ type: 'endpoint.recovered', endpointId, data: { endpoint_id: endpointId } }]),
    );
    const ofOne = ({ data }: EventBody) =>
      data['item_id'] === item.itemId || data['endpoint_id'] === endpointId;
    const hears = async (reader: Reader) => typesOf((await told(reader)).events.filter(ofOne));
    expect(await hears(one)).toEqual(['connection.created', 'endpoint.recovered']);
    expect(await hears(two)).toEqual([]);
    expect(await hears({ ...two, consent: true })).toEqual(['connection.created']);
    expect(await hears(all)).toEqual(['item.linked']);
    // The same goes for what is sent: the endpoint was told of the Item's next change, and of its own recovery.
    await update(item, 't1');
    const rows = await world.sql<{ type: string }[]>`
      SELECT type FROM deliveries WHERE endpoint_id = ${endpointId} ORDER BY position`;
    expect(rows.map(({ type }) => type)).toEqual([
      'endpoint.recovered',
      'item.updated',
      'item.ready',
      'item.history_complete',
    ]);
  });
});

describe('deliveries that two change at once', () => {
  const holder = 'a sender';
  const attempted = (ids: string[], status: number) =>
    ids.map((deliveryId) => ({
      deliveryId,
      url: 'https://client.example',
      judgedSince: null,
      result: {
        at: '2026-11-21T07:00:00.000Z',
        durationMs: 1,
        status,
        failure: null,
        retryAfterMs: null,
        answer: null,
      },
    }));

  /** An endpoint with forty deliveries about one Item; those of `state` pending are taken. */
  async function waiting(state: 'pending' | 'failed', direction: 1 | -1) {
    const { sql } = world;
    const reader = await newApplication(world);
    const item = await linkedItem(world);
    const connectionId = await connect(world, item, reader);
    const endpointId = newId('end');
    await sql`
      INSERT INTO endpoints (endpoint_id, application_id, url, types, signature, secret_key_id, secret_data_key,
        secret_ciphertext)
      VALUES (${endpointId}, ${reader.applicationId}, 'https://client.example', '{item.updated}', 'hmac', 'k', '', '')`;
    await sql.begin((tx) =>
      writeEvents(
        tx,
        Array.from({ length: 40 }, () => ({
          type: 'item.updated' as const,
          itemId: item.itemId,
          userId: item.userId,
          data: { item_id: item.itemId, user_id: item.userId, accounts: 0, from_sequence: 1, to_sequence: 1 },
        })),
      ),
    );
    await sql`
      UPDATE events SET time = time + ${direction} * position * interval '1 ms' WHERE item_id = ${item.itemId} AND type = 'item.updated'`;
    const rows = await sql<{ id: string }[]>`
      UPDATE deliveries SET state = ${state}, claim = ${holder}, claimed_until = now() + interval '1 hour',
        next_attempt_at = now() + interval '1 hour' WHERE endpoint_id = ${endpointId} RETURNING delivery_id AS id`;
    const ids = (
      await sql<{ id: string }[]>`
      SELECT delivery_id AS id FROM deliveries WHERE endpoint_id = ${endpointId} ORDER BY position * ${direction}`
    ).map(({ id }) => id);
    expect(rows).toHaveLength(40);
    return { endpointId, connectionId, ids, applicationId: reader.applicationId };
  }
  type Waiting = Awaited<ReturnType<typeof waiting>>;

  const all = { since: '2000-01-01T00:00:00Z', until: null, types: [], missingOnly: false };
  const changes = {
    'a success': ({ endpointId, ids }) =>
      world.stores.sending.record(endpointId, holder, attempted(ids, 200)),
    'a failure': ({ endpointId, ids }) =>
      world.stores.sending.record(endpointId, holder, attempted(ids, 500)),
    'a release': ({ ids }) => world.stores.sending.release(holder, ids),
    'what is put off': ({ endpointId }) => world.stores.sending.nextDue(endpointId),
    'a revocation': ({ connectionId }) =>
      world.stores.connections.revoke({ ...ourselves, access: 'all' }, connectionId, { actor: anyActor }),
    'an endpoint that is on': ({ endpointId, applicationId }) =>
      world.stores.endpoints.change(applicationId, endpointId, { state: 'enabled' }),
    'a recovery': ({ endpointId, applicationId }) =>
      world.stores.deliveries.recover(applicationId, endpointId, all, null),
    'a replay': ({ endpointId, applicationId }) =>
      world.stores.deliveries.replay(applicationId, endpointId, all, null),
  } satisfies Record<string, (of: Waiting) => Promise<unknown>>;

  it.each<[keyof typeof changes, keyof typeof changes, 'pending' | 'failed']>([
    ['a success', 'a revocation', 'pending'],
    ['a failure', 'a revocation', 'pending'],
    ['a release', 'a revocation', 'pending'],
    ['a success', 'an endpoint that is on', 'pending'],
    ['an endpoint that is on', 'a revocation', 'pending'],
    ['what is put off', 'a revocation', 'pending'],
    ['a replay', 'a recovery', 'failed'],
  ])('are locked in one order: %s and %s', async (one, other, state) => {
    for (const direction of [1, -1] as const) {
      const of = await waiting(state, direction);
      let ended = 0;
      let both: Promise<unknown> = Promise.resolve();
      await world.sql.begin(async (tx) => {
        // Each takes what it can before this one, and then waits for it, or for the other.
        await tx`SELECT FROM deliveries WHERE delivery_id = ${of.ids[20] ?? ''} FOR UPDATE`;
        both = Promise.all([one, other].map((name) => changes[name](of).finally(() => (ended += 1))));
        both.catch(() => undefined);
        await lockWaiters(world, () => 2 - ended);
      });
      await both;
    }
  });
});
