import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AccountSubtype, AccountType, Products } from 'plaid';
import { clientFor, type Receiver, refusalOf, Rig, until, startListening } from './rig.js';

const DEPOSITED = 'microdeposits_good';

/** What becomes of micro-deposits when nobody but simulated time does anything. */
describe('micro-deposits', () => {
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  beforeEach(async () => {
    ({ rig, receiver, webhook } = await startListening());
  });
  // A test may have put another simulator in the place of the first.
  afterEach(async () => {
    await rig.close();
    await receiver.stop();
  });

  interface Linked {
    itemId: string;
    accessToken: string;
  }

  const link = (products: Products[] = [Products.Auth]) =>
    rig.link({ username: DEPOSITED, products, webhook });
  const accountsOf = async ({ accessToken }: Linked) =>
    (await rig.api.accountsGet({ access_token: accessToken })).data.accounts;
  const statuses = async (linked: Linked) =>
    (await accountsOf(linked)).map(({ verification_status }) => verification_status ?? null);
  const authError = async ({ accessToken }: Linked) =>
    (await refusalOf(rig.api.authGet({ access_token: accessToken }))).error_code;
  const verification = ({ itemId }: Linked, body: object) =>
    rig.control('POST', `/_sim/items/${itemId}/verification`, body);
  /** How verifications have ended, as the webhooks of an Item tell it. */
  const told = async (linked: Linked) => {
    await until(async () => (await rig.truth(linked.itemId)).webhooks_due === 0);
    return receiver.received
      .filter(({ body }) => body['item_id'] === linked.itemId && /VERIFI/.test(String(body['webhook_code'])))
      .map(({ body }) => `${String(body['webhook_code'])} ${String(body['account_id'])}`);
  };

  it('are found a day later, and told for each account', async () => {
    const linked = await link();
    await rig.advance('PT23H59M');
    expect(await statuses(linked)).toEqual([
      ...Array<string>(2).fill('pending_automatic_verification'),
      null,
      'pending_automatic_verification',
    ]);
    expect(await authError(linked)).toBe('PRODUCT_NOT_READY');
    expect(await told(linked)).toEqual([]);
    await rig.advance('PT1M');
    expect(await statuses(linked)).toEqual([
      'automatically_verified',
      'automatically_verified',
      null,
      'automatically_verified',
    ]);
    const deposited = (await accountsOf(linked)).filter(({ type }) => type === AccountType.Depository);
    expect((await told(linked)).sort()).toEqual(
      deposited.map(({ account_id }) => `AUTOMATICALLY_VERIFIED ${account_id}`).sort(),
    );
    for (const received of receiver.received) await rig.verify(received);
    const { numbers } = (await rig.api.authGet({ access_token: linked.accessToken })).data;
    expect(numbers.ach.map(({ account_id }) => account_id)).toEqual(
      (await accountsOf(linked))
        .filter(
          ({ subtype, balances }) =>
            subtype !== AccountSubtype.CreditCard && balances.iso_currency_code === 'USD',
        )
        .map(({ account_id }) => account_id),
    );
    await rig.advance('P10D');
    expect(await told(linked)).toHaveLength(3);
  });

  it('are given up after seven days where they are made to fail', async () => {
    const linked = await link();
    const [account] = await accountsOf(linked);
    const account_id = account?.account_id ?? '';
    await rig.advance('PT12H');
    await verification(linked, {
      account_id,
      status: 'pending_automatic_verification',
      outcome: 'verification_expired',
    });
    await rig.advance('P6DT11H');
    expect((await statuses(linked))[0]).toBe('pending_automatic_verification');
    expect(await authError(linked)).toBe('PRODUCT_NOT_READY');
    await rig.advance('PT1H');
    expect((await statuses(linked))[0]).toBe('verification_expired');
    expect((await told(linked)).at(-1)).toBe(`VERIFICATION_EXPIRED ${account_id}`);
    const { numbers } = (await rig.api.authGet({ access_token: linked.accessToken })).data;
    expect(numbers.ach.map((ach) => ach.account_id)).not.toContain(account_id);
    // The user submits the numbers again.
    receiver.received.length = 0;
    await verification(linked, { account_id, status: 'pending_automatic_verification' });
    expect(await authError(linked)).toBe('PRODUCT_NOT_READY');
    await rig.advance('P1D');
    expect(await told(linked)).toEqual([`AUTOMATICALLY_VERIFIED ${account_id}`]);
  });

  it('wait for a login that works, and for its account to be open', async () => {
    const linked = await link();
    const [first, second] = await accountsOf(linked);
    await rig.control('POST', `/_sim/items/${linked.itemId}/accounts`, { close: [second?.account_id] });
    await rig.api.sandboxItemResetLogin({ access_token: linked.accessToken });
    await rig.advance('P2D');
    expect(await told(linked)).toEqual([]);
    await rig.control('POST', `/_sim/items/${linked.itemId}/repair`);
    receiver.received.length = 0;
    await rig.advance('P1D');
    expect(await told(linked)).toHaveLength(2);
    expect(await told(linked)).toContain(`AUTOMATICALLY_VERIFIED ${first?.account_id}`);
    await rig.advance('P10D');
    expect(await told(linked)).toHaveLength(2);

    const broken = await link();
    await rig.api.sandboxItemResetLogin({ access_token: broken.accessToken });
    const revoked = await link();
    await rig.control('POST', `/_sim/items/${revoked.itemId}/revoke`);
    const removed = await link();
    await rig.api.itemRemove({ access_token: removed.accessToken });
    receiver.received.length = 0;
    await rig.advance('P8D');
    expect((await told(broken)).map((text) => text.split(' ')[0])).toEqual(
      Array(3).fill('VERIFICATION_EXPIRED'),
    );
    expect(await told(revoked)).toEqual([]);
    expect(await told(removed)).toEqual([]);
  });

  it('are made when Auth is first asked for', async () => {
    const linked = await link([Products.Transactions]);
    await rig.advance('P3D');
    expect(await told(linked)).toEqual([]);
    const [account] = await accountsOf(linked);
    await expect(
      verification(linked, { account_id: account?.account_id, status: 'pending_automatic_verification' }),
    ).rejects.toMatchObject({ status: 400 });
    expect(await authError(linked)).toBe('PRODUCT_NOT_READY');
    receiver.received.length = 0;
    await rig.advance('PT23H');
    expect(await told(linked)).toEqual([]);
    await rig.advance('PT1H');
    expect(await told(linked)).toHaveLength(3);
  });

  it('end early by hand, and only once', async () => {
    const linked = await link();
    const [first, second] = await accountsOf(linked);
    await rig.api.sandboxItemSetVerificationStatus({
      access_token: linked.accessToken,
      account_id: first?.account_id ?? '',
      verification_status: 'verification_expired' as never,
    });
    await verification(linked, { account_id: second?.account_id, status: 'automatically_verified' });
    await rig.advance('P9D');
    expect(await told(linked)).toHaveLength(3);
    expect(await statuses(linked)).toEqual([
      'verification_expired',
      'automatically_verified',
      null,
      'automatically_verified',
    ]);
  });

  it('refuse what makes no sense', async () => {
    const linked = await link();
    const card = (await accountsOf(linked)).find(({ type }) => type === AccountType.Credit)?.account_id;
    const account_id = (await accountsOf(linked))[0]?.account_id;
    const pending = 'pending_automatic_verification';
    for (const body of [
      { account_id: 'nobody’s', status: pending },
      { account_id: card, status: pending },
      { account_id, status: pending, outcome: 'never' },
      { account_id, status: 'automatically_verified', outcome: 'verification_expired' },
      { account_id, status: 'manually_verified' },
    ]) {
      await expect(verification(linked, body)).rejects.toMatchObject({ status: 400 });
    }
    await rig.control('POST', `/_sim/items/${linked.itemId}/accounts`, { close: [account_id] });
    await expect(verification(linked, { account_id, status: pending })).rejects.toMatchObject({
      status: 400,
    });
  });

  it('go to the account that takes another’s place, to one that is shared later, and for each application', async () => {
    const linked = await link();
    const [first, second] = await accountsOf(linked);
    const ids = (await accountsOf(linked)).map(({ account_id }) => account_id);
    const select = (account_ids: string[]) =>
      rig.control('POST', `/_sim/items/${linked.itemId}/selection`, { account_ids });
    await select(ids.filter((id) => id !== second?.account_id));
    await rig.advance('PT12H');
    await rig.control('POST', `/_sim/items/${linked.itemId}/churn`, { account_ids: [first?.account_id] });
    const [renewed] = await accountsOf(linked);
    await rig.advance('PT12H');
    expect(await told(linked)).toHaveLength(1);
    await select([
      ...(await accountsOf(linked)).map(({ account_id }) => account_id),
      second?.account_id ?? '',
    ]);
    await rig.advance('PT12H');
    expect((await told(linked)).slice(1)).toEqual([`AUTOMATICALLY_VERIFIED ${renewed?.account_id}`]);
    await rig.advance('PT12H');
    expect((await told(linked)).slice(2)).toEqual([`AUTOMATICALLY_VERIFIED ${second?.account_id}`]);

    const api = clientFor(rig.url, 'other');
    await link();
    await rig.advance('PT1H');
    const created = await api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: [Products.Auth],
      options: { override_username: DEPOSITED, webhook },
    });
    const { public_token } = created.data;
    const { item_id, access_token } = (await api.itemPublicTokenExchange({ public_token })).data;
    const other = { itemId: item_id, accessToken: access_token };
    expect(await authError(other)).toBe('PRODUCT_NOT_READY');
    await rig.advance('P1D');
    expect(await told(other)).toHaveLength(3);
  });

  it('are kept in the state file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    try {
      await rig.close();
      const state = join(folder, 'world.jsonl');
      rig = await Rig.start({ state });
      const linked = await link();
      const [first] = await accountsOf(linked);
      const account_id = first?.account_id;
      await verification(linked, {
        account_id,
        status: 'pending_automatic_verification',
        outcome: 'verification_expired',
      });
      await rig.advance('PT20H');
      await rig.close();
      rig = await Rig.start({ state });
      await rig.advance('PT3H');
      expect(await told(linked)).toEqual([]);
      await rig.advance('PT1H');
      expect(await told(linked)).toHaveLength(2);
      await rig.advance('P3D');
      await rig.close();
      rig = await Rig.start({ state });
      await rig.advance('P3D');
      expect((await told(linked)).slice(2)).toEqual([`VERIFICATION_EXPIRED ${account_id}`]);
    } finally {
      await rig.close();
      rig = await Rig.start();
      rmSync(folder, { recursive: true });
    }
  });
});
