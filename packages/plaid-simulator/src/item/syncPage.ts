import { PlaidApiError } from '../errors.js';
import { accountView } from './accountView.js';
import type { RenderOptions } from '../bank/row.js';
import type { JsonPart } from '../jsonParts.js';
import { decodeCursor, encodeCursor } from './cursor.js';
import type { Item } from './item.js';
import { renderChanges, type Change } from './log.js';
import { cursorPresented } from './truth.js';
import { refuseWithdrawn } from './withdrawnCursors.js';

export interface SyncQuery {
  /** "" from the beginning, "now" for a client that comes from `/transactions/get`. */
  cursor: string;
  count: number;
  accountId: string | null;
  render: RenderOptions;
}

export interface SyncPage {
  /** The answer as JSON text in parts, but for `request_id`, without the closing brace. */
  json: JsonPart[];
  /** The page's number in its run, from 1. */
  number: number;
  /** The log position that this page completes reading up to from the empty cursor of the whole Item; else `null`. */
  completes: number | null;
}

/** One page of `/transactions/sync`. Throws MUTATION_DURING_PAGINATION for ever once the log has grown under a run's cursor. */
export function syncPage(item: Item, query: SyncQuery): SyncPage {
  const { log, facts } = item;
  const accounts = JSON.stringify(
    item.openAccounts
      .filter(({ account }) =>
        query.accountId === null
          ? accountsWithRows(item).has(account.account_id)
          : account.account_id === query.accountId,
      )
      .map((known) => accountView(item, known)),
  );
  const answer = (changes: readonly Change[], next: string, more: boolean): JsonPart[] => {
    const lists = renderChanges(changes, query.render);
    return [
      Buffer.from(`{"accounts":${accounts},"added":`),
      ...lists.added,
      Buffer.from(`,"has_more":${more},"modified":`),
      ...lists.modified,
      Buffer.from(`,"next_cursor":${JSON.stringify(next)},"removed":`),
      ...lists.removed,
      Buffer.from(`,"transactions_update_status":${JSON.stringify(facts.status)}`),
    ];
  };
  if (facts.status === 'NOT_READY') {
    if (query.cursor !== '' && query.cursor !== 'now')
      decodeCursor(query.cursor, item.id, query.accountId, log.length);
    return { json: answer([], '', false), number: 1, completes: null };
  }
  const final = () => encodeCursor({ from: log.length, end: null, offset: 0 }, item.id, query.accountId);
  if (query.cursor === 'now') return { json: answer([], final(), false), number: 1, completes: null };
  const cursor =
    query.cursor === ''
      ? { from: 0, end: null, offset: 0 }
      : decodeCursor(query.cursor, item.id, query.accountId, log.length);
  if (query.cursor !== '') refuseWithdrawn(item, query.cursor, cursor);
  if (cursor.end !== null && cursor.end !== log.length) {
    throw new PlaidApiError('TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION');
  }
  if (query.cursor !== '' && cursor.end === null && query.accountId === null)
    cursorPresented(item, cursor.from);
  const changes = log.delta(cursor.from, query.accountId);
  const page = changes.slice(cursor.offset, cursor.offset + query.count);
  const offset = cursor.offset + page.length;
  const more = offset < changes.length;
  const next = more
    ? encodeCursor({ from: cursor.from, end: log.length, offset }, item.id, query.accountId)
    : final();
  return {
    json: answer(page, next, more),
    number: Math.floor(cursor.offset / Math.max(1, query.count)) + 1,
    completes: !more && cursor.from === 0 && query.accountId === null ? log.length : null,
  };
}

const withRows = new WeakMap<Item, { at: number; accounts: Set<string> }>();

/** Accounts that live rows belong to; kept as long as the log does not grow. */
function accountsWithRows(item: Item): Set<string> {
  const known = withRows.get(item);
  if (known && known.at === item.log.length) return known.accounts;
  const accounts = item.log.liveAccounts(item.openAccounts.length);
  withRows.set(item, { at: item.log.length, accounts });
  return accounts;
}
