import type { Failure } from '../src/domain/failures.js';
import type { ItemView } from '../src/domain/ports.js';
import type { ApiDeps, ApiLimits } from './deps.js';
import { loggedError } from './errors.js';

/** An Item is looked at so often at most, however many reads fail. */
const againAfterMs = 300_000;
const mostRemembered = 10_000;

export interface ItemLooks {
  /**
   * A read at Plaid failed in a way that no webhook has told (yet): the Item's episode begins if Plaid says so. Never throws and
   * is not waited for; losing it is harmless, since the Item's next update finds out as well.
   */
  after(failure: Failure, item: ItemView, accessToken: string): void;
}

type Deps = Pick<ApiDeps, 'plaid' | 'items' | 'gateway' | 'logger' | 'brokenCheckMs'>;

export function createItemLooks(
  { plaid, items, gateway, logger, brokenCheckMs }: Deps,
  limits: Pick<ApiLimits, 'signalMs'>,
  now: () => number,
): ItemLooks {
  const lookedAt = new Map<string, number>();

  /** Whether it is the first time in a while. */
  function remember(itemId: string): boolean {
    const last = lookedAt.get(itemId);
    if (last !== undefined && now() - last < againAfterMs) return false;
    lookedAt.delete(itemId);
    lookedAt.set(itemId, now());
    if (lookedAt.size > mostRemembered) lookedAt.delete(lookedAt.keys().next().value as string);
    return true;
  }

  const tell = (item: ItemView, kind: 'foundDue' | 'webhookReceived'): Promise<void> =>
    gateway.signalItem(
      item.item_id,
      item.user_id,
      kind === 'foundDue' ? { kind } : { kind, webhook: 'update' },
      limits.signalMs,
    );

  /** What `/item/get` says decides: a sync may still answer from what Plaid has. */
  async function askHealth(item: ItemView, accessToken: string): Promise<void> {
    const { error } = await plaid.getItem(accessToken);
    if (error === null) return;
    await items.markBroken(item.item_id, error, new Date(now() + brokenCheckMs).toISOString());
    await tell(item, 'foundDue');
  }

  return {
    after(failure, item, accessToken) {
      const gone = failure.type === 'PERMISSION_REVOKED' || failure.type === 'ITEM_GONE';
      if (!gone && failure.type !== 'LOGIN_REQUIRED') return;
      if (item.status !== 'ACTIVE' || !remember(item.item_id)) return;
      // A token that Plaid knows no more fails everywhere: the next update ends the Item as it should be ended.
      const look = gone ? tell(item, 'webhookReceived') : askHealth(item, accessToken);
      look.catch((error: unknown) =>
        logger.warn({ item_id: item.item_id, ...loggedError(error) }, 'left to the next update'),
      );
    },
  };
}
