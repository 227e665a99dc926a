import { readFileSync } from 'node:fs';
import type http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { PlaidOptions } from '../../src/clients/plaid.js';
import { createPlaid } from '../../src/clients/plaid.js';
import { caught } from './caught.js';
import type { LoopbackServer } from '../../tools/faults/loopbackServer.js';
import { startLoopbackServer } from '../../tools/faults/loopbackServer.js';

interface Call {
  path: string;
  headers: http.IncomingHttpHeaders;
  body: Record<string, unknown>;
}
type Answer = (response: http.ServerResponse) => void;

const canarySecret = 'canary-secret-91c4f0';
const canaryToken = 'access-sandbox-canary-77ab';
const canaryPublicToken = 'public-sandbox-canary-55de';

let server: LoopbackServer;
let calls: Call[];
let answer: Answer;
const opened: { close(): void }[] = [];

beforeEach(async () => {
  calls = [];
  server = await startLoopbackServer((request, body, response) => {
    calls.push({
      path: request.url ?? '',
      headers: request.headers,
      body: JSON.parse(body.toString()) as Record<string, unknown>,
    });
    answer(response);
  });
});

afterEach(async () => {
  for (const plaid of opened.splice(0)) plaid.close();
  await server.close();
});

function plaidAt(url: string, more: Partial<PlaidOptions> = {}) {
  const plaid = createPlaid({
    baseUrl: url,
    clientId: 'client-1',
    secret: canarySecret,
    clientName: 'Example',
    products: ['transactions'],
    countryCodes: ['US'],
    webhookUrl: 'https://example.test/webhooks/plaid',
    ...more,
  });
  opened.push(plaid);
  return plaid;
}

const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
const plaidError = (error_type: string, error_code: string, status = 400): Answer =>
  json(
    {
      error_type,
      error_code,
      error_message: `about ${canaryToken}`,
      display_message: null,
      request_id: 'm8MDnv9okwxFNBV',
    },
    status,
  );

const account = {
  account_id: 'acc1',
  balances: { available: 1, current: 1.5, limit: null, iso_currency_code: 'USD' },
  mask: '0000',
  name: 'Checking',
  official_name: null,
  type: 'depository',
  subtype: 'checking',
};
const transaction = {
  transaction_id: 'tx1',
  account_id: 'acc1',
  amount: 12.345678,
  date: '2026-11-01',
  pending: false,
  iso_currency_code: 'USD',
  unofficial_currency_code: null,
  a_field_of_tomorrow: { deep: ['x'] },
};
const page = {
  added: [transaction],
  modified: [],
  removed: [{ transaction_id: 'tx0', account_id: 'acc1' }],
  accounts: [account],
  next_cursor: 'c1',
  has_more: false,
  transactions_update_status: 'A_STATUS_OF_TOMORROW',
  request_id: 'r',
};

describe('a call that gets no answer', () => {
  it('was never sent when the connection is refused', async () => {
    const url = server.url;
    await server.close();
    const failure = await caught(plaidAt(url).exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: false });
  });

  it('was never sent when the name does not resolve', async () => {
    const failure = await caught(plaidAt('http://plaid.invalid').exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: false });
  });

  it('was never sent when the certificate is not believed', async () => {
    const emulator = path.dirname(createRequire(import.meta.url).resolve('kinesis-local/package.json'));
    const pair = JSON.parse(readFileSync(path.join(emulator, 'server.json'), 'utf8')) as {
      server: { key: string; cert: string };
    };
    let asked = 0;
    const selfSigned = https.createServer(pair.server, (_request, response) => {
      asked += 1;
      response.end('{}');
    });
    await new Promise<void>((resolve) => selfSigned.listen(0, '127.0.0.1', resolve));
    const { port } = selfSigned.address() as AddressInfo;
    const failure = await caught(plaidAt(`https://127.0.0.1:${port}`).exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: false });
    expect(asked).toBe(0);
    await new Promise((resolve) => selfSigned.close(resolve));
  });

  it('may have been carried out after a time-out', async () => {
    answer = () => undefined;
    const plaid = plaidAt(server.url, { slowTimeoutMs: 50 });
    const failure = await caught(plaid.exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
    expect(failure.message).toContain('50 ms');
  });

  it('ends at the deadline although bytes keep coming', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => response.write(' '), 10);
      response.on('close', () => clearInterval(drip));
    };
    const failure = await caught(plaidAt(server.url, { timeoutMs: 150 }).getAccounts(canaryToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
  });

  it('may have been carried out when the connection is reset', async () => {
    answer = (response) => response.socket?.resetAndDestroy();
    const failure = await caught(plaidAt(server.url).exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
  });

  it('may have been carried out when the answer stops half way', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"access_token":"access-');
      setTimeout(() => response.destroy(), 10);
    };
    const failure = await caught(plaidAt(server.url).exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
  });
});

