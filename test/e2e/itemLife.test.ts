import { createHash, randomBytes } from 'node:crypto';
import { receiveEvents } from '../../tools/faults/eventReceiver.js';
import { openStreamReader } from '../../tools/local/streamReader.js';
import { advance, callsOf, change, fault, linkItem, minedItem, rows } from './linkedItem.js';
import { expectTruth, untilQuiet } from './oracle.js';
import type { System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

let system: System;
beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 60 });
});
afterAll(() => system?.stop());

type Json = Record<string, any>;
const get = async (route: string): Promise<Json> => (await system.api<Json>('GET', route)).body;
const statusOf = async (itemId: string): Promise<string> => (await get(`/v1/items/${itemId}`))['status'];
const toldOf = async (itemId: string): Promise<string[]> =>
  (await system.segmentEvents())
    .filter((event) => event['properties'].item_id === itemId)
    .map((event) => event['messageId']);

/** What applications are told of the Item's health, in order. */
const heardOf = async (itemId: string): Promise<string[]> => {
  const { data } = await get('/v1/events?types=item.needs_relink,item.repaired&limit=500');
  return (data as Json[]).filter((event) => event['data'].item_id === itemId).map((event) => event['type']);
};

describe('an episode', () => {
  it('begins with the webhook of a reset login, ends with LOGIN_REPAIRED, and is told to Segment once each', async () => {
    const itemId = await minedItem(system, { user: 'breaks' });
    expect((await system.api('POST', `/v1/items/${itemId}/reset-login`)).body).toEqual({
      item_id: itemId,
      reset_login: true,
    });
    await until(async () => (await statusOf(itemId)) === 'ERROR');
    expect(await get(`/v1/items/${itemId}`)).toMatchObject({
      phase: 'needs_relink',
      error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
    });
    await until(async () => (await toldOf(itemId)).length === 1);
    // Ten more of the same change nothing.
    const again = { webhook_type: 'ITEM', webhook_code: 'ERROR', duplicate: 10 };
    await system.sim(`/_sim/items/${itemId}/webhooks`, again);
    await untilQuiet(system, itemId, 'needs_relink');

    await change(system, itemId, { add: [{ amount: 7, name: 'While broken' }] });
    await system.sim(`/_sim/items/${itemId}/repair`, { webhook: true });
    await until(async () => (await statusOf(itemId)) === 'ACTIVE');
    await until(async () => (await toldOf(itemId)).length === 2);
    await expectTruth(system, itemId);
    expect(await toldOf(itemId)).toEqual([`${itemId}:errored:1`, `${itemId}:repaired:1`]);
    await until(async () => (await heardOf(itemId)).length === 2);
    expect(await heardOf(itemId)).toEqual(['item.needs_relink', 'item.repaired']);
    const [event] = (await system.segmentEvents()).filter(
      ({ messageId }) => messageId === `${itemId}:errored:1`,
    );
    expect(event).toMatchObject({ event: 'item errored', userId: 'breaks', type: 'track' });

    // A late ERROR, and a LOGIN_REPAIRED outside an episode.
    for (const webhook_code of ['ERROR', 'LOGIN_REPAIRED']) {
      await system.sim(`/_sim/items/${itemId}/webhooks`, { webhook_type: 'ITEM', webhook_code });
    }
    await untilQuiet(system, itemId);
    const { data } = await get(`/v1/webhooks?item_id=${itemId}&outcome=ignored`);
    expect(
      data
        .slice(0, 2)
        .map((webhook: Json) => webhook['outcome'].reason)
        .sort(),
    ).toEqual(['item_is_healthy', 'item_was_healthy']);
    expect([await statusOf(itemId), (await toldOf(itemId)).length]).toEqual(['ACTIVE', 2]);
  });

  it('ends when the client says that the user was in update mode and Plaid agrees, and not before', async () => {
    const itemId = await minedItem(system, { user: 'relinks' });
    await system.sim(`/_sim/items/${itemId}/webhooks`, {
      webhook_type: 'ITEM',
      webhook_code: 'NEW_ACCOUNTS_AVAILABLE',
    });
    await system.api('POST', `/v1/items/${itemId}/reset-login`);
    await until(async () => (await statusOf(itemId)) === 'ERROR');
    expect((await get(`/v1/items/${itemId}`))['new_accounts_available']).toBe(true);
    const early = await system.api<Json>('POST', `/v1/items/${itemId}/relinked`);
    expect([early.status, early.body['code'], early.body['plaid'].error_code]).toEqual([
      409,
      'login_required',
      'ITEM_LOGIN_REQUIRED',
    ]);
    await system.sim(`/_sim/items/${itemId}/repair`, {});
    const { status, body } = await system.api<Json>('POST', `/v1/items/${itemId}/relinked`);
    expect([status, body['status'], body['error'], body['new_accounts_available']]).toEqual([
      200,
      'ACTIVE',
      null,
      false,
    ]);
    await until(async () => (await toldOf(itemId)).length === 2);
    await expectTruth(system, itemId);
  });

  it('is met by our own calls when its webhook is lost, and heals at the next look when the repair is lost too', async () => {
    const itemId = await linkItem(system, { user: 'silent' });
    await advance(system, itemId, 'initial');
    await system.sim('/_sim/faults', {
      match: { path: '/transactions/sync', item_id: itemId },
      fault: { error_code: 'ITEM_LOGIN_REQUIRED' },
      // Believed at the fourth time, since /item/get says that the Item is well.
      times: 4,
    });
    await advance(system, itemId, 'historical');
    // The next look, seconds later here, clears it.
    await until(async () => (await toldOf(itemId)).length === 2);
    expect(await toldOf(itemId)).toEqual([`${itemId}:errored:1`, `${itemId}:repaired:1`]);
    await expectTruth(system, itemId);
  });

  it('of a revocation stops the mining', async () => {
    const itemId = await minedItem(system, { user: 'revokes' });
    await system.sim(`/_sim/items/${itemId}/revoke`, {});
    await until(async () => (await toldOf(itemId)).length >= 1);
    const [webhook] = (await get(`/v1/webhooks?item_id=${itemId}&limit=1`))['data'];
    expect(webhook).toMatchObject({ webhook_code: 'USER_PERMISSION_REVOKED', outcome: { state: 'done' } });
  });
});

