import { CountryCode, Products } from 'plaid';
import { call } from './endpoints.js';
import { refusalOf, Rig } from './rig.js';

/** What the test suites of Plaid's own client libraries ask the sandbox for. */
describe('for the official clients’ suites', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  it('/categories/get takes the body null, other endpoints do not', async () => {
    const answer = await call(rig, '/categories/get', 'null');
    expect({ status: answer.status, categories: answer.body['categories'] }).toEqual({
      status: 200,
      categories: expect.arrayContaining([expect.objectContaining({ category_id: expect.any(String) })]),
    });
    expect((await call(rig, '/item/get', 'null')).body.error_code).toBe('INVALID_BODY');
    expect((await call(rig, '/categories/get', '[]')).body.error_code).toBe('INVALID_BODY');
  });

  it('/institutions/get has a page of three British banks with OAuth, from the second one on', async () => {
    const { institutions } = (
      await rig.api.institutionsGet({
        count: 3,
        offset: 1,
        country_codes: [CountryCode.Gb],
        options: { oauth: true },
      })
    ).data;
    expect(institutions.map(({ oauth }) => oauth)).toEqual([true, true, true]);
  });

  it('/institutions/get has a bank with both of these routing numbers', async () => {
    const routing_numbers = ['021200339', '052001633'];
    const { institutions } = (
      await rig.api.institutionsGet({
        count: 1,
        offset: 0,
        country_codes: [CountryCode.Us],
        options: { routing_numbers },
      })
    ).data;
    expect(institutions.map(({ routing_numbers: numbers }) => numbers)).toEqual([
      expect.arrayContaining(routing_numbers),
    ]);
  });

  it.each([
    ['ins_12', CountryCode.Us],
    ['ins_109508', CountryCode.Us],
    ['ins_109509', CountryCode.Us],
    ['ins_109510', CountryCode.Us],
    ['ins_109511', CountryCode.Us],
    ['ins_109512', CountryCode.Us],
    ['ins_127287', CountryCode.Us],
    ['ins_117650', CountryCode.Gb],
  ])('/institutions/get_by_id knows %s of %s', async (institution_id, country) => {
    const { institution } = (
      await rig.api.institutionsGetById({
        institution_id,
        country_codes: [country],
        options: { include_optional_metadata: true, include_payment_initiation_metadata: true },
      })
    ).data;
    expect(institution.products.length).toBeGreaterThan(0);
    expect(institution.url).toMatch(/^https:/);
    if (country === CountryCode.Gb) {
      expect(institution.payment_initiation_metadata?.maximum_payment_amount).toEqual({
        GBP: expect.any(String),
      });
    }
  });

  it('/institutions/search finds the Royal Bank of Plaid with what it says of payments', async () => {
    const { institutions } = (
      await rig.api.institutionsSearch({
        query: 'Royal Bank of Plaid',
        products: [Products.Transactions],
        country_codes: [CountryCode.Gb],
        options: { include_payment_initiation_metadata: true },
      })
    ).data;
    expect(institutions.length).toBeGreaterThan(0);
    for (const { payment_initiation_metadata: payments } of institutions) expect(payments).not.toBeNull();
  });

  it('/item/public_token/create gives a further public token of the Item', async () => {
    const { accessToken, itemId } = await rig.link();
    const created = (await rig.api.itemCreatePublicToken({ access_token: accessToken })).data;
    expect(created.public_token).toMatch(/^public-sandbox-/);
    const exchange = () => rig.api.itemPublicTokenExchange({ public_token: created.public_token });
    expect((await exchange()).data).toMatchObject({ access_token: accessToken, item_id: itemId });
    expect(await refusalOf(exchange())).toMatchObject({ error_code: 'INVALID_PUBLIC_TOKEN' });
    const late = (await rig.api.itemCreatePublicToken({ access_token: accessToken })).data;
    const now = (await rig.control<{ now: string }>('GET', '/_sim/clock')).now;
    expect(Date.parse(String(late.expiration)) - Date.parse(now)).toBe(30 * 60_000);
    expect(await refusalOf(rig.api.itemCreatePublicToken({ access_token: 'nope-nope-nope' }))).toMatchObject({
      error_type: 'INVALID_INPUT',
      error_code: 'INVALID_ACCESS_TOKEN',
    });
  });

  it('/webhook_verification_key/get knows the key of the sandbox, which signs nothing here', async () => {
    const key_id = '6c5516e1-92dc-479e-a8ff-5a51992e0001';
    const { key } = (await rig.api.webhookVerificationKeyGet({ key_id })).data;
    expect(key).toMatchObject({
      kid: key_id,
      alg: 'ES256',
      kty: 'EC',
      crv: 'P-256',
      use: 'sig',
      expired_at: null,
    });
    // The point that Plaid publishes is on the curve: the key can be read.
    await crypto.subtle.importKey(
      'jwk',
      { kty: key.kty, crv: key.crv, x: key.x, y: key.y },
      { name: 'ECDSA', namedCurve: 'P-256' },
      true,
      ['verify'],
    );
    const rotated = await rig.control<{ key: { kid: string } }>('POST', '/_sim/keys/rotate');
    expect(rotated.key.kid).not.toBe(key_id);
  });
});
