import { createHash, randomBytes } from 'node:crypto';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { linkWorkflowId, secretContext } from '../../domain/ids.js';
import { testStack } from '../stack/testStack.js';
import { until } from '../workflows/harness.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { advance, callsOf as callsOfItem, change, fault as faultOfItem, untilHistory } from './linkedItem.js';
import type { Json } from './linking.js';
import { callsOf, goThroughLink, itemsAtPlaid } from './linking.js';
import { untilQuiet } from './oracle.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';

const exchange = '/item/public_token/exchange';
const encryptionKeys = `t1:${randomBytes(32).toString('base64')}`;

let system: System;
let temporal: CuttableProxy;
let counter = 0;
const newUser = (): string => `user-${(counter += 1)}`;
const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');
const link = (user: string, body: Record<string, unknown>): Promise<Answer<Json>> =>
  system.api('POST', `/v1/users/${user}/items`, body);
/** As a client does that is told to come later: the same once more, while the answer is one of these. */
async function linkUnless(
  later: readonly number[],
  user: string,
  publicToken: string,
): Promise<Answer<Json>> {
  for (;;) {
    const answer = await link(user, { public_token: publicToken });
    if (!later.includes(answer.status)) return answer;
  }
}
const fault = (path: string, what: Record<string, unknown>, times = 1): Promise<unknown> =>
  system.sim('/_sim/faults', { match: { path }, fault: what, times });

beforeAll(async () => {
  temporal = await startCuttableProxy(testStack().temporal_address);
  system = await startSystem({
    transactionsPerItem: 40,
    env: { ENCRYPTION_KEYS: encryptionKeys, ITEM_GRACE: 'PT2S' },
    apiEnv: { TEMPORAL_ADDRESS: temporal.address },
  });
});
afterAll(async () => {
  await system?.stop();
  await temporal?.close();
});
afterEach(() => system.sim('/_sim/faults', undefined, 'DELETE'));

describe('a public token that cannot be exchanged', () => {
  it("of another environment is 422 with Plaid's error, for every repeat, and leaves no item", async () => {
    const user = newUser();
    const token = 'public-production-00000000-0000-0000-0000-000000000000';
    for (let time = 0; time < 2; time += 1) {
      const { status, body } = await link(user, { public_token: token });
      expect([status, body['code'], body['plaid']?.error_code]).toEqual([
        422,
        'invalid_public_token',
        'INVALID_PUBLIC_TOKEN',
      ]);
      expect(JSON.stringify(body)).not.toContain(token);
    }
    const items = await system.api('GET', `/v1/users/${user}/items`);
    expect(items.body['data']).toEqual([]);
    expect((await system.api('GET', `/v1/users/${user}`)).body['status']).toBe('inactive');
  });

  it('was used by another user: 409, without a call to Plaid and without a hint whose it is', async () => {
    const owner = newUser();
    const { publicToken } = await goThroughLink(system, owner);
    expect((await link(owner, { public_token: publicToken })).status).toBe(201);
    const before = await callsOf(system, exchange);
    const thief = newUser();
    const { status, body } = await link(thief, { public_token: publicToken });
    expect([status, body['code']]).toEqual([409, 'public_token_used']);
    expect(JSON.stringify(body)).not.toContain(owner);
    expect(await callsOf(system, exchange)).toBe(before);
  });

  it.each(['after', 'before'] as const)(
    'whose answer is lost (connection reset %s the work) is 502 for every repeat, one call and one alert',
    async (reset) => {
      const user = newUser();
      const { publicToken } = await goThroughLink(system, user);
      const before = await callsOf(system, exchange);
      await fault(exchange, { reset });
      for (let time = 0; time < 3; time += 1) {
        const { status, body } = await link(user, { public_token: publicToken });
        expect([status, body['code']]).toEqual([502, 'link_outcome_unknown']);
      }
      expect((await callsOf(system, exchange)) - before).toBe(1);
      const alerts =
        await system.sql`SELECT kind, item_id, detail FROM alerts WHERE key = ${hashOf(publicToken)}`;
      expect(alerts).toEqual([
        {
          kind: 'link_outcome_unknown',
          item_id: null,
          detail: { token_hash: hashOf(publicToken), user_id: user },
        },
      ]);
      const [row] = await system.sql`
        SELECT state, public_token_ciphertext AS token FROM links WHERE token_hash = ${hashOf(publicToken)}`;
      expect(row).toEqual({ state: 'finished', token: null });
      expect((await system.api('GET', `/v1/users/${user}/items`)).body['data']).toEqual([]);
    },
  );
});

