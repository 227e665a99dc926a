import { wholeGrant } from '../../domain/exchange/connection.js';
import { randomUUID } from 'node:crypto';
import { connectionScopes } from '../../domain/exchange/connection.js';
import type { ConnectionView, Grant } from '../../domain/exchange/connection.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { Actor, ConnectionsOf } from '../../domain/ports/connections.js';
import type { KeyedRequest } from '../../domain/ports/idempotency.js';
import type { TestItem, World } from './world.js';
import { account, linkedItem, lockWaiters, newId, openWorld, runUpdate } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const everybody: Viewer = { applicationId: 'operator', access: 'all' };
const operator: Actor = { initiator: 'operator', applicationId: 'operator', keyId: 'key-1', reason: null };
const everything: Grant = { ...wholeGrant, scopes: ['accounts', 'balances', 'transactions'] };
const soon = '2999-01-01T00:00:00.000Z';
const allStatuses = ['active', 'suspended', 'expired', 'revoked'] as const;

async function application(access: 'all' | 'connected' = 'connected'): Promise<Viewer> {
  const applicationId = newId('app');
  await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${applicationId}, 'Budget', ${access})`;
  return { applicationId, access };
}

/** An Item with the accounts acc-1 and acc-2. */
async function item(userId = newId('user')): Promise<TestItem> {
  const linked = await linkedItem(world, { userId, institutionId: newId('ins') });
  await runUpdate(world, linked, [{}], { accounts: [account('acc-1'), account('acc-2')] });
  return linked;
}

const grant = (to: TestItem, viewer: Viewer, changes: Partial<Grant> = {}, effectId: string = randomUUID()) =>
  world.stores.connections.grant(
    { itemId: to.itemId, applicationId: viewer.applicationId, effectId },
    { ...everything, ...changes },
    operator,
  );

async function connected(
  changes: Partial<Grant> = {},
): Promise<{ item: TestItem; app: Viewer; connection: ConnectionView; id: string }> {
  const [to, app] = [await item(), await application()];
  const granted = await grant(to, app, changes);
  if (granted.kind !== 'done') throw new Error(granted.kind);
  return { item: to, app, connection: granted.connection, id: granted.connection.connection_id };
}

const historyOf = async (connectionId: string): Promise<string[]> =>
  (await world.stores.connections.history(everybody, connectionId, 100, null))?.rows.map(
    ({ position, action, initiator }) => `${position} ${action} ${initiator}`,
  ) ?? [];

const eventsOf = async (connectionId: string): Promise<string[]> =>
  (
    await world.sql<{ type: string }[]>`
    SELECT type FROM events WHERE connection_id = ${connectionId} ORDER BY position`
  ).map(({ type }) => type);

const narrow = (viewer: Viewer, id: string, changes: Partial<Grant>, mayWiden = false) =>
  world.stores.connections.change(viewer, id, changes, {
    mayWiden,
    actor: { ...operator, initiator: mayWiden ? 'operator' : 'application' },
  });

async function keyedRequest(): Promise<KeyedRequest> {
  const keyed = {
    application_id: newId('app'),
    method: 'POST',
    path: '/',
    key: newId('key'),
    requestHash: 'h',
  };
  await world.stores.idempotency.begin(keyed, randomUUID(), 60_000);
  return keyed;
}

describe('a connection that is granted', () => {
  it('is shown to its application and to who sees all, and to nobody else', async () => {
    const {
      item: to,
      app,
      connection,
      id,
    } = await connected({
      scopes: ['transactions', 'accounts', 'accounts'],
      account_ids: ['acc-1'],
      new_accounts: false,
      lookback_days: 90,
      expires_at: soon,
      purpose: 'budgeting',
      evidence: { disclosure_id: 'd-1', sha256: 'a'.repeat(64), at: '2026-11-21T07:00:00Z' },
    });
    expect(connection).toEqual({
      connection_id: id,
      application: { application_id: app.applicationId, name: 'Budget', display_name: null },
      item_id: to.itemId,
      user_id: to.userId,
      status: 'active',
      scopes: ['accounts', 'transactions'],
      account_ids: ['acc-1'],
      new_accounts: false,
      lookback_days: 90,
      expires_at: soon,
      purpose: 'budgeting',
      evidence: { disclosure_id: 'd-1', sha256: 'a'.repeat(64), at: '2026-11-21T07:00:00Z' },
      created_at: expect.stringMatching(/Z$/),
      last_read_at: { accounts: null, balances: null, transactions: null, numbers: null },
      revoked: null,
    });
    const { connections } = world.stores;
    const other = await application();
    expect(await connections.get(app, id)).toEqual(connection);
    expect(await connections.get(everybody, id)).toEqual(connection);
    expect(await connections.get({ ofUser: to.userId }, id)).toEqual(connection);
    expect(await connections.get(other, id)).toBeNull();
    expect(await connections.get({ ofUser: newId('user') }, id)).toBeNull();
    expect(await connections.history(other, id, 10, null)).toBeNull();
    const actor = operator;
    expect(await connections.change(other, id, { scopes: [] }, { mayWiden: true, actor })).toEqual({
      kind: 'not_found',
    });
    expect(await connections.renew(other, id, null, { actor })).toEqual({ kind: 'not_found' });
    expect(await connections.revoke(other, id, { actor })).toEqual({ kind: 'not_found' });
    expect(await connections.get(app, id)).toEqual(connection);
  });

  it('is one at most per pair, under ten grants at once', async () => {
    const [to, app] = [await item(), await application()];
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => grant(to, app)));
    const made = outcomes.filter(({ kind }) => kind === 'done');
    expect(made).toHaveLength(1);
    const id = made[0]?.kind === 'done' ? made[0].connection.connection_id : '';
    const others = outcomes.filter(({ kind }) => kind !== 'done');
    expect(others).toEqual(Array.from({ length: 9 }, () => ({ kind: 'exists', connectionId: id })));
    expect(await historyOf(id)).toEqual(['1 created operator']);
    expect(await eventsOf(id)).toEqual(['connection.created']);
  });

  it('is the same one when the request runs once more, whatever became of it since', async () => {
    const [to, app, effectId] = [await item(), await application(), randomUUID()];
    const [one, other] = await Promise.all([grant(to, app, {}, effectId), grant(to, app, {}, effectId)]);
    expect(one).toEqual(other);
    expect(one).toMatchObject({ kind: 'done', connection: { connection_id: `con_${effectId}` } });
    await world.stores.connections.revoke(everybody, `con_${effectId}`, { actor: operator });
    expect(await grant(to, app, {}, effectId)).toMatchObject({
      kind: 'done',
      connection: { status: 'revoked' },
    });
    expect(await historyOf(`con_${effectId}`)).toEqual(['1 created operator', '2 revoked operator']);
  });

  it('is not, for what cannot be', async () => {
    const [to, app] = [await item(), await application()];
    expect(await grant({ itemId: newId('item'), userId: 'u' }, app)).toEqual({ kind: 'not_found' });
    expect(await grant(to, { ...app, applicationId: newId('app') })).toEqual({ kind: 'unknown_application' });
    expect(await grant(to, app, { expires_at: '2020-01-01T00:00:00Z' })).toEqual({ kind: 'past' });
    expect(await grant(to, app, { account_ids: ['acc-1', 'acc-9', 'acc-9'] })).toEqual({
      kind: 'unknown_accounts',
      accountIds: ['acc-9'],
    });
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${to.itemId}`;
    expect(await grant(to, app)).toEqual({ kind: 'item_removed' });
    const [{ n }] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM connections WHERE item_id = ${to.itemId}`;
    expect(n).toBe(0);
  });

  it('is suspended from the start where the bank has revoked the Item', async () => {
    const [to, app] = [await item(), await application()];
    await world.sql`UPDATE items SET revoked_at = now() WHERE item_id = ${to.itemId}`;
    expect(await grant(to, app)).toMatchObject({ kind: 'done', connection: { status: 'suspended' } });
  });

  it('is so, too, where only the answer of /item/get has told it, and no renewal resumes it', async () => {
    const [to, app] = [await item(), await application()];
    await world.sql`
      UPDATE items SET error_type = 'ITEM_ERROR', error_code = 'USER_PERMISSION_REVOKED', error_since = now()
      WHERE item_id = ${to.itemId}`;
    const granted = await grant(to, app);
    expect(granted).toMatchObject({ kind: 'done', connection: { status: 'suspended' } });
    const id = granted.kind === 'done' ? granted.connection.connection_id : '';
    expect(await world.stores.connections.renew(everybody, id, null, { actor: operator })).toMatchObject({
      kind: 'done',
      connection: { status: 'suspended' },
    });
  });

  it('takes ids at their longest', async () => {
    const wide = '\u{1f9ec}'.repeat(256);
    const to = await linkedItem(world, { itemId: wide, userId: '\u{1f9ec}'.repeat(128) });
    await runUpdate(world, to, [{}], { accounts: [account(wide)] });
    const app = await application();
    const granted = await grant(to, app, { account_ids: [wide], new_accounts: false });
    expect(granted).toMatchObject({ kind: 'done', connection: { item_id: wide, account_ids: [wide] } });
  });
});

describe('a change', () => {
  it('by the application itself narrows and does nothing else', async () => {
    const { app, id } = await connected({
      scopes: ['accounts', 'transactions'],
      account_ids: ['acc-1'],
      new_accounts: false,
      lookback_days: 90,
      expires_at: '2998-01-01T00:00:00Z',
      purpose: 'budgeting',
    });
    const wider: [keyof Grant, Partial<Grant>][] = [
      ['scopes', { scopes: ['accounts', 'numbers'] }],
      ['account_ids', { account_ids: null }],
      ['account_ids', { account_ids: ['acc-1', 'acc-2'] }],
      // Not even by its name: whether there is such an account is none of its business.
      ['account_ids', { account_ids: ['acc-9'] }],
      ['new_accounts', { new_accounts: true }],
      ['lookback_days', { lookback_days: 91 }],
      ['lookback_days', { lookback_days: null }],
      ['expires_at', { expires_at: soon }],
      ['expires_at', { expires_at: null }],
      ['purpose', { purpose: 'advertising' }],
      ['evidence', { evidence: { disclosure_id: 'd', sha256: 'a'.repeat(64), at: '2026-11-21T07:00:00Z' } }],
    ];
    for (const [field, changes] of wider) {
      expect([field, await narrow(app, id, changes)]).toEqual([field, { kind: 'widens', fields: [field] }]);
    }
    expect(await historyOf(id)).toEqual(['1 created operator']);
    const narrower: Partial<Grant>[] = [
      { scopes: ['accounts'] },
      { lookback_days: 30 },
      { expires_at: '2997-01-01T00:00:00.000Z' },
      { account_ids: [] },
      { scopes: [] },
    ];
    for (const changes of narrower) {
      expect(await narrow(app, id, changes)).toMatchObject({ kind: 'done', connection: changes });
    }
    expect(await narrow(app, id, { expires_at: '2020-01-01T00:00:00Z' })).toEqual({ kind: 'past' });
    expect((await historyOf(id)).slice(1)).toEqual([2, 3, 4, 5, 6].map((n) => `${n} updated application`));
    expect(await eventsOf(id)).toEqual([
      'connection.created',
      ...Array<string>(5).fill('connection.updated'),
    ]);
  });

  it('that says what stands already is none', async () => {
    const { app, id } = await connected({ expires_at: soon, account_ids: ['acc-2', 'acc-1'] });
    expect(await narrow(app, id, {})).toMatchObject({ kind: 'done' });
    expect(
      await narrow(app, id, { expires_at: soon, account_ids: ['acc-1', 'acc-2'], new_accounts: true }),
    ).toMatchObject({ kind: 'done' });
    for (const spelling of ['2999-01-01T00:00:00Z', '2999-01-01T01:00:00+01:00'])
      expect(await narrow(app, id, { expires_at: spelling })).toMatchObject({ kind: 'done' });
    expect(await historyOf(id)).toEqual(['1 created operator']);
  });

  it('of all accounts to those that are there leaves later ones out', async () => {
    const { item: to, app, id } = await connected();
    expect(await narrow(app, id, { new_accounts: false })).toMatchObject({ kind: 'done' });
    const [row] = await world.sql`SELECT granted_accounts FROM connections WHERE connection_id = ${id}`;
    expect(row?.['granted_accounts']).toEqual(['acc-1', 'acc-2']);
    expect(await narrow(app, id, { account_ids: ['acc-2'] })).toMatchObject({ kind: 'done' });
    expect(await narrow(app, id, { account_ids: ['acc-1'] })).toEqual({
      kind: 'widens',
      fields: ['account_ids'],
    });
    expect(to.itemId).toBe((await world.stores.connections.get(app, id))?.item_id);
  });

  it('that may widen does, names accounts that there are not, and renews when it moves the end', async () => {
    const { id } = await connected({ scopes: [], account_ids: [], expires_at: '2998-01-01T00:00:00.000Z' });
    expect(await narrow(everybody, id, { account_ids: ['acc-1', 'acc-8', 'acc-9'] }, true)).toEqual({
      kind: 'unknown_accounts',
      accountIds: ['acc-8', 'acc-9'],
    });
    await world.sql`
      UPDATE connections SET expired_noted_at = now(), expiry_told_days = 7 WHERE connection_id = ${id}`;
    const wide = { scopes: [...connectionScopes], account_ids: ['acc-1'], expires_at: soon };
    expect(await narrow(everybody, id, wide, true)).toMatchObject({ kind: 'done', connection: wide });
    expect(await historyOf(id)).toEqual(['1 created operator', '2 updated operator', '3 renewed operator']);
    expect(await eventsOf(id)).toEqual(['connection.created', 'connection.updated', 'connection.renewed']);
    const [row] = await world.sql`
      SELECT expired_noted_at AS noted, expiry_told_days AS told FROM connections WHERE connection_id = ${id}`;
    expect(row).toEqual({ noted: null, told: null });
    const changes = await world.stores.connections.history(everybody, id, 10, null);
    expect(changes?.rows[1]?.grant).toMatchObject({ ...wide, expires_at: '2998-01-01T00:00:00.000Z' });
    expect(changes?.rows[2]).toMatchObject({ grant: wide, application_id: 'operator', key_id: 'key-1' });
  });

  it('of an Item whose removal was asked for may only narrow', async () => {
    const { item: to, id } = await connected({ scopes: ['accounts', 'balances'] });
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${to.itemId}`;
    expect(await narrow(everybody, id, { scopes: ['numbers'] }, true)).toEqual({ kind: 'item_removed' });
    expect(await narrow(everybody, id, { scopes: ['accounts'] }, true)).toMatchObject({ kind: 'done' });
    const by = { actor: operator };
    expect(await world.stores.connections.renew(everybody, id, null, by)).toEqual({ kind: 'item_removed' });
  });

  it('is made once for a keyed request, also when others have changed it since', async () => {
    const { app, id } = await connected();
    const by = { mayWiden: false, actor: operator, keyed: await keyedRequest() };
    const { connections } = world.stores;
    await connections.change(app, id, { lookback_days: 90 }, by);
    await narrow(everybody, id, { lookback_days: 365 }, true);
    expect(await connections.change(app, id, { lookback_days: 90 }, by)).toMatchObject({
      kind: 'done',
      connection: { lookback_days: 365 },
    });
    expect(await historyOf(id)).toHaveLength(3);
  });
});

