import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Products, type WebhookEvent } from 'plaid';
import { LEAST_JUDGED, Rejections } from '../src/webhooks/rejections.js';
import { clientFor, Receiver, refusalOf, Rig, until, startListening } from './rig.js';

interface Sent {
  id: string;
  state: string;
  gave_up: string | null;
  next_attempt_at: string | null;
  attempts: { at: string; status: number | null }[];
}

describe('what a receiver has rejected', () => {
  const day = 86_400_000;
  const noted = (rejections: Rejections, from: number, to: number, accepted: boolean, at = 0) => {
    for (let n = from; n < to; n += 1) rejections.note('r', `wh_${n}`, at, accepted);
  };

  it('counts by webhook, of the last day, from enough of them on, for each receiver apart', () => {
    const rejections = new Rejections();
    expect(rejections.tooMany('r', 0)).toBe(false);
    noted(rejections, 0, LEAST_JUDGED - 1, false);
    // Seven attempts of one webhook are one webhook.
    for (let n = 0; n < 7; n += 1) rejections.note('r', 'wh_0', 0, false);
    expect(rejections.tooMany('r', 0)).toBe(false);
    noted(rejections, LEAST_JUDGED - 1, LEAST_JUDGED, false);
    expect(rejections.tooMany('r', 0)).toBe(true);
    expect(rejections.tooMany('other', 0)).toBe(false);
    // 90 % is not more than 90 %.
    noted(rejections, 0, LEAST_JUDGED / 10, true);
    expect(rejections.tooMany('r', 0)).toBe(false);
    rejections.note('r', 'wh_0', 0, false);
    expect(rejections.tooMany('r', 0)).toBe(true);
    expect(rejections.tooMany('r', day - 1)).toBe(true);
    expect(rejections.tooMany('r', day)).toBe(false);
    noted(rejections, 1000, 1000 + LEAST_JUDGED, false, day);
    expect(rejections.tooMany('r', day)).toBe(true);
    rejections.clear();
    expect(rejections.tooMany('r', day)).toBe(false);
  });
});

