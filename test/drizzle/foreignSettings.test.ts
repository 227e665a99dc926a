import { ourselves } from '../../domain/exchange/viewer.js';
import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { migrate } from '../../drizzle/migrate.js';
import { createStores } from '../../drizzle/index.js';
import { forRequests, openDatabase } from '../../src/clients/postgres.js';
import type { World } from './world.js';
import {
  rowsOf,
  linkedItem,
  newId,
  openWorld,
  prompt,
  runUpdate,
  sealed,
  storedChanges,
  storedTransactions,
  transaction,
  webhook,
} from './world.js';

/** Each is somebody's good reason elsewhere, and would change what our statements mean, or end them. */
const foreign: Record<string, string> = {
  bytea_output: 'escape',
  datestyle: 'German',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kathmandu',
  standard_conforming_strings: 'off',
  extra_float_digits: '-15',
  array_nulls: 'off',
  client_encoding: 'LATIN1',
  search_path: 'pg_catalog',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  statement_timeout: '1s',
  lock_timeout: '1s',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
  transaction_timeout: '1s',
};

const set = (whose: string): string =>
  Object.entries(foreign)
    .map(([name, value]) => `ALTER ${whose} SET ${name} = '${value}'`)
    .join('; ');

let world: World;
beforeAll(async () => {
  world = await openWorld();
  const { pathname } = new URL(world.url);
  const admin = postgres(world.url, { max: 1, onnotice: () => undefined });
  await admin.unsafe(set(`DATABASE ${pathname.slice(1)}`));
  await admin.end({ timeout: 5 });
});
afterAll(() => world.close());

