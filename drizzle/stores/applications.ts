import { randomUUID } from 'node:crypto';
import { Failure } from '../../domain/failures.js';
import type { ApplicationStore, Scope } from '../../domain/ports/applications.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';

const defaultApplication = 'default';
const everyScope: Scope[] = ['read', 'write', 'numbers', 'admin'];

export function applicationStore(sql: Sql): ApplicationStore {
  return {
    async create(name, effectId) {
      const id = `app_${effectId}`;
      await sql`INSERT INTO applications (application_id, name) VALUES (${id}, ${name}) ON CONFLICT DO NOTHING`;
      const row = firstOf(
        await sql<{ application_id: string; name: string; created_at: Date }[]>`
        SELECT application_id, name, created_at FROM applications WHERE application_id = ${id}`,
      );
      if (row === undefined) throw new Failure('UPSTREAM_DOWN', 'the application was not stored');
      return { ...row, created_at: row.created_at.toISOString() };
    },

    async addKey(applicationId, effectId, keyHash, scopes) {
      const id = `key_${effectId}`;
      await sql`
        INSERT INTO api_keys (key_id, application_id, key_hash, scopes)
        SELECT ${id}, application_id, ${keyHash}, ${scopes}::text[]
        FROM applications WHERE application_id = ${applicationId}
        ON CONFLICT (key_id) DO NOTHING`;
      // With its hash: that another key stands under the id must not be told as this one.
      const row = firstOf(
        await sql<{ key_id: string }[]>`
        SELECT key_id FROM api_keys WHERE key_id = ${id} AND key_hash = ${keyHash}`,
      );
      return row ?? null;
    },

    async revokeKey(keyId) {
      const found = await sql`
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE key_id = ${keyId} RETURNING 1`;
      return found.length > 0;
    },

    async findKey(keyHash) {
      const row = firstOf(
        await sql<{ key_id: string; application_id: string; scopes: Scope[] }[]>`
        SELECT key_id, application_id, scopes FROM api_keys WHERE key_hash = ${keyHash} AND revoked_at IS NULL`,
      );
      return row ?? null;
    },

    async ensureAdmin(keyHash) {
      await sql.begin(async (tx) => {
        await tx`
          INSERT INTO applications (application_id, name) VALUES (${defaultApplication}, ${defaultApplication})
          ON CONFLICT DO NOTHING`;
        await tx`
          UPDATE api_keys SET revoked_at = clock_timestamp()
          WHERE bootstrap AND key_hash <> ${keyHash} AND revoked_at IS NULL`;
        await tx`
          INSERT INTO api_keys (key_id, application_id, key_hash, scopes, bootstrap)
          VALUES (${`key_${randomUUID()}`}, ${defaultApplication}, ${keyHash}, ${everyScope}::text[], true)
          ON CONFLICT (key_hash) DO UPDATE SET revoked_at = NULL WHERE api_keys.bootstrap`;
      });
    },
  };
}
