import type { Phase } from '../item/state.js';
import type { History, StepFailure } from '../mining/run.js';
import type { WebhookKind } from '../webhooks/webhookKind.js';
import type { LinkOutcome } from './links.js';
import type { ItemCheck } from './logins.js';

export type ItemSignal =
  | { kind: 'linked' }
  | { kind: 'webhookReceived'; webhook: WebhookKind }
  | { kind: 'foundDue' }
  | { kind: 'removalRequested' }
  | { kind: 'relinked' }
  | { kind: 'remineRequested'; number: number };

/** What the item workflow answers about itself. */
export interface ItemStatus {
  phase: Phase;
  history: History;
  /** Pages and rows of the update on its way; null when none is. */
  progress: { pages: number; rows: number; restarts: number } | null;
  /** A remine is asked for or on its way. */
  remine: { workflow_id: string; running: boolean } | null;
  /** ISO 8601. */
  next_due_at: string | null;
  last_update_at: string | null;
  last_failure: StepFailure | null;
  waiting_for_publish: boolean;
}

export interface Gateway {
  /** Starts or joins the link's workflow and waits for its outcome; null when it takes longer than `timeoutMs`. */
  link(tokenHash: string, userId: string, timeoutMs: number): Promise<LinkOutcome | null>;
  /** Starts the link's workflow, or leaves the running one alone. */
  startLink(tokenHash: string, userId: string): Promise<void>;
  /** `signalWithStart` on the item workflow, within `deadlineMs`. */
  signalItem(itemId: string, userId: string, signal: ItemSignal, deadlineMs?: number): Promise<void>;
  /** `signalWithStart` on the workflow that sends to an endpoint. */
  wakeEndpoint(endpointId: string): Promise<void>;
  /**
   * Starts the check of a user's Items that a login event asks for. A repeat of the event, while it runs or later, does
   * nothing.
   */
  startCheck(eventId: string, userId: string): Promise<void>;
  /**
   * Checks a user's Items now and waits for the answer; null when it takes longer than `timeoutMs`. A repeat of the request
   * waits for the same check, or gets its answer.
   */
  checkUser(userId: string, timeoutMs: number, requestId: string): Promise<ItemCheck[] | null>;
  /** Null when no workflow runs for the Item. */
  itemStatus(itemId: string): Promise<ItemStatus | null>;
  isHistoryRunning(itemId: string): Promise<boolean>;
  /** Whether the remine of this number runs. */
  isRemineRunning(itemId: string, number: number): Promise<boolean>;
  /** Rejects when Temporal cannot be reached within 2 s. */
  ping(): Promise<void>;
}
