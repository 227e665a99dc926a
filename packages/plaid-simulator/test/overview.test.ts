import { Products } from 'plaid';
import { clientFor, Rig } from './rig.js';

/** The page at `/_sim`: what people look at, made of data that anybody may have put into the world. */
describe('the overview', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 30 });
  });
  afterAll(() => rig.close());

  const page = async (query = '') => {
    const response = await fetch(`${rig.url}/_sim${query}`);
    return { headers: response.headers, text: await response.text() };
  };

  it('escapes what the world holds, and lets nothing but its own script run', async () => {
    const { itemId } = await rig.link({
      username: '<script>alert(1)</script>"\'&',
      webhook: 'http://127.0.0.1:9/"><img src=x onerror=alert(2)>',
    });
    await rig.control('POST', `/_sim/items/${itemId}/webhooks`, {
      webhook_type: '<b>',
      webhook_code: '</td><i>',
      drop: true,
    });
    await rig.control('POST', '/_sim/faults', { match: { path: '/<u>' }, fault: { status: 500 } });
    const { text, headers } = await page('?q=%22%3E%3Cscript%3E');
    for (const raw of ['<script>alert', '<img', '</td><i>', '/<u>', '"><script>'])
      expect(text).not.toContain(raw);
    const all = (await page()).text;
    for (const raw of ['<script>alert', '<img', '</td><i>', '/<u>']) expect(all).not.toContain(raw);
    expect(all).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;');
    expect(all).toContain('&lt;/td&gt;&lt;i&gt;');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(text).not.toMatch(/<[a-z]+[^>]* (on[a-z]+|style)=|<script(?! type="module" src="\/_sim)/);
    for (const [file, type] of [
      ['overview.js', 'text/javascript'],
      ['overview.css', 'text/css'],
    ]) {
      const asset = await fetch(`${rig.url}/_sim/${file}`);
      expect(asset.headers.get('content-type')).toContain(type);
    }
    await rig.control('DELETE', '/_sim/faults');
  });

  it('takes numbers of pages that make no sense for the first or the last', async () => {
    for (const query of ['?page=0', '?page=x', '?page=-3', '?page=1e9', '?page=1&page=2', '?q=a&q=b']) {
      expect((await page(query)).text).toContain('<h2>Items');
    }
  });

  it('shows Items by page and by search, with buttons that the controls understand', async () => {
    await rig.control('POST', '/_sim/reset', {});
    const links = [];
    for (let n = 0; n < 55; n += 1) links.push(await rig.link({ username: `user_${n}` }));
    const [first] = links;
    const rows = (text: string) => (text.match(/<code>[0-9A-Za-z]{12}…/g) ?? []).length;
    expect([rows((await page()).text), rows((await page('?page=2')).text)]).toEqual([50, 5]);
    expect((await page('?page=2')).text).toContain('user_0<');
    expect(rows((await page('?q=user_54')).text)).toBe(1);
    expect(rows((await page('?q=PLATYPUS')).text)).toBe(50);
    expect(rows((await page('?q=nobody')).text)).toBe(0);

    const press = async (label: string) => {
      const { text } = await page(`?q=${first?.itemId}`);
      const found = new RegExp(`data-path="([^"]+)"\\s+data-body="([^"]*)"\\s*>\\s*${label}\\s*<`).exec(text);
      if (!found) throw new Error(`no button ${label}`);
      const [, path = '', body = ''] = found;
      await rig.control('POST', path, JSON.parse(body.replaceAll('&quot;', '"')) as object);
      return (await page(`?q=${first?.itemId}`)).text;
    };
    expect(await press('finish pulls')).toContain('30 / 30');
    expect(await press('break login')).toContain('ITEM_LOGIN_REQUIRED');
    const { accessToken = '' } = first ?? {};
    await expect(rig.sync(accessToken)).rejects.toThrow('400');
    expect(await press('repair')).not.toContain('ITEM_LOGIN_REQUIRED');
    await rig.sync(accessToken);
    await press('notify');
    const { now } = await rig.control<{ now: string }>('GET', '/_sim/clock');
    await press('\\+1 hour');
    const later = await rig.control<{ now: string }>('GET', '/_sim/clock');
    expect(Date.parse(later.now) - Date.parse(now)).toBe(3_600_000);
  });

  it('shows which applications are connected with an Item, where there are several', async () => {
    await rig.control('POST', '/_sim/reset', {});
    const linked = await rig.link({ username: 'shared' });
    await rig.link({ username: 'alone' });
    const cells = async (query: string) =>
      [...(await page(query)).text.matchAll(/<td class="wide">(<b>.*?)<\/td>/gs)].map(([, text]) => text);
    expect(await cells('')).toEqual([]);
    const api = clientFor(rig.url, '<i>other&');
    const { public_token } = (
      await api.sandboxPublicTokenCreate({
        institution_id: 'ins_109508',
        initial_products: [Products.Transactions],
        options: { override_username: 'shared' },
      })
    ).data;
    const { access_token } = (await api.itemPublicTokenExchange({ public_token })).data;
    const other = '&lt;i&gt;other&amp;';
    expect(await cells('?q=shared')).toEqual([`<b>${other}</b>, client`, `<b>client</b>, ${other}`]);
    expect(await cells('?q=alone')).toEqual([]);
    expect(await cells(`?q=${encodeURIComponent('<i>OTHER')}`)).toEqual([`<b>${other}</b>, client`]);
    await rig.control('POST', `/_sim/items/${linked.itemId}/revoke`);
    expect(await cells('')).toEqual([]);
    await api.itemRemove({ access_token });
    expect(await cells('')).toEqual([]);
  });

  it('breaks logins with any code that Plaid has, and no other', async () => {
    const { itemId, accessToken } = await rig.link();
    const breaking = (body: object) => rig.control('POST', `/_sim/items/${itemId}/break`, body);
    await expect(breaking({ error_code: 'NO_SUCH_CODE' })).rejects.toMatchObject({ status: 400 });
    await breaking({ error_code: 'ITEM_LOCKED' });
    expect((await rig.api.itemGet({ access_token: accessToken })).data.item.error?.error_code).toBe(
      'ITEM_LOCKED',
    );
    await rig.api.itemRemove({ access_token: accessToken });
    await expect(breaking({})).rejects.toMatchObject({ status: 409 });
  });
});
