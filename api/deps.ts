import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Grant } from '../domain/exchange/connection.js';
import type { AlertStore } from '../domain/ports/alerts.js';
import type { ApplicationStore } from '../domain/ports/applications.js';
import type { ConnectionStore } from '../domain/ports/connections.js';
import type { EndpointRules } from '../domain/exchange/peerAddress.js';
import type { DeliveryStore } from '../domain/ports/deliveries.js';
import type { EndpointStore } from '../domain/ports/endpoints.js';
import type { ChangeStore } from '../domain/ports/changes.js';
import type { EventStore } from '../domain/ports/events.js';
import type { ErasureStore } from '../domain/ports/erasures.js';
import type { FiguresStore, Probe } from '../domain/ports/figures.js';
import type { FloatStore } from '../domain/ports/floats.js';
import type { Gateway } from '../domain/ports/gateway.js';
import type { IdempotencyStore } from '../domain/ports/idempotency.js';
import type { InstitutionStore } from '../domain/ports/institutions.js';
import type { ItemCommandStore } from '../domain/ports/itemCommands.js';
import type { ItemStore } from '../domain/ports/items.js';
import type { LinkStore } from '../domain/ports/links.js';
import type { NumbersStore } from '../domain/ports/numbers.js';
import type { PlaidDirectory, PlaidLive, PlaidPort } from '../domain/ports/plaid.js';
import type { PortalStore } from '../domain/ports/portal.js';
import type { ReadStore } from '../domain/ports/reads.js';
import type { SecretBox } from '../domain/ports/secrets.js';
import type { UserExport } from '../domain/ports/userExport.js';
import type { WebhookVerifier } from '../domain/ports/webhookKeys.js';
import type { WebhookStore } from '../domain/ports/webhooks.js';
import type { EventWaits } from './eventWaits.js';
import type { LiveReads } from './liveReads.js';
import type { MetricsRegistry } from './metrics.js';
import type { PortalSettings } from './portal/settings.js';

/** What the API needs from outside. */
export interface ApiDeps {
  plaid: Pick<
    PlaidPort,
    'createLinkToken' | 'getItem' | 'updateWebhook' | 'resetLogin' | 'syncTransactions' | 'getAccounts'
  >;
  /** Where Plaid's webhooks are to go; null = our address is not known. */
  webhookUrl: string | null;
  live: PlaidLive;
  directory: Pick<PlaidDirectory, 'get'>;
  institutions: Pick<InstitutionStore, 'now' | 'get' | 'page' | 'asOf' | 'logos' | 'save'>;
  secrets: SecretBox;
  links: Pick<LinkStore, 'receive'>;
  reads: ReadStore;
  connections: ConnectionStore;
  portal: PortalStore;
  items: Pick<ItemStore, 'setBroken' | 'setHealthy' | 'noteConsent'>;
  commands: ItemCommandStore;
  numbers: NumbersStore;
  webhooks: WebhookStore;
  endpoints: EndpointStore;
  deliveries: DeliveryStore;
  applications: Omit<ApplicationStore, 'ensureAdmin'>;
  idempotency: Pick<IdempotencyStore, 'begin' | 'prepare' | 'finish' | 'release'>;
  gateway: Pick<Gateway, 'link' | 'signalItem' | 'itemStatus' | 'ping' | 'checkUser' | 'startErasure'>;
  events: EventStore;
  changes: ChangeStore;
  erasures: Pick<ErasureStore, 'request' | 'get'>;
  exports: UserExport;
  floats: FloatStore;
  figures: FiguresStore;
  alerts: AlertStore;
  verifier: WebhookVerifier;
  /** What `/readyz` names. */
  probes: readonly Probe[];
  /** Plaid is its sandbox or the simulator. */
  sandbox: boolean;
  /** What who links an Item is granted where the request says nothing. */
  defaultGrant: Grant;
  /** For how long after a link or a change of the main account an item change is advised against; 0 = not at all. */
  itemChangeCooldownMs: number;
  /** Where events may be sent. */
  endpointRules: EndpointRules;
  /** For how long events are kept: a cursor that is older may have lost some. */
  eventsKeptMs: number;
  /** When a broken Item is asked for again. */
  brokenCheckMs: number;
  /** A pino logger, or something of its shape. */
  logger: FastifyBaseLogger;
  metrics: MetricsRegistry;
  /** Serve `/metrics` here; false when metrics have a port of their own. */
  serveMetrics: boolean;
  portalPage: PortalSettings;
  /** Shown in OpenAPI. */
  version: string;
  /** Addresses or networks whose X-Forwarded-For names the client. Absent: the peer is the client. */
  trustedProxies?: readonly string[] | undefined;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Milliseconds since some moment, by a clock that takes no step: how long ago something was here. */
  elapsed?: () => number;
  limits?: Partial<ApiLimits>;
}

/** Times in milliseconds. */
export interface ApiLimits {
  /** For the head and the body of a request to arrive. */
  requestMs: number;
  /** How long POST items waits for the link. */
  linkMs: number;
  /** How long POST logins waits for the check. */
  checkMs: number;
  /** For one call to Plaid; below the adapter's own bound, so that a time-out is reported as one. */
  plaidMs: number;
  /** For one question to a workflow, and for one probe of `/readyz`. */
  askMs: number;
  /** For one signal behind a webhook. */
  signalMs: number;
  /** Signals that may wait, and that may be on their way at once. */
  signalsWaiting: number;
  signalsAtOnce: number;
  /** For the verification and for the commit of a webhook, each. */
  intakeMs: number;
  /** For the background work at shutdown. */
  drainMs: number;
  /** Live reads that may be on their way at once. */
  liveReads: number;
  /** Requests that may wait for events at once, and how often the database is asked for all of them. */
  eventWaits: number;
  eventPollMs: number;
  /** How long a list waits for logos that have to be fetched first. */
  logoMs: number;
  /** For a request with an Idempotency-Key: afterwards a repeat takes it over. Longer than any request takes. */
  leaseMs: number;
  /** Requests a minute for one API key; a twentieth of it for an address without a valid one. 0 = no limit. */
  requestsPerMinute: number;
  /** By how much the event loop may be late before requests of clients are refused. 0 = they never are. */
  eventLoopDelayMs: number;
}

export const defaultLimits: ApiLimits = {
  requestMs: 15_000,
  linkMs: 30_000,
  checkMs: 20_000,
  plaidMs: 9_000,
  askMs: 3_000,
  signalMs: 2_000,
  signalsWaiting: 1_000,
  signalsAtOnce: 16,
  intakeMs: 4_000,
  drainMs: 5_000,
  liveReads: 32,
  eventWaits: 64,
  eventPollMs: 500,
  logoMs: 2_000,
  leaseMs: 60_000,
  requestsPerMinute: 1_200,
  eventLoopDelayMs: 500,
};

/** What a file of routes receives. */
export interface RouteContext extends ApiDeps {
  limits: ApiLimits;
  liveReads: LiveReads;
  eventWaits: EventWaits;
  elapsed: () => number;
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
