import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { secretContext } from '../../domain/ids.js';
import { until } from './until.js';
import { untilQuiet } from './oracle.js';
import type { System } from './system.js';

export interface LinkOptions {
  user?: string;
  institution?: string;
  /** In Plaid's custom-user format. */
  customUser?: unknown;
}

let users = 0;

/** Links an Item the way a client does: a public token from Plaid, handed to the API. Its bank has not been read yet. */
export async function linkItem(system: System, options: LinkOptions = {}): Promise<string> {
  const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
    institution_id: options.institution ?? 'ins_109508',
    initial_products: ['transactions', 'auth'],
    options: {
      webhook: `${system.urls.api}/webhooks/plaid`,
      transactions: { days_requested: 730 },
      ...(options.customUser === undefined
        ? {}
        : { override_username: 'user_custom', override_password: JSON.stringify(options.customUser) }),
    },
  });
  const user = options.user ?? `user-${(users += 1)}`;
  for (;;) {
    const answer = await system.api('POST', `/v1/users/${encodeURIComponent(user)}/items`, { public_token });
    if (answer.status === 201) return answer.body['item_id'] as string;
    // As a client does whose link takes longer than its request may: the same again.
    if (answer.status !== 503 && answer.status !== 504)
      throw new Error(`link: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
}

/** Lets the bank's reads end up to there, with their webhooks. */
export async function advance(system: System, itemId: string, to: 'initial' | 'historical'): Promise<void> {
  await system.sim(`/_sim/items/${itemId}/advance`, { to });
}

/** An Item that has been read to the end and is at rest. `rows`: transactions beyond those that every Item has. */
export async function minedItem(
  system: System,
  options: LinkOptions & { rows?: number } = {},
): Promise<string> {
  const itemId = await linkItem(system, options);
  if (options.rows !== undefined) await change(system, itemId, { add: rows(options.rows) });
  await advance(system, itemId, 'historical');
  await untilHistory(system, itemId, 'complete');
  await untilQuiet(system, itemId);
  return itemId;
}

export async function untilHistory(
  system: System,
  itemId: string,
  history: 'initial' | 'complete',
): Promise<void> {
  await until(async () => {
    const [row] = await system.sql`SELECT history FROM items WHERE item_id = ${itemId}`;
    return row?.['history'] === history || (history === 'initial' && row?.['history'] === 'complete');
  }, 100);
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

/** The Item's access token, opened with the keys (`ENCRYPTION_KEYS`) that the system was started with. */
export async function accessTokenOf(system: System, itemId: string, keys: string): Promise<string> {
  const [row] = await system.sql<{ keyId: string; dataKey: Uint8Array; ciphertext: Uint8Array }[]>`
    SELECT access_token_key_id AS "keyId", access_token_data_key AS "dataKey",
      access_token_ciphertext AS ciphertext FROM items WHERE item_id = ${itemId}`;
  if (row === undefined) throw new Error(`no item ${itemId}`);
  return createSecretBox(createKeyring(parseEncryptionKeys(keys))).open(
    row,
    secretContext.accessToken(itemId),
  );
}
