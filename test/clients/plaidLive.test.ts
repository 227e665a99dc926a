import { inspect } from 'node:util';
import type { Plaid } from '../../src/clients/plaid.js';
import { createPlaid } from '../../src/clients/plaid.js';
import { startSimulator } from './simulatorProcess.js';
import { caught } from './caught.js';

let simulator: Awaited<ReturnType<typeof startSimulator>>;
let plaid: Plaid;
const opened: Plaid[] = [];
let itemId: string;
let token: string;

async function sim<T>(path: string, body?: Record<string, unknown>): Promise<T> {
  const response = await fetch(`${simulator.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json', 'plaid-client-id': 'c', 'plaid-secret': 's' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function linked(institution_id: string): Promise<{ accessToken: string; itemId: string }> {
  const made = await sim<{ public_token: string }>('/sandbox/public_token/create', {
    institution_id,
    initial_products: ['transactions'],
  });
  return plaid.exchangePublicToken(made.public_token);
}

const fault = (path: string, what: Record<string, unknown>) =>
  sim('/_sim/faults', { match: { path }, fault: what });

const calls = async (): Promise<string[]> => {
  const { calls } = await sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
  return calls
    .flatMap(({ path, count }) => (path.startsWith('/accounts/') ? [`${path} ${count}`] : []))
    .sort();
};

beforeAll(async () => {
  simulator = await startSimulator(300);
});
afterAll(() => simulator?.close());

beforeEach(async () => {
  await sim('/_sim/reset', {});
  plaid = plaidWith({});
  ({ accessToken: token, itemId } = await linked('ins_109508'));
});

afterEach(() => {
  for (const client of opened.splice(0)) client.close();
});

/** Patient, so that a busy machine changes no outcome; tests of impatience say so. */
function plaidWith(impatience: { timeoutMs?: number; slowTimeoutMs?: number }): Plaid {
  const made = createPlaid({
    baseUrl: simulator.url,
    clientId: 'client',
    secret: 'canary-secret',
    clientName: 'Example',
    products: ['transactions'],
    countryCodes: ['US'],
    webhookUrl: null,
    timeoutMs: 60_000,
    slowTimeoutMs: 60_000,
    ...impatience,
  });
  opened.push(made);
  return made;
}

describe('live balances', () => {
  it('are asked for where the bank wants to hear their age', async () => {
    const capitalOne = await linked('ins_128026');
    const { accounts, request_id } = await plaid.live.balances(capitalOne.accessToken);
    expect(accounts.some(({ type }) => type !== 'depository')).toBe(true);
    expect(request_id).toMatch(/^\w+$/);
  });

  it('are the cached ones when the bank has none that are recent', async () => {
    await fault('/accounts/balance/get', { error_code: 'LAST_UPDATED_DATETIME_OUT_OF_RANGE' });
    const { accounts } = await plaid.live.balances(token);
    expect(accounts.length).toBeGreaterThan(0);
    expect(await calls()).toEqual(['/accounts/balance/get 1', '/accounts/get 1']);
    await fault('/accounts/balance/get', { error_code: 'INVALID_FIELD' });
    expect(await caught(plaid.live.balances(token))).toMatchObject({ type: 'BAD_REQUEST' });
  });

  it('may take longer than what Plaid has cached, and a time-out is told as one', async () => {
    await fault('/accounts/balance/get', { latency_ms: 500 });
    const { accounts } = await plaidWith({ timeoutMs: 300 }).live.balances(token);
    expect(accounts.length).toBeGreaterThan(0);
    for (const path of ['/accounts/balance/get', '/accounts/get']) await fault(path, { latency_ms: 2_000 });
    const hasty = plaidWith({ timeoutMs: 300, slowTimeoutMs: 300 });
    for (const late of [hasty.live.balances(token), hasty.live.accounts(token)]) {
      const failure = await caught(late);
      expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', timedOut: true });
      expect(inspect(failure, { depth: 9 })).not.toContain(token);
    }
    await fault('/accounts/get', { reset: 'before' });
    expect(await caught(plaid.live.accounts(token))).toMatchObject({
      type: 'UPSTREAM_DOWN',
      timedOut: false,
    });
  });
});

describe('live accounts and transactions', () => {
  it("are Plaid's own objects, by range, account and offset", async () => {
    await sim(`/_sim/items/${itemId}/advance`, { to: 'historical' });
    const truth = await sim<{
      accounts: { closed: boolean; account_id: string }[];
      transactions: { transaction_id: string; account_id: string; date: string }[];
    }>(`/_sim/items/${itemId}/truth`);
    const { accounts } = await plaid.live.accounts(token);
    expect(accounts).toEqual(
      truth.accounts.map(({ closed, ...atPlaid }) => {
        expect(closed).toBe(false);
        return atPlaid;
      }),
    );

    const dates = truth.transactions.map(({ date }) => date).sort();
    const [from, to] = [dates[80] as string, dates[220] as string];
    const accountId = truth.accounts[0]?.account_id as string;
    const byId = new Map(truth.transactions.map((row) => [row.transaction_id, row]));
    for (const account of [undefined, accountId]) {
      const expected = truth.transactions.filter(
        (row) => row.date >= from && row.date <= to && (account === undefined || row.account_id === account),
      );
      const found: string[] = [];
      for (let offset = 0; ; offset += 40) {
        const page = await plaid.live.transactions(token, {
          from,
          to,
          accountIds: account === undefined ? undefined : [account],
          count: 40,
          offset,
        });
        expect(page.total_transactions).toBe(expected.length);
        for (const row of page.transactions) {
          expect(row).toEqual(byId.get(row.transaction_id));
          expect(typeof row.original_description).toBe('string');
          found.push(row.transaction_id);
        }
        if (page.transactions.length < 40) break;
      }
      expect(found.sort()).toEqual(expected.map((row) => row.transaction_id).sort());
    }
  });

  it('are not ready before the first pull', async () => {
    const late = plaid.live.transactions(token, {
      from: '2026-01-01',
      to: '2026-11-21',
      count: 1,
      offset: 0,
    });
    expect(await caught(late)).toMatchObject({ type: 'NOT_READY' });
  });
});

describe('a live institution', () => {
  it('comes with its logo and its connection status', async () => {
    const { institution } = await plaid.live.institution('ins_132361');
    expect(institution).toMatchObject({ institution_id: 'ins_132361', logo: expect.any(String) });
    expect(JSON.stringify(institution.status)).toContain('DOWN');
  });

  it('that Plaid does not have is told as that', async () => {
    for (const id of ['ins_0', 'ins_43']) {
      expect(await caught(plaid.live.institution(id))).toMatchObject({ type: 'UNKNOWN_INSTITUTION' });
    }
  });
});
