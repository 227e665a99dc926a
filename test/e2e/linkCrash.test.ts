import { createHash } from 'node:crypto';
import { until } from '../workflows/harness.js';
import { callsOf, goThroughLink, itemsAtPlaid } from './linking.js';
import type { FreshItem, Json } from './linking.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';

const exchange = '/item/public_token/exchange';
const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

let system: System;
beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 20, worker: false });
});
afterAll(() => system?.stop());

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
