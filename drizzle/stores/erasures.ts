import { createHash, randomUUID } from 'node:crypto';
import { itemWorkflowId, historyWorkflowId, linkWorkflowId, remineWorkflowId } from '../../domain/ids.js';
import { hashedName, namedIn } from '../../domain/namedPath.js';
import type {
  ErasureRequest,
  ErasureState,
  ErasureStore,
  ErasureView,
  LeftToEnd,
} from '../../domain/ports/erasures.js';
import { firstOf, iso, sha256Of } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { connections, erasures, idempotencyKeys, items, links } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { everyFloat, hasActiveFloat } from './floats.js';
import { sweptErasure } from './sweep.js';
import { lastUserTables, userTables } from './userTables.js';
import type { UserNames, UserTable } from './userTables.js';
import { writeEvents } from './writeEvents.js';

const shown = selection(erasures, ['erasure_id', 'user_hash', 'requested_at', 'ended_at', 'counts']);
const running = selection(erasures, [
  'erasure_id',
  'user_id',
  'user_hash',
  'application_id',
  'key_id',
  'connected_applications',
  'requested_at',
  'counts',
]);
const ownItem = selection(items, ['item_id', 'token_hash', 'remines']);
const ownLink = selection(links, ['token_hash']);
const ownConnection = selection(connections, ['connection_id']);
const shownPast = selection(erasures, [], {
  erasureId: 'erasure_id',
  userHash: 'user_hash',
  at: 'requested_at',
});
const keyedPath = selection(idempotencyKeys, ['path']);
const itemLeft = selection(items, [], { itemId: 'item_id', userId: 'user_id' });
const linkLeft = selection(links, [], { tokenHash: 'token_hash', userId: 'user_id' });

type Running = Selected<typeof running> & { user_id: string };

/** Who asked for an erasure that was forgotten, and is asked for again: the row that said it is gone. */
const reapplied = 'after-restore';

const hashOf = (userId: string): string => createHash('sha256').update(userId).digest('hex');

