import { isObject, shallow, storable } from '../../domain/mining/oddValues.js';
import type { PlaidInstitution } from '../../domain/plaid.js';
import type { InstitutionStore } from '../../domain/ports/institutions.js';
import { builder } from '../builder.js';
import { jsonbText } from '../jsonText.js';
import { pageOf } from '../pageOf.js';
import { firstOf, iso } from '../rows.js';
import type { Instant, Sql, Tx } from '../rows.js';
import { institutionAliases, institutions as table, items } from '../schema.js';
import { selection } from '../selection.js';
import type { Present, RowOf, Selected } from '../selection.js';

const view = selection(table, [
  'institution_id',
  'name',
  'country_codes',
  'products',
  'oauth',
  'url',
  'primary_color',
  'logo',
  'status',
  'status_at',
  'synced_at',
  'vanished_at',
]);
const place = selection(table, ['name', 'institution_id']);
const pictured = selection(table, ['institution_id', 'logo']);
const asked = selection(table, ['institution_id']);
const used = selection(items, ['institution_id']);
/** Kind of `sweep_told`: a walk that has listed less than half of the institutions. */
const shortWalk = 'institutions';

const textOrNull = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null;
const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];

/** What the table keeps of an institution. Plaid's own shape is open: what is of another type than announced is left out. */
const columnsOf = (institution: PlaidInstitution) => ({
  institution_id: institution.institution_id,
  name: institution.name,
  country_codes: textsOf(institution.country_codes),
  oauth: institution.oauth === true,
  products: textsOf(institution.products),
  url: textOrNull(institution.url),
  primary_color: textOrNull(institution.primary_color),
  logo: textOrNull(institution.logo),
});

