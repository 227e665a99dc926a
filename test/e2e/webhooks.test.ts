import { testStack } from '../stack/testStack.js';
import { until } from '../workflows/harness.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { bookUntold, goThroughLink } from './linking.js';
import type { FreshItem, Json } from './linking.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

interface Delivery {
  id: string;
  state: string;
  webhook_type: string;
  webhook_code: string;
  attempts: { status: number | null }[];
}
interface Stored {
  webhook_type: string | null;
  webhook_code: string | null;
  outcome: string;
  reason: string | null;
  signalled: boolean;
}

let system: System;
let temporal: CuttableProxy;
let shared: FreshItem;
const update = { webhook_type: 'TRANSACTIONS', webhook_code: 'SYNC_UPDATES_AVAILABLE' };

beforeAll(async () => {
  temporal = await startCuttableProxy(testStack().temporal_address);
  system = await startSystem({ transactionsPerItem: 60, apiEnv: { TEMPORAL_ADDRESS: temporal.address } });
  shared = await linkedAndComplete('shared');
});
afterAll(async () => {
  await system?.stop();
  await temporal?.close();
});

const link = (user: string, fresh: FreshItem) =>
  system.api<Json>('POST', `/v1/users/${user}/items`, { public_token: fresh.publicToken });

async function linkedAndComplete(user: string): Promise<FreshItem> {
  const fresh = await goThroughLink(system, user);
  expect((await link(user, fresh)).status).toBe(201);
  await system.sim(`/_sim/items/${fresh.itemId}/advance`, { to: 'idle' });
  await until(
    async () => (await system.api('GET', `/v1/items/${fresh.itemId}`)).body['history'] === 'complete',
  );
  await quiet(fresh.itemId);
  return fresh;
}

/** Sends a webhook from Plaid's side; resolves when each copy was answered. */
async function send(itemId: string, webhook: Record<string, unknown>): Promise<Delivery[]> {
  const { deliveries } = await system.sim<{ deliveries: string[] }>(
    `/_sim/items/${itemId}/webhooks`,
    webhook,
  );
  let mine: Delivery[] = [];
  await until(async () => {
    mine = (await deliveriesOf(itemId)).filter(({ id }) => deliveries.includes(id));
    return mine.length === deliveries.length && mine.every(({ attempts }) => attempts.length > 0);
  });
  return mine;
}
const deliveriesOf = async (itemId?: string): Promise<Delivery[]> =>
  (await system.sim<{ deliveries: Delivery[] }>(`/_sim/webhooks${itemId ? `?item_id=${itemId}` : ''}`))
    .deliveries;
const statuses = (deliveries: Delivery[]): (number | null)[] =>
  deliveries.flatMap(({ attempts }) => attempts.map(({ status }) => status));

const stored = (itemId: string): Promise<Stored[]> =>
  system.sql<Stored[]>`
    SELECT webhook_type, webhook_code, outcome, reason, signalled_at IS NOT NULL AS signalled
    FROM webhooks WHERE item_id = ${itemId} ORDER BY received_at, webhook_id`;

/** No webhook on its way and none pending. */
const quiet = (itemId: string): Promise<void> =>
  until(
    async () =>
      (await system.sim(`/_sim/items/${itemId}/truth`))['webhooks_due'] === 0 &&
      (await stored(itemId)).every(({ outcome }) => outcome !== 'pending'),
  );

