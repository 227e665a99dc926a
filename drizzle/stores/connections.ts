import { inOrder } from '../../domain/exchange/connection.js';
import type { Grant } from '../../domain/exchange/connection.js';
import { cutTo, sameButEnd, sameEnd, widenedBy } from '../../domain/exchange/widening.js';
import type {
  Actor,
  ChangeRefusal,
  Changed,
  ConnectionChange,
  ConnectionsOf,
  ConnectionStore,
  Sight,
} from '../../domain/ports/connections.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import { writtenBack } from '../../domain/instants.js';
import type { KeyedRequest } from '../../domain/ports/idempotency.js';
import { pageOf } from '../pageOf.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { accounts, connectionHistory, connections, items, users } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { changesOf, connectionRows, findConnection, grantOf, seen, viewOf } from './connectionRows.js';
import type { ConnectionRow } from './connectionRows.js';
import { connectionStatus } from './connectionStatus.js';
import {
  changeConnection,
  grantConnection,
  revokeConnections,
  revokeEveryConnection,
  suspendConnections,
} from './connectionWrites.js';
import { isRevokedAtBank, suspendIfRevoked } from './bankRevocation.js';
import { isBeingErased } from './beingErased.js';
import { releaseDeliveries } from './heldDeliveries.js';
import { onceFor } from './onceFor.js';

const lockedItem = selection(items, ['item_id', 'user_id', 'error_type', 'error_code'], {
  removed: isSet('removed_at'),
  removal_requested: isSet('removal_requested_at'),
  revoked: isSet('revoked_at'),
});
type LockedItem = Selected<typeof lockedItem>;

const change = selection(connectionHistory, [
  'position',
  'at',
  'action',
  'initiator',
  'application_id',
  'key_id',
  'reason',
  'grant',
]);
const known = selection(accounts, ['account_id']);
const placed = selection(accounts, ['account_id', 'replaced_by']);
const user = selection(users, ['user_id']);
const live = selection(connections, ['connection_id']);

/** Of what is cut after a restore: its time is not that of the change which it repeats. */
const byRestore: Actor = {
  initiator: 'operator',
  applicationId: null,
  keyId: null,
  reason: 'narrowed before a restore',
};

/** A grant as its history keeps it: PostgreSQL wrote its end. */
function keptGrant(kept: unknown): Grant {
  const grant = kept as Grant;
  return {
    ...grant,
    expires_at: grant.expires_at && writtenBack(grant.expires_at),
  };
}

/** By which fields a change of a connection by somebody has granted what it did not grant before. */
function grantedBy({
  action,
  initiator,
  before,
  grant,
}: Selected<typeof change> & { before: unknown }): (keyof Grant)[] {
  const [earlier, later] = [keptGrant(before), keptGrant(grant)];
  // In a new Link its user has chosen everything anew.
  if (action === 'renewed' && initiator === 'application') return Object.keys(later) as (keyof Grant)[];
  // Which later accounts had come by themselves a grant does not say: any may have.
  const fields = widenedBy(earlier, earlier.new_accounts ? null : earlier.account_ids, later);
  // Who grants later ones does so besides those of now.
  return fields.includes('new_accounts') ? [...fields, 'account_ids'] : fields;
}

/** Whether something else may be read than a list names: what had come since, or is waited for. */
const hasOthers = (row: ConnectionRow, list: readonly string[] | null): boolean =>
  row.awaits || !(row.granted_accounts ?? []).every((id) => list?.includes(id));

