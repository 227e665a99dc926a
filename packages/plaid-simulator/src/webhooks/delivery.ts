import type { Signature } from './keys.js';

/** Plaid gives up after these retries: the first after 30 s, each delay four times the one before. */
const FIRST_RETRY_MS = 30_000;
const RETRY_FACTOR = 4;
const MOST_RETRIES = 6;
/** A `Retry-After` is honoured up to four hours: so the last retry is never later than a day after the first attempt. */
const LONGEST_RETRY_AFTER_MS = 4 * 60 * 60_000;

const ID_PREFIX = 'wh_';

type DeliveryState = 'pending' | 'delivered' | 'failed' | 'dropped';

interface Attempt {
  /** Simulated instant, ISO. */
  at: string;
  headers: Record<string, string>;
  /** The HTTP status, `null` when there was no answer. */
  status: number | null;
  error?: string;
}

/** A webhook on its way; also what a state file keeps. */
export interface Delivery {
  id: string;
  itemId: string | null;
  /** The client that it is for; `null` when tokens are bound to no client. */
  clientId: string | null;
  url: string;
  /** As sent, byte for byte. */
  body: string;
  /** What the signature is about when it is not the body. */
  signedBody?: string;
  webhookType: string;
  webhookCode: string;
  signature: Signature;
  state: DeliveryState;
  /** Why it was given up: no retry was left, or the receiver rejects too much to be tried again. */
  gaveUp?: 'retries' | 'rejections';
  /** When it was made, simulated milliseconds. */
  createdAt: number;
  /** When the next attempt is due, simulated milliseconds. */
  nextAt: number;
  attempts: Attempt[];
}

/** The number of a delivery in the order in which they were made, from 1. */
export function numberOf({ id }: Delivery): number {
  return Number(id.slice(ID_PREFIX.length));
}

export function idOf(number: number): string {
  return `${ID_PREFIX}${String(number).padStart(8, '0')}`;
}

/** How long after a failed attempt the next one follows (simulated milliseconds); `null` when it was the last. */
export function retryDelay(attempts: number, retryAfterMs: number | null): number | null {
  if (attempts > MOST_RETRIES) return null;
  if (retryAfterMs !== null) return Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
  return FIRST_RETRY_MS * RETRY_FACTOR ** (attempts - 1);
}

/** Reads `Retry-After`: seconds, an HTTP date or an ISO time, the latter two against real time. */
export function retryAfter(header: string | null, realNow: number): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : null;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - realNow);
}
