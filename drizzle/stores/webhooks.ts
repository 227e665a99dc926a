import { randomUUID } from 'node:crypto';
import type {
  NewWebhook,
  StoredWebhook,
  WebhookOutcomeState,
  WebhookStore,
} from '../../domain/ports/webhooks.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { codesThatWithhold } from '../../domain/webhooks/itemFacts.js';
import { readWebhook } from '../../domain/webhooks/webhook.js';
import { jsonbText } from '../jsonText.js';
import { pageOf } from '../pageOf.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { items, webhooks } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Present, Selected } from '../selection.js';
import { isErased } from './beingErased.js';
import { seesWholeItem } from './rights.js';

/**
 * A webhook that was signalled this long ago and is still pending may have lost its signal, or what it was signalled for has failed and
 * waits: the next one signals again. As long as lies between two tries, whoever asks.
 */
const signalTrust = `${defaultPolicy.retryAsked} milliseconds`;
const rejectedKept = 10_000;
const rejectedBodyBytes = 4_096;

const stored = selection(
  webhooks,
  [
    'webhook_id',
    'received_at',
    'source',
    'verdict',
    'webhook_type',
    'webhook_code',
    'item_id',
    'outcome',
    'reason',
    'body',
  ],
  { received_key: asText('received_at') },
);
type Row = Selected<typeof stored>;

const lane = selection(webhooks, ['item_id', 'kind']);
const signal = selection(webhooks, ['kind'], { webhookId: 'webhook_id', itemId: 'item_id' });
const owner = selection(items, [], { userId: 'user_id' });

const view = (row: Row): StoredWebhook => ({
  webhook_id: row.webhook_id,
  received_at: row.received_at.toISOString(),
  source: row.source,
  verdict: row.verdict,
  webhook_type: row.webhook_type,
  webhook_code: row.webhook_code,
  item_id: row.item_id,
  outcome: { state: row.outcome, reason: row.reason },
  body: Buffer.from(row.body).toString('utf8'),
});

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function outcomeOf(webhook: NewWebhook): WebhookOutcomeState {
  if (webhook.verdict === 'rejected') return 'rejected';
  return webhook.reason === null ? 'pending' : 'ignored';
}

