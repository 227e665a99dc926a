import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { testStack } from '../stack/testStack.js';
import { mulberry32 } from '../../tools/faults/chance.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { planFaults, playFaults } from './faultPlan.js';
import { advance, callsOf, change, fault, minedItem, sendWebhook, truthOf } from './linkedItem.js';
import { closeOracle, examine, expectHealthy, expectTruth, untilQuiet } from './oracle.js';
import { tellWhatWaits } from './scenarios.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

/**
 * Two workers whose paths to PostgreSQL and Temporal break and go silent at random, while everything that can happen to an Item
 * happens. Short in the test run. The long trial, and one seed again:
 *
 *     SLUICE_TRIAL_SECONDS=600 SLUICE_TRIAL_SEED=1234 NODE_OPTIONS=--experimental-vm-modules npx jest test/e2e/twoWorkers.test.ts
 *
 * From 360 seconds on, a fault lasts up to 45 s.
 */
const trialSeconds = Number(process.env['SLUICE_TRIAL_SECONDS'] ?? 60);
const seed = Number(process.env['SLUICE_TRIAL_SEED'] ?? Date.now() % 1_000_000);
const duration = trialSeconds * 1_000;
const longest = Math.min(45_000, duration / 8);
/** Faults, and then the time to come to rest on a slow machine. */
const timeOut = duration + 900_000;

type Json = Record<string, any>;
type Chance = () => number;

let system: System;
const proxies: { database: CuttableProxy; temporal: CuttableProxy }[] = [];

