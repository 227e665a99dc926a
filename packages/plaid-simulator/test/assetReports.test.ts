import { Products } from 'plaid';
import { call } from './endpoints.js';
import { PlaidTypes } from './plaidTypes.js';
import { refusalOf, startListening, until } from './rig.js';

const types = new PlaidTypes();

describe('Asset Reports', () => {
  let on: Awaited<ReturnType<typeof startListening>>;
  beforeAll(async () => {
    on = await startListening();
  });
  afterAll(() => on.close());

  it('are made in the background, which a webhook tells, and stay as they were made', async () => {
    const { api } = on.rig;
    const item = await on.rig.link({
      products: [Products.Assets, Products.Transactions, Products.Investments],
    });
    await on.rig.control('POST', `/_sim/items/${item.itemId}/advance`, { to: 'historical' });
    const created = (
      await api.assetReportCreate({
        access_tokens: [item.accessToken],
        days_requested: 30,
        options: {
          webhook: on.webhook,
          client_report_id: 'mine',
          user: { client_user_id: 'ann' },
          add_ons: ['investments' as never],
        },
      })
    ).data;
    const ask = { asset_report_token: created.asset_report_token };
    expect(await refusalOf(api.assetReportGet(ask))).toMatchObject({
      error_type: 'ASSET_REPORT_ERROR',
      error_code: 'PRODUCT_NOT_READY',
    });
    await on.rig.advance('PT1M');
    await until(() => on.receiver.received.length > 0);
    const [told] = on.receiver.received;
    expect(told?.body).toMatchObject({
      webhook_type: 'ASSETS',
      webhook_code: 'PRODUCT_READY',
      asset_report_id: created.asset_report_id,
    });
    expect(types.check(told?.body, 'AssetsProductReadyWebhook')).toEqual([]);
    const answer = await call(on.rig, '/asset_report/get', ask);
    expect(types.check(answer.body, 'AssetReportGetResponse')).toEqual([]);
    const { report } = (await api.assetReportGet(ask)).data;
    expect(report).toMatchObject({
      asset_report_id: created.asset_report_id,
      client_report_id: 'mine',
      days_requested: 30,
      user: { client_user_id: 'ann' },
      items: [{ item_id: item.itemId, institution_id: 'ins_109508' }],
    });
    const accounts = report.items[0]?.accounts ?? [];
    expect(accounts).toHaveLength(6);
    for (const account of accounts) {
      const { historical_balances: history, transactions, balances } = account;
      expect(history).toHaveLength(30);
      expect(history[0]?.current).toBe(balances.current);
      const sign = String(account.type) === 'credit' ? -1 : 1;
      const oldest = history.at(-1);
      // What was booked since then is the way from the oldest balance to the newest.
      const booked = transactions
        .filter(({ date }) => date > (oldest?.date ?? ''))
        .reduce((sum, row) => sum + row.amount, 0);
      expect((oldest?.current ?? 0) - sign * booked).toBeCloseTo(balances.current ?? 0, 1);
      expect(account.investments === undefined).toBe(String(account.type) !== 'investment');
    }
    expect(accounts.flatMap(({ transactions }) => transactions).length).toBeGreaterThan(0);
    await on.rig.change(item.itemId, { add: [{ amount: 7, name: 'Later' }] });
    const document = await on.rig.control('GET', '/_sim/world');
    await on.rig.control('POST', '/_sim/world', document);
    expect((await api.assetReportGet(ask)).data.report).toEqual(report);
    const short = (await api.assetReportGet({ ...ask, options: { days_to_include: 3 } })).data.report;
    expect(short.items[0]?.accounts[0]?.historical_balances).toHaveLength(3);
  });

  it('are of Items that were linked with Assets', async () => {
    const { api } = on.rig;
    const without = await on.rig.link();
    const wanted = (token: string) => api.assetReportCreate({ access_tokens: [token], days_requested: 10 });
    expect(await refusalOf(wanted(without.accessToken))).toMatchObject({
      error_type: 'ASSET_REPORT_ERROR',
      error_code: 'PRODUCT_NOT_ENABLED',
    });
    expect((await refusalOf(wanted('nope'))).error_code).toBe('INVALID_ACCESS_TOKEN');
    expect((await refusalOf(api.assetReportGet({ asset_report_token: 'nope' }))).error_code).toBe(
      'INVALID_FIELD',
    );
    expect((await refusalOf(api.assetReportGet({}))).error_code).toBe('MISSING_FIELDS');
  });
});
