import { inflateSync } from 'node:zlib';
import { CountryCode, Products } from 'plaid';
import { durationMs, isCivilDate } from '../src/calendar.js';
import { SimulatedClock } from '../src/clock.js';
import { Schedule } from '../src/schedule.js';
import { refusalOf, Rig, until } from './rig.js';

describe('durations and dates', () => {
  it('are read as ISO 8601, anything else is none', () => {
    expect(durationMs('PT36H')).toBe(129_600_000);
    expect(durationMs('P1W2DT3H4M5.5S')).toBe(788_645_500);
    for (const bad of ['', 'P', 'PT', '36H', 'PT-1H', 'P1Y', 'P1DT']) expect(durationMs(bad)).toBeNull();
    expect(['2024-02-29', '2023-02-29', '2024-2-9', '2024-13-01'].map(isCivilDate)).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('the schedule', () => {
  const setUp = () => {
    const clock = new SimulatedClock({ simBase: 0, scale: 0 });
    const errors: unknown[] = [];
    return {
      clock,
      errors,
      schedule: new Schedule(clock, (error) => errors.push(error)),
      done: [] as string[],
    };
  };

  it('runs what falls due in order, each step at its own time, and steps that steps add', async () => {
    const { clock, schedule, done } = setUp();
    const note = (name: string) => () => {
      done.push(`${name}@${clock.now()}`);
    };
    schedule.at(300, 'x', note('c'));
    schedule.at(100, 'x', note('a'));
    schedule.at(100, 'y', note('b'));
    schedule.at(200, 'x', () => schedule.at(250, 'x', note('added')));
    schedule.at(1001, 'x', note('late'));
    await schedule.advance(1000);
    expect(done).toEqual(['a@100', 'b@100', 'added@250', 'c@300']);
    expect(clock.now()).toBe(1000);
    expect(schedule.size).toBe(1);
    await schedule.close();
  });

  it('waits for what a step has begun, also for the retry that follows it', async () => {
    const { clock, schedule, done } = setUp();
    schedule.at(10, 'x', async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      done.push('first');
      schedule.at(40, 'x', () => {
        done.push(`retry@${clock.now()}`);
      });
    });
    await schedule.advance(1000);
    expect(done[0]).toBe('first');
    expect(done).toHaveLength(2);
    await schedule.close();
  });

  it('goes on after a step that throws, and runs on time by itself', async () => {
    const { clock, schedule, done, errors } = setUp();
    schedule.at(1, 'x', () => {
      throw new Error('broken step');
    });
    schedule.at(2, 'x', () => Promise.reject(new Error('broken promise')));
    schedule.at(3, 'x', () => {
      done.push('still');
    });
    clock.setScale(1000);
    schedule.rearm();
    await until(() => done.length > 0 && errors.length > 1);
    expect(done).toEqual(['still']);
    expect(errors).toHaveLength(2);
    await schedule.close();
  });

  it('keeps many steps in order', async () => {
    const { clock, schedule } = setUp();
    const seen: number[] = [];
    for (let n = 0; n < 500; n += 1) schedule.at((n * 7919) % 503, 'x', () => void seen.push(clock.now()));
    await schedule.advance(1000);
    expect(seen).toHaveLength(500);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    await schedule.close();
  });
});

describe('a world', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({
      institutions: 120,
      transactionsPerItem: 400,
      now: Date.parse('2026-11-21T00:00:00Z'),
    });
  });
  afterAll(() => rig.close());

  it('is the same for the same seed, and another for another', async () => {
    const build = async (seed: string) => {
      await rig.control('POST', '/_sim/reset', { seed });
      const { itemId, accessToken } = await rig.link();
      await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
      const truth = await rig.truth(itemId);
      return { accessToken, truth };
    };
    const first = await build('one');
    expect(await build('one')).toEqual(first);
    expect((await build('two')).truth.transactions).not.toEqual(first.truth.transactions);
    expect(await rig.control('GET', '/_sim/items')).toMatchObject({ items: [{ phase: 'idle' }] });
  });

  it('has data like a bank’s', async () => {
    const { itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const { transactions } = await rig.truth(itemId);
    const share = (test: (t: (typeof transactions)[number]) => boolean) => transactions.filter(test).length;
    expect(transactions).toHaveLength(400);
    expect(new Set(transactions.map(({ transaction_id }) => transaction_id)).size).toBe(400);
    expect(share(({ pending }) => pending)).toBeGreaterThanOrEqual(2);
    expect(share(({ amount }) => amount < 0)).toBeGreaterThan(10);
    expect(share(({ amount }) => !Number.isInteger(Math.round(amount * 1e6) / 1e4))).toBeGreaterThan(5);
    expect(share(({ name }) => name.endsWith('Refund'))).toBeGreaterThan(2);
    expect(new Set(transactions.map(({ account_id }) => account_id)).size).toBe(4);
    expect(new Set(transactions.map(({ iso_currency_code }) => iso_currency_code))).toEqual(
      new Set(['USD', 'CAD']),
    );
    const dates = transactions.map(({ date }) => date).sort();
    expect(dates.at(-1)).toBe('2026-11-21');
    expect(dates[0]?.slice(0, 7)).toBe('2024-11');
    for (const row of transactions) {
      expect((row.iso_currency_code === null) !== (row.unofficial_currency_code === null)).toBe(true);
      expect(row.transaction_id).toMatch(/^[0-9A-Za-z]{37}$/);
    }
  });

  it('shows the same user the same accounts again, under new ids', async () => {
    const look = async (institution: string, username: string) => {
      const { accessToken } = await rig.link({ institution, username });
      const token = { access_token: accessToken };
      const { accounts } = (await rig.api.accountsGet(token)).data;
      const { numbers } = (await rig.api.authGet(token)).data;
      return {
        ids: accounts.map(({ account_id }) => account_id),
        like: accounts.map((a) => [a.name, a.mask, a.type, a.subtype, a.persistent_account_id ?? null]),
        numbers: numbers.ach.map(({ account, is_tokenized_account_number }) => [
          account,
          is_tokenized_account_number,
        ]),
      };
    };
    const one = await look('ins_109508', 'user_good');
    const two = await look('ins_109508', 'user_good');
    expect(two.like).toEqual(one.like);
    expect(two.ids.some((id) => one.ids.includes(id))).toBe(false);
    expect(two.numbers).toEqual(one.numbers);
    expect(one.like.slice(0, 2).map(([, mask]) => mask)).toEqual(['0000', '1111']);
    expect(one.like.every(([, , , , persistent]) => persistent === null)).toBe(true);
    expect((await look('ins_109508', 'somebody')).like).not.toEqual(one.like);
    const chase = await look('ins_56', 'user_good');
    const again = await look('ins_56', 'user_good');
    expect(again.like).toEqual(chase.like);
    expect(chase.like.filter(([, , , , persistent]) => persistent !== null)).toHaveLength(3);
    expect(chase.numbers.every(([, tokenized]) => tokenized)).toBe(true);
    expect(again.numbers).not.toEqual(chase.numbers);
  });

  it('has institutions that can be listed, searched and looked at', async () => {
    const us = [CountryCode.Us];
    const all = [CountryCode.Us, CountryCode.Ca, CountryCode.Gb];
    const pages = [];
    for (let offset = 0; offset < 120; offset += 50) {
      const { data } = await rig.api.institutionsGet({ count: 50, offset, country_codes: all });
      expect(data.total).toBe(119);
      pages.push(...data.institutions);
    }
    expect(new Set(pages.map(({ institution_id }) => institution_id)).size).toBe(119);
    expect(pages.some((institution) => 'logo' in institution || 'url' in institution)).toBe(false);
    const found = await rig.api.institutionsSearch({ query: 'platypus', country_codes: us, products: null });
    expect(found.data.institutions.length).toBeGreaterThan(1);
    expect(found.data.institutions.length).toBeLessThanOrEqual(10);
    const { institution } = (
      await rig.api.institutionsGetById({
        institution_id: 'ins_109508',
        country_codes: us,
        options: { include_optional_metadata: true, include_status: true },
      })
    ).data;
    expect(institution).toMatchObject({ name: 'First Platypus Bank', oauth: false });
    expect(institution.primary_color).toMatch(/^#[0-9a-f]{6}$/);
    expect(institution.status?.transactions_updates?.status).toBe('HEALTHY');
    const png = Buffer.from(institution.logo ?? '', 'base64');
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([152, 152]);
    const data = png.indexOf('IDAT');
    expect(inflateSync(png.subarray(data + 4, data + 4 + png.readUInt32BE(data - 4)))).toHaveLength(152 * 20);
    const get = (institution_id: string, country_codes: CountryCode[]) =>
      refusalOf(rig.api.institutionsGetById({ institution_id, country_codes }));
    // One that takes no new Items is in no list, but it is there.
    const unsupported = { institution_id: 'ins_133402', country_codes: us };
    expect(pages.some(({ institution_id }) => institution_id === unsupported.institution_id)).toBe(false);
    const search = { query: 'Unsupported', country_codes: us, products: null };
    expect((await rig.api.institutionsSearch(search)).data.institutions).toEqual([]);
    expect((await rig.api.institutionsGetById(unsupported)).data.institution).toMatchObject({
      connection_availability: 'NOT_SUPPORTED',
    });
    expect(institution).toMatchObject({ connection_availability: 'SUPPORTED' });
    expect((await get('ins_0', us)).error_code).toBe('INVALID_INSTITUTION');
    expect((await get('ins_109508', [CountryCode.Gb])).error_code).toBe('INVALID_INSTITUTION');
    expect(
      (await refusalOf(rig.api.institutionsGet({ count: 501, offset: 0, country_codes: us }))).error_code,
    ).toBe('INVALID_FIELD');
  });

  it('makes link tokens, and goes through Link with them', async () => {
    const base = {
      client_name: 'Sluice',
      language: 'en',
      country_codes: [CountryCode.Us],
      user: { client_user_id: 'u' },
    };
    expect(await refusalOf(rig.api.linkTokenCreate(base))).toMatchObject({ error_code: 'MISSING_FIELDS' });
    expect(await refusalOf(rig.api.linkTokenCreate({ ...base, products: [Products.Balance] }))).toMatchObject(
      { error_code: 'INVALID_PRODUCT' },
    );
    const { data } = await rig.api.linkTokenCreate({
      ...base,
      products: [Products.Transactions],
      webhook: 'https://app.example.com/hook',
      transactions: { days_requested: 365 },
    });
    const hours = (Date.parse(data.expiration) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(3.9);
    expect(hours).toBeLessThanOrEqual(4);
    const got = (await rig.api.linkTokenGet({ link_token: data.link_token })).data;
    expect(got.metadata).toMatchObject({
      initial_products: ['transactions'],
      webhook: 'https://app.example.com/hook',
    });
    const done = await rig.control<{ item_id: string; public_token: string }>('POST', '/_sim/link', {
      link_token: data.link_token,
    });
    const { access_token } = (await rig.api.itemPublicTokenExchange({ public_token: done.public_token }))
      .data;
    expect((await rig.api.itemGet({ access_token })).data.item.webhook).toBe('https://app.example.com/hook');
    await rig.api.sandboxItemResetLogin({ access_token });
    expect(
      await refusalOf(rig.api.linkTokenCreate({ ...base, access_token, products: [Products.Transactions] })),
    ).toMatchObject({ error_code: 'INVALID_FIELD' });
    const update = (await rig.api.linkTokenCreate({ ...base, access_token })).data;
    expect(await rig.control('POST', '/_sim/link', { link_token: update.link_token })).toMatchObject({
      mode: 'update',
      item_id: done.item_id,
    });
    expect((await rig.api.itemGet({ access_token })).data.item.error).toBeNull();
    await rig.api.itemRemove({ access_token });
    expect(await refusalOf(rig.api.linkTokenCreate({ ...base, access_token }))).toMatchObject({
      error_code: 'ITEM_NOT_FOUND',
    });
  });

  it('lets accounts change', async () => {
    const { itemId, accessToken } = await rig.link();
    const { accounts } = (await rig.api.accountsGet({ access_token: accessToken })).data;
    const account_id = accounts[0]?.account_id;
    await rig.control('POST', `/_sim/items/${itemId}/accounts`, {
      modify: [{ account_id, balances: { current: 5, available: null }, name: 'Renamed' }],
    });
    const after = (await rig.api.accountsBalanceGet({ access_token: accessToken })).data.accounts;
    expect(after[0]).toEqual({
      ...accounts[0],
      name: 'Renamed',
      balances: { ...accounts[0]?.balances, current: 5, available: null },
    });
    expect(after.slice(1)).toEqual(accounts.slice(1));
  });

  it('asks for a new login after so many days when told to', async () => {
    const strict = await Rig.start({ loginExpiresAfterDays: 30 });
    const { accessToken } = await strict.link();
    await strict.advance('P29D');
    expect((await strict.api.itemGet({ access_token: accessToken })).data.item.error).toBeNull();
    await strict.advance('P1D');
    expect((await strict.api.itemGet({ access_token: accessToken })).data.item.error?.error_code).toBe(
      'ITEM_LOGIN_REQUIRED',
    );
    await strict.close();
  });
});