export function connectionStore(sql: Sql): ConnectionStore {
  const lockItem = async (tx: Tx, condition: Fragment): Promise<LockedItem | undefined> =>
    firstOf(
      await tx<LockedItem[]>`
      SELECT ${lockedItem.list(tx, 'i')} FROM items i WHERE ${condition} AND i.admitted_at IS NOT NULL
      FOR NO KEY UPDATE`,
    );

  /** The connection under the lock of its Item. */
  async function lock(
    tx: Tx,
    sight: Sight,
    connectionId: string,
  ): Promise<{ row: ConnectionRow; item: LockedItem } | null> {
    const item = await lockItem(
      tx,
      tx`i.item_id = (SELECT c.item_id FROM connections c
        WHERE c.connection_id = ${connectionId} AND ${seen(tx, sight)})`,
    );
    const row = item && (await findConnection(tx, sight, connectionId));
    return row === undefined ? null : { row, item: item as LockedItem };
  }

  async function done(tx: Tx, sight: Sight, connectionId: string): Promise<Changed | { kind: 'not_found' }> {
    const row = await findConnection(tx, sight, connectionId);
    return row === undefined ? { kind: 'not_found' } : { kind: 'done', connection: viewOf(row) };
  }

  /** What of a grant cannot be: an end that has come, accounts that the Item does not have. */
  async function impossible(
    tx: Tx,
    itemId: string,
    { account_ids, expires_at }: Partial<Grant>,
  ): Promise<{ kind: 'past' } | { kind: 'unknown_accounts'; accountIds: string[] } | null> {
    if (expires_at != null) {
      const { past } = firstOf(
        await tx<[{ past: boolean }]>`
        SELECT ${expires_at}::text::timestamptz <= clock_timestamp() AS past`,
      );
      if (past) return { kind: 'past' };
    }
    if (account_ids == null || account_ids.length === 0) return null;
    const rows = await tx<Selected<typeof known>[]>`
      SELECT ${known.list(tx)} FROM accounts
      WHERE item_id = ${itemId} AND account_id = ANY(${account_ids}::text[])`;
    const found = new Set(rows.map(({ account_id }) => account_id));
    const accountIds = [...new Set(account_ids)].filter((accountId) => !found.has(accountId));
    return accountIds.length === 0 ? null : { kind: 'unknown_accounts', accountIds };
  }

  /** Does what `write` does to a connection that is not revoked, once for the request, under the lock of its Item. */
  async function changeOnce(
    sight: Sight,
    connectionId: string,
    keyed: KeyedRequest | null,
    write: (tx: Tx, row: ConnectionRow, item: LockedItem) => Promise<ChangeRefusal | null>,
  ): Promise<Changed | ChangeRefusal> {
    return sql.begin(async (tx) => {
      const locked = await lock(tx, sight, connectionId);
      if (locked === null) return { kind: 'not_found' };
      const { row, item } = locked;
      const refused: ChangeRefusal[] = [];
      await onceFor(tx, keyed, async () => {
        const refusal = row.status === 'revoked' ? { kind: 'revoked' as const } : await write(tx, row, item);
        if (refusal === null) return 'written';
        refused.push(refusal);
        return null;
      });
      return refused[0] ?? done(tx, sight, connectionId);
    });
  }

  /** Whether a list that is empty is one: of nobody there is none. */
  async function isKnown(sight: Sight, of: ConnectionsOf): Promise<boolean> {
    const all = !('ofUser' in sight) && sight.access === 'all';
    const exists =
      'userId' in of
        ? all
          ? sql`SELECT FROM users WHERE user_id = ${of.userId}`
          : sql`SELECT FROM connections c WHERE c.user_id = ${of.userId} AND ${seen(sql, sight)}`
        : 'itemId' in of
          ? all
            ? sql`SELECT FROM items WHERE item_id = ${of.itemId} AND admitted_at IS NOT NULL`
            : sql`SELECT FROM connections c WHERE c.item_id = ${of.itemId} AND ${seen(sql, sight)}`
          : all
            ? sql`SELECT FROM applications WHERE application_id = ${of.applicationId}`
            : sql`SELECT FROM applications c WHERE c.application_id = ${of.applicationId} AND ${seen(sql, sight)}`;
    return firstOf(await sql<[{ known: boolean }]>`SELECT EXISTS (${exists}) AS known`).known;
  }

  return {
    async get(sight, connectionId) {
      const row = await findConnection(sql, sight, connectionId);
      return row === undefined ? null : viewOf(row);
    },

    async page(sight, of, { statuses, expiresBefore }, limit, after) {
      const whose =
        'userId' in of
          ? sql`c.user_id = ${of.userId}`
          : 'itemId' in of
            ? sql`c.item_id = ${of.itemId}`
            : sql`c.application_id = ${of.applicationId}`;
      const rows = await sql<ConnectionRow[]>`
        ${connectionRows(
          sql,
          sql`${whose} AND ${seen(sql, sight)} AND ${connectionStatus(sql)} = ANY(${statuses}::text[])
          ${expiresBefore === undefined ? sql`` : sql`AND c.expires_at < ${expiresBefore}::text::timestamptz`}
          ${
            after === null
              ? sql``
              : sql`AND (c.created_at, c.connection_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`
          }`,
        )}
        ORDER BY c.created_at, c.connection_id LIMIT ${limit + 1}`;
      if (rows.length === 0 && !(await isKnown(sight, of))) return null;
      return pageOf(rows, limit, viewOf, (last) => [last.created_key, last.connection_id]);
    },

    async history(sight, connectionId, limit, after) {
      if ((await findConnection(sql, sight, connectionId)) === undefined) return null;
      const rows = await sql<Selected<typeof change>[]>`
        SELECT ${change.list(sql, 'h')} FROM connection_history h
        WHERE h.connection_id = ${connectionId} AND h.position > ${Number(after?.[0] ?? 0)}
        ORDER BY h.position LIMIT ${limit + 1}`;
      const ownKey = (applicationId: string | null): boolean =>
        !('ofUser' in sight) && (sight.access === 'all' || sight.applicationId === applicationId);
      const changeOf = (row: Selected<typeof change>): ConnectionChange => ({
        position: row.position,
        at: row.at.toISOString(),
        action: row.action,
        initiator: row.initiator,
        application_id: row.application_id,
        key_id: ownKey(row.application_id) ? row.key_id : null,
        reason: row.reason,
        grant: keptGrant(row.grant),
      });
      return pageOf(rows, limit, changeOf, (last) => [String(last.position)]);
    },

    async grant({ itemId, applicationId, effectId }, grant, actor) {
      const everybody: Sight = { applicationId, access: 'all' };
      return sql.begin(async (tx) => {
        const item = await lockItem(tx, tx`i.item_id = ${itemId}`);
        if (item === undefined) return { kind: 'not_found' };
        const before = await findConnection(tx, everybody, `con_${effectId}`);
        if (before !== undefined) return { kind: 'done', connection: viewOf(before) };
        if (item.removed || item.removal_requested || (await isBeingErased(tx, item.user_id)))
          return { kind: 'item_removed' };
        if (
          firstOf(await tx`SELECT FROM applications WHERE application_id = ${applicationId}`) === undefined
        ) {
          return { kind: 'unknown_application' };
        }
        const pair = firstOf(
          await tx<Selected<typeof live>[]>`
          SELECT ${live.list(tx)} FROM connections
          WHERE item_id = ${itemId} AND application_id = ${applicationId} AND revoked_at IS NULL`,
        );
        if (pair !== undefined) return { kind: 'exists', connectionId: pair.connection_id };
        const refusal = await impossible(tx, itemId, grant);
        if (refusal !== null) return refusal;
        const to = { itemId, userId: item.user_id, applicationId };
        const connectionId = await grantConnection(
          tx,
          to,
          { ...grant, scopes: inOrder(grant.scopes) },
          actor,
          effectId,
        );
        await suspendIfRevoked(tx, itemId, applicationId, item);
        return done(tx, everybody, connectionId);
      });
    },

    async change(sight, connectionId, changes, { mayWiden, actor, keyed = null }) {
      return changeOnce(sight, connectionId, keyed, async (tx, row, item) => {
        const before = grantOf(row);
        const given = Object.fromEntries(
          Object.entries(changes).filter(([, value]) => value !== undefined),
        ) as Partial<Grant>;
        const after: Grant = { ...before, ...given };
        const wanted = { ...after, scopes: inOrder(after.scopes) };
        const widened = widenedBy(before, row.granted_accounts, wanted);
        if (widened.length > 0 && !mayWiden) return { kind: 'widens', fields: widened };
        if (widened.length > 0 && (item.removed || item.removal_requested)) return { kind: 'item_removed' };
        const refusal = await impossible(tx, item.item_id, given);
        if (refusal !== null) return refusal;
        const renewed = widened.includes('expires_at');
        const end = !sameEnd(wanted, before);
        // A list that is written is what may be read from now on: what had come since, or was waited for, and does not stand in it, is taken away.
        const takesAway = given.account_ids != null && hasOthers(row, given.account_ids);
        if (!sameButEnd(before, wanted) || takesAway || (end && !renewed)) {
          const expires_at = renewed ? before.expires_at : wanted.expires_at;
          await changeConnection(
            tx,
            connectionId,
            item.item_id,
            { ...wanted, expires_at },
            { renewed: false, takesAway },
            actor,
          );
        }
        if (renewed) {
          await changeConnection(tx, connectionId, item.item_id, wanted, { renewed }, actor);
          await suspendIfRevoked(tx, item.item_id, row.application_id, item);
        }
        if (widened.length > 0) await releaseDeliveries(tx, item.item_id);
        return null;
      });
    },

    async renew(sight, connectionId, expiresAt, { actor, keyed = null }) {
      return changeOnce(sight, connectionId, keyed, async (tx, row, item) => {
        if (item.removed || item.removal_requested) return { kind: 'item_removed' };
        const refusal = await impossible(tx, item.item_id, { expires_at: expiresAt });
        if (refusal !== null) return refusal;
        const grant = { ...grantOf(row), expires_at: expiresAt };
        await changeConnection(tx, connectionId, item.item_id, grant, { renewed: true }, actor);
        if (row.suspended && !isRevokedAtBank(item)) {
          await suspendConnections(tx, item.item_id, false, row.application_id, actor);
        }
        await suspendIfRevoked(tx, item.item_id, row.application_id, item);
        await releaseDeliveries(tx, item.item_id);
        return null;
      });
    },

    async cut({ connectionId, at, suspended, ...limit }) {
      return sql.begin(async (tx) => {
        const locked = await lock(tx, ourselves, connectionId);
        if (locked === null || locked.row.status === 'revoked') return false;
        const { row, item } = locked;
        // What was granted since stands, and nothing else: not what the bank has said, nor what somebody has taken away.
        const since = await tx<(Selected<typeof change> & { before: unknown; listed: boolean })[]>`
          SELECT ${change.list(tx, 'h')}, b.grant AS before,
            date_trunc('milliseconds', h.at) = ${at}::text::timestamptz AS listed
          FROM connections c, LATERAL (SELECT h.* ${changesOf(tx)}) AS h JOIN connection_history b USING (connection_id)
          WHERE c.connection_id = ${connectionId} AND h.at >= ${at}::text::timestamptz AND b.position = h.position - 1
            AND h.reason IS DISTINCT FROM ${byRestore.reason}`;
        const isListed = since.some(({ listed }) => listed);
        const before = grantOf(row);
        const own = await tx<Selected<typeof placed>[]>`
          SELECT ${placed.list(tx)} FROM accounts WHERE item_id = ${item.item_id} ORDER BY account_id`;
        const heirs = new Map(own.map(({ account_id, replaced_by }) => [account_id, replaced_by]));
        const granted = since.flatMap(grantedBy);
        const stands = Object.fromEntries(granted.map((field) => [field, before[field]])) as Partial<Grant>;
        const after = { ...cutTo(before, row, limit, heirs), ...stands };
        const takesAway = after.account_ids !== before.account_ids;
        const isLess = takesAway || !sameButEnd(before, after) || !sameEnd(before, after);
        const cuts = isLess && !isListed;
        const by = { renewed: false, takesAway };
        if (cuts) await changeConnection(tx, connectionId, item.item_id, after, by, byRestore);
        const isNewer =
          isListed || since.some(({ action }) => action === 'suspended' || action === 'resumed');
        const suspends = suspended && !row.suspended && !isNewer;
        if (suspends) await suspendConnections(tx, item.item_id, true, row.application_id, byRestore);
        return cuts || suspends;
      });
    },

    async revoke(sight, connectionId, { actor }) {
      return sql.begin(async (tx) => {
        const locked = await lock(tx, sight, connectionId);
        if (locked === null) return { kind: 'not_found' };
        await revokeConnections(tx, locked.item.item_id, connectionId, actor);
        return done(tx, sight, connectionId);
      });
    },

    async revokeOfUser(userId, { actor, keyed = null }) {
      return sql.begin(async (tx) => {
        // User before Items, and these in one order: nobody who takes several waits for another who does.
        const locked = firstOf(
          await tx<Selected<typeof user>[]>`
          SELECT ${user.list(tx)} FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`,
        );
        if (locked === undefined) return null;
        let itemIds: string[] = [];
        const effect = await onceFor(tx, keyed, async () => {
          const rows = await tx<Selected<typeof lockedItem>[]>`
            SELECT ${lockedItem.list(tx, 'i')} FROM items i
            WHERE i.item_id IN (SELECT c.item_id FROM connections c WHERE c.user_id = ${userId} AND c.revoked_at IS NULL)
            ORDER BY i.item_id FOR NO KEY UPDATE`;
          itemIds = rows.map(({ item_id }) => item_id);
          return JSON.stringify(await revokeEveryConnection(tx, itemIds, actor));
        });
        return { connectionIds: JSON.parse(effect ?? '[]') as string[], itemIds };
      });
    },
  };
}
