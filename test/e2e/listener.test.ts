import { readFileSync } from 'node:fs';
import { PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import { testStack } from '../stack/testStack.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import type { ReceivingEndpoint } from '../../tools/faults/eventReceiver.js';
import { receiveEvents } from '../../tools/faults/eventReceiver.js';
import { expectAllArrived } from './eventReceiver.js';
import { change, minedItem, truthOf } from './linkedItem.js';
import { closeOracle, expectHealthy, expectTruth, untilQuiet } from './oracle.js';
import { tellWhatWaits } from './scenarios.js';
import type { Running, System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

let system: System;
let receiver: ReceivingEndpoint;
const kinesis = () =>
  openKinesisClient({
    region: 'us-east-1',
    endpoint: system.urls.kinesis,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });

beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 20,
    userEvents: true,
    // The listeners are to have something to share.
    env: { STREAM_SHARDS: '2' },
  });
  receiver = await receiveEvents(system);
});
tellWhatWaits();
afterAll(async () => {
  await receiver?.close();
  closeOracle(system);
  await system.stop();
});

interface Event {
  type: string;
  user_id: string;
  float_id?: string;
  occurred_at: string;
  event_id: string;
}
let events = 0;
const event = (type: string, user_id: string, more: Partial<Event> = {}): Event => ({
  type,
  user_id,
  occurred_at: new Date().toISOString(),
  event_id: `event-${(events += 1)}`,
  ...more,
});
const login = (user: string): Event => event('user.logged_in', user);

/** Puts events as another service would; texts go as they are. */
async function put(...given: (Event | string)[]): Promise<void> {
  const client = kinesis();
  await client.send(
    new PutRecordsCommand({
      StreamName: `${system.streamPrefix}user-events`,
      Records: given.map((one, place) => ({
        PartitionKey: typeof one === 'string' ? `key-${place}` : one.event_id,
        Data: Buffer.from(typeof one === 'string' ? one : JSON.stringify(one)),
      })),
    }),
  );
  client.destroy();
}

const synthetic = (itemId: string) => system.sql<{ webhook_id: string; outcome: string }[]>`
  SELECT webhook_id, outcome FROM webhooks WHERE item_id = ${itemId} AND source = 'synthetic'`;
const age = (itemId: string) => system.sql`
  UPDATE items SET last_update_at = clock_timestamp() - interval '25 hours' WHERE item_id = ${itemId}`;
const lastUpdate = async (itemId: string): Promise<unknown> =>
  (await system.sql`SELECT last_update_id FROM items WHERE item_id = ${itemId}`)[0]?.['last_update_id'];
/** A mined Item that is at rest for good: a webhook during an update means that one more follows. */
async function calmItem(user: string): Promise<string> {
  const itemId = await minedItem(system, { user });
  await until(async () => {
    const before = await lastUpdate(itemId);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return (await lastUpdate(itemId)) === before;
  });
  return itemId;
}
const isMined = async (itemId: string, transactionId = ''): Promise<boolean> =>
  (
    await system.sql`
      SELECT 1 FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${transactionId}`
  ).length === 1;
/** Logins whose check has run to its end, by event id. */
async function checked(): Promise<string[]> {
  const ids: string[] = [];
  const query = "WorkflowType = 'checkUser' AND ExecutionStatus = 'Completed'";
  for await (const { workflowId } of system.client.workflow.list({ query })) ids.push(workflowId);
  return ids;
}
const leases = () => system.sql<{ owner: string | null; checkpoint: string | null }[]>`
  SELECT owner, checkpoint FROM user_event_shards`;
const floatOf = async (user: string, id: string) =>
  (
    await system.sql<{ status: string }[]>`
    SELECT status FROM floats WHERE user_id = ${user} AND float_id = ${id}`
  )[0]?.status;

describe('a login over REST', () => {
  it('of a user who does not exist is 404', async () => {
    expect((await system.api('POST', '/v1/users/nobody/logins')).status).toBe(404);
  });

  it('finds a fresh item fresh, and one that Plaid has read since stale: it updates', async () => {
    const itemId = await calmItem('rest');
    const ask = () => system.api('POST', '/v1/users/rest/logins');
    // The first time there is nothing to compare Plaid's time with.
    expect(await ask()).toMatchObject({ status: 202, body: { items: [{ item_id: itemId, stale: false }] } });
    await system.sim('/_sim/clock', { advance: 'PT1M' });
    await change(system, itemId, { add: [{ amount: 1.5, name: 'Told' }], notify: true });
    await untilQuiet(system, itemId);
    const stale = await ask();
    expect(stale.body['items']).toEqual([
      { item_id: itemId, stale: true, webhook_id: expect.any(String), reason: 'plaid_newer' },
    ]);
    await until(async () => (await synthetic(itemId))[0]?.outcome === 'done');
    expect((await ask()).body['items']).toEqual([{ item_id: itemId, stale: false }]);
    const { body } = await system.api('GET', `/v1/webhooks/${stale.body['items'][0].webhook_id}`);
    expect(body).toMatchObject({
      source: 'synthetic',
      verdict: 'accepted',
      webhook_code: 'SYNC_UPDATES_AVAILABLE',
      outcome: { state: 'done' },
    });
  });

  it('names an item of which Plaid is silent as not stale, with the reason; age says enough', async () => {
    const itemId = await calmItem('silent');
    await system.sim('/_sim/faults', {
      match: { item_id: itemId, path: '/item/get' },
      fault: { status: 500 },
      times: 1_000,
    });
    const ask = async () => (await system.api('POST', '/v1/users/silent/logins')).body['items'];
    expect(await ask()).toEqual([{ item_id: itemId, stale: false, reason: 'UPSTREAM_DOWN' }]);
    await age(itemId);
    expect(await ask()).toMatchObject([{ stale: true, reason: 'last_update_old' }]);
    await system.sim('/_sim/faults', undefined, 'DELETE');
    await until(async () => (await synthetic(itemId))[0]?.outcome === 'done');
  });
});

