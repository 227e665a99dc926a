import type { System } from './system.js';

/** Lets the bank's reads end up to there, with their webhooks. */
export async function advance(system: System, itemId: string, to: 'initial' | 'historical'): Promise<void> {
  await system.sim(`/_sim/items/${itemId}/advance`, { to });
}

export interface BankChanges {
  add?: { account_id?: string; amount: number; name: string; date?: string; pending?: boolean }[];
  modify?: { transaction_id: string; [field: string]: unknown }[];
  remove?: string[];
  post?: { transaction_id: string; amount?: number; date?: string }[];
  /** Plaid tells of it by webhooks; else it looks as if they were lost. */
  notify?: boolean;
}

/** Changes the bank's data; answers the ids. */
export function change(
  system: System,
  itemId: string,
  changes: BankChanges,
): Promise<{ added: string[]; modified: string[]; removed: string[] }> {
  return system.sim(`/_sim/items/${itemId}/transactions`, changes);
}

const day = 86_400_000;

/** `count` purchases over the last 600 days, the same ones each time. */
export function rows(count: number, name = 'Purchase'): NonNullable<BankChanges['add']> {
  return Array.from({ length: count }, (_, n) => ({
    amount: Number((1 + (n % 997) / 100).toFixed(2)),
    name: `${name} ${n}`,
    date: new Date(Date.now() - ((n * 7) % 600) * day).toISOString().slice(0, 10),
  }));
}

export interface BankTransaction {
  transaction_id: string;
  account_id: string;
  amount: number;
  date: string;
  name: string;
  merchant_name: string | null;
  pending: boolean;
  [field: string]: unknown;
}

/** What the simulator holds as true. */
export function truthOf(
  system: System,
  itemId: string,
): Promise<{
  accounts: { account_id: string; closed: boolean; balances: Record<string, unknown> }[];
  transactions: BankTransaction[];
  removed: string[];
  closed_account_transactions: string[];
  closed_account_removed: string[];
}> {
  return system.sim(`/_sim/items/${itemId}/truth`);
}

/** For some time (ms) a share of the calls to these paths, of whatever Item, fails. Answers how many have. */
export async function failOften(
  system: System,
  paths: readonly string[],
  { fault: what, percent }: { fault: Record<string, unknown>; percent: number },
  lasts: number,
): Promise<number> {
  const made = await Promise.all(
    paths.map((path) =>
      system.sim<{ fault_id: string }>('/_sim/faults', {
        match: { path },
        fault: what,
        probability: percent / 100,
      }),
    ),
  );
  const ids = made.map(({ fault_id }) => fault_id);
  await new Promise((resolve) => setTimeout(resolve, lasts));
  const { faults } = await system.sim<{ faults: { fault_id: string; struck: number }[] }>('/_sim/faults');
  await Promise.all(ids.map((id) => system.sim(`/_sim/faults/${id}`, undefined, 'DELETE')));
  return faults.filter(({ fault_id }) => ids.includes(fault_id)).reduce((sum, { struck }) => sum + struck, 0);
}

/** A fault for this Item's calls. */
export async function fault(
  system: System,
  itemId: string,
  path: string | null,
  what: Record<string, unknown>,
  options: { call?: number; times?: number } = {},
): Promise<void> {
  const { call, times } = options;
  await system.sim('/_sim/faults', {
    match: {
      item_id: itemId,
      ...(path === null ? {} : { path }),
      ...(call === undefined ? {} : { call }),
    },
    fault: what,
    ...(times === undefined ? {} : { times }),
  });
}

/** How often a path was called for the Item. */
export async function callsOf(system: System, itemId: string, path: string): Promise<number> {
  const { calls } = await system.sim<{ calls: { path: string; item_id: string; count: number }[] }>(
    '/_sim/calls',
  );
  return calls.find((call) => call.path === path && call.item_id === itemId)?.count ?? 0;
}

/** Sends a webhook of the Item, signed as Plaid signs; `fields` also steer the delivery (see the simulator's page). */
export async function sendWebhook(
  system: System,
  itemId: string,
  webhook_type: string,
  webhook_code: string,
  fields: Record<string, unknown> = {},
): Promise<void> {
  await system.sim(`/_sim/items/${itemId}/webhooks`, { webhook_type, webhook_code, ...fields });
}