beforeAll(async () => {
  process.stderr.write(
    `trial of two workers: SLUICE_TRIAL_SEED=${seed} SLUICE_TRIAL_SECONDS=${trialSeconds}\n`,
  );
  system = await startSystem({
    worker: false,
    transactionsPerItem: 20,
    simulatorArgs: ['--seed', String(seed)],
  });
  const [row] = await system.sql<[{ name: string }]>`SELECT current_database() AS name`;
  const { host } = new URL(testStack().database_url);
  for (let worker = 0; worker < 2; worker += 1) {
    const [database, temporal] = await Promise.all([
      startCuttableProxy(host),
      startCuttableProxy(testStack().temporal_address),
    ]);
    proxies.push({ database, temporal });
    const url = new URL(testStack().database_url);
    url.host = database.address;
    url.pathname = `/${row.name}`;
    await system.startWorker({ DATABASE_URL: url.href, TEMPORAL_ADDRESS: temporal.address });
  }
});
let passed = false;
tellWhatWaits();
afterAll(async () => {
  if (system !== undefined && !passed) {
    const file = path.join(tmpdir(), `sluice-trial-${seed}.log`);
    writeFileSync(file, system.logs());
    process.stderr.write(`happened: ${JSON.stringify(Object.fromEntries(done))}\nlogs: ${file}\n`);
  }
  if (system !== undefined) closeOracle(system);
  await system?.stop();
  await Promise.all(proxies.flatMap(({ database, temporal }) => [database.close(), temporal.close()]));
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const post = (route: string): Promise<Answer<Json>> => system.api<Json>('POST', route);
const pick = <T>(list: readonly T[], chance: Chance): T | undefined =>
  list[Math.floor(chance() * list.length)];

/** What has happened, for the report of a failure. */
const done = new Map<string, number>();
const count = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);

/** Items whose login is broken now. */
const broken = new Set<string>();

/** What may happen to an Item, with how often it comes up. */
const happenings: Record<
  string,
  { weight: number; happen: (itemId: string, chance: Chance) => Promise<unknown> }
> = {
  'rows come': {
    weight: 4,
    happen: (itemId, chance) =>
      change(system, itemId, {
        add: [
          { amount: Number((chance() * 500).toFixed(2)), name: 'Came', pending: chance() < 0.5 },
          { amount: Number((chance() * -50).toFixed(2)), name: 'Came back' },
        ],
        notify: true,
      }),
  },
  'a row changes': {
    weight: 3,
    async happen(itemId, chance) {
      const row = pick((await truthOf(system, itemId)).transactions, chance);
      if (row === undefined) return;
      const amount = Number((chance() * 900).toFixed(2));
      await change(system, itemId, {
        modify: [{ transaction_id: row.transaction_id, amount }],
        notify: true,
      });
    },
  },
  'a row goes': {
    weight: 3,
    async happen(itemId, chance) {
      const row = pick((await truthOf(system, itemId)).transactions, chance);
      if (row !== undefined) await change(system, itemId, { remove: [row.transaction_id], notify: true });
    },
  },
  'a pending row is posted': {
    weight: 3,
    async happen(itemId, chance) {
      const { transactions } = await truthOf(system, itemId);
      const row = pick(
        transactions.filter(({ pending }) => pending),
        chance,
      );
      if (row === undefined) return;
      await change(system, itemId, { post: [{ transaction_id: row.transaction_id }], notify: true });
    },
  },
  'webhooks come late, shuffled and again': {
    weight: 2,
    async happen(itemId, chance) {
      await change(system, itemId, { add: [{ amount: 1 + Math.floor(chance() * 90), name: 'Told late' }] });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', {
        delay_ms: Math.round(chance() * 2_000),
        duplicate: 3,
        reorder: true,
      });
    },
  },
  'a balance changes': {
    weight: 2,
    async happen(itemId, chance) {
      const account = pick((await truthOf(system, itemId)).accounts, chance);
      if (account === undefined) return;
      await system.sim(`/_sim/items/${itemId}/accounts`, {
        modify: [{ account_id: account.account_id, balances: { current: Math.floor(chance() * 9_000) } }],
      });
      await change(system, itemId, { add: [{ amount: 2, name: 'Balance' }], notify: true });
    },
  },
  remine: { weight: 3, happen: (itemId) => post(`/v1/items/${itemId}/remine`) },
  'numbers change': { weight: 3, happen: (itemId) => system.sim(`/_sim/items/${itemId}/numbers`, {}) },
  'pages move while they are read': {
    weight: 2,
    async happen(itemId) {
      const { faults } = await system.sim<{ faults: { kind: string; match: { item_id?: string } }[] }>(
        '/_sim/faults',
      );
      // One at a time: a cursor whose first page moves again and again is given up, with an alert.
      if (faults.some(({ kind, match }) => kind === 'mutate' && match.item_id === itemId)) return;
      await fault(system, itemId, null, { mutate_during_pagination: { after_page: 1 } });
      await post(`/v1/items/${itemId}/remine`);
    },
  },
  'Plaid answers late': {
    weight: 3,
    async happen(itemId, chance) {
      const path = pick(['/transactions/sync', '/accounts/get', '/auth/get', '/item/get'], chance) ?? null;
      await fault(system, itemId, path, { latency_ms: Math.round(chance() * 5_000) });
    },
  },
  'the login breaks and is repaired': {
    weight: 2,
    async happen(itemId, chance) {
      broken.add(itemId);
      await system.sim(`/_sim/items/${itemId}/break`, {});
      await pause(chance() * 6_000);
      await change(system, itemId, { add: [{ amount: 3, name: 'While it was broken' }] });
      await repair(itemId, chance() < 0.5);
    },
  },
};

/** The user logs in again; `told` by Plaid's webhook, else by the client. */
async function repair(itemId: string, told: boolean): Promise<void> {
  await system.sim(`/_sim/items/${itemId}/repair`, { webhook: told });
  broken.delete(itemId);
  if (!told) await post(`/v1/items/${itemId}/relinked`);
}

async function happenTo(itemId: string, chance: Chance): Promise<void> {
  const all = Object.entries(happenings);
  let left = chance() * all.reduce((sum, [, { weight }]) => sum + weight, 0);
  const [name, { happen }] = all.find(([, { weight }]) => (left -= weight) < 0) ?? all[0]!;
  await happen(itemId, chance);
  count(name);
  await pause(200 + chance() * 2_500);
}

/** An Item that lives through the whole trial. */
async function live(itemId: string, chance: Chance, endsAt: number): Promise<void> {
  while (Date.now() < endsAt) await happenTo(itemId, chance);
}

