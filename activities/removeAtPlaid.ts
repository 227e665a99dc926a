import { Failure } from '../domain/failures.js';
import { failureTypeOf } from '../domain/plaidErrors.js';
import type { PlaidPort } from '../domain/ports/plaid.js';

/** Removes an Item at Plaid. A user who takes the permission back ends it, too: `/item/get` has to say the same. */
export async function removeAtPlaid(
  plaid: Pick<PlaidPort, 'removeItem' | 'getItem'>,
  token: string,
): Promise<void> {
  try {
    await plaid.removeItem(token);
  } catch (error) {
    if (!(error instanceof Failure && error.type === 'PERMISSION_REVOKED')) throw error;
    const type = await plaid.getItem(token).then(
      (view) => view.error && failureTypeOf(view.error),
      (refusal: unknown) => {
        if (refusal instanceof Failure && !refusal.retryable) return refusal.type;
        throw refusal;
      },
    );
    if (type !== 'PERMISSION_REVOKED' && type !== 'ITEM_GONE') throw error;
  }
}
