import { and, eq, sql as part } from 'drizzle-orm';
import { Failure } from '../../domain/failures.js';
import type { FloatStore } from '../../domain/ports/floats.js';
import { asMoment, builder, clock, excluded } from '../builder.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { floats, users } from '../schema.js';
import { isBeingErased } from './beingErased.js';

/** Whether the user owes a float: no Item of theirs goes then. */
export async function hasActiveFloat(db: Sql | Tx, userId: string): Promise<boolean> {
  const row = firstOf(
    await db<[{ active: boolean }]>`
    SELECT EXISTS (SELECT FROM floats WHERE user_id = ${userId} AND status = 'active') AS active`,
  );
  return row.active;
}

export function floatStore(sql: Sql): FloatStore {
  const find = async (db: Sql | Tx, userId: string, floatId: string) => {
    const row = firstOf(
      await builder(db)
        .select({
          user_id: floats.userId,
          float_id: floats.floatId,
          status: floats.status,
          occurred_at: floats.occurredAt,
        })
        .from(floats)
        .where(and(eq(floats.userId, userId), eq(floats.floatId, floatId))),
    );
    return row ? { ...row, occurred_at: row.occurred_at.toISOString() } : null;
  };

  return {
    async record({ userId, floatId, status, occurredAt }) {
      return sql.begin(async (tx) => {
        const db = builder(tx);
        // Removal reads the active floats under this lock: no float may slip in between its read and its commit.
        await db
          .select({ user_id: users.userId })
          .from(users)
          .where(eq(users.userId, userId))
          .for('no key update');
        if (await isBeingErased(tx, userId)) {
          throw new Failure('USER_BEING_ERASED', 'the data of the user are being erased');
        }
        const at = excluded(floats.occurredAt);
        await db
          .insert(floats)
          .values({ userId, floatId, status, occurredAt: occurredAt === null ? clock : asMoment(occurredAt) })
          .onConflictDoUpdate({
            target: [floats.userId, floats.floatId],
            set: { status: excluded(floats.status), occurredAt: at, updatedAt: clock },
            // Of two words of one moment the end of the float is the later, in whatever order they come.
            setWhere: part`${floats.occurredAt} < ${at}
              OR (${floats.occurredAt} = ${at} AND ${floats.status} <> 'closed')`,
          });
        const stored = await find(tx, userId, floatId);
        if (stored === null) throw new Failure('UPSTREAM_DOWN', 'the float was not stored');
        return stored;
      });
    },

    get: (userId, floatId) => find(sql, userId, floatId),
  };
}
