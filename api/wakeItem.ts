import type { RouteContext } from './deps.js';
import { loggedError } from './errors.js';

/**
 * Has the Item's workflow read its row. What was changed is safe in the database: with Temporal down the sweep finds it later.
 */
export async function wakeItem(
  { gateway, limits, logger }: Pick<RouteContext, 'gateway' | 'limits' | 'logger'>,
  itemId: string,
  userId: string,
): Promise<void> {
  await gateway
    .signalItem(itemId, userId, { kind: 'foundDue' }, limits.signalMs)
    .catch((error: unknown) => logger.warn({ item_id: itemId, ...loggedError(error) }, 'left to the sweep'));
}
