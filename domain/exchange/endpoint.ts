import type { EventType } from './event.js';

export const signatureKinds = ['hmac', 'ed25519'] as const;
export type SignatureKind = (typeof signatureKinds)[number];

/** `failing`: it answers wrongly and is asked less often. `disabled`: by us, after days of failure or a 410. `paused`: by its owner. */
export const endpointStates = ['enabled', 'paused', 'failing', 'disabled'] as const;
export type EndpointState = (typeof endpointStates)[number];

/** `held`: its endpoint is off, or its connection is suspended, over by time or narrowed to nothing. `superseded`: a newer `item.updated` covers it. `cancelled`: its application may not be told any more. */
export const deliveryStates = ['pending', 'delivered', 'failed', 'superseded', 'cancelled', 'held'] as const;
export type DeliveryState = (typeof deliveryStates)[number];

/** An endpoint as its application sees it. */
export interface EndpointView {
  endpoint_id: string;
  application_id: string;
  url: string;
  /** Empty = every type. */
  types: EventType[];
  signature: SignatureKind;
  /** Of ed25519, `whpk_…`; null for hmac. */
  public_key: string | null;
  rate_per_second: number | null;
  /** It is told of every application's connections. */
  consent: boolean;
  state: EndpointState;
  reason: string | null;
  state_since: string;
  /** Since when nothing has got through; null = the last attempt did. */
  failing_since: string | null;
  /** It is left alone until then. */
  quiet_until: string | null;
  /** Until then the secret before the last rotation signs too. */
  previous_secret_until: string | null;
  created_at: string;
}

/** One event for one endpoint. */
export interface DeliveryView {
  delivery_id: string;
  endpoint_id: string;
  event_id: string;
  type: EventType;
  state: DeliveryState;
  attempts: number;
  /** When it is tried next; null when it has ended or is held. */
  next_attempt_at: string | null;
  /** HTTP status of the last attempt; null = none was answered. */
  last_status: number | null;
  created_at: string;
  ended_at: string | null;
}

export interface DeliveryAttempt {
  /** From 1. */
  number: number;
  at: string;
  status: number | null;
  duration_ms: number;
  /** The first KiB of the answer. */
  answer: string | null;
  /** Why there was no answer. */
  failure: SendFailure | null;
}

export const sendFailures = [
  /** The name leads to an address that is not delivered to. */
  'address_refused',
  'name_not_found',
  'connection_failed',
  'tls_failed',
  /** No answer within 15 s. */
  'timed_out',
  /** What came is no HTTP, or its head is too large. */
  'answer_broken',
] as const;
export type SendFailure = (typeof sendFailures)[number];