describe('under settings of the database that are not ours', () => {
  it('those are in force for everybody else', async () => {
    const other = postgres(world.url, { max: 1, onnotice: () => undefined });
    const [row] = await other`
      SELECT current_setting('bytea_output') AS bytes, current_setting('search_path') AS path`;
    expect(row).toEqual({ bytes: 'escape', path: 'pg_catalog' });
    await other.end({ timeout: 5 });
  });

  it.each([
    ['the API', forRequests],
    ['a worker', {}],
  ])('%s has its own on every connection, and is ready', async (_who, options) => {
    const sql = openDatabase(world.url, { max: 3, ...options });
    try {
      await createStores(sql).ping();
      const rows = await Promise.all(
        [1, 2, 3].map(
          () => sql<{ name: string; setting: string }[]>`
            SELECT name, setting, pg_sleep(0.001)::text FROM pg_settings WHERE name = ANY(${Object.keys(foreign)})`,
        ),
      );
      const wrong = rows.flat().filter(({ name, setting }) => foreign[name.toLowerCase()] === setting);
      expect(wrong).toEqual([]);
      const [limit] = await sql<[{ ms: string }]>`
        SELECT setting AS ms FROM pg_settings WHERE name = 'statement_timeout'`;
      expect(Number(limit.ms)).toBe('statementTimeoutMs' in options ? options.statementTimeoutMs : 60_000);
    } finally {
      await sql.end({ timeout: 5 });
    }
  });

  it('an Item is linked, mined, told of and read as anywhere else', async () => {
    const item = await linkedItem(world);
    const { stores } = world;
    const credentials = await stores.items.credentials(item.itemId, { forRemoval: false });
    expect(Buffer.from(credentials?.accessToken.ciphertext ?? []).toString()).toBe(`access-${item.itemId}`);
    const name = 'Zürich \\ “€” \\x41';
    const said = { added: [transaction('t1', { name, date: '2026-02-03', amount: 0.1 }), transaction('t2')] };
    expect(await runUpdate(world, item, [said])).toMatchObject({ kind: 'applied' });
    expect(await runUpdate(world, item, [{ modified: [transaction('t2', { amount: 7.25 })] }])).toMatchObject(
      {
        kind: 'applied',
      },
    );
    const stored = await storedTransactions(world, item.itemId);
    expect(stored.get('t1')).toMatchObject({ raw: { name, amount: 0.1 }, refined: { date: '2026-02-03' } });
    const page = await stores.reads.transactions(
      ourselves,
      { itemIds: [item.itemId], statuses: ['posted'], format: 'raw', from: '2026-02-03', to: '2026-02-03' },
      10,
      null,
    );
    expect(rowsOf(page)).toEqual([expect.objectContaining({ name })]);
    expect((await storedChanges(world, item.itemId)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    const unsent = await stores.outbox.unsent(item.itemId, 'transaction', 10);
    expect(unsent.rows).toHaveLength(3);
  });

  it('numbers, webhooks, floats and what is due are kept byte for byte and to the microsecond', async () => {
    const item = await linkedItem(world);
    const { stores } = world;
    await prompt(world).saveNumbers(item.itemId, [{ accountId: 'acc-1', sealed: sealed('\\x00 ÿ') }]);
    const [number] = await world.sql<{ bytes: Buffer }[]>`
      SELECT numbers_ciphertext AS bytes FROM account_numbers WHERE item_id = ${item.itemId}`;
    expect(number?.bytes.toString()).toBe('\\x00 ÿ');
    const sent = webhook(item.itemId, 'SYNC_UPDATES_AVAILABLE', { text: 'ü \\ €' });
    const { webhookId } = await stores.webhooks.store(sent);
    expect((await stores.webhooks.get(ourselves, webhookId))?.body).toBe(Buffer.from(sent.body).toString());
    const pages = new Set<string>();
    for (let after: Parameters<typeof stores.webhooks.page>[3] = null; ;) {
      const page = await stores.webhooks.page(ourselves, { item_id: item.itemId }, 1, after);
      for (const row of page.rows) pages.add(row.webhook_id);
      if (page.next === null) break;
      after = page.next;
    }
    expect(pages).toEqual(new Set([webhookId]));
    expect(await stores.webhooks.acquireSignal(webhookId)).toMatchObject({ itemId: item.itemId });
    const float = { userId: item.userId, floatId: newId('float'), status: 'active' as const };
    await stores.floats.record({ ...float, occurredAt: '2026-11-20T10:00:00.123Z', by: null });
    const due = await stores.sweep.findDue(100, 0);
    expect(due.map(({ itemId }) => itemId)).toContain(item.itemId);
  });

  it('a statement may take the time that we give it, and a quiet connection stays', async () => {
    const [before] = await world.sql<[{ pid: number }]>`SELECT pg_backend_pid() AS pid, pg_sleep(1.3)`;
    const one = openDatabase(world.url, { max: 1 });
    const pid = async (): Promise<number> => {
      const [row] = await one<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
      return row.pid;
    };
    const first = await pid();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await pid()).toBe(first);
    expect(before.pid).toBeGreaterThan(0);
    await one.end({ timeout: 5 });
  });
});

it('a migrator makes our schema where settings are foreign', async () => {
  const name = `foreign_${randomUUID().replaceAll('-', '')}`;
  const admin = openDatabase(world.url, { max: 1 });
  await admin.unsafe(`CREATE DATABASE ${name}`);
  const url = new URL(world.url);
  url.pathname = `/${name}`;
  try {
    await admin.unsafe(set(`DATABASE ${name}`));
    await migrate(url.href);
    const sql = openDatabase(url.href, { max: 1 });
    await createStores(sql).ping();
    await sql.end({ timeout: 5 });
  } finally {
    await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end({ timeout: 5 });
  }
});

// PostgreSQL makes such a database where its own default is one, or that of the system that it was made on.
it.each([
  ['LATIN1', false],
  ['SQL_ASCII', true],
])('a database encoded in %s: it is used = %s, and named where it is not', async (encoding, isUsed) => {
  const name = `encoded_${randomUUID().replaceAll('-', '')}`;
  const admin = openDatabase(world.url, { max: 1 });
  await admin.unsafe(
    `CREATE DATABASE ${name} ENCODING '${encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0`,
  );
  const url = new URL(world.url);
  url.pathname = `/${name}`;
  const sql = openDatabase(url.href, { max: 1 });
  const end = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: unknown) => error,
    );
  try {
    const made = await end(migrate(url.href));
    const ready = await end(createStores(sql).ping());
    const refusal = {
      type: 'MISCONFIGURED',
      message: expect.stringMatching(/^the database is encoded in LATIN1, which lacks characters: /),
    };
    expect([made, ready]).toMatchObject(isUsed ? ['done', 'done'] : [refusal, refusal]);
    if (!isUsed) return;
    const told = { ...world, sql, stores: createStores(sql) };
    const item = await linkedItem(told);
    await runUpdate(told, item, [{ added: [transaction('t1', { name: '10 € 東京 🍕' })] }]);
    expect((await storedTransactions(told, item.itemId)).get('t1')).toMatchObject({
      raw: { name: '10 € 東京 🍕' },
    });
  } finally {
    await sql.end({ timeout: 5 });
    await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end({ timeout: 5 });
  }
});
