import { createHash, randomBytes } from 'node:crypto';
import type { Context } from '@temporalio/activity';
import { asyncLocalStorage } from '@temporalio/activity';
import type postgres from 'postgres';
import type { ActivityDeps, CrashPoint } from '../../activities/deps.js';
import { createActivities } from '../../activities/index.js';
import type { Activities } from '../../activities/index.js';
import type { Stores } from '../../drizzle/index.js';
import { createStores } from '../../drizzle/index.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { createKeyring } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import type { ItemSignal } from '../../domain/ports/gateway.js';
import type { NewLink } from '../../domain/ports/links.js';
import type { OutgoingEvent, SendResult } from '../../domain/ports/eventSender.js';
import type { SecretBox } from '../../domain/ports/secrets.js';
import type { SegmentEvent } from '../../domain/ports/segment.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { FakeDirectory } from './fakeDirectory.js';
import { FakeItem, FakePlaid } from './fakePlaid.js';

/** Activities on real stores, with a scripted Plaid, streams in memory, and a Temporal that only takes notes. */
export interface ActivityWorld {
  plaid: FakePlaid;
  directory: FakeDirectory;
  stores: Stores;
  sql: postgres.Sql;
  secrets: SecretBox;
  gateway: ActivityDeps['gateway'];
  /** Every activity, as Temporal calls it. */
  run: Activities;
  /** The same over other ports. */
  runWith(deps: Partial<ActivityDeps>): Activities;
  signals: { itemId: string; signal: ItemSignal['kind'] }[];
  startedLinks: string[];
  wokenEndpoints: string[];
  /** What endpoints were sent; `answer` says what they answer. */
  sent: OutgoingEvent[];
  answer: (event: OutgoingEvent) => Partial<SendResult> | Promise<Partial<SendResult>>;
  /** Accepted records, in order. */
  records: { stream: string; key: string; events: { id: string; sequence: number }[] }[];
  startedErasures: string[];
  /** Workflows of the user that Temporal has yet to delete, and whose were asked for. */
  workflowsLeft: number;
  erasedOf: string[];
  /** Set: the next pass of this crash point throws, as a killed process would leave the work. */
  crashAt: CrashPoint | null;
  /** Number of the attempt that Temporal makes, from 1. */
  attempt: number;
  unexpected: string[];
  /** What Segment was told, in order. */
  tracked: SegmentEvent[];
  /** A row in state `received`, and the Item that its exchange makes. */
  receive(user?: string, more?: Partial<NewLink>): Promise<{ tokenHash: string; item: FakeItem }>;
  /** An Item that is linked and admitted. */
  linkedItem(user?: string): Promise<FakeItem>;
  /** Every row of every table, as text, without what is a reading of the clock or counts questions. */
  dump(): Promise<string[]>;
  close(): Promise<void>;
}

class Crash extends Error {}

const clocks =
  /"(updated_at|next_due_at|settled_at|signalled_at|as_of|staged_at|synced_at|listed_at|status_at|told_at|health_answers|numbers_facts|numbers_asked_at)": ?("[^"]*"|null|\d+)/g;

