import { failureTypeOf } from '../../domain/plaidErrors.js';
import type { Actor } from '../../domain/ports/connections.js';
import type { Tx } from '../rows.js';
import { suspendConnections } from './connectionWrites.js';

/** What an Item's row says of the permission that its user gave at the bank. */
export interface BankWord {
  revoked: boolean;
  error_type: string | null;
  error_code: string | null;
}

/** By the word of a webhook, or of `/item/get` alone. */
export const isRevokedAtBank = ({ revoked, error_type, error_code }: BankWord): boolean =>
  revoked ||
  (error_type !== null &&
    error_code !== null &&
    failureTypeOf({ error_type, error_code }) === 'PERMISSION_REVOKED');

const bank: Actor = { initiator: 'bank', applicationId: null, keyId: null, reason: null };

/** A connection that has just come to life is suspended where the bank gives the Item to nobody: those that live were then. */
export async function suspendIfRevoked(
  tx: Tx,
  itemId: string,
  applicationId: string,
  item: BankWord,
): Promise<void> {
  if (isRevokedAtBank(item)) await suspendConnections(tx, itemId, true, applicationId, bank);
}
