import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type {
  ApplicationStore,
  FloatStore,
  Gateway,
  LinkStore,
  PlaidPort,
  Probe,
  ReadStore,
  SecretBox,
  WebhookStore,
  WebhookVerifier,
} from '../src/domain/ports.js';
import type { MetricsRegistry } from './metrics.js';

/** What the API needs from outside. */
export interface ApiDeps {
  plaid: Pick<PlaidPort, 'createLinkToken'>;
  secrets: SecretBox;
  links: Pick<LinkStore, 'receive'>;
  reads: ReadStore;
  floats: FloatStore;
  webhooks: WebhookStore;
  applications: Pick<ApplicationStore, 'create' | 'addKey' | 'revokeKey' | 'findKey'>;
  gateway: Pick<Gateway, 'link' | 'signalItem' | 'itemStatus' | 'ping' | 'checkUser'>;
  verifier: WebhookVerifier;
  /** What `/readyz` names. */
  probes: readonly Probe[];
  /** A pino logger, or something of its shape. */
  logger: FastifyBaseLogger;
  metrics: MetricsRegistry;
  /** Serve `/metrics` here; false when metrics have a port of their own. */
  serveMetrics: boolean;
  /** Shown in OpenAPI. */
  version: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
  limits?: Partial<ApiLimits>;
}

/** Times in milliseconds. */
export interface ApiLimits {
  /** How long POST items waits for the link. */
  linkMs: number;
  /** How long POST logins waits for the check. */
  checkMs: number;
  /** For one call to Plaid; below the adapter's own bound, so that a time-out is told as one. */
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
}

export const defaultLimits: ApiLimits = {
  linkMs: 30_000,
  checkMs: 20_000,
  plaidMs: 9_000,
  askMs: 3_000,
  signalMs: 2_000,
  signalsWaiting: 1_000,
  signalsAtOnce: 16,
  intakeMs: 4_000,
  drainMs: 5_000,
};

/** What a file of routes receives. */
export interface RouteContext extends ApiDeps {
  limits: ApiLimits;
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
