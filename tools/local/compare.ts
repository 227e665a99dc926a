/**
 * The oracle of the local stack: what the simulator says is true against what PostgreSQL holds and what the streams carried. It is
 * written from the contract and shares no code with the program, so that one misreading cannot hide in both.
 */

type Json = Readonly<Record<string, unknown>>;

/** `GET /_sim/items/{id}/truth`, the fields that are compared. */
export interface Truth {
  readonly item_id: string;
  /** Plaid's objects; `closed` is the simulator's. */
  readonly accounts: readonly (Json & { readonly account_id: string; readonly closed?: boolean })[];
  /** Live ones, as `/transactions/sync` sends them. */
  readonly transactions: readonly (Json & { readonly transaction_id: string })[];
  readonly removed: readonly string[];
  /** Live rows of closed accounts: nobody hears of them any more, whatever is kept of them is right. */
  readonly closed_account_transactions: readonly string[];
  /** Removed ones: whether anybody heard of it before the account closed is open, so removed or not is right. */
  readonly closed_account_removed: readonly string[];
  /** Sent otherwise than they are true, on purpose: whatever is kept of them, or not, is right. */
  readonly distorted_accounts?: readonly string[];
  readonly distorted_transactions?: readonly string[];
  readonly webhooks_due: number;
}

/** A row of PostgreSQL. */
export interface StoredRecord {
  readonly id: string;
  /** Plaid's object as it was received. */
  readonly raw: Json;
  readonly refined: Json;
  /** false: a removed transaction, a closed account */
  readonly live: boolean;
}

/** An event of a stream, as far as it is compared. */
export interface StreamEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence: number;
  readonly data: Json;
}

export const STREAMS = [
  'raw-transactions',
  'raw-accounts',
  'refined-transactions',
  'refined-accounts',
] as const;
export type StreamName = (typeof STREAMS)[number];

export interface Observed {
  readonly transactions: readonly StoredRecord[];
  readonly accounts: readonly StoredRecord[];
  /** This item's events in the order in which the shard gives them, repeats included. */
  readonly events: Readonly<Record<StreamName, readonly StreamEvent[]>>;
}

export interface Difference {
  readonly store: 'postgres' | StreamName | 'raw streams' | 'refined streams';
  readonly problem: string;
  /** The transaction, account or event; empty when it is not about a single one. */
  readonly id: string;
}

/** Every difference between one item and its truth; empty when they are equal. */
export function compareItem(truth: Truth, observed: Observed): Difference[] {
  const expectation = expect(truth);
  return [
    ...comparePostgres(expectation, observed),
    ...STREAMS.flatMap((name) => compareStream(name, expectation, observed.events[name])),
    ...compareSequences('raw', observed),
    ...compareSequences('refined', observed),
  ];
}

/** The same for what a client holds that follows the change feed: refined records by id. */
export function compareCopy(
  truth: Truth,
  transactions: ReadonlyMap<string, Json>,
  accounts: ReadonlyMap<string, Json>,
): Pick<Difference, 'problem' | 'id'>[] {
  const { transactions: rows, openAccounts } = expect(truth);
  return [
    ...compareRecords('transaction', rows, transactions, explainRefinedTransaction),
    ...compareRecords('account', openAccounts, accounts, explainRefinedAccount),
  ];
}

interface Expectation {
  readonly transactions: ReadonlyMap<string, Json>;
  readonly openAccounts: ReadonlyMap<string, Json>;
  readonly closedAccounts: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
  /** rows of closed accounts, live or removed, and distorted ones: left out on both sides */
  readonly apart: ReadonlySet<string>;
  /** distorted accounts: left out on both sides */
  readonly accountsApart: ReadonlySet<string>;
}

function expect(truth: Truth): Expectation {
  const accountsApart = new Set(truth.distorted_accounts);
  const apart = new Set([
    ...truth.closed_account_transactions,
    ...truth.closed_account_removed,
    ...(truth.distorted_transactions ?? []),
  ]);
  const open = truth.accounts.filter(
    ({ account_id, closed }) => closed !== true && !accountsApart.has(account_id),
  );
  return {
    transactions: new Map(
      truth.transactions
        .filter(({ transaction_id }) => !apart.has(transaction_id))
        .map((row) => [row.transaction_id, row]),
    ),
    openAccounts: new Map(open.map((row) => [row.account_id, withoutClosed(row)])),
    closedAccounts: new Set(
      truth.accounts.filter(({ closed }) => closed === true).map((row) => row.account_id),
    ),
    removed: new Set(truth.removed),
    apart,
    accountsApart,
  };
}

