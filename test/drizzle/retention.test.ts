import type { EventType } from '../../domain/exchange/event.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { Perishable } from '../../domain/retention.js';
import type { World } from './world.js';
import {
  linkedItem,
  lockWaiters,
  exchangedItem,
  newApplication,
  newId,
  openWorld,
  runUpdate,
  transaction,
  webhook,
  shownItem,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const day = 86_400_000;

/** All batches of `limit` rows to the end. Returns the count and how many batches it took. */
async function cleanAll(what: Exclude<Perishable, 'idempotencyKeys'>, keepDays: number, limit = 1_000) {
  let after: string | null = null;
  let deleted = 0;
  let batches = 0;
  do {
    const result = await world.stores.retention[what](keepDays * day, after, limit);
    expect(result.deleted).toBeLessThanOrEqual(limit);
    deleted += result.deleted;
    after = result.next;
    batches += 1;
  } while (after !== null && batches < 100);
  return { deleted, batches };
}

describe('outbox rows', () => {
  /** An Item with an account (sequence 1) and `n` transactions after it, all written `ageDays` ago. */
  async function itemWithOutbox(n: number, ageDays: number) {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: Array.from({ length: n }, (_, i) => transaction(`t${i}`)) }]);
    await age(item.itemId, 1, ageDays);
    return item.itemId;
  }
  const age = (itemId: string, from: number, days: number) => world.sql`
    UPDATE outbox SET created_at = now() - ${days} * interval '1 day' WHERE item_id = ${itemId} AND sequence >= ${from}`;
  const mark = (itemId: string, record: 'transaction' | 'account', form: 'raw' | 'refined', to: number) =>
    world.stores.outbox.advanceWatermark(itemId, record, form, 0, to);
  const left = async (itemId: string): Promise<number[]> => {
    const rows = await world.sql<{ sequence: number }[]>`
      SELECT sequence::int FROM outbox WHERE item_id = ${itemId} ORDER BY sequence`;
    return rows.map((row) => row.sequence);
  };

  it('stay while one of the streams lacks them, however old', async () => {
    const itemId = await itemWithOutbox(3, 400);
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([1, 2, 3, 4]);
    await mark(itemId, 'transaction', 'raw', 4);
    await mark(itemId, 'account', 'raw', 1);
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([1, 2, 3, 4]);
    await mark(itemId, 'transaction', 'refined', 3);
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([1, 4]);
  });

  it('stay while they are young', async () => {
    const itemId = await itemWithOutbox(3, 29);
    await age(itemId, 1, 31);
    await age(itemId, 3, 29);
    for (const form of ['raw', 'refined'] as const) {
      await mark(itemId, 'transaction', form, 4);
      await mark(itemId, 'account', form, 1);
    }
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([3, 4]);
  });

  it('that no stream took stay for as long as their alert does', async () => {
    const itemId = await itemWithOutbox(3, 31);
    for (const form of ['raw', 'refined'] as const) {
      await mark(itemId, 'transaction', form, 4);
      await mark(itemId, 'account', form, 1);
    }
    await world.stores.alerts.raise({
      kind: 'record_parked',
      key: `${itemId}/transaction/raw/3`,
      item_id: itemId,
      detail: { record: 'transaction', form: 'raw', after: 2, last: 3 },
    });
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([3]);
    // One of the other kind of record, although its numbers are about them, keeps none of these.
    await world.sql`
      UPDATE alerts SET detail = jsonb_set(detail, '{record}', '"account"') WHERE item_id = ${itemId}`;
    await cleanAll('outbox', 30);
    expect(await left(itemId)).toEqual([]);
  });

  it('go in batches, over many Items, and the sequence goes on where it was', async () => {
    const itemId = await itemWithOutbox(7, 31);
    for (const form of ['raw', 'refined'] as const) {
      await mark(itemId, 'transaction', form, 8);
      await mark(itemId, 'account', form, 1);
    }
    for (let n = 0; n < 120; n += 1) await exchangedItem(world);
    const { deleted, batches } = await cleanAll('outbox', 30, 3);
    expect(deleted).toBe(8);
    expect(batches).toBeGreaterThanOrEqual(4);
    expect(await left(itemId)).toEqual([]);
    const item = { itemId, userId: 'user' };
    await runUpdate(world, item, [{ added: [transaction('new')] }]);
    expect(await left(itemId)).toEqual([9]);
    const { rows, sent } = await world.stores.outbox.unsent(itemId, 'transaction', 10);
    expect([rows.map((row) => row.sequence), sent]).toEqual([[9], { raw: 8, refined: 8 }]);
  });
});

