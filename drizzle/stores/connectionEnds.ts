import { eachByItself } from '../../domain/eachByItself.js';
import type { ConnectionEndStore, EndedItem } from '../../domain/ports/connectionEnds.js';
import { databaseFailure } from '../failures.js';
import { firstOf } from '../rows.js';
import type { Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { isLive } from './connectionStatus.js';
import { expireConnections, reportExpiring } from './connectionWrites.js';
import { hasActiveFloat } from './floats.js';
import { withShortWaits } from './waitsNotLong.js';

const found = selection(items, [], { itemId: 'item_id', userId: 'user_id' });
const kept = 'unconnected';

/** See `eachByItself`, which knows Failures. */
const forEach = <T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> =>
  eachByItself(all, (one) =>
    work(one).catch((error: unknown) => {
      throw databaseFailure(error);
    }),
  );

const faultOf = (work: Promise<void>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

export function connectionEndStore(sql: Sql): ConnectionEndStore {
  /** Whether a row is locked now. One that another holds, for however long, is left to the next sweep: it holds up none behind it. */
  const locks = async (rows: PromiseLike<readonly object[]>): Promise<boolean> => (await rows).length > 0;

  const lockItem = (tx: Tx, itemId: string): Promise<boolean> =>
    locks(tx`SELECT FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE SKIP LOCKED`);

  /** Whether each connection with the Item is locked now. */
  const lockConnections = (tx: Tx, itemId: string): Promise<boolean> => {
    const ofItem = tx`SELECT FROM connections WHERE item_id = ${itemId} AND revoked_at IS NULL`;
    return locks(tx`
      WITH free AS (${ofItem} FOR NO KEY UPDATE SKIP LOCKED)
      SELECT WHERE (SELECT count(*) FROM free) = (SELECT count(*) FROM (${ofItem}) AS those)`);
  };

  /** Under the Item's lock: a renewal, a revocation and this go one after the other. Null: another one holds it, or one of its connections. */
  const underLock = <T>(itemId: string, work: (tx: Tx) => Promise<T>): Promise<T | null> =>
    // Somebody else may hold what is told of it.
    withShortWaits(sql, async (tx) =>
      (await lockItem(tx, itemId)) && (await lockConnections(tx, itemId)) ? work(tx) : null,
    );

  /** Whether the Item's removal is asked for now, under its user's and its own lock; null: neither, or another one holds them. */
  const requestRemoval = (
    { itemId, userId }: EndedItem,
    graceMs: number,
  ): Promise<'requested' | 'kept' | null> =>
    sql.begin(async (tx) => {
      // Floats are written under the user's lock.
      if (!(await locks(tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE SKIP LOCKED`)))
        return null;
      if (!(await lockItem(tx, itemId))) return null;
      // Read only now, when nobody changes it any more.
      const over = firstOf(
        await tx`
        SELECT FROM items i WHERE i.item_id = ${itemId} AND i.removal_requested_at IS NULL AND i.removed_at IS NULL
          AND i.unconnected_since <= clock_timestamp() - ${`${graceMs} milliseconds`}::interval
          AND NOT EXISTS (SELECT FROM connections c WHERE c.item_id = i.item_id AND ${isLive(tx)})`,
      );
      if (over === undefined) return null;
      if (await hasActiveFloat(tx, userId)) {
        await tx`
          INSERT INTO sweep_told (kind, subject, told_at) VALUES (${kept}, ${itemId}, clock_timestamp())
          ON CONFLICT (kind, subject) DO UPDATE SET told_at = excluded.told_at`;
        return 'kept';
      }
      await tx`UPDATE items SET removal_requested_at = clock_timestamp() WHERE item_id = ${itemId}`;
      return 'requested';
    });

  return {
    async noteExpired(limit) {
      const due = await sql<Selected<typeof found>[]>`
        SELECT ${found.list(sql, 'i')} FROM (
          SELECT c.item_id, min(c.expires_at) AS since FROM connections c
          WHERE c.expires_at <= clock_timestamp() AND c.revoked_at IS NULL AND c.expired_noted_at IS NULL
          GROUP BY c.item_id ORDER BY since, c.item_id LIMIT ${limit}) AS due JOIN items i USING (item_id)
        ORDER BY due.since, i.item_id`;
      const ended: EndedItem[] = [];
      const work = forEach(due, async (item) => {
        if ((await underLock(item.itemId, (tx) => expireConnections(tx, item.itemId))) === true)
          ended.push(item);
      });
      return { ended, fault: await faultOf(work) };
    },

    async reportExpiring(limit) {
      const due = await sql<{ item_id: string }[]>`
        SELECT c.item_id FROM connections c
        WHERE c.revoked_at IS NULL AND c.expired_noted_at IS NULL AND c.expires_at > clock_timestamp()
          AND (c.expires_at <= clock_timestamp() + interval '30 days' AND c.expiry_told_days IS NULL
            OR c.expires_at <= clock_timestamp() + interval '7 days' AND c.expiry_told_days > 7
            OR c.expires_at <= clock_timestamp() + interval '1 day' AND c.expiry_told_days > 1)
        GROUP BY c.item_id ORDER BY min(c.expires_at), c.item_id LIMIT ${limit}`;
      await forEach(due, async ({ item_id }) => {
        await underLock(item_id, (tx) => reportExpiring(tx, item_id));
      });
      return due.length;
    },

    async requestRemovals(limit, graceMs) {
      const due = await sql<Selected<typeof found>[]>`
        SELECT ${found.list(sql, 'i')} FROM items i LEFT JOIN sweep_told t ON t.kind = ${kept} AND t.subject = i.item_id
        WHERE i.unconnected_since <= clock_timestamp() - ${`${graceMs} milliseconds`}::interval
          AND i.removed_at IS NULL AND i.removal_requested_at IS NULL
        ORDER BY greatest(i.unconnected_since, t.told_at), i.item_id LIMIT ${limit}`;
      const ends = { requested: [] as EndedItem[], kept: [] as EndedItem[] };
      const work = forEach(due, async (item) => {
        const end = await requestRemoval(item, graceMs);
        if (end !== null) ends[end].push(item);
      });
      return { ...ends, fault: await faultOf(work) };
    },
  };
}
