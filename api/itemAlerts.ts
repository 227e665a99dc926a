import type { Failure } from '../domain/failures.js';
import { alertsOf } from '../domain/operatorAlerts.js';
import type { ApiDeps } from './deps.js';
import { loggedError } from './errors.js';

/** Raises what operators alone can mend of a refusal that concerns an Item. The client's answer does not depend on it: never rejects. */
export async function alertRefusal(
  { alerts, logger }: Pick<ApiDeps, 'alerts' | 'logger'>,
  itemId: string,
  failure: Failure,
): Promise<void> {
  try {
    for (const alert of alertsOf(itemId, failure)) await alerts.raise(alert);
  } catch (error) {
    logger.warn({ item_id: itemId, ...loggedError(error) }, 'an alert was not stored');
  }
}
