import type { DueItem, SweepStore } from '../../domain/ports/sweep.js';
import type { Fragment, Sql } from '../rows.js';
import { isErased } from './beingErased.js';
import { dueWork } from './dueWork.js';
import type { DueWork } from './dueWork.js';

/** How long a webhook of an unknown Item waits for its Item. */
const adoptionWindow = '24 hours';
/** By then the row of an Item that is being linked is there. */
const linkedWithin = '1 minute';
/** Anybody who is a customer of Plaid's can have webhooks signed. */
const unknownAtMost = 1_000;
/** An update of many pages takes minutes, hours where Plaid's limits are shared by many; one that is cut here restarts. */
const stagedAtMost = '2 days';
/** Who was signalled longer ago stands with those that never were. */
const signalledAtMost = '1 day';
const links = 'link';
/** Kinds of `sweep_told` beside those of Items. */
export const sweptEndpoint = 'endpoint';
export const sweptErasure = 'erasure';
const saidItem = '"item_id"\\s*:\\s*"([^"]+)"';

export function sweepStore(sql: Sql): SweepStore {
  const before = (graceMs: number): Fragment =>
    sql`clock_timestamp() - ${`${graceMs} milliseconds`}::interval`;

  /**
   * The first of one kind. Whom the sweep signalled stands behind all that have waited longer than since then: what cannot move
   * hides nothing.
   */
  const firstOf = ({ kind, query }: DueWork, place: number, limit: number, graceMs: number): Fragment => sql`
    (SELECT i.item_id, i.user_id, ${kind}::text AS kind, ${place}::int AS place,
        row_number() OVER (ORDER BY greatest(due.since, t.told_at), i.item_id) AS turn
      FROM (${query(sql, before(graceMs))}) AS due JOIN items i USING (item_id)
        LEFT JOIN sweep_told t ON t.kind = ${kind} AND t.subject = i.item_id
      WHERE i.admitted_at IS NOT NULL
      ORDER BY turn LIMIT ${limit})`;

  return {
    async findDue(limit, graceMs) {
      const kinds = dueWork
        .map((work, place) => firstOf(work, place, limit, graceMs))
        .reduce((all, one) => sql`${all} UNION ALL ${one}`);
      // The first of every kind, then the second of every kind: one that fills its limit holds up none of the others.
      return sql<DueItem[]>`
        SELECT item_id AS "itemId", user_id AS "userId", array_agg(kind ORDER BY place) AS kinds
        FROM (${kinds}) AS due
        GROUP BY item_id, user_id ORDER BY min(turn), min(place), item_id`;
    },

    async findStaleLinks(limit, graceMs) {
      return sql<{ tokenHash: string; userId: string }[]>`
        SELECT l.token_hash AS "tokenHash", l.user_id AS "userId"
        FROM (
          SELECT token_hash FROM links WHERE state <> 'finished' AND updated_at < ${before(graceMs)}
          UNION
          -- Answered; their Items, which never became the user's, are to be removed at Plaid.
          SELECT token_hash FROM items
          WHERE removed_at IS NULL AND removal_requested_at < ${before(graceMs)} AND admitted_at IS NULL
        ) AS due JOIN links l USING (token_hash)
          LEFT JOIN sweep_told t ON t.kind = ${links} AND t.subject = l.token_hash
        ORDER BY greatest(l.updated_at, t.told_at), l.token_hash LIMIT ${limit}`;
    },

    async recordSignalled(signalled) {
      const { items = [], links: stale = [], endpoints = [], erasures = [] } = signalled;
      const subjects = [
        ...items.flatMap(({ itemId, kinds }) => kinds.map((kind) => ({ kind, subject: itemId }))),
        ...stale.map(({ tokenHash }) => ({ kind: links, subject: tokenHash })),
        ...endpoints.map((subject) => ({ kind: sweptEndpoint, subject })),
        ...erasures.map((subject) => ({ kind: sweptErasure, subject })),
      ];
      await sql`
        INSERT INTO sweep_told (kind, subject, told_at)
        SELECT kind, subject, clock_timestamp()
        FROM unnest(${subjects.map(({ kind }) => kind)}::text[], ${subjects.map(({ subject }) => subject)}::text[])
          AS told(kind, subject)
        GROUP BY kind, subject ORDER BY kind, subject
        ON CONFLICT (kind, subject) DO UPDATE SET told_at = excluded.told_at`;
    },

    async ignoreUnknown() {
      // Late attempts of updates that have ended leave pages that nobody asks for.
      // What another holds is left to the next sweep: who waits for several rows, in whatever order, may be waited for.
      await sql`
        DELETE FROM staged_pages WHERE (item_id, update_id, page) IN (
          SELECT item_id, update_id, page FROM staged_pages
          WHERE staged_at < clock_timestamp() - ${stagedAtMost}::interval FOR UPDATE SKIP LOCKED)`;
      await sql`
        DELETE FROM sweep_told WHERE (kind, subject) IN (
          SELECT kind, subject FROM sweep_told
          WHERE told_at < clock_timestamp() - ${signalledAtMost}::interval FOR UPDATE SKIP LOCKED)`;
      // Plaid repeats a webhook for a day, also after its user was erased. Of a rejected one only the text says what it is about.
      await sql`
        DELETE FROM webhooks WHERE webhook_id IN (
          SELECT w.webhook_id FROM webhooks w
          WHERE (w.outcome = 'pending' OR w.verdict = 'rejected')
            AND ${isErased(sql, sql`coalesce(w.item_id, substring(encode(w.body, 'escape') FROM ${saidItem}))`)}
          FOR UPDATE OF w SKIP LOCKED)`;
      // An attempt that is overtaken by the erasure of its Item may raise one after it.
      await sql`
        DELETE FROM alerts WHERE (kind, key) IN (
          SELECT a.kind, a.key FROM alerts a WHERE ${isErased(sql, sql`a.item_id`)} FOR UPDATE SKIP LOCKED)`;
      await sql`
        INSERT INTO alerts (kind, key, item_id, detail)
        SELECT 'item_unknown', w.item_id, w.item_id, jsonb_build_object('first_webhook_at', min(w.received_at))
        FROM webhooks w
        WHERE EXISTS (SELECT FROM restores) AND w.outcome = 'pending' AND w.item_id IS NOT NULL
          AND w.received_at < clock_timestamp() - ${linkedWithin}::interval
          AND NOT EXISTS (SELECT FROM items i WHERE i.item_id = w.item_id)
          -- Those that were told before, the oldest, would fill what is left of the most.
          AND NOT EXISTS (SELECT FROM alerts a WHERE a.kind = 'item_unknown' AND a.key = w.item_id)
        GROUP BY w.item_id ORDER BY min(w.received_at)
        LIMIT greatest(0, ${unknownAtMost} - (SELECT count(*) FROM alerts WHERE kind = 'item_unknown'))
        ON CONFLICT DO NOTHING`;
      const ended = await sql`
        UPDATE webhooks SET outcome = 'ignored', reason = 'unknown_item', settled_at = clock_timestamp()
        WHERE webhook_id IN (
          SELECT w.webhook_id FROM webhooks w
          WHERE w.outcome = 'pending' AND w.received_at < clock_timestamp() - ${adoptionWindow}::interval
            -- An Item that was discarded at linking never was ours; one that is being linked may become so.
            AND NOT EXISTS (SELECT FROM items i
              WHERE i.item_id = w.item_id AND (i.admitted_at IS NOT NULL OR i.removed_at IS NULL))
          FOR UPDATE OF w SKIP LOCKED)
        RETURNING 1`;
      return ended.length;
    },
  };
}
