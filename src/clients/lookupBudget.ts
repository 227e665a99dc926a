import type { LookupLane } from '../../domain/ports/webhookKeys.js';
import { addressBlock } from '../../domain/addressBlock.js';
import { remember } from '../../domain/remember.js';

/** Look-ups a minute, which is also how many there may be at once after a quiet minute. */
const perMinute: Record<LookupLane, { each: number; all: number }> = {
  senders: { each: 40, all: 80 },
  strangers: { each: 30, all: 90 },
};
const minute = 60_000;
/** Of each, the longest silent is forgotten first: nothing that a stranger sends can fill memory. */
const mostAddresses = 10_000;
const mostSenders = 1_000;
const mostRefused = 10_000;

/** Fills up steadily, so that a spent one never stays shut for what remains of a minute. */
class Bucket {
  private tokens: number;

  constructor(
    private readonly capacity: number,
    private at: number,
  ) {
    this.tokens = capacity;
  }

  /** Milliseconds until one can be taken that leaves a part of the bucket untouched; 0 = now. */
  waitFor(untouched: number, now: number): number {
    const rate = this.capacity / minute;
    this.tokens = Math.min(this.capacity, this.tokens + Math.max(0, now - this.at) * rate);
    this.at = now;
    const missing = untouched * this.capacity + 1 - this.tokens;
    return missing <= 0 ? 0 : Math.ceil(missing / rate);
  }

  take(): void {
    this.tokens -= 1;
  }

  giveBack(): void {
    this.tokens = Math.min(this.capacity, this.tokens + 1);
  }
}

export type LookupPermit =
  | { kind: 'granted'; lane: LookupLane; giveBack(): void }
  | { kind: 'refused'; lane: LookupLane; retryAfterMs: number };

export interface LookupBudget {
  /** Permission to ask Plaid for a key that nobody here knows. Times in milliseconds. */
  take(kid: string, address: string, now: number): LookupPermit;
  /** The address has delivered a webhook about an Item of ours, or Plaid has published it. */
  addSender(address: string): void;
  /** Plaid asks to wait: strangers do, so that what it still answers is for those who have proved themselves. */
  holdStrangers(until: number): void;
}

/**
 * How often Plaid is asked for keys under ids that anybody can make up. Each address has a bucket, and each lane one in whole
 * that no single address can empty. Addresses that have delivered before have a lane of their own: however many strangers there
 * are, they take nothing from it.
 *
 * The more often an id was refused, the deeper its next try may reach into the buckets. Those that come for the first time
 * leave a half, those that come for the second a quarter, and so on. Plaid delivers again under the same id. Who makes ids up
 * has ever new ones, or has to send each as often as Plaid sends its own.
 */
export function createLookupBudget(started: number): LookupBudget {
  const all = {
    senders: new Bucket(perMinute.senders.all, started),
    strangers: new Bucket(perMinute.strangers.all, started),
  };
  const buckets = { senders: new Map<string, Bucket>(), strangers: new Map<string, Bucket>() };
  const senders = new Map<string, true>();
  /** How often an id was refused. */
  const refused = new Map<string, number>();
  let heldUntil = -Infinity;

  return {
    take(kid, address, now) {
      const block = addressBlock(address);
      const lane = senders.has(block) ? 'senders' : 'strangers';
      const own = buckets[lane].get(block) ?? new Bucket(perMinute[lane].each, now);
      remember(buckets[lane], block, own, mostAddresses);
      const before = refused.get(kid) ?? 0;
      const untouched = 1 / (2 * (before + 1));
      const held = lane === 'strangers' ? heldUntil - now : 0;
      const wait = Math.max(held, own.waitFor(untouched, now), all[lane].waitFor(untouched, now));
      if (wait > 0) {
        remember(refused, kid, before + 1, mostRefused);
        return { kind: 'refused', lane, retryAfterMs: wait };
      }
      refused.delete(kid);
      own.take();
      all[lane].take();
      return {
        kind: 'granted',
        lane,
        giveBack() {
          own.giveBack();
          all[lane].giveBack();
        },
      };
    },

    addSender: (address) => remember(senders, addressBlock(address), true, mostSenders),

    holdStrangers(until) {
      heldUntil = Math.max(heldUntil, until);
    },
  };
}
