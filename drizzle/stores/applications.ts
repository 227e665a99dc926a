import { randomUUID } from 'node:crypto';
import type { ApplicationStore, Scope } from '../../src/domain/ports.js';
import type { Sql } from '../rows.js';

const defaultApplication = 'default';
const everyScope: Scope[] = ['read', 'write', 'numbers', 'admin'];

export function applicationStore(sql: Sql): ApplicationStore {
  return {
    async create(name) {
      const [row] = await sql<[{ application_id: string; name: string; created_at: Date }]>`
        INSERT INTO applications (application_id, name) VALUES (${`app_${randomUUID()}`}, ${name})
        RETURNING application_id, name, created_at`;
      return { ...row, created_at: row.created_at.toISOString() };
    },

    async addKey(applicationId, keyHash, scopes) {
      const [row] = await sql<{ key_id: string }[]>`
        INSERT INTO api_keys (key_id, application_id, key_hash, scopes)
        SELECT ${`key_${randomUUID()}`}, application_id, ${keyHash}, ${scopes}::text[]
        FROM applications WHERE application_id = ${applicationId}
        RETURNING key_id`;
      return row ?? null;
    },

    async revokeKey(keyId) {
      const found = await sql`
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE key_id = ${keyId} RETURNING 1`;
      return found.length > 0;
    },

    async findKey(keyHash) {
      const [row] = await sql<{ key_id: string; application_id: string; scopes: Scope[] }[]>`
        SELECT key_id, application_id, scopes FROM api_keys WHERE key_hash = ${keyHash} AND revoked_at IS NULL`;
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