describe('webhooks', () => {
  const store = async (itemId: string | null, code: string, days: number, settled = true) => {
    const { webhookId } = await world.stores.webhooks.store(webhook(itemId, code));
    await world.sql`
      UPDATE webhooks SET received_at = now() - ${days} * interval '1 day',
        outcome = ${settled ? 'done' : 'pending'} WHERE webhook_id = ${webhookId}`;
    return webhookId;
  };
  const kept = async (ids: string[]): Promise<boolean[]> =>
    Promise.all(ids.map(async (id) => (await world.stores.webhooks.get(ourselves, id)) !== null));

  it('that have no outcome stay, and so does the newest of an Item', async () => {
    const { itemId } = await linkedItem(world);
    const ids = [
      await store(itemId, 'SYNC_UPDATES_AVAILABLE', 200, false),
      await store(itemId, 'SYNC_UPDATES_AVAILABLE', 150),
      await store(itemId, 'SYNC_UPDATES_AVAILABLE', 100),
      await store(newId('stranger'), 'SYNC_UPDATES_AVAILABLE', 100),
      await store(null, 'SOMETHING_NEW', 100),
      await store(null, 'SOMETHING_NEW', 89),
    ];
    const before = (await shownItem(world, itemId))?.last_webhook_at;
    expect(before).toEqual(expect.any(String));
    // One at a time: a row that stays must not hold up those behind it.
    expect((await cleanAll('webhooks', 90, 1)).deleted).toBe(3);
    expect(await kept(ids)).toEqual([true, false, true, false, false, true]);
    expect((await shownItem(world, itemId))?.last_webhook_at).toBe(before);
  });
});

describe('links', () => {
  const old = (tokenHash: string, days: number) => world.sql`
    UPDATE links SET updated_at = now() - ${days} * interval '1 day' WHERE token_hash = ${tokenHash}`;
  const there = async (tokenHash: string): Promise<boolean> =>
    (await world.stores.links.get(tokenHash)) !== null;
  const linked = (itemId: string): LinkOutcome => ({
    kind: 'linked',
    item_id: itemId,
    replaces: null,
    warnings: [],
  });

  it('answer every repeat while their Item lives, and for a while after', async () => {
    const item = await linkedItem(world);
    await world.stores.links.finish(item.tokenHash, linked(item.itemId));
    await old(item.tokenHash, 1_000);
    await cleanAll('links', 30);
    expect((await world.stores.links.get(item.tokenHash))?.outcome).toEqual(linked(item.itemId));
    const removed = (days: number) => world.sql`
      UPDATE items SET removed_at = now() - ${days} * interval '1 day' WHERE item_id = ${item.itemId}`;
    await removed(29);
    await cleanAll('links', 30);
    expect(await there(item.tokenHash)).toBe(true);
    await removed(31);
    await cleanAll('links', 30);
    expect(await there(item.tokenHash)).toBe(false);
  });

  it('that have not ended stay; those that failed go; a lost exchange stays with its alert', async () => {
    const [running, failed, young, lost] = [
      await exchangedItem(world),
      await exchangedItem(world),
      await exchangedItem(world),
      await exchangedItem(world),
    ].map((item) => item.tokenHash) as [string, string, string, string];
    await world.sql`UPDATE links SET state = 'received' WHERE token_hash = ANY(${[failed, young]}::text[])`;
    await world.sql`UPDATE links SET state = 'exchanging' WHERE token_hash = ${lost}`;
    await world.stores.links.finish(failed, { kind: 'invalid_public_token', plaid: null });
    await world.stores.links.finish(young, { kind: 'invalid_public_token', plaid: null });
    await world.stores.links.reportLost(lost);
    for (const hash of [running, failed, lost]) await old(hash, 31);
    await old(young, 29);
    expect((await cleanAll('links', 30, 2)).deleted).toBe(1);
    const hashes = [running, failed, young, lost];
    expect(await Promise.all(hashes.map(there))).toEqual([true, false, true, true]);
  });
});

