import type { ConsentEvidence, Grant, GrantLimit, NarrowedConnection } from './connection.js';

const later = (time: string | null): number => (time === null ? Infinity : Date.parse(time));

const sameEvidence = (one: ConsentEvidence | null, other: ConsentEvidence | null): boolean =>
  one?.disclosure_id === other?.disclosure_id &&
  one?.sha256 === other?.sha256 &&
  one?.at === other?.at &&
  (one === null) === (other === null);

/**
 * By which of its fields `after` grants more than `before`, whose `granted` are the accounts that may be read now (null = every
 * one, later ones too). What the user was shown and agreed to counts as well: an application does not write that anew.
 */
export function widenedBy(before: Grant, granted: readonly string[] | null, after: Grant): (keyof Grant)[] {
  const widened: Record<keyof Grant, boolean> = {
    scopes: after.scopes.some((scope) => !before.scopes.includes(scope)),
    account_ids:
      after.account_ids === null
        ? before.account_ids !== null
        : granted !== null && after.account_ids.some((accountId) => !granted.includes(accountId)),
    new_accounts: after.new_accounts && !before.new_accounts,
    lookback_days: (after.lookback_days ?? Infinity) > (before.lookback_days ?? Infinity),
    expires_at: later(after.expires_at) > later(before.expires_at),
    purpose: after.purpose !== before.purpose,
    evidence: !sameEvidence(after.evidence, before.evidence),
  };
  return (Object.keys(widened) as (keyof Grant)[]).filter((field) => widened[field]);
}

/** Whether an account is one of these, or has taken the place of one of them; `heirs`: who has taken an account's place. */
function isOneOf(id: string, ids: readonly string[], heirs: ReadonlyMap<string, string | null>): boolean {
  const next = ids.flatMap((one) => heirs.get(one) ?? []);
  return ids.includes(id) || (next.length > 0 && isOneOf(id, next, heirs));
}

/**
 * What both grant, a grant and a limit. `granted_accounts` may be read now (null = every one), and some are awaited perhaps; `heirs` are
 * the Item's accounts, each with the one that has taken its place. Where all are granted, or the first ones to come, those that the limit
 * names may still be to come. Where one that was taken away is to come, later ones are not granted.
 */
export function cutTo(
  grant: Grant,
  { granted_accounts: granted, awaits }: { granted_accounts: readonly string[] | null; awaits: boolean },
  limit: GrantLimit & Pick<NarrowedConnection, 'withheld_accounts'>,
  heirs: ReadonlyMap<string, string | null>,
): Grant {
  const { account_ids, withheld_accounts: withheld, expires_at } = limit;
  const isWhole = granted === null || (grant.account_ids === null && awaits);
  const may = (id: string): boolean =>
    limit.new_accounts ? !isOneOf(id, withheld, heirs) : isOneOf(id, account_ids ?? [], heirs);
  const new_accounts = grant.new_accounts && limit.new_accounts && withheld.every((id) => heirs.has(id));
  const all = isWhole ? [...new Set([...(account_ids ?? []), ...heirs.keys()])] : granted;
  // A list that lets nothing else be read stays as it was written.
  const isLess = isWhole || awaits || new_accounts !== grant.new_accounts || !all.every(may);
  const days = Math.min(grant.lookback_days ?? Infinity, limit.lookback_days ?? Infinity);
  return {
    ...grant,
    scopes: grant.scopes.filter((scope) => limit.scopes.includes(scope)),
    account_ids: account_ids !== null && isLess ? all.filter(may) : grant.account_ids,
    new_accounts,
    lookback_days: days === Infinity ? null : days,
    expires_at: later(expires_at) < later(grant.expires_at) ? expires_at : grant.expires_at,
  };
}

/** Whether two grants end at the same time, however it is written. */
export const sameEnd = (one: Grant, other: Grant): boolean =>
  later(one.expires_at) === later(other.expires_at);

/** Whether two grants say the same, their ends apart. */
export function sameButEnd(one: Grant, other: Grant): boolean {
  const text = ({ scopes, account_ids, new_accounts, lookback_days, purpose }: Grant): string =>
    JSON.stringify([
      [...scopes].sort(),
      account_ids && [...account_ids].sort(),
      new_accounts,
      lookback_days,
      purpose,
    ]);
  return text(one) === text(other) && sameEvidence(one.evidence, other.evidence);
}

/** What `wanted` grants of the accounts that `before` does, and no others; `granted_accounts`: see `widenedBy`. */
export function withinAccounts(
  before: Pick<Grant, 'account_ids' | 'new_accounts'> & { granted_accounts: readonly string[] | null },
  wanted: Grant,
): Grant {
  const { granted_accounts: granted } = before;
  const new_accounts = wanted.new_accounts && before.new_accounts;
  // Those that had come by themselves stay, also where later ones are not wanted any more.
  const all = new_accounts === before.new_accounts ? before.account_ids : granted;
  const some = wanted.account_ids?.filter((id) => granted === null || granted.includes(id));
  return { ...wanted, account_ids: some ?? (all && [...all]), new_accounts };
}
