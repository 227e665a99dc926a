import type { Form, RecordKind } from '../../domain/mining/events.js';
import type { OutboxStore } from '../../domain/ports/outbox.js';
import type { Sql } from '../rows.js';
import { items, outbox, outboxMarks } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Selected } from '../selection.js';

const watermark = selection(outboxMarks, ['form', 'sent']);
const change = selection(outbox, ['id', 'item_id', 'record', 'removed', 'subject', 'sequence'], {
  time: 'created_at',
  raw: asText('raw'),
  refined: asText('refined'),
});
const owner = selection(items, ['user_id']);

export function outboxStore(sql: Sql): OutboxStore {
  const newest = (record: RecordKind) =>
    record === 'account' ? sql`i.last_account_sequence` : sql`i.last_transaction_sequence`;

  /** Ends the Item's being unsent when every stream has everything. A statement of its own: it sees all watermarks. */
  const noteSent = (itemId: string) => sql`
    UPDATE items i SET unsent_since = NULL
    WHERE i.item_id = ${itemId} AND i.unsent_since IS NOT NULL AND NOT EXISTS (
      SELECT FROM (VALUES ('transaction', i.last_transaction_sequence), ('account', i.last_account_sequence))
          AS newest(record, sequence),
        (VALUES ('raw'), ('refined')) AS forms(form)
      WHERE newest.sequence > coalesce((SELECT sent FROM outbox_marks k
        WHERE k.item_id = i.item_id AND k.record = newest.record AND k.form = forms.form), 0))`;

  return {
    async unsent(itemId, record, limit, after = 0) {
      const watermarks = await sql<Selected<typeof watermark>[]>`
        SELECT ${watermark.list(sql)} FROM outbox_marks WHERE item_id = ${itemId} AND record = ${record}`;
      const sentOf = (form: Form): number => watermarks.find((one) => one.form === form)?.sent ?? 0;
      const sent = { raw: sentOf('raw'), refined: sentOf('refined') };
      const rows = await sql<(Selected<typeof change> & Selected<typeof owner>)[]>`
        SELECT ${change.list(sql, 'o')}, ${owner.list(sql, 'i')}
        FROM outbox o JOIN items i USING (item_id)
        WHERE o.item_id = ${itemId} AND o.record = ${record} AND o.sequence > ${Math.max(Math.min(sent.raw, sent.refined), after)}
          -- Without this end a scan for the next account would read all transactions ever told of the Item.
          AND o.sequence <= ${newest(record)}
        ORDER BY o.sequence LIMIT ${limit + 1}`;
      // A publisher may have died between its last watermark and `noteSent`.
      if (rows.length === 0 && after === 0) await noteSent(itemId);
      return {
        sent,
        rows: rows.slice(0, limit).map((row) => ({ ...row, time: row.time.toISOString() })),
        more: rows.length > limit,
      };
    },

    async advanceWatermark(itemId, record, form, from, to) {
      // Under a lock that an erasure waits for, or waits: a publisher may come after the Item has gone.
      const moved = await sql`
        INSERT INTO outbox_marks AS m (item_id, record, form, sent)
        SELECT i.item_id, ${record}, ${form}, ${to}
        FROM (SELECT item_id FROM items WHERE item_id = ${itemId} AND ${from}::bigint = 0 FOR KEY SHARE) AS i
        ON CONFLICT (item_id, record, form) DO UPDATE SET sent = excluded.sent WHERE m.sent = ${from}
        RETURNING 1`;
      const advanced =
        moved.length > 0 ||
        (
          await sql`
            UPDATE outbox_marks SET sent = ${to}
            WHERE item_id = ${itemId} AND record = ${record} AND form = ${form} AND sent = ${from} RETURNING 1`
        ).length > 0;
      if (!advanced) return false;
      await noteSent(itemId);
      return true;
    },
  };
}
