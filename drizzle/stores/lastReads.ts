import { connectionScopes } from '../../domain/exchange/connection.js';
import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { Sql } from '../rows.js';
import { noteTimes } from './noteTimes.js';
import { readAt } from './rights.js';

/** Notes when connections were last read through, to the minute, by scope. */
export function lastReads(sql: Sql) {
  const notes = new Map(
    connectionScopes.map((scope) => [
      scope,
      noteTimes(async (connectionIds) => {
        const rows = await sql<{ id: string }[]>`
          UPDATE connections c SET ${readAt(sql, scope)} = clock_timestamp()
          FROM (SELECT connection_id FROM connections WHERE connection_id = ANY(${connectionIds}::text[])
            FOR NO KEY UPDATE SKIP LOCKED) AS free
          WHERE c.connection_id = free.connection_id RETURNING c.connection_id AS id`;
        return rows.map(({ id }) => id);
      }),
    ]),
  );
  return {
    note: (scope: ConnectionScope, connectionIds: readonly string[]): void =>
      notes.get(scope)?.note(connectionIds),
  };
}
