import type { Viewer } from '../exchange/viewer.js';
import type { WebhookKind } from '../webhooks/webhookKind.js';
import type { Page, PageKey } from './pages.js';

export type WebhookSource = 'plaid' | 'synthetic' | 'replay';

export type WebhookOutcomeState = 'pending' | 'done' | 'ignored' | 'rejected';

export interface NewWebhook {
  source: WebhookSource;
  verdict: 'accepted' | 'rejected';
  body: Uint8Array;
  headers: Record<string, string>;
  webhook_type: string | null;
  webhook_code: string | null;
  item_id: string | null;
  kind: WebhookKind | null;
  removed_ids: string[];
  /** Set when the outcome is already decided (ignored, rejected); null = pending. */
  reason: string | null;
}

export interface StoredWebhook {
  webhook_id: string;
  received_at: string;
  source: WebhookSource;
  verdict: 'accepted' | 'rejected';
  webhook_type: string | null;
  webhook_code: string | null;
  item_id: string | null;
  outcome: { state: WebhookOutcomeState; reason: string | null };
  /** The body as received, as text. */
  body: string;
}

export interface AcquiredSignal {
  webhookId: string;
  itemId: string;
  userId: string;
  kind: WebhookKind;
}

export interface WebhookStore {
  /** Inserts one webhook and commits. An accepted one of an Item that is not ours stays pending for adoption. */
  store(webhook: NewWebhook): Promise<{ webhookId: string }>;
  /** Keeps a rejected request in bounded form (newest 10,000, body cut to 4 KiB). */
  storeRejected(webhook: NewWebhook): Promise<void>;
  /**
   * Whether the item workflow has to be signalled for the kind of this webhook: the Item is ours, and of its pending webhooks
   * of that kind none was signalled within the last minute, or one that withholds numbers or was replayed was not signalled yet.
   * Read after the insert was committed; the webhook that it names counts as signalled from then on.
   */
  acquireSignal(webhookId: string): Promise<AcquiredSignal | null>;
  /** The signal of the acquired webhook could not be delivered after all: `sweep` shall find it. */
  releaseSignal(webhookId: string): Promise<void>;
  /** A connected viewer is shown those of Items that it may read whole: their bodies are not cut to a grant. Likewise below. */
  page(
    viewer: Viewer,
    filter: WebhookFilter,
    limit: number,
    after: PageKey | null,
  ): Promise<Page<StoredWebhook>>;
  get(viewer: Viewer, webhookId: string): Promise<StoredWebhook | null>;
  /**
   * Stores an accepted webhook once more, with source `replay`, as it is read today. `rejected`: it never was verified.
   * `acted_on`: a TRANSACTIONS_REMOVED that was acted on carries no time, and might name what has come back since.
   * `copyId` (a UUID) names the copy: one that is there already is not made again.
   */
  replay(
    viewer: Viewer,
    webhookId: string,
    copyId: string,
  ): Promise<
    | { webhookId: string; itemId: string | null; kind: WebhookKind | null }
    | 'not_found'
    | 'rejected'
    | 'acted_on'
  >;
}

export interface WebhookFilter {
  item_id?: string | undefined;
  verdict?: 'accepted' | 'rejected' | undefined;
  outcome?: WebhookOutcomeState | undefined;
}