describe('an answer that cannot be used', () => {
  const answers: [string, Answer][] = [
    ['truncated JSON', (response) => response.end(JSON.stringify(page).slice(0, -20))],
    ['no body', (response) => response.end()],
    ['a page of HTML', (response) => response.end('<html>busy</html>')],
    ['an array', json([])],
    ['null', json(null)],
    ['a next_cursor that is none', json({ ...page, next_cursor: 7 })],
    ['more pages behind no cursor', json({ ...page, has_more: true, next_cursor: null })],
    ['no has_more', json({ ...page, has_more: undefined })],
    ['has_more as text', json({ ...page, has_more: 'false' })],
    ['more pages behind an empty cursor', json({ ...page, has_more: true, next_cursor: '' })],
    ['more pages behind the cursor asked with', json({ ...page, has_more: true, next_cursor: 'c0' })],
  ];
  it.each(answers)('%s is UPSTREAM_DOWN, outcome unknown', async (_name, given) => {
    answer = given;
    const failure = await caught(plaidAt(server.url).syncTransactions(canaryToken, 'c0'));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
  });

  it.each([
    ['a row without id', { modified: [{ ...transaction, transaction_id: undefined }] }],
    ['an amount as text', { added: [{ ...transaction, amount: '1.00' }] }],
    ['a removed row without id', { removed: [{}] }],
    ['a row that is no object', { modified: ['tx', null, 7, []] }],
    ['a removed row that is no object', { removed: [null] }],
    ['an account without balances', { accounts: [{ ...account, balances: null }] }],
    ['an account without name and type', { accounts: [{ ...account, name: null, type: null }] }],
    ['an account that is no object', { accounts: [null, account] }],
  ])('%s is passed on: it is parked alone and never blocks its page', async (_name, rows) => {
    answer = json({ ...page, ...rows });
    await expect(plaidAt(server.url).syncTransactions(canaryToken, 'c0')).resolves.toMatchObject(
      JSON.parse(JSON.stringify(rows)) as object,
    );
  });

  it.each(['added', 'modified', 'removed', 'accounts'])(
    '%s that is null or left out is an empty list, what is no list is an entry of it',
    async (list) => {
      const read = async (value: unknown): Promise<unknown> => {
        answer = json({ ...page, [list]: value });
        const said = await plaidAt(server.url).syncTransactions(canaryToken, 'c0');
        return said[list as keyof typeof said];
      };
      expect([await read(null), await read(undefined), await read({}), await read('x')]).toEqual([
        [],
        [],
        [{}],
        ['x'],
      ]);
    },
  );

  it('a last page without a cursor ends at the cursor that it was asked with', async () => {
    answer = json({ ...page, next_cursor: null });
    const said = await plaidAt(server.url).syncTransactions(canaryToken, 'c0');
    expect([said.next_cursor, said.has_more]).toEqual(['c0', false]);
  });

  it.each<[boolean, object]>([
    [true, { removed: [{ transaction_id: 't1' }], next_cursor: 'c1' }],
    [false, { next_cursor: 'c1' }],
    [false, { added: [transaction], next_cursor: 'c0' }],
  ])('asks on (%s) where has_more is null, until a page brings nothing', async (more, said) => {
    const lists = { added: [], modified: [], removed: [] };
    answer = json({ ...page, ...lists, ...said, has_more: null });
    expect((await plaidAt(server.url).syncTransactions(canaryToken, 'c0')).has_more).toBe(more);
  });

  it('a list of all accounts that is null closes none: an entry that is no account stands in its place', async () => {
    answer = json({ accounts: null, request_id: 'r' });
    await expect(plaidAt(server.url).getAccounts(canaryToken)).resolves.toEqual([null]);
    answer = json({ request_id: 'r' });
    expect(await caught(plaidAt(server.url).getAccounts(canaryToken))).toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
  });

  it('live reads hand on what is an object', async () => {
    const { live } = plaidAt(server.url);
    const odd = { ...account, name: null, balances: null };
    answer = json({ accounts: [null, odd, 'x'], request_id: 'r' });
    await expect(live.accounts(canaryToken)).resolves.toEqual({ accounts: [odd], request_id: 'r' });
    await expect(live.balances(canaryToken)).resolves.toEqual({ accounts: [odd], request_id: 'r' });
    answer = json({ transactions: [null, transaction, 7], total_transactions: 3, request_id: 'r' });
    const query = { from: '2026-01-01', to: '2026-12-31', count: 100, offset: 0 };
    await expect(live.transactions(canaryToken, query)).resolves.toEqual({
      transactions: [transaction],
      total_transactions: 3,
      request_id: 'r',
    });
  });

  it.each<[string, unknown, unknown]>([
    ['of which nothing is told is none', { error_type: null, error_code: null, error_message: null }, null],
    [
      'without a type',
      { error_code: 'ITEM_LOCKED' },
      { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOCKED' },
    ],
    [
      'without a code',
      { error_type: 'ITEM_ERROR', error_code: null },
      { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' },
    ],
    [
      'of another shape',
      { error_type: 7, error_code: {} },
      { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' },
    ],
    [
      'with a token for a code',
      { error_code: canaryToken },
      { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' },
    ],
    ['that is a text', 'ITEM_LOGIN_REQUIRED', { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' }],
    ['that is a list', [], { error_type: 'ITEM_ERROR', error_code: 'ITEM_ERROR' }],
    ['that is left out is none', undefined, null],
  ])("an Item's error %s", async (_name, error, expected) => {
    answer = json({
      item: { error, institution_id: 'a\u0000', institution_name: 'x'.repeat(3_000) },
    });
    await expect(plaidAt(server.url).getItem(canaryToken)).resolves.toMatchObject({
      error: expected,
      institution_id: null,
      institution_name: null,
    });
  });

  it.each([{}, { ach: null, eft: null, international: null, bacs: null }])(
    'numbers of no form (%j) are not the word that there are none',
    async (numbers) => {
      answer = json({ numbers });
      await expect(plaidAt(server.url).getNumbers(canaryToken)).rejects.toMatchObject({ type: 'NOT_READY' });
    },
  );

  it('numbers of forms that are null, and entries that name no account, keep nobody from the others', async () => {
    const ach = { account_id: 'acc1', account: '1111222233330000', routing: '011401533' };
    answer = json({ numbers: { ach: [null, {}, { ...ach, account_id: 7 }, ach], eft: null, bacs: {} } });
    await expect(plaidAt(server.url).getNumbers(canaryToken)).resolves.toEqual({
      numbers: [{ account_id: 'acc1', ach: [ach], eft: [], international: [], bacs: [] }],
      isWhole: false,
    });
  });

  const someAch = { account_id: 'acc1', account: '1111222233330000', routing: '011401533' };
  it.each([
    ['an entry that is none', { ach: [someAch, null] }],
    ['an entry that names no account', { ach: [someAch, { account: '1', routing: '2' }] }],
    ['an entry without a number', { ach: [someAch, { account_id: 'acc2', account: null }] }],
    ['an entry without an IBAN', { international: [{ account_id: 'acc2', iban: '', bic: 'x' }] }],
    ['a form that is null', { bacs: null }],
    ['a form that is left out', { eft: undefined }],
    ['a form that is no list', { eft: 'none' }],
  ])(
    'numbers with %s do not speak of all accounts, and the readable ones are handed on',
    async (_name, odd) => {
      answer = json({ numbers: { ach: [someAch], eft: [], international: [], bacs: [], ...odd } });
      await expect(plaidAt(server.url).getNumbers(canaryToken)).resolves.toEqual({
        numbers: [{ account_id: 'acc1', ach: [someAch], eft: [], international: [], bacs: [] }],
        isWhole: false,
      });
    },
  );

  it('institutions: an entry that no index takes is left out, and null is an empty list', async () => {
    const one = { institution_id: 'ins_1', name: 'Bank' };
    const odd = [
      null,
      { ...one, name: null },
      { ...one, name: 'x'.repeat(3_000) },
      { ...one, institution_id: 'a\u0000' },
    ];
    answer = json({ institutions: [...odd, one], total: 5 });
    await expect(plaidAt(server.url).directory.list(0)).resolves.toEqual({
      institutions: [one],
      nameless: ['ins_1', 'ins_1'],
      listed: 5,
      total: 5,
    });
    answer = json({ institutions: null, total: 5 });
    await expect(plaidAt(server.url).directory.list(0)).resolves.toEqual({
      institutions: [],
      nameless: [],
      listed: 0,
      total: 5,
    });
  });

  it.each<[string, string[], string | null]>([
    ['by two answers has got it', ['ins_56', 'ins_56'], 'ins_56'],
    ['by one answer alone has its own', ['ins_56', 'ins_3'], 'ins_3'],
    ['by each answer, another one each time, is not known', ['ins_56', 'ins_13'], null],
  ])('an institution that is answered under another id %s', async (_name, ids, expected) => {
    answer = (response) =>
      json({ institution: { institution_id: ids.shift(), name: 'Bank' }, request_id: 'r' })(response);
    const asked = plaidAt(server.url).directory.get('ins_3');
    if (expected === null) expect(await caught(asked)).toMatchObject({ type: 'UPSTREAM_DOWN' });
    else await expect(asked).resolves.toMatchObject({ institution_id: expected });
    expect(ids).toEqual([]);
  });

  it('an exchange without its token leaves the outcome unknown', async () => {
    answer = json({ item_id: 'item1', request_id: 'r' });
    const failure = await caught(plaidAt(server.url).exchangePublicToken(canaryPublicToken));
    expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
  });

  it('a redirect is not followed: it would carry the secret elsewhere', async () => {
    answer = (response) => response.writeHead(307, { location: `${server.url}/elsewhere` }).end();
    expect(await caught(plaidAt(server.url).getItem(canaryToken))).toMatchObject({ type: 'MISCONFIGURED' });
    expect(calls.map((call) => call.path)).toEqual(['/item/get']);
  });

  it('a success that carries an error is that error, whatever was asked', async () => {
    const plaid = plaidAt(server.url);
    const ask: Record<string, () => Promise<unknown>> = {
      exchange: () => plaid.exchangePublicToken(canaryPublicToken),
      getItem: () => plaid.getItem(canaryToken),
      updateWebhook: () => plaid.updateWebhook(canaryToken, 'https://example.test/'),
      resetLogin: () => plaid.resetLogin(canaryToken),
      removeItem: () => plaid.removeItem(canaryToken),
      getAccounts: () => plaid.getAccounts(canaryToken),
      sync: () => plaid.syncTransactions(canaryToken, ''),
    };
    const whole = { ...page, access_token: canaryToken, item_id: 'item1', item: { error: null } };
    for (const [name, call] of Object.entries(ask)) {
      answer = json({ ...whole, error_type: 'API_ERROR', error_code: 'INTERNAL_SERVER_ERROR' });
      expect([name, await caught(call())]).toMatchObject([
        name,
        { type: 'UPSTREAM_DOWN', outcomeUnknown: true, upstream: { error_code: 'INTERNAL_SERVER_ERROR' } },
      ]);
      answer = plaidError('INVALID_INPUT', 'INVALID_API_KEYS', 200);
      expect([name, await caught(call())]).toMatchObject([
        name,
        { type: 'MISCONFIGURED', outcomeUnknown: false },
      ]);
      answer = json({ ...whole, error_code: { odd: true } });
      expect([name, await caught(call())]).toMatchObject([
        name,
        { type: 'UPSTREAM_DOWN', outcomeUnknown: true },
      ]);
    }
  });

  it("a success without the id of Plaid's request does nothing that has no other answer", async () => {
    const plaid = plaidAt(server.url);
    for (const odd of [{}, { ok: true }, { request_id: null }]) {
      answer = json(odd);
      for (const call of [
        () => plaid.removeItem(canaryToken),
        () => plaid.updateWebhook(canaryToken, 'https://example.test/'),
        () => plaid.resetLogin(canaryToken),
      ])
        expect(await caught(call())).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
    }
    answer = json({ request_id: 'r' });
    await expect(plaid.removeItem(canaryToken)).resolves.toBeUndefined();
  });

  it.each([null, 'none', { 0: account }])(
    'a list of %j is no empty one to a client who reads through',
    async (list) => {
      const { live } = plaidAt(server.url);
      answer = json({ accounts: list, transactions: list, total_transactions: 5, request_id: 'r' });
      const range = { from: '2026-10-01', to: '2026-10-31', count: 5, offset: 0 };
      for (const call of [
        () => live.accounts(canaryToken),
        () => live.balances(canaryToken),
        () => live.transactions(canaryToken, range),
      ])
        expect(await caught(call())).toMatchObject({ type: 'UPSTREAM_DOWN' });
    },
  );

  it('answers of no Plaid error object go by their status', async () => {
    const html =
      (status: number): Answer =>
      (response) =>
        response.writeHead(status).end('<html>');
    const plaid = plaidAt(server.url);
    answer = html(502);
    expect(await caught(plaid.getItem('t'))).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
    answer = html(403);
    expect(await caught(plaid.getItem('t'))).toMatchObject({ type: 'UPSTREAM_DOWN', outcomeUnknown: true });
    answer = (response) => response.writeHead(429, { 'retry-after': '7' }).end('slow down');
    expect(await caught(plaid.getItem('t'))).toMatchObject({ type: 'RATE_LIMITED', retryAfterMs: 7_000 });
  });
});

const noAnswer: Answer = () => undefined;

describe("nothing secret leaves by an error's way", () => {
  const ways: [string, Answer][] = [
    ['an API error', plaidError('ITEM_ERROR', 'ITEM_LOGIN_REQUIRED')],
    ['a token in the place of a code', plaidError('ITEM_ERROR', canaryToken)],
    ['an error 500', json({ echo: canaryToken, secret: canarySecret }, 500)],
    ['a reset', (response) => response.socket?.resetAndDestroy()],
    ['a time-out', noAnswer],
    ['truncated JSON', (response) => response.end(`{"access_token":"${canaryToken}`)],
    [
      'a header that repeats the secret',
      json({}, 400, { 'retry-after': canarySecret, 'x-echo': canarySecret }),
    ],
  ];
  it.each(ways)('%s', async (_name, given) => {
    answer = given;
    const plaid = plaidAt(server.url, given === noAnswer ? { timeoutMs: 300, slowTimeoutMs: 300 } : {});
    for (const attempt of [
      () => plaid.getItem(canaryToken),
      () => plaid.exchangePublicToken(canaryPublicToken),
      () => plaid.syncTransactions(canaryToken, ''),
      () => plaid.createLinkToken({ userId: 'u', accessToken: canaryToken }),
    ]) {
      const failure = await caught(attempt());
      const shown = [inspect(failure, { depth: null, showHidden: true }), failure.stack, String(failure)]
        .concat(JSON.stringify(failure, Object.getOwnPropertyNames(failure)))
        .join('\n');
      for (const canary of [canarySecret, canaryToken, canaryPublicToken]) {
        for (const form of ['utf8', 'base64', 'hex'] as const) {
          expect(shown).not.toContain(Buffer.from(canary).toString(form));
        }
      }
    }
    if (given !== noAnswer) {
      expect(calls.every((call) => call.headers['plaid-secret'] === canarySecret)).toBe(true);
      expect(calls).toHaveLength(4);
    }
  });
});

describe('what Plaid is asked', () => {
  it('a new link asks for two years, for auth where it is supported, and carries our webhook', async () => {
    answer = json({ link_token: 'link-sandbox-1', expiration: '2026-11-21T12:00:00Z', request_id: 'r' });
    await expect(plaidAt(`${server.url}//`).createLinkToken({ userId: 'u-1' })).resolves.toEqual({
      link_token: 'link-sandbox-1',
      expiration: '2026-11-21T12:00:00Z',
    });
    expect(calls[0]).toMatchObject({
      path: '/link/token/create',
      headers: { 'plaid-client-id': 'client-1', 'plaid-secret': canarySecret, 'plaid-version': '2020-09-14' },
    });
    expect(calls[0]?.body).toEqual({
      client_name: 'Example',
      language: 'en',
      country_codes: ['US'],
      user: { client_user_id: 'u-1' },
      products: ['transactions'],
      required_if_supported_products: ['auth'],
      transactions: { days_requested: 730 },
      webhook: 'https://example.test/webhooks/plaid',
    });
  });

  it('update mode lets the user choose accounts anew where that was asked for', async () => {
    answer = json({ link_token: 'link-sandbox-1', expiration: '2026-11-21T12:00:00Z' });
    const request = { userId: 'u-1', accessToken: canaryToken, accountSelection: true };
    await plaidAt(server.url).createLinkToken(request);
    expect(calls[0]?.body).toMatchObject({ update: { account_selection_enabled: true } });
    expect(calls[0]?.body).not.toHaveProperty('additional_consented_products');
  });

  it('update mode asks the user to agree to the products where they did not', async () => {
    answer = json({ link_token: 'link-sandbox-1', expiration: '2026-11-21T12:00:00Z' });
    await plaidAt(server.url).createLinkToken({
      userId: 'u-1',
      accessToken: canaryToken,
      asksConsent: true,
    });
    expect(calls[0]?.body).toMatchObject({ additional_consented_products: ['transactions'] });
    expect(calls[0]?.body).not.toHaveProperty('products');
    const more = { userId: 'u-1', accessToken: canaryToken, asksNumbers: true };
    await plaidAt(server.url).createLinkToken(more);
    expect(calls[1]?.body).toMatchObject({ additional_consented_products: ['auth'] });
    await plaidAt(server.url, { products: ['auth', 'transactions'] }).createLinkToken({
      ...more,
      asksConsent: true,
    });
    expect(calls[2]?.body).toMatchObject({ additional_consented_products: ['auth', 'transactions'] });
  });

  it('update mode sends the access token and neither products nor webhook', async () => {
    answer = json({ link_token: 'link-sandbox-1', expiration: '2026-11-21T12:00:00Z' });
    await plaidAt(server.url).createLinkToken({ userId: 'u-1', accessToken: canaryToken });
    expect(calls[0]?.body).toEqual({
      client_name: 'Example',
      language: 'en',
      country_codes: ['US'],
      user: { client_user_id: 'u-1' },
      access_token: canaryToken,
    });
  });

  it('a product is named in one list only, and no webhook is sent where there is none', async () => {
    answer = json({ link_token: 'link-sandbox-1', expiration: '2026-11-21T12:00:00Z' });
    const plaid = plaidAt(server.url, { products: ['transactions', 'auth'], webhookUrl: null });
    await plaid.createLinkToken({ userId: 'u-1' });
    expect(calls[0]?.body).not.toHaveProperty('required_if_supported_products');
    expect(calls[0]?.body).not.toHaveProperty('webhook');
  });

  it('sync sends no cursor for the beginning, count at the top, and keeps what it does not know', async () => {
    answer = json(page);
    const plaid = plaidAt(server.url);
    const read = await plaid.syncTransactions(canaryToken, '');
    await plaid.syncTransactions(canaryToken, 'c0');
    expect(calls.map((call) => call.body)).toEqual([
      { access_token: canaryToken, count: 500, options: { include_original_description: true } },
      {
        access_token: canaryToken,
        count: 500,
        options: { include_original_description: true },
        cursor: 'c0',
      },
    ]);
    expect(read.added).toEqual([transaction]);
    expect(read.transactions_update_status).toBe('A_STATUS_OF_TOMORROW');
  });

  it('a compressed answer is read', async () => {
    answer = (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(page)));
    expect((await plaidAt(server.url).syncTransactions(canaryToken, '')).added).toEqual([transaction]);
  });

  it('a page that is not ready is an answer, not an error', async () => {
    answer = json({
      ...page,
      added: [],
      removed: [],
      accounts: [],
      next_cursor: '',
      transactions_update_status: 'NOT_READY',
    });
    await expect(plaidAt(server.url).syncTransactions(canaryToken, '')).resolves.toMatchObject({
      next_cursor: '',
      has_more: false,
      transactions_update_status: 'NOT_READY',
    });
  });

  it('transactions are asked for by window and accounts', async () => {
    answer = json({ accounts: [], transactions: [transaction], total_transactions: 9, item: {} });
    const found = await plaidAt(server.url).getTransactions(canaryToken, {
      from: '2026-10-01',
      to: '2026-10-31',
      accountIds: ['acc1'],
      count: 500,
      offset: 500,
    });
    expect(found).toEqual({ transactions: [transaction], total: 9 });
    expect(calls[0]?.body).toEqual({
      access_token: canaryToken,
      start_date: '2026-10-01',
      end_date: '2026-10-31',
      options: { count: 500, offset: 500, include_original_description: true, account_ids: ['acc1'] },
    });
  });

  it('the exchange uses a connection of its own', async () => {
    const sockets = new Set<unknown>();
    answer = (response) => {
      sockets.add(response.socket);
      json({ access_token: canaryToken, item_id: 'item1', accounts: [] })(response);
    };
    const plaid = plaidAt(server.url);
    await plaid.getAccounts(canaryToken);
    await plaid.getAccounts(canaryToken);
    expect(sockets.size).toBe(1);
    await expect(plaid.exchangePublicToken(canaryPublicToken)).resolves.toEqual({
      accessToken: canaryToken,
      itemId: 'item1',
    });
    expect(sockets.size).toBe(2);
  });

  it("an Item's view survives what may be absent", async () => {
    const plaid = plaidAt(server.url);
    answer = json({ item: { item_id: 'i', error: null }, status: null });
    await expect(plaid.getItem(canaryToken)).resolves.toEqual({
      institution_id: null,
      institution_name: null,
      webhook: null,
      error: null,
      consent_expiration_time: null,
      last_successful_update: null,
    });
    answer = json({
      item: {
        item_id: 'i',
        institution_id: 'ins_1',
        institution_name: 'Bank',
        error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', error_message: 'x' },
        consent_expiration_time: '2027-01-01T00:00:00Z',
      },
      status: { transactions: { last_successful_update: '2026-11-20T00:00:00Z' } },
    });
    await expect(plaid.getItem(canaryToken)).resolves.toMatchObject({
      institution_id: 'ins_1',
      error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
      last_successful_update: '2026-11-20T00:00:00Z',
    });
  });

  it('numbers are grouped by account, several of one account together', async () => {
    const ach = { account_id: 'acc1', account: '1111222233330000', routing: '011401533', wire_routing: null };
    const bacs = { account_id: 'acc2', account: '31926819', sort_code: '601613' };
    const iban = { account_id: 'acc2', iban: 'GB29NWBK60161331926819', bic: 'NWBKGB21' };
    answer = json({ accounts: [], numbers: { ach: [ach], eft: [], international: [iban], bacs: [bacs] } });
    await expect(plaidAt(server.url).getNumbers(canaryToken)).resolves.toEqual({
      numbers: [
        { account_id: 'acc1', ach: [ach], eft: [], international: [], bacs: [] },
        { account_id: 'acc2', ach: [], eft: [], international: [iban], bacs: [bacs] },
      ],
      isWhole: true,
    });
  });
});

describe('removal', () => {
  it.each([
    ['ITEM_ERROR', 'ITEM_NOT_FOUND'],
    ['ITEM_ERROR', 'ITEM_CONCURRENTLY_DELETED'],
  ])('%s/%s says that there is no such Item', async (type, code) => {
    answer = plaidError(type, code);
    expect(await caught(plaidAt(server.url).removeItem(canaryToken))).toMatchObject({ type: 'ITEM_GONE' });
    expect(calls.map((call) => call.path)).toEqual(['/item/remove']);
  });

  it('is not believed on half an answer', async () => {
    answer = (response) => response.end('{"request_id":"m8MD');
    expect(await caught(plaidAt(server.url).removeItem(canaryToken))).toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
  });

  it.each([
    ['API_ERROR', 'INTERNAL_SERVER_ERROR', 500, 'UPSTREAM_DOWN'],
    ['INVALID_INPUT', 'INVALID_API_KEYS', 400, 'MISCONFIGURED'],
    // Another environment's or client's token: the Item may live on.
    ['INVALID_INPUT', 'INVALID_ACCESS_TOKEN', 400, 'TOKEN_REFUSED'],
    ['RATE_LIMIT_EXCEEDED', 'ITEM_REMOVE_LIMIT', 429, 'RATE_LIMITED'],
  ])('%s/%s is not', async (errorType, code, status, type) => {
    answer = plaidError(errorType, code, status);
    expect(await caught(plaidAt(server.url).removeItem(canaryToken))).toMatchObject({ type });
  });
});

describe('webhook keys', () => {
  const key = {
    alg: 'ES256',
    crv: 'P-256',
    kid: 'kid-1',
    kty: 'EC',
    use: 'sig',
    x: 'x',
    y: 'y',
    created_at: 1,
    expired_at: null,
  };
  it('an unknown id is null, trouble is a Failure', async () => {
    const plaid = plaidAt(server.url);
    answer = plaidError('INVALID_INPUT', 'INVALID_WEBHOOK_VERIFICATION_KEY_ID');
    await expect(plaid.getWebhookKey('kid-1')).resolves.toBeNull();
    answer = plaidError('API_ERROR', 'INTERNAL_SERVER_ERROR', 500);
    expect(await caught(plaid.getWebhookKey('kid-1'))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    answer = json({ key: { ...key, expired_at: 'soon' } });
    expect(await caught(plaid.getWebhookKey('kid-1'))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    answer = () => undefined;
    const hurried = plaidAt(server.url, { keyTimeoutMs: 50 });
    expect(await caught(hurried.getWebhookKey('kid-1'))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('a key is handed on', async () => {
    answer = json({ key, request_id: 'r' });
    await expect(plaidAt(server.url).getWebhookKey('kid-1')).resolves.toMatchObject({
      kid: 'kid-1',
      expired_at: null,
    });
  });
});

describe('the base URL', () => {
  it.each(['', 'undefined', 'plaid.example', 'ftp://plaid.example'])(
    '%p is refused: the client would silently go to production',
    (baseUrl) => {
      expect(() => plaidAt(baseUrl)).toThrow(expect.objectContaining({ type: 'MISCONFIGURED' }));
    },
  );
});
