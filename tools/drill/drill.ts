import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { apiUrl } from '../local/applications.js';
import { compareCopy, compareItem } from '../local/compare.js';
import { openDatabaseReader } from '../local/databaseReader.js';
import { simulatorClient } from '../local/demoClients.js';
import { startEventReceiver } from '../local/eventReceiver.js';
import { FeedCopy } from '../local/feedCopy.js';
import type { FeedPage } from '../local/feedCopy.js';
import { HttpProblem, requestJson } from '../local/httpJson.js';
import { say } from '../local/progress.mjs';
import { keptSecrets } from '../local/secrets.js';
import { SetupFailure } from '../local/setupFailure.mjs';
import { openStreamReader } from '../local/streamReader.js';
import { contradictions, sinceRestore } from './consumer.js';
import { openRig } from './rig.js';

export interface DrillOptions {
  dataDir: string;
  transactionsPerItem: number;
  signal: AbortSignal;
}

/** What should come of the restore, and what did; `seconds` from the start of the applications on the restored database. */
export interface Check {
  what: string;
  expected: string;
  found: string;
  seconds: number | null;
}

const patienceMs = 600_000;
type Json = Record<string, unknown>;
interface Answer {
  status: number;
  body: Json;
}

/** Loses the database and Temporal under load, restores both to a moment before, and compares with what Plaid says is true. */
export async function drill({ dataDir, transactionsPerItem, signal }: DrillOptions): Promise<Check[]> {
  const checks: Check[] = [];
  say('starting the service, PostgreSQL with an archive of its log …');
  const rig = await openRig(dataDir, transactionsPerItem);
  const secrets = keptSecrets(dataDir);
  const receiver = await startEventReceiver();
  let load: { stop(): Promise<void> } | null = null;
  try {
    await rig.startApplications();
    const at = rig.stack();
    const api = apiUrl(at);
    const simulator = simulatorClient(
      {
        simulator_url: at.urls.simulator_url,
        plaid_client_id: secrets.plaidClientId,
        plaid_secret: secrets.plaidSecret,
      },
      signal,
    );
    const sim = (route: string, body: unknown = {}) =>
      requestJson('POST', `${at.urls.simulator_url}/_sim${route}`, { body, signal });

    /** Any answer of the API; by the operator's key unless another is given. */
    async function ask(
      method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
      route: string,
      {
        body,
        key = secrets.adminApiKey,
        headers = {},
      }: { body?: unknown; key?: string; headers?: Record<string, string> } = {},
    ): Promise<Answer> {
      try {
        const answer = await requestJson(method, `${api}/v1${route}`, {
          headers: { authorization: `Bearer ${key}`, ...headers },
          signal,
          ...(body === undefined ? {} : { body }),
        });
        return { status: 200, body: (answer ?? {}) as Json };
      } catch (error) {
        if (!(error instanceof HttpProblem)) throw error;
        return { status: error.status, body: (error.body ?? {}) as Json };
      }
    }
    async function done(...asked: Parameters<typeof ask>): Promise<Json> {
      const { status, body } = await ask(...asked);
      if (status !== 200)
        throw new SetupFailure(`${asked[0]} ${asked[1]}: ${status} ${JSON.stringify(body)}`);
      return body;
    }
    async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
      const began = performance.now();
      while (!(await isSo())) {
        if (performance.now() - began > patienceMs)
          throw new SetupFailure(`the drill waited in vain: ${what}`);
        await sleep(250, undefined, { signal });
      }
    }
    async function withDatabase<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
      const sql = postgres(at.urls.database_url, { max: 1, onnotice: () => undefined });
      try {
        return await work(sql);
      } finally {
        await sql.end({ timeout: 5 });
      }
    }

    const webhooks = `${api}/webhooks/plaid`;
    async function link(user: string): Promise<{ itemId: string; publicToken: string }> {
      const publicToken = await simulator.createPublicToken(webhooks);
      const body = { public_token: publicToken };
      const headers = { 'idempotency-key': `link-${user}` };
      const { item_id } = await done('POST', `/users/${user}/items`, { body, headers });
      const itemId = item_id as string;
      await simulator.advance(itemId, 'historical');
      await until(
        `the history of ${user}`,
        async () => (await done('GET', `/items/${itemId}`))['history'] === 'complete',
      );
      return { itemId, publicToken };
    }
    const statusOf = async (itemId: string) => (await done('GET', `/items/${itemId}`))['status'];
    const purchase = (name: string) => ({ amount: 1 + Math.round(Math.random() * 10_000) / 100, name });

    function follower(itemId: string): FeedCopy {
      const page = async (query: string): Promise<FeedPage | 'expired'> => {
        const { status, body } = await ask('GET', `/items/${itemId}/changes?limit=500&${query}`);
        if (status === 410) return 'expired';
        if (status !== 200) throw new SetupFailure(`changes: ${status}`);
        return body as unknown as FeedPage;
      };
      return new FeedCopy(
        {
          async snapshot(cursor) {
            const answer = await page(
              `snapshot=true${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
            );
            if (answer === 'expired') throw new SetupFailure('a snapshot is never too old');
            return answer;
          },
          changes: (after) => page(`after=${after}`),
        },
        { fromStart: false },
      );
    }
    async function pullAll(after: string | null): Promise<{ status: number; next: string }> {
      for (let place = after; ;) {
        const { status, body } = await ask(
          'GET',
          `/events?limit=500${place === null ? '' : `&after=${encodeURIComponent(place)}`}`,
        );
        if (status !== 200 || body['has_more'] !== true) return { status, next: String(body['next']) };
        place = String(body['next']);
      }
    }
    function startLoad(itemIds: readonly string[]) {
      let going = true;
      let n = 0;
      const running = (async () => {
        while (going && !signal.aborted) {
          for (const itemId of itemIds)
            await simulator.change(itemId, { add: [purchase(`Load ${(n += 1)}`)] });
          await sleep(300);
        }
      })();
      return {
        async stop() {
          going = false;
          await running;
        },
      };
    }

    say('linking Items, connecting a second application …');
    const users = ['steady', 'removed', 'erased', 'relinked', 'breaking', 'unlisted'] as const;
    const linked = await Promise.all(
      users.map(async (user) => [user, (await link(`drill-${user}`)).itemId] as const),
    );
    const items = Object.fromEntries(linked) as Record<(typeof users)[number], string>;
    await sim(`/items/${items.relinked}/break`);
    await until('the broken Item', async () => (await statusOf(items.relinked)) === 'ERROR');
    const second = await done('POST', '/applications', { body: { name: 'second', access: 'connected' } });
    const keyOf = async () =>
      (await done('POST', `/applications/${String(second['application_id'])}/keys`, {
        body: { scopes: ['read', 'write'] },
      })) as {
        key: string;
        key_id: string;
      };
    const [kept, revoked] = [await keyOf(), await keyOf()];
    const connection = await done('POST', `/items/${items.steady}/connections`, {
      body: {
        application_id: second['application_id'],
        scopes: ['accounts', 'balances', 'transactions'],
        account_ids: null,
      },
    });
    const endpoint = await done('POST', '/endpoints', {
      body: { url: receiver.url, types: ['item.updated'] },
    });
    receiver.trust(String(endpoint['secret']));
    const copies = new Map([items.steady, items.breaking].map((itemId) => [itemId, follower(itemId)]));
    const followAll = () => Promise.all([...copies.values()].map((copy) => copy.follow()));
    await followAll();

    say('a base backup under load …');
    load = startLoad([items.steady, items.breaking]);
    await sleep(1_000);
    await rig.cluster.backUp(at.urls.database_url);
    await sleep(2_000);
    const [{ point } = { point: '' }] = await withDatabase(
      (sql) => sql<{ point: string }[]>`SELECT now()::text AS point`,
    );

    say(
      `the point in time is ${point}; on from it: changes, a removal, an erasure, a repair, a link, a rotation, revocations …`,
    );
    const [someone, other] = (await simulator.truth(items.steady)).transactions;
    if (someone === undefined || other === undefined) throw new SetupFailure('there are no transactions');
    const before = { amount: someone['amount'], name: someone['name'] };
    await simulator.change(items.steady, {
      modify: [{ transaction_id: someone.transaction_id, amount: 999.99, name: 'Only for a while' }],
    });
    const isStored = (amount: number) => async () =>
      withDatabase(async (sql) => {
        const [row] = await sql<
          { amount: string }[]
        >`SELECT amount FROM transactions WHERE transaction_id = ${someone.transaction_id}`;
        return Number(row?.amount) === amount;
      });
    await until('the change', isStored(999.99));
    await simulator.change(items.steady, {
      modify: [{ transaction_id: someone.transaction_id, ...before }],
      remove: [other.transaction_id],
    });
    await until('the change back', isStored(Number(before.amount)));
    await done('DELETE', `/items/${items.removed}`);
    await simulator.repair(items.relinked);
    const erasure = await done('DELETE', '/users/drill-erased');
    await until('the repair', async () => (await statusOf(items.relinked)) === 'ACTIVE');
    await sim(`/items/${items.breaking}/break`);
    await until('the break', async () => (await statusOf(items.breaking)) === 'ERROR');
    const newcomer = await link('drill-newcomer');
    await done('POST', `/connections/${String(connection['connection_id'])}/revoke`);
    await done('DELETE', `/keys/${revoked.key_id}`);
    const rotated = await done('POST', `/endpoints/${String(endpoint['endpoint_id'])}/rotate-secret`, {
      body: { overlap: 'PT0S' },
    });
    receiver.trust(String(rotated['secret']));
    await until('the removal', async () => (await statusOf(items.removed)) === 'REMOVED');
    await until(
      'the erasure',
      async () => (await done('GET', `/erasures/${String(erasure['erasure_id'])}`))['state'] === 'done',
    );
    await load.stop();
    const streams = openStreamReader(at.urls.kinesis_endpoint);
    const database = openDatabaseReader(at.urls.database_url);
    await until('everything on the streams', async () => (await database.countUnsent(items.steady)) === 0);
    await streams.readOn();
    await followAll();
    const { next: place } = await pullAll(null);
    const ended = path.join(dataDir, 'ended.ndjson');
    writeFileSync(ended, await rig.job('listEnded'));
    // A list is older than the last moment.
    await done('DELETE', `/items/${items.unlisted}`);
    await until('the last removal', async () => (await statusOf(items.unlisted)) === 'REMOVED');
    await rig.cluster.archiveAll(at.urls.database_url);
    await database.close();

    say('all is lost; meanwhile the bank goes on …');
    streams.close();
    await rig.loseAll();
    say('restoring …');
    const restoring = performance.now();
    await rig.restore(point);
    for (const itemId of [items.steady, items.relinked])
      await simulator.change(itemId, { add: [purchase('While it was away')] });
    const said = `${await rig.job('reapply', ended)}${await rig.job('restored')}`;
    say(said.trim().replaceAll('\n', '; '));
    say(
      `restored in ${((performance.now() - restoring) / 1000).toFixed(1)} s, starting API, worker, listener …`,
    );
    await rig.startApplications();
    const started = performance.now();

    /** Waits until it is as expected, or in vain. */
    async function check(what: string, expected: string, find: () => Promise<string>): Promise<void> {
      let found = await find();
      while (found !== expected && performance.now() - started < patienceMs) {
        await sleep(500, undefined, { signal });
        found = await find();
      }
      checks.push({ what, expected, found, seconds: (performance.now() - started) / 1000 });
      say(`${what}: ${found}`);
    }

    const reader = openDatabaseReader(at.urls.database_url);
    const consumer = openStreamReader(at.urls.kinesis_endpoint);
    try {
      const [{ base } = { base: 0 }] = await withDatabase(
        (sql) =>
          sql<
            { base: number }[]
          >`SELECT floor(extract(epoch FROM restored_at) * 1000)::float8 AS base FROM restores`,
      );
      const equal = 'equal to the truth';
      load = startLoad([items.steady]);
      await sleep(1_000);
      await load.stop();

      for (const user of ['steady', 'relinked'] as const) {
        const itemId = items[user];
        await check(`the Item "${user}": stored, and on the streams since the restore`, equal, async () => {
          const [truth, stored] = [await simulator.truth(itemId), await reader.readItem(itemId)];
          await consumer.readOn();
          const events = sinceRestore(consumer.eventsOf(itemId), base);
          const [first, ...more] = compareItem(truth, { ...stored, events });
          return first === undefined ? equal : `${first.store}: ${first.problem} (and ${more.length} more)`;
        });
      }
      await check('its copy by the change feed, whose place lay ahead', equal, async () => {
        const copy = copies.get(items.steady);
        await copy?.follow();
        const [first] = compareCopy(
          await simulator.truth(items.steady),
          copy?.held('transaction') ?? new Map(),
          copy?.held('account') ?? new Map(),
        );
        return first?.problem ?? equal;
      });
      await check('all that was ever sent of it', 'nothing contradicts', async () => {
        const [first] = contradictions(consumer.eventsOf(items.steady));
        return first ?? 'nothing contradicts';
      });
      await check('a place among the events from before', '410 feed_expired', async () => {
        const { status, body } = await ask('GET', `/events?after=${encodeURIComponent(place)}`);
        return `${status} ${String(body['code'])}`;
      });
      await check('an Item that was repaired after the point', 'ACTIVE', async () =>
        String(await statusOf(items.relinked)),
      );
      await check('an Item that broke after the point', 'ERROR', async () =>
        String(await statusOf(items.breaking)),
      );
      await check('an Item that was removed at Plaid after the point', 'REMOVED', async () =>
        String(await statusOf(items.removed)),
      );
      await check('one that is on no list', 'ERROR ITEM_NOT_FOUND', async () => {
        const { status, error } = await done('GET', `/items/${items.unlisted}`);
        return `${String(status)} ${(error as { error_code?: string } | null)?.error_code ?? ''}`;
      });
      await check('a user who was erased after the point', 'done, 404', async () => {
        const { body } = await ask('GET', `/erasures/${String(erasure['erasure_id'])}`);
        const { status } = await ask('GET', '/users/drill-erased/items');
        return `${String(body['state'])}, ${status}`;
      });
      await check(
        'what the streams were told of that user since',
        'erased on 4 streams, no records',
        async () => {
          await consumer.readOn();
          const since = Object.entries(consumer.eventsOf(items.erased)).map(([stream, events]) => [
            stream,
            new Set(events.filter(({ type }) => type === 'sluice.user.erased.v1').map(({ id }) => id)).size,
            events.filter(({ sequence, type }) => sequence > base && !type.includes('.removed.')).length,
          ]);
          const erasedTwice = since.filter(([, erasures]) => erasures === 2).length;
          const records = since.reduce((sum, [, , n]) => sum + Number(n), 0);
          return `erased on ${erasedTwice} streams, ${records === 0 ? 'no' : records} records`;
        },
      );
      await check('a connection that was revoked after the point', '403 consent_revoked', async () => {
        const { status, body } = await ask('GET', `/items/${items.steady}/accounts`, { key: kept.key });
        return `${status} ${String(body['code'])}`;
      });
      await check('a key that was revoked after the point', '401', async () =>
        String((await ask('GET', '/users/drill-steady/items', { key: revoked.key })).status),
      );
      await check(
        'the link of an Item since the point, repeated under its key',
        '422 invalid_public_token',
        async () => {
          const body = { public_token: newcomer.publicToken };
          const headers = { 'idempotency-key': 'link-drill-newcomer' };
          const answer = await ask('POST', '/users/drill-newcomer/items', { body, headers });
          return `${answer.status} ${String(answer.body['code'])}`;
        },
      );
      await check('an endpoint whose secret was rotated after the point', 'failing', async () => {
        await simulator.change(items.steady, { add: [purchase('For the endpoint')] });
        return String((await done('GET', `/endpoints/${String(endpoint['endpoint_id'])}`))['state']);
      });
      await check('the same, rotated and enabled again', 'told', async () => {
        const taken = receiver.received.length;
        const renewed = await done('POST', `/endpoints/${String(endpoint['endpoint_id'])}/rotate-secret`, {
          body: { overlap: 'PT0S' },
        });
        receiver.trust(String(renewed['secret']));
        await done('PATCH', `/endpoints/${String(endpoint['endpoint_id'])}`, { body: { state: 'enabled' } });
        for (let n = 0; n < 40 && receiver.received.length === taken; n += 1) await sleep(500);
        return receiver.received.length > taken ? 'told' : 'not told';
      });
      await check('an Item that was linked after the point', 'alert item_unknown', async () => {
        await simulator.change(newcomer.itemId, { add: [purchase('Nobody knows it')] });
        const [row] = await withDatabase(
          (sql) => sql<{ kind: string }[]>`SELECT kind FROM alerts WHERE key = ${newcomer.itemId}`,
        );
        return row === undefined ? 'nothing' : `alert ${row.kind}`;
      });
      await check('other alerts', 'none', async () => {
        const rows = await withDatabase(
          (sql) => sql<{ kind: string }[]>`SELECT kind FROM alerts WHERE kind <> 'item_unknown'`,
        );
        return rows.map(({ kind }) => kind).join(', ') || 'none';
      });
    } finally {
      consumer.close();
      await reader.close();
    }
    return checks;
  } finally {
    await load?.stop().catch(() => undefined);
    await receiver.close();
    await rig.stop();
  }
}
