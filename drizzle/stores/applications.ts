import { randomUUID } from 'node:crypto';
import { and, eq, isNull, ne, sql as part } from 'drizzle-orm';
import { Failure } from '../../domain/failures.js';
import type { ApplicationStore, Scope } from '../../domain/ports/applications.js';
import { builder, clock } from '../builder.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { apiKeys, applications } from '../schema.js';

const defaultApplication = 'default';
const everyScope: Scope[] = ['read', 'write', 'numbers', 'admin'];

export function applicationStore(sql: Sql): ApplicationStore {
  const db = builder(sql);

  /** Built once: it is asked by every request. */
  const standingKey = db
    .select({
      key_id: apiKeys.keyId,
      application_id: apiKeys.applicationId,
      access: applications.access,
      scopes: apiKeys.scopes,
    })
    .from(apiKeys)
    .innerJoin(applications, eq(applications.applicationId, apiKeys.applicationId))
    .where(and(eq(apiKeys.keyHash, part.placeholder('keyHash')), isNull(apiKeys.revokedAt)))
    .prepare('standing_key');

  return {
    async create(name, effectId) {
      const applicationId = `app_${effectId}`;
      await db.insert(applications).values({ applicationId, name }).onConflictDoNothing();
      const row = firstOf(
        await db
          .select({
            application_id: applications.applicationId,
            name: applications.name,
            created_at: applications.createdAt,
          })
          .from(applications)
          .where(eq(applications.applicationId, applicationId)),
      );
      if (row === undefined) throw new Failure('UPSTREAM_DOWN', 'the application was not stored');
      return { ...row, created_at: row.created_at.toISOString() };
    },

    async addKey(applicationId, effectId, keyHash, scopes) {
      const keyId = `key_${effectId}`;
      // By hand: the builder inserts no selection of some columns.
      await sql`
        INSERT INTO api_keys (key_id, application_id, key_hash, scopes)
        SELECT ${keyId}, application_id, ${keyHash}, ${scopes}::text[]
        FROM applications WHERE application_id = ${applicationId}
        ON CONFLICT (key_id) DO NOTHING`;
      // With its hash: another key that stands under the id must not pass for this one.
      const row = firstOf(
        await db
          .select({ key_id: apiKeys.keyId })
          .from(apiKeys)
          .where(and(eq(apiKeys.keyId, keyId), eq(apiKeys.keyHash, keyHash))),
      );
      return row ?? null;
    },

    async revokeKey(keyId) {
      const found = await db
        .update(apiKeys)
        .set({ revokedAt: part`coalesce(${apiKeys.revokedAt}, ${clock})` })
        .where(eq(apiKeys.keyId, keyId))
        .returning({ key_id: apiKeys.keyId });
      return found.length > 0;
    },

    async findKey(keyHash) {
      return firstOf(await standingKey.execute({ keyHash })) ?? null;
    },

    async ensureAdmin(keyHash) {
      await sql.begin(async (tx) => {
        const begun = builder(tx);
        await begun
          .insert(applications)
          .values({ applicationId: defaultApplication, name: defaultApplication })
          .onConflictDoNothing();
        await begun
          .update(apiKeys)
          .set({ revokedAt: clock })
          .where(and(eq(apiKeys.bootstrap, true), ne(apiKeys.keyHash, keyHash), isNull(apiKeys.revokedAt)));
        await begun
          .insert(apiKeys)
          .values({
            keyId: `key_${randomUUID()}`,
            applicationId: defaultApplication,
            keyHash,
            scopes: everyScope,
            bootstrap: true,
          })
          .onConflictDoUpdate({
            target: apiKeys.keyHash,
            set: { revokedAt: null },
            setWhere: eq(apiKeys.bootstrap, true),
          });
      });
    },
  };
}
