import type { Fragment, Sql, Tx } from '../rows.js';

/**
 * Columns of an Item of whose numbers somebody has said something: an answer that is on its way is older than that, and what the answers
 * before have lacked proves nothing any more.
 */
export const numbersMoved = (sql: Sql | Tx): Fragment => sql`
  numbers_lacking_since = NULL, numbers_facts = numbers_facts + 1`;

/** Columns of an Item that its account numbers are to be read (again) now. */
export const numbersAreDue = (sql: Sql | Tx): Fragment => sql`
  numbers_due_at = least(numbers_due_at, clock_timestamp()), ${numbersMoved(sql)}`;

/**
 * Column of an Item that its account numbers are to be read anew if they were asked for longer than `age` (ms) ago: the word that they
 * are others may be lost for good. Those that wait for their time keep it.
 */
export const oldNumbersAreDue = (sql: Sql | Tx, age: number): Fragment => sql`
  numbers_due_at = CASE
    WHEN numbers_due_at IS NULL
      AND (extract(epoch FROM clock_timestamp() - numbers_asked_at) * 1000 < ${age}::numeric) IS NOT TRUE
    THEN clock_timestamp() ELSE numbers_due_at END`;

/**
 * How the verification of an account `a` stands by the newest word of Plaid's: `pending`, `verified`, `expired` or `failed`; null =
 * there is none that is known.
 */
export const verificationOf = (sql: Sql | Tx): Fragment => sql`
  coalesce(a.verification, CASE a.raw->>'verification_status'
    WHEN 'pending_automatic_verification' THEN 'pending'
    WHEN 'pending_manual_verification' THEN 'pending'
    WHEN 'unsent' THEN 'pending'
    WHEN 'automatically_verified' THEN 'verified'
    WHEN 'manually_verified' THEN 'verified'
    WHEN 'verification_expired' THEN 'expired'
    WHEN 'verification_failed' THEN 'failed' END)`;
