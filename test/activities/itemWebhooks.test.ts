import { ourselves } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import { readWebhook } from '../../domain/webhooks/webhook.js';
import { holdAnswer } from './heldPlaid.js';
import { seenOf, twice, webhook, world } from './sharedWorld.js';

describe('webhooks about the Item itself', () => {
  const told = async (itemId: string, body: Record<string, unknown>): Promise<string> => {
    const text = JSON.stringify({ item_id: itemId, ...body });
    const read = readWebhook(text);
    const stored = await world.stores.webhooks.store({
      ...webhook(itemId, 'item'),
      ...read,
      body: Buffer.from(text),
      reason: read.ignored,
    });
    return stored.webhookId;
  };
  const outcomes = async (ids: string[]) =>
    Promise.all(ids.map(async (id) => (await world.stores.webhooks.get(ourselves, id))?.outcome));
  const errored = {
    webhook_type: 'ITEM',
    webhook_code: 'ERROR',
    error: { error_code: 'ITEM_LOGIN_REQUIRED' },
  };
  const repaired = { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' };
  const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  const rowOf = async (itemId: string) => {
    const [row] = await world.sql`
      SELECT error_code, error_episode AS episode, revoked_at IS NOT NULL AS revoked, new_accounts_available AS fresh,
        consent_expires_at::text AS consent, numbers_due_at IS NOT NULL AS numbers, segment_due_at IS NOT NULL AS segment
      FROM items WHERE item_id = ${itemId}`;
    return row;
  };

  it('settleItemWebhooks believes /item/get, and an episode is told of once', async () => {
    const item = await world.linkedItem();
    // A late ERROR: Plaid says that the Item is well.
    const late = await told(item.itemId, errored);
    const [first] = await twice('settleItemWebhooks', { itemId: item.itemId });
    expect(first).toEqual({ health: 'healthy', numbersDue: false, more: false });
    expect(await outcomes([late])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    expect(await rowOf(item.itemId)).toMatchObject({ error_code: null, episode: 0, segment: false });

    item.error = loginRequired;
    const [again, early] = [await told(item.itemId, errored), await told(item.itemId, repaired)];
    const [second] = await twice('settleItemWebhooks', { itemId: item.itemId });
    expect(second).toEqual({ health: 'broken', numbersDue: false, repairSaid: true, more: false });
    expect(await outcomes([again, early])).toEqual([
      { state: 'done', reason: null },
      { state: 'ignored', reason: 'item_is_broken' },
    ]);
    // A new code within the episode updates the Item and tells nobody.
    item.error = { ...loginRequired, error_code: 'ITEM_LOCKED' };
    await told(item.itemId, errored);
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(await rowOf(item.itemId)).toMatchObject({ error_code: 'ITEM_LOCKED', episode: 1, segment: true });

    item.error = null;
    const mended = await told(item.itemId, { ...repaired, webhook_code: 'ITEM_REPAIRED' });
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toEqual({
      health: 'healthy',
      numbersDue: true,
      more: false,
    });
    const outside = await told(item.itemId, repaired);
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(await outcomes([mended, outside])).toEqual([
      { state: 'done', reason: null },
      { state: 'ignored', reason: 'item_was_healthy' },
    ]);

    world.tracked.length = 0;
    const sent = { done: true };
    expect(await twice('sendSegmentEvents', { itemId: item.itemId })).toEqual([sent, sent]);
    expect(
      world.tracked.map(({ messageId, event, properties }) => [messageId, event, properties.error_code]),
    ).toEqual([
      [`${item.itemId}:errored:1`, 'item errored', 'ITEM_LOGIN_REQUIRED'],
      [`${item.itemId}:repaired:1`, 'item repaired', 'ITEM_LOCKED'],
    ]);
    expect(await rowOf(item.itemId)).toMatchObject({ segment: false });
  });

  it('settleItemWebhooks sees one that came while it asked Plaid, of which nobody was told', async () => {
    const { itemId } = await world.linkedItem();
    const about = async (): Promise<string> => {
      const body = Buffer.from(
        JSON.stringify({ webhook_type: 'ITEM', webhook_code: 'ERROR', item_id: itemId }),
      );
      const read = readWebhook(body.toString());
      const { webhookId } = await world.stores.webhooks.store({
        source: 'plaid',
        verdict: 'accepted',
        body,
        headers: {},
        webhook_type: read.webhook_type,
        webhook_code: read.webhook_code,
        item_id: itemId,
        kind: read.kind,
        removed_ids: [],
        reason: read.ignored,
      });
      return webhookId;
    };
    const first = await about();
    expect(await world.stores.webhooks.acquireSignal(first)).not.toBeNull();
    const held = holdAnswer(world.plaid, ['getItem']);
    const settling = world.runWith({ plaid: held.plaid }).settleItemWebhooks({ itemId });
    await held.answered;
    const second = await about();
    // The first is on its way: the second rides along with it.
    expect(await world.stores.webhooks.acquireSignal(second)).toBeNull();
    held.release();
    expect(await settling).toMatchObject({ more: true });
    expect((await world.stores.webhooks.get(ourselves, second))?.outcome.state).toBe('pending');
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: false });
    expect((await world.stores.webhooks.get(ourselves, second))?.outcome.state).not.toBe('pending');
  });

  it('settleItemWebhooks takes a thousand of them a part after the other, and says when more wait', async () => {
    const item = await world.linkedItem();
    await world.sql`
      INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, headers, body)
      SELECT 'plaid', 'accepted', 'ITEM', 'NEW_ACCOUNTS_AVAILABLE', ${item.itemId}, 'item', '{}', 'pending', '{}',
        convert_to('{"webhook_type":"ITEM","webhook_code":"NEW_ACCOUNTS_AVAILABLE","item_id":"x"}', 'UTF8')
      FROM generate_series(1, 1000)`;
    const more: boolean[] = [];
    for (let last = true; last; more.push(last)) {
      last = (await world.run.settleItemWebhooks({ itemId: item.itemId })).more;
    }
    expect(more).toEqual([true, true, true, true, false]);
    const [left] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM webhooks WHERE item_id = ${item.itemId} AND outcome <> 'done'`;
    expect(left.n).toBe(0);
  });

  it('loadItem of a removed Item ends every webhook that has come since, also those about the Item', async () => {
    const item = await world.linkedItem();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    await world.run.removeItem({ itemId: item.itemId });
    const late = await told(item.itemId, errored);
    await world.run.loadItem({ itemId: item.itemId });
    expect(await outcomes([late])).toEqual([{ state: 'ignored', reason: 'item_removed' }]);
    const both = [
      await told(item.itemId, repaired),
      (await world.stores.webhooks.store(webhook(item.itemId, 'update'))).webhookId,
    ];
    await twice('loadItem', { itemId: item.itemId });
    for (const outcome of await outcomes(both)) expect(outcome).toMatchObject({ reason: 'item_removed' });
    expect(
      (await world.stores.sweep.findDue(500, 0)).find(({ itemId }) => itemId === item.itemId)?.kinds ?? [],
    ).not.toContain('itemWebhooks');
  });

  it('settleItemWebhooks ends no episode on the word of /item/get alone while transactions are refused', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const dueAt = new Date(Date.now() + 3_600_000).toISOString();
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await world.stores.items.setBroken(itemId, await seenOf(item), error, dueAt);
    const refuse = () =>
      world.plaid.failNext(
        'syncTransactions',
        new Failure('LOGIN_REQUIRED', 'x', { upstream: { ...error, request_id: null } }),
      );
    refuse();
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'ERROR' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'unsure' });
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // That it was repaired is said by Plaid itself.
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy' });
    expect(await row()).toEqual({ error_code: null, error_episode: 1 });
  });

  it('settleItemWebhooks asks Plaid for nothing when none of them speaks of health', async () => {
    const item = await world.linkedItem();
    await told(item.itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    world.plaid.calls.length = 0;
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: null });
    expect(world.plaid.calls).toEqual([]);
  });

  it('settleItemWebhooks withholds at a revocation at once, keeps what else is said, and asks Plaid before it tells', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const revoked = { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null };
    world.plaid.calls.length = 0;
    const ids = [
      await told(itemId, {
        webhook_type: 'ITEM',
        webhook_code: 'PENDING_EXPIRATION',
        consent_expiration_time: '2027-01-02T03:04:05Z',
      }),
      await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' }),
      await told(itemId, {
        webhook_type: 'AUTH',
        webhook_code: 'DEFAULT_UPDATE',
        account_ids_with_new_auth: ['account-1'],
      }),
      await told(itemId, revoked),
      await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_ACCOUNT_REVOKED' }),
    ];
    expect(await world.run.settleItemWebhooks({ itemId })).toEqual({
      health: null,
      numbersDue: true,
      updateDue: true,
      more: true,
    });
    expect(world.plaid.calls).toEqual([]);
    const states = async () => (await outcomes(ids)).map((outcome) => outcome?.state);
    expect(await states()).toEqual(['done', 'done', 'done', 'pending', 'done']);
    expect(await rowOf(itemId)).toMatchObject({
      error_code: null,
      revoked: true,
      fresh: true,
      numbers: true,
      consent: '2027-01-02 03:04:05+00',
    });
    // Nobody knows as long as Plaid does not answer.
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(world.run.settleItemWebhooks({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: true });
    item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'broken', more: false });
    expect(await states()).toEqual(['done', 'done', 'done', 'done', 'done']);
    expect(await rowOf(itemId)).toMatchObject({ error_code: 'USER_PERMISSION_REVOKED', revoked: true });
    item.error = null;
    item.page('', 'c1', {});
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'healthy' });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: false });

    // Replayed by an operator it tells of the past: Plaid is asked.
    const again = await world.stores.webhooks.replay(ourselves, ids[3] as string, crypto.randomUUID());
    expect(again).toEqual({ webhookId: expect.any(String), itemId, kind: 'item' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy' });
    const { webhookId } = again as { webhookId: string };
    expect(await outcomes([webhookId])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    // A late copy withholds until Plaid disowns it, and tells nobody anything.
    const copy = await told(itemId, revoked);
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: null, more: true });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: true });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy', more: false });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: false });
    expect(await outcomes([copy])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    const told2 = await world.sql<{ event: string }[]>`
      SELECT event FROM segment_events WHERE item_id = ${itemId} ORDER BY created_at`;
    expect(told2.map(({ event }) => event)).toEqual(['item errored', 'item repaired']);
    const [suspended] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM events WHERE item_id = ${itemId} AND type = 'connection.suspended'`;
    expect(suspended.n).toBeLessThanOrEqual(1);
  });

  it('settleItemWebhooks believes a revocation of which /item/get knows nothing where the products are refused for it', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const settle = () => world.run.settleItemWebhooks({ itemId });
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    await settle();
    world.plaid.refuse('syncTransactions', 'USER_PERMISSION_REVOKED', 'INVALID_INPUT');
    expect(await settle()).toMatchObject({ health: 'broken' });
    world.plaid.refuse('syncTransactions', null);
    expect(await rowOf(itemId)).toMatchObject({ error_code: 'USER_PERMISSION_REVOKED', revoked: true });
    // The user is known to be away from the bank for another reason: the permission stands.
    const other = await world.linkedItem();
    other.numbers = [{ account_id: 'account-1', ach: [], eft: [], international: [], bacs: [] }];
    await world.run.saveNumbers({ itemId: other.itemId });
    await told(other.itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    other.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await world.run.settleItemWebhooks({ itemId: other.itemId });
    await world.run.settleItemWebhooks({ itemId: other.itemId });
    expect(await rowOf(other.itemId)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', revoked: false });
    // Its numbers are another matter: nobody can ask for them till the user was there.
    expect(
      await world.sql`SELECT doubted_at IS NOT NULL AS doubted FROM account_numbers WHERE item_id = ${other.itemId}`,
    ).toEqual([{ doubted: true }]);
  });

  it('settleItemWebhooks withholds behind any number of others, and whatever Plaid answers', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    await world.sql`
      INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, headers, body)
      SELECT 'plaid', 'accepted', 'ITEM', 'ERROR', ${itemId}, 'item', '{}', 'pending', '{}',
        convert_to('{"webhook_type":"ITEM","webhook_code":"ERROR","item_id":"x"}', 'UTF8')
      FROM generate_series(1, 450)`;
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    world.plaid.refuse('getItem', 'INVALID_ACCESS_TOKEN', 'INVALID_INPUT');
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: true });
    expect(await rowOf(itemId)).toMatchObject({ revoked: true });
    await expect(world.run.settleItemWebhooks({ itemId })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    // What comes behind it is acted on at once, too.
    const late = await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: true });
    expect(await outcomes([late])).toEqual([{ state: 'done', reason: null }]);
    world.plaid.refuse('getItem', null);
  });

  it('settleItemWebhooks takes an end of the connection that was announced after a repair for the last word', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const at = '2030-01-02T03:04:05.000Z';
    const disconnects = { webhook_type: 'ITEM', webhook_code: 'PENDING_DISCONNECT' };
    await told(itemId, repaired);
    await told(itemId, { ...disconnects, disconnect_time: at });
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    for (let more = true; more;) ({ more } = await world.run.settleItemWebhooks({ itemId }));
    const [row] = await world.sql`SELECT disconnects_at FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ disconnects_at: new Date(at) });
    // One that says no time changes nothing of that; alone it means a week, once, however often it comes.
    await told(itemId, { ...disconnects, disconnect_time: null });
    await world.run.settleItemWebhooks({ itemId });
    const announced = async (id: string) =>
      world.sql<{ at: string }[]>`
        SELECT data->>'expires_at' AS at FROM events WHERE item_id = ${id} AND type = 'item.consent_expiring'`;
    expect(await announced(itemId)).toEqual([{ at }]);
    const other = await world.linkedItem();
    for (const time of [1, 2]) {
      await told(other.itemId, { ...disconnects, reason: 'INSTITUTION_MIGRATION', time });
      await world.run.settleItemWebhooks({ itemId: other.itemId });
    }
    const [guess, ...rest] = await announced(other.itemId);
    expect(rest).toEqual([]);
    const inDays = (Date.parse(guess?.at ?? '') - Date.now()) / 86_400_000;
    expect(inDays > 6 && inDays <= 7).toBe(true);
  });

  it('sendSegmentEvents leaves an outage to a later try, and loses nothing', async () => {
    const item = await world.linkedItem();
    await world.stores.items.setBroken(
      item.itemId,
      await seenOf(item),
      loginRequired,
      '2026-11-22T00:00:00Z',
    );
    const segment = { track: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'away')) };
    await expect(world.runWith({ segment }).sendSegmentEvents({ itemId: item.itemId })).rejects.toMatchObject(
      {
        type: 'UPSTREAM_DOWN',
      },
    );
    expect(await rowOf(item.itemId)).toMatchObject({ segment: true });
    world.tracked.length = 0;
    expect(await world.run.sendSegmentEvents({ itemId: item.itemId })).toEqual({ done: true });
    expect(world.tracked).toHaveLength(1);
    // Without Segment nobody waits for it.
    const other = await world.linkedItem();
    await world.stores.items.setBroken(
      other.itemId,
      await seenOf(other),
      loginRequired,
      '2026-11-22T00:00:00Z',
    );
    expect(await world.runWith({ segment: null }).sendSegmentEvents({ itemId: other.itemId })).toEqual({
      done: true,
    });
    expect(await rowOf(other.itemId)).toMatchObject({ segment: false });
  });
});
