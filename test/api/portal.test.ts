import { wholeGrant } from '../../domain/exchange/connection.js';
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'puppeteer-core';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey } from '../../api/auth.js';
import { styleSheet } from '../../api/portal/style.js';
import { promMetrics } from '../../api/promMetrics.js';
import type { Grant } from '../../domain/exchange/connection.js';
import type { Scope } from '../../domain/ports/applications.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { TestItem, World } from '../drizzle/world.js';
import { account, linkedItem, newId, openWorld, runUpdate } from '../drizzle/world.js';
import { startBrowser } from '../stack/browser.js';
import { createWorld, down } from './world.js';

/** The user's page on the real stores. */
let world: World;
let app: ReturnType<typeof buildApp>;
let api: ReturnType<typeof createWorld>;
let dashboard: { keyId: string; headers: { authorization: string } };
beforeAll(async () => {
  world = await openWorld();
  api = createWorld();
  const { connections, applications, portal } = world.stores;
  app = buildApp({
    ...api.deps,
    connections,
    applications,
    portal,
    metrics: promMetrics(new Registry()),
    portalPage: { ...api.deps.portalPage, logo: { type: 'image/svg+xml', bytes: Buffer.from(logo) } },
  });
  dashboard = await client('operator', ['consent']);
});
afterAll(async () => {
  await app.close();
  await world.close();
});

const logo =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#0b5cad"/><path d="M9 20l7-11 7 11z" fill="#fff"/></svg>';
const hostile = `<script>alert(1)</script>"'&`;
const year = 365 * 86_400_000;

interface Face {
  access?: 'all' | 'connected';
  display_name?: string;
  company?: string;
  reason?: string;
  logo_url?: string;
}

async function application(face: Face = {}): Promise<string> {
  const id = newId('app');
  await world.sql`
    INSERT INTO applications (application_id, name, access, display_name, company, reason_for_access, logo_url)
    VALUES (${id}, 'Budget', ${face.access ?? 'connected'}, ${face.display_name ?? null}, ${face.company ?? null},
      ${face.reason ?? null}, ${face.logo_url ?? null})`;
  return id;
}

async function client(name: string, scopes: Scope[]): Promise<typeof dashboard> {
  const applicationId = await application({ display_name: name });
  const key = randomUUID();
  const added = await world.stores.applications.addKey(applicationId, randomUUID(), hashKey(key), scopes);
  return { keyId: added?.key_id ?? '', headers: { authorization: `Bearer ${key}` } };
}

async function item(
  userId = newId('user'),
  accounts: Partial<PlaidAccount>[] = [
    { name: 'Everyday Checking', mask: '1024' },
    { name: 'Holiday Savings', mask: '7731', subtype: 'savings' },
  ],
): Promise<TestItem> {
  const linked = await linkedItem(world, { userId, institutionId: newId('ins') });
  await runUpdate(world, linked, [{}], {
    accounts: accounts.map((changes, n) => account(`acc-${n + 1}`, changes)),
  });
  return linked;
}

async function connect(to: TestItem, applicationId: string, changes: Partial<Grant> = {}): Promise<string> {
  const granted = await world.stores.connections.grant(
    { itemId: to.itemId, applicationId, effectId: randomUUID() },
    { ...wholeGrant, scopes: ['accounts', 'balances', 'transactions'], ...changes },
    { initiator: 'operator', applicationId: null, keyId: null, reason: null },
  );
  if (granted.kind !== 'done') throw new Error(granted.kind);
  return granted.connection.connection_id;
}

/** The path of a session's page. */
async function open(userId: string, body: object = {}): Promise<string> {
  const answer = await app.inject({
    method: 'POST',
    url: `/v1/users/${userId}/portal-sessions`,
    headers: dashboard.headers,
    payload: body,
  });
  expect(answer.statusCode).toBe(201);
  return new URL(answer.json().url).pathname;
}

const press = (url: string, form: [string, string][] = [], headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'sec-fetch-site': 'same-origin',
      origin: 'null',
      ...headers,
    },
    payload: new URLSearchParams(form).toString(),
  });

const stateOf = async (id: string) =>
  world.stores.connections.get({ applicationId: 'operator', access: 'all' }, id);

const connection = async (changes: Partial<Grant> = {}, face: Face = {}) => {
  const to = await item();
  const id = await connect(to, await application(face), changes);
  const path = await open(to.userId);
  return { item: to, id, path, of: `${path}/connections/${id}` };
};

