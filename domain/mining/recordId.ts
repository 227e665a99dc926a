/** Plaid's ids are about 37 characters; an index entry takes 2,704 bytes. */
export const longestId = 512;

/** Why a record cannot be kept under its id; null when it can. */
export function refusalOfId(id: unknown): 'no_id' | 'id_too_long' | 'bad_id' | null {
  if (typeof id !== 'string' || id === '') return 'no_id';
  if (id.length > longestId) return 'id_too_long';
  // Such an id cannot be stored as it is, and mended it could be another record's.
  return id.isWellFormed() && !id.includes('\u0000') ? null : 'bad_id';
}
