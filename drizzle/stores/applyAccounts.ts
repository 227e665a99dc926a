import { isDeepStrictEqual } from 'node:util';
import type { AccountVersion } from '../../domain/mining/accountVersions.js';
import { closed, firstVersion, nextVersion } from '../../domain/mining/accountVersions.js';
import {
  defaultMainAccount,
  goneOf,
  hasComeBack,
  identityOf,
  isSameAccount,
  lackedBy,
  placesTaken,
} from '../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { RecordOwner } from '../../domain/mining/refine.js';
import { refineAccount } from '../../domain/mining/refine.js';
import { cleaned } from '../jsonText.js';
import { firstOf } from '../rows.js';
import type { Fragment, Tx } from '../rows.js';
import { accounts } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { extendConnections } from './connectionWrites.js';
import { identitiesOf, writeIdentities } from './knownAccounts.js';
import { numbersMoved } from './numbersDue.js';

/** What is kept of an account, under the names of `AccountVersion`. */
export const accountRow = selection(accounts, [
  'account_id',
  'status',
  'is_main',
  'raw',
  'version',
  'sanitized',
  'as_of',
  'replaces',
  'replaced_by',
]);
export type AccountRow = Selected<typeof accountRow>;

export const versionOf = ({
  account_id,
  status,
  is_main,
  raw,
  version,
  sanitized,
  as_of,
  replaces,
  replaced_by,
}: AccountRow): AccountVersion => ({
  ...{ account_id, status, is_main, raw, version, sanitized, replaces, replaced_by },
  as_of: as_of.toISOString(),
});

const compared = selection(accounts, ['listed_since'], { revoked: isSet('revoked_at') });

/** Whether a connection waits for accounts that the Item has not listed so far. */
const awaitsSome = (tx: Tx, itemId: string): Fragment => tx`EXISTS (SELECT FROM connections c
  WHERE c.item_id = ${itemId} AND c.awaited IS NOT NULL AND c.revoked_at IS NULL)`;

export interface AccountsNow {
  owner: RecordOwner;
  mainAccountId: string | null;
  /** The open accounts. */
  open: readonly PlaidAccount[];
  /**
   * How many open accounts may not stand there, because their entries cannot be read (`ListedAccounts`). With none, every other account
   * of the Item is closed.
   */
  unreadable: number;
  /** Plaid has refused the list: what it does not name may be there. */
  isRefused?: boolean;
  /** Of the Item's accounts no list has named all so far. */
  isUnlisted: boolean;
  /** When they were fetched, ISO 8601. */
  asOf: string;
  /** Number of the newest outbox row. */
  sequence: number;
}

export interface AppliedAccounts {
  /** How many have changed. */
  changes: number;
  mainAccountId: string | null;
  /** There may be numbers to be read of an account that has none yet, or other ones. */
  numbersDue: boolean;
  /** Whether an account has come since the first lists that takes nobody's place. */
  grown: boolean;
  /** Whether an account of the Item has taken another one's place, now or before. */
  succeeded: boolean;
  /** Accounts that an application may read since now, which were there before perhaps: their rows are to be enqueued for it. */
  shown: string[];
  /** Whether an account is listed again whose place had been taken: the rows that went to its successor are to be read again. */
  returned: boolean;
  /** As before, for the next update. */
  isUnlisted: boolean;
}

/** As jsonb gives it back: a balance of -0 is stored as 0, and would differ for ever from what is fetched. */
const asStored = (raw: PlaidAccount): PlaidAccount => JSON.parse(JSON.stringify(raw)) as PlaidAccount;

const verificationOf = (raw: PlaidAccount): unknown => raw['verification_status'] ?? null;

/** All that have taken the account's place, each that of the one before, up to the first that nobody has followed. */
function heirsOf(id: string, nextOf: (id: string) => string | null): string[] {
  const line = new Set<string>();
  for (let next = nextOf(id); next !== null && !line.has(next); next = nextOf(next)) line.add(next);
  return [...line];
}

