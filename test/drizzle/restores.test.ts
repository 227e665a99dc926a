import { createHash } from 'node:crypto';
import type { Grant } from '../../domain/exchange/connection.js';
import { endedLines, newestOf, nothingEnded, readEnded } from '../../domain/exchange/ended.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import type { Actor } from '../../domain/ports/connections.js';
import { suspendCarried } from '../../drizzle/stores/connectionWrites.js';
import { backUp } from '../stack/testDatabase.js';
import { inDays } from './connectionLife.js';
import { page, told } from './eventFeed.js';
import { anyActor, connect, newApplication, underLock } from './granting.js';
import type { TestItem, World } from './world.js';
import {
  account,
  exchangedItem,
  linkedItem,
  newId,
  openWorld,
  runUpdate,
  sealed,
  seenNow,
  storedChanges,
  transaction,
  unrefused,
  webhook,
} from './world.js';

/** The world up to the backup, and on from it: what the restored one has forgotten. */
let lost: World;
let world: World;
let item: TestItem;
let place: { xid: string; position: string; at: number };

const feed = (of: World, after: number) =>
  of.stores.changes.changes(ourselves, item.itemId, ['account', 'transaction'], after, 500);
const consenting = { ...ourselves, consent: true };
const pull = (after: typeof place | null) => world.stores.events.page(consenting, after, null, 100);

async function restoreAll(of: World, limit = 1) {
  const restore = await of.stores.restores.begin();
  let records = 0;
  for (let after: string | null = null; ;) {
    const page = await of.stores.restores.republish(restore, after, limit);
    records += page.records;
    if (page.next === null) break;
    after = page.next;
  }
  await of.stores.restores.finish(restore.restoreId);
  return { ...restore, records };
}

beforeAll(async () => {
  lost = await openWorld();
  item = await linkedItem(lost);
  await runUpdate(lost, item, [{ added: [transaction('t1'), transaction('t2'), transaction('t3')] }]);
  await lost.sql`
    INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext)
    VALUES (${item.itemId}, 'acc-1', 'k', '\\x00', '\\x00')`;
  world = await openWorld(await backUp(lost.url));
  // On from the backup: a row that goes and comes back as it was, one that is removed, a new one.
  await runUpdate(lost, item, [
    {
      modified: [transaction('t1', { amount: 5 })],
      removed: [{ transaction_id: 't2', account_id: 'acc-1' }],
    },
  ]);
  await runUpdate(lost, item, [{ modified: [transaction('t1')], added: [transaction('t4')] }], {
    accounts: [account('acc-1', { name: 'Renamed' })],
  });
  place = { ...(await told(lost, consenting)).place, at: Date.now() };
});
afterAll(async () => {
  await Promise.all([lost.close(), world.close()]);
});

it('what was told after the backup is contradicted by nothing: numbers go on above it, and everything live is told again', async () => {
  const told = await storedChanges(lost, item.itemId);
  const before = await storedChanges(world, item.itemId);
  const { base } = await restoreAll(world);
  const after = await storedChanges(world, item.itemId);
  expect(after.slice(0, before.length)).toEqual(before);
  const republished = after.slice(before.length);
  expect(
    republished.map(({ record, subject, version, removed }) => [record, subject, version, removed]),
  ).toEqual([
    ['account', 'acc-1', 1, false],
    ['transaction', 't1', 1, false],
    ['transaction', 't2', 1, false],
    ['transaction', 't3', 1, false],
  ]);
  expect(republished.map(({ sequence }) => Number(sequence))).toEqual([1, 2, 3, 4].map((n) => base + n));
  expect(base).toBeGreaterThan(Number(told.at(-1)?.sequence));
  // As an update tells it.
  const withoutPlace = ({ raw, refined }: (typeof republished)[number]) => ({ raw, refined });
  expect(republished.map(withoutPlace)).toEqual(before.map(withoutPlace));
  // What Plaid says again from the older cursor goes on behind it.
  await runUpdate(world, item, [{ removed: [{ transaction_id: 't2', account_id: 'acc-1' }] }]);
  const [last] = (await storedChanges(world, item.itemId)).slice(-1);
  expect([Number(last?.sequence), last?.subject, last?.removed]).toEqual([base + 5, 't2', true]);
});