describe('a session', () => {
  it('is for a user that there is, by a key of scope consent, and its token is kept as a hash alone', async () => {
    const to = await item();
    const url = `/v1/users/${to.userId}/portal-sessions`;
    const reader = await client('reader', ['read', 'write']);
    const ask = (who: { headers: { authorization: string } }, at = url, payload?: object) =>
      app.inject({ method: 'POST', url: at, headers: who.headers, ...(payload ? { payload } : {}) });
    expect((await ask(reader)).statusCode).toBe(403);
    expect((await ask(dashboard, '/v1/users/nobody/portal-sessions')).statusCode).toBe(404);
    const opened = await ask(dashboard);
    expect(opened.statusCode).toBe(201);
    const { url: link, expires_at } = opened.json();
    expect(link).toMatch(/^http:\/\/localhost(:\d+)?\/portal\/[A-Za-z0-9_-]{43}$/);
    const token = (link as string).slice(-43);
    const rows = await world.sql`SELECT *, expires_at - created_at < interval '15 minutes 1 second' AS short
      FROM portal_sessions WHERE user_id = ${to.userId}`;
    expect(rows).toMatchObject([{ token_hash: hashKey(token), key_id: dashboard.keyId, short: true }]);
    expect(rows[0]?.['expires_at'].toISOString()).toBe(expires_at);
    expect(JSON.stringify(rows)).not.toContain(token);
    await app.inject(`/portal/${token}`);
    expect(api.logged.join('')).not.toContain(token);
  });

  it('takes a way back and a language that are ones', async () => {
    const { userId } = await item();
    const bad = [
      { return_url: 'http://app.example/' },
      { return_url: 'javascript:alert(1)' },
      { return_url: 'https://user:password@app.example/' },
      { return_url: '/settings' },
      { return_url: `https://app.example/${'a'.repeat(2_000)}` },
      { locale: 'no such' },
      { locale: '' },
      { more: 1 },
    ];
    for (const payload of bad) {
      const answer = await app.inject({
        method: 'POST',
        url: `/v1/users/${userId}/portal-sessions`,
        headers: dashboard.headers,
        payload,
      });
      expect([payload, answer.statusCode]).toEqual([payload, 400]);
    }
    for (const return_url of ['https://app.example/a?b="c', 'http://localhost:3000/']) {
      const page = await app.inject(await open(userId, { return_url, locale: 'de-CH' }));
      expect(page.body).toContain(`Back to ${new URL(return_url).hostname}`);
      expect(page.body).not.toContain('b="c');
    }
  });

  it('that is unknown, over, or of a revoked key opens nothing and changes nothing', async () => {
    const { id, path, of, item: to } = await connection();
    const keyed = await client('other', ['consent']);
    const opened = await app.inject({
      method: 'POST',
      url: `/v1/users/${to.userId}/portal-sessions`,
      headers: keyed.headers,
    });
    const revoked = new URL(opened.json().url).pathname;
    expect((await app.inject(revoked)).statusCode).toBe(200);
    await world.stores.applications.revokeKey(keyed.keyId);
    await world.sql`UPDATE portal_sessions SET expires_at = now() WHERE token_hash = ${hashKey(path.slice(-43))}`;
    for (const closed of [path, revoked, `/portal/${'x'.repeat(43)}`, '/portal/x', '/portal/%00']) {
      const page = await app.inject(closed);
      expect([closed, page.statusCode]).toEqual([closed, 404]);
      expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
      expect(page.body).toContain('This page has closed');
    }
    expect((await press(`${of}/revoke`)).statusCode).toBe(404);
    expect(await stateOf(id)).toMatchObject({ status: 'active' });
  });

  it('slows who guesses', async () => {
    const guarded = buildApp({
      ...api.deps,
      portal: world.stores.portal,
      metrics: promMetrics(new Registry()),
      limits: { ...api.deps.limits, requestsPerMinute: 20 },
    });
    const statuses = [];
    for (let n = 0; n < 4; n += 1)
      statuses.push((await guarded.inject(`/portal/${'x'.repeat(43)}`)).statusCode);
    expect(statuses.at(-1)).toBe(429);
    await guarded.close();
  });

  it('stays open to its user while another one at the same address guesses', async () => {
    const guarded = buildApp({
      ...api.deps,
      connections: world.stores.connections,
      portal: world.stores.portal,
      metrics: promMetrics(new Registry()),
      limits: { ...api.deps.limits, requestsPerMinute: 20 },
    });
    const to = await item();
    const id = await connect(to, await application());
    const path = await open(to.userId);
    expect((await guarded.inject(path)).statusCode).toBe(200);
    for (let n = 0; n < 4; n += 1) await guarded.inject(`/portal/${'x'.repeat(43)}`);
    expect((await guarded.inject(`/portal/${'y'.repeat(43)}`)).statusCode).toBe(429);
    const pressed = await guarded.inject({ method: 'POST', url: `${path}/connections/${id}/revoke` });
    expect(pressed.statusCode).toBe(303);
    expect(await stateOf(id)).toMatchObject({ status: 'revoked' });
    // Not one that has ended.
    await world.sql`UPDATE portal_sessions SET expires_at = clock_timestamp() WHERE user_id = ${to.userId}`;
    expect([(await guarded.inject(path)).statusCode, (await guarded.inject(path)).statusCode]).toEqual([
      429, 429,
    ]);
    await guarded.close();
  });
});