/** Brings the Item's accounts to what Plaid lists: few rows, so they are compared here. */
export async function applyAccounts(tx: Tx, now: AccountsNow): Promise<AppliedAccounts> {
  const { owner, asOf } = now;
  const rows = await tx<(AccountRow & Selected<typeof compared> & { awaited: boolean })[]>`
    SELECT ${accountRow.list(tx)}, ${compared.list(tx)}, ${awaitsSome(tx, owner.item_id)} AS awaited FROM accounts
    WHERE item_id = ${owner.item_id} ORDER BY account_id`;
  const stored = new Map(rows.map((row) => [row.account_id, versionOf(row)]));
  const listed = new Map(now.open.map((raw) => [raw.account_id, cleaned(asStored(raw))]));
  const unlisted = [...stored.values()].filter(({ account_id }) => !listed.has(account_id));
  const isWhole = now.unreadable === 0;
  const first = stored.size === 0 || now.isUnlisted;
  const namesAll = isWhole && now.isRefused !== true;
  const lacking = unlisted.filter(({ status }) => status === 'open');
  const before =
    [...stored.values()]
      .map(({ as_of }) => as_of)
      .sort()
      .at(-1) ?? asOf;
  const goneAccounts = goneOf(lacking, now.unreadable, { asOf, before });
  const goneNow = new Set(goneAccounts.map(({ account_id }) => account_id));
  const doubted = lacking.filter(({ account_id }) => !goneNow.has(account_id));
  const sinceOf = new Map(rows.map((row) => [row.account_id, row.listed_since?.getTime() ?? 0]));
  // Beside an entry that nobody can read nobody can tell who is gone: the next answer shows it.
  const gone = unlisted.filter(
    ({ account_id, replaced_by }) => replaced_by === null && (isWhole || goneNow.has(account_id)),
  );
  const placeFrom = ({ replaces }: AccountVersion): number | null =>
    replaces === null ? null : Date.parse(stored.get(replaces)?.as_of ?? asOf);
  const pastOf = (version: AccountVersion) => ({
    raw: version.raw,
    wentNow: version.status === 'open',
    lastListedAt: Date.parse(version.as_of),
    listedSince: sinceOf.get(version.account_id) ?? 0,
    placeFrom: placeFrom(version),
  });
  const absent = unlisted.map(pastOf);
  const unfollowed = [...stored.values()].filter(({ replaced_by }) => replaced_by === null).map(pastOf);
  const returned = [...listed.keys()].filter((id) => {
    const before = stored.get(id);
    if (before === undefined) return false;
    if (before.status === 'open') return hasComeBack(pastOf(before), absent, unfollowed);
    return before.replaced_by !== null;
  });
  // One that was closed, and in whose place nobody stood, comes back as itself.
  const isItself = (version: AccountVersion | undefined): version is AccountVersion =>
    version !== undefined && !returned.includes(version.account_id);
  const successors = placesTaken(
    gone.map(pastOf),
    [...listed.values()].map(({ value: raw }) => {
      const before = stored.get(raw.account_id);
      return {
        raw,
        listedSince: isItself(before) ? (sinceOf.get(raw.account_id) ?? 0) : Infinity,
        // One that comes back may take its own place, whomever it had followed.
        placeFrom: before === undefined || before.replaced_by !== null ? null : placeFrom(before),
      };
    }),
    unlisted.filter(({ replaced_by }) => replaced_by !== null).map(pastOf),
    [...listed.keys()]
      .map((id) => stored.get(id))
      .filter(isItself)
      .map(pastOf),
  );
  // Whose place was taken by one that is gone, too, is followed by all that came after that one.
  const nextOf = (id: string): string | null =>
    listed.has(id) ? null : (successors.get(id) ?? stored.get(id)?.replaced_by ?? null);
  const heirs = new Map([...successors.keys()].map((id) => [id, heirsOf(id, nextOf)]));
  const predecessors = new Map([...successors].map(([old, next]) => [next, old]));
  const wasNeverListed =
    now.mainAccountId !== null && !stored.has(now.mainAccountId) && !listed.has(now.mainAccountId);
  // The one that the Item was linked with was gone before its first list, which nobody takes its place by: two lists lack it.
  const isNowhere = wasNeverListed && namesAll && stored.size > 0;
  const mainAccountId = isNowhere
    ? defaultMainAccount(now.open)
    : (heirs.get(now.mainAccountId ?? '')?.at(-1) ?? now.mainAccountId);
  // One whose predecessor is listed again has nobody's place.
  const placeOf = ({ replaces }: AccountVersion): string | null =>
    replaces !== null && listed.has(replaces) ? null : replaces;
  const changes: AccountVersion[] = [];
  let numbersDue = false;
  for (const { value: raw, sanitized } of listed.values()) {
    const before = stored.get(raw.account_id);
    const is_main = raw.account_id === mainAccountId;
    if (before === undefined) {
      const replaces = predecessors.get(raw.account_id) ?? null;
      changes.push({ ...firstVersion({ raw, sanitized, as_of: asOf }, is_main), replaces });
      // Those of a newborn Item are due anyway, unless they were asked for before anybody knew which account is being verified.
      numbersDue ||= stored.size > 0 || verificationOf(raw) !== null;
      continue;
    }
    numbersDue ||= before.status === 'closed' || verificationOf(before.raw) !== verificationOf(raw);
    const replaces = predecessors.get(raw.account_id) ?? placeOf(before);
    const change = { status: 'open' as const, is_main, raw, sanitized, replaces, replaced_by: null };
    if (!isSame(before, change)) changes.push(nextVersion(before, { ...change, as_of: asOf }));
  }
  for (const before of unlisted) {
    const change = {
      ...(goneNow.has(before.account_id) ? closed : {}),
      is_main: before.account_id === mainAccountId,
      replaces: predecessors.get(before.account_id) ?? placeOf(before),
      replaced_by: successors.get(before.account_id) ?? before.replaced_by,
    };
    if (!isSame(before, change)) changes.push(nextVersion(before, change));
  }
  const isUnlisted = first && !namesAll;
  const linkedWith = first ? await identitiesOf(tx, owner.item_id) : [];
  if (changes.length > 0) await writeAccounts(tx, owner, now.sequence, changes);
  if (changes.length > 0 || now.isUnlisted) {
    const identities = [...now.open, ...doubted.map(({ raw }) => raw)].map((raw) => identityOf(raw));
    // What the Item was linked with is there until a list lacks it that names all.
    const others = isUnlisted ? lackedBy(identities, linkedWith) : [];
    await writeIdentities(tx, owner.item_id, [...identities, ...others]);
  }
  const come = changes
    .filter(({ version, replaces }) => version === 1 && replaces === null)
    .map(({ account_id }) => account_id);
  const follows =
    come.length > 0 || successors.size > 0 || now.isUnlisted || rows.some(({ awaited }) => awaited);
  const shown = follows
    ? await extendConnections(tx, owner.item_id, {
        come,
        mayBe: mayBe(
          changes.filter(({ account_id }) => come.includes(account_id)),
          unlisted.filter(
            ({ account_id, replaced_by }) => replaced_by === null && !successors.has(account_id),
          ),
        ),
        heirs,
        first,
        isWhole: namesAll,
      })
    : [];
  const unchanged = shown.flatMap((id) => {
    const version = changes.some(({ account_id }) => account_id === id) ? undefined : stored.get(id);
    return version?.status === 'open' ? [version] : [];
  });
  if (unchanged.length > 0) await writeAccounts(tx, owner, now.sequence + changes.length, unchanged);
  await keepListed(tx, owner.item_id, [...listed.keys()], { asOf, returned });
  // That answers lacked the numbers of one that is gone proves nothing of the others.
  if (goneNow.size > 0) await tx`UPDATE items SET ${numbersMoved(tx)} WHERE item_id = ${owner.item_id}`;
  if (doubted.length > 0 && Number.isFinite(now.unreadable)) {
    numbersDue = (await doubtNumbers(tx, owner.item_id, asOf, doubted)) || numbersDue;
  }
  if (rows.some(({ revoked }) => revoked)) {
    numbersDue = (await endRevocations(tx, now, [...listed.keys()])) || numbersDue;
  }
  if (stored.size === 0) {
    const raws = [...listed.values()].map(({ value }) => value);
    numbersDue = (await areOfOthers(tx, owner.item_id, raws)) || numbersDue;
  }
  const succeeded = successors.size > 0 || rows.some(({ replaces }) => replaces !== null);
  // What the first lists name is what the Item was linked with, unless that is known and was less.
  const more = !first || (linkedWith.length > 0 && listed.size > linkedWith.length);
  const grown = more && come.length > 0;
  const enqueued = changes.length + unchanged.length;
  return {
    ...{ changes: enqueued, mainAccountId, numbersDue, grown, succeeded, shown, isUnlisted },
    returned: returned.length > 0,
  };
}

