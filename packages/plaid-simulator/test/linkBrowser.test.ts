import { Products } from 'plaid';
import type { Browser, Page } from 'puppeteer-core';
import { startBrowser } from './browser.js';
import { FrontEnd, Visitor } from './frontEnd.js';
import { LINK_REQUEST, linkToken } from './linkRig.js';
import { Rig } from './rig.js';

let rig: Rig;
let browser: Browser;
let frontEnd: FrontEnd;
beforeAll(async () => {
  rig = await Rig.start({ transactionsPerItem: 20 });
  frontEnd = await FrontEnd.start(rig.url);
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await frontEnd?.stop();
  await rig.close();
});
afterEach(async () => {
  const [first, ...others] = await browser.pages();
  await first?.goto('about:blank');
  for (const page of others) await page.close();
});

const exchange = async (publicToken: unknown) =>
  (await rig.api.itemPublicTokenExchange({ public_token: String(publicToken) })).data;
const accountsOf = async (access_token: string) =>
  (await rig.api.accountsGet({ access_token })).data.accounts.map(({ mask }) => mask);

/** A user in the front end whose Link is open. */
async function visitor(token: string, width?: number): Promise<Visitor> {
  const user = await Visitor.open(browser, `${frontEnd.url}/?token=${token}`, width);
  await user.connect();
  return user;
}

