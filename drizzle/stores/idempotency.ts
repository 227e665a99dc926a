import { randomUUID } from 'node:crypto';
import { Failure } from '../../domain/failures.js';
import type { IdempotencyStore, KeyedRequest, KeyedStart } from '../../domain/ports/idempotency.js';
import { firstOf, sealedOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { idempotencyKeys } from '../schema.js';
import { selection } from '../selection.js';
import type { Present, Selected } from '../selection.js';

const kept = '24 hours';

const effect = selection(idempotencyKeys, ['effect_id']);
const sealedAnswer = selection(idempotencyKeys, [], {
  key_id: 'answer_key_id',
  data_key: 'answer_data_key',
  ciphertext: 'answer_ciphertext',
});
const entryHead = selection(idempotencyKeys, ['request_hash', 'status', 'content_type']);

type EntryRow = Selected<typeof entryHead> & Selected<typeof sealedAnswer> & { lease_left_ms: number };

export function idempotencyStore(sql: Sql): IdempotencyStore {
  const named = ({ application_id, method, path, key }: KeyedRequest) =>
    sql`application_id = ${application_id} AND method = ${method} AND path = ${path} AND key = ${key}`;

  /**
   * One statement, so that of all who find an entry free, PostgreSQL lets one have it. Who takes a request over goes on with
   * its effect; a new request under an old key has none.
   */
  async function acquire(request: KeyedRequest, runner: string, leaseMs: number): Promise<KeyedStart | null> {
    const { application_id, method, path, key, requestHash } = request;
    const over = sql`entry.expires_at <= statement_timestamp()`;
    const acquired = firstOf(
      await sql<(Selected<typeof sealedAnswer> & Present<Selected<typeof effect>>)[]>`
      INSERT INTO idempotency_keys AS entry (application_id, method, path, key, request_hash, runner, leased_until,
        effect_id, expires_at)
      VALUES (${application_id}, ${method}, ${path}, ${key}, ${requestHash}, ${runner},
        clock_timestamp() + ${leaseMs} * interval '1 millisecond', ${randomUUID()}, clock_timestamp() + ${kept}::interval)
      ON CONFLICT (application_id, method, path, key) DO UPDATE
      SET request_hash = excluded.request_hash, runner = excluded.runner, leased_until = excluded.leased_until,
        status = NULL, content_type = NULL,
        effect_id = CASE WHEN ${over} THEN excluded.effect_id ELSE coalesce(entry.effect_id, excluded.effect_id) END,
        effect = CASE WHEN ${over} THEN NULL ELSE entry.effect END,
        answer_key_id = CASE WHEN ${over} THEN NULL ELSE entry.answer_key_id END,
        answer_data_key = CASE WHEN ${over} THEN NULL ELSE entry.answer_data_key END,
        answer_ciphertext = CASE WHEN ${over} THEN NULL ELSE entry.answer_ciphertext END,
        created_at = clock_timestamp(), expires_at = excluded.expires_at
      WHERE ${over}
        OR (entry.status IS NULL AND entry.leased_until <= clock_timestamp()
          AND entry.request_hash = excluded.request_hash)
      RETURNING ${effect.list(sql, 'entry')}, ${sealedAnswer.list(sql, 'entry')}`,
    );
    if (acquired === undefined) return null;
    const { effect_id, key_id, data_key, ciphertext } = acquired;
    return { kind: 'run', effectId: effect_id, prepared: sealedOf(key_id, data_key, ciphertext) };
  }

  function startOf(row: EntryRow, request: KeyedRequest): KeyedStart {
    // Before anything else: another request learns neither the answer nor that it is on its way.
    if (row.request_hash !== request.requestHash) return { kind: 'reused' };
    if (row.status === null) return { kind: 'running', retryAfterMs: Math.max(0, row.lease_left_ms) };
    const answer = sealedOf(row.key_id, row.data_key, row.ciphertext);
    if (answer === null) throw new Failure('SECRET_UNREADABLE', 'an answer was stored without its body');
    return { kind: 'replay', answer: { status: row.status, contentType: row.content_type, answer } };
  }

  return {
    async begin(request, runner, leaseMs) {
      // An entry may end between the two statements; then it is free, and asked for again.
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const start = await acquire(request, runner, leaseMs);
        if (start !== null) return start;
        const row = firstOf(
          await sql<EntryRow[]>`
          SELECT ${entryHead.list(sql)}, ${sealedAnswer.list(sql)},
            extract(epoch FROM leased_until - clock_timestamp())::float8 * 1000 AS lease_left_ms
          FROM idempotency_keys WHERE ${named(request)} AND expires_at > clock_timestamp()`,
        );
        if (row !== undefined) return startOf(row, request);
      }
      return { kind: 'running', retryAfterMs: 1_000 };
    },

    async prepare(request, runner, prepared) {
      const set = await sql`
        UPDATE idempotency_keys SET answer_key_id = ${prepared.keyId}, answer_data_key = ${prepared.dataKey},
          answer_ciphertext = ${prepared.ciphertext}
        WHERE ${named(request)} AND runner = ${runner} AND status IS NULL
        RETURNING 1`;
      return set.length > 0;
    },

    async finish(request, runner, { status, contentType, answer }, replayUntil) {
      const finished = await sql`
        UPDATE idempotency_keys
        SET status = ${status}, content_type = ${contentType}, answer_key_id = ${answer.keyId},
          answer_data_key = ${answer.dataKey}, answer_ciphertext = ${answer.ciphertext},
          expires_at = least(clock_timestamp() + ${kept}::interval, ${replayUntil}::timestamptz)
        WHERE ${named(request)} AND runner = ${runner} AND status IS NULL
        RETURNING 1`;
      return finished.length > 0;
    },

    async release(request, runner) {
      // Not deleted: for a day the key means this request and no other.
      await sql`
        UPDATE idempotency_keys SET leased_until = clock_timestamp()
        WHERE ${named(request)} AND runner = ${runner} AND status IS NULL`;
    },

    async deleteExpired(limit) {
      const deleted = await sql`
        WITH expired AS (
          SELECT application_id, method, path, key FROM idempotency_keys WHERE expires_at <= clock_timestamp()
          ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
        )
        DELETE FROM idempotency_keys entry USING expired
        WHERE entry.application_id = expired.application_id AND entry.method = expired.method
          AND entry.path = expired.path AND entry.key = expired.key`;
      return deleted.count;
    },
  };
}
