import { createHash, randomUUID } from 'node:crypto';
import { getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { keptPath } from '../../api/idempotency.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import { createStores } from '../../drizzle/index.js';
import * as schema from '../../drizzle/schema.js';
import { erasureStore } from '../../drizzle/stores/erasures.js';
import { lastUserTables, tablesWithoutUsers, userTables } from '../../drizzle/stores/userTables.js';
import { told } from './eventFeed.js';
import type { Linking, World } from './world.js';
import {
  account,
  admission,
  exchangedItem,
  linkedItem as admittedItem,
  lockWaiters,
  newId,
  openWorld,
  runUpdate,
  sealed,
  transaction,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** With its link at its end. */
async function linkedItem(of: World, linking: Linking = {}) {
  const item = await admittedItem(of, linking);
  await of.stores.links.finish(item.tokenHash, {
    kind: 'linked',
    item_id: item.itemId,
    replaces: null,
    warnings: [],
  });
  return item;
}

const asker = { applicationId: 'default', keyId: 'key-1' };
const request = (userId: string, options: { force?: boolean } = {}) =>
  world.stores.erasures.request(userId, {
    erasureId: `era_${randomUUID()}`,
    force: options.force ?? false,
    ...asker,
  });

async function begun(userId: string, options: { force?: boolean } = {}) {
  const erasure = await request(userId, options);
  if (typeof erasure === 'string') throw new Error(erasure);
  return erasure;
}

/** As its workflow does, without waiting. */
async function carryOut(erasureId: string, limit = 1_000): Promise<void> {
  const left = await world.stores.erasures.stop(erasureId);
  for (const { itemId } of left?.items ?? []) await world.stores.items.finishRemoval(itemId);
  while ((await world.stores.erasures.deleteRows(erasureId, limit)) > 0);
  expect(await world.stores.erasures.finish(erasureId)).toBe(true);
}

/** Every row of every table, as text: bytes stand as hex in it. */
async function dump(): Promise<Map<string, string[]>> {
  const tables = await world.sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`;
  const rows = new Map<string, string[]>();
  for (const { name } of tables) {
    const found = await world.sql.unsafe<{ row: string }[]>(`SELECT t::text AS row FROM "${name}" t`);
    rows.set(name, found.map(({ row }) => row).sort());
  }
  return rows;
}

/** Rows in which one of the texts stands, plainly or as bytes, by table. */
function hits(rows: Map<string, string[]>, texts: readonly string[]): Record<string, number> {
  const wanted = texts.flatMap((text) => [text, Buffer.from(text).toString('hex'), encodeURIComponent(text)]);
  const found = [...rows].map(
    ([name, all]) => [name, all.filter((row) => wanted.some((text) => row.includes(text))).length] as const,
  );
  return Object.fromEntries(found.filter(([, n]) => n > 0));
}

/** What the removal of an Item deletes, and what an attempt that comes late may write again. */
async function fillLate(itemId: string, mark: string): Promise<void> {
  const { sql } = world;
  await sql`
    INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext)
    VALUES (${itemId}, 'acc-1', 'k', ${Buffer.from(mark)}, ${Buffer.from(mark)})`;
  await sql`
    INSERT INTO staged_pages (item_id, update_id, page, cursor, next_cursor, horizon, row_count, rows, raws, refineds)
    VALUES (${itemId}, 'u', 0, '', 'x', now(), 0, '[]', ${mark}, '')`;
}

/** Something of the user in every table that may hold something of one, with `mark` in every text. */
async function fill(userId: string, mark: string) {
  const { sql, stores } = world;
  const item = await linkedItem(world, { userId, itemId: newId(`item-${mark}`) });
  const { itemId, tokenHash } = item;
  await runUpdate(
    world,
    item,
    [
      { added: [transaction(`t1-${mark}`, { name: `${mark} Coffee` }), transaction(`t2-${mark}`)] },
      { added: [transaction(`t3-${mark}`)] },
    ],
    { accounts: [account('acc-1', { name: `${mark} account` })] },
  );
  const { webhookId } = await stores.webhooks.store(
    webhook(itemId, 'SYNC_UPDATES_AVAILABLE', { note: mark }),
  );
  await stores.floats.record({ userId, floatId: mark, status: 'closed', occurredAt: null, by: null });
  await sql`INSERT INTO applications (application_id, name) VALUES ('default', 'default') ON CONFLICT DO NOTHING`;
  const connection = `con_${randomUUID()}`;
  const event = `evt_${randomUUID()}`;
  const delivery = `dlv_${randomUUID()}`;
  await sql`
    INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts, purpose)
    VALUES (${connection}, 'default', ${itemId}, ${userId}, '{}', true, ${mark})`;
  const own = { applicationId: 'default', access: 'connected' } as const;
  await stores.floats.record({ userId, floatId: mark, status: 'closed', occurredAt: null, by: own });
  await sql`
    INSERT INTO connection_history (connection_id, position, action, initiator, reason, "grant")
    VALUES (${connection}, 1, 'created', 'application', ${mark}, '{}')`;
  await sql`
    INSERT INTO events (event_id, type, item_id, user_id, data)
    VALUES (${event}, 'item.linked', ${itemId}, ${userId}, ${sql.json({ item_id: itemId, user_id: mark })})`;
  await sql`
    INSERT INTO deliveries (delivery_id, endpoint_id, event_id, lane, position, type)
    VALUES (${delivery}, 'end_1', ${event}, ${itemId}, 1, 'item.linked')`;
  await sql`
    INSERT INTO delivery_attempts (delivery_id, number, at, duration_ms, answer) VALUES (${delivery}, 1, now(), 1, ${mark})`;
  await sql`
    INSERT INTO portal_sessions (token_hash, user_id, application_id, key_id, return_url, expires_at)
    VALUES (${randomUUID()}, ${userId}, 'default', 'key-1', ${mark}, now())`;
  await sql`
    INSERT INTO number_reads (item_id, application_id, key_id, request_id, account_ids)
    VALUES (${itemId}, 'default', 'key-1', ${mark}, '{acc-1}')`;
  await fillLate(itemId, mark);
  await sql`
    INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason) VALUES (${itemId}, 't', 'u', ${mark}, '22P05')`;
  await sql`
    INSERT INTO outbox_marks (item_id, record, form, sent) VALUES (${itemId}, 'account', 'raw', 0) ON CONFLICT DO NOTHING`;
  await sql`
    INSERT INTO balance_snapshots (item_id, account_id, day, currency, as_of)
    VALUES (${itemId}, ${mark}, '2020-01-01', 'USD', now())`;
  await sql`
    INSERT INTO segment_events (message_id, item_id, user_id, event, properties)
    VALUES (${`${itemId}:errored:1`}, ${itemId}, ${userId}, 'item errored', ${sql.json({ mark })})`;
  for (const [key, path] of [
    [mark, `/v1/users/${encodeURIComponent(userId)}/items`],
    [
      'lower',
      `/v1/users/${encodeURIComponent(userId).replace(/%../g, (hex) => hex.toLowerCase())}/link-token`,
    ],
    ['item', `/v1/items/${itemId}/remine`],
    ['connection', `/v1/connections/${connection}/renew`],
    ['webhook', `/v1/webhooks/${webhookId}/replay`],
    // It holds what an endpoint has answered to the user's event.
    ['delivery', `/v1/deliveries/${delivery}/resend`],
  ] as const) {
    await sql`
      INSERT INTO idempotency_keys (application_id, method, path, key, request_hash, runner, leased_until, expires_at)
      VALUES ('default', 'POST', ${path}, ${key}, 'h', 'r', now(), now() + interval '1 day')`;
  }
  await stores.sweep.recordSignalled({
    items: [{ itemId, userId, kinds: ['update'] }],
    links: [{ tokenHash, userId }],
  });
  await stores.alerts.raise({ kind: 'row_parked', key: `${itemId}/t`, item_id: itemId, detail: { mark } });
  await stores.alerts.raise({
    kind: 'signal_refused',
    key: tokenHash,
    item_id: null,
    detail: { kinds: [mark] },
  });
  await stores.alerts.raise({
    kind: 'link_outcome_unknown',
    key: newId('hash'),
    item_id: null,
    detail: { token_hash: 'h', user_id: userId },
  });
  await sql`
    INSERT INTO parked_events (stream, shard_id, sequence_number, data, reason)
    VALUES ('s', 'shard', ${newId('1')}, ${Buffer.from(JSON.stringify({ type: 'odd', user_id: userId, mark }))}, 'unknown_type')`;
  return { ...item, connection };
}

it('every table is either erased or holds nothing of a user', () => {
  const all = Object.values(schema).flatMap((one) => (is(one, PgTable) ? [getTableName(one)] : []));
  const listed = [
    ...[...userTables, ...lastUserTables].map(({ name }) => name),
    ...tablesWithoutUsers.map(getTableName),
  ];
  expect(listed.sort()).toEqual(all.sort());
});

describe('an erasure', () => {
  it('leaves nothing of the user in any table, and all of everybody else', async () => {
    const [mark, other] = [`canary${randomUUID().slice(0, 8)}`, `stays${randomUUID().slice(0, 8)}`];
    // Characters that are written otherwise in a path and in JSON.
    const userId = `us"er/${mark} ü`;
    await fill(`us"er/${other} ü`, other);
    const before = await dump();
    const { itemId, tokenHash } = await fill(userId, mark);
    const texts = [userId, JSON.stringify(userId), mark, itemId, tokenHash];
    const filled = hits(await dump(), texts);
    expect(Object.keys(filled).sort()).toEqual(
      [...userTables, ...lastUserTables].map(({ name }) => name).sort(),
    );

    const erasure = await begun(userId);
    expect(erasure).toMatchObject({ state: 'removing', left: { items: 1, links: 0 }, deleted: {} });
    await world.stores.items.finishRemoval(itemId);
    await fillLate(itemId, mark);
    await carryOut(erasure.erasure_id, 2);

    const after = await dump();
    expect(hits(after, texts)).toEqual({});
    const added = ['alerts', 'audit_entries', 'erased_items', 'erasures', 'events'];
    for (const [name, rows] of before) {
      const now = after.get(name) ?? [];
      if (added.includes(name)) expect(now).toEqual(expect.arrayContaining(rows));
      else expect([name, now]).toEqual([name, rows]);
    }
    // What was counted is what there was; what it wrote itself meanwhile is in the counts, too.
    const { deleted, ...done } = (await world.stores.erasures.get(erasure.erasure_id))!;
    expect(done).toMatchObject({ state: 'done', left: { items: 0, links: 0 } });
    expect(Object.keys(deleted).sort()).toEqual(Object.keys(filled).sort());
    expect(deleted).toMatchObject({ transactions: 3, idempotency_keys: 6, alerts: 2, items: 1, users: 1 });
  });

  it.each([
    ['characters that JSON may write in several ways', (mark: string) => `us"er/\\<${mark}> ü😀`],
    ['of the longest', (mark: string) => `${mark}${'😀'.repeat(128 - mark.length)}`],
  ])(
    'finds records that are no user events, however their sender writes JSON: a user of %s',
    async (_, of) => {
      const userId = of(`canary${randomUUID().slice(0, 8)}`);
      await linkedItem(world, { userId });
      const escaped = (which: RegExp, capital = false) =>
        JSON.stringify(userId).replace(which, (unit) => {
          const hex = unit.charCodeAt(0).toString(16).padStart(4, '0');
          return `\\u${capital ? hex.toUpperCase() : hex}`;
        });
      const beyondAscii = /[^ -~]/g;
      const spellings = {
        node: JSON.stringify(userId),
        python: escaped(beyondAscii),
        jackson: escaped(beyondAscii, true),
        php: escaped(beyondAscii).replaceAll('/', '\\/'),
        go: escaped(/[<>&]/g),
      };
      const park = (sequence: string, data: string) => world.sql`
      INSERT INTO parked_events (stream, shard_id, sequence_number, data, reason)
      VALUES (${userId}, 'shard', ${sequence}, ${Buffer.from(data)}, 'unknown_type')`;
      for (const [sender, spelled] of Object.entries(spellings)) {
        expect(JSON.parse(spelled)).toBe(userId);
        await park(sender, `{"type": "odd", "user_id": ${spelled}, "note": "\\ud83d \u0001 ü"}`);
        await park(
          `another of ${sender}`,
          `{"type": "odd", "user_id": ${spelled.replace('canary', 'stays')}}`,
        );
        await park(`not alone of ${sender}`, `{"type": "odd", "user_id": "x${spelled.slice(1)}}`);
      }
      const { erasure_id } = await begun(userId);
      await carryOut(erasure_id);
      const left = await world.sql<{ sequence_number: string }[]>`
      SELECT sequence_number FROM parked_events WHERE stream = ${userId} ORDER BY sequence_number`;
      expect(left.map((row) => row.sequence_number)).toEqual(
        Object.keys(spellings)
          .flatMap((sender) => [`another of ${sender}`, `not alone of ${sender}`])
          .sort(),
      );
    },
  );

  it('keeps who asked, when and how much, under the hash of the id, and tells every endpoint once', async () => {
    const { userId } = await linkedItem(world);
    const erasure = await begun(userId);
    await carryOut(erasure.erasure_id);
    expect(await world.stores.erasures.finish(erasure.erasure_id)).toBe(true);
    const userHash = createHash('sha256').update(userId).digest('hex');
    const audits =
      await world.sql`SELECT action, key_id, detail FROM audit_entries WHERE subject = ${userHash}`;
    expect(audits).toMatchObject([
      {
        action: 'user.erased',
        key_id: 'key-1',
        detail: { erasure_id: erasure.erasure_id, deleted: { users: 1 } },
      },
    ]);
    const events = await world.sql`
      SELECT data, user_id FROM events WHERE type = 'user.erased' AND data->>'user_hash' = ${userHash}`;
    expect(events).toEqual([
      { data: { erasure_id: erasure.erasure_id, user_hash: userHash }, user_id: null },
    ]);
    // A repeat after the end finds the tombstone; who comes back is another user, who can be erased as well.
    expect(await request(userId)).toMatchObject({ erasure_id: erasure.erasure_id, state: 'done' });
    await world.stores.reads.ensureUser(userId);
    const again = await begun(userId);
    expect(again.erasure_id).not.toBe(erasure.erasure_id);
    await carryOut(again.erasure_id);
    expect(await request(userId)).toMatchObject({ erasure_id: again.erasure_id, state: 'done' });
  });

  it('tells the applications that were connected with the user, and those that see every user', async () => {
    const { itemId, userId } = await linkedItem(world);
    const [connected, stranger] = [`app_${userId}`, `stranger_${userId}`];
    await world.sql`
      INSERT INTO applications (application_id, name, access)
      VALUES (${connected}, 'connected', 'connected'), (${stranger}, 'stranger', 'connected')`;
    await world.sql`
      INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts)
      VALUES (${`con_${userId}`}, ${connected}, ${itemId}, ${userId}, '{accounts}', true)`;
    const erasure = await begun(userId);
    await carryOut(erasure.erasure_id);
    const heardBy = async (applicationId: string, access: 'all' | 'connected') => {
      const { events } = await told(world, { applicationId, access }, null, 1_000, ['user.erased']);
      return events.filter(({ data }) => data['erasure_id'] === erasure.erasure_id).length;
    };
    expect(await heardBy(connected, 'connected')).toBe(1);
    expect(await heardBy(stranger, 'connected')).toBe(0);
    expect(await heardBy('default', 'all')).toBe(1);
  });

  it('ends what Plaid still says about its Items, and of nobody else', async () => {
    const { userId, itemId } = await linkedItem(world);
    const unknown = newId('item');
    const late = async () => {
      for (const one of [itemId, unknown]) {
        const said = webhook(one, 'SYNC_UPDATES_AVAILABLE');
        await world.stores.webhooks.store(said);
        const rejected = { verdict: 'rejected', reason: 'bad_signature', item_id: null, kind: null } as const;
        await world.stores.webhooks.store({ ...said, ...rejected });
        // Of a kind that nobody acts on.
        await world.stores.webhooks.store(webhook(one, 'RECURRING_TRANSACTIONS_UPDATE'));
      }
    };
    await late();
    const { erasure_id } = await begun(userId);
    await carryOut(erasure_id);
    expect(hits(await dump(), [userId, itemId])).toEqual({});
    await late();
    await world.stores.sweep.ignoreUnknown();
    const after = await dump();
    expect(hits(after, [userId, itemId])).toEqual({});
    expect(hits(after, [unknown])).toEqual({ webhooks: 6 });
  });

  it('deletes answers to requests whose paths are too long to be kept', async () => {
    const userId = `${newId('user')}${'😀'.repeat(110)}`;
    const itemId = `${newId('item')}${'😀'.repeat(240)}`;
    await linkedItem(world, { userId, itemId });
    const named = [
      encodeURIComponent(userId),
      encodeURIComponent(userId).toLowerCase(),
      encodeURIComponent(itemId),
    ];
    for (const [n, name] of named.entries()) {
      const path = keptPath(`/v1/${n === 2 ? 'items' : 'users'}/${name}/anything`);
      expect(path.length).toBeLessThan(1_025);
      await world.sql`
        INSERT INTO idempotency_keys (application_id, method, path, key, request_hash, runner, leased_until, expires_at)
        VALUES ('default', 'POST', ${path}, ${`long-${n}`}, 'h', 'r', now(), now() + interval '1 day')`;
    }
    const other = keptPath(`/v1/users/${encodeURIComponent('😀'.repeat(128))}/anything`);
    await world.sql`
      INSERT INTO idempotency_keys (application_id, method, path, key, request_hash, runner, leased_until, expires_at)
      VALUES ('default', 'POST', ${other}, 'long-other', 'h', 'r', now(), now() + interval '1 day')`;
    const { erasure_id } = await begun(userId);
    await carryOut(erasure_id);
    const left = await world.sql`SELECT key FROM idempotency_keys WHERE key LIKE 'long-%'`;
    expect(left).toEqual([{ key: 'long-other' }]);
  });

  it('is one, however often it is asked for at once', async () => {
    const { userId } = await linkedItem(world);
    const asked = await Promise.all(Array.from({ length: 6 }, () => begun(userId)));
    expect(new Set(asked.map(({ erasure_id }) => erasure_id)).size).toBe(1);
    const ids = [1, 2, 3].map(() => carryOut(asked[0]!.erasure_id));
    await Promise.all(ids);
    const events = await world.sql`
      SELECT 1 FROM events WHERE type = 'user.erased' AND data->>'erasure_id' = ${asked[0]!.erasure_id}`;
    expect(events).toHaveLength(1);
  });

  it('asks for floats, and may be forced', async () => {
    const userId = newId('user');
    expect(await request(userId)).toBe('not_found');
    // Of somebody who has linked nothing.
    await world.stores.floats.record({ userId, floatId: 'f', status: 'active', occurredAt: null, by: null });
    expect(await request(userId)).toBe('active_float');
    const erasure = await begun(userId, { force: true });
    await expect(
      world.stores.floats.record({ userId, floatId: 'g', status: 'active', occurredAt: null, by: null }),
    ).rejects.toMatchObject({ type: 'USER_BEING_ERASED' });
    await carryOut(erasure.erasure_id);
    expect(await world.sql`SELECT 1 FROM floats WHERE user_id = ${userId}`).toHaveLength(0);
    expect(await world.stores.reads.user(ourselves, userId)).toBeNull();
  });

  it('begins nothing more, ends what has not begun, and lets what is on its way end', async () => {
    const { links, erasures, reads } = world.stores;
    const { userId } = await linkedItem(world);
    const link = (tokenHash: string) => ({
      token_hash: tokenHash,
      user_id: userId,
      application_id: 'default',
      publicToken: sealed(tokenHash),
      institution_id: null,
      accounts: [],
      main_account_id: null,
    });
    const waiting = newId('hash');
    await links.receive(link(waiting));
    const asked = newId('hash');
    await links.receive(link(asked));
    await links.beginExchange(asked);
    const late = await exchangedItem(world, { userId });
    const { erasure_id } = await begun(userId);

    await expect(links.receive(link(newId('hash')))).rejects.toMatchObject({ type: 'USER_BEING_ERASED' });
    await expect(reads.ensureUser(userId)).rejects.toMatchObject({ type: 'USER_BEING_ERASED' });
    expect(await links.beginExchange(waiting)).toBeNull();
    expect(await links.get(waiting)).toMatchObject({ outcome: { kind: 'user_being_erased' } });
    expect(await links.admit(admission(late, { userId }))).toEqual({ kind: 'user_being_erased' });
    // Nothing goes while Plaid may still have something: neither rows nor the user.
    expect(await erasures.deleteRows(erasure_id, 100)).toBe(0);
    expect(await erasures.finish(erasure_id)).toBe(false);
    expect((await erasures.stop(erasure_id))?.links.map((one) => one.tokenHash).sort()).toEqual(
      [asked, late.tokenHash].sort(),
    );

    await links.reportLost(asked);
    await links.beginDiscard(late.itemId);
    await links.discardItem(late.itemId);
    await links.finish(late.tokenHash, { kind: 'user_being_erased' });
    await carryOut(erasure_id);
    // An Item may live at Plaid that nobody can reach: that stays known, and whose it was does not.
    const alerts = await world.sql`SELECT detail FROM alerts WHERE key = ${asked}`;
    expect(alerts).toEqual([{ detail: { token_hash: asked } }]);
  });

  it('waits for who links at the same moment, and takes that along', async () => {
    const { userId } = await linkedItem(world);
    const hash = newId('hash');
    let commit = (): void => undefined;
    let written = (): void => undefined;
    const isWritten = new Promise<void>((resolve) => (written = resolve));
    const committing = new Promise<void>((resolve) => (commit = resolve));
    const linking = world.sql.begin(async (tx) => {
      await tx`SELECT FROM users WHERE user_id = ${userId} FOR KEY SHARE`;
      await tx`INSERT INTO links (token_hash, user_id, application_id, accounts) VALUES (${hash}, ${userId}, 'default', '[]')`;
      written();
      await committing;
    });
    await isWritten;
    const erasing = begun(userId);
    await lockWaiters(world, 1);
    commit();
    await linking;
    const { erasure_id } = await erasing;
    expect(await world.stores.links.get(hash)).toMatchObject({ outcome: { kind: 'user_being_erased' } });
    await carryOut(erasure_id);
  });

  it.each(['asked for', 'begun'])(
    'and who writes twice of an Item, one waits for the other: %s',
    async (step) => {
      const { userId, itemId } = await linkedItem(world);
      const { erasures } = world.stores;
      const { erasure_id } = step === 'begun' ? await begun(userId) : { erasure_id: '' };
      await world.sql`UPDATE items SET removal_requested_at = NULL WHERE item_id = ${itemId}`;
      let erasing: Promise<unknown> = Promise.resolve();
      await world.sql.begin(async (tx) => {
        const write = () =>
          tx`UPDATE items SET health_answers = health_answers + 1 WHERE item_id = ${itemId}`;
        await write();
        erasing = step === 'begun' ? erasures.stop(erasure_id) : begun(userId);
        // Who rejects is heard below.
        erasing.catch(() => undefined);
        await lockWaiters(world, 1);
        // A row that was written in the same transaction has its foreign key read once more.
        await write();
      });
      await erasing;
      expect(await world.stores.items.snapshot(itemId)).toMatchObject({ removalRequested: true });
    },
  );

  it('leaves no page of the user’s that is opened beside its end', async () => {
    const userId = newId('user');
    await world.stores.reads.ensureUser(userId);
    const opened = await world.sql.begin(async (tx) => {
      await tx`DELETE FROM users WHERE user_id = ${userId}`;
      const session = { userId, applicationId: 'default', keyId: 'key_1', returnUrl: null, locale: 'en' };
      const opening = world.stores.portal.open(newId('token'), session, 60_000);
      await lockWaiters(world, 1);
      return { opening };
    });
    expect(await opened.opening).toBeNull();
  });

  it('leaves no watermark of a publisher that comes beside its end, or after it', async () => {
    const userId = newId('user');
    const { itemId } = await linkedItem(world, { userId });
    const { erasure_id } = await begun(userId);
    const left = await world.stores.erasures.stop(erasure_id);
    for (const item of left?.items ?? []) await world.stores.items.finishRemoval(item.itemId);
    while ((await world.stores.erasures.deleteRows(erasure_id, 100)) > 0);
    const advance = (stores: typeof world.stores): Promise<boolean> =>
      stores.outbox.advanceWatermark(itemId, 'transaction', 'raw', 0, 5);
    const { finished } = await world.sql.begin(async (tx) => {
      // The publisher has written, and has not committed.
      expect(await advance(createStores(tx as unknown as typeof world.sql))).toBe(true);
      const finished = world.stores.erasures.finish(erasure_id);
      await lockWaiters(world, 1);
      return { finished };
    });
    expect(await finished).toBe(true);
    expect(await advance(world.stores)).toBe(false);
    expect(hits(await dump(), [itemId])).toEqual({});
  });

  it('leaves no alert of an attempt that it has overtaken, and those of Items that nobody knows', async () => {
    const { userId, itemId } = await linkedItem(world);
    const unknown = newId('item');
    const { erasure_id } = await begun(userId);
    await carryOut(erasure_id);
    for (const id of [itemId, unknown]) {
      await world.stores.alerts.raise({ kind: 'update_stuck', key: id, item_id: id, detail: {} });
    }
    await world.stores.sweep.ignoreUnknown();
    const after = await dump();
    expect(hits(after, [itemId])).toEqual({});
    expect(hits(after, [unknown])).toEqual({ alerts: 1 });
  });

  it('leaves no attempt that is recorded beside its end, and waits for no replay that waits for it', async () => {
    const userId = newId('user');
    const item = await fill(userId, newId('beside'));
    const { erasure_id } = await begun(userId);
    const left = await world.stores.erasures.stop(erasure_id);
    for (const { itemId } of left?.items ?? []) await world.stores.items.finishRemoval(itemId);
    const [{ delivery_id: deliveryId } = { delivery_id: '' }] = await world.sql<{ delivery_id: string }[]>`
      SELECT delivery_id FROM deliveries WHERE lane = ${item.itemId}`;
    await world.sql`
      INSERT INTO endpoints (endpoint_id, application_id, url, types, signature, secret_key_id, secret_data_key, secret_ciphertext)
      VALUES ('end_1', 'default', 'https://client.example', '{}', 'hmac', 'k', '', '')`;
    const all = { since: '2000-01-01T00:00:00Z', until: null, types: [], missingOnly: false };
    const { finished, replayed } = await world.sql.begin(async (tx) => {
      await tx`UPDATE deliveries SET attempts = attempts + 1 WHERE delivery_id = ${deliveryId}`;
      await tx`INSERT INTO delivery_attempts (delivery_id, number, at, duration_ms) VALUES (${deliveryId}, 2, now(), 5)`;
      const replayed = world.stores.deliveries.replay('default', 'end_1', all, null);
      await lockWaiters(world, 1);
      const finished = world.stores.erasures.finish(erasure_id);
      await lockWaiters(world, 2);
      return { finished, replayed };
    });
    expect([await finished, (await replayed) !== null]).toEqual([true, true]);
    expect(hits(await dump(), [item.itemId, deliveryId])).toEqual({});
  });

  it('hides the Items once they are removed, and no sweep and no webhook wakes them', async () => {
    const item = await linkedItem(world);
    const { itemId, userId } = item;
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    const { webhookId } = await world.stores.webhooks.store(webhook(itemId, 'SYNC_UPDATES_AVAILABLE'));
    const { erasure_id } = await begun(userId);
    await world.stores.items.finishRemoval(itemId);
    await world.stores.erasures.deleteRows(erasure_id, 1);
    expect(await world.stores.reads.item(ourselves, itemId, 'item')).toBeNull();
    expect(await world.stores.webhooks.acquireSignal(webhookId)).toBeNull();
    expect((await world.stores.sweep.findDue(1_000, -1)).map((due) => due.itemId)).not.toContain(itemId);
    await carryOut(erasure_id);
  });

  it('that stands is found by the sweep, and is late after a day', async () => {
    const { userId } = await linkedItem(world);
    const { erasure_id } = await begun(userId);
    const found = async () =>
      (await world.stores.erasures.open(1_000, 1_000, 86_400_000)).find(
        (one) => one.erasureId === erasure_id,
      );
    expect(await found()).toBeUndefined();
    const age = (interval: string) =>
      world.sql`UPDATE erasures SET requested_at = now() - ${interval}::interval WHERE erasure_id = ${erasure_id}`;
    await age('1 hour');
    expect(await found()).toEqual({ erasureId: erasure_id, late: false });
    await age('25 hours');
    expect(await found()).toEqual({ erasureId: erasure_id, late: true });
    await carryOut(erasure_id);
    expect(await found()).toBeUndefined();
  });

  it('that goes on and on does not keep the sweep from those behind it', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await begun((await linkedItem(world)).userId)).erasure_id);
    await world.sql`
      UPDATE erasures SET requested_at = now() - interval '2 days' WHERE erasure_id = ANY(${ids}::text[])`;
    const rounds: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const [first] = await world.stores.erasures.open(1, 1_000, 86_400_000);
      rounds.push(first?.erasureId ?? '');
      await world.stores.sweep.recordSignalled({ erasures: rounds.slice(-1) });
    }
    expect(rounds.sort()).toEqual([...ids].sort());
    for (const id of ids) await carryOut(id);
  });
});

