import type { Sealed } from './secrets.js';

/** A request that carries an Idempotency-Key: what the client called it, and what it asked for. */
export interface KeyedRequest {
  application_id: string;
  method: string;
  path: string;
  /** As the client sent it. */
  key: string;
  /** SHA-256, hex, of everything that makes two requests the same. */
  requestHash: string;
}

export interface StoredAnswer {
  status: number;
  contentType: string | null;
  /** Headers and body, sealed. */
  answer: Sealed;
}

/** What a keyed request may do. Times in milliseconds. */
export type KeyedStart =
  /**
   * `effectId` (a UUID) is the same for every run of the request, and so is `prepared`: what a run before has set down of its
   * answer, null when none has.
   */
  | { kind: 'run'; effectId: string; prepared: Sealed | null }
  | { kind: 'replay'; answer: StoredAnswer }
  | { kind: 'running'; retryAfterMs: number }
  /** The key stands for another request. */
  | { kind: 'reused' };

/** Answers by Idempotency-Key. A run is a lease: who outlives it loses it to the next that asks. */
export interface IdempotencyStore {
  /** However many ask at once, in however many processes: one of them runs. `runner` is new for every request. */
  begin(request: KeyedRequest, runner: string, leaseMs: number): Promise<KeyedStart>;
  /** Sets down what a repeat will need to give the same answer, before the work is done. False when the lease was lost. */
  prepare(request: KeyedRequest, runner: string, prepared: Sealed): Promise<boolean>;
  /** Keeps the answer for 24 h, or until `replayUntil` (ISO) when that is sooner. False when the lease was lost. */
  finish(
    request: KeyedRequest,
    runner: string,
    answer: StoredAnswer,
    replayUntil: string | null,
  ): Promise<boolean>;
  /** Gives the lease back: the next request with this key runs. */
  release(request: KeyedRequest, runner: string): Promise<void>;
  /** Deletes at most `limit` entries whose time is over. Resolves to how many. */
  deleteExpired(limit: number): Promise<number>;
}
