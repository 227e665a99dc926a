import { wholeGrant } from '../../domain/exchange/connection.js';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey } from '../../api/auth.js';
import type { ApiDeps, ApiLimits } from '../../api/deps.js';
import { promMetrics } from '../../api/promMetrics.js';
import { grantByDefault } from '../../domain/exchange/connection.js';
import type { ConnectionView } from '../../domain/exchange/connection.js';
import { Failure } from '../../domain/failures.js';
import type { ErasureView } from '../../domain/ports/erasures.js';
import { connectionScopes } from '../../domain/exchange/connection.js';
import type { ApiKey, ApplicationView, Scope } from '../../domain/ports/applications.js';
import type { EventStore } from '../../domain/ports/events.js';
import type { FloatView } from '../../domain/ports/floats.js';
import type { ItemStatus } from '../../domain/ports/gateway.js';
import type { InstitutionView } from '../../domain/ports/institutions.js';
import type { LinkOutcome, LinkRow } from '../../domain/ports/links.js';
import type { ItemCheck } from '../../domain/ports/logins.js';
import type { PageKey, TextPage } from '../../domain/ports/pages.js';
import type { CachedPage, ItemView, ListedItems } from '../../domain/ports/reads.js';
import type { WebhookVerdict } from '../../domain/ports/webhookKeys.js';
import type { NewWebhook, StoredWebhook } from '../../domain/ports/webhooks.js';
import { memoryEndpoints } from './memoryEndpoints.js';

/**
 * The ports of the API in memory, and switches to break them. The real ones are tested where they are written and end to
 * end; here the API alone is asked what it makes of their answers.
 */
export interface World {
  deps: ApiDeps;
  app: ReturnType<typeof buildApp>;
  /** Authorization headers by the one scope that the key carries; `revoked` and `unknown` open nothing. */
  keys: Record<Scope | 'all' | 'revoked' | 'unknown', { authorization: string }>;
  users: Set<string>;
  items: Map<string, ItemView>;
  rows: { accounts: string[]; transactions: string[]; balances: string[] };
  links: Map<string, LinkRow>;
  logos: Map<string, string>;
  /** By user and float id. */
  floats: Map<string, FloatView>;
  webhooks: Map<string, NewWebhook>;
  rejected: NewWebhook[];
  /** What the verifier was told of accepted webhooks. */
  delivered: { address: string; itemId: string }[];
  alerts: { kind: string; key: string; detail: Record<string, unknown> }[];
  signals: { itemId: string; userId: string; webhook: string }[];
  /** Webhooks for which a signal was asked. */
  claims: string[];
  released: string[];
  plaidCalls: { userId: string; accessToken?: string }[];
  logged: string[];
  /** What the ports do next; a test replaces what it wants to see fail. */
  behave: {
    verdict: (header: string | undefined, body: Uint8Array, address: string) => Promise<WebhookVerdict>;
    store: () => Promise<void>;
    signal: () => Promise<void>;
    link: (tokenHash: string) => Promise<LinkOutcome | null>;
    ping: () => Promise<void>;
    check: (userId: string) => Promise<ItemCheck[] | null>;
    status: () => Promise<ItemStatus | null>;
    reads: () => Promise<void>;
    keys: () => Promise<void>;
    linkToken: (accessToken: string | undefined) => Promise<void>;
    live: (path: string, argument: string) => Promise<void>;
    page: (after: PageKey | null) => void;
    events: EventStore['page'];
    newest: () => string;
    probe: () => Promise<void>;
    temporal: () => Promise<void>;
    pick: string | null;
    /** What is picked when that is passed over. */
    nextPicks: string[];
    logo: string | null;
    now: () => number;
    elapsed: () => number;
  };
}

export function itemView(itemId: string, userId: string, changes: Partial<ItemView> = {}): ItemView {
  return {
    item_id: itemId,
    user_id: userId,
    status: 'ACTIVE',
    phase: 'idle',
    institution_id: 'ins_1',
    institution_name: 'First Platypus Bank',
    main_account_id: 'account-1',
    error: null,
    history: 'complete',
    transactions: 'available',
    last_update_at: '2026-11-21T07:00:00.000Z',
    last_webhook_at: null,
    stopped: null,
    consent_expires_at: null,
    new_accounts_available: false,
    created_at: '2026-11-20T07:00:00.000Z',
    removed_at: null,
    ...changes,
  };
}

