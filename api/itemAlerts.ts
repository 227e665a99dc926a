import type { Failure } from '../domain/failures.js';
import { meaningOf } from '../domain/plaidErrors.js';
import type { ApiDeps } from './deps.js';
import { loggedError } from './errors.js';

/**
 * Tells operators what only they can look into of a refusal that concerns an Item: its access token is not taken, or nobody knows the code.
 * The client's answer does not depend on it: never rejects.
 */
export async function alertRefusal(
  { alerts, logger }: Pick<ApiDeps, 'alerts' | 'logger'>,
  itemId: string,
  { type, upstream }: Failure,
): Promise<void> {
  const { error_type, error_code } = upstream ?? { error_type: null, error_code: null };
  const detail = { error_type, error_code };
  try {
    if (type === 'TOKEN_REFUSED') {
      await alerts.raise({ kind: 'token_refused', key: itemId, item_id: itemId, detail });
    }
    if (error_code !== null && meaningOf(error_code) === null) {
      await alerts.raise({ kind: 'plaid_code_unknown', key: error_code, item_id: null, detail });
    }
  } catch (error) {
    logger.warn({ item_id: itemId, ...loggedError(error) }, 'an alert was not stored');
  }
}