it('a place in the changes that lies behind the backup begins anew, as does one before it', async () => {
  const { base } = await restoreAll(world);
  expect(await feed(world, 4)).toBe('expired');
  // The restored database has come further than the client by then.
  expect(await feed(world, 8)).toBe('expired');
  const snapshot = unrefused(
    await world.stores.changes.snapshot(ourselves, item.itemId, ['account', 'transaction'], 500, null),
  );
  expect(Number(snapshot?.sequence)).toBeGreaterThan(base);
  expect(await feed(world, Number(snapshot?.sequence))).toMatchObject({ rows: [], hasMore: false });
});

it('a place among the events that was given before the restore is lost for ever, one that is given afterwards is not', async () => {
  // The numbers of its transactions have long passed the place.
  await restoreAll(world);
  expect(await pull(place)).toBe('lost');
  const all = await told(world, consenting);
  expect(await pull({ ...all.place, at: Date.now() })).not.toBe('lost');
  expect(all.events.filter(({ type }) => type === 'item.updated').at(-1)).toMatchObject({
    data: { item_id: item.itemId, added: 2, accounts: 1 },
  });
});

it('everything that Plaid or the bank may know better is due, and numbers are withheld until they are read again', async () => {
  await world.sql`UPDATE items SET next_due_at = '2999-01-01', numbers_due_at = NULL, error_episode = 3`;
  await world.sql`UPDATE account_numbers SET doubted_at = NULL`;
  const removed = await linkedItem(world);
  await world.stores.items.finishRemoval(removed.itemId);
  await restoreAll(world);
  const due = await world.stores.sweep.findDue(10, 0);
  expect(due).toContainEqual(
    expect.objectContaining({ itemId: item.itemId, kinds: expect.arrayContaining(['update', 'numbers']) }),
  );
  const [row] = await world.sql`
    SELECT doubted_at IS NOT NULL AS doubted, error_episode FROM account_numbers JOIN items USING (item_id)`;
  expect(row?.['doubted']).toBe(true);
  expect(row?.['error_episode']).toBeGreaterThan(3);
  expect(await storedChanges(world, removed.itemId)).toEqual([]);
});

it('an Item that is to be removed is numbered on, and told to nobody again', async () => {
  const leaving = await linkedItem(world);
  await runUpdate(world, leaving, [{ added: [transaction('t9')] }]);
  await world.stores.itemCommands.requestRemoval(leaving.itemId, { force: true });
  const before = await storedChanges(world, leaving.itemId);
  const { base } = await restoreAll(world);
  expect(await storedChanges(world, leaving.itemId)).toEqual(before);
  await world.stores.items.finishRemoval(leaving.itemId);
  const [last] = (await storedChanges(world, leaving.itemId)).slice(-1);
  expect([last?.removed, Number(last?.sequence)]).toEqual([true, base + 1]);
});

it('a link that had not been exchanged at the backup is never exchanged again: its Item may live', async () => {
  const tokenHash = newId('hash');
  await world.stores.links.receive({
    token_hash: tokenHash,
    user_id: newId('user'),
    application_id: 'default',
    publicToken: sealed('public'),
    institution_id: null,
    accounts: [],
    main_account_id: null,
  });
  const stored = await exchangedItem(world);
  const { doubtedLinks } = await restoreAll(world);
  expect(doubtedLinks).toBe(1);
  expect(await world.stores.links.beginExchange(tokenHash)).toBeNull();
  const [row] = await world.sql`SELECT state FROM links WHERE token_hash = ${stored.tokenHash}`;
  expect(row?.['state']).toBe('exchanged');
});