describe('a renewal', () => {
  it('makes active what had expired, by the clock of the database alone', async () => {
    const { app, id } = await connected({ expires_at: soon });
    await world.sql`UPDATE connections SET expires_at = now() WHERE connection_id = ${id}`;
    const { connections } = world.stores;
    expect(await connections.get(app, id)).toMatchObject({ status: 'expired' });
    const by = { actor: operator };
    expect(await connections.renew(everybody, id, '2020-01-01T00:00:00Z', by)).toEqual({ kind: 'past' });
    expect(await connections.renew(everybody, id, soon, by)).toMatchObject({
      kind: 'done',
      connection: { status: 'active', expires_at: soon },
    });
    expect(await connections.renew(everybody, id, null, by)).toMatchObject({
      kind: 'done',
      connection: { status: 'active', expires_at: null },
    });
    const ended = ['connection.expired', 'connection.renewed'];
    expect(await eventsOf(id)).toEqual(['connection.created', ...ended, 'connection.renewed']);
  });

  it('resumes what is suspended, of this application alone, once the bank gives the Item again', async () => {
    const { item: to, id } = await connected();
    const other = await grant(to, await application());
    await world.sql`UPDATE items SET revoked_at = now() WHERE item_id = ${to.itemId}`;
    await world.sql`UPDATE connections SET suspended_at = now() WHERE item_id = ${to.itemId}`;
    const { connections } = world.stores;
    const renew = () => connections.renew(everybody, id, soon, { actor: operator });
    expect(await renew()).toMatchObject({ connection: { status: 'suspended', expires_at: soon } });
    await world.sql`UPDATE items SET revoked_at = NULL WHERE item_id = ${to.itemId}`;
    expect(await renew()).toMatchObject({ connection: { status: 'active' } });
    const otherId = other.kind === 'done' ? other.connection.connection_id : '';
    expect(await connections.get(everybody, otherId)).toMatchObject({ status: 'suspended' });
    expect((await eventsOf(id)).slice(1)).toEqual([
      'connection.renewed',
      'connection.renewed',
      'connection.resumed',
    ]);
  });
});

