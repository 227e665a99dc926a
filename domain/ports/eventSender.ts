import type { SendFailure } from '../exchange/endpoint.js';

/** One request to an endpoint. */
export interface OutgoingEvent {
  url: string;
  /** `webhook-id`: the event's, the same in every attempt. */
  id: string;
  /** JSON, byte for byte what is signed. */
  body: string;
  /** `whsec_…` or `whsk_…`: each signs. */
  secrets: readonly string[];
}

/** How an attempt ended. Exactly one of `status` and `failure` is null. */
export interface SendResult {
  /** ISO 8601: when it began. */
  at: string;
  durationMs: number;
  status: number | null;
  failure: SendFailure | null;
  /** What the receiver asked for by Retry-After; null = nothing. */
  retryAfterMs: number | null;
  /** The first KiB of what it answered; null = nothing. */
  answer: string | null;
}

export interface EventSender {
  /** One attempt, with a deadline of its own. Null when `signal` ended it: nothing is known of it then. */
  send(event: OutgoingEvent, signal: AbortSignal): Promise<SendResult | null>;
}