describe('a replay', () => {
  it('of an accepted webhook takes the normal way once more; rejected ones and removals acted on are refused', async () => {
    const itemId = await minedItem(system, { user: 'replays' });
    const { removed } = await change(system, itemId, {
      remove: [(await get(`/v1/items/${itemId}/transactions?limit=1`))['data'][0].id],
      notify: true,
    });
    expect(removed).toHaveLength(1);
    await untilQuiet(system, itemId);
    await change(system, itemId, { add: [{ amount: 3, name: 'Nobody told of it' }] });
    const stored = (await get(`/v1/webhooks?item_id=${itemId}&limit=500`))['data'] as Json[];
    const of = (code: string): string =>
      stored.find((webhook) => webhook['webhook_code'] === code)?.['webhook_id'] as string;
    const replay = (id: string) => system.api<Json>('POST', `/v1/webhooks/${id}/replay`);
    const refused = await replay(of('TRANSACTIONS_REMOVED'));
    expect([refused.status, refused.body['code']]).toEqual([409, 'replay_refused']);
    expect((await replay('00000000-0000-4000-8000-000000000000')).status).toBe(404);
    const { status, body } = await replay(of('HISTORICAL_UPDATE'));
    expect([status, body['source'], body['webhook_code']]).toEqual([202, 'replay', 'HISTORICAL_UPDATE']);
    await until(async () => (await get(`/v1/webhooks/${body['webhook_id']}`))['outcome'].state === 'done');
    await expectTruth(system, itemId);
  });
});

describe('a remine', () => {
  it('corrects what is wrong here, marks what Plaid does not list, and is joined while it runs', async () => {
    const itemId = await minedItem(system, { user: 'remines' });
    const [wrong] = await system.sql`
      SELECT transaction_id AS id, raw, version FROM transactions WHERE item_id = ${itemId} AND status = 'posted'
      ORDER BY date DESC LIMIT 1`;
    await system.sql`
      UPDATE transactions SET raw = (raw::jsonb || '{"amount": 999999}')::json, raw_hash = NULL, amount = 999999
      WHERE item_id = ${itemId} AND transaction_id = ${wrong?.['id']}`;
    await system.sql`
      INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, currency, raw, refined, version)
      SELECT item_id, 'phantom', account_id, status, date, amount, currency, raw, (refined::jsonb || '{"id": "phantom"}')::json, 1
      FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${wrong?.['id']}`;
    const asked = await Promise.all([1, 2].map(() => system.api<Json>('POST', `/v1/items/${itemId}/remine`)));
    expect(asked.map(({ status, body }) => [status, body['workflow_id']])).toEqual([
      [202, `item/${itemId}/remine/1`],
      [202, `item/${itemId}/remine/1`],
    ]);
    await until(async () => {
      const [row] = await system.sql`SELECT remine_requested_at FROM items WHERE item_id = ${itemId}`;
      return row?.['remine_requested_at'] === null;
    });
    await untilQuiet(system, itemId);
    const [right] = await system.sql`
      SELECT raw, version FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${wrong?.['id']}`;
    expect(right).toEqual({ raw: wrong?.['raw'], version: wrong?.['version'] + 1 });
    const [phantom] = await system.sql`
      SELECT status FROM transactions WHERE item_id = ${itemId} AND transaction_id = 'phantom'`;
    expect(phantom).toEqual({ status: 'removed' });
    expect((await get(`/v1/items/${itemId}/sync`))['remine']).toBeNull();
  });
});

