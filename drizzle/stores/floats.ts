import { Failure } from '../../domain/failures.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { FloatStore, FloatView } from '../../domain/ports/floats.js';
import { plausiblyAheadMs } from '../../domain/userEvents/userEvent.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { floats } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { waitsNotLong } from './alerts.js';
import { isBeingErased } from './beingErased.js';
import { knowsUser } from './rights.js';

/** Later than this nothing has occurred that the stream took by now; older releases have kept what its sender said. */
const plausibleUntil = (tx: Tx): Fragment => tx`
  (clock_timestamp() + ${`${plausiblyAheadMs} milliseconds`}::interval)`;

const shown = selection(floats, ['user_id', 'float_id', 'status', 'occurred_at']);

/** Every float, whoever told of it: `application_id` is null where that was the stream, or an application that sees every Item. */
export const everyFloat = (sql: Sql | Tx): Fragment => sql`(
  SELECT NULL::text AS application_id, s.user_id, s.float_id, s.status, s.occurred_at FROM floats s
  UNION ALL
  SELECT o.application_id, o.user_id, o.float_id, o.status, o.occurred_at FROM application_floats o)`;

/** Whether the user owes a float, whoever told of it: no Item of theirs goes then. */
export async function hasActiveFloat(db: Sql | Tx, userId: string): Promise<boolean> {
  const row = firstOf(
    await db<[{ active: boolean }]>`
    SELECT EXISTS (SELECT FROM ${everyFloat(db)} AS f WHERE f.user_id = ${userId} AND f.status = 'active') AS active`,
  );
  return row.active;
}

export function floatStore(sql: Sql): FloatStore {
  /** That the viewer knows the user; the service itself knows of floats before it knows of their users. */
  const mayReport = (db: Sql | Tx, by: Viewer | null, userId: string): Fragment =>
    by === null
      ? db`true`
      : db`EXISTS (SELECT FROM users u WHERE u.user_id = ${userId} AND ${knowsUser(db, by)})`;

  /** The one of this id that the viewer has told of, and for who sees everything any. */
  const find = async (
    db: Sql | Tx,
    by: Viewer | null,
    userId: string,
    floatId: string,
  ): Promise<FloatView | null> => {
    // The listener may read no table more than it has to.
    const known = by === null ? db`(SELECT NULL::text AS application_id, s.* FROM floats s)` : everyFloat(db);
    const mine = by?.access === 'connected' ? db`f.application_id = ${by.applicationId}` : db`true`;
    const row = firstOf(
      await db<Selected<typeof shown>[]>`
      SELECT ${shown.list(db, 'f')} FROM ${known} AS f
      WHERE f.user_id = ${userId} AND f.float_id = ${floatId} AND ${mine} AND ${mayReport(db, by, userId)}
      ORDER BY coalesce(f.application_id = ${by?.applicationId ?? null}, false) DESC, f.application_id NULLS FIRST LIMIT 1`,
    );
    return row === undefined ? null : { ...row, occurred_at: row.occurred_at.toISOString() };
  };

  /** Whether an application's word is about a float of its own. One that sees every Item may have had some before it did. */
  async function isOwn(tx: Tx, by: Viewer | null, userId: string, floatId: string): Promise<boolean> {
    if (by === null || by.access === 'connected') return by !== null;
    const own = await tx`
      SELECT FROM application_floats
      WHERE application_id = ${by.applicationId} AND user_id = ${userId} AND float_id = ${floatId}`;
    return own.length > 0;
  }

  return {
    async record({ userId, floatId, status, occurredAt, arrivedAt = null, by }) {
      return sql.begin(async (tx) => {
        // The listener has many on their way at once, each with a connection in hand, and renews the leases of all its shards by what is left.
        if (by === null) await waitsNotLong(tx);
        // Removal reads the active floats under this lock: no float may slip in between its read and its commit.
        await tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`;
        const may = firstOf(await tx<[{ may: boolean }]>`SELECT ${mayReport(tx, by, userId)} AS may`);
        // Who does not know the user does not learn either that its data are being erased.
        if (!may.may) return null;
        if (await isBeingErased(tx, userId, arrivedAt)) {
          throw new Failure('USER_BEING_ERASED', 'the data of the user are being erased');
        }
        const own = by !== null && (await isOwn(tx, by, userId, floatId)) ? by.applicationId : null;
        await tx`
          INSERT INTO ${own === null ? tx`floats` : tx`application_floats`} AS kept
            (${own === null ? tx`` : tx`application_id,`} user_id, float_id, status, occurred_at)
          SELECT ${own === null ? tx`` : tx`${own},`} ${userId}, ${floatId}, ${status},
            coalesce(${occurredAt}::text::timestamptz, clock_timestamp())
          WHERE ${mayReport(tx, by, userId)}
          ON CONFLICT (${own === null ? tx`` : tx`application_id,`} user_id, float_id) DO UPDATE
            SET status = excluded.status, occurred_at = excluded.occurred_at, updated_at = clock_timestamp()
            -- Of two words of one moment the end of the float is the later, in whatever order they come.
            WHERE kept.occurred_at < excluded.occurred_at OR kept.occurred_at > ${plausibleUntil(tx)}
              OR (kept.occurred_at = excluded.occurred_at AND kept.status <> 'closed')`;
        const owner = own === null ? null : ({ applicationId: own, access: 'connected' } as const);
        return find(tx, owner, userId, floatId);
      });
    },

    get: (viewer, userId, floatId) => find(sql, viewer, userId, floatId),
  };
}
