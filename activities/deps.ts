import type { AlertStore } from '../domain/ports/alerts.js';
import type { DeliverySender } from '../domain/ports/deliveries.js';
import type { EventSender } from '../domain/ports/eventSender.js';
import type { BankPauseStore } from '../domain/ports/bankPauses.js';
import type { ConnectionEndStore } from '../domain/ports/connectionEnds.js';
import type { Gateway } from '../domain/ports/gateway.js';
import type { IdempotencyStore } from '../domain/ports/idempotency.js';
import type { InstitutionStore } from '../domain/ports/institutions.js';
import type { ItemCommandStore } from '../domain/ports/itemCommands.js';
import type { ItemStore } from '../domain/ports/items.js';
import type { LinkStore } from '../domain/ports/links.js';
import type { LoginStore } from '../domain/ports/logins.js';
import type { MiningStore } from '../domain/ports/mining.js';
import type { OutboxStore, StreamPort } from '../domain/ports/outbox.js';
import type { PlaidDirectory, PlaidPort } from '../domain/ports/plaid.js';
import type { RetentionStore } from '../domain/ports/retention.js';
import type { SecretBox } from '../domain/ports/secrets.js';
import type { SegmentPort, SegmentStore } from '../domain/ports/segment.js';
import type { SweepStore } from '../domain/ports/sweep.js';
import type { WebhookStore } from '../domain/ports/webhooks.js';
import type { Policy } from '../domain/item/policy.js';

/** What activities work with; the worker's entry point joins the rooms. */
export interface ActivityDeps {
  plaid: PlaidPort;
  directory: PlaidDirectory;
  secrets: SecretBox;
  links: LinkStore;
  items: ItemStore;
  mining: MiningStore;
  commands: Pick<ItemCommandStore, 'requestRemine'>;
  outbox: OutboxStore;
  alerts: AlertStore;
  sweeps: SweepStore;
  connectionEnds: ConnectionEndStore;
  retention: RetentionStore;
  idempotency: Pick<IdempotencyStore, 'deleteExpired'>;
  institutions: Pick<
    InstitutionStore,
    'now' | 'savePage' | 'finishSync' | 'save' | 'dueForStatus' | 'lastAskedForStatus'
  >;
  banks: BankPauseStore;
  logins: LoginStore;
  webhooks: Pick<WebhookStore, 'acquireSignal' | 'releaseSignal'>;
  streams: StreamPort;
  gateway: Pick<
    Gateway,
    'signalItem' | 'isHistoryRunning' | 'isRemineRunning' | 'startLink' | 'wakeEndpoint'
  >;
  sending: DeliverySender;
  sender: EventSender;
  segments: SegmentStore;
  /** Null when Segment is not configured. */
  segment: SegmentPort | null;
  policy: Policy;
  /** Where Plaid is to send webhooks; null: not known here, and every Item keeps the address that it has. */
  webhookUrl: string | null;
  /** At a login: an Item whose last update is older is stale. */
  staleAfterMs: number;
  /** For so long an Item stays that nobody is connected with any more; 0 = for ever. */
  itemGraceMs: number;
  /** As Plaid's webhooks name it. */
  plaidEnvironment: 'sandbox' | 'production';
  /** Dies here when this crash point was asked for; does nothing otherwise. */
  crashPoint: (name: CrashPoint) => void;
  /** Reports an error that no adapter expected. Class name only reaches Temporal; the log gets the stack. */
  reportUnexpected: (activity: string, error: unknown) => void;
}

/** Named places at which a test may kill the process. */
export type CrashPoint =
  | 'link.beforeExchange'
  | 'link.afterExchange'
  | 'link.afterStore'
  | 'page.beforeCall'
  | 'page.afterAnswer'
  | 'page.afterStaging'
  | 'apply.before'
  | 'apply.afterCommit'
  | 'publish.beforePut'
  | 'publish.afterPut'
  | 'publish.afterMark'
  | 'deliver.beforeSend'
  | 'deliver.afterSend'
  | 'deliver.afterRecord';
