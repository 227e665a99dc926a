import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Rig } from './rig.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./python/life.py', import.meta.url));
/** Plaid's own client, and a library for JWTs that shares nothing with ours. */
const packages = ['plaid-python==46.0.0', 'pyjwt[crypto]==2.15.1'];

const python = await run('python3', ['-m', 'venv', '--help'], { timeout: 20_000 }).then(
  () => true,
  () => false,
);
if (!python)
  process.stderr.write('no python3 with venv here: the test with Plaid’s Python client is skipped\n');

(python ? describe : describe.skip)("Plaid's own client for Python", () => {
  let rig: Rig;
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-python-'));
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 250 });
  });
  afterAll(async () => {
    await rig.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('goes through the life of an Item: link, sync, verified webhooks, error, repair, removal', async () => {
    await run('python3', ['-m', 'venv', dir], { timeout: 120_000 });
    const bin = path.join(dir, 'bin');
    await run(path.join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages], {
      timeout: 300_000,
    });
    const { stdout } = await run(path.join(bin, 'python'), [script, rig.url], { timeout: 120_000 });
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
});
