import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { call, REQUESTS, type Scene } from './endpoints.js';
import { Rig } from './rig.js';

const run = promisify(execFile);
const scriptOf = (name: string) => fileURLToPath(new URL(`./python/${name}.py`, import.meta.url));
/** Plaid's own client, and a library for JWTs that shares nothing with ours. */
const packages = ['plaid-python==46.0.0', 'pyjwt[crypto]==2.15.1'];

/** Endpoints that end the Item or its token. */
const ENDING = ['/item/access_token/invalidate', '/item/products/terminate', '/item/remove'];

const python = await run('python3', ['-m', 'venv', '--help'], { timeout: 120_000 }).then(
  () => true,
  () => false,
);
if (!python)
  process.stderr.write('no python3 with venv here: the test with Plaid’s Python client is skipped\n');

(python ? describe : describe.skip)("Plaid's own client for Python", () => {
  let rig: Rig;
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-python-'));
  const bin = path.join(dir, 'bin');
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 250, now: Date.now() });
    await run('python3', ['-m', 'venv', dir], { timeout: 300_000 });
    // Of the client's two thousand modules few are ever read.
    const options = ['--quiet', '--disable-pip-version-check', '--no-compile'];
    await run(path.join(bin, 'pip'), ['install', ...options, ...packages], { timeout: 300_000 });
  }, 600_000);
  afterAll(async () => {
    await rig.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('goes through the life of an Item: link, sync, verified webhooks, error, repair, removal', async () => {
    const { stdout } = await run(path.join(bin, 'python'), [scriptOf('life'), rig.url], { timeout: 300_000 });
    const seen = JSON.parse(stdout) as Record<string, unknown> & { item_id: string; transactions: string[] };
    expect(seen).toMatchObject({
      link_token: expect.stringMatching(/^link-sandbox-/) as string,
      news: true,
      error_webhook: 'ITEM_LOGIN_REQUIRED',
      broken: 'ITEM_LOGIN_REQUIRED',
      removed: 'ITEM_NOT_FOUND',
    });
    // All the truth has, but for the row that the bank booked later.
    const truth = await rig.truth(seen.item_id);
    const live = truth.transactions.filter(({ name }) => name !== 'News').map((row) => row.transaction_id);
    expect(seen.transactions).toEqual(live.sort());
    expect(seen).toMatchObject({
      accounts: truth.accounts.filter(({ closed }) => !closed).length,
      pages: Math.ceil(live.length / 100),
    });
  }, 600_000);

  it('reads the answers of all endpoints that it knows', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const { data } = await rig.api.accountsGet({ access_token: accessToken });
    const scene: Scene = { rig, accessToken, itemId, accountId: data.accounts[0]?.account_id ?? '' };
    const bodies: Record<string, unknown> = {};
    for (const [endpoint, request] of Object.entries(REQUESTS)) {
      if (ENDING.includes(endpoint) || endpoint.startsWith('/sandbox/')) continue;
      const answer = await call(rig, endpoint, await request(scene));
      expect(`${endpoint} ${answer.status}`).toBe(`${endpoint} 200`);
      bodies[endpoint] = answer.body;
    }
    const [answers, unread] = ['answers.json', 'unread.json'].map((name) => path.join(dir, name));
    writeFileSync(answers ?? '', JSON.stringify(bodies));
    await run(path.join(bin, 'python'), [scriptOf('answers'), answers ?? '', unread ?? ''], {
      timeout: 300_000,
    });
    expect(JSON.parse(readFileSync(unread ?? '', 'utf8'))).toEqual({});
    expect(Object.keys(bodies)).toEqual(expect.arrayContaining(['/institutions/get', '/transactions/sync']));
  });
});
