import type {
  AlertStore,
  Gateway,
  IdempotencyStore,
  InstitutionStore,
  ItemCommandStore,
  ItemStore,
  LinkStore,
  LoginStore,
  MiningStore,
  OutboxStore,
  PlaidDirectory,
  PlaidPort,
  RetentionStore,
  SecretBox,
  SegmentPort,
  SegmentStore,
  StreamPort,
  SweepStore,
  WebhookStore,
} from '../domain/ports.js';
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
  retention: RetentionStore;
  idempotency: Pick<IdempotencyStore, 'deleteExpired'>;
  institutions: Pick<InstitutionStore, 'now' | 'savePage' | 'finishSync' | 'save' | 'dueForStatus'>;
  logins: LoginStore;
  webhooks: Pick<WebhookStore, 'claimSignal' | 'releaseSignal'>;
  streams: StreamPort;
  gateway: Pick<Gateway, 'signalItem' | 'isHistoryRunning' | 'isRemineRunning' | 'startLink'>;
  segments: SegmentStore;
  /** Null when Segment is not configured. */
  segment: SegmentPort | null;
  policy: Policy;
  /** At a login: an Item whose last update is older is stale. */
  staleAfterMs: number;
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
  | 'publish.afterMark';
