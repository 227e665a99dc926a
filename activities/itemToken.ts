import { Failure } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import type { Alert } from '../domain/operatorAlerts.js';
import { alertsOf, alertsOfCode } from '../domain/operatorAlerts.js';
import type { PlaidErrorName } from '../domain/plaidErrors.js';
import type { AlertStore } from '../domain/ports/alerts.js';
import type { Sealed } from '../domain/ports/secrets.js';
import type { ActivityDeps } from './deps.js';

async function raiseAll(store: AlertStore, alerts: readonly Alert[]): Promise<void> {
  for (const alert of alerts) await store.raise(alert);
}

export const alertUnknownCode = ({ alerts }: { alerts: AlertStore }, error: PlaidErrorName): Promise<void> =>
  raiseAll(alerts, alertsOfCode(error));

export const alertOperators = (alerts: AlertStore, itemId: string | null, failure: Failure): Promise<void> =>
  raiseAll(alerts, alertsOf(itemId, failure));

/** Calls Plaid with an Item's access token; a failure that is the operator's matter raises an alert, and goes on. */
export async function withToken<T>(
  { secrets, alerts }: Pick<ActivityDeps, 'secrets' | 'alerts'>,
  { itemId, accessToken }: { itemId: string; accessToken: Sealed },
  call: (token: string) => Promise<T>,
): Promise<T> {
  try {
    return await call(await secrets.open(accessToken, secretContext.accessToken(itemId)));
  } catch (error) {
    if (error instanceof Failure) await alertOperators(alerts, itemId, error);
    throw error;
  }
}