describe('a link', () => {
  it('is 201, then the same item with 200; the token is erased and the user active', async () => {
    const user = newUser();
    const { publicToken, itemId } = await goThroughLink(system, user);
    expect((await system.api('GET', `/v1/users/${user}`)).body).toMatchObject({
      status: 'inactive',
      items: 0,
    });
    const first = await link(user, { public_token: publicToken });
    expect([first.status, first.body['item_id'], first.body['warnings']]).toEqual([201, itemId, undefined]);
    expect(first.headers.get('location')).toBe(`/v1/items/${itemId}`);
    expect(first.body).toMatchObject({ user_id: user, status: 'ACTIVE', institution_id: 'ins_109508' });
    const again = await link(user, { public_token: publicToken });
    expect([again.status, again.body['item_id']]).toEqual([200, itemId]);
    expect((await system.api('GET', `/v1/users/${user}`)).body).toMatchObject({ status: 'active', items: 1 });
    const [row] = await system.sql`
      SELECT state, public_token_ciphertext AS token FROM links WHERE token_hash = ${hashOf(publicToken)}`;
    expect(row).toEqual({ state: 'finished', token: null });
  });

  it('asked for ten times at once is one exchange, one item and ten equal answers', async () => {
    const user = newUser();
    const { publicToken, itemId } = await goThroughLink(system, user);
    const before = await callsOf(system, exchange);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => link(user, { public_token: publicToken })),
    );
    expect(answers.map(({ body }) => body['item_id'])).toEqual(Array(10).fill(itemId));
    expect(answers.filter(({ status }) => status === 201).length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 200 || status === 201)).toBe(true);
    expect((await callsOf(system, exchange)) - before).toBe(1);
    expect((await system.api('GET', `/v1/users/${user}/items`)).body['data'].length).toBe(1);
  });

  it('with a main account that the item has not warns and takes the default; a known one is kept', async () => {
    const user = newUser();
    const fresh = await goThroughLink(system, user);
    const unknown = await link(user, { public_token: fresh.publicToken, main_account_id: 'not-an-account' });
    expect([unknown.status, unknown.body['warnings']]).toEqual([201, ['main_account_unknown']]);
    const { accounts } = await system.sim(`/_sim/items/${fresh.itemId}/truth`);
    const checking = accounts.find((account: { subtype: string }) => account.subtype === 'checking');
    expect(unknown.body['main_account_id']).toBe(checking.account_id);
    const repeated = await link(user, { public_token: fresh.publicToken });
    expect([repeated.status, repeated.body['warnings']]).toEqual([200, ['main_account_unknown']]);

    const other = newUser();
    const second = await goThroughLink(system, other);
    const wanted = (await system.sim(`/_sim/items/${second.itemId}/truth`))['accounts'].at(-1).account_id;
    const known = await link(other, { public_token: second.publicToken, main_account_id: wanted });
    expect([known.status, known.body['warnings'], known.body['main_account_id']]).toEqual([
      201,
      undefined,
      wanted,
    ]);
  });

  it('stores account numbers encrypted, each bound to its row', async () => {
    const user = newUser();
    const { publicToken, itemId } = await goThroughLink(system, user);
    await link(user, { public_token: publicToken });
    const { numbers } = await system.sim(`/_sim/items/${itemId}/truth`);
    const expected = new Map<string, string[]>();
    for (const list of Object.values(numbers as Record<string, Record<string, string>[]>)) {
      for (const { account_id, account, iban } of list) {
        const id = String(account_id);
        expected.set(id, [...(expected.get(id) ?? []), String(account ?? iban)]);
      }
    }
    expect(expected.size).toBeGreaterThan(0);
    type Row = { account_id: string; key_id: string; data_key: Uint8Array; ciphertext: Uint8Array };
    let rows: Row[] = [];
    await until(async () => {
      rows = await system.sql<Row[]>`
        SELECT account_id, numbers_key_id AS key_id, numbers_data_key AS data_key,
          numbers_ciphertext AS ciphertext FROM account_numbers WHERE item_id = ${itemId}`;
      return rows.length === expected.size;
    });
    const box = createSecretBox(createKeyring(parseEncryptionKeys(encryptionKeys)));
    for (const { account_id, key_id, data_key, ciphertext } of rows) {
      const sealed = { keyId: key_id, dataKey: data_key, ciphertext };
      const opened = await box.open(sealed, secretContext.accountNumbers(itemId, account_id));
      for (const number of expected.get(account_id) ?? ['no such account']) {
        expect(opened).toContain(number);
        expect(Buffer.from(ciphertext).toString('latin1')).not.toContain(number);
      }
      const elsewhere = secretContext.accountNumbers(itemId, 'another-account');
      await expect(box.open(sealed, elsewhere)).rejects.toMatchObject({ type: 'SECRET_UNREADABLE' });
    }
  });

  it.each([
    ['NO_AUTH_ACCOUNTS', 'never'],
    ['ACCESS_NOT_GRANTED', 'never'],
    ['PRODUCTS_NOT_SUPPORTED', 'never'],
    ['PRODUCT_NOT_READY', 'later'],
  ])(
    'of an item whose numbers Plaid refuses with %s is a link without numbers, which are asked for %s',
    async (error_code, due) => {
      const user = newUser();
      const { publicToken, itemId } = await goThroughLink(system, user);
      // Of this Item alone: that of the test before may be asked for late.
      await faultOfItem(system, itemId, '/auth/get', { error_code, error_type: 'ITEM_ERROR' }, { times: 1 });
      const { status, body } = await link(user, { public_token: publicToken });
      expect([status, body['status']]).toEqual([201, 'ACTIVE']);
      await until(async () => {
        const [row] = await system.sql`
          SELECT CASE WHEN numbers_due_at IS NULL THEN 'never' WHEN numbers_due_at > now() + '1 hour' THEN 'later' END AS due
          FROM items WHERE item_id = ${itemId}`;
        return row?.['due'] === due;
      });
      expect(await system.sql`SELECT 1 FROM account_numbers WHERE item_id = ${itemId}`).toHaveLength(0);
      const now = await system.api('GET', `/v1/items/${itemId}`);
      expect([now.body['status'], now.body['error']]).toEqual(['ACTIVE', null]);
    },
  );
});