it('answers to questions from before the restore are refused, though nothing was learned of the Item since', async () => {
  const one = await linkedItem(world);
  const { items } = world.stores;
  const seen = await seenNow(world, one.itemId);
  await restoreAll(world);
  const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  expect(await items.setBroken(one.itemId, seen, error, inDays(1))).toBe(false);
  expect(await items.saveNumbers(one.itemId, seen, [{ accountId: 'acc-1', sealed: sealed('n') }])).toBe(
    false,
  );
  expect(await items.setBroken(one.itemId, await seenNow(world, one.itemId), error, inDays(1))).toBe(true);
});

it('events of a dump that was loaded into a younger server are shown', async () => {
  await world.sql`UPDATE events SET xid = '9000000000000'`;
  const hidden = await page(world, consenting, null);
  await restoreAll(world);
  const { events } = await told(world, consenting);
  expect(hidden.events).toEqual([]);
  expect(events.some(({ type }) => type === 'item.linked')).toBe(true);
});

it('of events and numbers, however many, no statement changes more than it has time for', async () => {
  await world.sql`
    INSERT INTO events (event_id, type, time, data, xid)
    SELECT 'evt_many_' || n, 'item.linked', now(), '{}', '9000000000000' FROM generate_series(1, 21000) AS n`;
  await world.sql`
    INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext)
    SELECT ${item.itemId}, 'many-' || n, 'k', '\\x00', '\\x00' FROM generate_series(1, 21000) AS n`;
  await world.sql.unsafe(`
    CREATE FUNCTION too_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT count(*) FROM changed) > 10000 THEN RAISE 'too many rows at once'; END IF;
      RETURN NULL;
    END $$`);
  for (const table of ['events', 'account_numbers'])
    await world.sql.unsafe(`
      CREATE TRIGGER too_many AFTER UPDATE ON ${table} REFERENCING NEW TABLE AS changed
      FOR EACH STATEMENT EXECUTE FUNCTION too_many()`);
  await restoreAll(world);
  await world.sql.unsafe('DROP FUNCTION too_many CASCADE');
  const [left] = await world.sql`
    SELECT (SELECT count(*)::int FROM events WHERE xid >= '9000000000000') AS events,
      (SELECT count(*)::int FROM account_numbers WHERE doubted_at IS NULL) AS numbers`;
  await world.sql`DELETE FROM events WHERE event_id LIKE 'evt_many_%'`;
  await world.sql`DELETE FROM account_numbers WHERE account_id LIKE 'many-%'`;
  expect(left).toEqual({ events: 0, numbers: 0 });
});

it('an Item that webhooks come for and that is unknown since a restore is told to the operator', async () => {
  const unknown = newId('item');
  const late = async (itemId: string) => {
    await world.stores.webhooks.store(webhook(itemId, 'SYNC_UPDATES_AVAILABLE'));
    await world.sql`UPDATE webhooks SET received_at = now() - interval '2 minutes' WHERE item_id = ${itemId}`;
  };
  await late(unknown);
  await late(item.itemId);
  await world.sql`DELETE FROM restores`;
  await world.stores.sweep.ignoreUnknown();
  expect(await world.sql`SELECT key FROM alerts`).toEqual([]);
  await restoreAll(world);
  for (let n = 0; n < 2; n += 1) await world.stores.sweep.ignoreUnknown();
  expect(await world.sql`SELECT kind, item_id FROM alerts`).toEqual([
    { kind: 'item_unknown', item_id: unknown },
  ]);
});

