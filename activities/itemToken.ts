import { Failure } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import type { PlaidErrorName } from '../domain/plaidErrors.js';
import { meaningOf } from '../domain/plaidErrors.js';
import type { AlertStore } from '../domain/ports/alerts.js';
import type { Sealed } from '../domain/ports/secrets.js';
import type { ActivityDeps } from './deps.js';

/** A code that our table lacks is taken for an outage, which may be wrong: an alert is raised, once a code. */
export async function alertUnknownCode(
  { alerts }: { alerts: AlertStore },
  { error_type, error_code }: PlaidErrorName,
): Promise<void> {
  if (meaningOf(error_code) !== null) return;
  await alerts.raise({
    kind: 'plaid_code_unknown',
    key: error_code,
    item_id: null,
    detail: { error_type, error_code },
  });
}

/**
 * Alerts of what operators alone can mend. A token that Plaid does not take says nothing of its Item (the keys are those of another
 * environment or client, say), and one that does not open: one alert an Item. Wrong keys, rights and quotas: one alert a code.
 */
export async function alertOperators(
  alerts: AlertStore,
  itemId: string | null,
  { type, upstream }: Failure,
): Promise<void> {
  const { error_type, error_code } = upstream ?? { error_type: null, error_code: null };
  const detail = { error_type, error_code };
  if (type === 'TOKEN_REFUSED' && itemId !== null) {
    await alerts.raise({ kind: 'token_refused', key: itemId, item_id: itemId, detail });
  }
  if (type === 'SECRET_UNREADABLE' && itemId !== null) {
    await alerts.raise({ kind: 'token_unreadable', key: itemId, item_id: itemId, detail: {} });
  }
  if (type === 'MISCONFIGURED' && error_code !== null) {
    await alerts.raise({ kind: 'plaid_misconfigured', key: error_code, item_id: null, detail });
  }
  if (upstream !== undefined) await alertUnknownCode({ alerts }, upstream);
}

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
