import type { Viewer } from '../domain/exchange/viewer.js';
import type { Failure, FailureType } from '../domain/failures.js';
import { consentOf, failureOfItem, healthOf } from '../domain/item/health.js';
import { beginsEpisode } from '../domain/plaidErrors.js';
import type { ItemSignal } from '../domain/ports/gateway.js';
import type { ItemView } from '../domain/ports/reads.js';
import { remember } from '../domain/remember.js';
import { askItemSurely } from './askItemSurely.js';
import type { ApiDeps, ApiLimits } from './deps.js';
import { loggedError } from './errors.js';
import { alertRefusal } from './itemAlerts.js';

/** The pause between two checks of an Item, however many reads fail. */
const recheckAfterMs = 300_000;
const mostRemembered = 10_000;
/** Failures that any call of the Item meets. */
const failsEverywhere: ReadonlySet<FailureType> = new Set([
  'PERMISSION_REVOKED',
  'ITEM_GONE',
  'TOKEN_REFUSED',
]);

export interface ItemHealthChecks {
  /**
   * A read at Plaid failed: operators are told of what they alone mend, and where no webhook has reported it (yet) the Item's episode
   * begins if Plaid says so. Never throws and
   * is not waited for; losing it is harmless, since the Item's next update finds out as well.
   */
  after(failure: Failure, viewer: Viewer, item: ItemView, accessToken: string): void;
}

type Deps = Pick<
  ApiDeps,
  'plaid' | 'reads' | 'items' | 'gateway' | 'alerts' | 'webhookUrl' | 'logger' | 'brokenCheckMs'
>;

export function createItemHealthChecks(
  { plaid, reads, items, gateway, alerts, webhookUrl, logger, brokenCheckMs }: Deps,
  limits: Pick<ApiLimits, 'signalMs'>,
  { now, elapsed }: { now: () => number; elapsed: () => number },
): ItemHealthChecks {
  const checkedAt = new Map<string, number>();

  const checkedOfLate = (itemId: string): boolean =>
    elapsed() - (checkedAt.get(itemId) ?? Number.NEGATIVE_INFINITY) < recheckAfterMs;

  const sendSignal = ({ item_id, user_id }: ItemView, signal: ItemSignal): Promise<void> =>
    gateway.signalItem(item_id, user_id, signal, limits.signalMs);

  /** What `/item/get` says decides: a sync may still answer from what Plaid has. */
  async function askHealth(viewer: Viewer, item: ItemView, accessToken: string): Promise<void> {
    const credentials = await reads.asking(viewer, item.item_id, 'command');
    if (credentials === null || 'refusal' in credentials) return;
    const view = await askItemSurely({ plaid, alerts, webhookUrl }, item.item_id, accessToken);
    const health = healthOf(view);
    if (health.kind !== 'healthy')
      await alertRefusal({ alerts, logger }, item.item_id, failureOfItem(health.error));
    const consent = consentOf(view);
    if (health.kind !== 'broken') return items.noteConsent(item.item_id, credentials.seen, consent);
    const dueAt = new Date(now() + brokenCheckMs).toISOString();
    // Who has asked after us knows better, and has signalled.
    if (!(await items.setBroken(item.item_id, credentials.seen, health.error, dueAt, { consent }))) return;
    await sendSignal(item, { kind: 'foundDue' });
  }

  return {
    after(failure, viewer, item, accessToken) {
      // A right that this read alone needs no update ever meets.
      void alertRefusal({ alerts, logger }, item.item_id, failure);
      const everywhere = failsEverywhere.has(failure.type);
      if (!everywhere && !beginsEpisode(failure.type)) return;
      if (item.status !== 'ACTIVE' || checkedOfLate(item.item_id)) return;
      remember(checkedAt, item.item_id, elapsed(), mostRemembered);
      // The next update meets it too, and does what is to be done.
      const check = everywhere
        ? sendSignal(item, { kind: 'webhookReceived', webhook: 'update' })
        : askHealth(viewer, item, accessToken);
      check.catch((error: unknown) =>
        logger.warn({ item_id: item.item_id, ...loggedError(error) }, 'left to the next update'),
      );
    },
  };
}
