import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { secretContext } from '../../domain/ids.js';
import { advance, change, rows } from '../../tools/faults/bank.js';
import { until } from './until.js';
import { untilQuiet } from './oracle.js';
import type { System } from './system.js';

export { advance, callsOf, change, fault, rows, sendWebhook, truthOf } from '../../tools/faults/bank.js';

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
