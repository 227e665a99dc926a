import { Failure } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import type { Sealed } from '../domain/ports/secrets.js';
import type { ActivityDeps } from './deps.js';

/**
 * Calls Plaid with an Item's access token. A token that Plaid does not take says nothing of the Item: it is the operator's
 * matter (the keys of another environment or client, say). So an alert is raised, once an Item, and the failure goes on.
 */
export async function withToken<T>(
  { secrets, alerts }: Pick<ActivityDeps, 'secrets' | 'alerts'>,
  { itemId, accessToken }: { itemId: string; accessToken: Sealed },
  call: (token: string) => Promise<T>,
): Promise<T> {
  const token = await secrets.open(accessToken, secretContext.accessToken(itemId));
  try {
    return await call(token);
  } catch (error) {
    if (error instanceof Failure && error.type === 'TOKEN_REFUSED') {
      const { error_type, error_code } = error.upstream ?? { error_type: null, error_code: null };
      await alerts.raise({
        kind: 'token_refused',
        key: itemId,
        item_id: itemId,
        detail: { error_type, error_code },
      });
    }
    throw error;
  }
}