/** Which of those that are listed no more, and whose place nobody has taken, each new account may be: those that are called the same. */
const mayBe = (come: readonly AccountVersion[], lost: readonly AccountVersion[]): Map<string, string[]> =>
  new Map(
    come.map(({ account_id, raw }) => [
      account_id,
      lost.filter((old) => isSameAccount(identityOf(old.raw), identityOf(raw))).map((old) => old.account_id),
    ]),
  );

/** Whether the numbers that were read before the first update, some or none, are those of other accounts than it has brought. */
async function areOfOthers(tx: Tx, itemId: string, listed: readonly PlaidAccount[]): Promise<boolean> {
  const ids = listed.map(({ account_id }) => account_id);
  // Only these have numbers.
  const owing = listed.filter(({ type }) => type === 'depository').map(({ account_id }) => account_id);
  const read = firstOf(
    await tx<{ due: boolean }[]>`
    SELECT coalesce(bool_or(account_id <> ALL(${ids}::text[])), false)
      OR NOT coalesce(array_agg(account_id), '{}') @> ${owing}::text[] AS due
    FROM account_numbers WHERE item_id = ${itemId}`,
  );
  return read?.due === true;
}

/** Whether a version would say nothing new. A newer fetch of the same content is no change, nor is how its text was cleaned. */
function isSame(before: AccountVersion, change: Partial<AccountVersion>): boolean {
  const kept = { ...before, ...change, sanitized: before.sanitized };
  return isDeepStrictEqual(kept, before);
}