describe('an Item that its user does not want any more', () => {
  it('is removed at Plaid, its token and numbers are erased, its rows stay; not while a float is active', async () => {
    const itemId = await minedItem(system, { user: 'leaves' });
    const { key } = await numbersKey();
    const bearer = { authorization: `Bearer ${key}` };
    await until(async () => {
      const { body } = await system.api<Json>('GET', `/v1/items/${itemId}/numbers`, undefined, bearer);
      return body['numbers'].length > 0;
    });
    const { body: numbers } = await system.api<Json>('GET', `/v1/items/${itemId}/numbers`, undefined, bearer);
    const truth = await system.sim<Json>(`/_sim/items/${itemId}/truth`);
    const [first] = numbers['numbers'];
    expect(first.ach[0].account).toBe(
      truth['numbers'].ach.find((ach: Json) => ach['account_id'] === first.account_id).account,
    );
    expect((await system.api('GET', `/v1/items/${itemId}/numbers`)).status).toBe(200);
    const [audit] = await system.sql`
      SELECT count(*)::int AS n FROM number_reads WHERE item_id = ${itemId} AND request_id <> ''`;
    expect(audit?.['n']).toBeGreaterThanOrEqual(3);

    const accounts = (await get(`/v1/items/${itemId}/accounts`))['data'] as Json[];
    const other = accounts.find((account) => !account['is_main'])?.['id'] as string;
    const wrong = await system.api<Json>('PATCH', `/v1/items/${itemId}`, { main_account_id: 'nobody' });
    expect([wrong.status, wrong.body['code']]).toEqual([422, 'unknown_account']);
    const patched = await system.api<Json>('PATCH', `/v1/items/${itemId}`, { main_account_id: other });
    expect([patched.status, patched.body['main_account_id']]).toEqual([200, other]);

    await system.sql`
      INSERT INTO floats (user_id, float_id, status, occurred_at) VALUES ('leaves', 'f-1', 'active', now())`;
    expect(await get('/v1/users/leaves/item-change')).toEqual({ allowed: false, reasons: ['ACTIVE_FLOAT'] });
    const refused = await system.api<Json>('DELETE', `/v1/items/${itemId}`);
    expect([refused.status, refused.body['code']]).toEqual([409, 'active_float']);
    const narrow = await writeKey();
    const forbidden = await system.api<Json>('DELETE', `/v1/items/${itemId}?force=true`, undefined, {
      authorization: `Bearer ${narrow}`,
    });
    expect(forbidden.status).toBe(403);
    expect((await system.api('DELETE', `/v1/items/${itemId}?force=true`)).status).toBe(204);
    await until(async () => (await statusOf(itemId)) === 'REMOVED');
    expect((await system.api('DELETE', `/v1/items/${itemId}`)).status).toBe(204);
    expect((await system.sim<Json>('/_sim/items'))['items']).toContainEqual(
      expect.objectContaining({ item_id: itemId, removed: true }),
    );
    const [row] = await system.sql`
      SELECT access_token_ciphertext AS token, (SELECT count(*)::int FROM account_numbers WHERE item_id = ${itemId}) AS n
      FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ token: null, n: 0 });
    expect((await get(`/v1/items/${itemId}/transactions`))['data'].length).toBeGreaterThan(10);
    for (const command of ['relinked', 'remine', 'reset-login']) {
      const answer = await system.api<Json>('POST', `/v1/items/${itemId}/${command}`);
      expect([command, answer.status, answer.body['code']]).toEqual([command, 409, 'item_removed']);
    }
  });
});

describe('the erasure of a user', () => {
  const mark = randomBytes(6).toString('hex');
  const user = `erased "${mark}"`;
  const path = `/v1/users/${encodeURIComponent(user)}`;

  /** Rows of any table, histories of any workflow, and lines of the log in which one of the texts stands. */
  async function found(texts: string[]): Promise<string[]> {
    const hit = (text: string): boolean =>
      texts.some((one) => text.includes(one) || text.includes(Buffer.from(one).toString('hex')));
    const hits: string[] = [];
    const tables = await system.sql<{ name: string }[]>`
      SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`;
    for (const { name } of tables) {
      const rows = await system.sql.unsafe<{ row: string }[]>(`SELECT t::text AS row FROM "${name}" t`);
      hits.push(...rows.filter(({ row }) => hit(row)).map(() => name));
    }
    for await (const { workflowId, runId, searchAttributes } of system.client.workflow.list()) {
      const history = await system.client.workflow.getHandle(workflowId, runId).fetchHistory();
      // Payloads are bytes that hold JSON.
      const text = JSON.stringify([workflowId, searchAttributes, history], (_, value: unknown) =>
        value instanceof Uint8Array ? Buffer.from(value).toString() : value,
      );
      if (hit(text)) hits.push(workflowId);
    }
    return hits;
  }

  it('is whole, asked for twice beside changes at the bank, with Plaid failing and a worker that is killed', async () => {
    const itemId = await minedItem(system, { user, rows: 40 });
    const other = await minedItem(system, { user: 'stays' });
    const lines = (await system.api<{ text: string }>('GET', `${path}/export`)).body.text
      .trimEnd()
      .split('\n');
    const types = lines.map((line) => (JSON.parse(line) as Json)['type'] as string);
    expect([types[0], types.at(-1)]).toEqual(['export', 'end']);
    expect(types.filter((type) => type === 'transaction').length).toBeGreaterThan(40);
    expect(types).toContain('connection_history');
    const texts = [user, JSON.stringify(user).slice(1, -1), encodeURIComponent(user), mark, itemId];
    expect((await found(texts)).length).toBeGreaterThan(10);

    for (const worker of [...system.workers]) await worker.stop();
    const dying = await system.startWorker({ SLUICE_CRASH_AT: 'erase.afterRows:2' });
    // A bare 503 means maintenance, which is left alone for two minutes at a time.
    await system.sim('/_sim/faults', {
      match: { path: '/item/remove' },
      fault: { status: 500 },
      times: 2,
    });
    await change(system, itemId, { add: rows(600) });
    const asked = await Promise.all([1, 2].map(() => system.api<Json>('DELETE', path)));
    expect(asked.map(({ status }) => status)).toEqual([202, 202]);
    const erasureId = asked[0]?.body['erasure_id'] as string;
    expect(asked[1]?.body['erasure_id']).toBe(erasureId);
    const refused = await system.api<Json>('POST', `${path}/link-token`, {});
    expect([refused.status, refused.body['code']]).toEqual([409, 'user_being_erased']);
    await dying.process.exited;
    await dying.kill();
    await system.startWorker();
    await until(async () => (await get(`/v1/erasures/${erasureId}`))['state'] === 'done');

    expect((await system.sim<Json>('/_sim/items'))['items']).toContainEqual(
      expect.objectContaining({ item_id: itemId, removed: true }),
    );
    // Temporal's index forgets a little later.
    await until(async () => (await found(texts)).length === 0, 1_000);
    expect(system.logs()).not.toContain(mark);
    expect((await system.api('GET', path)).status).toBe(404);
    expect((await system.api('GET', `/v1/items/${itemId}`)).status).toBe(404);
    expect((await system.api<Json>('DELETE', path)).body).toMatchObject({
      erasure_id: erasureId,
      state: 'done',
    });
    const { user_hash, deleted } = await get(`/v1/erasures/${erasureId}`);
    expect(user_hash).toBe(createHash('sha256').update(user).digest('hex'));
    expect(deleted).toMatchObject({ items: 1, users: 1 });
    // The request for the tombstone leaves no trace.
    expect(await found(texts)).toEqual([]);

    const reader = openStreamReader(system.urls.kinesis, system.streamPrefix);
    try {
      await reader.readOn();
      for (const events of Object.values(reader.eventsOf(itemId)) as Json[][]) {
        expect(events.at(-1)).toMatchObject({
          type: 'sluice.user.erased.v1',
          userid: user,
          data: { erasure_id: erasureId },
        });
      }
    } finally {
      reader.close();
    }
    await expectTruth(system, other);
  });

  it('goes on where its worker was killed with -9, at each of its steps', async () => {
    const points = ['erase.afterStop', 'erase.afterWorkflows', 'erase.afterPut', 'erase.afterEnd'];
    const users = points.map((point) => `${point} ${mark}`);
    const items = await Promise.all(users.map((one) => minedItem(system, { user: one })));
    for (const worker of [...system.workers]) await worker.stop();
    const erasures: string[] = [];
    for (const [n, point] of points.entries()) {
      // The only worker, and it dies there; the next one takes over what it left, and dies at a point of its own.
      const dying = await system.startWorker({ SLUICE_CRASH_AT: point });
      const asked = await system.api<Json>('DELETE', `/v1/users/${encodeURIComponent(String(users[n]))}`);
      expect([point, asked.status]).toEqual([point, 202]);
      erasures.push(asked.body['erasure_id'] as string);
      expect([point, await dying.process.exited]).toEqual([point, { code: null, signal: 'SIGKILL' }]);
      system.workers.splice(system.workers.indexOf(dying), 1);
    }
    await system.startWorker();
    for (const id of erasures) await until(async () => (await get(`/v1/erasures/${id}`))['state'] === 'done');
    await until(async () => (await found([mark, ...items])).length === 0, 1_000);
    expect(system.logs()).not.toContain(mark);
    const atPlaid = (await system.sim<Json>('/_sim/items'))['items'] as Json[];
    for (const item_id of items)
      expect(atPlaid).toContainEqual(expect.objectContaining({ item_id, removed: true }));
    // Each erasure is told once.
    const told = await system.sql<{ id: string }[]>`
      SELECT data->>'erasure_id' AS id FROM events WHERE type = 'user.erased' AND data->>'erasure_id' = ANY(${erasures})`;
    expect(told.map(({ id }) => id).sort()).toEqual([...erasures].sort());
    const reader = openStreamReader(system.urls.kinesis, system.streamPrefix);
    try {
      await reader.readOn();
      for (const itemId of items) {
        for (const events of Object.values(reader.eventsOf(itemId)) as Json[][]) {
          expect(events.at(-1)).toMatchObject({ type: 'sluice.user.erased.v1' });
        }
      }
    } finally {
      reader.close();
    }
  }, 600_000);

  it('is whole when it is forced in the middle of an update and of a delivery', async () => {
    const leaving = `leaving ${mark}`;
    const itemId = await minedItem(system, { user: leaving });
    const away = `/v1/users/${encodeURIComponent(leaving)}`;
    await system.sql`
      INSERT INTO floats (user_id, float_id, status, occurred_at) VALUES (${leaving}, 'f-1', 'active', now())`;
    const receiver = await receiveEvents(system);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    try {
      receiver.answer = { status: 204, after: held };
      const { body } = await system.api<Json>('POST', '/v1/applications', { name: 'reader' });
      const connected = await system.api<Json>('POST', `/v1/items/${itemId}/connections`, {
        application_id: body['application_id'],
        scopes: ['accounts'],
        account_ids: null,
      });
      expect(connected.status).toBe(201);
      await until(() => receiver.received.length > 0);
      const before = await callsOf(system, itemId, '/transactions/sync');
      await fault(system, itemId, '/transactions/sync', { latency_ms: 4_000 }, { times: 4 });
      await change(system, itemId, { add: rows(600), notify: true });
      await until(async () => (await callsOf(system, itemId, '/transactions/sync')) > before);

      const refused = await system.api<Json>('DELETE', away);
      expect([refused.status, refused.body['code']]).toEqual([409, 'active_float']);
      const asked = await system.api<Json>('DELETE', `${away}?force=true`);
      expect(asked.status).toBe(202);
      const erasureId = asked.body['erasure_id'] as string;
      await until(async () => (await get(`/v1/erasures/${erasureId}`))['state'] === 'done');
      const [late] = await system.sql<{ n: number }[]>`
        SELECT count(*)::int AS n FROM deliveries WHERE lane = ${itemId} AND state = 'pending'`;
      expect(late?.n).toBe(0);
      receiver.answer = { status: 204 };
      release();
      const erased = () => receiver.received.filter(({ type, repeat }) => type === 'user.erased' && !repeat);
      await until(() => erased().length > 0);
      expect(erased().map(({ data }) => data['erasure_id'])).toEqual([erasureId]);
      // What was on its way when the user left has been written down nowhere by its answer.
      await until(async () => (await found([mark, itemId])).length === 0, 1_000);
      expect(system.logs()).not.toContain(mark);
      expect(receiver.forged()).toBe(0);
    } finally {
      release();
      await receiver.close();
    }
  });
});

async function newKey(scopes: string[]): Promise<Json> {
  const { body } = await system.api<Json>('POST', '/v1/applications', { name: 'payments', access: 'all' });
  return (await system.api<Json>('POST', `/v1/applications/${body['application_id']}/keys`, { scopes })).body;
}
const numbersKey = () => newKey(['numbers']);
const writeKey = async (): Promise<string> => (await newKey(['write']))['key'];
