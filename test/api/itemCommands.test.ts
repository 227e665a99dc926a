import { Failure } from '../../domain/failures.js';
import type { ItemSignal } from '../../domain/ports/gateway.js';
import { createWorld, down, itemView } from './world.js';

const world = createWorld();
const { app, keys, deps } = world;
afterAll(() => app.close());

const told: ItemSignal[] = [];
const removals: boolean[] = [];
const usual = { ...deps.commands };
beforeEach(() => {
  told.length = 0;
  removals.length = 0;
  Object.assign(deps.commands, usual);
  deps.commands.requestRemoval = async (_itemId, { force }) => {
    removals.push(force);
    return 'requested';
  };
  deps.gateway.signalItem = async (_itemId, _userId, signal) => void told.push(signal);
});

const ask = (method: 'DELETE' | 'PATCH' | 'POST', url: string, headers = keys.all, payload?: object) =>
  app.inject({ method, url: `/v1/items/${url}`, headers, ...(payload === undefined ? {} : { payload }) });
const answerOf = (answer: Awaited<ReturnType<typeof ask>>) => [
  answer.statusCode,
  answer.body === '' ? '' : (answer.json().code ?? 'ok'),
];

describe('a removal', () => {
  it('is not forced by a key without admin, and nothing is asked for', async () => {
    expect(answerOf(await ask('DELETE', 'item-1?force=true', keys.write))).toEqual([
      403,
      'insufficient_scope',
    ]);
    expect([removals, told]).toEqual([[], []]);
    expect(answerOf(await ask('DELETE', 'item-1?force=true', keys.admin))).toEqual([204, '']);
    expect(answerOf(await ask('DELETE', 'item-1', keys.write))).toEqual([204, '']);
    expect(removals).toEqual([true, false]);
  });

  it('is told to the workflow with each request until it has come to its end', async () => {
    expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([204, '']);
    expect(told).toEqual([{ kind: 'removalRequested' }]);
    deps.commands.requestRemoval = async () => 'pending';
    expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([204, '']);
    expect(told).toEqual([{ kind: 'removalRequested' }, { kind: 'removalRequested' }]);
    deps.commands.requestRemoval = async () => 'already';
    expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([204, '']);
    deps.commands.requestRemoval = async () => 'active_float';
    expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([409, 'active_float']);
    expect(told).toHaveLength(2);
  });

  it('stands although Temporal is down: the sweep tells it later', async () => {
    deps.gateway.signalItem = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([204, '']);
  });

  it('that Temporal refuses to be told of stands too, and is logged as an error: no outage ends by it', async () => {
    const levels: number[] = [];
    for (const type of ['ORCHESTRATOR_DOWN', 'ORCHESTRATOR_REFUSED', 'MISCONFIGURED'] as const) {
      world.logged.length = 0;
      deps.gateway.signalItem = () => Promise.reject(new Failure(type, 'no'));
      expect(answerOf(await ask('DELETE', 'item-1'))).toEqual([204, '']);
      const line = world.logged.map((text) => JSON.parse(text) as { level: number; type?: string });
      levels.push(line.find((one) => one.type === type)?.level ?? 0);
    }
    expect(levels).toEqual([40, 50, 50]);
  });
});

describe('a main account', () => {
  const choose = (account: string) => ask('PATCH', 'item-1', keys.write, { main_account_id: account });

  it('that is chosen is told to the workflow, which publishes it; one that is refused is not', async () => {
    expect(answerOf(await choose('account-9'))).toEqual([422, 'unknown_account']);
    deps.commands.setMainAccount = async () => 'item_removed';
    expect(answerOf(await choose('account-1'))).toEqual([409, 'item_removed']);
    expect(told).toEqual([]);
    Object.assign(deps.commands, usual);
    expect(answerOf(await choose('account-1'))).toEqual([200, 'ok']);
    expect(told).toEqual([{ kind: 'foundDue' }]);
  });
});

describe('a remine', () => {
  it('is told with its number, and refused for a removed item', async () => {
    deps.commands.requestRemine = async () => ({ number: 3 });
    const asked = await ask('POST', 'item-1/remine');
    expect([asked.statusCode, asked.json()]).toEqual([202, { workflow_id: 'item/item-1/remine/3' }]);
    expect(told).toEqual([{ kind: 'remineRequested', number: 3 }]);
    deps.commands.requestRemine = async () => 'item_removed';
    expect(answerOf(await ask('POST', 'item-1/remine'))).toEqual([409, 'item_removed']);
    expect(told).toHaveLength(1);
  });
});