function withoutClosed(account: Json): Json {
  return Object.fromEntries(Object.entries(account).filter(([name]) => name !== 'closed'));
}

function comparePostgres(expectation: Expectation, observed: Observed): Difference[] {
  const kept = observed.transactions.filter(({ id }) => !expectation.apart.has(id));
  const live = new Map(kept.filter((row) => row.live).map((row) => [row.id, row]));
  const removed = new Set(kept.filter((row) => !row.live).map(({ id }) => id));
  const open = new Map(
    observed.accounts
      .filter((row) => row.live && !expectation.accountsApart.has(row.id))
      .map((row) => [row.id, row]),
  );
  const both =
    (explainRefined: Explain) =>
    (expected: Json, row: StoredRecord): string | undefined =>
      explainRaw(expected, row.raw) ?? explainRefined(expected, row.refined);
  const differences = [
    ...compareRecords('transaction', expectation.transactions, live, both(explainRefinedTransaction)),
    ...compareRecords('account', expectation.openAccounts, open, both(explainRefinedAccount)),
    ...[...expectation.removed]
      .filter((id) => !expectation.apart.has(id) && !removed.has(id) && !live.has(id))
      .map((id) => ({ id, problem: 'removed transaction is live here' })),
    ...[...removed]
      .filter((id) => !expectation.removed.has(id) && !expectation.transactions.has(id))
      .map((id) => ({ id, problem: 'transaction is removed here, in truth it never was' })),
  ];
  return differences.map((difference) => ({ store: 'postgres', ...difference }));
}

function compareStream(
  store: StreamName,
  expectation: Expectation,
  events: readonly StreamEvent[],
): Difference[] {
  const [form, records] = store.split('-') as ['raw' | 'refined', 'transactions' | 'accounts'];
  const differences: Omit<Difference, 'store'>[] = [];
  const seen = new Set<string>();
  const last = new Map<string, StreamEvent>();
  let highest = 0;
  for (const event of events) {
    if (seen.has(event.id)) continue; // delivery is at least once: repeats are allowed
    seen.add(event.id);
    if (event.sequence <= highest) {
      differences.push({ id: event.id, problem: `sequence ${event.sequence} comes after ${highest}` });
    }
    highest = Math.max(highest, event.sequence);
    last.set(event.subject, event);
  }
  const live = new Map<string, Json>();
  const apart = records === 'transactions' ? expectation.apart : expectation.accountsApart;
  for (const [subject, event] of last) {
    if (!event.type.includes('.removed.') && !apart.has(subject)) live.set(subject, event.data);
  }
  if (records === 'transactions') {
    const explain = form === 'raw' ? explainRaw : explainRefinedTransaction;
    differences.push(...compareRecords('transaction', expectation.transactions, live, explain));
  } else {
    const explain = form === 'raw' ? explainRaw : explainRefinedAccount;
    differences.push(...compareRecords('account', expectation.openAccounts, live, explain));
  }
  return differences.map((difference) => ({ store, ...difference }));
}

/** Numbered per item over transactions and accounts together, from 1. */
function compareSequences(form: 'raw' | 'refined', observed: Observed): Difference[] {
  const owners = new Map<number, string>();
  const differences: Difference[] = [];
  const store = `${form} streams` as const;
  for (const records of ['transactions', 'accounts'] as const) {
    for (const { id, sequence } of observed.events[`${form}-${records}`]) {
      const owner = owners.get(sequence) ?? id;
      owners.set(sequence, owner);
      if (owner !== id)
        differences.push({ store, id, problem: `sequence ${sequence} belongs to ${owner} already` });
    }
  }
  const highest = Math.max(0, ...owners.keys());
  for (let sequence = 1; sequence <= highest; sequence += 1) {
    if (!owners.has(sequence))
      differences.push({ store, id: '', problem: `sequence ${sequence} of ${highest} is missing` });
  }
  return differences;
}

type Explain<Found = Json> = (truth: Json, found: Found) => string | undefined;

