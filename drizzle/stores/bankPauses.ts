import type { BankPauseStore } from '../../domain/ports/bankPauses.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';

/** The first pause and the longest, in seconds; doubled from one to the next. */
const firstSeconds = 60;
const longestSeconds = 1_800;

export function bankPauseStore(sql: Sql): BankPauseStore {
  const now = sql`clock_timestamp()`;
  /** The pause behind `n` failures. */
  const pause = (failures: ReturnType<typeof sql>) =>
    sql`make_interval(secs => least(${longestSeconds}::float8, ${firstSeconds}::float8 * 2 ^ least(${failures} - 1, 20)))`;

  return {
    async enter(institutionId) {
      const row = firstOf(
        await sql<[{ probe: boolean; known: boolean }]>`
        WITH taken AS (
          UPDATE bank_pauses SET probing = true, next_try_at = ${now} + ${pause(sql`failures`)}
          WHERE institution_id = ${institutionId} AND next_try_at <= ${now} RETURNING 1
        )
        SELECT EXISTS (SELECT FROM taken) AS probe,
          EXISTS (SELECT FROM bank_pauses WHERE institution_id = ${institutionId}) AS known`,
      );
      if (row.probe) return 'probe';
      return row.known ? 'paused' : 'free';
    },

    async noteDown(institutionId) {
      // Who had asked before the bank was known to be down says nothing new.
      await sql`
        INSERT INTO bank_pauses AS known (institution_id, failures, probing, next_try_at)
        VALUES (${institutionId}, 1, false, ${now} + ${pause(sql`1`)})
        ON CONFLICT (institution_id) DO UPDATE SET
          failures = known.failures + 1, probing = false, next_try_at = ${now} + ${pause(sql`(known.failures + 1)`)}
        WHERE known.probing`;
    },

    async noteUp(institutionId) {
      await sql`DELETE FROM bank_pauses WHERE institution_id = ${institutionId}`;
    },
  };
}