export function erasureStore(sql: Sql): ErasureStore {
  const left = (db: Sql | Tx): Fragment => db`
    (SELECT count(*)::int FROM items i WHERE i.user_id = e.user_id AND i.removed_at IS NULL) AS items_left,
    (SELECT count(*)::int FROM links l WHERE l.user_id = e.user_id AND l.state <> 'finished') AS links_left`;

  /** The newest that `where` names. */
  async function view(db: Sql | Tx, where: Fragment): Promise<ErasureView | null> {
    const row = firstOf(
      await db<(Selected<typeof shown> & { items_left: number; links_left: number })[]>`
      SELECT ${shown.list(db, 'e')}, ${left(db)} FROM erasures e WHERE ${where}
      ORDER BY e.requested_at DESC, e.erasure_id DESC LIMIT 1`,
    );
    if (row === undefined) return null;
    const waits = row.items_left + row.links_left > 0;
    const state: ErasureState = row.ended_at !== null ? 'done' : waits ? 'removing' : 'deleting';
    return {
      erasure_id: row.erasure_id,
      user_hash: row.user_hash,
      state,
      left: { items: row.items_left, links: row.links_left },
      requested_at: row.requested_at.toISOString(),
      ended_at: iso(row.ended_at),
      deleted: row.counts,
    };
  }

  const connectedWith = (tx: Tx, userId: string): Fragment => tx`ARRAY(
    SELECT DISTINCT c.application_id FROM connections c JOIN applications a USING (application_id)
    WHERE c.user_id = ${userId} AND a.access = 'connected')`;

  /** An erasure that goes on, kept until the end of the transaction. */
  async function lock(tx: Tx, erasureId: string): Promise<Running | null> {
    const row = firstOf(
      await tx<Selected<typeof running>[]>`
      SELECT ${running.list(tx)} FROM erasures WHERE erasure_id = ${erasureId} AND ended_at IS NULL FOR NO KEY UPDATE`,
    );
    return row === undefined || row.user_id === null ? null : { ...row, user_id: row.user_id };
  }

  /**
   * Of a user whose erasure is committed. Links that Plaid was not asked for end here; those on their way end by themselves, and their Items
   * are not admitted any more. Of Items that are the user's the removal is asked for.
   */
  async function endAll(tx: Tx, erasureId: string, userId: string): Promise<void> {
    // Lets foreign keys pass: who writes twice of an Item or a link comes to its user by one, with the row locked for which is waited below.
    await tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`;
    await tx`
      UPDATE links SET state = 'finished', outcome = '{"kind": "user_being_erased"}', public_token_key_id = NULL,
        public_token_data_key = NULL, public_token_ciphertext = NULL, updated_at = clock_timestamp()
      WHERE user_id = ${userId} AND state = 'received'`;
    await tx`
      UPDATE items SET removal_requested_at = clock_timestamp()
      WHERE item_id IN (
        SELECT item_id FROM items
        WHERE user_id = ${userId} AND admitted_at IS NOT NULL AND removed_at IS NULL AND removal_requested_at IS NULL
        ORDER BY item_id FOR NO KEY UPDATE)`;
    // From here on nobody is connected any more. Who was since the erasure began is told of its end, too.
    await tx`
      UPDATE erasures e SET connected_applications = ARRAY(
        SELECT unnest(e.connected_applications) UNION SELECT unnest(${connectedWith(tx, userId)}))
      WHERE e.erasure_id = ${erasureId}`;
  }

  async function leftToEnd(tx: Tx, userId: string): Promise<LeftToEnd> {
    const open = await tx<Selected<typeof itemLeft>[]>`
      SELECT ${itemLeft.list(tx)} FROM items WHERE user_id = ${userId} AND removed_at IS NULL ORDER BY item_id`;
    const ending = await tx<Selected<typeof linkLeft>[]>`
      SELECT ${linkLeft.list(tx, 'l')} FROM links l
      WHERE l.user_id = ${userId} AND (l.state <> 'finished' OR EXISTS (
        SELECT FROM items i WHERE i.item_id = l.item_id AND i.admitted_at IS NULL AND i.removed_at IS NULL))
      ORDER BY l.token_hash`;
    return { items: [...open], links: [...ending] };
  }

  async function namesOf(tx: Tx, userId: string): Promise<UserNames & { workflowIds: string[] }> {
    const own = await tx<Selected<typeof ownItem>[]>`
      SELECT ${ownItem.list(tx)} FROM items WHERE user_id = ${userId} ORDER BY item_id`;
    const tokens = await tx<Selected<typeof ownLink>[]>`
      SELECT ${ownLink.list(tx)} FROM links WHERE user_id = ${userId}`;
    const granted = await tx<Selected<typeof ownConnection>[]>`
      SELECT ${ownConnection.list(tx)} FROM connections WHERE user_id = ${userId}`;
    const itemIds = own.map((row) => row.item_id);
    const tokenHashes = [...new Set([...own, ...tokens].map((row) => row.token_hash))];
    const named: ReadonlySet<string> = new Set([userId, ...itemIds]);
    const encoded = await tx<Selected<typeof keyedPath>[]>`
      SELECT DISTINCT ${keyedPath.list(tx)} FROM idempotency_keys WHERE path LIKE '/v1/%\%%'`;
    return {
      userId,
      itemIds,
      tokenHashes,
      connectionIds: granted.map((row) => row.connection_id),
      hashedNames: [...named].map((name) => hashedName(hashOf(name))),
      paths: encoded.map((row) => row.path).filter((path) => named.has(namedIn(path) ?? '')),
      workflowIds: [
        ...own.flatMap(({ item_id, remines }) => [
          itemWorkflowId(item_id),
          historyWorkflowId(item_id),
          ...(remines > 0 ? [remineWorkflowId(item_id, remines)] : []),
        ]),
        ...tokenHashes.map(linkWorkflowId),
      ],
    };
  }

  /** Deletes and counts, in one statement; `limit` null = all of them. */
  async function deleteFrom(
    tx: Tx,
    erasureId: string,
    table: UserTable,
    names: UserNames,
    limit: number | null,
  ): Promise<number> {
    await table.lockFirst?.(tx, names);
    const name = tx(table.name);
    const theirs = table.where(tx, names);
    const some =
      table.lockedBy !== null
        ? tx`t.${tx(table.lockedBy)} IN (
            SELECT t.${tx(table.lockedBy)} FROM ${name} t WHERE ${theirs} ORDER BY t.${tx(table.lockedBy)} ${limit === null ? tx`` : tx`LIMIT ${limit}`} FOR UPDATE)`
        : limit === null
          ? theirs
          : tx`t.ctid = ANY(ARRAY(SELECT t.ctid FROM ${name} t WHERE ${theirs} LIMIT ${limit}))`;
    const row = firstOf(
      await tx<[{ deleted: number }]>`
      WITH gone AS (
        DELETE FROM ${name} t WHERE ${some} RETURNING 1
      ),
      counted AS (SELECT count(*)::int AS n FROM gone),
      noted AS (
        UPDATE erasures e SET counts = e.counts || jsonb_build_object(${table.name}::text,
          coalesce((e.counts->>${table.name}::text)::int, 0) + c.n)
        FROM counted c WHERE e.erasure_id = ${erasureId} AND c.n > 0
      )
      SELECT n AS deleted FROM counted`,
    );
    return row.deleted;
  }

  /** The history of connections is only ever added to, but for this. */
  const mayErase = (tx: Tx) => tx`SELECT set_config('sluice.erasing', 'on', true)`;

  const forgetInAlerts = (tx: Tx, { userId, tokenHashes }: UserNames) => tx`
    UPDATE alerts SET detail = detail - 'user_id'
    WHERE kind = 'link_outcome_unknown' AND (key = ANY(${tokenHashes}::text[]) OR detail->>'user_id' = ${userId})`;

  async function request(
    userId: string,
    { erasureId, force, applicationId, keyId }: ErasureRequest,
  ): Promise<ErasureView | 'not_found' | 'active_float'> {
    const hash = hashOf(userId);
    const ended = await sql.begin(async (tx) => {
      // A float may be reported of somebody who has linked nothing: there is something to erase.
      await tx`
        INSERT INTO users (user_id) SELECT ${userId}::text WHERE EXISTS (SELECT FROM ${everyFloat(tx)} AS f WHERE f.user_id = ${userId})
        ON CONFLICT DO NOTHING`;
      // Who links just now keeps the row as it is: what they write is seen below.
      const user = firstOf(await tx`SELECT FROM users WHERE user_id = ${userId} FOR UPDATE`);
      const known = await view(tx, user ? tx`e.user_id = ${userId}` : tx`e.user_hash = ${hash}`);
      if (known !== null) return known;
      if (user === undefined) return 'not_found';
      if (!force && (await hasActiveFloat(tx, userId))) return 'active_float';
      await tx`
        INSERT INTO erasures (erasure_id, user_hash, user_id, application_id, key_id, connected_applications)
        SELECT ${erasureId}, ${hash}, ${userId}, ${applicationId}, ${keyId}, ${connectedWith(tx, userId)}`;
      return null;
    });
    if (ended !== null) return ended;
    // Where this fails, `stop` does it.
    return sql.begin(async (tx) => {
      // `stop` may have been first, and all be over: whoever has the name by now is somebody new.
      if ((await lock(tx, erasureId)) !== null) await endAll(tx, erasureId, userId);
      return (await view(tx, tx`e.erasure_id = ${erasureId}`)) ?? 'not_found';
    });
  }

  return {
    request,

    get: (erasureId) => view(sql, sql`e.erasure_id = ${erasureId}`),

    async stop(erasureId) {
      return sql.begin(async (tx) => {
        const erasure = await lock(tx, erasureId);
        if (erasure === null) return null;
        await endAll(tx, erasureId, erasure.user_id);
        return leftToEnd(tx, erasure.user_id);
      });
    },

    async deleteRows(erasureId, limit) {
      return sql.begin(async (tx) => {
        const erasure = await lock(tx, erasureId);
        if (erasure === null) return 0;
        const { user_id: userId } = erasure;
        const open = await leftToEnd(tx, userId);
        if (open.items.length + open.links.length > 0) return 0;
        // Nobody reads them any more, no webhook and no sweep starts their workflows, and nothing is due.
        await tx`
          UPDATE items SET admitted_at = NULL, unsent_since = NULL, segment_due_at = NULL, remine_requested_at = NULL
          WHERE item_id IN (
            SELECT item_id FROM items WHERE user_id = ${userId} AND admitted_at IS NOT NULL ORDER BY item_id FOR NO KEY UPDATE)`;
        await mayErase(tx);
        const names = await namesOf(tx, userId);
        await forgetInAlerts(tx, names);
        for (const table of userTables) {
          const deleted = await deleteFrom(tx, erasureId, table, names, limit);
          if (deleted > 0) return deleted;
        }
        return 0;
      });
    },

    async subject(erasureId) {
      return sql.begin(async (tx) => {
        const erasure = await lock(tx, erasureId);
        if (erasure === null) return null;
        const { itemIds, workflowIds } = await namesOf(tx, erasure.user_id);
        return {
          erasureId,
          repeated: erasure.key_id === reapplied,
          userId: erasure.user_id,
          userHash: erasure.user_hash,
          requestedAt: erasure.requested_at.toISOString(),
          itemIds,
          workflowIds,
        };
      });
    },

    async finish(erasureId) {
      return sql.begin(async (tx) => {
        const erasure = await lock(tx, erasureId);
        if (erasure === null) return true;
        const { user_id: userId, user_hash: userHash } = erasure;
        await tx`SELECT FROM users WHERE user_id = ${userId} FOR UPDATE`;
        const open = await leftToEnd(tx, userId);
        if (open.items.length + open.links.length > 0) return false;
        await mayErase(tx);
        // Who writes of an Item just now is waited for, and seen below; who comes later finds no Item.
        await tx`SELECT FROM items WHERE user_id = ${userId} ORDER BY item_id FOR UPDATE`;
        const names = await namesOf(tx, userId);
        await forgetInAlerts(tx, names);
        for (const table of [...userTables, ...lastUserTables])
          await deleteFrom(tx, erasureId, table, names, null);
        await tx`DELETE FROM alerts WHERE kind = 'erasure_late' AND key = ${erasureId}`;
        const erased = {
          type: 'user.erased' as const,
          data: { erasure_id: erasureId, user_hash: userHash },
        };
        // Without a name for those that see every user; the others are named, since their connections are gone.
        const connected = erasure.connected_applications.map((applicationId) => ({
          ...erased,
          applicationId,
        }));
        await writeEvents(tx, [erased, ...connected]);
        // A webhook that was rejected belongs to nobody, and may be Plaid's own all the same: of a clock that is wrong, say.
        await tx`
          DELETE FROM webhooks WHERE verdict = 'rejected' AND EXISTS (
            SELECT FROM unnest(${names.itemIds}::text[]) AS item_id WHERE position(convert_to(item_id, 'UTF8') IN body) > 0)`;
        await tx`
          INSERT INTO erased_items (item_hash) SELECT unnest(${names.itemIds.map(hashOf)}::text[])
          ON CONFLICT DO NOTHING`;
        await tx`
          WITH ended AS (
            UPDATE erasures SET user_id = NULL, ended_at = clock_timestamp() WHERE erasure_id = ${erasureId}
            RETURNING *
          )
          INSERT INTO audit_entries (action, subject, application_id, key_id, detail)
          SELECT 'user.erased', user_hash, application_id, key_id, jsonb_build_object('erasure_id', erasure_id,
            'requested_at', requested_at, 'ended_at', ended_at, 'deleted', counts)
          FROM ended`;
        return true;
      });
    },

    async past(after, limit) {
      const rows = await sql<Selected<typeof shownPast>[]>`
        SELECT ${shownPast.list(sql)} FROM erasures WHERE erasure_id > ${after ?? ''}
        ORDER BY erasure_id LIMIT ${limit}`;
      return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
    },

    async reapply(forgotten) {
      // Nobody has an index by hash: whoever is here is hashed once.
      const found = await sql<{ userId: string; erasureId: string; ended: boolean }[]>`
        WITH forgotten AS MATERIALIZED (
          SELECT f.* FROM jsonb_to_recordset(${JSON.stringify(forgotten)}::text::jsonb)
            AS f("erasureId" text, "userHash" text, at timestamptz)
        ),
        known AS (
          SELECT user_id, created_at AS since FROM users
          UNION ALL
          -- A listener reads the stream of user events again from the backup on: it may bring back floats of somebody who is gone.
          SELECT user_id, min(occurred_at) FROM floats f
          WHERE NOT EXISTS (SELECT FROM users u WHERE u.user_id = f.user_id) GROUP BY user_id
        )
        SELECT DISTINCT ON (k.user_id) k.user_id AS "userId", f."erasureId",
          EXISTS (SELECT FROM erasures e WHERE e.erasure_id = f."erasureId") AS ended
        FROM known k JOIN forgotten f ON f."userHash" = ${sha256Of(sql, sql`k.user_id`)}
        WHERE k.since <= f.at AND NOT EXISTS (SELECT FROM erasures e WHERE e.user_id = k.user_id)
        ORDER BY k.user_id, f.at DESC`;
      const begun: string[] = [];
      for (const { userId, erasureId: forgottenId, ended } of found) {
        // Under the id that was given for it, unless that one has been carried out once more already.
        const erasureId = ended ? `era_${randomUUID()}` : forgottenId;
        const asker = { applicationId: reapplied, keyId: reapplied };
        const erasure = await request(userId, { erasureId, force: true, ...asker });
        if (typeof erasure !== 'string' && erasure.erasure_id === erasureId) begun.push(erasureId);
      }
      return begun;
    },

    async open(limit, graceMs, lateAfterMs) {
      const before = (ms: number) => sql`clock_timestamp() - ${`${ms} milliseconds`}::interval`;
      const rows = await sql<{ erasureId: string; late: boolean }[]>`
        SELECT e.erasure_id AS "erasureId", e.requested_at < ${before(lateAfterMs)} AS late
        FROM erasures e LEFT JOIN sweep_told t ON t.kind = ${sweptErasure} AND t.subject = e.erasure_id
        WHERE e.user_id IS NOT NULL AND e.requested_at < ${before(graceMs)}
        ORDER BY greatest(e.requested_at, t.told_at), e.erasure_id LIMIT ${limit}`;
      return [...rows];
    },

    async raiseLate(erasureId) {
      // Under a lock for which the end waits. Where somebody holds the row, the end perhaps, it is left to the next sweep.
      await sql`
        INSERT INTO alerts (kind, key, detail)
        SELECT 'erasure_late', e.erasure_id, jsonb_build_object('erasure_id', e.erasure_id)
        FROM (SELECT erasure_id FROM erasures
          WHERE erasure_id = ${erasureId} AND user_id IS NOT NULL FOR SHARE SKIP LOCKED) AS e
        ON CONFLICT DO NOTHING`;
    },
  };
}
