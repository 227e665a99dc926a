import { Failure } from '../../domain/failures.js';
import type { FloatStatus, FloatStore } from '../../domain/ports/floats.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';

interface Row {
  user_id: string;
  float_id: string;
  status: FloatStatus;
  occurred_at: Date;
}

export function floatStore(sql: Sql): FloatStore {
  const find = async (db: Sql | Tx, userId: string, floatId: string) => {
    const row = firstOf(
      await db<Row[]>`
      SELECT user_id, float_id, status, occurred_at FROM floats
      WHERE user_id = ${userId} AND float_id = ${floatId}`,
    );
    return row ? { ...row, occurred_at: row.occurred_at.toISOString() } : null;
  };

  return {
    async tell({ userId, floatId, status, occurredAt }) {
      return sql.begin(async (tx) => {
        // Removal looks for active floats under this lock: no float may slip in between its look and its commit.
        await tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`;
        const at = occurredAt === null ? tx`clock_timestamp()` : tx`${occurredAt}::text::timestamptz`;
        await tx`
          INSERT INTO floats AS f (user_id, float_id, status, occurred_at)
          VALUES (${userId}, ${floatId}, ${status}, ${at})
          ON CONFLICT (user_id, float_id) DO UPDATE SET status = excluded.status,
            occurred_at = excluded.occurred_at, updated_at = clock_timestamp()
          WHERE f.occurred_at < excluded.occurred_at
            -- Of two words of one moment the end of the float is the later, in whatever order they come.
            OR (f.occurred_at = excluded.occurred_at AND f.status <> 'closed')`;
        const stored = await find(tx, userId, floatId);
        if (stored === null) throw new Failure('UPSTREAM_DOWN', 'the float was not stored');
        return stored;
      });
    },

    get: (userId, floatId) => find(sql, userId, floatId),
  };
}