/**
 * An account is revoked no more when an answer lists it that was asked for after the revocation; the numbers of one that such an
 * answer lacks are erased, unless a part of the answer could not be read. Resolves to whether one is shared again.
 */
async function endRevocations(
  tx: Tx,
  { owner: { item_id: itemId }, asOf, unreadable }: AccountsNow,
  listed: readonly string[],
): Promise<boolean> {
  if (unreadable === 0)
    await tx`
    DELETE FROM account_numbers n USING accounts a
    WHERE a.item_id = ${itemId} AND a.revoked_at <= ${asOf} AND a.account_id <> ALL(${[...listed]}::text[])
      AND n.item_id = a.item_id AND n.account_id = a.account_id`;
  const shared = await tx`
    UPDATE accounts SET revoked_at = NULL
    WHERE item_id = ${itemId} AND revoked_at <= ${asOf} AND account_id = ANY(${[...listed]}::text[]) RETURNING 1`;
  return shared.length > 0;
}

/**
 * Withholds the numbers of accounts that may be closed, unless they were read after Plaid listed these last: the next reading tells
 * which are still good. Resolves to whether there are such.
 */
async function doubtNumbers(
  tx: Tx,
  itemId: string,
  asOf: string,
  doubted: readonly AccountVersion[],
): Promise<boolean> {
  const withheld = await tx`
    UPDATE account_numbers n SET doubted_at = ${asOf}::text::timestamptz FROM accounts a
    WHERE n.item_id = ${itemId} AND n.account_id = ANY(${doubted.map(({ account_id }) => account_id)}::text[])
      AND a.item_id = n.item_id AND a.account_id = n.account_id AND n.as_of <= a.as_of AND n.doubted_at IS NULL
    RETURNING 1`;
  return withheld.length > 0;
}

