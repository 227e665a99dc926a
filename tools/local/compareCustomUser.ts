import type { Difference, StoredRecord } from './compare.js';

/** Plaid's custom-user format, the fields that are compared. */
export interface CustomUserFile {
  readonly override_accounts?: readonly {
    readonly type: string;
    readonly subtype?: string | null;
    readonly starting_balance?: number;
    readonly force_available_balance?: number;
    readonly currency?: string;
    readonly meta?: { name?: string; official_name?: string; limit?: number; mask?: string };
    readonly numbers?: Readonly<Record<string, unknown>>;
    readonly transactions?: readonly {
      readonly date_transacted: string;
      readonly date_posted: string;
      readonly amount: number;
      readonly description: string;
      readonly currency?: string;
    }[];
  }[];
}

export interface CustomUserComparison {
  readonly differences: readonly Difference[];
  /** Rows of the file that Plaid does not serve because they are older than two years, one line each. */
  readonly cut: readonly string[];
  /** Rows of the file that were looked for. */
  readonly rows: number;
}

const SERVED_DAYS = 730;

/**
 * What is stored against the file itself, so that the simulator's reading of it is checked too. Accounts by type, subtype and
 * every field that the file gives; transactions, for accounts whose list the file gives, as a multiset: the file knows no ids.
 * @param accountIds ids in the file's order
 * @param createdAt when the item was made, ISO 8601
 */
export function compareCustomUser(
  file: CustomUserFile,
  accountIds: readonly string[],
  createdAt: string,
  stored: { readonly accounts: readonly StoredRecord[]; readonly transactions: readonly StoredRecord[] },
): CustomUserComparison {
  const differences: Difference[] = [];
  const cut: string[] = [];
  let rows = 0;
  const differ = (id: string, problem: string): void => {
    differences.push({ store: 'postgres', id, problem: `${problem} (custom user file)` });
  };
  const oldest = dayBefore(createdAt, SERVED_DAYS);
  const accounts = file.override_accounts ?? [];
  if (accountIds.length !== accounts.length && accounts.length > 0) {
    differ('', `${accountIds.length} accounts, the file has ${accounts.length}`);
  }
  accounts.forEach((wanted, index) => {
    const id = accountIds[index] ?? '';
    const account = stored.accounts.find((row) => row.id === id)?.raw;
    if (!account) return differ(id, `account ${index} is missing`);
    for (const [field, expected] of Object.entries(givenFields(wanted))) {
      const actual = field
        .split('.')
        .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], account);
      if (actual !== expected)
        differ(id, `account ${index}: ${field} is ${String(actual)}, not ${String(expected)}`);
    }
    if (!wanted.transactions) return;

    const expected = new Multiset();
    for (const row of wanted.transactions) {
      const text = describeRow(
        row.date_posted,
        row.date_transacted,
        row.amount,
        row.currency ?? accountCurrency(wanted),
        row.description,
      );
      if (row.date_posted < oldest) cut.push(`account ${index}: ${text}`);
      else expected.add(text);
    }
    rows += expected.size;
    for (const { raw, live } of stored.transactions) {
      if (!live || raw['account_id'] !== id) continue;
      const text = describeRow(
        raw['date'],
        raw['authorized_date'],
        raw['amount'],
        raw['iso_currency_code'],
        raw['original_description'],
      );
      if (!expected.take(text))
        differ(String(raw['transaction_id']), `account ${index}: not in the file: ${text}`);
    }
    for (const text of expected.rest()) differ('', `account ${index}: missing: ${text}`);
  });
  return { differences, cut, rows };
}

type CustomAccount = NonNullable<CustomUserFile['override_accounts']>[number];

function givenFields(wanted: CustomAccount): Record<string, unknown> {
  const fields: Record<string, unknown> = {
    type: wanted.type,
    subtype: wanted.subtype,
    name: wanted.meta?.name,
    official_name: wanted.meta?.official_name,
    mask: wanted.meta?.mask,
    'balances.limit': wanted.meta?.limit,
    'balances.current': wanted.starting_balance,
    'balances.available': wanted.force_available_balance,
    'balances.iso_currency_code': wanted.currency,
  };
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** The account's own, else by the kind of its numbers. */
function accountCurrency(wanted: CustomAccount): string {
  if (wanted.currency) return wanted.currency;
  const numbers = wanted.numbers ?? {};
  if ('bacs_sort_code' in numbers) return 'GBP';
  if ('eft_institution' in numbers || 'eft_branch' in numbers) return 'CAD';
  return 'USD';
}

function describeRow(...fields: unknown[]): string {
  return fields.map(String).join(' | ');
}

function dayBefore(instant: string, days: number): string {
  return new Date(Date.parse(instant.slice(0, 10)) - days * 86_400_000).toISOString().slice(0, 10);
}

class Multiset {
  private readonly counts = new Map<string, number>();
  size = 0;

  add(text: string): void {
    this.counts.set(text, (this.counts.get(text) ?? 0) + 1);
    this.size += 1;
  }

  /** false when there is none left */
  take(text: string): boolean {
    const count = this.counts.get(text) ?? 0;
    if (count === 0) return false;
    this.counts.set(text, count - 1);
    return true;
  }

  rest(): string[] {
    return [...this.counts].flatMap(([text, count]) => Array.from({ length: count }, () => text));
  }
}