describe('a user who has been through update mode', () => {
  const relinked = () => ask('POST', 'item-1/relinked');

  it('is told to the workflow, whatever Plaid says and whatever fails', async () => {
    const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    const view = await deps.plaid.getItem('token');
    const marked: string[] = [];
    deps.items.setHealthy = async () => marked.push('healthy') > 0;
    deps.items.setBroken = async (_itemId, _seen, error) => marked.push(error.error_code) > 0;
    deps.plaid.getItem = async () => ({ ...view, error: null });
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    deps.plaid.getItem = async () => ({ ...view, error: loginRequired });
    expect(answerOf(await relinked())).toEqual([409, 'login_required']);
    expect(marked).toEqual(['healthy', 'ITEM_LOGIN_REQUIRED']);
    deps.plaid.getItem = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'Plaid is down'));
    expect(answerOf(await relinked())).toEqual([502, 'plaid_unreachable']);
    // A database that is down is no fault of Plaid's.
    deps.plaid.getItem = async () => ({ ...view, error: null });
    deps.items.setHealthy = down;
    expect(answerOf(await relinked())).toEqual([503, 'unavailable']);
    expect(told).toEqual(Array.from({ length: 4 }, () => ({ kind: 'relinked' })));
  });

  it("is healthy by Plaid's word also where neither Plaid takes our address for webhooks nor the alert is stored", async () => {
    const view = await deps.plaid.getItem('token');
    const { updateWebhook } = deps.plaid;
    const { store } = world.behave;
    deps.items.setHealthy = async () => true;
    deps.plaid.getItem = async () => ({ ...view, webhook: 'https://elsewhere.example/hook' });
    deps.plaid.updateWebhook = () => Promise.reject(new Failure('BAD_REQUEST', 'no such address'));
    world.behave.store = down;
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    world.behave.store = store;
    Object.assign(deps.plaid, { getItem: async () => view, updateWebhook });
  });

  it('loses nothing by one answer that calls the permission taken back, or the accounts gone', async () => {
    const view = await deps.plaid.getItem('token');
    const written: string[] = [];
    deps.items.setHealthy = async () => written.push('healthy') > 0;
    deps.items.setBroken = async (_itemId, _seen, error) => written.push(error.error_code) > 0;
    const says = (error_code: string, times: number): void => {
      let left = times;
      deps.plaid.getItem = async () =>
        (left -= 1) >= 0 ? { ...view, error: { error_type: 'ITEM_ERROR', error_code } } : view;
    };
    for (const code of ['USER_PERMISSION_REVOKED', 'NO_ACCOUNTS']) {
      says(code, 1);
      expect(answerOf(await relinked())).toEqual([200, 'ok']);
      says(code, 2);
      expect((await relinked()).statusCode).toBe(409);
    }
    expect(written).toEqual(['healthy', 'USER_PERMISSION_REVOKED', 'healthy', 'NO_ACCOUNTS']);
  });

  it('gets nothing back by one word of /item/get alone after a permission was taken back', async () => {
    const item = itemView('item-revoked', 'user-1', {
      status: 'ERROR',
      error: {
        error_type: 'ITEM_ERROR',
        error_code: 'USER_PERMISSION_REVOKED',
        since: '2026-11-01T00:00:00.000Z',
        update_mode: false,
      },
    });
    world.items.set(item.item_id, item);
    const { syncTransactions } = deps.plaid;
    const written: string[] = [];
    deps.items.setHealthy = async () => written.push('healthy') > 0;
    deps.items.setBroken = async (_itemId, _seen, error) => written.push(error.error_code) > 0;
    const revoked = { error_type: 'INVALID_INPUT', error_code: 'USER_PERMISSION_REVOKED', request_id: 'r' };
    const visit = () => ask('POST', `${item.item_id}/relinked`);
    deps.plaid.syncTransactions = () =>
      Promise.reject(new Failure('PERMISSION_REVOKED', 'no', { upstream: revoked }));
    expect(answerOf(await visit())).toEqual([409, 'login_required']);
    deps.plaid.syncTransactions = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'Plaid is down'));
    expect(answerOf(await visit())).toEqual([502, 'plaid_unreachable']);
    deps.plaid.syncTransactions = syncTransactions;
    expect((await visit()).statusCode).toBe(200);
    expect(written).toEqual(['USER_PERMISSION_REVOKED', 'healthy']);
  });

  it('is asked for the data where a product call had met the error: /item/get never knew of it', async () => {
    const consent = {
      error_type: 'INVALID_INPUT',
      error_code: 'ADDITIONAL_CONSENT_REQUIRED',
      request_id: 'r',
    };
    const asking = deps.reads.asking.bind(deps.reads);
    const { syncTransactions } = deps.plaid;
    const view = await deps.plaid.getItem('token');
    deps.plaid.getItem = async () => ({ ...view, consent_expiration_time: '2027-01-01T00:00:00.000Z' });
    deps.reads.asking = async (viewer, itemId, need) => {
      const before = await asking(viewer, itemId, need);
      return before === null || 'refusal' in before ? before : { ...before, episodeBy: 'call', cursor: 'c7' };
    };
    const asked: string[] = [];
    const written: unknown[] = [];
    deps.items.setHealthy = async (_itemId, _seen, expires) => written.push(['healthy', expires]) > 0;
    deps.items.setBroken = async (_itemId, _seen, error, _dueAt, found) =>
      written.push([error.error_code, found]) > 0;
    deps.plaid.syncTransactions = async (_token, cursor) => {
      asked.push(cursor);
      throw new Failure('CONSENT_REQUIRED', 'no consent', { upstream: consent });
    };
    expect(answerOf(await relinked())).toEqual([409, 'login_required']);
    deps.plaid.syncTransactions = () => Promise.reject(new Failure('INSTITUTION_DOWN', 'the bank is down'));
    expect(answerOf(await relinked())).toEqual([502, 'institution_unavailable']);
    world.alerts.length = 0;
    const right = { error_type: 'INVALID_INPUT', error_code: 'UNAUTHORIZED_ROUTE_ACCESS', request_id: 'r' };
    deps.plaid.syncTransactions = () =>
      Promise.reject(new Failure('MISCONFIGURED', 'no right', { upstream: right }));
    expect((await relinked()).statusCode).toBe(424);
    expect(world.alerts.map(({ kind, key }) => [kind, key])).toEqual([
      ['plaid_misconfigured', 'UNAUTHORIZED_ROUTE_ACCESS'],
    ]);
    deps.plaid.syncTransactions = syncTransactions;
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    expect(asked).toEqual(['c7']);
    const until = { expiresAt: '2027-01-01T00:00:00.000Z', isConnected: true };
    expect(written).toEqual([
      ['ADDITIONAL_CONSENT_REQUIRED', { byCall: true, consent: until }],
      ['healthy', until],
    ]);
    deps.reads.asking = asking;
  });

  it('is not sent to Link for a bank that is down, nor for one that Plaid has given up', async () => {
    const view = await deps.plaid.getItem('token');
    const written: string[] = [];
    deps.items.setHealthy = async () => written.push('healthy') > 0;
    deps.items.setBroken = async (_itemId, _seen, error) => written.push(error.error_code) > 0;
    const bank = (error_code: string) => async () => ({
      ...view,
      error: { error_type: 'INSTITUTION_ERROR', error_code },
    });
    deps.plaid.getItem = bank('INSTITUTION_DOWN');
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    deps.plaid.getItem = bank('INSTITUTION_NO_LONGER_SUPPORTED');
    expect(answerOf(await relinked())).toEqual([409, 'update_mode_useless']);
    expect(written).toEqual(['healthy', 'INSTITUTION_NO_LONGER_SUPPORTED']);
  });

  it('whose Item has an error that operators alone mend is told to them, as is one that keeps Plaid from answering', async () => {
    const view = await deps.plaid.getItem('token');
    deps.items.setHealthy = async () => true;
    world.alerts.length = 0;
    const told = () => world.alerts.map(({ kind, key }) => [kind, key]);
    const error = { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_REGISTRATION_REQUIRED' };
    deps.plaid.getItem = async () => ({ ...view, error });
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    expect(told()).toEqual([['plaid_misconfigured', 'INSTITUTION_REGISTRATION_REQUIRED']]);
    world.alerts.length = 0;
    const upstream = { error_type: 'INVALID_INPUT', error_code: 'INVALID_ACCESS_TOKEN', request_id: 'r' };
    deps.plaid.getItem = () => Promise.reject(new Failure('TOKEN_REFUSED', 'no', { upstream }));
    expect((await relinked()).statusCode).toBe(424);
    expect(told()).toEqual([['token_refused', 'item-1']]);
    deps.plaid.getItem = async () => view;
  });

  it('is asked after again when something newer was learned meanwhile, and what the row said is read after the wish', async () => {
    const view = await deps.plaid.getItem('token');
    const order: string[] = [];
    const asking = deps.reads.asking.bind(deps.reads);
    deps.commands.noteRelinked = async () => (order.push('noted'), 'noted');
    deps.reads.asking = async (viewer, itemId, need) => {
      order.push('seen');
      const before = await asking(viewer, itemId, need);
      return before === null || 'refusal' in before
        ? before
        : { ...before, seen: { ...before.seen, health: order.length } };
    };
    const answers = [{ error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' }, null];
    deps.plaid.getItem = async () => {
      order.push('asked');
      return { ...view, error: answers.shift() ?? null };
    };
    deps.items.setBroken = async (_itemId, seen) => (order.push(`broken, seen ${seen.health}`), false);
    deps.items.setHealthy = async (_itemId, seen) => (order.push(`healthy, seen ${seen.health}`), true);
    expect(answerOf(await relinked())).toEqual([200, 'ok']);
    const first = ['noted', 'seen', 'asked', 'broken, seen 2'];
    expect(order).toEqual([...first, 'seen', 'asked', 'healthy, seen 5']);
    deps.reads.asking = asking;
  });
});