/** A booking at the bank of which no webhook tells. */
async function bookSilently(itemId: string): Promise<string> {
  const { added } = await system.sim<{ added: string[] }>(`/_sim/items/${itemId}/transactions`, {
    add: [{ amount: 12.34, name: 'Coffee' }],
  });
  return added[0] as string;
}
const liveIds = async (itemId: string): Promise<string[]> =>
  (
    await system.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId} AND status <> 'removed' ORDER BY 1`
  ).map(({ id }) => id);
const trueIds = async (itemId: string): Promise<string[]> =>
  (await system.sim(`/_sim/items/${itemId}/truth`))['transactions']
    .map((row: { transaction_id: string }) => row.transaction_id)
    .sort();
const isMined = (itemId: string, id: string) => async (): Promise<boolean> =>
  (await liveIds(itemId)).includes(id);

describe('a webhook that asks for nothing', () => {
  it('is stored and ignored with a reason: unknown type, unknown code, logged only, no item', async () => {
    const { itemId } = shared;
    const untold = await bookUntold(system, itemId);
    const cases = [
      [{ webhook_type: 'MOON', webhook_code: 'FULL' }, 'not_handled'],
      [{ webhook_type: 'TRANSACTIONS', webhook_code: 'SOMETHING_NEW' }, 'not_handled'],
      [{ webhook_type: 'ITEM', webhook_code: 'WEBHOOK_UPDATE_ACKNOWLEDGED' }, 'logged_only'],
      [{ webhook_type: 'constructor', webhook_code: '__proto__' }, 'not_handled'],
    ] as const;
    for (const [webhook, reason] of cases) {
      expect(statuses(await send(itemId, webhook))).toEqual([200]);
      const last = (await stored(itemId)).at(-1);
      expect(last).toEqual({ ...webhook, outcome: 'ignored', reason, signalled: false });
    }
    await send(itemId, { ...update, item_id: null });
    const [orphan] = await system.sql`SELECT outcome, reason FROM webhooks WHERE item_id IS NULL`;
    expect(orphan).toEqual({ outcome: 'ignored', reason: 'no_item_id' });
    // Nothing of it made an update run: the booking would have come with it.
    expect(await liveIds(itemId)).not.toContain(untold);
  });

  it('waits a day for an unknown item, starts nothing, and ends as ignored', async () => {
    const unknown = 'AnItemThatNobodyLinked';
    expect(statuses(await send(shared.itemId, { ...update, item_id: unknown }))).toEqual([200]);
    expect(await stored(unknown)).toEqual([
      { ...update, outcome: 'pending', reason: null, signalled: false },
    ]);
    await expect(system.client.workflow.getHandle(`item/${unknown}`).describe()).rejects.toThrow();
    await system.sql`UPDATE webhooks SET received_at = received_at - interval '25 hours' WHERE item_id = ${unknown}`;
    await until(async () => (await stored(unknown))[0]?.outcome === 'ignored');
    expect(await stored(unknown)).toEqual([
      { ...update, outcome: 'ignored', reason: 'unknown_item', signalled: false },
    ]);
  });
});

describe('a good webhook', () => {
  it('makes the item read what is new, and says that it did', async () => {
    const { itemId } = shared;
    const id = await bookSilently(itemId);
    expect(statuses(await send(itemId, update))).toEqual([200]);
    await until(isMined(itemId, id));
    await quiet(itemId);
    const { body } = await system.api('GET', `/v1/webhooks?item_id=${itemId}&limit=1`);
    expect(body['data'][0]).toMatchObject({
      ...update,
      source: 'plaid',
      verdict: 'accepted',
      item_id: itemId,
      outcome: { state: 'done' },
    });
    const { body: one } = await system.api('GET', `/v1/webhooks/${body['data'][0].webhook_id}`);
    expect(JSON.parse(one['body'])).toMatchObject({ ...update, item_id: itemId });
    expect((await system.api('GET', `/v1/items/${itemId}`)).body['last_webhook_at']).toBe(one['received_at']);
  });

  it('of before its item was linked is adopted, ten copies as one', async () => {
    const fresh = await goThroughLink(system, 'early');
    expect(statuses(await send(fresh.itemId, { ...update, duplicate: 10 }))).toEqual(Array(10).fill(200));
    const before = await stored(fresh.itemId);
    expect(before.filter(({ webhook_code }) => webhook_code === update.webhook_code)).toEqual(
      Array(10).fill({ ...update, outcome: 'pending', reason: null, signalled: false }),
    );
    expect((await link('early', fresh)).status).toBe(201);
    await system.sim(`/_sim/items/${fresh.itemId}/advance`, { to: 'idle' });
    await until(async () => (await stored(fresh.itemId)).every(({ outcome }) => outcome === 'done'));
    await quiet(fresh.itemId);
    expect(await liveIds(fresh.itemId)).toEqual(await trueIds(fresh.itemId));
  });

  it('signed with a new key is taken at once', async () => {
    const { key } = await system.sim('/_sim/keys/rotate', {});
    const id = await bookSilently(shared.itemId);
    const [delivery] = await send(shared.itemId, update);
    expect(statuses([delivery as Delivery])).toEqual([200]);
    expect(key.kid).toEqual(expect.any(String));
    await until(isMined(shared.itemId, id));
  });

  it('in a shuffled burst of two hundred, among changes: one truth, all answered, none pending', async () => {
    const { itemId } = shared;
    const codes = ['SYNC_UPDATES_AVAILABLE', 'DEFAULT_UPDATE', 'HISTORICAL_UPDATE', 'INITIAL_UPDATE'];
    const before = (await stored(itemId)).length;
    const changes = (async () => {
      for (let n = 0; n < 6; n += 1) {
        const id = await bookSilently(itemId);
        if (n % 2 === 1) await system.sim(`/_sim/items/${itemId}/transactions`, { remove: [id] });
      }
    })();
    await Promise.all(
      codes.map((webhook_code, index) =>
        system.sim(`/_sim/items/${itemId}/webhooks`, {
          webhook_type: 'TRANSACTIONS',
          webhook_code,
          duplicate: 50,
          reorder: index % 2 === 0,
        }),
      ),
    );
    await changes;
    // The end of the burst is not the end of the changes: one more tells of the last.
    await send(itemId, update);
    await until(async () => (await stored(itemId)).length === before + 201);
    await quiet(itemId);
    await until(async () => (await trueIds(itemId)).join() === (await liveIds(itemId)).join());
    const burst = (await stored(itemId)).slice(before);
    expect(burst.map(({ outcome }) => outcome)).toEqual(Array(201).fill('done'));
    // Coalesced: a fraction of the webhooks was worth a signal.
    expect(burst.filter(({ signalled }) => signalled).length).toBeLessThan(201);
  });
});

describe('a webhook whose signal is lost', () => {
  it('while Temporal is down: still 200 and stored; the sweep tells the item later', async () => {
    const { itemId } = shared;
    const id = await bookSilently(itemId);
    temporal.cut();
    try {
      const started = Date.now();
      const sent = await send(itemId, { ...update, duplicate: 5 });
      expect(statuses(sent)).toEqual(Array(5).fill(200));
      // Plaid hangs up after 10 s and would have recorded no status.
      expect(Date.now() - started).toBeLessThan(10_000);
      await until(isMined(itemId, id));
      await quiet(itemId);
    } finally {
      temporal.restore();
    }
  });

  it('because the API was killed between the commit and the signal: the sweep finds it', async () => {
    const { itemId } = shared;
    const id = await bookSilently(itemId);
    temporal.cut();
    expect(statuses(await send(itemId, update))).toEqual([200]);
    await system.killApi();
    // Nobody but the sweep is left to tell the item.
    await until(isMined(itemId, id));
    await quiet(itemId);
    temporal.restore();
    await system.startApi();
    expect((await stored(itemId)).at(-1)).toMatchObject({ ...update, outcome: 'done' });
  });

  it('because the database did not take it, is not acknowledged: Plaid delivers again', async () => {
    const { itemId } = shared;
    const id = await bookSilently(itemId);
    const before = (await stored(itemId)).length;
    await system.sql.unsafe(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON webhooks EXECUTE FUNCTION refuse()`);
    const refused = await send(itemId, update);
    expect(statuses(refused)).toEqual([503]);
    await system.sql.unsafe('DROP TRIGGER refuse ON webhooks; DROP FUNCTION refuse()');
    expect((await stored(itemId)).length).toBe(before);
    // The first retry of Plaid's.
    await system.sim('/_sim/clock', { advance: 'PT31S' });
    await until(isMined(itemId, id));
    const again = (await deliveriesOf(itemId)).find((one) => one.id === refused[0]?.id);
    expect(statuses([again as Delivery])).toEqual([503, 200]);
    await quiet(itemId);
  });
});