describe('a listener', () => {
  let listener: Running;
  /** Of the user `logs-in`. */
  let itemId: string;

  it('that is started after events were put reads them from the beginning', async () => {
    await put(event('float.opened', 'early', { float_id: 'f' }));
    listener = await system.startListener();
    await until(async () => (await floatOf('early', 'f')) === 'active');
  });

  it('makes a stale item update when its user logs in', async () => {
    itemId = await calmItem('logs-in');
    const { added } = await change(system, itemId, { add: [{ amount: 12.34, name: 'Untold' }] });
    expect(await isMined(itemId, added[0])).toBe(false);
    await age(itemId);
    const told = login('logs-in');
    await put(told, told);
    await until(() => isMined(itemId, added[0]));
    await untilQuiet(system, itemId);
    expect((await synthetic(itemId)).map(({ outcome }) => outcome)).toEqual(['done']);
    await until(async () => (await checked()).includes(`login/${told.event_id}`));
    expect((await truthOf(system, itemId)).transactions.map((row) => row.transaction_id)).toContain(added[0]);
    await expectTruth(system, itemId);
  });

  it('makes one update of two logins at once', async () => {
    const itemId = await calmItem('twice');
    await age(itemId);
    // Slow enough for the second to come while the first's webhook waits.
    await system.sim('/_sim/faults', {
      match: { item_id: itemId, path: '/transactions/sync' },
      fault: { latency_ms: 1_500 },
    });
    const before = await lastUpdate(itemId);
    const both = [login('twice'), login('twice')];
    await put(...both);
    await until(async () => {
      const done = await checked();
      return both.every(({ event_id }) => done.includes(`login/${event_id}`));
    });
    await until(async () => (await synthetic(itemId)).every(({ outcome }) => outcome === 'done'));
    expect(await synthetic(itemId)).toHaveLength(1);
    expect(await lastUpdate(itemId)).not.toEqual(before);
    await system.sim('/_sim/faults', undefined, 'DELETE');
  });

  it('lets the latest word of a float win, whatever comes first; over REST too', async () => {
    const user = 'logs-in';
    const at = (second: number) => `2026-11-21T07:00:0${second}.000001Z`;
    const word = (type: string, id: string, second: number) =>
      event(type, user, { float_id: id, occurred_at: at(second) });
    await put(
      word('float.closed', 'old', 2),
      word('float.opened', 'old', 1),
      word('float.opened', 'new', 1),
      word('float.closed', 'new', 2),
      word('float.opened', 'new', 3),
    );
    await until(async () => (await floatOf(user, 'old')) === 'closed');
    await until(async () => (await floatOf(user, 'new')) === 'active');
    await put(word('float.opened', 'old', 0), event('float.opened', user, { float_id: 'last' }));
    await until(async () => (await floatOf(user, 'last')) === 'active');
    expect(await floatOf(user, 'old')).toBe('closed');
    const route = `/v1/users/${user}/floats/new`;
    expect((await system.api('GET', route)).body).toMatchObject({ status: 'active', float_id: 'new' });
    expect((await system.api('PUT', route, { status: 'closed' })).body).toMatchObject({ status: 'closed' });
    expect((await system.api('PUT', '/v1/users/nobody/floats/f', { status: 'active' })).status).toBe(404);
  });

  it('parks what is no event, tells of it, and goes on', async () => {
    await put(
      'canary, but no JSON',
      JSON.stringify({ ...login('u'), type: 'user.flew' }),
      JSON.stringify({ ...login('u'), user_id: 'canary'.repeat(50) }),
      event('float.opened', 'after-poison', { float_id: 'a' }),
      event('float.opened', 'after-poison', { float_id: 'b' }),
    );
    await until(async () => (await floatOf('after-poison', 'a')) === 'active');
    await until(async () => (await floatOf('after-poison', 'b')) === 'active');
    const reasons = async () =>
      (await system.sql<{ reason: string }[]>`SELECT reason FROM parked_events ORDER BY 1`).map(
        ({ reason }) => reason,
      );
    await until(async () => (await reasons()).length === 3);
    expect(await reasons()).toEqual(['bad_user_id', 'not_json', 'unknown_type']);
    const alerts = await system.sql`SELECT detail::text AS detail FROM alerts WHERE kind = 'event_parked'`;
    expect(alerts).toHaveLength(3);
    expect(JSON.stringify(alerts) + system.logs()).not.toContain('canary, but');
  });

  it('shares the shards with a second one, which takes over all when the first is killed', async () => {
    const owners = async () => new Set((await leases()).map(({ owner }) => owner));
    const second = await system.startListener();
    await until(async () => (await owners()).size === 2);
    await listener.kill();
    listener = second;
    await put(
      ...Array.from({ length: 10 }, (_, n) => event('float.opened', 'shared', { float_id: `f${n}` })),
    );
    await until(async () => (await system.sql`SELECT 1 FROM floats WHERE user_id = 'shared'`).length === 10);
    await until(async () => (await owners()).size === 1);
  });

  it.each(['listener.beforeEffect', 'listener.afterEffect', 'listener.afterCheckpoint'])(
    'killed with -9 at %s in the middle of a batch loses nothing and doubles nothing, nor of the deliveries beside it (I8)',
    async (point) => {
      await listener.stop();
      expect((await leases()).map(({ owner }) => owner)).toEqual([null, null]);
      const user = point;
      const { added } = await change(system, itemId, { add: [{ amount: 1.25, name: 'Untold' }] });
      await age(itemId);
      const floats = Array.from({ length: 60 }, (_, n) => event('float.opened', user, { float_id: `f${n}` }));
      const logins = Array.from({ length: 6 }, (_, n) => login(n < 3 ? user : 'logs-in'));
      await put(...floats.slice(0, 30), ...logins, ...floats.slice(30));
      const victim = await system.startListener({ SLUICE_CRASH_AT: `${point}:2` });
      let isAlive = true;
      const exited = victim.process.exited.finally(() => (isAlive = false));
      // Something is on its way to the endpoint whenever the listener dies.
      const pings: string[] = [];
      while (isAlive || pings.length < 3) {
        const ping = await system.api('POST', `/v1/endpoints/${receiver.endpointId}/ping`);
        pings.push(String(ping.body['delivery_id']));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(await exited).toEqual({ code: null, signal: 'SIGKILL' });
      listener = await system.startListener();
      await until(async () => (await system.sql`SELECT 1 FROM floats WHERE user_id = ${user}`).length === 60);
      let mine: string[] = [];
      await until(async () => {
        mine = (await checked()).filter((id) => logins.some(({ event_id }) => id === `login/${event_id}`));
        return mine.length >= logins.length;
      });
      expect(mine).toHaveLength(logins.length);
      await until(() => isMined(itemId, added[0]));
      const states = async () =>
        (
          await system.sql<{ state: string }[]>`
          SELECT DISTINCT state FROM deliveries WHERE delivery_id = ANY(${pings}::text[]) OR lane = ${itemId}`
        ).map(({ state }) => state);
      await until(async () =>
        (await states()).every((state) => state === 'delivered' || state === 'superseded'),
      );
      const sent = await system.sql<{ event_id: string }[]>`
        SELECT event_id FROM deliveries WHERE state = 'delivered' AND (delivery_id = ANY(${pings}::text[]) OR lane = ${itemId})`;
      expect(sent.length).toBeGreaterThan(pings.length);
      const arrived = new Set(receiver.received.map(({ id }) => id));
      expect(sent.filter(({ event_id }) => !arrived.has(event_id))).toEqual([]);
    },
  );

  it('waits while Temporal is down, and then acts on every login', async () => {
    await listener.stop();
    const temporal = await startCuttableProxy(testStack().temporal_address);
    try {
      listener = await system.startListener({ TEMPORAL_ADDRESS: temporal.address });
      temporal.cut();
      const logins = Array.from({ length: 4 }, () => login('logs-in'));
      await put(...logins, event('float.opened', 'meanwhile', { float_id: 'f' }));
      await until(async () => (await floatOf('meanwhile', 'f')) === 'active');
      await until(() => readFileSync(listener.process.logFile, 'utf8').includes('"trying again"'));
      const mine = async () =>
        (await checked()).filter((id) => logins.some(({ event_id }) => id === `login/${event_id}`));
      expect(await mine()).toEqual([]);
      temporal.restore();
      await until(async () => (await mine()).length === logins.length);
    } finally {
      temporal.restore();
      await listener.stop();
      await temporal.close();
    }
  });

  it('stops cleanly and leaves a healthy system behind', async () => {
    listener = await system.startListener();
    await until(async () => (await leases()).every(({ owner }) => owner !== null));
    await listener.stop();
    expect(listener.process.exit()).toEqual({ code: 0, signal: null });
    expect((await leases()).map(({ owner }) => owner)).toEqual([null, null]);
    await expectHealthy(system, { alerts: Array(3).fill('event_parked') });
    // What the logins have led to was told while listeners were killed: each event once, in its order.
    expect(await expectAllArrived(system, receiver)).toBeGreaterThan(3);
  });
});
