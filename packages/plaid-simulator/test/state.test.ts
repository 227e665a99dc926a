import { spawn, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clientFor, Receiver, Rig, until } from './rig.js';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

describe('the state file', () => {
  let folder: string;
  let state: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    state = join(folder, 'world.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('brings back world, keys, clock and webhooks under way', async () => {
    const receiver = new Receiver();
    const webhook = await receiver.start();
    receiver.answers.push({ status: 500 });
    let rig = await Rig.start({ state });
    const { itemId, accessToken, publicToken } = await rig.link({ webhook });
    await rig.advance('PT15S');
    const half = await rig.run(accessToken);
    const first = (await rig.truth(itemId)).transactions[0]?.transaction_id;
    await rig.change(itemId, { remove: [first], add: [{ amount: 3.14159, name: 'Kept' }] });
    await until(() => receiver.received.length === 1);
    const truth = await rig.truth(itemId);
    const { now } = await rig.control<{ now: string }>('GET', '/_sim/clock');
    const [delivery] = await rig.deliveries(itemId);
    await rig.close();
    expect(readdirSync(folder)).toEqual(['world.jsonl']);

    rig = await Rig.start({ state, seed: 'another', now: 0 });
    expect(await rig.truth(itemId)).toEqual(truth);
    expect((await rig.control<{ now: string }>('GET', '/_sim/clock')).now).toBe(now);
    expect(await rig.deliveries(itemId)).toEqual([delivery]);
    const delta = await rig.run(accessToken, half.cursor);
    expect(delta.added.map(({ name }) => name)).toEqual(['Kept']);
    expect(delta.removed.map(({ transaction_id }) => transaction_id)).toEqual([first]);
    await expect(rig.api.itemPublicTokenExchange({ public_token: publicToken })).rejects.toThrow('400');
    await rig.advance('PT1M');
    expect(receiver.codes()).toEqual([
      'INITIAL_UPDATE',
      'INITIAL_UPDATE',
      'HISTORICAL_UPDATE',
      'SYNC_UPDATES_AVAILABLE',
    ]);
    for (const received of receiver.received) await rig.verify(received);
    expect((await rig.run(accessToken)).added).toHaveLength(60);
    const other = await rig.link();
    expect(other.itemId).not.toBe(itemId);
    await rig.close();
    await receiver.stop();
  });

  it('brings back what was done to accounts and told of streams', async () => {
    const rents = ['2026-03-01', '2026-04-01', '2026-05-01'].map((date) => ({
      date_transacted: date,
      date_posted: date,
      amount: 1500,
      description: 'RENT',
    }));
    const account = { type: 'depository', subtype: 'checking' };
    const accounts = [rents, []].map((transactions) => ({ ...account, transactions }));
    let rig = await Rig.start({ state, now: Date.parse('2026-05-20T00:00:00Z') });
    const { itemId, accessToken } = await rig.link({
      institution: 'ins_56',
      username: 'user_custom',
      password: JSON.stringify({ override_accounts: accounts }),
      webhook: 'http://127.0.0.1:9/hook',
    });
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const [first, second] = (await rig.truth(itemId)).accounts;
    const { churned } = await rig.control<{ churned: { new_account_id: string }[] }>(
      'POST',
      `/_sim/items/${itemId}/churn`,
      { account_ids: [first?.account_id] },
    );
    await rig.control('POST', `/_sim/items/${itemId}/revoke-numbers`, { account_ids: [second?.account_id] });
    const recurring = () => rig.api.transactionsRecurringGet({ access_token: accessToken });
    const before = (await recurring()).data.outflow_streams;
    expect(before).toHaveLength(1);
    const truth = await rig.truth(itemId);
    await rig.close();

    rig = await Rig.start({ state });
    expect(await rig.truth(itemId)).toEqual(truth);
    expect((await recurring()).data.outflow_streams).toEqual(before);
    const { numbers } = (await rig.api.authGet({ access_token: accessToken })).data;
    expect(numbers.ach.map(({ account_id }) => account_id)).toEqual([churned[0]?.new_account_id]);
    const add = { account_id: churned[0]?.new_account_id, amount: 1500, name: 'RENT', date: '2026-06-01' };
    await rig.change(itemId, { add: [add], notify: true });
    expect((await rig.deliveries(itemId)).at(-1)?.webhook_code).toBe('RECURRING_TRANSACTIONS_UPDATE');
    await rig.close();
  });

  it('forgets what a reset has forgotten', async () => {
    let rig = await Rig.start({ state });
    await rig.link();
    await rig.control('POST', '/_sim/reset', { seed: 'fresh' });
    const { itemId } = await rig.link();
    // The file as a kill -9 would leave it here: an orderly stop writes it anew.
    const left = join(folder, 'left');
    copyFileSync(state, left);
    await rig.close();
    rig = await Rig.start({ state: left });
    const { items } = await rig.control<{ items: { item_id: string }[] }>('GET', '/_sim/items');
    expect(items.map((item) => item.item_id)).toEqual([itemId]);
    await rig.close();
  });

  it('ignores half a line at its end, and refuses damage before it', async () => {
    let rig = await Rig.start({ state });
    const { itemId } = await rig.link();
    await rig.close();
    appendFileSync(state, '{"kind":"item","fac');
    rig = await Rig.start({ state });
    expect((await rig.truth(itemId)).item_id).toBe(itemId);
    await rig.close();
    writeFileSync(state, `{"kind":\n${readFileSync(state, 'utf8')}`);
    await expect(Rig.start({ state })).rejects.toThrow('damaged');
    writeFileSync(state, '{"kind":"world","world":{"version":0}}\n');
    await expect(Rig.start({ state })).rejects.toThrow('version');
  });
});

describe('the command', () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  const start = async (...args: string[]) => {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
      // jest's own flags are not the child's business.
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    await until(() => out.includes('\n') || child.exitCode !== null);
    return { child, out: () => out, err: () => err };
  };

  it('refuses arguments that make no sense, all at once', async () => {
    const { child, err } = await start('--port', 'x', '--limits', 'some', '--client', 'alone');
    await until(() => child.exitCode !== null && err().includes('--client'));
    expect(child.exitCode).toBe(2);
    expect(err()).toMatch(/--limits[\s\S]*--client[\s\S]*--port/);
  });

  it('says where it listens, keeps its world over kill -9, and stops cleanly on SIGTERM', async () => {
    const args = ['--state', join(folder, 'state'), '--transactions-per-item', '40', '--seed', 's'];
    const first = await start(...args);
    const listening = JSON.parse(first.out()) as { event: string; url: string };
    expect(listening.event).toBe('listening');
    const api = clientFor(listening.url);
    const created = await api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: ['transactions' as never],
    });
    const { data } = await api.itemPublicTokenExchange({ public_token: created.data.public_token });
    // No pause here: an answered exchange is on disk.
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    const second = await start(...args);
    const { url } = JSON.parse(second.out()) as { url: string };
    const item = await clientFor(url).itemGet({ access_token: data.access_token });
    expect(item.data.item.item_id).toBe(data.item_id);
    second.child.kill('SIGTERM');
    await once(second.child, 'exit');
    expect(second.child.exitCode).toBe(0);
    expect(second.err()).toBe('');
    expect(readdirSync(folder)).toEqual(['state']);
  });
});