describe('a webhook of an item that was removed', () => {
  it('is stored, ignored with a reason, and revives nothing', async () => {
    const user = 'replacing';
    const old = await linkedAndComplete(user);
    for (const path of ['/item/get', '/accounts/get'])
      await system.sim('/_sim/faults', {
        match: { path, item_id: old.itemId },
        fault: { error_code: 'ITEM_NOT_FOUND' },
        times: 100,
      });
    const fresh = await goThroughLink(system, user);
    expect((await link(user, fresh)).body['replaces']).toBe(old.itemId);
    await until(
      async () => (await system.api('GET', `/v1/items/${old.itemId}`)).body['status'] === 'REMOVED',
    );
    const rows = await liveIds(old.itemId);
    expect(statuses(await send(old.itemId, update))).toEqual([200]);
    await until(async () => (await stored(old.itemId)).at(-1)?.outcome === 'ignored');
    expect((await stored(old.itemId)).at(-1)).toMatchObject({ ...update, reason: 'item_removed' });
    expect(await liveIds(old.itemId)).toEqual(rows);
    expect((await system.api('GET', `/v1/items/${old.itemId}`)).body['status']).toBe('REMOVED');
  });
});

it('in the end what was received is what was acted on, ignored or rejected; nothing is pending', async () => {
  let answered = 0;
  let byOutcome: Record<string, number> = {};
  await until(async () => {
    answered = statuses(await deliveriesOf()).filter((status) => status === 200).length;
    const rows = await system.sql<{ outcome: string; count: number }[]>`
      SELECT outcome, count(*)::int AS count FROM webhooks GROUP BY outcome`;
    byOutcome = Object.fromEntries(rows.map(({ outcome, count }) => [outcome, count]));
    return byOutcome['pending'] === undefined;
  });
  expect(answered).toBeGreaterThan(220);
  expect((byOutcome['done'] ?? 0) + (byOutcome['ignored'] ?? 0)).toBe(answered);
  expect(byOutcome['rejected']).toBe(undefined);
  const [unexplained] = await system.sql<{ count: number }[]>`
    SELECT count(*)::int AS count FROM webhooks WHERE outcome = 'ignored' AND reason IS NULL`;
  expect(unexplained?.count).toBe(0);
});
