import { hash } from 'node:crypto';
import type { MinedPage, MinedTransaction } from '../../domain/mining/page.js';
import type { PlaidRemovedTransaction } from '../../domain/plaid.js';
import type { RecordOwner, RefinedTransaction } from '../../domain/mining/refine.js';
import { cleaned, maySpoil } from '../jsonText.js';
import type { Sql, Tx } from '../rows.js';

interface RowEntry {
  kind: 'row';
  id: string;
  account_id: string;
  status: string;
  date: string;
  amount: string;
  currency: string | null;
  hash: string;
  sanitized: boolean;
}

/**
 * One transaction of a page as `applyTransactions` takes it. `same` stands for a row that the database holds already, byte
 * for byte: Plaid sends most rows again unchanged, and what is not sent on need not be written, sent, parsed and compared.
 */
type Entry =
  | RowEntry
  | { kind: 'same'; id: string; hash: string }
  | { kind: 'removed'; id: string; account_id: string | null };

/** The rows of a page as texts that go to PostgreSQL, how many there are, and how many of them may change something. */
export interface PageEntries {
  /** JSON array of entries */
  text: string;
  /**
   * Plaid's objects as JSON texts, a line for each entry, empty where it has none. Beside the entries and not within them:
   * the database keeps them as text, and need not take apart what nobody took together. JSON texts hold no line ends.
   */
  raws: string;
  /** The refined objects (of a removal the tombstone), likewise. */
  refineds: string;
  count: number;
  changes: number;
}

/** What is stored and sent of a transaction that was removed before we ever saw it. */
function tombstone(
  row: PlaidRemovedTransaction,
  owner: RecordOwner,
): Omit<RefinedTransaction, 'account_id' | 'amount' | 'direction' | 'date'> & {
  account_id: string | null;
  amount: null;
  direction: null;
  date: null;
} {
  return {
    id: row.transaction_id,
    ...owner,
    account_id: row.account_id ?? null,
    status: 'removed',
    direction: null,
    amount: null,
    currency: null,
    date: null,
    authorized_date: null,
    datetime: null,
    authorized_datetime: null,
    description: null,
    merchant: { name: null, id: null, logo_url: null, website: null },
    category: null,
    channel: null,
    check_number: null,
    location: null,
    replaces: null,
  };
}

interface Digested {
  transaction: MinedTransaction;
  rawText: string;
  hash: string;
}

/** 192 bits of BLAKE2b, at half of SHA-256's price. */
const hashOf = (text: string): string => hash('blake2b512', text, 'base64').slice(0, 32);

const digested = (transaction: MinedTransaction): Digested => {
  const rawText = JSON.stringify(transaction.raw);
  return { transaction, rawText, hash: hashOf(rawText) };
};

/**
 * Ids among these transactions of which no live row holds the very bytes: most pages have few or none. They go as lines,
 * since the driver takes an array apart element by element; an id with a line end, which Plaid has none of, counts as changed.
 */
async function changedIds(sql: Sql | Tx, itemId: string, rows: readonly Digested[]): Promise<Set<string>> {
  const idOf = (row: Digested): string => row.transaction.raw.transaction_id;
  const odd = rows.filter((row) => idOf(row).includes('\n'));
  const plain = odd.length === 0 ? rows : rows.filter((row) => !odd.includes(row));
  const found = await sql<{ id: string }[]>`
    SELECT given.id
    FROM unnest(string_to_array(${plain.map(idOf).join('\n')}::text, E'\\n'),
        string_to_array(${plain.map((row) => row.hash).join('\n')}::text, E'\\n')) AS given(id, hash)
    WHERE NOT EXISTS (
      SELECT FROM transactions t
      WHERE t.item_id = ${itemId} AND t.transaction_id = given.id COLLATE "C" AND t.raw_hash = given.hash
        AND t.status <> 'removed')`;
  return new Set([...found.map((row) => row.id), ...odd.map(idOf)]);
}

interface Line {
  entry: string;
  raw: string;
  refined: string;
}

function rowLine({ transaction: { raw, refine }, hash: rawHash, rawText }: Digested): Line {
  const refined = refine();
  const entry: RowEntry = {
    kind: 'row',
    id: raw.transaction_id,
    account_id: raw.account_id,
    status: refined.status,
    date: raw.date,
    amount: raw.amount < 0 ? `-${refined.amount}` : refined.amount,
    currency: refined.currency,
    hash: rawHash,
    sanitized: false,
  };
  const line: Line = { entry: JSON.stringify(entry), raw: rawText, refined: JSON.stringify(refined) };
  if (!maySpoil(line.entry) && !maySpoil(line.raw) && !maySpoil(line.refined)) return line;
  const { value, sanitized } = cleaned({ entry, raw, refined });
  return {
    entry: JSON.stringify({ ...value.entry, sanitized } satisfies RowEntry),
    raw: JSON.stringify(value.raw),
    refined: JSON.stringify(value.refined),
  };
}

/**
 * A page's entries. With `isNew` the Item has no rows yet, and none is looked up. `alone`, no other page is applied with it,
 * a page of nothing but unchanged rows has no entries: a `same` says only what another page may not take back. Read again under
 * the Item's lock, or see that each `same` still holds (`hasStaleEntry`), before they are applied.
 */
export async function entriesOf(
  sql: Sql | Tx,
  page: MinedPage,
  owner: RecordOwner,
  { isNew, alone }: { isNew: boolean; alone: boolean },
): Promise<PageEntries> {
  const rows = page.transactions.map(digested);
  const changed = isNew || rows.length === 0 ? null : await changedIds(sql, owner.item_id, rows);
  const unchanged = changed === null ? 0 : rows.length - changed.size;
  if (alone && page.removed.length === 0 && unchanged === rows.length) {
    return { text: '[]', raws: '', refineds: '', count: 0, changes: 0 };
  }
  const lines = rows.map((row): Line => {
    const { transaction_id: id } = row.transaction.raw;
    return changed !== null && !changed.has(id)
      ? { entry: JSON.stringify({ kind: 'same', id, hash: row.hash } satisfies Entry), raw: '', refined: '' }
      : rowLine(row);
  });
  for (const row of page.removed) {
    const entry: Entry = {
      kind: 'removed',
      id: row.transaction_id,
      account_id: row.account_id ?? null,
    };
    const { value } = cleaned({ entry, refined: tombstone(row, owner) });
    lines.push({ entry: JSON.stringify(value.entry), raw: '', refined: JSON.stringify(value.refined) });
  }
  return {
    text: `[${lines.map(({ entry }) => entry).join(',')}]`,
    raws: lines.map(({ raw }) => raw).join('\n'),
    refineds: lines.map(({ refined }) => refined).join('\n'),
    count: lines.length,
    changes: lines.length - unchanged,
  };
}

/** Whether a staged page of the update calls a row unchanged that is not so any more. */
export async function hasStaleEntry(tx: Tx, itemId: string, updateId: string): Promise<boolean> {
  const stale = await tx`
    SELECT FROM staged_pages s, jsonb_array_elements(s.rows) AS e(entry)
    WHERE s.item_id = ${itemId} AND s.update_id = ${updateId} AND e.entry ->> 'kind' = 'same'
      AND NOT EXISTS (
        SELECT FROM transactions t
        WHERE t.item_id = ${itemId} AND t.transaction_id = e.entry ->> 'id'
          AND t.raw_hash = e.entry ->> 'hash' AND t.status <> 'removed')
    LIMIT 1`;
  return stale.length > 0;
}