it('Segment events stay while they wait, and go when they are sent or nobody will send them', async () => {
  const { itemId } = await linkedItem(world);
  await world.sql`
    INSERT INTO segment_events (message_id, item_id, user_id, event, properties, created_at, sent_at)
    SELECT ${itemId} || '/' || n, ${itemId}, 'user', 'item errored', '{}', now() - interval '100 days',
      CASE n WHEN 1 THEN now() - interval '91 days' WHEN 2 THEN now() - interval '89 days' END
    FROM generate_series(1, 3) n`;
  const left = async () => {
    const rows = await world.sql<{ message_id: string }[]>`
      SELECT message_id FROM segment_events WHERE item_id = ${itemId} ORDER BY 1`;
    return rows.map((row) => row.message_id.split('/')[1]);
  };
  await world.sql`UPDATE items SET segment_due_at = now() WHERE item_id = ${itemId}`;
  await cleanAll('segmentEvents', 90);
  expect(await left()).toEqual(['2', '3']);
  await world.stores.segment.discard(itemId);
  await cleanAll('segmentEvents', 90, 1);
  expect(await left()).toEqual(['2']);
});

it('parked rows, parked events and balances go by their age, in batches', async () => {
  const { itemId } = await linkedItem(world);
  await world.sql`
    INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason, parked_at)
    SELECT ${itemId}, n::text, 'u', '{}', 'no_date', now() - n * interval '1 day' FROM generate_series(86, 95) n`;
  await world.sql`
    INSERT INTO parked_events (stream, shard_id, sequence_number, data, reason, parked_at)
    SELECT 'users', 'shard', n::text, '', 'no_json', now() - n * interval '1 day' FROM generate_series(86, 95) n`;
  await world.sql`
    INSERT INTO balance_snapshots (item_id, account_id, day, as_of)
    SELECT ${itemId}, 'acc-1', (now() AT TIME ZONE 'UTC')::date - n, now() FROM generate_series(86, 95) n`;
  const counts = async () => {
    const [row] = await world.sql<[{ rows: number; events: number; balances: number }]>`
      SELECT (SELECT count(*)::int FROM parked_rows) AS rows, (SELECT count(*)::int FROM parked_events) AS events,
        (SELECT count(*)::int FROM balance_snapshots WHERE item_id = ${itemId}) AS balances`;
    return row;
  };
  for (const what of ['parkedRows', 'parkedEvents', 'balances'] as const) {
    expect((await cleanAll(what, 90, 2)).deleted).toBe(what === 'balances' ? 5 : 6);
  }
  expect(await counts()).toEqual({ rows: 4, events: 4, balances: 5 });
});

