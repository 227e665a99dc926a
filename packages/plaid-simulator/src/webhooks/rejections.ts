import { DAY_MS } from '../calendar.js';

/** Plaid does not retry for a receiver that has rejected more than this share of its webhooks. */
const TOO_LARGE_SHARE = 0.9;
/** What the share is of: webhooks of the last day. */
const WINDOW_MS = DAY_MS;
/** Plaid does not say from how many webhooks on it judges; a short outage of a small receiver must not count as one that is gone. */
export const LEAST_JUDGED = 200;

interface Receiver {
  /** What became of each webhook at its latest attempt, the latest attempt last. */
  outcomes: Map<string, { at: number; accepted: boolean }>;
  rejected: number;
}

/** How receivers (a client's URL each) have answered during the last day of simulated time; a webhook counts once. */
export class Rejections {
  private readonly receivers = new Map<string, Receiver>();

  note(receiver: string, webhookId: string, at: number, accepted: boolean): void {
    const known = this.receivers.get(receiver) ?? { outcomes: new Map(), rejected: 0 };
    this.receivers.set(receiver, known);
    forget(known, webhookId);
    known.outcomes.set(webhookId, { at, accepted });
    if (!accepted) known.rejected += 1;
  }

  /** Must nothing be sent to this receiver a second time? */
  tooMany(receiver: string, now: number): boolean {
    const known = this.receivers.get(receiver);
    if (!known) return false;
    for (const [id, { at }] of known.outcomes) {
      if (at > now - WINDOW_MS) break;
      forget(known, id);
    }
    const judged = known.outcomes.size;
    return judged >= LEAST_JUDGED && known.rejected > judged * TOO_LARGE_SHARE;
  }

  clear(): void {
    this.receivers.clear();
  }
}

function forget(receiver: Receiver, webhookId: string): void {
  const outcome = receiver.outcomes.get(webhookId);
  if (!outcome) return;
  receiver.outcomes.delete(webhookId);
  if (!outcome.accepted) receiver.rejected -= 1;
}
