import { publishActivities } from '../../activities/publish.js';
import { createStores } from '../../drizzle/index.js';
import { createKinesis } from '../../src/clients/kinesis.js';
import { createPlaid } from '../../src/clients/plaid.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { unionOfAccounts } from '../../domain/mining/accounts.js';
import { secretContext } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { historyOf } from '../../domain/mining/run.js';
import { minedPage } from '../../domain/mining/page.js';
import { given } from './environment.js';

/**
 * The floor of W1: the work of a worker without Temporal. The same Plaid client, stores, secrets and publisher, in a
 * plain loop; given by its parent the Items to mine, and answering when all are mined and published.
 */
const sql = openDatabase(given('DATABASE_URL'), { max: 10 });
const stores = createStores(sql);
const secrets = createSecretBox(createKeyring(parseEncryptionKeys(given('ENCRYPTION_KEYS'))));
const plaid = createPlaid({
  baseUrl: given('PLAID_BASE_URL'),
  clientId: 'bench',
  secret: 'bench',
  clientName: 'bench',
  products: ['transactions'],
  countryCodes: ['US'],
  webhookUrl: null,
});
const publisher = publishActivities({
  outbox: stores.outbox,
  alerts: stores.alerts,
  streams: createKinesis({
    region: 'us-east-1',
    endpoint: given('KINESIS_ENDPOINT'),
    streamPrefix: 'plaid-',
  }),
  crashPoint: () => undefined,
});

async function mine(itemId: string): Promise<void> {
  const dueAt = { complete: new Date(Date.now() + 1e8).toISOString(), incomplete: new Date().toISOString() };
  const updateId = `direct-${itemId}`;
  for (let page = 0; ; page += 1) {
    const start = await stores.mining.beginPage(itemId, updateId, page);
    if (start.kind !== 'fetch') throw new Error(`unexpected ${start.kind}`);
    const token = await secrets.open(start.credentials.accessToken, secretContext.accessToken(itemId));
    const answer = await plaid.syncTransactions(token, start.cursor);
    const { userId: user_id, institutionId: institution_id } = start.credentials;
    const mined = minedPage(start.cursor, answer, { item_id: itemId, user_id, institution_id });
    if (mined.hasMore) {
      await stores.mining.stagePage(itemId, updateId, page, { began: start.began, remine: false }, mined);
      continue;
    }
    const accounts = unionOfAccounts(await plaid.getAccounts(token), answer.accounts);
    const applied = await stores.mining.apply({
      itemId,
      updateId,
      page: mined,
      pageNumber: page,
      accounts,
      accountsAsOf: new Date().toISOString(),
      began: start.began,
      history: historyOf(answer.transactions_update_status),
      dueAt,
      numbersAge: defaultPolicy.numbersAge,
    });
    if (applied.kind !== 'applied') throw new Error(`unexpected ${applied.kind}`);
    break;
  }
  while (!(await publisher.publish({ itemId })).done);
}

process.on('message', (message: { items: string[]; concurrency: number }) => {
  const waiting = [...message.items];
  const lane = async (): Promise<void> => {
    for (let itemId = waiting.pop(); itemId !== undefined; itemId = waiting.pop()) await mine(itemId);
  };
  Promise.all(Array.from({ length: message.concurrency }, lane)).then(
    () => process.send?.({ done: true }),
    (error: unknown) => process.send?.({ failed: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