/**
 * Keeps of the accounts that Plaid lists when it did so, and their balances as those of that day (UTC), changed or not: the last of a day
 * stay. One that comes back, and in whose place nobody stood, is no newer than others that it was listed with before.
 */
async function keepListed(
  tx: Tx,
  itemId: string,
  accountIds: readonly string[],
  { asOf, returned }: { asOf: string; returned: readonly string[] },
): Promise<void> {
  await tx`
    WITH listed AS (
      UPDATE accounts SET as_of = ${asOf},
        listed_since = CASE WHEN account_id = ANY(${[...returned]}::text[]) THEN ${asOf} ELSE listed_since END,
        -- What the answer says of the verification is newer than what a webhook said before.
        verification = CASE WHEN verification_at <= ${asOf} AND raw->>'verification_status' <> '' THEN NULL ELSE verification END
      WHERE item_id = ${itemId} AND account_id = ANY(${accountIds}::text[])
      RETURNING item_id, account_id, as_of, refined->'balances' AS balances
    )
    INSERT INTO balance_snapshots AS b (item_id, account_id, day, available, current, "limit", currency, as_of)
    SELECT item_id, account_id, (as_of AT TIME ZONE 'UTC')::date, (balances->>'available')::numeric,
      (balances->>'current')::numeric, (balances->>'limit')::numeric, balances->>'currency', as_of
    FROM listed
    ON CONFLICT (item_id, account_id, day) DO UPDATE SET
      available = excluded.available, current = excluded.current, "limit" = excluded."limit",
      currency = excluded.currency, as_of = excluded.as_of
    WHERE b.as_of <= excluded.as_of`;
}

/**
 * Upserts versions of accounts and numbers their outbox rows after `sequence`, in the order given. A closed account leaves the
 * live set of the streams: its event is a removal.
 */
export async function writeAccounts(
  tx: Tx,
  owner: RecordOwner,
  sequence: number,
  versions: readonly AccountVersion[],
): Promise<void> {
  const changes = versions.map((version) => ({
    ...version,
    refined: refineAccount(version.raw, { ...owner, ...version }),
  }));
  await tx`
    WITH changed AS (
      SELECT e.ord, c.* FROM jsonb_array_elements(${JSON.stringify(changes)}::text::jsonb) WITH ORDINALITY AS e(value, ord),
        jsonb_to_record(e.value) AS c(account_id text, status text, is_main boolean, raw jsonb, refined jsonb,
          version int, sanitized boolean, as_of timestamptz, replaces text, replaced_by text)
    ),
    upserted AS (
      INSERT INTO accounts AS a
        (item_id, account_id, status, is_main, raw, refined, as_of, version, sanitized, replaces, replaced_by, listed_since)
      SELECT ${owner.item_id}, account_id, status, is_main, raw, refined, as_of, version, sanitized, replaces, replaced_by, as_of
      FROM changed
      ON CONFLICT (item_id, account_id) DO UPDATE SET
        status = excluded.status, is_main = excluded.is_main, raw = excluded.raw, refined = excluded.refined,
        as_of = excluded.as_of, version = excluded.version, sanitized = excluded.sanitized,
        replaces = excluded.replaces, replaced_by = excluded.replaced_by, updated_at = clock_timestamp()
    )
    INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
    SELECT ${owner.item_id}, ${sequence}::bigint + ord, 'account', status = 'closed', account_id, version,
      CASE WHEN status = 'closed' THEN jsonb_build_object('account_id', account_id) ELSE raw END,
      refined || jsonb_build_object('version', version), clock_timestamp()
    FROM changed`;
}
