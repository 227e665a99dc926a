/** A public key of Plaid's, as `/webhook_verification_key/get` gives it. `expired_at` in seconds since the epoch. */
export interface WebhookKey {
  kid: string;
  kty: string;
  crv: string;
  alg: string;
  x: string;
  y: string;
  expired_at: number | null;
}

/** Who asks for an unknown key: an address that has delivered webhooks about our Items before, or any other. */
export type LookupLane = 'senders' | 'strangers';

export type WebhookVerdict =
  | { kind: 'accepted' }
  /** `reason` is a code such as `body_changed`, `unknown_key`, `too_old`. */
  | { kind: 'rejected'; reason: string }
  /** The key could not be looked up: Plaid shall deliver again. */
  | { kind: 'undecided'; retryAfterMs: number | null }
  /** Nor was it tried: too many unknown keys were asked for. */
  | { kind: 'no_budget'; lane: LookupLane; retryAfterMs: number };

export interface WebhookVerifier {
  /** `header` is the `Plaid-Verification` header; `body` the bytes as received; `address` that of the client. */
  verify(header: string | undefined, body: Uint8Array, address: string): Promise<WebhookVerdict>;
  /**
   * An accepted webhook that names this Item came from the address. If the Item is ours, the address counts as a sender from
   * then on. Works in the background, never throws.
   */
  delivered(address: string, itemId: string): void;
}

/**
 * The keys that Plaid was heard to have, for all processes and over restarts, and the addresses that webhooks about our Items
 * came from. Nothing of it is secret. Of one Plaid (production, sandbox, a simulator): none of them vouches for another's keys.
 */
export interface WebhookKeyStore {
  /** Living keys before expired ones, and the latest senders. Ages in milliseconds, by the database's clock. */
  load(): Promise<{ keys: { key: WebhookKey; ageMs: number }[]; senders: string[] }>;
  /** What Plaid said `ageMs` ago. An older word never replaces a newer; a key that has ended is not kept anew. */
  save(key: WebhookKey, ageMs: number): Promise<void>;
  /** Plaid said `ageMs` ago that it knows no such key. */
  drop(kid: string, ageMs: number): Promise<void>;
  /** Remembers the address if the Item is ours; else false. */
  noteSender(address: string, itemId: string): Promise<boolean>;
}