/** Links as a client does that tries again with the same public token until it is answered. */
async function linkPatiently(user: string): Promise<string> {
  const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
    institution_id: 'ins_109508',
    initial_products: ['transactions', 'auth'],
    options: { webhook: `${system.urls.api}/webhooks/plaid`, transactions: { days_requested: 730 } },
  });
  let last = '';
  let itemId: string | undefined;
  await until(async () => {
    const answer = await system.api<Json>('POST', `/v1/users/${user}/items`, { public_token });
    last = `${answer.status} ${JSON.stringify(answer.body)}`;
    if (answer.status === 201) itemId = answer.body['item_id'] as string;
    return answer.status < 500 && answer.status !== 202;
  }, 500);
  if (itemId === undefined) throw new Error(`link: ${last}`);
  return itemId;
}

/** One Item after another comes, lives a while, and is removed by its user, most of them in mid-work. */
async function comeAndGo(chance: Chance, endsAt: number): Promise<string[]> {
  const gone: string[] = [];
  do {
    const itemId = await linkPatiently(`goer-${gone.length}`);
    await advance(system, itemId, chance() < 0.5 ? 'initial' : 'historical');
    const happens = 2 + Math.floor(chance() * 5);
    for (let n = 0; n < happens; n += 1) await happenTo(itemId, chance);
    await until(async () => (await system.api('DELETE', `/v1/items/${itemId}`)).status === 204);
    gone.push(itemId);
  } while (Date.now() < endsAt);
  return gone;
}

/** Starts a worker that ended by itself again, as a supervisor does. */
function watchWorkers(): void {
  for (const { process: child } of system.workers) {
    void child.exited.then(({ code, signal }) => count(`${child.name} ended (${signal ?? code})`));
  }
}

it('know of no row that came and went between the two readings of a remine, which Plaid told to nobody', async () => {
  const itemId = await minedItem(system, { user: 'recipe' });
  const sync = '/transactions/sync';
  const calls = await callsOf(system, itemId, sync);
  // The first call of a remine goes on from the durable cursor, the second one reads everything anew.
  await fault(system, itemId, sync, { latency_ms: 10_000 }, { call: 2 });
  await post(`/v1/items/${itemId}/remine`);
  await until(async () => (await callsOf(system, itemId, sync)) >= calls + 2);
  const { added } = await change(system, itemId, { add: [{ amount: 5, name: 'Came and went' }] });
  await change(system, itemId, { remove: added });
  await until(
    async () => (await system.api<Json>('GET', `/v1/items/${itemId}/sync`)).body['remine'] === null,
  );
  await expectTruth(system, itemId, { remined: true });
  expect((await examine(system, itemId)).lost).toEqual([
    `postgres: ${added[0]}: removed transaction is live here`,
  ]);
});

it(
  'end with the truth, whatever happened',
  async () => {
    const kept = await Promise.all(
      // Two pages, so that pages can move while they are read.
      [520, 520, 10, 10, 10].map((more, n) => minedItem(system, { user: `kept-${n}`, rows: more })),
    );
    watchWorkers();
    const chanceOf = (place: number): Chance => mulberry32(seed * 100 + place);
    const plans = proxies.map((_, worker) => ({
      database: planFaults({
        seed: seed * 100 + 10 + worker,
        duration,
        longest,
        pauses: { from: 0.2, to: 1 },
      }),
      temporal: planFaults({ seed: seed * 100 + 20 + worker, duration, longest, pauses: { from: 1, to: 3 } }),
    }));
    process.stderr.write(
      `faults: ${plans.map(({ database, temporal }, n) => `worker ${n + 1}: ${database.length} of PostgreSQL, ${temporal.length} of Temporal`).join('; ')}\n`,
    );
    const endsAt = Date.now() + duration;
    const [gone] = await Promise.all([
      comeAndGo(chanceOf(9), endsAt),
      ...kept.map((itemId, n) => live(itemId, chanceOf(n), endsAt)),
      ...proxies.flatMap(({ database, temporal }, n) => [
        playFaults(plans[n]!.database, database),
        playFaults(plans[n]!.temporal, temporal),
      ]),
    ]);
    process.stderr.write(
      `happened: ${JSON.stringify(Object.fromEntries(done))}, ${gone.length} Items removed\n`,
    );

    await system.sim('/_sim/faults', undefined, 'DELETE');
    for (const itemId of broken) if (kept.includes(itemId)) await repair(itemId, true);
    // What moved after the last page is told by nobody until something else is.
    for (const itemId of kept)
      await change(system, itemId, { add: [{ amount: 4, name: 'Last' }], notify: true });

    // All of them are looked at, and all that is wrong is told.
    const looks = await Promise.allSettled([...kept.map(expectKept), ...gone.map(expectGone)]);
    expect(looks.flatMap((look) => (look.status === 'rejected' ? [String(look.reason)] : []))).toEqual([]);
    const [{ pending }] = await system.sql<[{ pending: number }]>`
    SELECT count(*)::int AS pending FROM webhooks WHERE outcome = 'pending'`;
    expect(pending).toBe(0);
    await expectHealthy(system);
    passed = true;
  },
  timeOut,
);

