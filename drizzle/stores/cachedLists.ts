import type { Refused, Viewer } from '../../domain/exchange/viewer.js';
import type { ConnectionScope } from '../../domain/exchange/connection.js';
import type { CachedPage, ItemCompleteness, ListedItems, ReadStore } from '../../domain/ports/reads.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { itemPhase } from './itemState.js';
import { lastReads } from './lastReads.js';
import { removedRaw } from './recordTexts.js';
import { refusedBy, rightsOf } from './rights.js';
import type { Rights, Verdict } from './rights.js';

/** Between the texts that the database gives: JSON holds it only as an escape (RFC 8259, 7). */
const separator = 0x1e;
const comma = 0x2c;

const nothing = Buffer.alloc(0);

/** In place of the brace that ends an object. */
const versionTail = (version: string): string => `,"version":${version}}`;

/**
 * The first `limit` JSON texts of `bodies`, a comma between two; where there are `tails`, each stands in place of the brace that ends an
 * object. In one pass over the bytes: a value for each row took more time than all else here.
 */
function textsOf(
  bodies: Buffer,
  tails: readonly string[] | null,
  limit: number,
): { rows: Buffer; more: boolean } {
  const rows = Buffer.allocUnsafe((tails ?? []).reduce((size, tail) => size + tail.length, bodies.length));
  let length = 0;
  let start = 0;
  for (let index = 0; index < limit && start <= bodies.length; index += 1) {
    const found = bodies.indexOf(separator, start);
    const end = found < 0 ? bodies.length : found;
    if (index > 0) length = rows.writeUInt8(comma, length);
    const tail = tails?.[index];
    length += bodies.copy(rows, length, start, tail === undefined ? end : end - 1);
    if (tail !== undefined) length += rows.write(tail, length, 'latin1');
    start = end + 1;
  }
  return { rows: rows.subarray(0, length), more: start <= bodies.length };
}

/** What is said of an Item, and of the connection through which it is read. */
type DrawnItem = ItemCompleteness & { connection?: Verdict };

