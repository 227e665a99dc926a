import { connectionScopes } from '../../domain/exchange/connection.js';
import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { ReadStore } from '../../domain/ports/reads.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { askingCredentials, holderColumns } from './askingCredentials.js';
import type { HolderRow } from './askingCredentials.js';
import { lastReads } from './lastReads.js';
import { refusedBy, rightsOf, seesWholeItem } from './rights.js';
import type { Verdict } from './rights.js';

interface BoundsRow {
  verdict: { connection: Verdict };
  scopes: ConnectionScope[];
  granted_accounts: string[] | null;
  open_accounts: string[];
  /** Null = '-infinity'. */
  since: string | null;
}

/** What a viewer needs who asks Plaid of an Item: the token before, and what of the answer it may see afterwards. */
export function askingReads(sql: Sql): Pick<ReadStore, 'seenItems' | 'seesWhole' | 'asking' | 'bounds'> {
  const reads = lastReads(sql);
  return {
    async seenItems(viewer, itemIds) {
      const rights = rightsOf(sql, viewer, 'item');
      const rows = await sql<{ item_id: string }[]>`
        SELECT i.item_id FROM items i ${rights.join}
        WHERE i.item_id = ANY(${itemIds}::text[]) AND i.admitted_at IS NOT NULL AND ${rights.allowed}`;
      return new Set(rows.map((row) => row.item_id));
    },

    async seesWhole(viewer, itemId) {
      const { whole } = firstOf(
        await sql<[{ whole: boolean }]>`SELECT ${seesWholeItem(sql, viewer, sql`${itemId}::text`)} AS whole`,
      );
      return whole;
    },

    async asking(viewer, itemId, need) {
      const rights = rightsOf(sql, viewer, need);
      const row = firstOf(
        await sql<(HolderRow & { verdict: { connection?: Verdict } })[]>`
        SELECT ${holderColumns(sql)}, json_build_object('item_id', i.item_id ${rights.verdict}) AS verdict
        FROM items i ${rights.join} WHERE i.item_id = ${itemId} AND i.removed_at IS NULL`,
      );
      if (row === undefined) return null;
      const refused = refusedBy(row.verdict.connection, need);
      if (refused !== null) return refused;
      return row.closed || row.unconnected ? null : askingCredentials(row);
    },

    async bounds(viewer, itemId, scope) {
      if (viewer.access === 'all') {
        const scopes = [...connectionScopes];
        return { connectionId: null, scopes, accountIds: null, openAccountIds: null, since: null };
      }
      const rights = rightsOf(sql, viewer, scope);
      const row = firstOf(
        await sql<BoundsRow[]>`
        SELECT json_build_object('item_id', i.item_id ${rights.verdict}) AS verdict, c.scopes, c.granted_accounts,
          CASE WHEN c.since > '-infinity' THEN c.since::text END AS since,
          ARRAY(SELECT a.account_id FROM accounts a WHERE a.item_id = i.item_id AND a.status = 'open'
            AND a.account_id = ANY(c.granted_accounts) ORDER BY a.account_id) AS open_accounts
        FROM items i ${rights.join} WHERE i.item_id = ${itemId} AND i.admitted_at IS NOT NULL`,
      );
      if (row === undefined) return null;
      const { connection } = row.verdict;
      const refused = refusedBy(connection, scope);
      if (refused !== null) return refused;
      if (connection.unnoted) reads.note(scope, [connection.id]);
      const { scopes, granted_accounts, open_accounts, since } = row;
      return {
        connectionId: connection.id,
        scopes,
        accountIds: granted_accounts,
        openAccountIds: granted_accounts === null ? null : open_accounts,
        since,
      };
    },
  };
}