describe('the page', () => {
  it('says in plain words who may read what, since when, until when, and when they did', async () => {
    const to = await item();
    const active = await connect(
      to,
      await application({
        display_name: 'Budget Buddy',
        company: 'Buddy Ltd',
        reason: 'To show what you spend',
      }),
      { expires_at: '2999-05-04T00:00:00Z', lookback_days: 90, account_ids: ['acc-1'], new_accounts: false },
    );
    await world.sql`
      UPDATE connections SET transactions_read_at = '2026-11-02T10:00:00Z', created_at = '2026-10-01T10:00:00Z'
      WHERE connection_id = ${active}`;
    await connect(to, await application({ access: 'all', display_name: 'Acme Ledger' }), { scopes: [] });
    const page = await app.inject(await open(to.userId, { locale: 'en-GB' }));
    expect(page.statusCode).toBe(200);
    for (const said of [
      'Budget Buddy',
      'Buddy Ltd',
      'To show what you spend',
      'Accounts at First Platypus Bank',
      'Everyday Checking ····1024',
      'what you spend and receive (of the last 90 days)',
      '4 May 2999',
      '1 October 2026',
      '2 November 2026',
      'Nothing yet.',
      'It belongs to Acme Bank itself',
    ]) {
      expect(page.body).toContain(said);
    }
    const [first = '', second = ''] = page.body.split('<section').slice(1);
    expect(first).not.toContain('Holiday Savings');
    expect(first).not.toContain('routing numbers');
    expect(second).toContain('Nothing.');
    const none = await app.inject(await open((await item()).userId));
    expect(none.body).toContain('No application has access to your accounts.');
  });

  it('takes nothing from elsewhere, runs no script, is framed and kept by nobody', async () => {
    const { path, of } = await connection({}, { logo_url: 'https://elsewhere.example/logo.png' });
    for (const url of [path, `${of}/revoke`, `${path}/revoke-all`, '/portal/nobody']) {
      const { headers, body } = await app.inject(url);
      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'",
      );
      expect(headers).toMatchObject({
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'x-frame-options': 'DENY',
      });
      expect(body).not.toMatch(/<script|style=|\son[a-z]+=|elsewhere/i);
    }
    const style = await app.inject('/portal/style.css');
    expect(style.headers['content-type']).toBe('text/css; charset=utf-8');
    expect(style.body).not.toMatch(/url\(|@import/);
    expect((await app.inject('/portal/logo')).headers['content-type']).toMatch('image/svg+xml');
  });

  it('takes the colours of the settings, with words on them that are read', async () => {
    expect((await app.inject('/portal/style.css')).body).toContain(
      '--accent: #0b5cad; --on-accent: #ffffff; --back: #f5f6f8; --text: #111111;',
    );
    const dark = styleSheet({ accent: '#ffd800', background: '#101418' });
    expect(dark).toContain(
      'color-scheme: dark; --accent: #ffd800; --on-accent: #111111; --back: #101418; --text: #ffffff;',
    );
  });

  it('speaks to people also when the database does not answer', async () => {
    const portal = { ...world.stores.portal, session: down };
    const broken = buildApp({ ...api.deps, portal, metrics: promMetrics(new Registry()) });
    const page = await broken.inject(`/portal/${'x'.repeat(43)}`);
    expect([page.statusCode, page.headers['retry-after']]).toEqual([503, '5']);
    expect(page.body).toContain('This does not work at the moment');
    await broken.close();
  });

  it('shows as text whatever applications, banks and accounts are called', async () => {
    const to = await item(newId('user'), [{ name: hostile, mask: hostile }]);
    await world.sql`UPDATE items SET institution_name = ${hostile} WHERE item_id = ${to.itemId}`;
    const face = {
      display_name: hostile,
      company: hostile,
      reason: hostile,
      logo_url: `data:image/png;base64,"${hostile}`,
    };
    const id = await connect(to, await application(face), { purpose: hostile });
    const path = await open(to.userId);
    for (const url of [
      path,
      `${path}/connections/${id}/revoke`,
      `${path}/revoke-all`,
      `${path}?done=${encodeURIComponent(hostile)}`,
    ]) {
      const { body } = await app.inject(url);
      expect(body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;');
      expect(body).not.toContain('<script');
    }
  });

  it('offers to go on only where one press gives a later end', async () => {
    const renewable = async (changes: Partial<Grant>, sql = 'SELECT 1') => {
      const { path, id } = await connection(changes);
      await world.sql.unsafe(sql.replaceAll('$ID', `'${id}'`));
      return (await app.inject(path)).body;
    };
    const soon = new Date(Date.now() + 5 * 86_400_000).toISOString();
    const later = new Date(Date.now() + 2 * year).toISOString();
    const expired = 'UPDATE connections SET expires_at = now() WHERE connection_id = $ID';
    const suspended = 'UPDATE connections SET suspended_at = now() WHERE connection_id = $ID';
    const atBank = `${suspended}; UPDATE items SET revoked_at = now() WHERE item_id = (SELECT item_id FROM connections WHERE connection_id = $ID)`;
    expect(await renewable({ expires_at: soon })).toContain('Extend until');
    expect(await renewable({ expires_at: later })).not.toMatch(/Extend|Allow again/);
    expect(await renewable({})).not.toMatch(/Extend|Allow again/);
    expect(await renewable({ expires_at: soon }, expired)).toContain('Allow again until');
    expect(await renewable({}, suspended)).toContain('Allow again until');
    expect(await renewable({}, atBank)).not.toMatch(/Extend|Allow again/);
  });
});

describe('a press', () => {
  it('takes away what may be read, and can add none of it', async () => {
    const { id, of, path } = await connection({ scopes: ['accounts', 'transactions', 'numbers'] });
    const tick = async (...scopes: string[]) =>
      (
        await press(
          `${of}/scopes`,
          scopes.map((scope) => ['scope', scope]),
        )
      ).headers['location'];
    expect(await tick('accounts', 'transactions', 'numbers')).toMatch(/\?done=unchanged$/);
    expect(await tick('accounts', 'transactions', 'balances', 'everything')).toMatch(/\?done=narrowed$/);
    expect(await stateOf(id)).toMatchObject({ scopes: ['accounts', 'transactions'] });
    expect(await tick('accounts', 'transactions', 'numbers')).toMatch(/\?done=unchanged$/);
    expect((await app.inject(path)).body).not.toContain('value="numbers"');
    expect(await tick()).toMatch(/\?done=narrowed$/);
    expect(await stateOf(id)).toMatchObject({ scopes: [], status: 'active', account_ids: null });
  });

  it.each([null, ['acc-1', 'acc-2']])(
    'takes away an account under every id that it has had, and of others none (granted: %j)',
    async (account_ids) => {
      const { item: to, id, of } = await connection({ account_ids });
      // From under the third ids they come back to the second ones.
      for (const now of ['heir', 'brief', 'heir']) {
        const moved = [
          account(`${now}-1`, { name: 'Everyday Checking', mask: '1024' }),
          account(`${now}-2`, { name: 'Holiday Savings', mask: '7731', subtype: 'savings' }),
        ];
        await runUpdate(world, to, [{}], { accounts: moved });
      }
      await press(`${of}/accounts`, [['account', 'heir-1']]);
      // Rows older than those that Plaid lists of the heir stand under the ids before.
      expect((await stateOf(id))?.account_ids?.toSorted()).toEqual(['acc-1', 'brief-1', 'heir-1']);
    },
  );

  it('keeps an account that was ticked under the id that it had when the page was shown', async () => {
    const { item: to, id, of } = await connection();
    const next = [
      account('next-1', { name: 'Everyday Checking', mask: '1024' }),
      account('next-2', { name: 'Holiday Savings', mask: '7731', subtype: 'savings' }),
    ];
    await runUpdate(world, to, [{}], { accounts: next });
    const all: [string, string][] = [
      ['account', 'acc-1'],
      ['account', 'acc-2'],
      ['later', 'yes'],
    ];
    await press(`${of}/accounts`, all);
    expect((await stateOf(id))?.account_ids).toBeNull();
    await press(`${of}/accounts`, all.slice(0, 1));
    expect((await stateOf(id))?.account_ids?.toSorted()).toEqual(['acc-1', 'next-1']);
  });

  it('takes accounts away, and can add none', async () => {
    const { id, of } = await connection({ account_ids: ['acc-1', 'acc-2'] });
    expect(
      (
        await press(`${of}/accounts`, [
          ['account', 'acc-1'],
          ['account', 'acc-2'],
          ['later', 'yes'],
        ])
      ).headers['location'],
    ).toMatch(/\?done=unchanged$/);
    const saved = await press(`${of}/accounts`, [
      ['account', 'acc-2'],
      ['account', 'acc-9'],
    ]);
    expect([saved.statusCode, saved.headers['location']]).toEqual([
      303,
      expect.stringMatching(/\?done=narrowed$/),
    ]);
    expect(await stateOf(id)).toMatchObject({ account_ids: ['acc-2'], new_accounts: false });
    await press(`${of}/accounts`, [
      ['account', 'acc-1'],
      ['account', 'acc-2'],
      ['later', 'yes'],
    ]);
    expect(await stateOf(id)).toMatchObject({ account_ids: ['acc-2'], new_accounts: false });
    await press(`${of}/accounts`);
    expect(await stateOf(id)).toMatchObject({ account_ids: [], status: 'active' });
    const history = await world.stores.connections.history(
      { applicationId: 'x', access: 'all' },
      id,
      10,
      null,
    );
    expect(history?.rows.slice(1)).toMatchObject([
      { action: 'updated', initiator: 'user', key_id: dashboard.keyId },
      { action: 'updated', initiator: 'user' },
    ]);
  });

  it('renews for as long as the operator says, and revokes after a question', async () => {
    const { id, of, path } = await connection({
      expires_at: new Date(Date.now() + 86_400_000).toISOString(),
    });
    expect((await press(`${of}/renew`)).headers['location']).toMatch(/\?done=renewed$/);
    const end = Date.parse((await stateOf(id))?.expires_at ?? '');
    expect(end).toBeGreaterThan(Date.now() + year - 86_400_000);
    expect(end).toBeLessThanOrEqual(Date.now() + year);
    const question = await app.inject(`${of}/revoke`);
    expect(question.body).toContain('This cannot be undone here.');
    expect(await stateOf(id)).toMatchObject({ status: 'active' });
    expect((await press(`${of}/revoke`)).headers['location']).toBe(`${path}?done=revoked`);
    expect(await stateOf(id)).toMatchObject({ status: 'revoked', revoked: { initiator: 'user' } });
    expect((await app.inject(`${path}?done=revoked`)).body).toContain('The access has ended.');
    // Twice, and what is no more: the page says how it stands.
    for (const late of ['renew', 'accounts', 'scopes']) {
      expect((await press(`${of}/${late}`)).headers['location']).toBe(`${path}?done=too_late`);
    }
    expect((await app.inject(`${of}/revoke`)).headers['location']).toBe(`${path}?done=too_late`);
  });

  it('ends all of this user, and nothing of another', async () => {
    const to = await item();
    const [one, two] = [await connect(to, await application()), await connect(to, await application())];
    const other = await connection();
    const path = await open(to.userId);
    expect((await press(`${path}/connections/${other.id}/revoke`)).headers['location']).toBe(
      `${path}?done=too_late`,
    );
    expect(await stateOf(other.id)).toMatchObject({ status: 'active' });
    expect((await app.inject(`${path}/revoke-all`)).body).toContain('Stop sharing with everybody?');
    expect((await press(`${path}/revoke-all`)).headers['location']).toBe(`${path}?done=revoked_all`);
    for (const id of [one, two]) expect(await stateOf(id)).toMatchObject({ status: 'revoked' });
    expect(await stateOf(other.id)).toMatchObject({ status: 'active' });
  });

  it('that another site sends, or no form, does nothing', async () => {
    const { id, of, path } = await connection();
    const strange: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'same-origin', origin: 'https://elsewhere.example' },
    ];
    for (const headers of strange) {
      for (const url of [
        `${of}/revoke`,
        `${of}/accounts`,
        `${of}/scopes`,
        `${of}/renew`,
        `${path}/revoke-all`,
      ]) {
        const refused = await press(url, [], headers);
        expect([headers, url, refused.statusCode]).toEqual([headers, url, 403]);
        expect(refused.body).toContain('That did not come from this page');
      }
    }
    const older = (origin: string) =>
      app.inject({
        method: 'POST',
        url: `${of}/accounts`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', host: 'bank.example', origin },
        payload: 'account=acc-1&account=acc-2&later=yes',
      });
    expect((await older('null')).statusCode).toBe(403);
    expect((await older('http://elsewhere.example')).statusCode).toBe(403);
    expect((await older('https://bank.example')).statusCode).toBe(303);
    const json = await press(`${of}/revoke`, [], { 'content-type': 'application/json' });
    expect(json.statusCode).toBe(415);
    expect(await stateOf(id)).toMatchObject({ status: 'active', account_ids: null });
  });
});

