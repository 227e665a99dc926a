import type { DeliveryAttempt, DeliveryState, DeliveryView, EndpointState } from '../exchange/endpoint.js';
import type { StoredEvent } from '../exchange/eventBody.js';
import type { SendResult } from './eventSender.js';
import type { KeyedRequest } from './idempotency.js';
import type { Page, PageKey } from './pages.js';
import type { Sealed } from './secrets.js';

/** What is needed to send to an endpoint. */
export interface EndpointTarget {
  url: string;
  state: EndpointState;
  /** Since when it is judged by what it does not take, as the database writes it; null = ever since. */
  judgedSince: string | null;
  ratePerSecond: number | null;
  /** Attempts in a row that failed: one that has many is asked one thing at a time. */
  failures: number;
  /** ISO 8601; null = nothing keeps us from sending now. */
  quietUntil: string | null;
  /** Those that sign: the newest first, two at most. */
  secrets: Sealed[];
}

/** A delivery that one sender has taken for a time. */
export interface TakenDelivery {
  deliveryId: string;
  event: StoredEvent;
  /** It is told how much has changed. */
  counted: boolean;
}

export interface Attempted {
  deliveryId: string;
  /** Where it was sent. What another address has answered says nothing of the endpoint's. */
  url: string;
  /** The `judgedSince` of then. What failed before an endpoint was enabled anew, or moved, says nothing of it. */
  judgedSince: string | null;
  result: SendResult;
}

export interface DueEndpoint {
  endpointId: string;
  /** When somebody sent to it last, as the database writes it; null = never. */
  servedAt: string | null;
}

/** What senders need. What is done under a `holder` is done only while the delivery is still that holder's. */
export interface DeliverySender {
  /** Null when there is no such endpoint, or it is off. */
  target(endpointId: string): Promise<EndpointTarget | null>;
  /** Says that somebody sends until `ms` from now (0 = no more): nobody has to be woken for the endpoint meanwhile. */
  lease(endpointId: string, ms: number): Promise<void>;
  /**
   * Takes what is due for `ms`, one at most of each lane, of the lanes after `after` (the empty text = all). What its
   * application may not be sent any more ends here, as does an `item.updated` that a newer one covers (`ended` of them). `next` is where to go on;
   * null = there was nothing more up to the last lane.
   */
  take(
    endpointId: string,
    holder: string,
    options: { limit: number; after: string; ms: number },
  ): Promise<{ deliveries: TakenDelivery[]; ended: number; next: string | null }>;
  /** Records attempts with what they make of their deliveries and of the endpoint. */
  record(endpointId: string, holder: string, attempts: readonly Attempted[]): Promise<void>;
  /** Gives back what was taken and not tried. */
  release(holder: string, deliveryIds: readonly string[]): Promise<void>;
  /** When the next is due (ISO 8601, may be over); null = nothing waits. */
  nextDue(endpointId: string): Promise<string | null>;
  /**
   * Endpoints that have something due and that nobody sends to; those that were served, or signalled by the sweep, last come last. Without
   * those of `except` that were not served since.
   */
  dueEndpoints(limit: number, except?: readonly DueEndpoint[]): Promise<DueEndpoint[]>;
}

/** Of what time events are (ISO 8601); the end excluded. */
export interface EventTime {
  since: string;
  until: string | null;
}

export interface Replay extends EventTime {
  /** Empty = those of the endpoint. */
  types: readonly string[];
  /** Only events that the endpoint has no delivery of. */
  missingOnly: boolean;
}

export interface Replayed {
  /** Deliveries that wait now because of it. */
  queued: number;
  /** Where to go on (ISO 8601) when there were more than one request takes; null = that was all. */
  nextSince: string | null;
}

/** Deliveries of an application's own endpoints. Null, or false: there is none such. */
export interface DeliveryStore {
  /** Newest events first. */
  page(
    applicationId: string,
    endpointId: string,
    filter: { state?: DeliveryState | undefined },
    limit: number,
    after: PageKey | null,
  ): Promise<Page<DeliveryView> | null>;
  get(
    applicationId: string,
    deliveryId: string,
  ): Promise<{ delivery: DeliveryView; tries: DeliveryAttempt[] } | null>;
  /** Asks for a delivery once more, whatever has become of it. */
  resend(applicationId: string, deliveryId: string, keyed: KeyedRequest | null): Promise<boolean>;
  /** Asks once more for those that have failed. Resolves to their number. */
  recover(
    applicationId: string,
    endpointId: string,
    time: EventTime,
    keyed: KeyedRequest | null,
  ): Promise<number | null>;
  /** Sends events of a time to the endpoint, as if they were written now: those that its application may hear. */
  replay(
    applicationId: string,
    endpointId: string,
    replay: Replay,
    keyed: KeyedRequest | null,
  ): Promise<Replayed | null>;
}
