import type { BankPauseStore } from '../../domain/ports/bankPauses.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { withShortWaits } from './waitsNotLong.js';

/** The first pause and the longest, in seconds; doubled from one to the next. */
const firstSeconds = 60;
const longestSeconds = 1_800;
/** How long one Item's word is remembered, in seconds. */
const suspicionSeconds = 600;

export function bankPauseStore(sql: Sql): BankPauseStore {
  const now = sql`clock_timestamp()`;
  /** The pause behind `n` failures. */
  const pause = (failures: ReturnType<typeof sql>) =>
    sql`make_interval(secs => least(${longestSeconds}::float8, ${firstSeconds}::float8 * 2 ^ least(${failures} - 1, 20)))`;
  /** An Item's name here: what erases Items need not look for them. */
  const nameOf = (itemId: string) => sql`md5(${itemId}::text)`;

  return {
    async enter(institutionId, itemId) {
      const row = firstOf(
        await sql<[{ probe: boolean; failures: number | null }]>`
        WITH taken AS (
          UPDATE bank_pauses SET probing = true, next_try_at = ${now} + ${pause(sql`failures`)}
          -- While another holds it nobody asks: the Items of a bank are many, and each that waits has a connection in hand.
          WHERE institution_id IN (SELECT institution_id FROM bank_pauses
            WHERE institution_id = ${institutionId} AND failures > 0 AND next_try_at <= ${now}
              - CASE WHEN refused_item = ${nameOf(itemId)} THEN ${pause(sql`failures`)} ELSE '0' END
            FOR NO KEY UPDATE SKIP LOCKED)
          RETURNING 1
        )
        SELECT EXISTS (SELECT FROM taken) AS probe,
          (SELECT failures FROM bank_pauses WHERE institution_id = ${institutionId}) AS failures`,
      );
      if (row.probe) return 'probe';
      if (row.failures === null) return 'free';
      return row.failures === 0 ? 'suspected' : 'paused';
    },

    async noteDown(institutionId, itemId, certain, atLeastMs = 0) {
      const pauseOf = (n: ReturnType<typeof sql>) =>
        sql`greatest(${pause(n)}, ${`${atLeastMs} milliseconds`}::interval)`;
      const isDown = sql`(${certain}::boolean OR known.failures > 0 OR (known.refused_item <> excluded.refused_item
        AND known.next_try_at > ${now} - make_interval(secs => ${suspicionSeconds})))`;
      const failures = sql`(CASE WHEN ${isDown} THEN known.failures + 1 ELSE 0 END)`;
      // Who had asked before the bank was known to be down says nothing new.
      await withShortWaits(sql, async (tx) => {
        await tx`
        INSERT INTO bank_pauses AS known (institution_id, failures, probing, next_try_at, refused_item)
        VALUES (${institutionId}, ${certain}::boolean::int, false,
          ${now} + CASE WHEN ${certain}::boolean THEN ${pauseOf(sql`1`)} ELSE '0' END, ${nameOf(itemId)})
        ON CONFLICT (institution_id) DO UPDATE SET
          failures = ${failures}, probing = false, refused_item = excluded.refused_item,
          next_try_at = ${now} + CASE WHEN ${isDown} THEN ${pauseOf(sql`${failures}`)} ELSE '0' END
        WHERE known.probing OR known.failures = 0`;
      });
    },

    async noteUp(institutionId) {
      await withShortWaits(sql, async (tx) => {
        await tx`DELETE FROM bank_pauses WHERE institution_id = ${institutionId}`;
      });
    },
  };
}