const utc = (sql: Sql, column: Fragment): Fragment =>
  sql`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** The cached lists of accounts, balances and transactions, each with the Items that it draws from. */
export function cachedLists(sql: Sql): Pick<ReadStore, 'accounts' | 'balances' | 'transactions'> {
  const reads = lastReads(sql);
  const listed = (items: ListedItems): Fragment =>
    'itemId' in items
      ? sql`i.item_id = ${items.itemId}`
      : 'itemIds' in items
        ? sql`i.item_id = ANY(${items.itemIds}::text[])`
        : sql`i.user_id = ${items.userId}
            AND (${items.includeRemoved} OR i.removed_at IS NULL AND i.replaced_by IS NULL)`;

  /**
   * One statement, so that rows, what is said of their completeness, and the right to them are of one moment; and one row, as
   * bytes: a driver that reads a hundred rows column by column took a quarter of a request. `rows` selects, in order, a page's three keys (the
   * third null where two are enough), the version of what does not hold it itself, and the body, one more than `limit`, from `drawn c` or, for
   * who sees every Item, the Item itself.
   */
  async function list(
    { viewer, scope }: { viewer: Viewer; scope: ConnectionScope },
    items: ListedItems,
    rows: (rights: Rights) => Fragment,
    limit: number,
  ): Promise<CachedPage> {
    const rights = rightsOf(sql, viewer, scope);
    const found = (await sql`
      WITH drawn AS MATERIALIZED (
        SELECT i.item_id, i.created_at, ${itemPhase(sql)} AS phase, i.history, i.last_update_at ${rights.carried}
        FROM items i ${rights.join} WHERE i.admitted_at IS NOT NULL AND ${listed(items)}
      )
      SELECT (SELECT json_agg(json_build_object('item_id', c.item_id, 'phase', c.phase, 'history', c.history,
            'as_of', ${utc(sql, sql`c.last_update_at`)} ${rights.verdict}) ORDER BY c.created_at, c.item_id) FROM drawn c),
        -- The order is that of the page: it is read as it comes.
        (array_agg(p.key1))[${limit}::int], (array_agg(p.key2))[${limit}::int], (array_agg(p.key3))[${limit}::int],
        string_agg(p.version::text, ','), string_agg(p.body, E'\\x1e')
      FROM (${rows(rights)}) AS p (key1, key2, key3, version, body)`.raw()) as (Buffer | null)[][];
    const [ofItems, key1, key2, key3, versions, bodies] = firstOf(
      found as unknown as [(typeof found)[number]],
    );
    const drawn: ItemCompleteness[] = [];
    const unnoted: string[] = [];
    let refused: Refused | null = null;
    for (const { connection, ...item } of JSON.parse(ofItems?.toString() ?? '[]') as DrawnItem[]) {
      const refusal = refusedBy(connection, scope);
      if (refusal === null) drawn.push(item);
      else if ('itemId' in items) refused = refusal;
      if (connection?.unnoted) unnoted.push(connection.id);
    }
    reads.note(scope, unnoted);
    // Spliced in here: there, half of a read's time went into it.
    const tails = versions ? versions.toString().split(',').map(versionTail) : null;
    const { rows: texts, more } = textsOf(bodies ?? nothing, tails, limit);
    const last = [key1, key2, key3].flatMap((key) => (key == null ? [] : String(key)));
    return { items: drawn, rows: texts, next: more ? last : null, refused };
  }

  return {
    async accounts(viewer, { format, ...items }, limit, after) {
      const rows = (rights: Rights): Fragment => {
        const whole =
          format === 'raw'
            ? sql`a.raw`
            : // The last three: rows that an older release wrote do not hold them.
              sql`jsonb_set(a.refined || jsonb_build_object('version', a.version, 'replaces', ${rights.accountOrNull(sql`a.replaces`)},
                  'replaced_by', ${rights.accountOrNull(sql`a.replaced_by`)}),
                '{balances,as_of}', to_jsonb(${utc(sql, sql`a.as_of`)}))`;
        return sql`
          SELECT a.item_id, a.account_id, NULL, NULL, (${rights.balances(whole)})::text FROM drawn c JOIN accounts a USING (item_id)
          WHERE ${rights.allowed} ${rights.account(sql`a.account_id`)}
          ${after === null ? sql`` : sql`AND (a.item_id, a.account_id) > (${after[0] ?? ''}, ${after[1] ?? ''})`}
          ORDER BY a.item_id, a.account_id LIMIT ${limit + 1}`;
      };
      return list({ viewer, scope: 'accounts' }, items, rows, limit);
    },

    async transactions(viewer, { from, to, account_id, statuses, format, ...items }, limit, after) {
      const columns =
        format === 'raw'
          ? sql`NULL::int, coalesce(t.raw, ${removedRaw(sql, sql`t.transaction_id`, sql`t.account_id`)})::text`
          : sql`t.version, t.refined::text`;
      const wanted = sql`t.status = ANY(${statuses}::text[])
        ${from === undefined ? sql`` : sql`AND t.date >= ${from}::text::date`}
        ${to === undefined ? sql`` : sql`AND t.date <= ${to}::text::date`}
        ${account_id === undefined ? sql`` : sql`AND t.account_id = ${account_id}`}
        ${
          // The first condition starts the scan in the index, the second drops what that day has shown already.
          after === null
            ? sql``
            : sql`AND t.date <= ${after[0] ?? ''}::text::date
                AND (t.date < ${after[0] ?? ''}::text::date OR t.transaction_id > ${after[1] ?? ''}
                  ${
                    // Plaid's ids are those of one Item.
                    after[2] === undefined
                      ? sql``
                      : sql`OR t.transaction_id = ${after[1] ?? ''} AND t.item_id > ${after[2]}`
                  })`
        }`;
      const rows = (rights: Rights): Fragment =>
        'itemId' in items && viewer.access === 'all'
          ? sql`
              SELECT t.date::text, t.transaction_id, NULL, ${columns} FROM transactions t WHERE t.item_id = ${items.itemId} AND ${wanted}
              ORDER BY t.date DESC, t.transaction_id LIMIT ${limit + 1}`
          : // One ordered scan per Item, merged: a user's Items are few, and each scan stops at the page's end. Bodies are
            // fetched of the page only, so that they are not sorted.
            sql`
              SELECT t.date::text, t.transaction_id, t.item_id, ${columns} FROM (
                SELECT page.* FROM drawn c
                CROSS JOIN LATERAL (
                  SELECT t.item_id, t.transaction_id, t.date FROM transactions t
                  WHERE t.item_id = c.item_id AND ${wanted} ${rights.account(sql`t.account_id`)} ${rights.day(sql`t.date`)}
                  ORDER BY t.date DESC, t.transaction_id LIMIT ${limit + 1}
                ) AS page
                WHERE ${rights.allowed}
                ORDER BY page.date DESC, page.transaction_id, page.item_id LIMIT ${limit + 1}
              ) AS p JOIN transactions t USING (item_id, transaction_id)
              ORDER BY t.date DESC, t.transaction_id, t.item_id`;
      return list({ viewer, scope: 'transactions' }, items, rows, limit);
    },

    async balances(viewer, { itemId, account_id, from, to }, limit, after) {
      const rows = (rights: Rights): Fragment => sql`
          SELECT b.day::text, b.account_id, NULL, NULL, json_build_object('item_id', b.item_id, 'account_id', b.account_id,
            'day', b.day, 'balances', json_build_object('available', b.available::text, 'current', b.current::text,
              'limit', b."limit"::text, 'currency', b.currency, 'as_of', ${utc(sql, sql`b.as_of`)}))::text
          FROM ${viewer.access === 'all' ? sql`` : sql`drawn c CROSS JOIN`} balance_snapshots b
          WHERE b.item_id = ${itemId} AND ${rights.allowed} ${rights.account(sql`b.account_id`)} ${rights.day(sql`b.day`)}
            ${account_id === undefined ? sql`` : sql`AND b.account_id = ${account_id}`}
            ${from === undefined ? sql`` : sql`AND b.day >= ${from}::text::date`}
            ${to === undefined ? sql`` : sql`AND b.day <= ${to}::text::date`}
            ${
              after === null
                ? sql``
                : sql`AND b.day <= ${after[0] ?? ''}::text::date
                    AND (b.day < ${after[0] ?? ''}::text::date OR b.account_id > ${after[1] ?? ''})`
            }
          ORDER BY b.day DESC, b.account_id LIMIT ${limit + 1}`;
      return list({ viewer, scope: 'balances' }, { itemId }, rows, limit);
    },
  };
}
