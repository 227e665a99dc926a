import { isDeepStrictEqual } from 'node:util';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { RecordOwner } from '../../domain/mining/refine.js';
import { refineAccount } from '../../domain/mining/refine.js';
import { cleaned } from '../jsonText.js';
import type { Tx } from '../rows.js';
import { accounts } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';

/** An account as it is compared with what Plaid gave, and changed. */
export const accountRow = selection(accounts, [
  'account_id',
  'status',
  'is_main',
  'raw',
  'version',
  'sanitized',
  'as_of',
]);
export type AccountRow = Selected<typeof accountRow>;

interface AccountChange extends Omit<AccountRow, 'as_of'> {
  /** When Plaid gave it, ISO 8601. */
  as_of: string;
  refined: unknown;
}

export interface AccountsNow {
  owner: RecordOwner;
  mainAccountId: string | null;
  /** The open accounts. */
  open: readonly PlaidAccount[];
  /** Every open account stands there, so that every other one of the Item is closed; else the others stay as they are. */
  isWhole: boolean;
  /** When they were fetched, ISO 8601. */
  asOf: string;
  /** Number of the newest outbox row. */
  sequence: number;
}

/** As jsonb gives it back: a balance of -0 is stored as 0, and would differ for ever from what is fetched. */
const asStored = (raw: PlaidAccount): PlaidAccount => JSON.parse(JSON.stringify(raw)) as PlaidAccount;

/** Brings the Item's accounts to what Plaid lists: few rows, so they are compared here. Returns how many changed. */
export async function applyAccounts(tx: Tx, now: AccountsNow): Promise<number> {
  const { owner, asOf } = now;
  const rows = await tx<AccountRow[]>`
    SELECT ${accountRow.list(tx)} FROM accounts
    WHERE item_id = ${owner.item_id} ORDER BY account_id`;
  const stored = new Map(rows.map((row) => [row.account_id, row]));
  const open = new Map(now.open.map((raw) => [raw.account_id, cleaned(asStored(raw))]));
  const wanted = [
    ...[...open.values()].map(({ value, sanitized }) => ({
      raw: value,
      sanitized,
      status: 'open' as const,
      as_of: asOf,
    })),
    // What is no longer listed was not fetched either: its balances stay those of the last time.
    ...rows
      .filter((row) => !open.has(row.account_id))
      .map((row) => ({
        ...row,
        status: now.isWhole ? ('closed' as const) : row.status,
        as_of: row.as_of.toISOString(),
      })),
  ];
  const changes: AccountChange[] = [];
  for (const { raw, sanitized, status, as_of } of wanted) {
    const before = stored.get(raw.account_id);
    const is_main = raw.account_id === now.mainAccountId;
    const same =
      before !== undefined &&
      before.status === status &&
      before.is_main === is_main &&
      isDeepStrictEqual(before.raw, raw);
    if (same) continue;
    changes.push({
      account_id: raw.account_id,
      status,
      is_main,
      raw,
      sanitized,
      as_of,
      version: (before?.version ?? 0) + 1,
      refined: refineAccount(raw, { ...owner, status, is_main, as_of }),
    });
  }
  await tx`
    UPDATE accounts SET as_of = ${asOf}
    WHERE item_id = ${owner.item_id} AND account_id = ANY(${[...open.keys()]}::text[])`;
  if (changes.length > 0) {
    await writeAccounts(tx, owner.item_id, now.sequence, changes);
    await writeIdentities(
      tx,
      owner.item_id,
      wanted.filter(({ status }) => status === 'open').map(({ raw }) => identityOf(raw)),
    );
  }
  await keepBalances(tx, owner.item_id, [...open.keys()]);
  return changes.length;
}

/** The accounts' balances as those of the day (UTC) on which they were fetched, changed or not: the last of a day stay. */
async function keepBalances(tx: Tx, itemId: string, accountIds: readonly string[]): Promise<void> {
  await tx`
    INSERT INTO balance_snapshots AS b (item_id, account_id, day, available, current, "limit", currency, as_of)
    SELECT item_id, account_id, (as_of AT TIME ZONE 'UTC')::date, (refined->'balances'->>'available')::numeric,
      (refined->'balances'->>'current')::numeric, (refined->'balances'->>'limit')::numeric,
      refined->'balances'->>'currency', as_of
    FROM accounts WHERE item_id = ${itemId} AND account_id = ANY(${accountIds}::text[])
    ON CONFLICT (item_id, account_id, day) DO UPDATE SET
      available = excluded.available, current = excluded.current, "limit" = excluded."limit",
      currency = excluded.currency, as_of = excluded.as_of
    WHERE b.as_of <= excluded.as_of`;
}

/** Replaces what the duplicate guard knows of the Item's accounts. */
export async function writeIdentities(
  tx: Tx,
  itemId: string,
  identities: readonly AccountIdentity[],
): Promise<void> {
  await tx`DELETE FROM account_identities WHERE item_id = ${itemId}`;
  await tx`
    INSERT INTO account_identities (item_id, position, persistent_account_id, mask, name, type, subtype)
    SELECT ${itemId}, e.ord, c.*
    FROM jsonb_array_elements(${JSON.stringify(cleaned(identities).value)}::text::jsonb)
      WITH ORDINALITY AS e(value, ord),
      jsonb_to_record(e.value) AS c(persistent_account_id text, mask text, name text, type text, subtype text)`;
}

/**
 * Upserts changed accounts and numbers their outbox rows after `sequence`, in the order given. A closed account leaves the
 * live set of the streams: its event is a removal.
 */
export async function writeAccounts(
  tx: Tx,
  itemId: string,
  sequence: number,
  changes: readonly AccountChange[],
): Promise<void> {
  await tx`
    WITH changed AS (
      SELECT e.ord, c.* FROM jsonb_array_elements(${JSON.stringify(changes)}::text::jsonb) WITH ORDINALITY AS e(value, ord),
        jsonb_to_record(e.value) AS c(account_id text, status text, is_main boolean, raw jsonb, refined jsonb,
          version int, sanitized boolean, as_of timestamptz)
    ),
    upserted AS (
      INSERT INTO accounts AS a
        (item_id, account_id, status, is_main, raw, refined, as_of, version, sanitized)
      SELECT ${itemId}, account_id, status, is_main, raw, refined, as_of, version, sanitized FROM changed
      ON CONFLICT (item_id, account_id) DO UPDATE SET
        status = excluded.status, is_main = excluded.is_main, raw = excluded.raw, refined = excluded.refined,
        as_of = excluded.as_of, version = excluded.version, sanitized = excluded.sanitized,
        updated_at = clock_timestamp()
    )
    INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
    SELECT ${itemId}, ${sequence}::bigint + ord, 'account', status = 'closed', account_id, version,
      CASE WHEN status = 'closed' THEN jsonb_build_object('account_id', account_id) ELSE raw END,
      refined || jsonb_build_object('version', version), clock_timestamp()
    FROM changed`;
}
