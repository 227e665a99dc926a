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
  /** Plaid goes on asking to wait: no further Item was asked for. */
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
/** Plaid as a whole asks to wait; so often for one Item. Where that was in vain for some in a row, it is so for the next ones, too. */
const overall: ReadonlySet<FailureType> = new Set(['RATE_LIMITED', 'MAINTENANCE']);
const mostWaits = 10;
const mostInVain = 3;
const waitMs = 30_000;

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

  const asksToWait = (end: 'kept' | 'changed' | Failure): end is Failure =>
    end instanceof Failure && overall.has(end.type);
  let inVain = 0;

  async function row({ id: [itemId = ''], sealed, context }: SealedRow): Promise<void> {
    try {
      const token = await secrets.open(sealed, context);
      let end = await one(itemId, token);
      for (let waits = 0; asksToWait(end) && waits < mostWaits; waits += 1) {
        await pause(end.retryAfterMs ?? waitMs);
        end = await one(itemId, token);
      }
      inVain = asksToWait(end) ? inVain + 1 : 0;
      if (end instanceof Failure) throw end;
      result[end] += 1;
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      result.failed.push({ itemId, failure });
    }
  }

  let after: string[] | null = null;
  do {
    const page: SealedRow[] = await rows.page('access tokens', null, pageRows, after);
    for (const sealed of page) {
      await row(sealed);
      if (inVain === mostInVain) return { ...result, stopped: true };
      await pause(betweenItemsMs);
    }
    after = page.length < pageRows ? null : (page.at(-1)?.id ?? null);
  } while (after !== null);
  return result;
}
