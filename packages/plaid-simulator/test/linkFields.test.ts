import { Products, type LinkTokenCreateRequest, type Products as Product } from 'plaid';
import { linkToken, PageWalk } from './linkRig.js';
import { refusalOf, Rig } from './rig.js';

const UK = 'ins_116834';

/** Fields of a link token's request whose effect is seen only later: in Link, or on the Item. */
describe('fields of a link token', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  const ask = { products: [Products.Transactions] };
  const walk = async (more: Partial<LinkTokenCreateRequest>, how: object = {}) => {
    const link_token = await linkToken(rig.api, more);
    const done = await rig.control<{ item_id: string; public_token: string | null }>('POST', '/_sim/link', {
      link_token,
      ...how,
    });
    return done;
  };
  const linked = async (more: Partial<LinkTokenCreateRequest>, how: object = {}) => {
    const { public_token } = await walk(more, how);
    const { data } = await rig.api.itemPublicTokenExchange({ public_token: public_token ?? '' });
    const { item } = (await rig.api.itemGet({ access_token: data.access_token })).data;
    return { itemId: data.item_id, accessToken: data.access_token, item };
  };
  const refused = async (more: object) =>
    (await refusalOf(linkToken(rig.api, { ...ask, ...more }))).error_code;

  it('refuses what names several Items or none', async () => {
    expect(await refused({ access_tokens: ['access-sandbox-1'] })).toBe('INVALID_FIELD');
    expect(await refused({ optional_products: ['balance'] })).toBe('INVALID_PRODUCT');
    expect(await refused({ additional_consented_products: ['nonsense'] })).toBe('INVALID_PRODUCT');
    expect(await refused({ update: { user: 'yes' } })).toBe('INVALID_FIELD');
    expect(await refused({ update: { user: true } })).toBe('MISSING_FIELDS');
    expect(await refused({ user_id: 'usr_nobody', update: { user: true } })).toBe('INVALID_USER_TOKEN');
  });

  it('puts optional products on the Item where the institution has them', async () => {
    const optional: Product[] = [Products.Auth, Products.Liabilities];
    const { item } = await linked({ ...ask, optional_products: optional });
    expect(item.products).toEqual([Products.Transactions, ...optional]);
    const british = await linked(
      { ...ask, optional_products: optional, country_codes: ['GB' as never] },
      { institution_id: UK },
    );
    expect(british.item.products).toEqual([Products.Transactions, Products.Auth]);
  });

  it('keeps what the user has consented to for later, also in update mode', async () => {
    const one = await linked({ ...ask, additional_consented_products: [Products.Auth] });
    expect(one.item.products).toEqual([Products.Transactions]);
    expect(one.item.consented_products).toEqual([Products.Transactions, Products.Auth]);
    await walk({
      access_token: one.accessToken,
      additional_consented_products: [Products.Auth, Products.Identity, Products.Transfer],
    });
    const { item } = (await rig.api.itemGet({ access_token: one.accessToken })).data;
    expect(item.products).toEqual([Products.Transactions]);
    expect(item.consented_products).toEqual([Products.Transactions, Products.Auth, Products.Identity]);
  });

  it('links for a user, whose newest broken Item update mode is for', async () => {
    const user = { user_id: 'usr_1' };
    const [first, second] = [
      await linked({ ...ask, ...user }),
      await linked({ ...ask, user_token: 'usr_1' }),
    ];
    const stranger = await linked({ ...ask, user_id: 'usr_2' });
    const update = (more: object = {}) => ({ ...user, update: { user: true, ...more } });
    expect((await refusalOf(linkToken(rig.api, update()))).error_code).toBe('INVALID_FIELD');
    await rig.api.sandboxUserResetLogin(user);
    const failing = async ({ accessToken }: typeof first) =>
      (await rig.api.itemGet({ access_token: accessToken })).data.item.error?.error_code ?? null;
    expect(await failing(first)).toBe('ITEM_LOGIN_REQUIRED');
    expect(await failing(stranger)).toBeNull();
    const several = await refusalOf(linkToken(rig.api, update({ item_ids: [first.itemId, second.itemId] })));
    expect(several).toMatchObject({ error_code: 'INVALID_FIELD' });
    const foreign = await refusalOf(
      linkToken(rig.api, update({ item_ids: [second.itemId, stranger.itemId] })),
    );
    expect(foreign).toMatchObject({
      error_code: 'INVALID_FIELD',
      error_message: `item_ids: not Items of this user: ${stranger.itemId}`,
    });
    expect(await walk(update())).toMatchObject({ item_id: second.itemId, public_token: null });
    expect([await failing(first), await failing(second)]).toEqual(['ITEM_LOGIN_REQUIRED', null]);
    expect(await walk(update({ item_ids: [second.itemId] }))).toMatchObject({ item_id: second.itemId });
    expect(await walk(update())).toMatchObject({ item_id: first.itemId });
    expect(await failing(first)).toBeNull();
    await rig.control('POST', `/_sim/items/${first.itemId}/revoke`);
    expect((await refusalOf(linkToken(rig.api, update()))).error_code).toBe('INVALID_FIELD');
  });

  it('shows no name of an application that is longer than 30 characters', async () => {
    for (const [client_name, shown] of [
      ['n'.repeat(30), 'n'.repeat(30)],
      ['n'.repeat(31), 'This Application'],
    ] as const) {
      const token = await linkToken(rig.api, { ...ask, client_name });
      const { view } = await PageWalk.open(rig.url, token);
      expect(view).toMatchObject({ client_name: shown });
      const { metadata } = (await rig.api.linkTokenGet({ link_token: token })).data;
      expect(metadata.client_name).toBe(client_name);
    }
  });

  it('says of an account that its numbers are not verified yet', async () => {
    const token = await linkToken(rig.api, { products: [Products.Auth] });
    await rig.control('POST', '/_sim/link', { link_token: token, username: 'microdeposits_good' });
    const { link_sessions } = (await rig.api.linkTokenGet({ link_token: token })).data;
    const accounts = link_sessions?.[0]?.results?.item_add_results[0]?.accounts;
    expect(accounts?.map(({ type, verification_status }) => [type, verification_status])).toEqual([
      ['depository', 'pending_automatic_verification'],
      ['depository', 'pending_automatic_verification'],
      ['credit', null],
      ['depository', 'pending_automatic_verification'],
    ]);
  });

  it('finds institutions that have all of the routing numbers', async () => {
    const found = async (routing_numbers: string[]) =>
      (
        await rig.api.institutionsGet({
          count: 500,
          offset: 0,
          country_codes: ['US' as never],
          options: { routing_numbers },
        })
      ).data.institutions.map(({ institution_id }) => institution_id);
    expect(await found(['011401533', '021000021'])).toEqual(['ins_109508']);
    expect(await found(['021000021'])).toEqual(['ins_109508', 'ins_109512', 'ins_56']);
    expect(await found(['021000021', '999999999'])).toEqual([]);
  });
});