it('events go with their deliveries and attempts, some hours after a cursor behind them is refused', async () => {
  const { itemId } = await linkedItem(world);
  await world.sql`
    INSERT INTO events (event_id, type, item_id, data, time)
    SELECT 'evt_' || n, 'item.repaired', ${itemId}, jsonb_build_object('item_id', ${itemId}::text, 'user_id', 'u'),
      now() - n * interval '1 hour'
    FROM generate_series(718, 726) n`;
  await world.sql`
    INSERT INTO deliveries (delivery_id, endpoint_id, event_id, lane, position, type)
    SELECT 'dlv_' || e.event_id, 'end_1', e.event_id, e.item_id, e.position, e.type FROM events e WHERE e.event_id LIKE 'evt\_7%'`;
  await world.sql`
    INSERT INTO delivery_attempts (delivery_id, number, at, duration_ms)
    SELECT delivery_id, 1, now(), 5 FROM deliveries`;
  expect((await cleanAll('events', 30, 2)).deleted).toBe(4);
  const left = async (table: string, column: string) => {
    const rows = await world.sql<{ id: string }[]>`
      SELECT ${world.sql(column)} AS id FROM ${world.sql(table)} WHERE ${world.sql(column)} ~ 'evt_7[0-9]+$' ORDER BY 1`;
    return rows.map(({ id }) => id.slice(-3));
  };
  const young = ['718', '719', '720', '721', '722'];
  expect(await left('events', 'event_id')).toEqual(young);
  expect(await left('deliveries', 'delivery_id')).toEqual(young);
  expect(await left('delivery_attempts', 'delivery_id')).toEqual(young);
});

describe('what is written beside the end of its event', () => {
  const orphans = async (): Promise<string[]> => {
    const rows = await world.sql<{ id: string }[]>`
      SELECT d.delivery_id AS id FROM deliveries d WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_id = d.event_id)
      UNION ALL SELECT t.delivery_id FROM delivery_attempts t
        WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = t.delivery_id)`;
    return rows.map(({ id }) => id);
  };
  /** An event that is kept no more, for an application that sees every Item, and has an endpoint. */
  async function oldEvent() {
    const applicationId = await newApplication(world, 'all');
    const [endpointId, eventId, deliveryId] = [newId('end'), newId('evt'), newId('dlv')];
    await world.sql`
      INSERT INTO endpoints (endpoint_id, application_id, url, types, signature, secret_key_id, secret_data_key, secret_ciphertext)
      VALUES (${endpointId}, ${applicationId}, 'https://client.example', '{}', 'hmac', 'k', '', '')`;
    await world.sql`
      INSERT INTO events (event_id, type, application_id, data, time)
      VALUES (${eventId}, 'user.erased', ${applicationId}, '{"erasure_id": "e", "user_hash": "h"}', now() - interval '40 days')`;
    return { applicationId, endpointId, eventId, deliveryId };
  }

  it('goes with it: an attempt', async () => {
    const { endpointId, eventId, deliveryId } = await oldEvent();
    await world.sql`
      INSERT INTO deliveries (delivery_id, endpoint_id, event_id, lane, position, type)
      VALUES (${deliveryId}, ${endpointId}, ${eventId}, 'l', 1, 'user.erased')`;
    const { cleaned } = await world.sql.begin(async (tx) => {
      await tx`UPDATE deliveries SET attempts = 1 WHERE delivery_id = ${deliveryId}`;
      await tx`INSERT INTO delivery_attempts (delivery_id, number, at, duration_ms) VALUES (${deliveryId}, 1, now(), 5)`;
      const cleaned = cleanAll('events', 30);
      await lockWaiters(world, 1);
      return { cleaned };
    });
    expect((await cleaned).deleted).toBe(1);
    expect(await orphans()).toEqual([]);
  });

  it('is not made any more: a delivery that is asked for once more', async () => {
    const { applicationId, endpointId, eventId } = await oldEvent();
    let hasEnded = 0;
    const replay = await world.sql.begin(async (tx) => {
      await tx`DELETE FROM events WHERE event_id = ${eventId}`;
      const types: EventType[] = ['user.erased'];
      const asked = world.stores.deliveries
        .replay(
          applicationId,
          endpointId,
          { since: '2000-01-01T00:00:00Z', until: null, types, missingOnly: false },
          null,
        )
        .finally(() => (hasEnded = 1));
      asked.catch(() => undefined);
      await lockWaiters(world, () => 1 - hasEnded);
      return { asked };
    });
    expect(await replay.asked).toEqual({ queued: 0, nextSince: null });
    expect(await orphans()).toEqual([]);
  });
});