type Fields = Partial<{ [Name in keyof ApplicationView]: ApplicationView[Name] | undefined }>;

/** What is not said is null, and the access `connected`. */
const applicationView = (application_id: string, name: string, fields: Fields): ApplicationView => ({
  application_id,
  name: fields.name ?? name,
  access: fields.access ?? 'connected',
  display_name: fields.display_name ?? null,
  company: fields.company ?? null,
  url: fields.url ?? null,
  logo_url: fields.logo_url ?? null,
  reason_for_access: fields.reason_for_access ?? null,
  created_at: fields.created_at ?? '2026-11-21T07:00:00.000Z',
});

function connectionView(connectionId: string, changes: Partial<ConnectionView> = {}): ConnectionView {
  return {
    connection_id: connectionId,
    application: { application_id: 'app-1', name: 'budget', display_name: null },
    item_id: 'item-1',
    user_id: 'user-1',
    status: 'active',
    ...wholeGrant,
    scopes: ['accounts'],
    created_at: '2026-11-20T07:00:00.000Z',
    last_read_at: { accounts: null, balances: null, transactions: null, numbers: null },
    revoked: null,
    ...changes,
  };
}

const institutionRow: InstitutionView = {
  institution_id: 'ins_1',
  name: 'First Platypus Bank',
  country_codes: ['US'],
  products: ['transactions'],
  oauth: false,
  url: null,
  primary_color: null,
  logo: null,
  status: null,
  status_at: null,
  synced_at: '2026-11-21T07:00:00.000Z',
  vanished_at: null,
};

export const down = (): Promise<never> =>
  Promise.reject(new Failure('UPSTREAM_DOWN', 'the database is down'));
export const never = (): Promise<never> => new Promise(() => undefined);

const erasureOf = (erasureId: string): ErasureView => ({
  erasure_id: erasureId,
  user_hash: '0'.repeat(64),
  state: 'removing',
  left: { items: 1, links: 0 },
  requested_at: '2026-11-21T07:00:00.000Z',
  ended_at: null,
  deleted: {},
});

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The rows of one page after `after`, keyed by their place. */
function pageOf<Row>(
  rows: Row[],
  limit: number,
  after: PageKey | null,
): { rows: Row[]; next: PageKey | null } {
  const start = after === null ? 0 : Number(after[0]) + 1;
  const page = rows.slice(start, start + limit);
  return { rows: page, next: start + limit < rows.length ? [String(start + limit - 1)] : null };
}

const textPageOf = (rows: string[], limit: number, after: PageKey | null): TextPage => {
  const page = pageOf(rows, limit, after);
  return { rows: encode(page.rows.join()), next: page.next };
};

/** Deadlines for tests of what happens when they pass. Elsewhere nothing may end because the machine is busy. */
export const impatient: Partial<ApiLimits> = {
  linkMs: 200,
  checkMs: 200,
  plaidMs: 200,
  askMs: 100,
  signalMs: 100,
  intakeMs: 300,
  drainMs: 300,
};

