import type { FailureType } from '../domain/failures.js';
import { Failure } from '../domain/failures.js';
import { failureTypeOf } from '../domain/plaidErrors.js';
import type { PlaidPort } from '../domain/ports/plaid.js';

/** What `/item/get` says where a refusal of `/item/remove` is the end that was wanted. The token of an Item that is gone may be none any more. */
const agreeing: Partial<Record<FailureType, ReadonlySet<FailureType>>> = {
  ITEM_GONE: new Set<FailureType>(['ITEM_GONE', 'PERMISSION_REVOKED', 'TOKEN_REFUSED']),
  PERMISSION_REVOKED: new Set<FailureType>(['ITEM_GONE', 'PERMISSION_REVOKED']),
};

/**
 * Removes an Item at Plaid. One that is gone, or whose user has taken the permission back, has ended, too: `/item/get` has to say the same,
 * since the token is erased for it, and an Item that lives on is billed and out of reach.
 */
export async function removeAtPlaid(
  plaid: Pick<PlaidPort, 'removeItem' | 'getItem'>,
  token: string,
): Promise<void> {
  try {
    await plaid.removeItem(token);
  } catch (error) {
    const ends = error instanceof Failure ? agreeing[error.type] : undefined;
    if (ends === undefined) throw error;
    const type = await plaid.getItem(token).then(
      (view) => view.error && failureTypeOf(view.error),
      (refusal: unknown) => {
        if (refusal instanceof Failure && !refusal.retryable) return refusal.type;
        throw refusal;
      },
    );
    if (type === null || !ends.has(type)) throw error;
  }
}