describe('a revocation', () => {
  it('is the end: twice at once it is written once, and nothing changes or renews what ended', async () => {
    const { item: to, app, id } = await connected();
    const { connections } = world.stores;
    const revoke = (reason: string) => connections.revoke(app, id, { actor: { ...operator, reason } });
    // Both wait for the Item, and are let in one after the other.
    const both = await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${to.itemId} FOR NO KEY UPDATE`;
      const waiting = [revoke('one'), revoke('other')];
      await lockWaiters(world, 2);
      return { waiting };
    });
    const [one, other] = await Promise.all(both.waiting);
    expect(one).toEqual(other);
    expect(one).toMatchObject({
      kind: 'done',
      connection: { status: 'revoked', revoked: { initiator: 'operator' } },
    });
    expect(await historyOf(id)).toEqual(['1 created operator', '2 revoked operator']);
    expect(await eventsOf(id)).toEqual(['connection.created', 'connection.revoked']);
    expect(await narrow(app, id, { scopes: [] })).toEqual({ kind: 'revoked' });
    expect(await connections.renew(everybody, id, null, { actor: operator })).toEqual({ kind: 'revoked' });
    const [row] = await world.sql`SELECT unconnected_since FROM items WHERE item_id = ${to.itemId}`;
    expect(row?.['unconnected_since']).not.toBeNull();
    // A new grant is a new connection, and the Item is mined once more.
    const next = await grant(to, app);
    expect(next.kind === 'done' && next.connection.connection_id !== id).toBe(true);
    const [item_] = await world.sql`SELECT unconnected_since FROM items WHERE item_id = ${to.itemId}`;
    expect(item_?.['unconnected_since']).toBeNull();
  });

  it('that meets a change is the last word, whichever comes first', async () => {
    for (const first of ['change', 'revoke'] as const) {
      const { item: to, app, id } = await connected();
      const { connections } = world.stores;
      const acts = {
        change: () => narrow(app, id, { scopes: ['accounts'] }),
        revoke: () => connections.revoke(app, id, { actor: operator }),
      };
      const second = first === 'change' ? 'revoke' : 'change';
      const { waiting } = await world.sql.begin(async (tx) => {
        await tx`SELECT FROM items WHERE item_id = ${to.itemId} FOR NO KEY UPDATE`;
        const one = acts[first]();
        await lockWaiters(world, 1);
        const two = acts[second]();
        await lockWaiters(world, 2);
        return { waiting: [one, two] };
      });
      const [, late] = await Promise.all(waiting);
      expect(await connections.get(app, id)).toMatchObject({ status: 'revoked' });
      if (first === 'revoke') expect(late).toEqual({ kind: 'revoked' });
      expect(await historyOf(id)).toHaveLength(first === 'revoke' ? 2 : 3);
      expect((await historyOf(id)).at(-1)).toMatch(/revoked/);
    }
  });

  it('of a user ends all that were granted, of every Item, and no other user’s', async () => {
    const userId = newId('user');
    const [one, two] = [await item(userId), await item(userId)];
    const [app, other] = [await application(), await application()];
    await grant(one, app);
    await grant(one, other);
    await grant(two, app);
    const bystander = await connected();
    const { connections } = world.stores;
    const by = { actor: { ...operator, initiator: 'user' as const }, keyed: await keyedRequest() };
    const revoked = await connections.revokeOfUser(userId, by);
    expect(revoked?.connectionIds).toHaveLength(3);
    expect(revoked?.itemIds).toEqual([one.itemId, two.itemId].sort());
    const page = await connections.page(everybody, { userId }, { statuses: [...allStatuses] }, 10, null);
    expect(page?.rows.map((row) => row.revoked?.initiator)).toEqual(['user', 'user', 'user']);
    expect(await connections.get(everybody, bystander.id)).toMatchObject({ status: 'active' });
    // Once more under its key: what was granted since stays.
    const since = await grant(one, app);
    expect((await connections.revokeOfUser(userId, by))?.connectionIds).toEqual(revoked?.connectionIds);
    const sinceId = since.kind === 'done' ? since.connection.connection_id : '';
    expect(await connections.get(app, sinceId)).toMatchObject({ status: 'active' });
    expect(await connections.revokeOfUser(newId('user'), by)).toBeNull();
  });
});

describe('the history', () => {
  it('is only ever added to', async () => {
    const { id } = await connected();
    const { sql } = world;
    await expect(sql`UPDATE connection_history SET reason = 'x' WHERE connection_id = ${id}`).rejects.toThrow(
      'append-only',
    );
    await expect(sql`DELETE FROM connection_history WHERE connection_id = ${id}`).rejects.toThrow(
      'append-only',
    );
    expect(await historyOf(id)).toHaveLength(1);
  });

  it('is paged, and names the keys of others to nobody', async () => {
    const { app, id } = await connected();
    const { connections } = world.stores;
    const own: Actor = {
      initiator: 'application',
      applicationId: app.applicationId,
      keyId: 'own',
      reason: 'less',
    };
    await connections.change(app, id, { lookback_days: 30 }, { mayWiden: false, actor: own });
    const first = await connections.history(app, id, 1, null);
    expect(first?.rows).toMatchObject([{ position: 1, application_id: 'operator', key_id: null }]);
    const second = await connections.history(app, id, 1, first?.next ?? null);
    expect(second).toMatchObject({ rows: [{ position: 2, key_id: 'own', reason: 'less' }], next: null });
    expect((await connections.history(everybody, id, 1, null))?.rows).toMatchObject([{ key_id: 'key-1' }]);
  });
});

describe('lists', () => {
  it('are of what one may see, by status and end, page by page', async () => {
    const userId = newId('user');
    const [one, two] = [await item(userId), await item(userId)];
    const [app, other] = [await application(), await application()];
    const idOf = async (granted: ReturnType<typeof grant>): Promise<string> => {
      const outcome = await granted;
      if (outcome.kind !== 'done') throw new Error(outcome.kind);
      return outcome.connection.connection_id;
    };
    const active = await idOf(grant(one, app, { expires_at: soon }));
    const expired = await idOf(grant(two, app, { expires_at: soon }));
    const revoked = await idOf(grant(one, other));
    const suspended = await idOf(grant(two, other));
    const { connections } = world.stores;
    await world.sql`UPDATE connections SET expires_at = now() WHERE connection_id = ${expired}`;
    await world.sql`UPDATE connections SET suspended_at = now() WHERE connection_id IN (${suspended}, ${expired})`;
    await connections.revoke(everybody, revoked, { actor: operator });

    const list = async (
      viewer: Viewer,
      of: ConnectionsOf,
      statuses: readonly (typeof allStatuses)[number][] = allStatuses,
      expiresBefore?: string,
    ): Promise<string[] | null> => {
      const found: string[] = [];
      let after: string[] | null = null;
      do {
        const page: Awaited<ReturnType<typeof connections.page>> = await connections.page(
          viewer,
          of,
          { statuses: [...statuses], expiresBefore },
          1,
          after,
        );
        if (page === null) return null;
        found.push(...page.rows.map((row) => row.connection_id));
        after = page.next;
      } while (after !== null);
      return found;
    };
    expect(await list(everybody, { userId })).toEqual([active, expired, revoked, suspended]);
    for (const [status, id] of Object.entries({ active, expired, revoked, suspended })) {
      expect(await list(everybody, { userId }, [status as 'active'])).toEqual([id]);
    }
    expect(await list(everybody, { userId }, allStatuses, '2998-01-01T00:00:00Z')).toEqual([expired]);
    expect(await list(app, { userId })).toEqual([active, expired]);
    expect(await list(everybody, { itemId: one.itemId })).toEqual([active, revoked]);
    expect(await list(other, { itemId: one.itemId })).toEqual([revoked]);
    expect(await list(app, { applicationId: app.applicationId })).toEqual([active, expired]);
    expect(await list(everybody, { applicationId: other.applicationId })).toEqual([revoked, suspended]);
    expect(await list(app, { applicationId: app.applicationId }, ['revoked'])).toEqual([]);

    const stranger = await application();
    const ofStranger: ConnectionsOf[] = [
      { userId },
      { itemId: one.itemId },
      { applicationId: app.applicationId },
    ];
    for (const whose of ofStranger) expect(await list(stranger, whose)).toBeNull();
    for (const whose of [{ userId: newId('u') }, { itemId: newId('i') }, { applicationId: newId('a') }]) {
      expect(await list(everybody, whose)).toBeNull();
    }
    expect(await list(stranger, { applicationId: stranger.applicationId })).toEqual([]);
    expect(await list(everybody, { userId: (await linkedItem(world)).userId })).toEqual([]);
  });
});