describe('deliveries', () => {
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  let folder: string;
  let state: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    state = join(folder, 'world.jsonl');
    rig = await Rig.start({ state });
    receiver = new Receiver();
    webhook = await receiver.start();
  });
  afterEach(async () => {
    await rig.close();
    await receiver.stop();
    rmSync(folder, { recursive: true });
  });

  const repaired = { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' };
  const send = (itemId: string, body: object) =>
    rig.control<{ deliveries: string[] }>('POST', `/_sim/items/${itemId}/webhooks`, body);
  const deliveries = async (itemId: string) =>
    (await rig.control<{ deliveries: Sent[] }>('GET', `/_sim/webhooks?item_id=${itemId}`)).deliveries;
  const attempted = async (itemId: string, count: number) => {
    await until(async () => {
      const all = await deliveries(itemId);
      return all.length >= count && all.every(({ attempts }) => attempts.length > 0);
    });
  };
  const answering = (status: number, count: number) => {
    receiver.answers.push(...Array.from({ length: count }, () => ({ status })));
  };

  it('that are wrongly signed say nothing of their receiver, also after a restart', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    answering(400, LEAST_JUDGED);
    await send(itemId, { ...repaired, duplicate: LEAST_JUDGED, sign: 'wrong_key' });
    await attempted(itemId, LEAST_JUDGED);
    await rig.close();
    rig = await Rig.start({ state });
    answering(500, 1);
    await send(itemId, repaired);
    await attempted(itemId, LEAST_JUDGED + 1);
    expect((await deliveries(itemId)).at(-1)).toMatchObject({ state: 'pending', gave_up: null });
  });

  it('are not retried for a receiver that rejects more than 90 %, and are again when it does not', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    const other = await rig.link({ webhook: `${webhook}/other`, products: [Products.Auth] });
    answering(500, LEAST_JUDGED);
    await send(itemId, { ...repaired, duplicate: LEAST_JUDGED });
    await attempted(itemId, LEAST_JUDGED);
    const all = await deliveries(itemId);
    // The one that made it too much has no retry planned any more, and what was planned before is not sent either.
    expect(all.filter(({ gave_up }) => gave_up === 'rejections')).toHaveLength(1);
    await rig.advance('PT1M');
    expect(receiver.received).toHaveLength(LEAST_JUDGED);
    expect((await deliveries(itemId)).every(({ gave_up }) => gave_up === 'rejections')).toBe(true);
    // Another URL of the same receiver is judged by itself.
    answering(500, 1);
    await send(other.itemId, repaired);
    await attempted(other.itemId, 1);
    await rig.advance('PT30S');
    expect((await deliveries(other.itemId))[0]?.attempts).toHaveLength(2);
    // The judgement outlives a restart.
    await rig.close();
    rig = await Rig.start({ state });
    answering(503, 1);
    await send(itemId, repaired);
    await attempted(itemId, LEAST_JUDGED + 1);
    expect((await deliveries(itemId)).at(-1)).toMatchObject({ state: 'failed', gave_up: 'rejections' });
    // What is new is sent all the same; a day later all is forgotten.
    await rig.advance('P1D');
    answering(500, 1);
    await send(itemId, repaired);
    await rig.advance('PT30S');
    const last = (await deliveries(itemId)).at(-1);
    expect(last).toMatchObject({ state: 'delivered', gave_up: null, next_attempt_at: null });
    expect(last?.attempts.map(({ status }) => status)).toEqual([500, 200]);
  });

  it.each([
    ['seconds', () => '7200', 7_200],
    ['an HTTP date', () => new Date(Date.now() + 7_200_000).toUTCString(), 7_200],
    ['an ISO time', () => new Date(Date.now() + 7_200_000).toISOString(), 7_200],
    ['more than four hours', () => '86400', 14_400],
    ['nothing that can be read', () => 'soon', 30],
  ])('wait as a 429 says in %s', async (_name, header, seconds) => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    receiver.answers.push({ status: 429, headers: { 'retry-after': header() } });
    await send(itemId, repaired);
    await attempted(itemId, 1);
    const [delivery] = await deliveries(itemId);
    const waits = Date.parse(delivery?.next_attempt_at ?? '') - Date.parse(delivery?.attempts[0]?.at ?? '');
    // A date has whole seconds, and some real time has passed since it was written.
    expect(Math.abs(waits / 1000 - seconds)).toBeLessThan(30);
    expect(delivery?.state).toBe('pending');
  });

  it('wait at no other status than 429, and end a day after the first attempt', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    receiver.answers.push({ status: 503, headers: { 'retry-after': '7200' } });
    await send(itemId, repaired);
    await rig.advance('PT30S');
    expect(receiver.received).toHaveLength(2);
    const hours = { status: 429, headers: { 'retry-after': '14400' } };
    receiver.answers.push({ status: 500 }, ...Array.from({ length: 9 }, () => hours));
    await send(itemId, repaired);
    await rig.advance('P3D');
    const last = (await deliveries(itemId)).at(-1);
    expect(last).toMatchObject({ state: 'failed', gave_up: 'retries' });
    const times = last?.attempts.map(({ at }) => Date.parse(at)) ?? [];
    expect(times).toHaveLength(7);
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThanOrEqual(24 * 3_600_000);
  });

  it('that an old key has signed are signed by the new one when they are tried again', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    answering(500, 1);
    await send(itemId, repaired);
    await attempted(itemId, 1);
    await rig.control('POST', '/_sim/keys/rotate');
    await rig.advance('PT30S');
    const [first, second] = receiver.received;
    if (!first || !second) throw new Error('two attempts were expected');
    expect(second.raw.equals(first.raw)).toBe(true);
    await expect(rig.verify(first)).rejects.toThrow('key expired');
    await rig.verify(second);
  });

  it('are listed for a week, filtered and page by page', async () => {
    const { itemId } = await rig.link({ webhook, products: [Products.Auth] });
    const other = await rig.link({ webhook, products: [Products.Auth] });
    const list = (body: object) => rig.api.betaWebhookEventsList(body).then(({ data }) => data);
    const refused = async (body: object) => (await refusalOf(rig.api.betaWebhookEventsList(body))).error_code;
    const { now } = await rig.control<{ now: string }>('GET', '/_sim/clock');
    expect(await refused({ cursor: 'x' })).toBe('INVALID_FIELD');
    expect(await refused({ count: 101 })).toBe('INVALID_FIELD');
    expect(await refused({ start_time: 'yesterday' })).toBe('INVALID_FIELD');
    expect(await refused({ delivery_statuses: ['LOST'] })).toBe('INVALID_FIELD');
    const empty = await list({});
    expect(empty).toMatchObject({ webhook_events: [], has_more: false });
    expect(await refused({ cursor: empty.next_cursor, start_time: now })).toBe('INVALID_FIELD');

    answering(500, 1);
    await send(itemId, { ...repaired, extra: 1 });
    await attempted(itemId, 1);
    await send(other.itemId, { webhook_type: 'ITEM', webhook_code: 'ERROR', duplicate: 3 });
    await send(other.itemId, { ...repaired, drop: true });
    await until(() => receiver.received.length === 4);
    await until(async () => (await rig.truth(other.itemId)).webhooks_due === 0);
    const seen: WebhookEvent[] = [];
    let cursor = empty.next_cursor;
    for (let more = true; more;) {
      const page = await list({ cursor, count: 2 });
      seen.push(...page.webhook_events);
      cursor = page.next_cursor;
      more = page.has_more;
    }
    expect(seen).toHaveLength(5);
    expect(new Set(seen.map(({ webhook_message_id }) => webhook_message_id)).size).toBe(5);
    expect(seen[0]).toEqual({
      webhook_message_id: expect.any(String) as unknown,
      webhook_type: 'ITEM',
      webhook_code: 'LOGIN_REPAIRED',
      item_id: itemId,
      sent_time: now,
      payload: receiver.received[0]?.body,
      destination_url: webhook,
      delivery_status: 'PENDING',
      last_http_status_code: 500,
      attempt_count: 1,
      last_attempt_time: now,
    });
    // What was lost on the way is found here.
    expect(seen[4]).toMatchObject({ delivery_status: 'FAILED', attempt_count: 0, last_attempt_time: null });
    expect((await list({ cursor })).webhook_events).toEqual([]);
    const ids = async (body: object) => (await list(body)).webhook_events.map((event) => event.item_id);
    expect(await ids({ webhook_codes: ['ERROR'] })).toEqual(Array(3).fill(other.itemId));
    expect(await ids({ webhook_codes: ['ERROR', 'LOGIN_REPAIRED'], item_ids: [itemId] })).toEqual([itemId]);
    expect(await ids({ webhook_types: ['AUTH'] })).toEqual([]);
    expect(await ids({ delivery_statuses: ['DELIVERED'] })).toEqual(Array(3).fill(other.itemId));
    expect(await ids({ start_time: now })).toHaveLength(5);

    await rig.advance('P4D');
    expect((await list({ start_time: now })).webhook_events[0]).toMatchObject({
      delivery_status: 'DELIVERED',
      attempt_count: 2,
    });
    await rig.advance('P4D');
    expect((await list({})).webhook_events).toEqual([]);
    expect(await refused({ start_time: now })).toBe('WEBHOOK_EVENTS_START_TIME_OUT_OF_RANGE');
    expect(await refused({ cursor })).toBe('WEBHOOK_EVENTS_CURSOR_EXPIRED');
  });

  it('are listed for the client that they went to', async () => {
    const bound = await Rig.start({ clients: { one: '1', two: '2' } });
    try {
      const one = clientFor(bound.url, 'one', '1');
      const created = await one.sandboxPublicTokenCreate({
        institution_id: 'ins_109508',
        initial_products: [Products.Auth],
        options: { webhook },
      });
      const { data } = await one.itemPublicTokenExchange({ public_token: created.data.public_token });
      await bound.control('POST', `/_sim/items/${data.item_id}/webhooks`, repaired);
      expect((await one.betaWebhookEventsList({})).data.webhook_events).toHaveLength(1);
      const two = clientFor(bound.url, 'two', '2');
      expect((await two.betaWebhookEventsList({})).data.webhook_events).toEqual([]);
    } finally {
      await bound.close();
    }
  });
});