export async function createActivityWorld(): Promise<ActivityWorld> {
  const database = await createTestDatabase();
  const sql = openDatabase(database.url, { max: 4 });
  const stores = createStores(sql);
  const secrets = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));
  const plaid = new FakePlaid();
  const directory = new FakeDirectory();
  const signals: ActivityWorld['signals'] = [];
  const startedLinks: string[] = [];
  const wokenEndpoints: string[] = [];
  const sent: OutgoingEvent[] = [];
  const records: ActivityWorld['records'] = [];
  const unexpected: string[] = [];
  const tracked: ActivityWorld['tracked'] = [];
  let counter = 0;

  const deps: ActivityDeps = {
    plaid,
    directory,
    institutions: stores.institutions,
    secrets,
    links: stores.links,
    items: stores.items,
    mining: stores.mining,
    commands: stores.itemCommands,
    outbox: stores.outbox,
    erasures: stores.erasures,
    alerts: stores.alerts,
    segments: stores.segment,
    segment: {
      async track(event) {
        tracked.push(event);
      },
    },
    sending: stores.sending,
    sender: {
      async send(event, signal) {
        sent.push(event);
        const answer = await world.answer(event);
        const plain = {
          at: new Date().toISOString(),
          durationMs: 1,
          failure: null,
          retryAfterMs: null,
          answer: null,
        };
        return signal.aborted
          ? null
          : { ...plain, status: answer.failure === undefined ? 200 : null, ...answer };
      },
    },
    sweeps: stores.sweep,
    connectionEnds: stores.connectionEnds,
    retention: stores.retention,
    idempotency: stores.idempotency,
    banks: stores.banks,
    logins: stores.logins,
    webhooks: stores.webhooks,
    streams: {
      async put(stream, key, data) {
        records.push({ stream, key, events: JSON.parse(Buffer.from(data).toString()) });
      },
    },
    gateway: {
      async signalItem(itemId, _userId, signal) {
        signals.push({ itemId, signal: signal.kind });
      },
      async wakeEndpoint(endpointId) {
        wokenEndpoints.push(endpointId);
      },
      isHistoryRunning: async () => false,
      isRemineRunning: () => Promise.resolve(false),
      async startLink(tokenHash) {
        startedLinks.push(tokenHash);
      },
      async startErasure(erasureId) {
        world.startedErasures.push(erasureId);
      },
      async deleteWorkflowsOf(userId) {
        world.erasedOf.push(userId);
        const left = world.workflowsLeft;
        world.workflowsLeft = 0;
        return left;
      },
    },
    policy: { ...defaultPolicy, doubtPause: 10 },
    webhookUrl: 'https://sluice.example/webhooks/plaid',
    staleAfterMs: 86_400_000,
    itemGraceMs: 7 * 86_400_000,
    plaidEnvironment: 'sandbox',
    crashPoint(name) {
      if (world.crashAt !== name) return;
      world.crashAt = null;
      throw new Crash();
    },
    reportUnexpected: (activity, error) => {
      if (!(error instanceof Crash)) unexpected.push(`${activity}: ${String(error)}`);
    },
  };

  /** What activities ask of Temporal; nobody cancels them. */
  const context = {
    info: {
      get attempt() {
        return world.attempt;
      },
      startToCloseTimeoutMs: 60_000,
    },
    heartbeat: () => undefined,
    cancellationSignal: new AbortController().signal,
    cancelled: new Promise(() => undefined),
  } as unknown as Context;
  const inContext = (activities: Activities): Activities =>
    Object.fromEntries(
      Object.entries(activities).map(([name, activity]) => [
        name,
        (input: never) =>
          asyncLocalStorage.run(context, () => (activity as (given: never) => Promise<unknown>)(input)),
      ]),
    ) as unknown as Activities;

  const world: ActivityWorld = {
    plaid,
    directory,
    stores,
    sql,
    tracked,
    secrets,
    gateway: deps.gateway,
    run: inContext(createActivities(deps)),
    runWith: (other) => inContext(createActivities({ ...deps, ...other })),
    signals,
    startedLinks,
    wokenEndpoints,
    sent,
    answer: () => ({}),
    startedErasures: [],
    workflowsLeft: 0,
    erasedOf: [],
    records,
    unexpected,
    crashAt: null,
    attempt: 1,

    async receive(user = `user-${counter}`, more = {}) {
      counter += 1;
      const publicToken = `public-${counter}`;
      const tokenHash = createHash('sha256').update(publicToken).digest('hex');
      const item = new FakeItem(`Item${counter}`, `access-${counter}`);
      plaid.linkable.set(publicToken, item);
      await stores.links.receive({
        token_hash: tokenHash,
        user_id: user,
        application_id: 'default',
        publicToken: await secrets.seal(publicToken, secretContext.publicToken(tokenHash)),
        institution_id: null,
        accounts: [],
        main_account_id: null,
        ...more,
      });
      return { tokenHash, item };
    },

    async linkedItem(user) {
      const { tokenHash, item } = await world.receive(user);
      await world.run.exchangePublicToken({ tokenHash });
      const admitted = await world.run.admitItem({ tokenHash });
      if (admitted.kind !== 'admitted') throw new Failure('BAD_REQUEST', 'the Item was not admitted');
      const { item_id } = { item_id: item.itemId };
      await world.run.finishLink({
        tokenHash,
        outcome: { kind: 'linked', item_id, replaces: null, warnings: [] },
      });
      return item;
    },

    async dump() {
      const tables = await sql<{ name: string }[]>`
        SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`;
      const lines: string[] = [];
      for (const { name } of tables) {
        const rows = await sql.unsafe<{ row: string }[]>(`SELECT to_jsonb(t)::text AS row FROM ${name} t`);
        lines.push(...rows.map(({ row }) => `${name} ${row.replace(clocks, '')}`).sort());
      }
      return lines;
    },

    async close() {
      await sql.end({ timeout: 5 });
      await database.drop();
    },
  };
  return world;
}