describe('the export of a user', () => {
  type Line = Record<string, unknown> & { type: string };
  const exported = async (userId: string, onPiece: () => Promise<void> = async () => undefined) => {
    let text = '';
    await world.stores.exports.write(userId, async (lines) => {
      text += lines;
      await onPiece();
    });
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  };

  it('is everything that is held, of one moment, without secrets and numbers', async () => {
    const [mark, other] = [newId('mark'), newId('other')];
    const userId = `us"er ${mark}`;
    const { itemId } = await fill(userId, mark);
    await fill(`us"er ${other}`, other);
    const secret = newId('secret');
    await world.sql`
      UPDATE account_numbers SET numbers_ciphertext = ${Buffer.from(secret)} WHERE item_id = ${itemId}`;
    // Whatever is written while the client reads: it is not among it.
    let pieces = 0;
    const lines = await exported(userId, async () => {
      pieces += 1;
      await world.sql`UPDATE transactions SET refined = '{"id": "changed"}' WHERE item_id = ${itemId}`;
    });
    expect(pieces).toBeGreaterThan(5);
    const count = (type: string) => lines.filter((line) => line.type === type).length;
    const types = [...new Set(lines.map((line) => line.type))];
    expect(Object.fromEntries(types.map((type) => [type, count(type)]))).toEqual({
      user: 1,
      item: 1,
      float: 2,
      account: 1,
      balance: 2,
      transaction: 3,
      connection: 1,
      connection_history: 1,
      number_read: 1,
      end: 1,
    });
    expect(lines.at(-1)).toEqual({ type: 'end', lines: lines.length - 1 });
    const text = JSON.stringify(lines);
    for (const hidden of [other, secret, Buffer.from(secret).toString('hex'), `access-${itemId}`, 'changed'])
      expect([hidden, text.includes(hidden)]).toEqual([hidden, false]);
    expect(lines.find((line) => line.type === 'transaction')).toMatchObject({
      item_id: itemId,
      version: 1,
      transaction: { id: `t1-${mark}`, amount: '12.34' },
    });
    expect(lines.find((line) => line.type === 'number_read')).toMatchObject({ account_ids: ['acc-1'] });
  });

  it('reads large tables piece by piece, and stops when nobody wants more', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: Array.from({ length: 450 }, (_, n) => transaction(`t${n}`)) }]);
    expect((await exported(item.userId)).filter((line) => line.type === 'transaction')).toHaveLength(450);
    let pieces = 0;
    await expect(
      world.stores.exports.write(item.userId, async () => {
        pieces += 1;
        if (pieces === 3) throw new Error('gone');
      }),
    ).rejects.toThrow('gone');
    expect(pieces).toBe(3);
    const open = await world.sql`
      SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`;
    expect(open).toHaveLength(0);
  });
});

it('an erasure that is over before its request has asked for removals ends nothing of who has the name anew', async () => {
  const user = newId('user');
  await linkedItem(world, { userId: user });
  const held = { begun: () => {}, goOn: () => {} };
  const reached = new Promise<void>((resolve) => (held.begun = resolve));
  const opened = new Promise<void>((resolve) => (held.goOn = resolve));
  let transactions = 0;
  const sql = new Proxy(world.sql, {
    get(of, name) {
      if (name !== 'begin') return Reflect.get(of, name) as unknown;
      return async (work: Parameters<typeof of.begin>[1]) => {
        transactions += 1;
        if (transactions === 2) {
          held.begun();
          await opened;
        }
        return of.begin(work as never);
      };
    },
  });
  const erasureId = `era_${randomUUID()}`;
  const slow = erasureStore(sql).request(user, { erasureId, force: false, ...asker });
  await reached;
  await carryOut(erasureId);
  const again = await linkedItem(world, { userId: user });
  held.goOn();
  expect(await slow).toMatchObject({ erasure_id: erasureId, state: 'done' });
  const [row] = await world.sql`SELECT removal_requested_at FROM items WHERE item_id = ${again.itemId}`;
  expect(row).toEqual({ removal_requested_at: null });
});
