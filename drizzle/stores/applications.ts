import { randomUUID } from 'node:crypto';
import { and, eq, isNull, ne, sql as part } from 'drizzle-orm';
import { Failure } from '../../domain/failures.js';
import type {
  ApiKey,
  ApplicationStore,
  ApplicationView,
  KeyView,
  Scope,
} from '../../domain/ports/applications.js';
import { builder, clock } from '../builder.js';
import { pageOf } from '../pageOf.js';
import { firstOf, iso } from '../rows.js';
import type { Sql } from '../rows.js';
import { apiKeys, applications } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { RowOf, Selected } from '../selection.js';
import { noteTimes } from './noteTimes.js';
import { releaseOfApplication } from './heldDeliveries.js';
import { onceFor } from './onceFor.js';

const defaultApplication = 'default';
const everyScope: Scope[] = ['read', 'write', 'numbers', 'admin'];

const shown = selection(
  applications,
  [
    'application_id',
    'name',
    'access',
    'display_name',
    'company',
    'url',
    'logo_url',
    'reason_for_access',
    'created_at',
  ],
  { created_key: asText('created_at') },
);
const shownKey = selection(apiKeys, ['key_id', 'scopes', 'created_at', 'last_used_at', 'revoked_at'], {
  created_key: asText('created_at'),
});

type StandingKey = Pick<RowOf<typeof apiKeys>, 'key_id' | 'application_id' | 'scopes'> &
  Pick<RowOf<typeof applications>, 'access'> & { unnoted: boolean };

const viewOf = (row: Selected<typeof shown>): ApplicationView => ({
  application_id: row.application_id,
  name: row.name,
  access: row.access,
  display_name: row.display_name,
  company: row.company,
  url: row.url,
  logo_url: row.logo_url,
  reason_for_access: row.reason_for_access,
  created_at: row.created_at.toISOString(),
});

const keyViewOf = ({
  key_id,
  scopes,
  created_at,
  last_used_at,
  revoked_at,
}: Selected<typeof shownKey>): KeyView => ({
  key_id,
  scopes,
  created_at: created_at.toISOString(),
  last_used_at: iso(last_used_at),
  revoked_at: iso(revoked_at),
});

export function applicationStore(sql: Sql): ApplicationStore {
  const db = builder(sql);
  const uses = noteTimes(async (keyIds) => {
    const rows = await sql<{ id: string }[]>`
      UPDATE api_keys k SET last_used_at = clock_timestamp()
      FROM (SELECT key_id FROM api_keys WHERE key_id = ANY(${keyIds}::text[]) FOR NO KEY UPDATE SKIP LOCKED) AS free
      WHERE k.key_id = free.key_id RETURNING k.key_id AS id`;
    return rows.map(({ id }) => id);
  });

  async function get(applicationId: string): Promise<ApplicationView | null> {
    const row = firstOf(
      await sql<Selected<typeof shown>[]>`
      SELECT ${shown.list(sql)} FROM applications WHERE application_id = ${applicationId}`,
    );
    return row === undefined ? null : viewOf(row);
  }

  return {
    async create(name, effectId, { access = 'connected', ...face } = {}) {
      const applicationId = `app_${effectId}`;
      const { display_name, company, url, logo_url, reason_for_access } = face;
      await db
        .insert(applications)
        .values({
          applicationId,
          name,
          access,
          displayName: display_name,
          company,
          url,
          logoUrl: logo_url,
          reasonForAccess: reason_for_access,
        })
        .onConflictDoNothing();
      const made = await get(applicationId);
      if (made === null) throw new Failure('UPSTREAM_DOWN', 'the application was not stored');
      return made;
    },

    get,

    async page(limit, after) {
      const rows = await sql<Selected<typeof shown>[]>`
        SELECT ${shown.list(sql)} FROM applications
        ${after === null ? sql`` : sql`WHERE (created_at, application_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY applications.created_at, application_id LIMIT ${limit + 1}`;
      return pageOf(rows, limit, viewOf, (last) => [last.created_key, last.application_id]);
    },

    async change(applicationId, changes, keyed = null) {
      const { name, access, display_name, company, url, logo_url, reason_for_access } = changes;
      const wanted = {
        name,
        access,
        displayName: display_name,
        company,
        url,
        logoUrl: logo_url,
        reasonForAccess: reason_for_access,
      };
      if (Object.values(wanted).some((value) => value !== undefined)) {
        await sql.begin(async (tx) => {
          // Not once more: another may have changed it since.
          await onceFor(tx, keyed, async () => {
            await builder(tx)
              .update(applications)
              .set(wanted)
              .where(eq(applications.applicationId, applicationId));
            // What was held until its connections come back it may be told now.
            if (access === 'all') await releaseOfApplication(tx, applicationId);
            return 'changed';
          });
        });
      }
      return get(applicationId);
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

    async keys(applicationId, limit, after) {
      if ((await get(applicationId)) === null) return null;
      const rows = await sql<Selected<typeof shownKey>[]>`
        SELECT ${shownKey.list(sql)} FROM api_keys WHERE application_id = ${applicationId}
          ${after === null ? sql`` : sql`AND (created_at, key_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY api_keys.created_at, key_id LIMIT ${limit + 1}`;
      return pageOf(rows, limit, keyViewOf, (last) => [last.created_key, last.key_id]);
    },

    async findKey(keyHash) {
      // By hand: every request asks it, and a builder's share of a read was 2 % of its time.
      const found = firstOf(
        await sql<StandingKey[]>`
          SELECT k.key_id, k.application_id, a.access, k.scopes,
            coalesce(k.last_used_at < clock_timestamp() - interval '1 minute', true) AS unnoted
          FROM api_keys k JOIN applications a USING (application_id)
          WHERE k.key_hash = ${keyHash} AND k.revoked_at IS NULL`,
      );
      if (found === undefined) return null;
      const { unnoted, ...key }: ApiKey & { unnoted: boolean } = found;
      if (unnoted) uses.note([key.key_id]);
      return key;
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