describe('in a browser, on a phone', () => {
  let browser: Browser;
  let origin: string;
  beforeAll(async () => {
    await app.listen({ port: 0, host: '127.0.0.1' });
    origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    browser = await startBrowser();
  });
  afterAll(() => browser?.close());

  const text = async (page: Page): Promise<string> => String(await page.evaluate('document.body.innerText'));
  async function click(page: Page, label: string): Promise<void> {
    await Promise.all([page.waitForNavigation(), page.click(`::-p-text(${label})`)]);
  }

  it.each([false, true])('narrows, renews and ends; scripts: %s', async (scripts) => {
    const to = await item();
    const soon = new Date(Date.now() + 20 * 86_400_000).toISOString();
    const face = {
      display_name: 'Budget Buddy',
      company: 'Buddy Ltd',
      reason: 'Shows what you spend, month by month',
    };
    const id = await connect(to, await application(face), { expires_at: soon, lookback_days: 90 });
    const second = await connect(
      to,
      await application({ display_name: 'Rent Check', company: 'Homes & Co' }),
      {
        scopes: ['accounts', 'numbers'],
      },
    );
    await world.sql`UPDATE connections SET transactions_read_at = now(), balances_read_at = now() WHERE connection_id = ${id}`;
    await world.sql`UPDATE connections SET expires_at = now() WHERE connection_id = ${second}`;

    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const elsewhere: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:'))
        elsewhere.push(request.url());
    });
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.setJavaScriptEnabled(scripts);
    await page.setViewport({ width: 375, height: 812, deviceScaleFactor: 1, isMobile: true, hasTouch: true });

    await page.goto(`${origin}${await open(to.userId, { return_url: 'https://app.example/settings' })}`);
    expect(await text(page)).toContain('Who can see my accounts');
    // Nothing sticks out at the side, and every button is large enough for a finger.
    const sizes = await page.evaluate(`({
      page: document.documentElement.scrollWidth,
      low: [...document.querySelectorAll('button, .button, label')].filter((one) => one.getBoundingClientRect().height < 44).length,
      styled: getComputedStyle(document.querySelector('button')).borderRadius !== '0px',
    })`);
    expect(sizes).toEqual({ page: 375, low: 0, styled: true });
    // A directory for the pictures in docs/images.
    const pictures = process.env['PORTAL_PICTURES'];
    if (pictures) await page.screenshot({ path: `${pictures}/portal-phone.png`, fullPage: true });

    await page.click('input[value=acc-2]');
    await click(page, 'Share only what is ticked');
    expect(await text(page)).toContain('Saved.');
    expect(await stateOf(id)).toMatchObject({ account_ids: ['acc-1'], new_accounts: true });

    await click(page, 'Extend until');
    expect(await text(page)).toContain('The access goes on');
    expect(Date.parse((await stateOf(id))?.expires_at ?? '')).toBeGreaterThan(Date.parse(soon));

    await click(page, 'Stop sharing');
    expect(await text(page)).toContain('Stop sharing with Budget Buddy?');
    if (pictures) await page.screenshot({ path: `${pictures}/portal-confirm-phone.png`, fullPage: true });
    await click(page, 'Keep sharing');
    await click(page, 'Stop sharing with all of them');
    await click(page, 'Stop sharing with all of them');
    expect(await text(page)).toContain('No application has access to your accounts.');
    for (const ended of [id, second]) expect(await stateOf(ended)).toMatchObject({ status: 'revoked' });
    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });
});
