import type { PortalConnection, PortalStore } from '../../domain/ports/portal.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { portalSessions } from '../schema.js';
import { selection } from '../selection.js';
import type { Present, Selected } from '../selection.js';
import { connectionRows, viewOf } from './connectionRows.js';
import type { ConnectionRow } from './connectionRows.js';
import { formerIds } from './formerIds.js';
import { isGranted } from './rights.js';

const end = selection(portalSessions, ['expires_at']);
const session = selection(portalSessions, ['locale', 'expires_at'], {
  userId: 'user_id',
  applicationId: 'application_id',
  keyId: 'key_id',
  returnUrl: 'return_url',
});

/** A page is read by a person. */
const most = 500;

export function portalStore(sql: Sql): PortalStore {
  return {
    async open(tokenHash, { userId, applicationId, keyId, returnUrl, locale }, forMs) {
      // Those that have ended go as new ones come: they serve nobody, and name users.
      await sql`
        DELETE FROM portal_sessions WHERE token_hash IN (
          SELECT token_hash FROM portal_sessions WHERE expires_at < clock_timestamp() - interval '1 day'
          ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)`;
      await sql`
        INSERT INTO portal_sessions (token_hash, user_id, application_id, key_id, return_url, locale, expires_at)
        SELECT ${tokenHash}, user_id, ${applicationId}, ${keyId}, ${returnUrl}, ${locale},
          clock_timestamp() + ${`${forMs} milliseconds`}::interval
        -- Locked: beside the end of an erasure it would stay, and name who is no more.
        FROM users WHERE user_id = ${userId} FOR KEY SHARE
        ON CONFLICT (token_hash) DO NOTHING`;
      const row = firstOf(
        await sql<Present<Selected<typeof end>>[]>`
        SELECT ${end.list(sql)} FROM portal_sessions WHERE token_hash = ${tokenHash} AND user_id = ${userId}`,
      );
      return row === undefined ? null : { expiresAt: row.expires_at.toISOString() };
    },

    async session(tokenHash) {
      const row = firstOf(
        await sql<Selected<typeof session>[]>`
        SELECT ${session.list(sql, 's')} FROM portal_sessions s
        WHERE s.token_hash = ${tokenHash} AND s.expires_at > clock_timestamp()
          AND EXISTS (SELECT FROM api_keys k WHERE k.key_id = s.key_id AND k.revoked_at IS NULL)`,
      );
      if (row === undefined) return null;
      const { expires_at, ...rest } = row;
      return { ...rest, expiresAt: expires_at.toISOString() };
    },

    async connections(userId) {
      const rows = await sql<
        (ConnectionRow & { detail: Pick<PortalConnection, 'face' | 'bank' | 'bankRevoked' | 'accounts'> })[]
      >`
        ${connectionRows(
          sql,
          sql`c.user_id = ${userId} AND c.revoked_at IS NULL
            AND EXISTS (SELECT FROM items i WHERE i.item_id = c.item_id AND i.removed_at IS NULL)`,
          sql`, (
            SELECT json_build_object(
              'face', json_build_object('display_name', a.display_name, 'company', a.company, 'url', a.url,
                'logo_url', a.logo_url, 'reason_for_access', a.reason_for_access, 'access', a.access),
              'bank', i.institution_name, 'bankRevoked', i.revoked_at IS NOT NULL,
              'accounts', (
                SELECT coalesce(json_agg(json_build_object('account_id', n.account_id, 'name', n.refined->>'name',
                  'mask', n.refined->>'mask', 'past', ARRAY(
                    WITH RECURSIVE ${formerIds(sql, sql`n.item_id`, sql`a.account_id = n.account_id`)}
                    SELECT l.account_id FROM line l WHERE ${isGranted(sql, sql`l.account_id`)}))
                  ORDER BY n.created_at, n.account_id), '[]')
                FROM accounts n WHERE n.item_id = c.item_id AND n.status = 'open' AND ${isGranted(sql, sql`n.account_id`)}))
            FROM items i WHERE i.item_id = c.item_id) AS detail`,
        )}
        ORDER BY c.created_at, c.connection_id LIMIT ${most}`;
      return rows.map(({ detail, ...row }) => ({ ...viewOf(row), ...detail }));
    },
  };
}
