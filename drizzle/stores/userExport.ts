import type { UserExport } from '../../domain/ports/userExport.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { everyFloat } from './floats.js';
import { itemPhase, itemStatus } from './itemState.js';

/** Small: a client that reads slowly must not look like one that has gone. */
const rowsAtOnce = 200;
/** For the client to take the rows before. */
const idleMs = 60_000;

const time = (tx: Tx, column: Fragment): Fragment =>
  tx`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** The kinds of lines, each as a statement whose one column is a line, in the order in which they are written. */
function kinds(tx: Tx, userId: string): Fragment[] {
  const own = tx`(SELECT item_id FROM items WHERE user_id = ${userId} AND admitted_at IS NOT NULL)`;
  return [
    tx`
      SELECT json_build_object('type', 'user', 'user_id', u.user_id, 'created_at', ${time(tx, tx`u.created_at`)},
        'activated_at', ${time(tx, tx`u.activated_at`)})::text AS line
      FROM users u WHERE u.user_id = ${userId}`,
    tx`
      SELECT json_build_object('type', 'item', 'item_id', i.item_id, 'status', ${itemStatus(tx)}, 'phase', ${itemPhase(tx)},
        'institution_id', i.institution_id, 'institution_name', i.institution_name, 'main_account_id', i.main_account_id,
        'error_type', i.error_type, 'error_code', i.error_code, 'history', i.history,
        'created_at', ${time(tx, tx`i.created_at`)}, 'last_update_at', ${time(tx, tx`i.last_update_at`)},
        'consent_expires_at', ${time(tx, tx`i.consent_expires_at`)}, 'removed_at', ${time(tx, tx`i.removed_at`)})::text AS line
      FROM items i WHERE i.item_id IN ${own} ORDER BY i.created_at, i.item_id`,
    tx`
      SELECT json_build_object('type', 'float', 'float_id', f.float_id, 'status', f.status,
        'application_id', f.application_id, 'occurred_at', ${time(tx, tx`f.occurred_at`)})::text AS line
      FROM ${everyFloat(tx)} AS f WHERE f.user_id = ${userId} ORDER BY f.float_id, f.application_id NULLS FIRST`,
    tx`
      SELECT jsonb_build_object('type', 'account', 'item_id', a.item_id, 'account', jsonb_set(a.refined || jsonb_build_object(
        'version', a.version, 'replaces', a.replaces, 'replaced_by', a.replaced_by), '{balances,as_of}',
        to_jsonb(${time(tx, tx`a.as_of`)})))::text AS line
      FROM accounts a WHERE a.item_id IN ${own} ORDER BY a.item_id, a.account_id`,
    tx`
      SELECT json_build_object('type', 'balance', 'item_id', b.item_id, 'account_id', b.account_id, 'day', b.day,
        'available', b.available::text, 'current', b.current::text, 'limit', b."limit"::text, 'currency', b.currency,
        'as_of', ${time(tx, tx`b.as_of`)})::text AS line
      FROM balance_snapshots b WHERE b.item_id IN ${own} ORDER BY b.item_id, b.account_id, b.day`,
    tx`
      SELECT json_build_object('type', 'transaction', 'item_id', t.item_id, 'version', t.version, 'transaction', t.refined)::text
        AS line
      FROM transactions t WHERE t.item_id IN ${own} ORDER BY t.item_id, t.transaction_id`,
    tx`
      SELECT json_build_object('type', 'connection', 'connection_id', c.connection_id, 'application_id', c.application_id,
        'application', a.name, 'item_id', c.item_id, 'scopes', c.scopes, 'account_ids', c.account_ids,
        'new_accounts', c.new_accounts, 'lookback_days', c.lookback_days, 'expires_at', ${time(tx, tx`c.expires_at`)},
        'purpose', c.purpose, 'evidence', c.evidence, 'created_at', ${time(tx, tx`c.created_at`)},
        'suspended_at', ${time(tx, tx`c.suspended_at`)}, 'revoked_at', ${time(tx, tx`c.revoked_at`)},
        'revoked_reason', c.revoked_reason, 'revoked_initiator', c.revoked_initiator, 'last_read_at', json_build_object(
          'accounts', ${time(tx, tx`c.accounts_read_at`)}, 'balances', ${time(tx, tx`c.balances_read_at`)},
          'transactions', ${time(tx, tx`c.transactions_read_at`)}, 'numbers', ${time(tx, tx`c.numbers_read_at`)}))::text AS line
      FROM connections c JOIN applications a USING (application_id)
      WHERE c.user_id = ${userId} ORDER BY c.created_at, c.connection_id`,
    tx`
      SELECT json_build_object('type', 'connection_history', 'connection_id', h.connection_id, 'position', h.position,
        'at', ${time(tx, tx`h.at`)}, 'action', h.action, 'initiator', h.initiator, 'application_id', h.application_id,
        'reason', h.reason, 'grant', h."grant")::text AS line
      FROM connection_history h JOIN connections c USING (connection_id)
      WHERE c.user_id = ${userId} ORDER BY c.created_at, h.connection_id, h.position`,
    tx`
      SELECT json_build_object('type', 'number_read', 'item_id', n.item_id, 'application_id', n.application_id,
        'application', a.name, 'account_ids', n.account_ids, 'read_at', ${time(tx, tx`n.read_at`)})::text AS line
      FROM number_reads n LEFT JOIN applications a USING (application_id)
      WHERE n.item_id IN ${own} ORDER BY n.read_at, n.read_id`,
  ];
}

export function userExportStore(sql: Sql): UserExport {
  return {
    async write(userId, emit) {
      await sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
        await tx`SELECT set_config('idle_in_transaction_session_timeout', ${String(idleMs)}, true)`;
        // However much there is to write: it reads alone and holds nobody up. Servers before 17 have no such limit.
        await tx`
          SELECT set_config('transaction_timeout', '0', true)
          WHERE current_setting('server_version_num')::int >= 170000`;
        let lines = 0;
        for (const rows of kinds(tx, userId)) {
          await tx`DECLARE lines NO SCROLL CURSOR FOR ${rows}`;
          for (;;) {
            const some = await tx<{ line: string }[]>`FETCH ${tx.unsafe(String(rowsAtOnce))} FROM lines`;
            if (some.length === 0) break;
            lines += some.length;
            await emit(some.map(({ line }) => `${line}\n`).join(''));
          }
          await tx`CLOSE lines`;
        }
        await emit(`${JSON.stringify({ type: 'end', lines })}\n`);
      });
    },
  };
}
