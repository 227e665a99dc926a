import { PlaidTypes } from './plaidTypes.js';
import { Rig } from './rig.js';

/** Plaid's types of the webhooks about an Item; those that only other products have are not simulated. */
const PUBLISHED: readonly [type: string, code: string, name: string][] = [
  ['TRANSACTIONS', 'INITIAL_UPDATE', 'InitialUpdateWebhook'],
  ['TRANSACTIONS', 'HISTORICAL_UPDATE', 'HistoricalUpdateWebhook'],
  ['TRANSACTIONS', 'DEFAULT_UPDATE', 'DefaultUpdateWebhook'],
  ['TRANSACTIONS', 'TRANSACTIONS_REMOVED', 'TransactionsRemovedWebhook'],
  ['TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', 'SyncUpdatesAvailableWebhook'],
  ['TRANSACTIONS', 'RECURRING_TRANSACTIONS_UPDATE', 'RecurringTransactionsUpdateWebhook'],
  ['ITEM', 'ERROR', 'ItemErrorWebhook'],
  ['ITEM', 'LOGIN_REPAIRED', 'ItemLoginRepairedWebhook'],
  ['ITEM', 'PENDING_EXPIRATION', 'PendingExpirationWebhook'],
  ['ITEM', 'PENDING_DISCONNECT', 'PendingDisconnectWebhook'],
  ['ITEM', 'USER_PERMISSION_REVOKED', 'UserPermissionRevokedWebhook'],
  ['ITEM', 'USER_ACCOUNT_REVOKED', 'UserAccountRevokedWebhook'],
  ['ITEM', 'NEW_ACCOUNTS_AVAILABLE', 'NewAccountsAvailableWebhook'],
  ['ITEM', 'WEBHOOK_UPDATE_ACKNOWLEDGED', 'WebhookUpdateAcknowledgedWebhook'],
  ['AUTH', 'DEFAULT_UPDATE', 'AuthDefaultUpdateWebhook'],
];

describe('webhooks', () => {
  const types = new PlaidTypes();
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  it.each(PUBLISHED)('%s/%s has the published form', async (type, code, name) => {
    const { itemId } = await rig.link({ webhook: 'http://127.0.0.1:9/hook' });
    await rig.control('POST', `/_sim/items/${itemId}/webhooks`, { webhook_type: type, webhook_code: code });
    const [sent] = await rig.deliveries(itemId);
    expect(types.check(JSON.parse(sent?.body ?? '{}'), name, code)).toEqual([]);
  });

  it('of an account’s micro-deposits have the published form', async () => {
    const { accessToken, itemId } = await rig.link({
      username: 'microdeposits_good',
      webhook: 'http://127.0.0.1:9/hook',
    });
    const { accounts } = (await rig.api.accountsGet({ access_token: accessToken })).data;
    const [verified, expired] = accounts.map(({ account_id }) => account_id);
    for (const [account_id = '', verification_status] of [
      [verified, 'automatically_verified'],
      [expired, 'verification_expired'],
    ] as const) {
      await rig.api.sandboxItemSetVerificationStatus({
        access_token: accessToken,
        account_id,
        verification_status: verification_status as never,
      });
    }
    const sent = (await rig.deliveries(itemId)).map(({ body }) => JSON.parse(body) as unknown);
    expect(types.check(sent[0], 'AutomaticallyVerifiedWebhook')).toEqual([]);
    expect(types.check(sent[1], 'VerificationExpiredWebhook')).toEqual([]);
  });
});
