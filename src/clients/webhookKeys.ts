import type { CryptoKey } from 'jose';
import { importJWK } from 'jose';
import { addressBlock } from '../../domain/addressBlock.js';
import { Failure } from '../../domain/failures.js';
import type { LookupLane, WebhookKey, WebhookKeyStore } from '../../domain/ports/webhookKeys.js';
import { remember } from '../../domain/remember.js';
import { createLookupBudget } from './lookupBudget.js';

export interface WebhookKeysOptions {
  /** Asks Plaid for a key; null when Plaid knows none of that id, a Failure when it cannot say. */
  getKey(kid: string): Promise<WebhookKey | null>;
  store: WebhookKeyStore;
  /** Addresses that count as senders before they have delivered anything. */
  knownSenders: readonly string[];
  /** The store did not answer; the keys go on without it. */
  onFailure: (error: unknown) => void;
  /** Milliseconds since the epoch: by it keys end. */
  now: () => number;
  /** Milliseconds since whenever: by it pauses and ages are measured, which go on as they are when somebody sets the clock. */
  elapsed: () => number;
}

/** `expiresAt` in milliseconds since the epoch. */
export type KeyAnswer =
  | { kind: 'found'; key: CryptoKey; expiresAt: number | null }
  | { kind: 'unknown' }
  | { kind: 'unavailable'; retryAfterMs: number | null }
  | { kind: 'no_budget'; lane: LookupLane; retryAfterMs: number };

export interface WebhookKeys {
  /** `address` asks. Never rejects. */
  find(kid: string, address: string): Promise<KeyAnswer>;
  /** See `WebhookVerifier.delivered`. */
  delivered(address: string, itemId: string): void;
}

const minute = 60_000;
/** A key is asked for again: Plaid reports a key's end by its `expired_at` only. */
const recheckAfterMs = 24 * 60 * minute;
/** While Plaid cannot say, a key that is due for its re-check serves on, up to this age. */
const trustedForMs = 48 * 60 * minute;
const recheckPauseMs = minute;
const unknownForMs = minute;
const mostUnknown = 1_000;
const mostKeys = 100;
/** Between two reads of the database, and after one that failed. */
const loadEveryMs = 1_000;
const loadAfterFailureMs = 5_000;
/** Plaid waits ten seconds for the answer, and has to be asked within them. */
const loadPatienceMs = 1_000;
/** When Plaid asks to wait and does not say how long. */
const holdMs = 10_000;
const notedForMs = 60 * minute;
const mostNoted = 1_000;

interface KnownKey {
  key: CryptoKey;
  /** Milliseconds since the epoch. */
  expiresAt: number | null;
  checkedAt: number;
  recheckAt: number;
}

