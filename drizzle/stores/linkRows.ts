import type { LinkOutcome } from '../../domain/ports/links.js';
import type { Sql, Tx } from '../rows.js';
import { links } from '../schema.js';
import { selection } from '../selection.js';
import { waitsNotLong } from './waitsNotLong.js';

/** A `LinkRow`. */
export const linkRow = selection(links, [
  'token_hash',
  'user_id',
  'application_id',
  'state',
  'item_id',
  'outcome',
  'institution_id',
  'accounts',
  'main_account_id',
  'allow_duplicate',
  'connection',
]);

/** What a statement sets of a link whose public token is used up. */
export const eraseToken = (db: Sql | Tx) =>
  db`public_token_key_id = NULL, public_token_data_key = NULL, public_token_ciphertext = NULL`;

/** Ends a link that is locked, and what was said of its being stuck. */
export async function finishWith(tx: Tx, tokenHash: string, outcome: LinkOutcome): Promise<void> {
  // Many links may end at once, each with a connection in hand.
  await waitsNotLong(tx);
  await tx`
  WITH over AS (DELETE FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash})
  UPDATE links SET outcome = ${JSON.stringify(outcome)}::text::jsonb, state = 'finished',
    ${eraseToken(tx)}, updated_at = clock_timestamp()
  WHERE token_hash = ${tokenHash}`;
}