export function webhookStore(sql: Sql): WebhookStore {
  const insert = async (
    webhook: NewWebhook,
    body: Uint8Array,
    id: string = randomUUID(),
  ): Promise<string> => {
    const outcome = outcomeOf(webhook);
    await sql`
      INSERT INTO webhooks (webhook_id, source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, reason,
        settled_at, headers, body)
      SELECT ${id}, ${webhook.source}, ${webhook.verdict}, ${webhook.webhook_type}, ${webhook.webhook_code},
        ${webhook.item_id}, ${webhook.kind}, ${webhook.removed_ids}::text[], ${outcome}, ${webhook.reason},
        CASE WHEN ${outcome === 'pending'} THEN NULL ELSE clock_timestamp() END,
        ${jsonbText(webhook.headers)}::text::jsonb, ${body}::bytea
      -- Of an erased user's Item nothing is kept; what is pending or rejected the sweep deletes, which costs the others nothing.
      WHERE ${outcome !== 'ignored'} OR NOT ${isErased(sql, sql`${webhook.item_id}`)}
      ON CONFLICT (webhook_id) DO NOTHING`;
    return id;
  };

  return {
    async store(webhook) {
      return { webhookId: await insert(webhook, webhook.body) };
    },

    async storeRejected(webhook) {
      await insert(webhook, webhook.body.subarray(0, rejectedBodyBytes));
      // Every process deletes the same ones: what another deletes is gone.
      await sql`
        DELETE FROM webhooks WHERE webhook_id IN (
          SELECT webhook_id FROM webhooks WHERE verdict = 'rejected' AND received_at < (
            SELECT received_at FROM webhooks WHERE verdict = 'rejected'
            ORDER BY received_at DESC OFFSET ${rejectedKept - 1} LIMIT 1)
          FOR UPDATE SKIP LOCKED)`;
    },

    async acquireSignal(webhookId) {
      return sql.begin(async (tx) => {
        // Neither of two that acquire at once would see that the other has signalled.
        const mine = firstOf(
          await tx<Present<Selected<typeof lane>>[]>`
          SELECT ${lane.list(tx, 'w')}, pg_advisory_xact_lock(hashtextextended(w.item_id || '/' || w.kind, 0))
          FROM webhooks w WHERE w.webhook_id = ${webhookId} AND w.kind IS NOT NULL AND w.item_id IS NOT NULL`,
        );
        if (mine === undefined) return null;
        // It waits for nobody's trust: numbers would be given out meanwhile, or an operator means now.
        const urgent = (
          row: Fragment,
        ): Fragment => tx`(${row}.signalled_at IS NULL AND (${row}.source = 'replay'
          OR ${row}.kind = 'item' AND ${row}.webhook_code = ANY(${[...codesThatWithhold]}::text[])))`;
        const acquired = firstOf(
          await tx<(Present<Selected<typeof signal>> & Selected<typeof owner>)[]>`
          UPDATE webhooks w SET signalled_at = clock_timestamp()
          FROM items i
          WHERE w.webhook_id = (
              SELECT p.webhook_id FROM webhooks p
              WHERE p.item_id = ${mine.item_id} AND p.kind = ${mine.kind} AND p.outcome = 'pending'
              ORDER BY ${urgent(tx`p`)} DESC, p.webhook_id = ${webhookId} DESC, p.received_at DESC LIMIT 1)
            AND w.outcome = 'pending' AND i.item_id = w.item_id AND i.admitted_at IS NOT NULL
            AND (${urgent(tx`w`)} OR NOT EXISTS (
              SELECT FROM webhooks signalled
              WHERE signalled.item_id = w.item_id AND signalled.kind = w.kind AND signalled.outcome = 'pending'
                AND signalled.signalled_at > clock_timestamp() - ${signalTrust}::interval))
          RETURNING ${signal.list(tx, 'w')}, ${owner.list(tx, 'i')}`,
        );
        return acquired ?? null;
      });
    },

    async releaseSignal(webhookId) {
      await sql`UPDATE webhooks SET signalled_at = NULL WHERE webhook_id = ${webhookId}`;
    },

    async page(viewer, filter, limit, after) {
      const rows = await sql<Row[]>`
        SELECT ${stored.list(sql)} FROM webhooks
        WHERE ${seesWholeItem(sql, viewer, sql`webhooks.item_id`)}
          ${filter.item_id === undefined ? sql`` : sql`AND item_id = ${filter.item_id}`}
          ${
            // Two of them spelled out: the partial indexes are for them, and no plan for any value uses those.
            filter.verdict === undefined
              ? sql``
              : filter.verdict === 'rejected'
                ? sql`AND verdict = 'rejected'`
                : sql`AND verdict = ${filter.verdict}`
          }
          ${
            filter.outcome === undefined
              ? sql``
              : filter.outcome === 'pending'
                ? sql`AND outcome = 'pending'`
                : sql`AND outcome = ${filter.outcome}`
          }
          ${
            after === null
              ? sql``
              : sql`AND (received_at, webhook_id) < (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''}::uuid)`
          }
        ORDER BY webhooks.received_at DESC, webhooks.webhook_id DESC LIMIT ${limit + 1}`;
      return pageOf(rows, limit, view, (last) => [last.received_key, last.webhook_id]);
    },

    async replay(viewer, webhookId, copyId) {
      if (!uuid.test(webhookId)) return 'not_found';
      // First: since it was made, the original may have been acted on, or deleted.
      const copy = firstOf(
        await sql<Selected<typeof signal>[]>`
        SELECT ${signal.list(sql)} FROM webhooks WHERE webhook_id = ${copyId}`,
      );
      if (copy !== undefined) return copy;
      const row = firstOf(
        await sql<Row[]>`
        SELECT ${stored.list(sql)} FROM webhooks
        WHERE webhook_id = ${webhookId} AND ${seesWholeItem(sql, viewer, sql`webhooks.item_id`)}`,
      );
      if (row === undefined) return 'not_found';
      if (row.verdict === 'rejected') return 'rejected';
      const read = readWebhook(Buffer.from(row.body).toString('utf8'));
      if (read.kind === 'removals' && row.outcome === 'done') return 'acted_on';
      const id = await insert(
        {
          source: 'replay',
          verdict: 'accepted',
          body: row.body,
          headers: { 'x-replay-of': webhookId },
          webhook_type: read.webhook_type,
          webhook_code: read.webhook_code,
          item_id: read.item_id,
          kind: read.kind,
          removed_ids: read.removed_ids,
          reason: read.ignored,
        },
        row.body,
        copyId,
      );
      return { webhookId: id, itemId: read.item_id, kind: read.kind };
    },

    async get(viewer, webhookId) {
      if (!uuid.test(webhookId)) return null;
      const row = firstOf(
        await sql<Row[]>`
        SELECT ${stored.list(sql)} FROM webhooks
        WHERE webhook_id = ${webhookId} AND ${seesWholeItem(sql, viewer, sql`webhooks.item_id`)}`,
      );
      return row ? view(row) : null;
    },
  };
}
