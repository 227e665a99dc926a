import { CountryCode, Products } from 'plaid';
import { Rig } from './rig.js';

/** A bank whose institution id changes: the old one is answered under the new one, and Items are made under both. */
describe('a bank with two ids', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start();
  });
  afterEach(() => rig.close());

  const asked = async (institution_id: string, at = rig) =>
    (await at.api.institutionsGetById({ institution_id, country_codes: [CountryCode.Us] })).data.institution;
  const alias = (old: string, of: string) => rig.control('POST', `/_sim/institutions/${old}/alias`, { of });
  const listed = async () =>
    (
      await rig.api.institutionsGet({ count: 500, offset: 0, country_codes: [CountryCode.Us] })
    ).data.institutions.map(({ institution_id }) => institution_id);
  const accountsOf = async (accessToken: string) =>
    (await rig.api.accountsGet({ access_token: accessToken })).data.accounts;
  const institutionOf = async (accessToken: string) =>
    (await rig.api.itemGet({ access_token: accessToken })).data.item.institution_id;

  it('moves to a new one: Items made under the old one keep it', async () => {
    const options = { institution: 'ins_109509', username: 'user_good' };
    const before = await rig.link(options);
    expect(await alias('ins_109509', 'ins_909509')).toEqual({
      institution_id: 'ins_909509',
      alias: 'ins_109509',
    });
    const { name } = await asked('ins_909509');
    expect(await asked('ins_109509')).toMatchObject({ institution_id: 'ins_909509', name });
    expect(await listed()).toEqual(expect.arrayContaining(['ins_909509']));
    expect(await listed()).not.toContain('ins_109509');
    const after = await rig.link({ ...options, institution: 'ins_909509' });
    const still = await rig.link(options);
    expect(await Promise.all([before, after, still].map((item) => institutionOf(item.accessToken)))).toEqual([
      'ins_109509',
      'ins_909509',
      'ins_109509',
    ]);
    // The same user at the same bank has the same accounts, whatever id the bank goes by.
    const known = async (item: { accessToken: string }) =>
      (await accountsOf(item.accessToken)).map(({ name: called, mask, subtype }) => ({
        called,
        mask,
        subtype,
      }));
    expect(await known(after)).toEqual(await known(before));
    expect(await known(still)).toEqual(await known(before));
  });

  it('has an old one that nothing else knows, with the ways of the bank under it', async () => {
    await alias('ins_3', 'ins_56');
    expect(await asked('ins_3')).toMatchObject({ institution_id: 'ins_56', name: 'Chase' });
    expect(await listed()).not.toContain('ins_3');
    const { accessToken } = await rig.link({ institution: 'ins_3', username: 'ann' });
    const again = await rig.link({ institution: 'ins_56', username: 'ann' });
    const persistent = async (token: string) =>
      (await accountsOf(token)).map(({ persistent_account_id }) => persistent_account_id);
    expect(await institutionOf(accessToken)).toBe('ins_3');
    expect(await persistent(accessToken)).toEqual(await persistent(again.accessToken));
    const partial = await rig.control<{ link_token: string }>('POST', '/link/token/create', {
      client_id: 'client',
      secret: 'secret',
      client_name: 'Tests',
      country_codes: ['US'],
      language: 'en',
      products: [Products.Transactions],
      institution_id: 'ins_3',
      user: { client_user_id: 'ann' },
    });
    const { public_token } = await rig.control<{ public_token: string }>('POST', '/_sim/link', {
      ...partial,
      username: 'ann',
      account_masks: [(await accountsOf(accessToken))[0]?.mask],
      expiration: undefined,
      request_id: undefined,
    });
    const { data } = await rig.api.itemPublicTokenExchange({ public_token });
    expect(await institutionOf(data.access_token)).toBe('ins_3');
    // Chase keeps one connection of a user: a link with other accounts ends the older ones, under whatever id they were made.
    for (const item of [accessToken, again.accessToken]) {
      expect((await rig.api.itemGet({ access_token: item })).data.item.error).toMatchObject({
        error_code: 'ITEM_LOGIN_REQUIRED',
      });
    }
  });

  it('goes through chains, and is kept in an exported world', async () => {
    await alias('ins_109510', 'ins_909510');
    await alias('ins_909510', 'ins_809510');
    const { accessToken } = await rig.link({ institution: 'ins_909510' });
    const document = await rig.control('GET', '/_sim/world');
    const other = await Rig.start();
    try {
      await other.control('POST', '/_sim/world', document);
      for (const id of ['ins_109510', 'ins_909510', 'ins_809510']) {
        expect((await asked(id, other)).institution_id).toBe('ins_809510');
      }
      expect((await other.api.itemGet({ access_token: accessToken })).data.item).toMatchObject({
        institution_id: 'ins_909510',
        institution_name: 'Tattersall Federal Credit Union',
      });
      await other.control('POST', '/_sim/reset');
      expect((await asked('ins_109510', other)).institution_id).toBe('ins_109510');
    } finally {
      await other.close();
    }
  });

  it('is refused where it makes no sense', async () => {
    await expect(alias('ins_0', 'ins_00')).rejects.toMatchObject({ status: 404 });
    await expect(alias('ins_56', 'ins_13')).rejects.toMatchObject({ status: 409 });
    await expect(alias('ins_3', 'a bank')).rejects.toMatchObject({ status: 400 });
  });
});
