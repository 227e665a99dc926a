import { setTimeout as sleep } from 'node:timers/promises';
import { keepWebhookAddress } from '../domain/webhookAddress.js';
import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import type { AlertStore } from '../domain/ports/alerts.js';
import type { PlaidPort } from '../domain/ports/plaid.js';
import type { SealedRow, SealedRowStore, SecretBox } from '../domain/ports/secrets.js';

export interface WebhookAddresses {
  /** Items whose webhooks came to us already, and those that have our address now. */
  kept: number;
  changed: number;
  /** Items that Plaid could not be asked about, or that it has left as they are. */
  failed: { itemId: string; failure: Failure }[];
  /** One Item after the other failed for no fault of its own: no further one was asked for. */
  stopped: boolean;
}

export interface WebhookAddressDeps {
  plaid: Pick<PlaidPort, 'getItem' | 'updateWebhook'>;
  secrets: Pick<SecretBox, 'open'>;
  rows: Pick<SealedRowStore, 'page'>;
  alerts: AlertStore;
  webhookUrl: string;
  /** Default: the time itself. */
  pause?: (ms: number) => Promise<unknown>;
}

const pageRows = 500;
/** One Item after the other, with a pause: the workers' calls come first at Plaid's limits. */
const betweenItemsMs = 100;
/** Plaid as a whole asks to wait: about so long for one Item. */
const overall: ReadonlySet<FailureType> = new Set(['RATE_LIMITED', 'MAINTENANCE']);
const mostWaitMs = 300_000;
const waitMs = 30_000;
/** What is no fault of an Item, and after how many Items in a row it is so for the next ones, too. */
const mostInVain: Partial<Record<FailureType, number>> = {
  RATE_LIMITED: 3,
  MAINTENANCE: 3,
  UPSTREAM_DOWN: 20,
  MISCONFIGURED: 20,
};

/**
 * Asks Plaid of every Item that has an access token where its webhooks go, and gives our address where that is another. It may be ended at
 * any moment and begun again. Rejects when the database fails.
 */
export async function updateWebhookAddresses(deps: WebhookAddressDeps): Promise<WebhookAddresses> {
  const { plaid, secrets, rows, pause = sleep } = deps;
  const result: WebhookAddresses = { kept: 0, changed: 0, failed: [], stopped: false };

  async function one(itemId: string, token: string): Promise<'kept' | 'changed' | Failure> {
    try {
      return await keepWebhookAddress(deps, itemId, token, await plaid.getItem(token));
    } catch (failure) {
      if (failure instanceof Failure) return failure;
      throw failure;
    }
  }

  let inVain = 0;

  async function row({ id: [itemId = ''], sealed, context }: SealedRow): Promise<void> {
    try {
      const token = await secrets.open(sealed, context);
      let end = await one(itemId, token);
      for (let waited = 0; end instanceof Failure && overall.has(end.type) && waited < mostWaitMs;) {
        const ms = end.retryAfterMs ?? waitMs;
        await pause(ms);
        waited += Math.max(ms, waitMs);
        end = await one(itemId, token);
      }
      if (end instanceof Failure) throw end;
      inVain = 0;
      result[end] += 1;
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      result.failed.push({ itemId, failure });
      const most = mostInVain[failure.type];
      inVain = most === undefined ? 0 : inVain + 1;
      result.stopped = inVain >= (most ?? Infinity);
    }
  }

  let after: string[] | null = null;
  do {
    const page: SealedRow[] = await rows.page('access tokens', null, pageRows, after);
    for (const sealed of page) {
      await row(sealed);
      if (result.stopped) return result;
      await pause(betweenItemsMs);
    }
    after = page.length < pageRows ? null : (page.at(-1)?.id ?? null);
  } while (after !== null);
  return result;
}