describe('a duplicate', () => {
  it("is found by Link's metadata before anything is exchanged", async () => {
    const user = newUser();
    const first = await goThroughLink(system, user);
    expect((await link(user, { public_token: first.publicToken })).status).toBe(201);
    const second = await goThroughLink(system, user);
    const { accounts } = await system.sim(`/_sim/items/${first.itemId}/truth`);
    const before = await callsOf(system, exchange);
    const metadata = {
      institution_id: 'ins_109508',
      accounts: accounts.slice(0, 1).map(({ mask, name, type, subtype }: Record<string, string>) => ({
        id: 'of-the-new-item',
        mask,
        name,
        type,
        subtype,
      })),
    };
    for (let time = 0; time < 2; time += 1) {
      const { status, body } = await link(user, { public_token: second.publicToken, ...metadata });
      expect([status, body['code'], body['item_id']]).toEqual([409, 'duplicate_item', first.itemId]);
    }
    expect(await callsOf(system, exchange)).toBe(before);
    expect(await itemsAtPlaid(system)).not.toContain(second.itemId);
  });

  it('is found without metadata after the exchange, and the new item is removed at Plaid', async () => {
    const user = newUser();
    const first = await goThroughLink(system, user);
    await link(user, { public_token: first.publicToken });
    const second = await goThroughLink(system, user);
    const { status, body } = await link(user, { public_token: second.publicToken });
    expect([status, body['code'], body['item_id']]).toEqual([409, 'duplicate_item', first.itemId]);
    await until(async () => !(await itemsAtPlaid(system)).includes(second.itemId));
    expect(await itemsAtPlaid(system)).toContain(first.itemId);
    expect((await system.api('GET', `/v1/items/${second.itemId}`)).status).toBe(404);
    await until(async () => {
      const [row] = await system.sql`
        SELECT access_token_ciphertext AS token FROM items WHERE item_id = ${second.itemId}`;
      return row?.['token'] === null;
    });
  });

  it('linked twice at the same moment leaves one item, also at Plaid', async () => {
    const user = newUser();
    const fresh = [await goThroughLink(system, user), await goThroughLink(system, user)];
    const answers = await Promise.all(
      fresh.map(({ publicToken }) => link(user, { public_token: publicToken })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    const winner = answers.find(({ status }) => status === 201)?.body['item_id'];
    expect(answers.find(({ status }) => status === 409)?.body['item_id']).toBe(winner);
    const ids = fresh.map(({ itemId }) => itemId);
    const alive = async () => (await itemsAtPlaid(system)).filter((id) => ids.includes(id));
    await until(async () => (await alive()).length === 1);
    expect(await alive()).toEqual([winner]);
  });

  it('of a broken item takes its place, which is then removed, here and at Plaid', async () => {
    const user = newUser();
    const old = await goThroughLink(system, user);
    await link(user, { public_token: old.publicToken });
    // What reset_login does, by the Item: a fault that lasts would strike the new Item as well.
    const [row] = await system.sql<{ key_id: string; data_key: Uint8Array; ciphertext: Uint8Array }[]>`
      SELECT access_token_key_id AS key_id, access_token_data_key AS data_key,
        access_token_ciphertext AS ciphertext FROM items WHERE item_id = ${old.itemId}`;
    if (!row) throw new Error('the item is not stored');
    const box = createSecretBox(createKeyring(parseEncryptionKeys(encryptionKeys)));
    const access_token = await box.open(
      { keyId: row.key_id, dataKey: row.data_key, ciphertext: row.ciphertext },
      secretContext.accessToken(old.itemId),
    );
    await system.sim('/sandbox/item/reset_login', { access_token });
    const fresh = await goThroughLink(system, user);
    const { status, body } = await link(user, { public_token: fresh.publicToken });
    expect([status, body['item_id'], body['replaces']]).toEqual([201, fresh.itemId, old.itemId]);
    await until(
      async () => (await system.api('GET', `/v1/items/${old.itemId}`)).body['status'] === 'REMOVED',
    );
    const alive = await itemsAtPlaid(system);
    expect([alive.includes(old.itemId), alive.includes(fresh.itemId)]).toEqual([false, true]);
    const living = await system.api('GET', `/v1/users/${user}/items?status=ACTIVE,ERROR`);
    expect(living.body['data'].map((item: { item_id: string }) => item.item_id)).toEqual([fresh.itemId]);
    const again = await link(user, { public_token: fresh.publicToken });
    expect([again.status, again.body['replaces']]).toEqual([200, old.itemId]);
  });
});

describe('an application that sees only what it is connected with', () => {
  const dataCalls = [
    '/accounts/get',
    '/accounts/balance/get',
    '/transactions/sync',
    '/transactions/get',
    '/auth/get',
  ];
  /** Of these Items alone: those of other cases go on being mined. */
  const dataCallsOf = async (itemIds: readonly string[]): Promise<Record<string, number>> =>
    Object.fromEntries(
      await Promise.all(
        itemIds.flatMap((itemId) =>
          dataCalls.map(async (path) => [`${path} of ${itemId}`, await callsOfItem(system, itemId, path)]),
        ),
      ),
    );
  type Ask = (method: string, route: string, body?: unknown) => Promise<Answer<Json>>;

  /** Another backend, by its own key. */
  async function newApplication(): Promise<Ask> {
    const made = await system.api('POST', '/v1/applications', { name: 'another' });
    const id = made.body['application_id'] as string;
    const { body } = await system.api('POST', `/v1/applications/${id}/keys`, { scopes: ['read', 'write'] });
    const headers = { authorization: `Bearer ${body['key'] as string}` };
    return (method, route, sent) => system.api(method, route, sent, headers);
  }

  /** What Link's `onSuccess` says of the accounts. */
  const metadataOf = async (itemId: string): Promise<Json> => ({
    institution_id: 'ins_109508',
    accounts: (await system.sim(`/_sim/items/${itemId}/truth`))['accounts'].map(
      ({ account_id, name, mask, type, subtype }: Json) => ({ id: account_id, name, mask, type, subtype }),
    ),
  });

  const idsOf = async (ask: Ask, itemId: string): Promise<string[]> => {
    const { body } = await ask('GET', `/v1/items/${itemId}/transactions?limit=500`);
    return body['data'].map((row: Json) => String(row['id'])).sort();
  };

  it('joins an item that is there: the bank is asked for nothing, and its rows are read at once', async () => {
    const user = newUser();
    const first = await goThroughLink(system, user);
    await link(user, { public_token: first.publicToken });
    await advance(system, first.itemId, 'historical');
    await untilHistory(system, first.itemId, 'complete');
    await untilQuiet(system, first.itemId);
    const second = await newApplication();
    const fresh = await goThroughLink(system, user);
    const both = [first.itemId, fresh.itemId];
    const [data, exchanges] = [await dataCallsOf(both), await callsOf(system, exchange)];
    const body = { public_token: fresh.publicToken, ...(await metadataOf(fresh.itemId)) };
    const joined = await second('POST', `/v1/users/${user}/items`, body);
    expect([joined.status, joined.body['item_id'], joined.body['joined']]).toEqual([201, first.itemId, true]);
    const rows = await idsOf(second, first.itemId);
    expect([new Set(rows).size > 1, rows]).toEqual([true, await idsOf(system.api, first.itemId)]);
    expect([await dataCallsOf(both), await callsOf(system, exchange)]).toEqual([data, exchanges]);
    const again = await second('POST', `/v1/users/${user}/items`, body);
    expect([again.status, again.body['connection_id']]).toEqual([200, joined.body['connection_id']]);

    // Without Link's metadata the accounts tell, and the Item that was made goes.
    const third = await newApplication();
    const surplus = await goThroughLink(system, user);
    const late = await third('POST', `/v1/users/${user}/items`, { public_token: surplus.publicToken });
    expect([late.status, late.body['item_id'], late.body['joined']]).toEqual([201, first.itemId, true]);
    await until(async () => !(await itemsAtPlaid(system)).includes(surplus.itemId));
    expect(await itemsAtPlaid(system)).toContain(first.itemId);

    // One after the other goes; the item stays for the first.
    for (const ask of [second, third]) {
      expect((await ask('DELETE', `/v1/items/${first.itemId}`)).status).toBe(204);
    }
    const [row] = await system.sql`
      SELECT removal_requested_at, unconnected_since FROM items WHERE item_id = ${first.itemId}`;
    expect(row).toEqual({ removal_requested_at: null, unconnected_since: null });
  });

  it('is the last to be connected: mining stops, a new connection lets it go on, and without one the item goes', async () => {
    const user = newUser();
    const only = await newApplication();
    const first = await goThroughLink(system, user);
    const { itemId } = first;
    const end = new Date(Date.now() + 86_400_000).toISOString();
    const linked = await only('POST', `/v1/users/${user}/items`, {
      public_token: first.publicToken,
      connection: { expires_at: end },
    });
    expect([linked.status, typeof linked.body['connection_id']]).toEqual([201, 'string']);
    await advance(system, itemId, 'historical');
    await untilHistory(system, itemId, 'complete');
    await untilQuiet(system, itemId);
    const float = (status: string) => system.api('PUT', `/v1/users/${user}/floats/f`, { status });
    await float('active');

    await system.sql`UPDATE connections SET expires_at = now() WHERE item_id = ${itemId}`;
    const alerted = async (): Promise<boolean> => {
      const found = await system.sql`
        SELECT 1 FROM alerts WHERE kind = 'removal_waits_for_float' AND item_id = ${itemId}`;
      return found.length > 0;
    };
    await until(alerted);
    const calls = await callsOfItem(system, itemId, '/transactions/sync');
    const [booked] = (await change(system, itemId, { add: [{ amount: 7, name: 'Told' }], notify: true }))
      .added;
    const waiting = async (): Promise<number> => {
      const rows = await system.sql`SELECT 1 FROM webhooks WHERE item_id = ${itemId} AND outcome = 'pending'`;
      return rows.length;
    };
    await until(async () => (await waiting()) > 0);
    // Some sweeps later nothing was asked for.
    await system.sql`DELETE FROM alerts WHERE kind = 'removal_waits_for_float'`;
    await until(alerted);
    expect([await callsOfItem(system, itemId, '/transactions/sync'), (await waiting()) > 0]).toEqual([
      calls,
      true,
    ]);
    const told = await system.sql<{ type: string }[]>`
      SELECT type FROM events WHERE item_id = ${itemId} AND type LIKE 'connection.%' ORDER BY position`;
    expect(told.map(({ type }) => type)).toEqual(['connection.created', 'connection.expired']);

    const fresh = await goThroughLink(system, user);
    const renewed = await only('POST', `/v1/users/${user}/items`, {
      public_token: fresh.publicToken,
      ...(await metadataOf(fresh.itemId)),
    });
    expect([renewed.status, renewed.body['item_id'], renewed.body['connection_id']]).toEqual([
      201,
      itemId,
      linked.body['connection_id'],
    ]);
    await until(async () => (await idsOf(only, itemId)).includes(String(booked)));

    await float('closed');
    await system.sql`UPDATE connections SET expires_at = now() WHERE item_id = ${itemId}`;
    await until(async () => (await system.api('GET', `/v1/items/${itemId}`)).body['status'] === 'REMOVED');
    expect(await itemsAtPlaid(system)).not.toContain(itemId);
    const [connection] = await system.sql`
      SELECT revoked_initiator FROM connections WHERE item_id = ${itemId}`;
    expect(connection).toEqual({ revoked_initiator: 'item' });
  });
});

describe('a link token', () => {
  const ask = (user: string, body?: Record<string, unknown>): Promise<Answer<Json>> =>
    system.api('POST', `/v1/users/${user}/link-token`, body);

  it('in update mode is refused without an item, and create mode takes none', async () => {
    const user = newUser();
    const nothing = await ask(user, { mode: 'update' });
    expect([nothing.status, nothing.body['code']]).toEqual([409, 'no_item']);
    const both = await ask(user, { mode: 'create', item_id: 'x' });
    expect([both.status, both.body['code']]).toEqual([422, 'item_id_not_allowed']);
    expect((await ask(user, { item_id: 'x' })).status).toBe(404);
    // None of these made the user.
    expect((await system.api('GET', `/v1/users/${user}`)).status).toBe(404);
  });

  it('is for a new item at first, for the linked one later, and repairs it without an exchange', async () => {
    const user = newUser();
    const first = await ask(user);
    expect([first.status, first.body['mode'], first.body['item_id']]).toEqual([200, 'create', undefined]);
    const { publicToken, itemId } = await goThroughLink(system, user);
    await link(user, { public_token: publicToken });
    const later = await ask(user, {});
    expect([later.status, later.body['mode'], later.body['item_id']]).toEqual([200, 'update', itemId]);
    const repaired = await system.sim('/_sim/link', { link_token: later.body['link_token'] });
    expect(repaired).toEqual({ mode: 'update', item_id: itemId, public_token: null });
    expect((await ask(user, { mode: 'create' })).body['mode']).toBe('create');
    expect((await ask(newUser(), { item_id: itemId })).status).toBe(404);
  });
});

describe('without a worker', () => {
  it('a link is 504 after its time; a repeat joins it once a worker runs, and Plaid is asked once', async () => {
    const user = newUser();
    const { publicToken, itemId } = await goThroughLink(system, user);
    const before = await callsOf(system, exchange);
    for (const worker of [...system.workers]) await worker.stop();
    // A busy Temporal may be too late for the start.
    const pending = await linkUnless([503], user, publicToken);
    expect([pending.status, pending.body['code']]).toEqual([504, 'link_pending']);
    const workflow = system.client.workflow.getHandle(linkWorkflowId(hashOf(publicToken)));
    const { runId } = await workflow.describe();
    const joined = linkUnless([503, 504], user, publicToken);
    await system.startWorker();
    expect((await joined).body['item_id']).toBe(itemId);
    expect((await workflow.describe()).runId).toBe(runId);
    expect((await callsOf(system, exchange)) - before).toBe(1);
  });
});

describe('without Temporal', () => {
  it('a link is 503 with Retry-After; back again, a repeat of the same token links', async () => {
    const user = newUser();
    const { publicToken, itemId } = await goThroughLink(system, user);
    temporal.cut();
    try {
      const { status, body, headers } = await link(user, { public_token: publicToken });
      expect([status, body['code']]).toEqual([503, 'orchestrator_down']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    } finally {
      temporal.restore();
    }
    const last = await linkUnless([503, 504], user, publicToken);
    // The sweep may have linked it meanwhile: then this was a repeat.
    expect([200, 201]).toContain(last.status);
    expect(last.body['item_id']).toBe(itemId);
  });
});