export function institutionStore(sql: Sql): InstitutionStore {
  /**
   * What Plaid said when it was asked at `askedAt`; an answer to a later question stays. One statement may not touch a row
   * twice: of an institution that is listed twice the last one counts.
   */
  async function upsert(db: Sql | Tx, institutions: readonly PlaidInstitution[], askedAt: string) {
    const rows = [...new Map(institutions.map((one) => [one.institution_id, columnsOf(one)])).values()];
    await db`
      INSERT INTO institutions AS kept (institution_id, name, country_codes, oauth, products, url, primary_color, logo,
        synced_at)
      SELECT r.*, ${askedAt}::text::timestamptz
      FROM jsonb_to_recordset(${jsonbText(rows)}::text::jsonb)
        AS r(institution_id text, name text, country_codes text[], oauth boolean, products text[], url text,
          primary_color text, logo text)
      ORDER BY r.institution_id
      ON CONFLICT (institution_id) DO UPDATE SET
        name = excluded.name, country_codes = excluded.country_codes, oauth = excluded.oauth,
        products = excluded.products,
        url = coalesce(excluded.url, kept.url),
        primary_color = coalesce(excluded.primary_color, kept.primary_color),
        logo = coalesce(excluded.logo, kept.logo),
        synced_at = excluded.synced_at
      WHERE kept.synced_at <= excluded.synced_at`;
    return rows.map((row) => storable(row.institution_id));
  }

  const utc = (column: string) =>
    sql`to_char(${sql(column)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

  return {
    async now() {
      const row = firstOf(await sql<[{ now: Instant }]>`SELECT clock_timestamp()::text AS now`);
      return row.now;
    },

    async savePage(syncId, askedAt, institutions, nameless = []) {
      if (institutions.length + nameless.length === 0) return 0;
      return sql.begin(async (tx) => {
        const ids = await upsert(tx, institutions, askedAt);
        const kept = new Set(ids);
        const without = [...new Set(nameless.map(storable))].filter((id) => !kept.has(id));
        // A late page of an older walk must not count for it, nor bring back what a newer one found vanished.
        const listed = await tx<Selected<typeof asked>[]>`
          UPDATE institutions SET sync_id = ${syncId}, listed_at = ${askedAt}::text::timestamptz, vanished_at = NULL
          WHERE institution_id IN (
              SELECT institution_id FROM institutions WHERE institution_id = ANY(${[...ids, ...without]}::text[])
              -- As another walk's end locks them.
              ORDER BY institution_id FOR UPDATE)
            AND greatest(listed_at, vanished_at, '-infinity') <= ${askedAt}::text::timestamptz
          RETURNING ${asked.list(tx)}`;
        return listed.filter((row) => !kept.has(row.institution_id)).length;
      });
    },

    async finishSync(syncId, expected) {
      // An empty list is an outage or a wrong country, never the end of all banks.
      if (expected <= 0) return { complete: false, vanished: 0, alone: true };
      const row = firstOf(
        await sql<[{ complete: boolean; vanished: number; alone: boolean }]>`
        WITH seen AS (
          SELECT count(*)::int = ${expected}::int AS whole, min(listed_at) AS since
          FROM institutions WHERE sync_id = ${syncId}
        ), ended AS (
          -- One short answer may be such a walk: that most have vanished is believed when the next one says so too.
          SELECT seen.whole, seen.since, seen.whole AND lacking.most AND NOT EXISTS (
            SELECT FROM sweep_told WHERE kind = ${shortWalk} AND subject <> ${syncId}) AS doubted
          FROM seen CROSS JOIN (
            SELECT count(*) > ${expected}::int AS most FROM institutions
            WHERE sync_id IS DISTINCT FROM ${syncId} AND vanished_at IS NULL) AS lacking
        ), unlisted AS (
          SELECT institution_id FROM institutions
          WHERE (SELECT whole AND NOT doubted FROM ended) AND sync_id IS DISTINCT FROM ${syncId} AND vanished_at IS NULL
            -- Asked of the row as it is once its lock is free: another walk may list it at this moment.
            AND (listed_at IS NULL OR listed_at < (SELECT since FROM ended))
          -- As a page locks them.
          ORDER BY institution_id FOR UPDATE
        ), marked AS (
          UPDATE institutions n SET vanished_at = clock_timestamp()
          FROM unlisted WHERE n.institution_id = unlisted.institution_id
          RETURNING 1
        ), over AS (
          DELETE FROM alerts WHERE kind = 'institutions_stuck' AND (SELECT whole AND NOT doubted FROM ended)
        ), noted AS (
          INSERT INTO sweep_told (kind, subject, told_at)
          SELECT ${shortWalk}, ${syncId}, clock_timestamp() FROM ended WHERE doubted ON CONFLICT DO NOTHING
        ), forgotten AS (
          DELETE FROM sweep_told WHERE kind = ${shortWalk} AND (SELECT whole AND NOT doubted FROM ended)
        )
        SELECT ended.whole AND NOT ended.doubted AS complete, (SELECT count(*)::int FROM marked) AS vanished,
          ended.since IS NOT NULL AND NOT EXISTS (
            SELECT FROM institutions WHERE sync_id <> ${syncId} AND listed_at >= ended.since) AS alone
        FROM ended`,
      );
      return row;
    },

    async save(institutionId, askedAt, institution) {
      const said: unknown = shallow(institution?.status);
      const status = isObject(said) ? said : null;
      await sql.begin(async (tx) => {
        if (institution !== null)
          await upsert(tx, [{ ...institution, institution_id: institutionId }], askedAt);
        const now = institution === null ? institutionId : storable(institution.institution_id);
        if (now !== institutionId) {
          await builder(tx)
            .insert(institutionAliases)
            .values({ aliasId: institutionId, institutionId: now })
            .onConflictDoNothing();
        }
        await tx`
          UPDATE institutions SET status = ${status === null ? null : jsonbText(status)}::text::jsonb,
            status_at = ${askedAt}::text::timestamptz
          WHERE institution_id = ${institutionId}
            AND coalesce(status_at, '-infinity') <= ${askedAt}::text::timestamptz`;
      });
    },

    async lastAskedForStatus() {
      const row = firstOf(
        await sql<Selected<typeof asked>[]>`
        SELECT ${asked.list(sql)} FROM institutions WHERE status_at IS NOT NULL
        ORDER BY status_at DESC, institution_id DESC LIMIT 1`,
      );
      return row?.institution_id ?? null;
    },

    async dueForStatus(since, after, limit, last = null) {
      // From one institution to the next along the index: their Items may be millions.
      const living = sql`i.admitted_at IS NOT NULL AND i.removed_at IS NULL`;
      const rows = await sql<Present<Selected<typeof used>>[]>`
        WITH RECURSIVE used(institution_id) AS (
          (SELECT i.institution_id FROM items i WHERE i.institution_id > ${after ?? ''} AND ${living}
            ORDER BY i.institution_id LIMIT 1)
          UNION ALL
          SELECT next.institution_id FROM used CROSS JOIN LATERAL (
            SELECT i.institution_id FROM items i WHERE i.institution_id > used.institution_id AND ${living}
            ORDER BY i.institution_id LIMIT 1
          ) AS next
        )
        SELECT ${used.list(sql, 'u')} FROM used u LEFT JOIN institutions n ON n.institution_id = u.institution_id
        WHERE (n.status_at IS NULL OR n.status_at < ${since}::text::timestamptz)
          AND (${last}::text IS NULL OR u.institution_id <= ${last})
        ORDER BY u.institution_id LIMIT ${limit}`;
      return rows.map((row) => row.institution_id);
    },

    async get(institutionId) {
      const row = firstOf(
        await sql<Selected<typeof view>[]>`
          SELECT ${view.list(sql)} FROM institutions WHERE institution_id = ${institutionId}`,
      );
      if (row === undefined) return null;
      const { status_at, synced_at, vanished_at } = row;
      return {
        ...row,
        status_at: iso(status_at),
        synced_at: synced_at.toISOString(),
        vanished_at: iso(vanished_at),
      };
    },

    async page({ query, country }, limit, after) {
      const contains = query === undefined ? null : `%${query.replace(/[\\%_]/g, '\\$&')}%`;
      const rows = await sql<(Selected<typeof place> & { row: string })[]>`
        SELECT ${place.list(sql, 'n')}, json_build_object('institution_id', n.institution_id, 'name', n.name,
          'country_codes', n.country_codes, 'products', n.products, 'oauth', n.oauth, 'url', n.url,
          'primary_color', n.primary_color, 'logo', n.logo, 'status', n.status, 'status_at', ${utc('n.status_at')},
          'synced_at', ${utc('n.synced_at')}, 'vanished_at', null)::text AS row
        FROM institutions n WHERE n.vanished_at IS NULL
          ${contains === null ? sql`` : sql`AND n.name ILIKE ${contains}`}
          ${country === undefined ? sql`` : sql`AND ${country} = ANY(n.country_codes)`}
          ${after === null ? sql`` : sql`AND (n.name, n.institution_id) > (${after[0] ?? ''}, ${after[1] ?? ''})`}
        ORDER BY n.name, n.institution_id LIMIT ${limit + 1}`;
      const page = pageOf(
        rows,
        limit,
        ({ row }) => row,
        (last) => [last.name, last.institution_id],
      );
      return { rows: Buffer.from(page.rows.join()), next: page.next };
    },

    async asOf() {
      const row = firstOf(
        await sql<[{ at: RowOf<typeof table>['synced_at'] | null }]>`
          SELECT max(synced_at) AS at FROM institutions`,
      );
      return iso(row.at);
    },

    async logos(institutionIds) {
      const rows = await sql<Present<Selected<typeof pictured>>[]>`
        SELECT ${pictured.list(sql)} FROM institutions
        WHERE institution_id = ANY(${[...institutionIds]}::text[]) AND logo IS NOT NULL`;
      return new Map(rows.map((row) => [row.institution_id, row.logo]));
    },
  };
}