export function createWorld(limits: Partial<ApiLimits> = {}): World {
  const keyring = new Map<string, ApiKey>();
  const keys = {} as World['keys'];
  const give = (name: keyof World['keys'], scopes: Scope[]): void => {
    const key = `key-${name}`;
    keys[name] = { authorization: `Bearer ${key}` };
    keyring.set(hashKey(key), { key_id: name, application_id: 'app-1', access: 'all', scopes });
  };
  for (const scope of ['read', 'write', 'numbers', 'consent', 'admin'] as const) give(scope, [scope]);
  give('all', ['read', 'write', 'numbers', 'admin']);
  // As the store answers: a revoked key is found no more than one that never was.
  keys.revoked = { authorization: 'Bearer key-revoked' };
  keys.unknown = { authorization: 'Bearer key-unknown' };

  const applications = new Map([['app-1', applicationView('app-1', 'first', { access: 'all' })]]);
  const keyIds = new Set(['key-1']);
  const world = {
    keys,
    users: new Set(['user-1', 'user-2', 'user-without-items']),
    items: new Map([
      ['item-1', itemView('item-1', 'user-1')],
      ['item-2', itemView('item-2', 'user-2')],
      [
        'item-gone',
        itemView('item-gone', 'user-1', {
          status: 'REMOVED',
          phase: 'removed',
          removed_at: '2026-11-20T09:00:00.000Z',
        }),
      ],
    ]),
    rows: { accounts: ['{"id":"account-1"}'], transactions: [], balances: [] },
    links: new Map(),
    logos: new Map(),
    floats: new Map(),
    webhooks: new Map(),
    rejected: [],
    delivered: [],
    alerts: [],
    signals: [],
    claims: [],
    released: [],
    plaidCalls: [],
    logged: [],
  } as unknown as World;

  world.behave = {
    verdict: async () => ({ kind: 'accepted' }),
    store: async () => undefined,
    signal: async () => undefined,
    link: async () => ({ kind: 'linked', item_id: 'item-1', replaces: null, warnings: [] }),
    ping: async () => undefined,
    check: async () => [],
    status: async () => null,
    reads: async () => undefined,
    keys: async () => undefined,
    linkToken: async () => undefined,
    live: async () => undefined,
    page: () => undefined,
    events: async () => ({ events: [], next: { xid: '7', position: '0' }, hasMore: false, newest: '' }),
    newest: () => '',
    probe: async () => undefined,
    temporal: async () => undefined,
    pick: null,
    nextPicks: [],
    logo: 'bG9nbw==',
    now: () => Date.now(),
    elapsed: () => performance.now(),
  };
  const { behave } = world;

  const cached = async (
    filter: ListedItems,
    rows: string[],
    limit: number,
    after: PageKey | null,
  ): Promise<CachedPage> => {
    await behave.reads();
    behave.page(after);
    const listed = (item: ItemView): boolean =>
      'itemId' in filter
        ? item.item_id === filter.itemId
        : 'itemIds' in filter
          ? filter.itemIds.includes(item.item_id)
          : item.user_id === filter.userId && (filter.includeRemoved || item.status !== 'REMOVED');
    const items = [...world.items.values()]
      .filter(listed)
      .map(({ item_id, phase, history, last_update_at }) => ({
        item_id,
        phase,
        history,
        as_of: last_update_at,
      }));
    return { items, refused: null, ...textPageOf(items.length === 0 ? [] : rows, limit, after) };
  };

  const storedView = (id: string, webhook: NewWebhook): StoredWebhook => ({
    webhook_id: id,
    received_at: '2026-11-21T07:00:00.000Z',
    source: webhook.source,
    verdict: webhook.verdict,
    webhook_type: webhook.webhook_type,
    webhook_code: webhook.webhook_code,
    item_id: webhook.item_id,
    outcome: { state: webhook.reason === null ? 'pending' : 'ignored', reason: webhook.reason },
    body: new TextDecoder().decode(webhook.body),
  });

  world.deps = {
    webhookUrl: 'https://sluice.example/webhooks/plaid',
    plaid: {
      updateWebhook: async () => undefined,
      async createLinkToken(request) {
        world.plaidCalls.push(request);
        await behave.linkToken(request.accessToken);
        return { link_token: 'link-sandbox-1', expiration: '2999-11-21T11:00:00Z' };
      },
      getItem: async () => ({
        institution_id: null,
        institution_name: null,
        webhook: null,
        error: null,
        consent_expiration_time: null,
        last_successful_update: null,
      }),
      resetLogin: async () => undefined,
      getAccounts: async () => [],
      syncTransactions: async () => ({
        added: [],
        modified: [],
        removed: [],
        accounts: [],
        next_cursor: 'c1',
        has_more: false,
        transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
      }),
    },
    live: {
      async accounts(token) {
        await behave.live('accounts', token);
        return { accounts: [], request_id: 'r1' };
      },
      async balances(token) {
        await behave.live('balances', token);
        return { accounts: [], request_id: 'r1' };
      },
      async transactions(token, { from, to, accountIds = [], count, offset }) {
        await behave.live('transactions', [token, from, to, accountIds.join(), count, offset].join(' '));
        return { transactions: [], total_transactions: 0, request_id: 'r1' };
      },
      async institution(institutionId) {
        await behave.live('institution', institutionId);
        return { institution: { institution_id: institutionId, name: 'A bank' }, request_id: 'r1' };
      },
    },
    directory: {
      async get(institutionId) {
        await behave.live('directory', institutionId);
        return { institution_id: institutionId, name: 'A bank', logo: behave.logo };
      },
    },
    institutions: {
      async get(institutionId) {
        await behave.reads();
        return institutionId === institutionRow.institution_id ? institutionRow : null;
      },
      async page(_filter, limit, after) {
        await behave.reads();
        behave.page(after);
        return textPageOf([JSON.stringify(institutionRow)], limit, after);
      },
      async asOf() {
        return institutionRow.synced_at;
      },
      async logos(ids) {
        await behave.reads();
        return new Map([...world.logos].filter(([id]) => ids.includes(id)));
      },
      now: async () => institutionRow.synced_at,
      async save(institutionId, _askedAt, institution) {
        await behave.store();
        if (institution?.logo) world.logos.set(institutionId, institution.logo);
      },
    },
    items: {
      setBroken: async () => true,
      setHealthy: async () => true,
      noteConsent: async () => undefined,
    },
    // What is asked of Items is tried against the real database, in test/drizzle and test/e2e.
    commands: {
      requestRemoval: async (itemId) => (world.items.has(itemId) ? 'requested' : 'not_found'),
      setMainAccount: async (_viewer, itemId, accountId) =>
        !world.items.has(itemId) ? 'not_found' : accountId === 'account-1' ? 'done' : 'unknown_account',
      itemChangeReasons: async () => [],
      noteRelinked: async () => 'noted',
      noteUpdateMode: async () => undefined,
      resumeConnection: async () => false,
      requestRemine: async (_viewer, itemId) => (world.items.has(itemId) ? { number: 1 } : 'not_found'),
    },
    numbers: {
      read: async (_viewer, itemId) =>
        world.items.has(itemId) ? { numbers: [], withheld: [], missing: [], nextReadAt: null } : null,
    },
    ...memoryEndpoints(behave),
    endpointRules: { allowed: [], insecure: false },
    sandbox: true,
    eventsKeptMs: 30 * 86_400_000,
    defaultGrant: grantByDefault(['transactions']),
    itemChangeCooldownMs: 0,
    brokenCheckMs: 3_600_000,
    secrets: {
      seal: async (plaintext, context) => ({
        keyId: 'k',
        dataKey: encode(context),
        ciphertext: encode(plaintext),
      }),
      async open(sealed, context) {
        await behave.keys();
        if (new TextDecoder().decode(sealed.dataKey) !== context) {
          throw new Failure('SECRET_UNREADABLE', 'another row');
        }
        return new TextDecoder().decode(sealed.ciphertext);
      },
    },
    links: {
      async receive(link) {
        await behave.store();
        const known = world.links.get(link.token_hash);
        if (known !== undefined) return known.user_id === link.user_id ? known : null;
        world.users.add(link.user_id);
        const row: LinkRow = {
          token_hash: link.token_hash,
          user_id: link.user_id,
          application_id: link.application_id,
          state: 'received',
          item_id: null,
          outcome: null,
          institution_id: link.institution_id,
          accounts: link.accounts,
          main_account_id: link.main_account_id,
          allow_duplicate: link.allow_duplicate ?? false,
          connection: link.connection ?? null,
        };
        world.links.set(link.token_hash, row);
        return row;
      },
    },
    reads: {
      async user(_viewer, userId) {
        await behave.reads();
        if (!world.users.has(userId)) return null;
        const items = [...world.items.values()].filter((item) => item.user_id === userId).length;
        return { user_id: userId, status: 'active', activated_at: '2026-11-20T07:00:00.000Z', items };
      },
      async ensureUser(userId) {
        await behave.store();
        world.users.add(userId);
      },
      async item(_viewer, itemId) {
        await behave.reads();
        return world.items.get(itemId) ?? null;
      },
      async items(_viewer, { userId, statuses }, limit, after) {
        await behave.reads();
        behave.page(after);
        const rows = [...world.items.values()].filter(
          (item) => item.user_id === userId && statuses.includes(item.status),
        );
        return pageOf(rows, limit, after);
      },
      accounts: async (_viewer, filter, limit, after) => cached(filter, world.rows.accounts, limit, after),
      transactions: async (_viewer, filter, limit, after) =>
        cached(filter, world.rows.transactions, limit, after),
      balances: async (_viewer, filter, limit, after) => cached(filter, world.rows.balances, limit, after),
      async asking(_viewer, itemId) {
        const item = world.items.get(itemId);
        if (item === undefined || item.status === 'REMOVED') return null;
        const accessToken = {
          keyId: 'k',
          dataKey: encode(`items/${itemId}/access_token`),
          ciphertext: encode(`access-${itemId}`),
        };
        const seen = {
          at: '2026-11-21T10:00:00Z',
          update: null,
          rows: 0,
          health: 0,
          numbers: 0,
          remine: null,
        };
        return {
          itemId,
          userId: item.user_id,
          institutionId: item.institution_id,
          accessToken,
          seen,
          episodeBy: item.error === null ? null : 'item',
          cursor: '',
        };
      },
      bounds: async () => ({
        connectionId: null,
        scopes: [...connectionScopes],
        accountIds: null,
        openAccountIds: null,
        since: null,
      }),
      seesWhole: async () => true,
      seenItems: async (_viewer, itemIds) => new Set(itemIds),
      async pickForUpdateMode(_viewer, userId, itemId, except = []) {
        const queue = itemId === null ? [behave.pick, ...behave.nextPicks] : [itemId];
        const picked = queue.find((id) => id !== null && !except.includes(id)) ?? null;
        const item = picked === null ? undefined : world.items.get(picked);
        if (item === undefined || item.user_id !== userId || item.status === 'REMOVED') return null;
        const accessToken = {
          keyId: 'k',
          dataKey: encode(`items/${item.item_id}/access_token`),
          ciphertext: encode(`access-${item.item_id}`),
        };
        return {
          itemId: item.item_id,
          userId,
          institutionId: item.institution_id,
          accessToken,
          newAccounts: item.new_accounts_available,
          pickedAt: '2026-11-21 07:00:00+00',
          lostAccounts: false,
          asksConsent: item.error?.error_code === 'ADDITIONAL_CONSENT_REQUIRED',
        };
      },
    },
    // Whose connection is whose is tried against the real database, in test/drizzle and test/api/connections.test.ts.
    connections: {
      get: async (_sight, id) => (id === 'connection-1' ? connectionView(id) : null),
      async page(_sight, of, _filter, limit, after) {
        await behave.reads();
        behave.page(after);
        const known =
          'userId' in of
            ? world.users.has(of.userId)
            : 'itemId' in of
              ? world.items.has(of.itemId)
              : applications.has(of.applicationId);
        return known ? pageOf([connectionView('connection-1')], limit, after) : null;
      },
      async history(_sight, id, limit, after) {
        behave.page(after);
        if (id !== 'connection-1') return null;
        const entry = {
          position: 1,
          at: '2026-11-20T07:00:00.000Z',
          action: 'created' as const,
          initiator: 'operator' as const,
          application_id: 'app-1',
          key_id: 'key-1',
          reason: null,
          grant: connectionView(id),
        };
        return pageOf([entry], limit, after);
      },
      grant: async () => ({ kind: 'done', connection: connectionView('connection-1') }),
      change: async (_sight, id) =>
        id === 'connection-1' ? { kind: 'done', connection: connectionView(id) } : { kind: 'not_found' },
      renew: async (_sight, id) =>
        id === 'connection-1' ? { kind: 'done', connection: connectionView(id) } : { kind: 'not_found' },
      cut: async () => false,
      revoke: async (_sight, id) =>
        id === 'connection-1' ? { kind: 'done', connection: connectionView(id) } : { kind: 'not_found' },
      revokeOfUser: async (userId) =>
        world.users.has(userId) ? { connectionIds: ['connection-1'], itemIds: ['item-1'] } : null,
    },
    portal: {
      open: async (_hash, { userId }) =>
        world.users.has(userId) ? { expiresAt: '2999-01-01T00:00:00.000Z' } : null,
      session: async () => null,
      connections: async () => [],
    },
    portalPage: {
      url: null,
      name: 'Acme Bank',
      accent: '#0b5cad',
      background: '#f5f6f8',
      logo: null,
      renewalMs: 365 * 86_400_000,
    },
    webhooks: {
      async store(webhook) {
        await behave.store();
        const webhookId = `webhook-${world.webhooks.size + 1}`;
        world.webhooks.set(webhookId, webhook);
        return { webhookId };
      },
      async replay(_viewer, webhookId) {
        const webhook = world.webhooks.get(webhookId);
        if (webhook === undefined) return 'not_found';
        const replayed = `webhook-${world.webhooks.size + 1}`;
        world.webhooks.set(replayed, { ...webhook, source: 'replay' });
        return { webhookId: replayed, itemId: webhook.item_id, kind: webhook.kind };
      },
      async storeRejected(webhook) {
        await behave.store();
        world.rejected.push(webhook);
      },
      async acquireSignal(webhookId) {
        world.claims.push(webhookId);
        const webhook = world.webhooks.get(webhookId);
        const item = world.items.get(webhook?.item_id ?? '');
        if (!webhook?.kind || item === undefined) return null;
        return { webhookId, itemId: item.item_id, userId: item.user_id, kind: webhook.kind };
      },
      async releaseSignal(webhookId) {
        world.released.push(webhookId);
      },
      async page(_viewer, _filter, limit, after) {
        await behave.reads();
        behave.page(after);
        return pageOf(
          [...world.webhooks].map(([id, webhook]) => storedView(id, webhook)),
          limit,
          after,
        );
      },
      async get(_viewer, webhookId) {
        await behave.reads();
        const webhook = world.webhooks.get(webhookId);
        return webhook === undefined ? null : storedView(webhookId, webhook);
      },
    },
    // What is told to whom is tried against the real database, in test/drizzle/events.test.ts and test/api/events.test.ts.
    events: {
      page: (viewer, after, types, limit) => behave.events(viewer, after, types, limit),
      newest: async () => behave.newest(),
    },
    // Likewise, in test/drizzle/changes.test.ts.
    changes: {
      changes: async (_viewer, itemId, _records, after) =>
        world.items.has(itemId) ? { rows: [], next: after, hasMore: false } : null,
      snapshot: async (_viewer, itemId) =>
        world.items.has(itemId) ? { rows: [], sequence: 0, next: null } : null,
    },
    floats: {
      async record({ userId, floatId, status, occurredAt, by }) {
        await behave.store();
        if (by !== null && !world.users.has(userId)) return null;
        const occurred_at = occurredAt ?? new Date(behave.now()).toISOString();
        const float = { user_id: userId, float_id: floatId, status, occurred_at };
        world.floats.set(`${userId}/${floatId}`, float);
        return float;
      },
      async get(_viewer, userId, floatId) {
        await behave.reads();
        return !world.users.has(userId) ? null : (world.floats.get(`${userId}/${floatId}`) ?? null);
      },
    },
    applications: {
      async create(name, _effectId, { access = 'connected', ...face } = {}) {
        await behave.store();
        const application_id = `app-${applications.size + 1}`;
        const made = applicationView(application_id, name, { access, ...face });
        applications.set(application_id, made);
        return made;
      },
      async get(applicationId) {
        await behave.reads();
        return applications.get(applicationId) ?? null;
      },
      async page(limit, after) {
        await behave.reads();
        behave.page(after);
        return pageOf([...applications.values()], limit, after);
      },
      async change(applicationId, changes) {
        await behave.store();
        const application = applications.get(applicationId);
        if (application === undefined) return null;
        const changed = applicationView(application.application_id, application.name, {
          ...application,
          ...changes,
        });
        applications.set(applicationId, changed);
        return changed;
      },
      async keys(applicationId, limit, after) {
        await behave.reads();
        behave.page(after);
        if (!applications.has(applicationId)) return null;
        const rows = [...keyring.values()]
          .filter((key) => key.application_id === applicationId)
          .map(({ key_id, scopes }) => ({
            key_id,
            scopes,
            created_at: '2026-11-21T07:00:00.000Z',
            last_used_at: null,
            revoked_at: null,
          }));
        return pageOf(rows, limit, after);
      },
      async addKey(applicationId, _effectId, keyHash, scopes) {
        await behave.store();
        if (!applications.has(applicationId)) return null;
        const key_id = `key-${keyIds.size + 1}`;
        keyIds.add(key_id);
        const access = applications.get(applicationId)?.access ?? 'connected';
        keyring.set(keyHash, { key_id, application_id: applicationId, access, scopes });
        return { key_id };
      },
      async revokeKey(keyId) {
        await behave.store();
        for (const [hash, key] of keyring) if (key.key_id === keyId) keyring.delete(hash);
        return keyIds.has(keyId);
      },
      async findKey(keyHash) {
        return keyring.get(keyHash) ?? null;
      },
    },
    // Every request runs: what a key does is asked of the real store, in idempotency.test.ts.
    idempotency: {
      begin: async () => ({ kind: 'run', effectId: crypto.randomUUID(), prepared: null }),
      prepare: async () => true,
      finish: async () => true,
      release: async () => undefined,
    },
    gateway: {
      link: (tokenHash) => behave.link(tokenHash),
      ping: () => behave.ping(),
      checkUser: (userId) => behave.check(userId),
      itemStatus: () => behave.status(),
      async startErasure() {
        await behave.signal();
      },
      async signalItem(itemId, userId, signal) {
        await behave.signal();
        if (signal.kind === 'webhookReceived')
          world.signals.push({ itemId, userId, webhook: signal.webhook });
      },
    },
    // What is deleted, and in which order, is tried against the real database, in test/drizzle and test/e2e.
    erasures: {
      async request(userId, { erasureId, force }) {
        await behave.store();
        if (!world.users.has(userId)) return 'not_found';
        if (
          !force &&
          [...world.floats.values()].some((one) => one.user_id === userId && one.status === 'active')
        )
          return 'active_float';
        return erasureOf(erasureId);
      },
      get: async (erasureId) => (erasureId === 'era_none' ? null : erasureOf(erasureId)),
    },
    exports: {
      async write(userId, emit) {
        await emit(`${JSON.stringify({ type: 'user', user_id: userId })}\n`);
        await behave.reads();
        await emit('{"type":"end","lines":1}\n');
      },
    },
    verifier: {
      verify: (header, body, address) => behave.verdict(header, body, address),
      delivered: (address, itemId) => void world.delivered.push({ address, itemId }),
    },
    alerts: {
      async raise({ kind, key, detail }) {
        await behave.store();
        world.alerts.push({ kind, key, detail });
      },
    },
    probes: [
      { name: 'postgresql', needed: true, check: () => behave.probe() },
      { name: 'temporal', needed: false, check: () => behave.temporal() },
    ],
    logger: pino({ level: 'debug' }, { write: (line: string) => void world.logged.push(line) }),
    figures: {
      async read() {
        await behave.reads();
        return {
          items: [{ status: 'ACTIVE', history: 'complete', count: 2 }],
          unsentItems: 1,
          oldestUnsentSeconds: 7,
          pendingWebhooks: 3,
          oldestPendingWebhookSeconds: 9,
          overdueItems: 0,
          endpoints: [],
          pendingDeliveries: 0,
          oldestDueDeliverySeconds: 0,
          alerts: [],
        };
      },
    },
    metrics: promMetrics(new Registry()),
    serveMetrics: true,
    version: '1.2.3',
    now: () => behave.now(),
    elapsed: () => behave.elapsed(),
    limits: {
      linkMs: 60_000,
      checkMs: 60_000,
      plaidMs: 60_000,
      askMs: 60_000,
      signalMs: 60_000,
      intakeMs: 60_000,
      drainMs: 60_000,
      requestsPerMinute: 0,
      // A test machine may be as late as it likes.
      eventLoopDelayMs: 0,
      ...limits,
    },
  };
  world.app = buildApp(world.deps);
  return world;
}

/** One request to a world of its own that loses patience soon, behaving as given. */
export async function askHastily(
  behave: Partial<World['behave']>,
  request: (keys: World['keys']) => InjectOptions,
): Promise<LightMyRequestResponse> {
  const hasty = createWorld(impatient);
  Object.assign(hasty.behave, behave);
  const answer = await hasty.app.inject(request(hasty.keys));
  await hasty.app.close();
  return answer;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Waits until `check` holds; the condition, not the clock, decides, and a bound that no slow machine meets names what never came. */
export async function until(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const started = performance.now();
  while (!(await check())) {
    if (performance.now() - started > 120_000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
