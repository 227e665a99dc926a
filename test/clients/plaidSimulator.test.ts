import { createPlaid } from '../../src/clients/plaid.js';
import type { Plaid } from '../../src/clients/plaid.js';
import { createWebhookVerifier } from '../../src/clients/plaidWebhook.js';
import type { PlaidSyncPage } from '../../domain/plaid.js';
import type { WebhookVerifier } from '../../domain/ports/webhookKeys.js';
import { startSimulator } from './simulatorProcess.js';
import { caught } from './caught.js';
import type { LoopbackServer } from '../../tools/faults/loopbackServer.js';
import { startLoopbackServer } from '../../tools/faults/loopbackServer.js';
import { memoryWebhookKeys } from './memoryWebhookKeys.js';

interface Delivery {
  header: string | undefined;
  body: Buffer;
}

let simulator: Awaited<ReturnType<typeof startSimulator>>;
let plaid: Plaid;
let receiver: LoopbackServer;
let verifier: WebhookVerifier;
let deliveries: Delivery[];
/** Called with each delivery as it comes in. */
let arrived: () => void;

/** A POST to the simulator itself: its controls, or a sandbox endpoint that the adapter has no use for. */
async function post<T>(path: string, body: Record<string, unknown> = {}): Promise<T> {
  const response = await fetch(`${simulator.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'plaid-client-id': 'c', 'plaid-secret': 's' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

const publicToken = async (): Promise<string> => {
  const made = await post<{ public_token: string }>('/sandbox/public_token/create', {
    institution_id: 'ins_109508',
    initial_products: ['transactions'],
    options: { webhook: `${receiver.url}/webhooks/plaid` },
  });
  return made.public_token;
};

async function nextDelivery(): Promise<Delivery> {
  while (deliveries.length === 0) {
    await new Promise<void>((resolve) => {
      arrived = resolve;
    });
  }
  return deliveries.shift() as Delivery;
}

async function allPages(accessToken: string): Promise<PlaidSyncPage[]> {
  const pages: PlaidSyncPage[] = [];
  for (let cursor = ''; ;) {
    const page = await plaid.syncTransactions(accessToken, cursor);
    pages.push(page);
    if (!page.has_more) return pages;
    cursor = page.next_cursor;
  }
}

beforeAll(async () => {
  simulator = await startSimulator(1_200);
});
afterAll(() => simulator?.close());

beforeEach(async () => {
  await post('/_sim/reset');
  deliveries = [];
  arrived = () => undefined;
  receiver = await startLoopbackServer((request, body, response) => {
    const header = request.headers['plaid-verification'];
    deliveries.push({ header: typeof header === 'string' ? header : undefined, body });
    response.end('{}');
    arrived();
  });
  plaid = createPlaid({
    baseUrl: simulator.url,
    clientId: 'client',
    secret: 'secret',
    clientName: 'Example',
    products: ['transactions'],
    countryCodes: ['US'],
    webhookUrl: `${receiver.url}/webhooks/plaid`,
  });
  verifier = createWebhookVerifier({
    getKey: (kid) => plaid.getWebhookKey(kid),
    store: memoryWebhookKeys(Date.now),
    knownSenders: [],
    onFailure: () => undefined,
  });
});

afterEach(async () => {
  plaid.close();
  await receiver.close();
});

describe('against the simulator, when things go wrong', () => {
  it('a public token that is none', async () => {
    const failure = await caught(plaid.exchangePublicToken('public-sandbox-nonsense'));
    expect(failure).toMatchObject({ type: 'INVALID_PUBLIC_TOKEN', outcomeUnknown: false });
  });

  it('the answer to an exchange is lost', async () => {
    const token = await publicToken();
    await post('/_sim/faults', {
      match: { path: '/item/public_token/exchange' },
      fault: { reset: 'after' },
    });
    expect(await caught(plaid.exchangePublicToken(token))).toMatchObject({
      type: 'UPSTREAM_DOWN',
      outcomeUnknown: true,
    });
  });

  it.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{ error_code: 'ITEM_LOGIN_REQUIRED' }, { type: 'LOGIN_REQUIRED' }],
    [{ error_code: 'INSTITUTION_DOWN' }, { type: 'INSTITUTION_DOWN' }],
    [{ error_code: 'PLANNED_MAINTENANCE' }, { type: 'MAINTENANCE', outcomeUnknown: false }],
    [{ error_code: 'INTERNAL_SERVER_ERROR' }, { type: 'UPSTREAM_DOWN', outcomeUnknown: true }],
    [{ status: 502 }, { type: 'UPSTREAM_DOWN', outcomeUnknown: true }],
    [{ truncate: 40 }, { type: 'UPSTREAM_DOWN', outcomeUnknown: true }],
    [{ reset: 'before' }, { type: 'UPSTREAM_DOWN', outcomeUnknown: true }],
  ])('a page that fails with %j', async (fault, expected) => {
    const { accessToken, itemId } = await plaid.exchangePublicToken(await publicToken());
    await post(`/_sim/items/${itemId}/advance`, { to: 'historical' });
    await post('/_sim/faults', { match: { path: '/transactions/sync' }, fault });
    expect(await caught(plaid.syncTransactions(accessToken, ''))).toMatchObject(expected);
    expect((await plaid.syncTransactions(accessToken, '')).added).toHaveLength(500);
  });

  it('data that move between two pages', async () => {
    const { accessToken, itemId } = await plaid.exchangePublicToken(await publicToken());
    await post(`/_sim/items/${itemId}/advance`, { to: 'historical' });
    await post('/_sim/faults', {
      match: { item_id: itemId },
      fault: { mutate_during_pagination: { after_page: 1, add: [{ amount: 1, name: 'late' }] } },
    });
    const first = await plaid.syncTransactions(accessToken, '');
    expect(await caught(plaid.syncTransactions(accessToken, first.next_cursor))).toMatchObject({
      type: 'PAGES_MOVED',
    });
  });

  it('a removed Item is gone, whoever asks after it', async () => {
    const { accessToken } = await plaid.exchangePublicToken(await publicToken());
    await plaid.removeItem(accessToken);
    expect(await caught(plaid.removeItem(accessToken))).toMatchObject({ type: 'ITEM_GONE' });
    expect(await caught(plaid.getItem(accessToken))).toMatchObject({ type: 'ITEM_GONE' });
    expect(await caught(plaid.createLinkToken({ userId: 'u', accessToken }))).toMatchObject({
      type: 'ITEM_GONE',
    });
  });
});

describe('against the simulator', () => {
  it('an Item from link to its whole history', async () => {
    const created = await plaid.createLinkToken({ userId: 'u' });
    expect(created.link_token).toMatch(/^link-/);
    const { accessToken, itemId } = await plaid.exchangePublicToken(await publicToken());
    await expect(plaid.syncTransactions(accessToken, '')).resolves.toMatchObject({
      transactions_update_status: 'NOT_READY',
      next_cursor: '',
      has_more: false,
    });
    await post(`/_sim/items/${itemId}/advance`, { to: 'historical' });
    const pages = await allPages(accessToken);
    expect(pages.at(-1)?.transactions_update_status).toBe('HISTORICAL_UPDATE_COMPLETE');
    const truth = (await (await fetch(`${simulator.url}/_sim/items/${itemId}/truth`)).json()) as {
      transactions: { transaction_id: string; date: string }[];
    };
    const ids = pages.flatMap(({ added }) => added).map(({ transaction_id }) => transaction_id);
    expect(ids.sort()).toEqual(truth.transactions.map(({ transaction_id }) => transaction_id).sort());
    const day = truth.transactions[0]?.date ?? '';
    const listed = await plaid.getTransactions(accessToken, { from: day, to: day, count: 500, offset: 0 });
    expect(listed.total).toBe(truth.transactions.filter(({ date }) => date === day).length);
    expect((await plaid.getAccounts(accessToken)).length).toBeGreaterThan(0);
    const { numbers, isWhole } = await plaid.getNumbers(accessToken);
    expect([numbers.length > 1, isWhole]).toEqual([true, true]);
    const some = numbers[0]?.account_id ?? '';
    const chosen = await plaid.getNumbers(accessToken, [some]);
    expect(chosen.numbers.map(({ account_id }) => account_id)).toEqual([some]);
    await expect(plaid.getItem(accessToken)).resolves.toMatchObject({
      institution_id: 'ins_109508',
      error: null,
    });
    const update = await plaid.createLinkToken({ userId: 'u', accessToken });
    expect(update.link_token).not.toBe(created.link_token);
  });

  it.each([
    ['none', { kind: 'rejected', reason: 'no_header' }],
    ['wrong_key', { kind: 'rejected', reason: 'bad_signature' }],
    ['expired', { kind: 'rejected', reason: 'too_old' }],
    ['expired_key', { kind: 'rejected', reason: 'expired_key' }],
    ['future', { kind: 'rejected', reason: 'from_the_future' }],
    ['body_changed', { kind: 'rejected', reason: 'body_changed' }],
    ['ok', { kind: 'accepted' }],
  ])('a webhook signed %s', async (sign, verdict) => {
    const { itemId } = await plaid.exchangePublicToken(await publicToken());
    await post(`/_sim/items/${itemId}/webhooks`, {
      webhook_type: 'ITEM',
      webhook_code: 'NEW_ACCOUNTS_AVAILABLE',
      sign,
    });
    const { header, body } = await nextDelivery();
    expect(await verifier.verify(header, body, '127.0.0.1')).toEqual(verdict);
  });

  it('a webhook after a rotation of keys', async () => {
    const { itemId } = await plaid.exchangePublicToken(await publicToken());
    const send = async (): Promise<Delivery> => {
      await post(`/_sim/items/${itemId}/webhooks`, { webhook_type: 'ITEM', webhook_code: 'ERROR' });
      return nextDelivery();
    };
    const before = await send();
    expect(await verifier.verify(before.header, before.body, '127.0.0.1')).toEqual({ kind: 'accepted' });
    await post('/_sim/keys/rotate');
    const after = await send();
    expect(await verifier.verify(after.header, after.body, '127.0.0.1')).toEqual({ kind: 'accepted' });
  });
});