it('Items that are unknown since a restore are told however many were told before, up to the most', async () => {
  await restoreAll(world);
  await world.sql`UPDATE webhooks SET outcome = 'ignored' WHERE outcome = 'pending'`;
  await world.sql`DELETE FROM alerts`;
  const come = (from: number, to: number) => world.sql`
    INSERT INTO webhooks (received_at, source, verdict, item_id, kind, removed_ids, outcome, headers, body)
    SELECT now() - interval '2 hours' + n * interval '1 second', 'plaid', 'accepted', 'lost-' || n, 'update', '{}', 'pending', '{}', ''
    FROM generate_series(${from}::int, ${to}::int) AS n`;
  const told = async () => {
    await world.stores.sweep.ignoreUnknown();
    const [row] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM alerts WHERE kind = 'item_unknown'`;
    return row.n;
  };
  await come(1, 700);
  expect(await told()).toBe(700);
  await come(701, 900);
  expect(await told()).toBe(900);
  await come(901, 1_100);
  expect(await told()).toBe(1_000);
  await world.sql`DELETE FROM alerts`;
  await world.sql`DELETE FROM webhooks WHERE item_id LIKE 'lost-%'`;
});

describe('erasures that the database has forgotten', () => {
  const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
  const gone = (userId: string, at: string, erasureId = `era_${newId('e')}`) => ({
    erasureId,
    userHash: hashOf(userId),
    at,
  });
  const soon = new Date(Date.now() + 60_000).toISOString();

  it('are asked for again under their ids, of those who were there before; who came later or has none is left alone', async () => {
    const [erased, newcomer, other] = await Promise.all([
      linkedItem(world),
      linkedItem(world),
      linkedItem(world),
    ]);
    await world.stores.floats.record({
      userId: erased.userId,
      floatId: 'f',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    const past = [
      gone(erased.userId, soon),
      gone(newcomer.userId, '2020-01-01T00:00:00Z'),
      gone('nobody', soon),
    ];
    const { erasures } = world.stores;
    expect(await erasures.reapply(past)).toEqual([past[0]?.erasureId]);
    expect(await erasures.reapply(past)).toEqual([]);
    expect(await erasures.subject(past[0]?.erasureId ?? '')).toMatchObject({ repeated: true });
    expect(await erasures.get(past[0]?.erasureId ?? '')).toMatchObject({
      state: 'removing',
      user_hash: hashOf(erased.userId),
    });
    expect(await erasures.open(10, 0, 60_000)).toContainEqual({ erasureId: past[0]?.erasureId, late: false });
    const asked = await world.sql<{ item_id: string }[]>`
      SELECT item_id FROM items WHERE removal_requested_at IS NOT NULL AND removed_at IS NULL`;
    expect(asked.map(({ item_id }) => item_id)).toEqual([erased.itemId]);
    expect(asked).not.toContainEqual({ item_id: other.itemId });
  });

  it('include floats that the listener has read again since', async () => {
    const userId = newId('user');
    const one = gone(userId, new Date().toISOString());
    const float = {
      userId,
      floatId: 'f',
      status: 'closed' as const,
      occurredAt: '2026-01-01T00:00:00Z',
      by: null,
    };
    const { erasures } = world.stores;
    for (let n = 0; n < 2; n += 1) {
      await world.stores.floats.record(float);
      const [erasureId = ''] = await erasures.reapply([one]);
      await erasures.stop(erasureId);
      expect(await erasures.finish(erasureId)).toBe(true);
    }
    expect(await world.sql`SELECT FROM floats WHERE user_id = ${userId}`).toEqual([]);
  });

  it('are listed, those that go on too', async () => {
    const { erasures } = world.stores;
    const all = await erasures.past(null, 100);
    const paged = [];
    for (
      let page = await erasures.past(null, 1);
      page.length > 0;
      page = await erasures.past(page[0]?.erasureId ?? '', 1)
    )
      paged.push(...page);
    expect(paged).toEqual(all);
    const [running] = await world.sql`SELECT user_hash AS "userHash" FROM erasures WHERE ended_at IS NULL`;
    expect(all).toContainEqual(expect.objectContaining(running));
  });
});

it('Items, connections and keys that have ended are listed in pages, and those that are back are found', async () => {
  const application = await newApplication(world);
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.push(await connect(world, await linkedItem(world), application));
  const [one = '', two = '', three = ''] = ids.sort();
  const actor = { ...anyActor, reason: null };
  for (const id of [one, two]) await world.stores.connections.revoke(ourselves, id, { actor });
  const { restores } = world.stores;
  expect(await restores.ended('connection', null, 10)).toEqual([one, two]);
  expect(await restores.ended('connection', one, 1)).toEqual([two]);
  expect(await restores.live('connection', [three, one, 'con_none'])).toEqual([three]);
  const gone = await linkedItem(world);
  await world.stores.itemCommands.requestRemoval(gone.itemId, { force: true });
  expect(await restores.ended('item', null, 100)).toContain(gone.itemId);
  expect(await restores.live('item', [gone.itemId, item.itemId, 'none'])).toEqual([item.itemId]);
  await world.sql`
    INSERT INTO api_keys (key_id, application_id, key_hash, scopes) VALUES
      ('key_1', ${application.applicationId}, 'h1', '{read}'), ('key_2', ${application.applicationId}, 'h2', '{read}')`;
  expect(await restores.ended('key', null, 10)).toEqual([]);
  expect(await restores.end('key', ['key_1', 'key_none'])).toBe(1);
  expect(await restores.end('key', ['key_1'])).toBe(0);
  expect(await restores.ended('key', null, 10)).toEqual(['key_1']);
});

describe('connections that somebody has changed since the backup', () => {
  const soon = '2999-01-01T00:00:00.000Z';
  const later = '2999-02-01T00:00:00.000Z';
  const user = { ...anyActor, initiator: 'user' as const };
  let of: World;
  let before: World;
  let shared: TestItem;
  let ids: Record<'narrowed' | 'suspended' | 'ending' | 'widened' | 'untouched', string>;
  const change = (world: World, id: string, changes: Partial<Grant>, actor: Actor = user) =>
    world.stores.connections.change(ourselves, id, changes, { mayWiden: actor !== user, actor });
  const shownIn = async (world: World, id: string) => {
    const { rows = [] } = (await world.stores.connections.history(ourselves, id, 100, null)) ?? {};
    const view = await world.stores.connections.get(ourselves, id);
    const [row] = await world.sql`
      SELECT granted_accounts AS granted FROM connections WHERE connection_id = ${id}`;
    return {
      granted: row?.['granted'] as string[] | null | undefined,
      scopes: view?.scopes,
      status: view?.status,
      expires_at: view?.expires_at,
      lookback_days: view?.lookback_days,
      history: rows.map(({ action }) => action),
    };
  };

  beforeAll(async () => {
    of = await openWorld();
    shared = await linkedItem(of);
    const accounts = [account('acc-1'), account('acc-2', { mask: '2' })];
    await runUpdate(of, shared, [{}], { accounts });
    const make = async () => connect(of, shared, await newApplication(of));
    ids = {
      narrowed: await make(),
      suspended: await make(),
      ending: await make(),
      widened: await make(),
      untouched: await make(),
    };
    await change(of, ids.untouched, { lookback_days: 10 });
    await change(of, ids.widened, { scopes: ['accounts'] });
    before = await openWorld(await backUp(of.url));
    await runUpdate(of, shared, [{}], { accounts: [...accounts, account('acc-3', { mask: '3' })] });
    await change(of, ids.narrowed, {
      scopes: ['accounts', 'balances'],
      account_ids: ['acc-2', 'acc-3'],
      new_accounts: false,
      lookback_days: 90,
    });
    await change(of, ids.ending, { expires_at: soon });
    await change(of, ids.widened, { scopes: ['accounts', 'numbers'] }, anyActor);
    await underLock(of, shared.itemId, (tx) => suspendCarried(tx, ids.suspended, anyActor));
  });
  afterAll(async () => {
    await Promise.all([of.close(), before.close()]);
  });

  /** A backup is restored: of what happens from now on `before` knows nothing. */
  async function loseWhatComes(): Promise<void> {
    await before.close();
    before = await openWorld(await backUp(of.url));
  }

  /** Backed up while a connection with an Item awaits one of its first two accounts. */
  async function awaitingOne() {
    const accounts = [account('acc-1'), account('acc-2', { mask: '2' })];
    const own = await linkedItem(of);
    await runUpdate(of, own, [{}], { accounts: accounts.slice(0, 1), accountsRefused: true });
    const id = await connect(of, own, await newApplication(of), { new_accounts: false });
    await loseWhatComes();
    return { own, id, accounts };
  }

  const list = async (): Promise<string[]> =>
    endedLines({ ...nothingEnded(), narrowed: await of.stores.restores.narrowed(null, 100) });

  /** What was listed is reapplied; resolves to those from which something was taken away. */
  async function reapply(listed?: string[]): Promise<string[]> {
    const lines = listed ?? (await list());
    const found = nothingEnded();
    for (const line of lines) readEnded(JSON.parse(line), found);
    const cut = [];
    for (const limit of newestOf(found.narrowed))
      if (await before.stores.connections.cut(limit)) cut.push(limit.connectionId);
    return cut;
  }

  it('are cut to what they granted last, and to nothing else', async () => {
    const untouched = await shownIn(before, ids.untouched);
    expect((await reapply()).sort()).toEqual([ids.narrowed, ids.suspended, ids.ending].sort());
    expect(await shownIn(before, ids.narrowed)).toEqual({
      scopes: ['accounts', 'balances'],
      // The third one is yet to come.
      granted: ['acc-2', 'acc-3'],
      status: 'active',
      expires_at: null,
      lookback_days: 90,
      history: ['created', 'updated'],
    });
    expect(await shownIn(before, ids.suspended)).toMatchObject({
      status: 'suspended',
      granted: null,
      history: ['created', 'suspended'],
    });
    expect(await shownIn(before, ids.ending)).toMatchObject({
      expires_at: soon,
      history: ['created', 'updated'],
    });
    expect(await shownIn(before, ids.widened)).toMatchObject({ scopes: ['accounts'] });
    expect(await shownIn(before, ids.untouched)).toEqual(untouched);
  });

  it('stay as somebody has changed them here since', async () => {
    await change(before, ids.narrowed, { scopes: ['accounts', 'balances', 'numbers'] }, anyActor);
    expect(await reapply()).toEqual([]);
    expect(await shownIn(before, ids.narrowed)).toMatchObject({
      scopes: ['accounts', 'balances', 'numbers'],
    });
  });

  it('are listed in pages, and those that have ended are not', async () => {
    await of.stores.connections.revoke(ourselves, ids.suspended, { actor: anyActor });
    const all = await of.stores.restores.narrowed(null, 100);
    const listed = [ids.narrowed, ids.ending, ids.widened, ids.untouched].sort();
    expect(all.map(({ connectionId }) => connectionId)).toEqual(listed);
    expect(await of.stores.restores.narrowed(listed[1] ?? '', 1)).toEqual([all[2]]);
  });

  it('are cut further when more is known: neither an older list that was reapplied nor the bank stands against it', async () => {
    const id = await connect(of, shared, await newApplication(of));
    await loseWhatComes();
    await change(of, id, { scopes: ['accounts', 'transactions'] });
    const older = await list();
    await change(of, id, { scopes: ['accounts'] });
    const newer = await list();
    expect(await reapply(older)).toEqual([id]);
    await underLock(before, shared.itemId, (tx) =>
      suspendCarried(tx, id, { ...anyActor, initiator: 'bank' }),
    );
    expect(await reapply(newer)).toEqual([id]);
    expect(await shownIn(before, id)).toMatchObject({ scopes: ['accounts'], status: 'suspended' });
    expect(await reapply(newer)).toEqual([]);
  });

  it('are cut to what the newest of several lists says', async () => {
    const id = await connect(of, shared, await newApplication(of));
    await loseWhatComes();
    await change(of, id, { scopes: ['accounts'] });
    const older = await list();
    await change(of, id, { scopes: ['accounts', 'transactions'] }, anyActor);
    const newer = await list();
    for (const lines of [
      [...older, ...newer],
      [...newer, ...older],
    ])
      await reapply(lines);
    expect(await shownIn(before, id)).toMatchObject({ scopes: ['accounts', 'transactions'] });
  });

  it('grant no account that was taken away and that the backup does not know, though later ones are granted', async () => {
    const some = ['acc-1', 'acc-2'];
    const all = [...some, 'acc-3'].map((id) => account(id, { mask: id }));
    const own = await linkedItem(of);
    await runUpdate(of, own, [{}], { accounts: all.slice(0, 2) });
    const whole = await connect(of, own, await newApplication(of));
    const named = await connect(of, own, await newApplication(of), { account_ids: some });
    const kept = await connect(of, own, await newApplication(of), { account_ids: ['acc-1'] });
    await loseWhatComes();
    await runUpdate(of, own, [{}], { accounts: all });
    await change(of, whole, { account_ids: some });
    await change(of, named, { account_ids: some });
    await change(of, kept, { scopes: ['accounts'] });
    await reapply();
    await runUpdate(before, own, [{}], { accounts: all });
    const granted = await Promise.all(
      [whole, named, kept].map(async (id) => (await shownIn(before, id)).granted),
    );
    expect(granted).toEqual([some, some, ['acc-1', 'acc-3']]);
  });

  it('keep the later accounts that they had been granted before the backup, or are granted after it, however often it is reapplied', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3', 'acc-4'].map((id) => account(id, { mask: id }));
    const own = await linkedItem(of);
    await runUpdate(of, own, [{}], { accounts: all.slice(0, 2) });
    const id = await connect(of, own, await newApplication(of), { account_ids: ['acc-1'] });
    await runUpdate(of, own, [{}], { accounts: all.slice(0, 3) });
    await loseWhatComes();
    await change(of, id, { scopes: ['accounts'] });
    expect(await reapply()).toEqual([id]);
    expect(await shownIn(before, id)).toMatchObject({ granted: ['acc-1', 'acc-3'], scopes: ['accounts'] });
    await runUpdate(before, own, [{}], { accounts: all });
    expect(await reapply()).toEqual([]);
    expect((await shownIn(before, id)).granted).toEqual(['acc-1', 'acc-3', 'acc-4']);
  });

  it('grant no first account that was taken away and is still to come', async () => {
    const { own, id, accounts } = await awaitingOne();
    await runUpdate(of, own, [{}], { accounts });
    await change(of, id, { account_ids: ['acc-1'] });
    expect(await reapply()).toEqual([id]);
    await runUpdate(before, own, [{}], { accounts });
    expect((await shownIn(before, id)).granted).toEqual(['acc-1']);
  });

  it('keep an account that has taken the place of one of theirs since', async () => {
    const [one, two] = [account('acc-1'), account('acc-2', { mask: '2' })];
    const own = await linkedItem(of);
    await runUpdate(of, own, [{}], { accounts: [one, two] });
    const id = await connect(of, own, await newApplication(of));
    await loseWhatComes();
    await change(of, id, { account_ids: ['acc-1'], new_accounts: false });
    await reapply();
    const under = (account_id: string) => ({ accounts: [{ ...one, account_id }, two] });
    await runUpdate(before, own, [{}], under('heir'));
    expect(await reapply()).toEqual([]);
    expect((await shownIn(before, id)).granted).toEqual(['acc-1', 'heir']);
    // It comes back from under another id.
    await runUpdate(before, own, [{}], under('brief'));
    await runUpdate(before, own, [{}], under('heir'));
    await reapply();
    expect((await shownIn(before, id)).granted).toEqual(expect.arrayContaining(['acc-1', 'heir']));
  });

  it.each([2, 3])(
    'are not granted what came after later accounts were refused, though it came here first (%j are known there)',
    async (count) => {
      const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id, { mask: id }));
      const own = await linkedItem(of);
      await runUpdate(of, own, [{}], { accounts: all.slice(0, 2) });
      const id = await connect(of, own, await newApplication(of));
      await loseWhatComes();
      await change(of, id, { new_accounts: false });
      await runUpdate(of, own, [{}], { accounts: all.slice(0, count) });
      await runUpdate(before, own, [{}], { accounts: all });
      expect(await reapply()).toEqual([id]);
      expect((await shownIn(before, id)).granted).toEqual(['acc-1', 'acc-2']);
      expect(await reapply()).toEqual([]);
    },
  );

  it.each([false, true])(
    'grant the first accounts that a list which was not whole had not named, where none was taken away (known there: %j)',
    async (known) => {
      const { own, id, accounts } = await awaitingOne();
      await change(of, id, { scopes: ['accounts'] });
      if (known) await runUpdate(of, own, [{}], { accounts });
      expect(await reapply()).toEqual([id]);
      await runUpdate(before, own, [{}], { accounts });
      expect(await shownIn(before, id)).toMatchObject({ granted: ['acc-1', 'acc-2'], scopes: ['accounts'] });
    },
  );

  it('are cut though an operator has refused later accounts here since, and kept those that had come by themselves', async () => {
    const all = ['acc-1', 'acc-2'].map((id) => account(id, { mask: id }));
    const own = await linkedItem(of);
    await runUpdate(of, own, [{}], { accounts: all.slice(0, 1) });
    const id = await connect(of, own, await newApplication(of), { account_ids: ['acc-1'] });
    await runUpdate(of, own, [{}], { accounts: all });
    await loseWhatComes();
    await change(of, id, { scopes: ['accounts'] });
    await change(before, id, { account_ids: ['acc-1', 'acc-2'], new_accounts: false }, anyActor);
    expect(await reapply()).toEqual([id]);
    expect(await shownIn(before, id)).toMatchObject({ granted: ['acc-1', 'acc-2'], scopes: ['accounts'] });
  });

  it.each<[string, (id: string) => Promise<unknown>, object]>([
    ['another purpose', (id) => change(before, id, { purpose: 'Budgets' }, anyActor), {}],
    ['more days', (id) => change(before, id, { lookback_days: 90 }, anyActor), { lookback_days: 90 }],
    ['later accounts', (id) => change(before, id, { new_accounts: true }, anyActor), {}],
    [
      'a later end',
      (id) => before.stores.connections.renew(ourselves, id, later, { actor: user }),
      { expires_at: later },
    ],
  ])('are cut in all else where somebody has granted %s here since', async (_what, grants, stands) => {
    const first = { lookback_days: 30, expires_at: soon };
    const id = await connect(of, shared, await newApplication(of), { ...first, new_accounts: false });
    await loseWhatComes();
    await change(of, id, { scopes: ['accounts'] });
    await grants(id);
    expect(await reapply()).toEqual([id]);
    expect(await shownIn(before, id)).toMatchObject({ ...first, ...stands, scopes: ['accounts'] });
    expect(await reapply()).toEqual([]);
  });

  it.each(['application', 'user', 'operator'] as const)(
    'are cut though its %s has narrowed them here since',
    async (initiator) => {
      const id = await connect(of, shared, await newApplication(of));
      await loseWhatComes();
      await change(of, id, { account_ids: ['acc-2'], new_accounts: false });
      await change(before, id, { lookback_days: 3_000 }, { ...anyActor, initiator });
      expect(await reapply()).toEqual([id]);
      expect(await shownIn(before, id)).toMatchObject({ granted: ['acc-2'], lookback_days: 3_000 });
    },
  );
});