function compareRecords<Found>(
  kind: string,
  truth: ReadonlyMap<string, Json>,
  found: ReadonlyMap<string, Found>,
  explain: Explain<Found>,
): Omit<Difference, 'store'>[] {
  const differences: Omit<Difference, 'store'>[] = [];
  for (const [id, expected] of truth) {
    const actual = found.get(id);
    const stale = actual && explain(expected, actual);
    if (actual === undefined) differences.push({ id, problem: `${kind} is missing` });
    else if (stale) differences.push({ id, problem: `${kind} differs: ${stale}` });
  }
  for (const id of found.keys()) {
    if (!truth.has(id)) differences.push({ id, problem: `${kind} is there, in truth it is not` });
  }
  return differences;
}

/** Names the fields in which two JSON objects differ; the order of fields means nothing. */
function explainRaw(truth: Json, found: Json): string | undefined {
  const fields = new Set([...Object.keys(truth), ...Object.keys(found)]);
  const different = [...fields].filter((field) => canonical(truth[field]) !== canonical(found[field]));
  return describeFields(different, truth, found);
}

/** What the contract makes of Plaid's transaction, field by field. */
function explainRefinedTransaction(truth: Json, found: Json): string | undefined {
  const amount = Number(truth['amount']);
  const category = truth['personal_finance_category'] as Json | null;
  return explainSome(found, {
    id: truth['transaction_id'],
    account_id: truth['account_id'],
    status: truth['pending'] ? 'pending' : 'posted',
    direction: amount >= 0 ? 'outflow' : 'inflow',
    amount: plainDecimal(Math.abs(amount)),
    currency: truth['iso_currency_code'] ?? truth['unofficial_currency_code'],
    date: truth['date'],
    authorized_date: truth['authorized_date'],
    description: truth['original_description'] ?? truth['name'],
    'merchant.name': truth['merchant_name'],
    'category.detailed': category?.['detailed'],
    channel: truth['payment_channel'],
    replaces: truth['pending_transaction_id'],
  });
}

function explainRefinedAccount(truth: Json, found: Json): string | undefined {
  const balances = truth['balances'] as Json;
  const money = (value: unknown) => (typeof value === 'number' ? plainDecimal(value) : null);
  return explainSome(found, {
    id: truth['account_id'],
    name: truth['name'],
    official_name: truth['official_name'],
    mask: truth['mask'],
    type: truth['type'],
    subtype: truth['subtype'],
    status: 'open',
    'balances.available': money(balances['available']),
    'balances.current': money(balances['current']),
    'balances.limit': money(balances['limit']),
    'balances.currency': balances['iso_currency_code'] ?? balances['unofficial_currency_code'],
    persistent_id: truth['persistent_account_id'],
  });
}

function explainSome(found: Json, expected: Json): string | undefined {
  const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, at(found, name)]));
  const different = Object.keys(expected).filter(
    (name) => canonical(expected[name] ?? null) !== canonical(actual[name] ?? null),
  );
  return describeFields(different, expected, actual);
}

function at(value: Json, dotted: string): unknown {
  return dotted.split('.').reduce<unknown>((inner, name) => (inner as Json | null)?.[name], value);
}

function describeFields(fields: readonly string[], truth: Json, found: Json): string | undefined {
  if (fields.length === 0) return undefined;
  const short = (value: unknown) => canonical(value).slice(0, 60);
  return fields
    .slice(0, 3)
    .map((name) => `${name} is ${short(found[name])}, in truth ${short(truth[name])}`)
    .join('; ');
}

/** JSON with sorted keys, so that equal content has equal text. */
function canonical(value: unknown): string {
  if (value === undefined) return 'absent';
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value as Json).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(',')}}`;
  }
  if (typeof value === 'string') return JSON.stringify(value.replace(REFUSED_BY_JSONB, '\uFFFD'));
  return JSON.stringify(value);
}

/** PostgreSQL's jsonb takes neither NUL nor a lone surrogate: they are stored as U+FFFD, which is no difference. */
const REFUSED_BY_JSONB = /\0|\p{Surrogate}/gu;

/** A JSON number without exponent. JavaScript writes one below 1e-6; from 1e21 on no bank has that much. */
function plainDecimal(value: number): string {
  const text = String(value);
  const tiny = /^(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (!tiny) return text;
  const [, whole = '', fraction = '', exponent = '0'] = tiny;
  return `0.${'0'.repeat(Number(exponent) - 1)}${whole}${fraction}`;
}