/** Equal to the truth in rows, streams, numbers and health. */
async function expectKept(itemId: string): Promise<void> {
  await untilQuiet(system, itemId);
  await until(async () => {
    const [row] = await system.sql`SELECT numbers_due_at FROM items WHERE item_id = ${itemId}`;
    return row?.['numbers_due_at'] === null;
  });
  await expectTruth(system, itemId, { remined: true });
  const { body } = await system.api<Json>('GET', `/v1/items/${itemId}`);
  expect([body['status'], body['error']]).toEqual(['ACTIVE', null]);
  const numbers = (await system.api<Json>('GET', `/v1/items/${itemId}/numbers`)).body;
  const truth = await system.sim<Json>(`/_sim/items/${itemId}/truth`);
  const told = (list: Json[]): string[] =>
    list.map(({ account_id, account, routing }) => `${account_id} ${account} ${routing}`).sort();
  const ours = (numbers['numbers'] as Json[]).flatMap(({ account_id, ach }) =>
    (ach as Json[]).map((number) => ({ account_id, ...number })),
  );
  expect({ itemId, ach: told(ours) }).toEqual({ itemId, ach: told(truth['numbers'].ach as Json[]) });
  await expectEpisodes(itemId);
}

/** Segment was told of each episode's begin and end, and of nothing else. */
async function expectEpisodes(itemId: string): Promise<void> {
  let told: string[] = [];
  const [row] = await system.sql<[{ episodes: number }]>`
    SELECT error_episode::int AS episodes FROM items WHERE item_id = ${itemId}`;
  const wanted = Array.from({ length: row.episodes }, (_, n) => [
    `${itemId}:errored:${n + 1}`,
    `${itemId}:repaired:${n + 1}`,
  ]).flat();
  await until(async () => {
    const events = (await system.segmentEvents()).filter((event) => event['properties'].item_id === itemId);
    told = [...new Set(events.map((event) => event['messageId'] as string))];
    return told.length >= wanted.length;
  });
  expect(told.sort()).toEqual(wanted.sort());
}

/** Removed here and at Plaid, token and numbers erased, nothing left to do, and the streams equal to the outbox. */
async function expectGone(itemId: string): Promise<void> {
  await untilQuiet(system, itemId, 'removed');
  const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
  const [row] = await system.sql`
    SELECT access_token_ciphertext AS token,
      (SELECT count(*)::int FROM account_numbers WHERE item_id = ${itemId}) AS numbers,
      (SELECT count(*)::int FROM accounts WHERE item_id = ${itemId} AND status <> 'closed') AS open
    FROM items WHERE item_id = ${itemId}`;
  const { lost, phantom, stale, dup, other } = await examine(system, itemId);
  const { body } = await system.api<Json>('GET', `/v1/items/${itemId}`);
  // Nobody reads its bank any more: what is compared is outbox and streams, not the bank.
  const ofStreams = (line: string): boolean =>
    /untold$|not told$|of \d+ is missing$|no record$|no outbox row$/.test(line);
  expect({
    itemId,
    status: body['status'] as string,
    atPlaid: items.find((item) => item.item_id === itemId)?.removed,
    row,
    lost: lost.filter(ofStreams),
    phantom: phantom.filter(ofStreams),
    stale: stale.filter((line) => line.startsWith('outbox: ')),
    dup,
    other,
  }).toEqual({
    itemId,
    status: 'REMOVED',
    atPlaid: true,
    row: { token: null, numbers: 0, open: 0 },
    lost: [],
    phantom: [],
    stale: [],
    dup: [],
    other: [],
  });
}
