import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { contradictions, sinceRestore } from '../../tools/drill/consumer.js';
import { compareItem } from '../../tools/local/compare.js';
import type { Truth } from '../../tools/local/compare.js';
import { openDatabaseReader } from '../../tools/local/databaseReader.js';
import { openStreamReader } from '../../tools/local/streamReader.js';
import { backUp } from '../stack/testDatabase.js';
import { createNamespace, until } from '../workflows/harness.js';
import { change, minedItem, truthOf } from './linkedItem.js';
import { callsOf, goThroughLink, itemsAtPlaid } from './linking.js';
import type { FreshItem, Json } from './linking.js';
import { closeOracle, expectTruth } from './oracle.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';

const exchange = '/item/public_token/exchange';
const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

let system: System;
beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 20, worker: false });
});
afterAll(async () => {
  closeOracle(system);
  await system?.stop();
});

/** As a client does: the same request with the same token until there is an answer that says how the link ended. */
async function linkUntilTold(user: string, token: string): Promise<Answer<Json>> {
  for (;;) {
    const answer = await system
      .api<Json>('POST', `/v1/users/${user}/items`, { public_token: token })
      .catch(() => null);
    // No connection, still on its way, or Temporal not asked yet: say it again.
    if (answer !== null && answer.status !== 504 && answer.status !== 503) return answer;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** A killed worker is noticed when its heartbeat is missed for 15 s: the three links wait for that together. */
it('a worker that dies around the exchange leaves one item or one alert, never a silent orphan, and Plaid is asked once', async () => {
  const points = ['link.beforeExchange', 'link.afterExchange', 'link.afterStore'] as const;
  const links: (FreshItem & { user: string; told: Promise<Answer<Json>> })[] = [];
  for (const point of points) {
    const doomed = await system.startWorker({ SLUICE_CRASH_AT: point });
    const user = point.replace('.', '-');
    const fresh = await goThroughLink(system, user);
    links.push({ ...fresh, user, told: linkUntilTold(user, fresh.publicToken) });
    expect((await doomed.process.exited).signal).toBe('SIGKILL');
    await doomed.kill();
  }
  // Before the call or after the answer: from our side both look alike, and neither may be repeated.
  expect(await callsOf(system, exchange)).toBe(2);
  await system.startWorker();
  const [before, after, stored] = links.map(({ told }) => told);
  for (const [index, told] of [before, after].entries()) {
    const { status, body } = (await told) as Answer<Json>;
    expect([points[index], status, body['code']]).toEqual([points[index], 502, 'link_outcome_unknown']);
  }
  const { status, body } = (await stored) as Answer<Json>;
  expect([201, 200]).toContain(status);
  expect(body['item_id']).toBe(links[2]?.itemId);
  expect(await callsOf(system, exchange)).toBe(2);

  const alerts = await system.sql<{ key: string }[]>`SELECT key FROM alerts ORDER BY key`;
  expect(alerts.map(({ key }) => key)).toEqual(
    links
      .slice(0, 2)
      .map(({ publicToken }) => hashOf(publicToken))
      .sort(),
  );
  // What lives at Plaid is known here or has an alert: the second link's Item is the orphan that the alert tells of.
  const alive = await itemsAtPlaid(system);
  expect(alive.sort()).toEqual([links[1]?.itemId, links[2]?.itemId].sort());
  const known = await system.sql<{ item_id: string }[]>`SELECT item_id FROM items WHERE removed_at IS NULL`;
  expect(known.map(({ item_id }) => item_id)).toEqual([links[2]?.itemId]);
  // No token outlives its link.
  expect(
    await system.sql`SELECT 1 FROM links WHERE state <> 'finished' OR public_token_ciphertext IS NOT NULL`,
  ).toHaveLength(0);
});

it('an API killed in the middle of a link is asked again: one item, one exchange', async () => {
  const before = await callsOf(system, exchange);
  const links = [];
  for (let round = 0; round < 3; round += 1) {
    const user = `killed-${round}`;
    const fresh = await goThroughLink(system, user);
    // Killed at another moment of the link in each round: before the row, around the exchange, before the answer.
    await system.sim('/_sim/faults', {
      match: { path: exchange },
      fault: { latency_ms: 150 * round },
      times: 1,
    });
    const told = linkUntilTold(user, fresh.publicToken);
    await new Promise((resolve) => setTimeout(resolve, 120 * round));
    await system.killApi();
    await system.startApi();
    const { status, body } = await told;
    expect([round, [200, 201].includes(status), body['item_id']]).toEqual([round, true, fresh.itemId]);
    links.push(fresh);
  }
  expect((await callsOf(system, exchange)) - before).toBe(3);
  for (const { itemId } of links) {
    await until(async () => (await system.api('GET', `/v1/items/${itemId}`)).body['phase'] !== 'removed');
  }
  const alerts = await system.sql<{ count: number }[]>`SELECT count(*)::int AS count FROM alerts`;
  expect(alerts[0]?.count).toBe(2);
});

/** What `npm run drill` does, without a load and with a copy of the database in the place of a log that is gone through. */
it('all is lost but a backup: what Plaid says is true again, what had ended ends once more, and nothing contradicts itself', async () => {
  const users = ['steady', 'goes', 'is-erased'] as const;
  const [steady = '', goes = '', erased = ''] = await Promise.all(
    users.map((user) => minedItem(system, { user })),
  );
  const backup = await backUp(system.databaseUrl);
  const [row, other] = (await truthOf(system, steady)).transactions;
  if (row === undefined || other === undefined) throw new Error('there are no transactions');
  const { transaction_id } = row;
  const modified = async (amount: number, remove: string[]): Promise<void> => {
    await change(system, steady, { modify: [{ transaction_id, amount }], remove, notify: true });
    await expectTruth(system, steady);
  };
  await modified(999.99, []);
  await modified(row.amount, [other.transaction_id]);
  await system.api('DELETE', `/v1/items/${goes}`);
  const { body: erasure } = await system.api('DELETE', '/v1/users/is-erased');
  const erasureRoute = `/v1/erasures/${String(erasure['erasure_id'])}`;
  const statusOf = async (route: string, field: string): Promise<unknown> =>
    (await system.api('GET', route)).body[field];
  await until(async () => (await statusOf(`/v1/items/${goes}`, 'status')) === 'REMOVED');
  await until(async () => (await statusOf(erasureRoute, 'state')) === 'done');
  const place = String(await statusOf('/v1/events?limit=500', 'next'));
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-ended-'));
  const ended = path.join(dir, 'ended.ndjson');
  writeFileSync(ended, await system.runJob('src/listEnded.ts'));

  await system.killApi();
  for (const worker of [...system.workers]) await worker.kill();
  await change(system, steady, { add: [{ amount: 5, name: 'While it was away' }] });
  // Temporal has lost everything too.
  const { client, connection, namespace } = await createNamespace();
  const env = { DATABASE_URL: backup.url, TEMPORAL_NAMESPACE: namespace };
  await system.runJob('src/provision.ts', [], env);
  await system.runJob('src/reapply.ts', [ended], env);
  await system.runJob('src/restored.ts', [], env);
  const sql = postgres(backup.url, { max: 1, onnotice: () => undefined });
  const database = openDatabaseReader(backup.url);
  const streams = openStreamReader(system.urls.kinesis, system.streamPrefix);
  try {
    await system.startApi(env);
    await system.startWorker(env);
    const [{ base } = { base: 0 }] = await sql<{ base: number }[]>`
      SELECT floor(extract(epoch FROM restored_at) * 1000)::float8 AS base FROM restores`;
    await until(async () => {
      const truth = await system.sim<Truth>(`/_sim/items/${steady}/truth`);
      const stored = await database.readItem(steady);
      await streams.readOn();
      return (
        compareItem(truth, { ...stored, events: sinceRestore(streams.eventsOf(steady), base) }).length === 0
      );
    });
    expect(contradictions(streams.eventsOf(steady))).toEqual([]);
    await until(async () => (await statusOf(`/v1/items/${goes}`, 'status')) === 'REMOVED');
    await until(async () => (await statusOf(erasureRoute, 'state')) === 'done');
    expect((await system.api('GET', `/v1/items/${erased}`)).status).toBe(404);
    const pulled = await system.api('GET', `/v1/events?after=${encodeURIComponent(place)}`);
    expect([pulled.status, pulled.body['code']]).toEqual([410, 'feed_expired']);
    // Of the links above: what nobody knows the outcome of, and the Item that came of it.
    const others = await sql`
      SELECT kind, key FROM alerts
      WHERE NOT (kind = 'link_outcome_unknown' OR kind = 'item_unknown' AND key <> ALL(${[steady, goes, erased]}::text[]))`;
    expect([...others]).toEqual([]);
  } finally {
    streams.close();
    await database.close();
    await sql.end({ timeout: 5 });
    await system.killApi();
    for (const worker of [...system.workers]) await worker.kill();
    // Else the server would go on ticking for them.
    for await (const { scheduleId } of client.schedule.list())
      await client.schedule.getHandle(scheduleId).delete();
    await connection.close();
    await backup.drop();
    rmSync(dir, { recursive: true, force: true });
  }
});