/** Null for anything but a key of ES256, whatever else it may be good for. */
async function importKey(jwk: WebhookKey): Promise<CryptoKey | null> {
  if (jwk.alg !== 'ES256' || jwk.kty !== 'EC' || jwk.crv !== 'P-256') return null;
  try {
    const key = await importJWK({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, 'ES256');
    return key instanceof Uint8Array ? null : key;
  } catch {
    return null;
  }
}

/** Resolves as soon as `work` has ended or its time is over. */
async function orLate(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

/**
 * Plaid's keys: in memory, behind it in the database (for all processes and over restarts), behind that at Plaid. Decision
 * 0013 says how strangers are kept from using the look-ups up.
 */
export function createWebhookKeys(options: WebhookKeysOptions): WebhookKeys {
  const { store, elapsed: now, onFailure } = options;
  const budget = createLookupBudget(now());
  for (const address of options.knownSenders) budget.addSender(address);
  const known = new Map<string, KnownKey>();
  const unknownUntil = new Map<string, number>();
  const inFlight = new Map<string, Promise<KeyAnswer>>();
  const hasEnded = ({ expiresAt }: { expiresAt: number | null }): boolean =>
    expiresAt !== null && expiresAt <= options.now();

  function keep(kid: string, key: KnownKey): void {
    known.delete(kid);
    known.set(kid, key);
    if (known.size <= mostKeys) return;
    // Ids of keys that have ended are known to many, and shall not push living ones out.
    const ended = [...known].find(([, one]) => hasEnded(one));
    known.delete(ended?.[0] ?? (known.keys().next().value as string));
  }

  const knownKey = (jwk: WebhookKey, key: CryptoKey, checkedAt: number): KnownKey => ({
    key,
    expiresAt: jwk.expired_at === null ? null : jwk.expired_at * 1000,
    checkedAt,
    recheckAt: checkedAt + recheckAfterMs,
  });

  let loading: Promise<void> | null = null;
  /** The load on its way takes long: it is waited for once, and not by every webhook after it. */
  let late = false;
  let loadAt = -Infinity;

  async function load(): Promise<void> {
    try {
      const stored = await store.load();
      for (const sender of stored.senders) budget.addSender(sender);
      const at = now();
      for (const { key: jwk, ageMs } of stored.keys) {
        const checkedAt = at - Math.max(0, ageMs);
        // What Plaid has said to this process since is newer.
        if (checkedAt <= (known.get(jwk.kid)?.checkedAt ?? -Infinity)) continue;
        if ((unknownUntil.get(jwk.kid) ?? 0) > at) continue;
        const key = await importKey(jwk);
        if (key !== null) keep(jwk.kid, knownKey(jwk, key, checkedAt));
      }
    } catch (error) {
      loadAt = now() + loadAfterFailureMs;
      onFailure(error);
    } finally {
      loading = null;
      late = false;
    }
  }

  /** What other processes have found, and all of it at the start. Seldom, whatever is asked for. */
  async function refresh(): Promise<void> {
    if (late || (loading === null && now() < loadAt)) return;
    if (loading === null) {
      loadAt = now() + loadEveryMs;
      loading = load();
    }
    const mine = loading;
    await orLate(mine, loadPatienceMs);
    late = loading === mine;
  }

  function keepAnswer(
    kid: string,
    jwk: WebhookKey | null,
    key: CryptoKey | null,
    askedAt: number,
  ): KeyAnswer {
    const ageMs = (): number => Math.max(0, now() - askedAt);
    if (jwk === null) {
      known.delete(kid);
      remember(unknownUntil, kid, now() + unknownForMs, mostUnknown);
      store.drop(kid, ageMs()).catch(onFailure);
      return { kind: 'unknown' };
    }
    if (key === null || jwk.kid !== kid) return { kind: 'unavailable', retryAfterMs: null };
    const found = knownKey(jwk, key, askedAt);
    keep(kid, found);
    store.save(jwk, ageMs()).catch(onFailure);
    return { kind: 'found', key, expiresAt: found.expiresAt };
  }

  async function askPlaid(kid: string): Promise<KeyAnswer> {
    const askedAt = now();
    try {
      const jwk = await options.getKey(kid);
      return keepAnswer(kid, jwk, jwk && (await importKey(jwk)), askedAt);
    } catch (error) {
      if (!(error instanceof Failure)) return { kind: 'unavailable', retryAfterMs: null };
      if (error.type === 'RATE_LIMITED') budget.holdStrangers(now() + (error.retryAfterMs ?? holdMs));
      return { kind: 'unavailable', retryAfterMs: error.retryAfterMs ?? null };
    }
  }

  /** One question to Plaid per key at a time. */
  function lookUp(kid: string): Promise<KeyAnswer> {
    const running = inFlight.get(kid);
    if (running) return running;
    const started = askPlaid(kid).finally(() => inFlight.delete(kid));
    inFlight.set(kid, started);
    return started;
  }

  const isDue = (key: KnownKey): boolean => !hasEnded(key) && now() >= key.checkedAt + recheckAfterMs;

  /** A key that was heard of once is asked for again without a budget: nobody can make such ids up. */
  async function answerOf(kid: string, key: KnownKey): Promise<KeyAnswer> {
    const asIs: KeyAnswer = { kind: 'found', key: key.key, expiresAt: key.expiresAt };
    if (!isDue(key)) return asIs;
    const at = now();
    const trusted = at < key.checkedAt + trustedForMs;
    if (at < key.recheckAt) {
      return trusted ? asIs : { kind: 'unavailable', retryAfterMs: key.recheckAt - at };
    }
    const repeated = await lookUp(kid);
    if (repeated.kind !== 'unavailable') return repeated;
    key.recheckAt = at + recheckPauseMs;
    return trusted ? asIs : repeated;
  }

  let noting = false;
  const noted = new Map<string, number>();

  return {
    async find(kid, address) {
      const inMemory = known.get(kid);
      if (inMemory && !isDue(inMemory)) return answerOf(kid, inMemory);
      if (!inMemory && (unknownUntil.get(kid) ?? 0) > now()) return { kind: 'unknown' };
      await refresh();
      const key = known.get(kid);
      if (key) return answerOf(kid, key);
      const running = inFlight.get(kid);
      if (running) return running;
      const permit = budget.take(kid, address, now());
      if (permit.kind === 'refused') {
        return { kind: 'no_budget', lane: permit.lane, retryAfterMs: permit.retryAfterMs };
      }
      const answer = await lookUp(kid);
      if (answer.kind === 'found' && !hasEnded(answer)) permit.giveBack();
      return answer;
    },

    delivered(address, itemId) {
      const block = addressBlock(address);
      if (noting || (noted.get(block) ?? 0) > now()) return;
      noting = true;
      store
        .noteSender(block, itemId)
        .then((isOurs) => {
          if (!isOurs) return;
          budget.addSender(block);
          remember(noted, block, now() + notedForMs, mostNoted);
        })
        .catch(onFailure)
        .finally(() => {
          noting = false;
        });
    },
  };
}
