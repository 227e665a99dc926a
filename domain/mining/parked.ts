import type { refusalOfId } from './recordId.js';

/** A transaction or an account that cannot be kept. It never blocks the others: it is kept apart and reported. */
export interface ParkedRecord {
  /** The record's id; where it has none, the list and the place where it stood. An account's begins with `accounts#`. */
  key: string;
  reason:
    | NonNullable<ReturnType<typeof refusalOfId>>
    | 'not_an_object'
    | 'too_deep'
    | 'no_account'
    | 'bad_date'
    | 'bad_amount';
  raw: unknown;
}