describe('the codes that Plaid’s sandbox can fire', () => {
  const anyId: unknown = expect.any(String);
  const fireable: [type: string, code: string, fields: Record<string, unknown>][] = [
    ['TRANSACTIONS', 'DEFAULT_UPDATE', { error: null, new_transactions: 0 }],
    [
      'TRANSACTIONS',
      'SYNC_UPDATES_AVAILABLE',
      { initial_update_complete: false, historical_update_complete: false },
    ],
    ['TRANSACTIONS', 'RECURRING_TRANSACTIONS_UPDATE', { account_ids: expect.any(Array) as unknown }],
    ['ITEM', 'NEW_ACCOUNTS_AVAILABLE', { error: null }],
    ['ITEM', 'LOGIN_REPAIRED', {}],
    ['ITEM', 'PENDING_DISCONNECT', { reason: 'INSTITUTION_TOKEN_EXPIRATION', disconnect_time: anyId }],
    ['ITEM', 'USER_PERMISSION_REVOKED', { error: expect.any(Object) as unknown }],
    ['ITEM', 'USER_ACCOUNT_REVOKED', { account_id: anyId }],
    ['ITEM', 'AUTHORIZATION_GRANTED', {}],
    [
      'AUTH',
      'DEFAULT_UPDATE',
      {
        error: null,
        account_ids_with_new_auth: [],
        account_ids_with_updated_auth: expect.any(Object) as unknown,
      },
    ],
    ['AUTH', 'SMS_MICRODEPOSITS_VERIFICATION', { account_id: anyId, status: 'MANUALLY_VERIFIED' }],
    [
      'LIABILITIES',
      'DEFAULT_UPDATE',
      { error: null, account_ids_with_new_liabilities: [], account_ids_with_updated_liabilities: {} },
    ],
    ['ASSETS', 'PRODUCT_READY', { asset_report_id: anyId, report_type: 'FULL' }],
    ['ASSETS', 'ERROR', { asset_report_id: anyId, error: expect.any(Object) as unknown }],
  ];
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  let listening: Awaited<ReturnType<typeof startListening>>;
  beforeAll(async () => {
    listening = await startListening();
    ({ rig, receiver, webhook } = listening);
  });
  afterAll(() => listening.close());

  it.each(fireable)('%s %s', async (webhook_type, webhook_code, fields) => {
    const { itemId, accessToken } = await rig.link({
      webhook,
      products: [Products.Transactions, Products.Auth, Products.Liabilities, Products.Assets],
    });
    receiver.received.length = 0;
    const fired = { access_token: accessToken, webhook_type, webhook_code };
    expect((await rig.api.sandboxItemFireWebhook(fired as never)).data.webhook_fired).toBe(true);
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.body).toEqual({
      environment: 'sandbox',
      webhook_type,
      webhook_code,
      ...(webhook_type === 'ASSETS' ? {} : { item_id: itemId }),
      ...fields,
    });
    // Only the products that the Item has.
    const { accessToken: bare } = await rig.link({ webhook, products: [Products.Identity] });
    const refusal = rig.api.sandboxItemFireWebhook({ ...fired, access_token: bare } as never);
    if (webhook_type !== 'ITEM') {
      expect((await refusalOf(refusal)).error_code).toBe('SANDBOX_PRODUCT_NOT_ENABLED');
    } else await refusal;
  });

  it.each(['HOLDINGS', 'INVESTMENTS_TRANSACTIONS'])('%s needs investments', async (webhook_type) => {
    const { accessToken } = await rig.link({ webhook });
    const fired = { access_token: accessToken, webhook_type, webhook_code: 'DEFAULT_UPDATE' };
    expect((await refusalOf(rig.api.sandboxItemFireWebhook(fired as never))).error_code).toBe(
      'SANDBOX_PRODUCT_NOT_ENABLED',
    );
  });
});
