import { connectionScopes } from '../../domain/exchange/connection.js';
import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { Need, Refusal, Refused, Viewer } from '../../domain/exchange/viewer.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { isGrantedAll } from './audience.js';
import { grantsNothing, isLive } from './connectionStatus.js';

/** What the rights of a viewer add to a statement; all of it is empty for one that sees every Item. */
export interface Rights {
  /**
   * Behind `items i`: the connection `c` that decides, the one that is not revoked or else the latest. It drops the Items that
   * the viewer was never connected with.
   */
  join: Fragment;
  /** A connection `c` that does; for conditions. */
  allowed: Fragment;
  /** What the conditions below ask of `c`, to be carried in a table expression: each begins with a comma. */
  carried: Fragment;
  /** The verdict on `c`, for `json_build_object`: a `Verdict` under the name `connection`; begins with a comma. */
  verdict: Fragment;
  /** That an account is granted; begins with AND. A row without one is shown under a grant of all accounts alone. */
  account(id: Fragment): Fragment;
  /** That a day is not too long ago; begins with AND. */
  day(date: Fragment): Fragment;
  /** The JSON of an account, without its balances where these are not granted. */
  balances(account: Fragment): Fragment;
  /** An id of an account where it is granted, else null. */
  accountOrNull(id: Fragment): Fragment;
}

/** What a statement says of the connection that decided. */
export interface Verdict {
  id: string;
  refusal: Refusal | null;
  /** Its last read was noted more than a minute ago. */
  unnoted: boolean;
}

const isScope = (need: Need): need is ConnectionScope =>
  (connectionScopes as readonly string[]).includes(need);

/** The column that says when a scope was last read through a connection. */
export const readAt = (sql: Sql | Tx, scope: ConnectionScope): Fragment =>
  sql.unsafe(`"${scope}_read_at"`) as unknown as Fragment;

/** Why a connection `c` does not do; null where it does. */
function refusalOf(sql: Sql | Tx, need: Need): Fragment {
  if (need === 'end') return sql`NULL::text`;
  return sql`CASE WHEN c.revoked_at IS NOT NULL THEN 'consent_revoked'
    WHEN c.expires_at <= clock_timestamp() THEN 'consent_expired'
    ${need === 'command' ? sql`` : sql`WHEN c.suspended_at IS NOT NULL THEN 'consent_suspended'`}
    WHEN ${grantsNothing(sql)}
      ${isScope(need) ? sql`OR ${need} <> ALL(c.scopes)` : sql``} THEN 'consent_missing' END`;
}

/** Whether a connection `c` shares the account of this id. */
export const isGranted = (sql: Sql | Tx, id: Fragment): Fragment =>
  sql`(c.granted_accounts IS NULL OR ${id} = ANY(c.granted_accounts))`;

/**
 * What the viewer may read of Items, and what for: the one place that says it. The statement that reads the rows carries these
 * conditions, so that nothing is shown between a check and a read.
 */
export function rightsOf(sql: Sql | Tx, viewer: Viewer, need: Need): Rights {
  if (viewer.access === 'all') {
    const nothing = sql``;
    const yes = sql`true`;
    return {
      join: nothing,
      allowed: yes,
      carried: nothing,
      verdict: nothing,
      account: () => nothing,
      day: () => nothing,
      balances: (account) => account,
      accountOrNull: (id) => id,
    };
  }
  const isUnnoted = isScope(need)
    ? sql`coalesce(c.${readAt(sql, need)} < clock_timestamp() - interval '1 minute', true)`
    : sql`false`;
  return {
    join: sql`JOIN LATERAL (
      SELECT c.connection_id, c.scopes, c.granted_accounts, ${refusalOf(sql, need)} AS refusal, ${isUnnoted} AS unnoted,
        CASE WHEN c.lookback_days IS NULL THEN '-infinity'
          -- No calendar is long enough for what an integer may say.
          ELSE (clock_timestamp() AT TIME ZONE 'UTC')::date - least(c.lookback_days, 1000000) END AS since
      FROM connections c WHERE c.item_id = i.item_id AND c.application_id = ${viewer.applicationId}
      ORDER BY c.revoked_at IS NOT NULL, c.created_at DESC, c.connection_id LIMIT 1
    ) AS c ON true`,
    allowed: sql`c.refusal IS NULL`,
    carried: sql`, c.connection_id, c.scopes, c.granted_accounts, c.refusal, c.unnoted, c.since`,
    verdict: sql`, 'connection', json_build_object('id', c.connection_id, 'refusal', c.refusal,
      'unnoted', c.unnoted AND c.refusal IS NULL)`,
    account: (id) => sql`AND ${isGranted(sql, id)}`,
    day: (date) => sql`AND ${date} >= c.since`,
    balances: (account) =>
      sql`CASE WHEN 'balances' = ANY(c.scopes) THEN ${account} ELSE jsonb_set(${account}, '{balances}', 'null') END`,
    accountOrNull: (id) => sql`CASE WHEN 'accounts' = ANY(c.scopes) AND ${isGranted(sql, id)} THEN ${id} END`,
  };
}

/** The refusal that a verdict holds; null where there is none, and where the viewer needs no connection. */
export function refusedBy(verdict: Verdict | undefined, need: Need): Refused | null {
  if (verdict === undefined || verdict.refusal === null) return null;
  return {
    refusal: verdict.refusal,
    connectionId: verdict.id,
    scope: isScope(need) ? need : null,
  };
}

/**
 * That the viewer knows the user of a row `u`: it has a connection with one of the user's Items that has not ended. A suspended
 * one will do; what has ended leaves nothing to know.
 */
export const knowsUser = (sql: Sql | Tx, viewer: Viewer): Fragment =>
  viewer.access === 'all'
    ? sql`true`
    : sql`EXISTS (SELECT FROM connections c
        WHERE c.user_id = u.user_id AND c.application_id = ${viewer.applicationId} AND ${isLive(sql)})`;

/** That the viewer may read all of an Item's accounts and transactions: what cannot be cut to a grant is shown to nobody else. */
export const seesWholeItem = (sql: Sql | Tx, viewer: Viewer, itemId: Fragment): Fragment =>
  viewer.access === 'all' ? sql`true` : isGrantedAll(sql, sql`${viewer.applicationId}`, itemId);