describe('Plaid.create in a front end', () => {
  it('exits with the error when the token is none', async () => {
    const user = await visitor('link-sandbox-none');
    await user.sees('This link has expired');
    await user.types('Enter');
    const [error, metadata] = await user.given('onExit');
    expect(error).toEqual({
      error_type: 'INVALID_INPUT',
      error_code: 'INVALID_LINK_TOKEN',
      error_message: expect.any(String),
      display_message: null,
    });
    expect(metadata).toMatchObject({ institution: null, status: null });
    expect(await user.events()).toEqual(['OPEN', 'ERROR', '→ ERROR', 'EXIT']);
    expect(await user.page.evaluate(`try { Plaid.create({}) } catch (error) { error.message }`)).toContain(
      'token',
    );
  });

  it('links by keyboard alone: wrong password, right one, accounts', async () => {
    const user = await visitor(await linkToken(rig.api), 375);
    await user.sees('Connect your bank to Harbor Budget');
    await user.types('Enter');
    await user.searches('first platypus bank', 'ins_109508');
    await user.sees('Sign in to First Platypus Bank');
    await user.signsIn('user_good', 'pass_bad');
    await user.seesAlert('not right');
    await user.signsIn('user_good', 'pass_good');
    await user.sees('Choose what to share');
    const overflow = await user.frame.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
    expect(overflow).toBe(0);
    await user.frame.focus('input[name=account]');
    await user.types('Space', 'Enter');
    await user.sees('You are connected');
    await user.types('Enter');
    const [publicToken, metadata] = await user.given('onSuccess');
    expect(metadata).toEqual({
      institution: { institution_id: 'ins_109508', name: 'First Platypus Bank' },
      accounts: [
        {
          id: expect.any(String),
          name: 'Plaid Checking',
          mask: '0000',
          type: 'depository',
          subtype: 'checking',
          verification_status: null,
          class_type: null,
        },
      ],
      link_session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      transfer_status: null,
    });
    const submitted = ['SUBMIT_CREDENTIALS', '→ LOADING'];
    expect(await user.events()).toEqual([
      ...['OPEN', '→ CONSENT', '→ SELECT_INSTITUTION', 'SEARCH_INSTITUTION', 'SELECT_INSTITUTION'],
      ...['→ CREDENTIAL', ...submitted, 'ERROR', '→ CREDENTIAL', ...submitted],
      ...['→ SELECT_ACCOUNT', '→ CONNECTED', 'HANDOFF'],
    ]);
    const [, first] = (await user.calls())[1]?.given ?? [];
    expect(Object.keys(first).sort()).toEqual([
      ...['account_number_mask', 'brand_name', 'error_code', 'error_message', 'error_type', 'exit_status'],
      ...['institution_id', 'institution_name', 'institution_search_query', 'is_update_mode'],
      ...['link_session_id', 'match_reason', 'mfa_type', 'request_id', 'routing_number', 'selection'],
      ...['timestamp', 'view_name'],
    ]);
    expect((await user.calls())[0]?.callback).toBe('onLoad');
    const { access_token } = await exchange(publicToken);
    expect(await accountsOf(access_token)).toEqual(['0000']);
    expect(user.complaints).toEqual([]);
    expect(await user.page.$('dialog')).toBeNull();
  });

  it('asks for a second factor', async () => {
    const user = await visitor(await linkToken(rig.api));
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('tartan bank', 'ins_109511');
    await user.sees('Sign in');
    await user.signsIn('user_good', 'mfa_device');
    await user.sees('Confirm that it is you');
    await user.types('Space', 'Enter');
    await user.sees('Enter the code');
    await user.types('9999', 'Enter');
    await user.seesAlert('not right');
    await user.types('1234', 'Enter');
    await user.sees('Choose what to share');
    for (const box of await user.frame.$$('input[name=account]')) await box.click();
    await user.frame.locator('button[type=submit]').click();
    await user.sees('You are connected');
    await user.types('Enter');
    const [publicToken] = await user.given('onSuccess');
    expect(await accountsOf((await exchange(publicToken)).access_token)).toHaveLength(4);
  });

  it('is left by Escape, with a question, and can be opened again', async () => {
    const user = await visitor(await linkToken(rig.api));
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('tattersall', 'ins_109510');
    await user.sees('Sign in');
    await user.types('Escape');
    await user.sees('Leave without connecting?');
    await user.types('Tab', 'Enter');
    const [error, metadata] = await user.given('onExit');
    expect(error).toBeNull();
    expect(metadata).toEqual({
      institution: { institution_id: 'ins_109510', name: 'Tattersall Federal Credit Union' },
      status: 'requires_credentials',
      link_session_id: expect.any(String),
      request_id: expect.stringMatching(/^[A-Za-z0-9]{15}$/),
    });
    expect((await user.events()).slice(-2)).toEqual(['→ EXIT', 'EXIT']);
    await user.connect();
    await user.sees('Connect your bank');
    await user.page.evaluate('handler.exit({ force: true })');
    await user.page.waitForFunction(`!document.querySelector('dialog')`);
    await user.connect();
    await user.sees('Connect your bank');
    await user.page.evaluate('handler.destroy()');
    expect(await user.page.$('dialog')).toBeNull();
    expect(await user.page.evaluate(`try { handler.open() } catch (error) { error.message }`)).toContain(
      'destroyed',
    );
  });

  it('shows that a bank is down and offers another', async () => {
    const user = await visitor(await linkToken(rig.api));
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('tartan bank', 'ins_109511');
    await user.sees('Sign in');
    await user.signsIn('user_good', 'error_INSTITUTION_DOWN');
    await user.sees('Your bank is not answering');
    await user.types('Enter');
    await user.sees('Choose your bank');
    await user.searches('gingham', 'ins_109509');
    await user.sees('Sign in to First Gingham');
    await user.signsIn('user_good', 'error_ITEM_LOCKED');
    await user.sees('Your account is locked');
    await user.types('Tab', 'Enter');
    const [error] = await user.given('onExit');
    expect(error).toMatchObject({ error_type: 'ITEM_ERROR', error_code: 'ITEM_LOCKED' });
  });

  /** The user signs in at the bank and shares all but the first account. */
  async function goThroughBank(bank: Page): Promise<void> {
    await bank.waitForSelector('#field-username');
    await bank.type('#field-username', 'user_good');
    await bank.type('#field-password', 'pass_good');
    await bank.keyboard.press('Enter');
    await bank.waitForSelector('input[name=account]');
    await bank.locator('input[name=account]').click();
    await bank.locator('button[type=submit]').click();
  }

  it('sends the user to a bank in a window of its own', async () => {
    const user = await visitor(await linkToken(rig.api));
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('oauth', 'ins_127287');
    await user.sees('Continue at Platypus OAuth Bank');
    const opened = new Promise<Page>((resolve) => user.page.once('popup', (page) => page && resolve(page)));
    await user.types('Enter');
    await goThroughBank(await opened);
    await user.sees('You are connected');
    await user.types('Enter');
    const [publicToken] = await user.given('onSuccess');
    expect(await accountsOf((await exchange(publicToken)).access_token)).toEqual(['1111', '3333', '4444']);
    expect((await user.events()).slice(-4)).toEqual(['→ OAUTH', 'OPEN_OAUTH', '→ CONNECTED', 'HANDOFF']);
  });

  it('sends the user to a bank and is come back to by the redirect URI', async () => {
    const token = await linkToken(rig.api, {
      products: [Products.Transactions],
      redirect_uri: `${frontEnd.url}/back`,
    });
    const user = await visitor(token);
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('oauth', 'ins_127287');
    await user.sees('Continue at Platypus OAuth Bank');
    await user.types('Enter');
    await goThroughBank(user.page);
    await user.page.waitForFunction(`location.pathname === '/back'`);
    // An application keeps its token while the user is away; this one has it from its address.
    const back = new URL(user.page.url());
    back.searchParams.set('token', token);
    await user.page.goto(back.href);
    await user.enterFrame();
    await user.sees('You are connected');
    await user.types('Enter');
    const [publicToken] = await user.given('onSuccess');
    expect((await exchange(publicToken)).access_token).toMatch(/^access-/);
    expect(await user.events()).toEqual(['→ CONNECTED', 'HANDOFF']);
  });

  it('mends an Item in update mode', async () => {
    const { accessToken } = await rig.link();
    await rig.api.sandboxItemResetLogin({ access_token: accessToken });
    const user = await visitor(await linkToken(rig.api, { access_token: accessToken }));
    await user.sees('Sign in to First Platypus Bank again');
    await user.signsIn('user_good', 'pass_good');
    await user.sees('All set again');
    await user.types('Enter');
    const [publicToken, metadata] = await user.given('onSuccess');
    expect(publicToken).toBeNull();
    expect(metadata.accounts).toHaveLength(4);
    expect((await rig.api.itemGet({ access_token: accessToken })).data.item.error).toBeNull();
  });

  it('writes what others have named as text', async () => {
    const evil = '<img src=x onerror=alert(1)>';
    const token = await linkToken(rig.api, { client_name: evil, products: [Products.Transactions] });
    const user = await visitor(token);
    await user.sees(evil);
    expect(await user.frame.$('img[src=x]')).toBeNull();
    expect(user.complaints).toEqual([]);
  });

  it('hears nobody but its own frame, and is framed by nobody but its page', async () => {
    const token = await linkToken(rig.api);
    const user = await visitor(token);
    await user.sees('Connect your bank');
    const forged = { channel: 'sluice-link', type: 'success', public_token: 'forged', metadata: {} };
    await user.page.evaluate(`window.postMessage(${JSON.stringify(forged)}, '*')`);
    await user.frame.locator('button[aria-label=Close]').click();
    await user.given('onExit');
    expect((await user.calls()).filter(({ callback }) => callback === 'onSuccess')).toEqual([]);
    const thief = await FrontEnd.start(rig.url);
    try {
      const other = await Visitor.open(browser, `${thief.url}/?token=${token}`);
      const address = `${rig.url}/link?${new URLSearchParams({ token, origin: frontEnd.url }).toString()}`;
      await other.page.evaluate(`new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.src = ${JSON.stringify(address)};
        frame.onload = resolve;
        document.body.append(frame);
      })`);
      expect(other.complaints.join()).toContain('frame-ancestors');
    } finally {
      await thief.stop();
    }
  });
});

describe('a Hosted Link in the browser', () => {
  it('ends at the completion URI', async () => {
    const created = await rig.api.linkTokenCreate({
      ...LINK_REQUEST,
      products: [Products.Transactions],
      hosted_link: { completion_redirect_uri: `${frontEnd.url}/finished` },
    });
    const user = await Visitor.open(browser, String(created.data.hosted_link_url));
    await user.sees('Connect your bank');
    await user.types('Enter');
    await user.searches('oauth', 'ins_127287');
    await user.sees('Continue at');
    await user.types('Enter');
    await goToAndDeny(user.page);
    await user.sees('Not connected');
    await user.types('Tab', 'Enter');
    await user.page.waitForFunction(`location.pathname === '/finished'`);
    const [session] =
      (await rig.api.linkTokenGet({ link_token: created.data.link_token })).data.link_sessions ?? [];
    expect(session?.exit?.error?.error_code).toBe('INSUFFICIENT_CREDENTIALS');
  });

  async function goToAndDeny(bank: Page): Promise<void> {
    await bank.waitForSelector('.bank-card .quiet');
    await bank.locator('.bank-card .quiet').click();
  }
});
