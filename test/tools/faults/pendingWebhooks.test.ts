import postgres from 'postgres';
import { pendingWebhooks } from '../../../tools/faults/pendingWebhooks.js';
import type { TestDatabase } from '../../stack/testDatabase.js';
import { createTestDatabase } from '../../stack/testDatabase.js';

let database: TestDatabase;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
});
afterAll(async () => {
  await sql.end({ timeout: 5 });
  await database.drop();
});
beforeEach(() => sql`WITH gone AS (DELETE FROM webhooks) DELETE FROM alerts`);

async function webhookOf(itemId: string, outcome = 'pending'): Promise<void> {
  await sql`
    INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, settled_at, headers, body)
    VALUES ('plaid', 'accepted', 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', ${itemId}, 'update', '{}', ${outcome},
      CASE WHEN ${outcome} <> 'pending' THEN clock_timestamp() END, '{}', '')`;
}
const linkLost = (key: string) =>
  sql`INSERT INTO alerts (kind, key, detail) VALUES ('link_outcome_unknown', ${key}, '{}')`;
const owed = async (): Promise<(string | null)[]> =>
  (await pendingWebhooks({ sql })).map(({ item_id }) => item_id);

describe('webhooks whose outcome is owed', () => {
  it('are those of Items that nobody knows, where no link has lost one', async () => {
    await webhookOf('item-lost');
    await webhookOf('item-done', 'done');
    expect(await owed()).toEqual(['item-lost']);
  });

  it('are not those of the one Item that a link has lost, however many', async () => {
    await linkLost('link-1');
    await webhookOf('item-lost');
    await webhookOf('item-lost');
    expect(await owed()).toEqual([]);
    await webhookOf('item-lost-too');
    expect(await owed()).toEqual(['item-lost', 'item-lost', 'item-lost-too']);
    await linkLost('link-2');
    expect(await owed()).toEqual([]);
  });
});
