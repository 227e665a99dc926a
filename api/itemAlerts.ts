import type { Failure } from '../domain/failures.js';
import type { Alert } from '../domain/operatorAlerts.js';
import { alertsOf } from '../domain/operatorAlerts.js';
import type { ApiDeps } from './deps.js';
import { loggedError } from './errors.js';

type Alerting = Pick<ApiDeps, 'alerts' | 'logger'>;

/** Raises alerts about an Item. The client's answer does not depend on them: never rejects. */
export async function raiseAlerts(
  { alerts, logger }: Alerting,
  itemId: string,
  raised: readonly Alert[],
): Promise<void> {
  try {
    for (const alert of raised) await alerts.raise(alert);
  } catch (error) {
    logger.warn({ item_id: itemId, ...loggedError(error) }, 'an alert was not stored');
  }
}

/** Raises what operators alone can mend of a refusal that concerns an Item. Never rejects. */
export const alertRefusal = (context: Alerting, itemId: string, failure: Failure): Promise<void> =>
  raiseAlerts(context, itemId, alertsOf(itemId, failure));
