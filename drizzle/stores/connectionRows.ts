import type { ConnectionStatus, ConnectionView, Grant } from '../../domain/exchange/connection.js';
import { inOrder } from '../../domain/exchange/connection.js';
import type { Sight } from '../../domain/ports/connections.js';
import { firstOf, iso } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { applications, connections } from '../schema.js';
import { asText, isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { connectionStatus } from './connectionStatus.js';

const shown = selection(
  connections,
  [
    'connection_id',
    'application_id',
    'item_id',
    'user_id',
    'scopes',
    'account_ids',
    'new_accounts',
    'granted_accounts',
    'lookback_days',
    'expires_at',
    'purpose',
    'evidence',
    'created_at',
    'accounts_read_at',
    'balances_read_at',
    'transactions_read_at',
    'numbers_read_at',
    'revoked_at',
    'revoked_reason',
    'revoked_initiator',
  ],
  { created_key: asText('created_at'), suspended: isSet('suspended_at'), awaits: 'awaits_accounts' },
);
const named = selection(applications, ['name', 'display_name']);

/** A connection with the name of its application. */
export type ConnectionRow = Selected<typeof shown> & Selected<typeof named> & { status: ConnectionStatus };

export const grantOf = (row: ConnectionRow): Grant => ({
  scopes: inOrder(row.scopes),
  account_ids: row.account_ids,
  new_accounts: row.new_accounts,
  lookback_days: row.lookback_days,
  expires_at: iso(row.expires_at),
  purpose: row.purpose,
  evidence: row.evidence,
});

export const viewOf = (row: ConnectionRow): ConnectionView => ({
  connection_id: row.connection_id,
  application: { application_id: row.application_id, name: row.name, display_name: row.display_name },
  item_id: row.item_id,
  user_id: row.user_id,
  status: row.status,
  ...grantOf(row),
  created_at: row.created_at.toISOString(),
  last_read_at: {
    accounts: iso(row.accounts_read_at),
    balances: iso(row.balances_read_at),
    transactions: iso(row.transactions_read_at),
    numbers: iso(row.numbers_read_at),
  },
  revoked:
    row.revoked_at === null || row.revoked_initiator === null
      ? null
      : { at: row.revoked_at.toISOString(), reason: row.revoked_reason, initiator: row.revoked_initiator },
});

/** Connections `c` that may be seen. */
export function seen(sql: Sql | Tx, sight: Sight): Fragment {
  if ('ofUser' in sight) return sql`c.user_id = ${sight.ofUser}`;
  return sight.access === 'all' ? sql`true` : sql`c.application_id = ${sight.applicationId}`;
}

/** Entries `h` of the history of a connection `c` after it was made that somebody has caused: not its Item, nor the clock. */
export const changesOf = (sql: Sql | Tx): Fragment => sql`
  FROM connection_history h
  WHERE h.connection_id = c.connection_id AND h.position > 1 AND h.initiator NOT IN ('item', 'clock')`;

/** A statement for connections `c` of applications `a`; `more` are further columns. */
export const connectionRows = (on: Sql | Tx, condition: Fragment, more: Fragment = on``): Fragment => on`
  SELECT ${shown.list(on, 'c')}, ${named.list(on, 'a')}, ${connectionStatus(on)} AS status ${more}
  FROM connections c JOIN applications a USING (application_id) WHERE ${condition}`;

/** One connection, if it may be seen. */
export async function findConnection(
  on: Sql | Tx,
  sight: Sight,
  connectionId: string,
): Promise<ConnectionRow | undefined> {
  const condition = on`c.connection_id = ${connectionId} AND ${seen(on, sight)}`;
  return firstOf(await on<ConnectionRow[]>`${connectionRows(on, condition)}`);
}
