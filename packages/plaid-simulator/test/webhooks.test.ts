import { Products, SandboxItemFireWebhookRequestWebhookCodeEnum as Code, WebhookType } from 'plaid';
import { webhookBody } from '../src/webhooks/body.js';
import { retryAfter, retryDelay } from '../src/webhooks/delivery.js';
import { Receiver, refusalOf, Rig, until, startListening } from './rig.js';

describe('webhooks', () => {
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  let listening: Awaited<ReturnType<typeof startListening>>;
  beforeEach(async () => {
    listening = await startListening();
    ({ rig, receiver, webhook } = listening);
  });
  afterEach(() => listening.close());

  const send = (itemId: string, body: object) =>
    rig.control<{ deliveries: string[] }>('POST', `/_sim/items/${itemId}/webhooks`, body);
  const settled = async (itemId: string) => (await rig.truth(itemId)).webhooks_due === 0;

  it('follow the life of an Item; SYNC_UPDATES_AVAILABLE only after the first sync', async () => {
    const quiet = await rig.link({ webhook });
    await rig.advance('PT2M');
    expect(receiver.codes()).toEqual(['INITIAL_UPDATE', 'HISTORICAL_UPDATE']);
    receiver.received.length = 0;
    const { itemId, accessToken } = await rig.link({ webhook });
    await rig.sync(accessToken);
    await rig.advance('PT2M');
    expect(receiver.received.map(({ body }) => body['item_id'])).toEqual(Array(4).fill(itemId));
    expect(new Set(receiver.codes().slice(0, 2))).toEqual(
      new Set(['INITIAL_UPDATE', 'SYNC_UPDATES_AVAILABLE']),
    );
    expect(new Set(receiver.codes().slice(2))).toEqual(
      new Set(['HISTORICAL_UPDATE', 'SYNC_UPDATES_AVAILABLE']),
    );
    const sync = receiver.received.filter(({ body }) => body['webhook_code'] === 'SYNC_UPDATES_AVAILABLE');
    expect(
      sync.map(({ body }) => [body['initial_update_complete'], body['historical_update_complete']]),
    ).toEqual([
      [true, false],
      [true, true],
    ]);
    const initial = receiver.received.find(({ body }) => body['webhook_code'] === 'INITIAL_UPDATE')?.body;
    const historical = receiver.received.find(
      ({ body }) => body['webhook_code'] === 'HISTORICAL_UPDATE',
    )?.body;
    expect(Number(initial?.['new_transactions']) + Number(historical?.['new_transactions'])).toBe(60);
    const { data } = await rig.api.itemGet({ access_token: accessToken });
    expect(data.status?.last_webhook?.code_sent).toBe('SYNC_UPDATES_AVAILABLE');
    expect((await rig.truth(quiet.itemId)).webhooks_due).toBe(0);
  });

  it('are signed, in Plaid’s byte form', async () => {
    const { itemId } = await rig.link({ webhook });
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'ERROR' });
    await until(() => settled(itemId));
    const [received] = receiver.received;
    if (!received) throw new Error('nothing was received');
    await rig.verify(received);
    const text = received.raw.toString();
    expect(text).toBe(JSON.stringify(received.body, null, 2));
    expect(Object.keys(received.body)).toEqual(Object.keys(received.body).sort());
    expect(text.split('\n')[1]).toBe('  "environment": "sandbox",');
    expect(received.body).toMatchObject({
      webhook_type: 'ITEM',
      webhook_code: 'ERROR',
      item_id: itemId,
      error: { error_code: 'ITEM_LOGIN_REQUIRED', status: 400 },
    });
    expect(webhookBody({ b: [{ d: 1, c: null }], a: undefined })).toBe(
      '{\n  "b": [\n    {\n      "c": null,\n      "d": 1\n    }\n  ]\n}',
    );
  });

  it('can be signed badly in every way, and a careful receiver refuses each', async () => {
    const { itemId } = await rig.link({ webhook });
    const bad = {
      wrong_key: /signature verification failed/,
      unknown_kid: /status code 400/,
      expired: /"iat" claim timestamp check failed/,
      expired_key: /key expired/,
      future: /"iat" claim timestamp check failed/,
      none: /not signed/,
      alg_none: /alg none/,
      hs256: /alg HS256/,
      body_changed: /body hash/,
      reindented: /body hash/,
    };
    for (const [sign, refusal] of Object.entries(bad)) {
      receiver.received.length = 0;
      await send(itemId, { webhook_type: 'TRANSACTIONS', webhook_code: 'DEFAULT_UPDATE', sign });
      await until(() => receiver.received.length === 1);
      const [received] = receiver.received;
      if (!received) throw new Error('nothing was received');
      await expect(rig.verify(received)).rejects.toThrow(refusal);
    }
  });

  it('rotate their key: the old one is told as expired, new deliveries use the new one', async () => {
    const { itemId } = await rig.link({ webhook });
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    await until(() => receiver.received.length === 1);
    const { key } = await rig.control<{ key: { kid: string } }>('POST', '/_sim/keys/rotate');
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    await until(() => receiver.received.length === 2);
    const [old, fresh] = receiver.received;
    if (!old || !fresh) throw new Error('nothing was received');
    await rig.verify(fresh);
    await expect(rig.verify(old)).rejects.toThrow('key expired');
    const { data } = await rig.api.webhookVerificationKeyGet({ key_id: key.kid });
    expect(data.key).toMatchObject({ alg: 'ES256', crv: 'P-256', kty: 'EC', use: 'sig', expired_at: null });
  });

  it('are tried seven times over 30 s, 2 m, 8 m, 32 m, 2 h 8 m, 8 h 32 m, and signed anew each time', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    receiver.answers.push(...[500, 202, 204, 301, 404, 503, 500].map((status) => ({ status })));
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    await rig.advance('P2D');
    const [delivery] = await rig.deliveries(itemId);
    const times = delivery?.attempts.map(({ at }) => Date.parse(at)) ?? [];
    expect(times.slice(1).map((time, i) => (time - (times[i] ?? 0)) / 1000)).toEqual([
      30, 120, 480, 1920, 7680, 30720,
    ]);
    expect(delivery?.state).toBe('failed');
    expect(delivery?.attempts.map(({ status }) => status)).toEqual([500, 202, 204, 301, 404, 503, 500]);
    for (const received of receiver.received) await rig.verify(received);
    expect(new Set(receiver.received.map(({ headers }) => headers['plaid-verification'])).size).toBe(7);
  });

  it('stop being tried at the first 200, and wait as Retry-After says', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    receiver.answers.push({ status: 429, headers: { 'retry-after': '1000' } }, { status: 500 });
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    await rig.advance('PT999S');
    expect(receiver.received).toHaveLength(1);
    expect((await rig.truth(itemId)).webhooks_due).toBe(1);
    await rig.advance('P1D');
    expect(receiver.received).toHaveLength(3);
    expect((await rig.deliveries(itemId))[0]?.state).toBe('delivered');
    expect(retryAfter('86400', 0)).toBe(86_400_000);
    expect(retryDelay(1, 86_400_000)).toBe(4 * 3_600_000);
    expect(retryAfter('Thu, 01 Jan 1970 00:01:00 GMT', 0)).toBe(60_000);
    expect(retryAfter('1970-01-01T00:02:00Z', 0)).toBe(120_000);
    expect(retryAfter('soon', 0)).toBeNull();
    expect(retryDelay(7, null)).toBeNull();
  });

  it('survive a receiver that is not there', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    await receiver.stop();
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    await rig.advance('P1D');
    const [delivery] = await rig.deliveries(itemId);
    expect(delivery?.attempts.map(({ status }) => status)).toEqual(Array(7).fill(null));
    expect(delivery?.state).toBe('failed');
  });

  it('can be doubled, delayed, dropped and overtaken', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    const repaired = { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' };
    expect((await send(itemId, { ...repaired, duplicate: 3 })).deliveries).toHaveLength(3);
    await until(() => receiver.received.length === 3);
    receiver.received.length = 0;
    await send(itemId, { ...repaired, drop: true });
    await send(itemId, { ...repaired, delay_ms: 5000 });
    await rig.advance('PT4S');
    expect(receiver.received).toHaveLength(0);
    await rig.advance('PT1S');
    expect(receiver.received).toHaveLength(1);
    receiver.received.length = 0;
    await send(itemId, { ...repaired, reorder: true });
    await send(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    await rig.advance('PT1S');
    expect(receiver.codes()).toEqual(['NEW_ACCOUNTS_AVAILABLE', 'LOGIN_REPAIRED']);
    receiver.received.length = 0;
    await send(itemId, { ...repaired, reorder: true });
    await rig.advance('PT10S');
    expect(receiver.codes()).toEqual(['LOGIN_REPAIRED']);
    expect((await rig.deliveries(itemId)).map(({ state }) => state)).toContain('dropped');
  });

  it('say what an update brought, at a notification, and stay silent when asked to', async () => {
    const { itemId, accessToken } = await rig.link({ webhook });
    await rig.advance('PT2M');
    const { added } = await rig.run(accessToken);
    receiver.received.length = 0;
    const made = await rig.change(itemId, { add: [{ amount: 1, name: 'Silent' }] });
    await rig.advance('PT1M');
    expect(receiver.received).toHaveLength(0);
    expect((await rig.run(accessToken)).added).toHaveLength(61);
    const first = added[0]?.transaction_id;
    await rig.change(itemId, { add: [{ amount: 2, name: 'Told' }], remove: [first], notify: true });
    await until(() => settled(itemId));
    expect(receiver.codes().sort()).toEqual([
      'DEFAULT_UPDATE',
      'SYNC_UPDATES_AVAILABLE',
      'TRANSACTIONS_REMOVED',
    ]);
    const removed = receiver.received.find(({ body }) => body['webhook_code'] === 'TRANSACTIONS_REMOVED');
    expect(removed?.body['removed_transactions']).toEqual([first]);
    // The silent one is announced with the next: Plaid tells what is new since it last told.
    const update = receiver.received.find(({ body }) => body['webhook_code'] === 'DEFAULT_UPDATE');
    expect(update?.body['new_transactions']).toBe(2);
    receiver.received.length = 0;
    await rig.change(itemId, {
      modify: [{ transaction_id: made.added[0], amount: 7 }],
      notify: true,
    });
    await until(() => settled(itemId));
    expect(receiver.codes()).toEqual(['SYNC_UPDATES_AVAILABLE']);
  });

  it('come after a timeout of 24 to 48 hours when nothing else made Plaid look', async () => {
    const { itemId, accessToken } = await rig.link({ webhook });
    await rig.advance('PT2M');
    await rig.run(accessToken);
    const updated = async () => {
      const { data } = await rig.api.itemGet({ access_token: accessToken });
      return Date.parse(data.status?.transactions?.last_successful_update ?? '');
    };
    const first = await updated();
    await rig.advance('PT23H');
    expect(await updated()).toBe(first);
    await rig.change(itemId, { add: [{ amount: 1, name: 'Unannounced' }] });
    receiver.received.length = 0;
    await rig.advance('PT25H');
    expect((await updated()) - first).toBeGreaterThanOrEqual(24 * 3_600_000);
    expect((await updated()) - first).toBeLessThanOrEqual(48 * 3_600_000);
    expect(receiver.codes().sort()).toEqual(['DEFAULT_UPDATE', 'SYNC_UPDATES_AVAILABLE']);
    const second = await updated();
    receiver.received.length = 0;
    await rig.advance('P2D');
    expect(await updated()).toBeGreaterThan(second);
    expect(receiver.received).toHaveLength(0);
  });

  it('come for what Plaid Exchange’s own notification announces', async () => {
    const { itemId, accessToken } = await rig.link({ webhook });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    await rig.change(itemId, { add: [{ amount: 1, name: 'New at the bank' }] });
    const notify = (headers: Record<string, string>, body: object) =>
      fetch(`${rig.url}/items/transactions/notify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }).then(({ status }) => status);
    const credentials = { 'plaid-client-id': 'bank', 'plaid-secret': 'secret' };
    const body = { notifications: [{ access_token: accessToken, account_id: 'a' }], new_since: '2026-01-01' };
    expect(await notify({}, body)).toBe(401);
    expect(await notify(credentials, {})).toBe(400);
    expect(await notify(credentials, body)).toBe(200);
    await until(() => receiver.received.length === 1);
    expect(receiver.codes()).toEqual(['DEFAULT_UPDATE']);
  });

  it('tell of a broken login, and of its repair only when it happened elsewhere', async () => {
    const { itemId, accessToken } = await rig.link({ webhook });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    await rig.api.sandboxItemResetLogin({ access_token: accessToken });
    await rig.change(itemId, { add: [{ amount: 1, name: 'Missed' }], notify: true });
    await rig.change(itemId, { add: [{ amount: 1, name: 'Missed and never announced' }] });
    await until(() => settled(itemId));
    expect(receiver.codes()).toEqual(['ERROR']);
    expect((await rig.truth(itemId)).transactions).toHaveLength(60);
    receiver.received.length = 0;
    await rig.control('POST', `/_sim/items/${itemId}/repair`, { webhook: true });
    await until(() => settled(itemId));
    expect(receiver.codes().sort()).toEqual(['DEFAULT_UPDATE', 'LOGIN_REPAIRED']);
    expect((await rig.truth(itemId)).transactions).toHaveLength(62);
    await rig.api.sandboxItemResetLogin({ access_token: accessToken });
    await until(() => settled(itemId));
    receiver.received.length = 0;
    await rig.control('POST', `/_sim/items/${itemId}/repair`);
    await rig.advance('PT1M');
    expect(receiver.received).toHaveLength(0);
  });

  it('go to the new URL after an update of it', async () => {
    const { accessToken } = await rig.link();
    const other = new Receiver();
    const url = await other.start();
    const { data } = await rig.api.itemWebhookUpdate({ access_token: accessToken, webhook: url });
    expect(data.item.webhook).toBe(url);
    await until(() => other.received.length === 1);
    expect(other.received[0]?.body).toMatchObject({
      webhook_code: 'WEBHOOK_UPDATE_ACKNOWLEDGED',
      new_webhook_url: url,
    });
    await other.stop();
  });

  it('can be fired as in Plaid’s sandbox, and only those', async () => {
    const { accessToken } = await rig.link({ webhook });
    const fire = (webhook_code: Code, webhook_type?: WebhookType) =>
      rig.api.sandboxItemFireWebhook({
        access_token: accessToken,
        webhook_code,
        ...(webhook_type ? { webhook_type } : {}),
      });
    expect((await fire(Code.DefaultUpdate)).data.webhook_fired).toBe(true);
    expect((await fire(Code.LoginRepaired, WebhookType.Item)).data.webhook_fired).toBe(true);
    await until(() => receiver.received.length === 2);
    expect(receiver.codes().sort()).toEqual(['DEFAULT_UPDATE', 'LOGIN_REPAIRED']);
    expect(await refusalOf(fire('HISTORICAL_UPDATE' as Code))).toMatchObject({ error_code: 'INVALID_FIELD' });
    expect(await refusalOf(fire(Code.DefaultUpdate, WebhookType.Auth))).toMatchObject({
      error_type: 'SANDBOX_ERROR',
      error_code: 'SANDBOX_PRODUCT_NOT_ENABLED',
    });
    const { accessToken: deaf } = await rig.link();
    expect(
      await refusalOf(
        rig.api.sandboxItemFireWebhook({ access_token: deaf, webhook_code: Code.LoginRepaired }),
      ),
    ).toMatchObject({ error_code: 'SANDBOX_WEBHOOK_INVALID' });
  });
});

describe('a webhook target', () => {
  it('takes the place of the registered origin and keeps the path', async () => {
    const receiver = new Receiver();
    const url = new URL(await receiver.start());
    const rig = await Rig.start({ webhookTarget: url.origin });
    try {
      await rig.link({ webhook: 'https://app.example.com/hooks/plaid?x=1' });
      await rig.advance('PT1M');
      expect(receiver.codes()).toEqual(['INITIAL_UPDATE', 'HISTORICAL_UPDATE']);
    } finally {
      await rig.close();
      await receiver.stop();
    }
  });
});
