import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import type { AdmitResult, ExchangeResult, LinkProgress } from '../../activities/link.js';
import { linkWorkflowId } from '../../domain/ids.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

/** One link as its row would stand, and what the activities of one test do to it. */
class LinkWorld {
  row: LinkProgress = { state: 'received', userId: 'user-1', itemId: null, outcome: null };
  exchanges = 0;
  calls: string[] = [];
  duplicateOf: string | null = null;
  guard: (world: LinkWorld) => { duplicateOf: string | null; ended?: true } = ({ duplicateOf }) => ({
    duplicateOf,
  });
  /** How often Plaid does not take the removal of the Item that is to be discarded. */
  discardsRefused = 0;
  admitted: AdmitResult = { kind: 'admitted', replaced: [], warnings: [] };
  exchange: () => ExchangeResult = () => {
    this.row = { ...this.row, state: 'exchanged', itemId: 'ItemNew' };
    return { kind: 'exchanged', itemId: 'ItemNew' };
  };
}

describe('the link workflow', () => {
  let temporal: TemporalHarness;
  const worlds = new Map<string, LinkWorld>();
  const of = (hash: string): LinkWorld => worlds.get(hash) as LinkWorld;
  const made = (): { hash: string; world: LinkWorld } => {
    const hash = randomUUID().replaceAll('-', '');
    const world = new LinkWorld();
    worlds.set(hash, world);
    return { hash, world };
  };
  const activities: Partial<Activities> = {
    async loadLink({ tokenHash }) {
      return of(tokenHash).row;
    },
    async guardLink({ tokenHash }) {
      return of(tokenHash).guard(of(tokenHash));
    },
    async exchangePublicToken({ tokenHash }) {
      of(tokenHash).exchanges += 1;
      return of(tokenHash).exchange();
    },
    async reportLostExchange({ tokenHash }) {
      of(tokenHash).calls.push('alert');
      const outcome: LinkOutcome = { kind: 'outcome_unknown' };
      of(tokenHash).row = { ...of(tokenHash).row, state: 'finished', outcome };
      return outcome;
    },
    async admitItem({ tokenHash }) {
      of(tokenHash).calls.push('admit');
      return of(tokenHash).admitted;
    },
    async discardItem({ tokenHash }) {
      const world = of(tokenHash);
      world.calls.push('discard');
      if ((world.discardsRefused -= 1) >= 0) throw ApplicationFailure.nonRetryable('no', 'BAD_REQUEST');
    },
    async startItem({ itemId }) {
      for (const world of worlds.values()) if (world.row.itemId === itemId) world.calls.push('start');
    },
    async finishLink({ tokenHash, outcome }) {
      const world = of(tokenHash);
      const first = world.row.outcome ?? outcome;
      world.calls.push('finish');
      world.row = { ...world.row, state: 'finished', outcome: first };
      return first;
    },
  };

  beforeAll(async () => {
    temporal = await startTemporal(activities);
  });
  afterAll(async () => {
    await temporal.stop();
  });

  const link = (hash: string, ms = 60_000) => temporal.gateway.link(hash, 'user-1', ms);

  it('exchanges once for two requests at the same time, and answers both alike', async () => {
    const { hash, world } = made();
    const answers = await Promise.all([link(hash), link(hash), link(hash)]);
    expect(answers[0]).toEqual({ kind: 'linked', item_id: 'ItemNew', replaces: null, warnings: [] });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(world.exchanges).toBe(1);
    expect(world.calls).toEqual(['admit', 'start', 'finish']);
  });

  it('a repeat after the end is answered from the row', async () => {
    const { hash, world } = made();
    const first = await link(hash);
    expect(await link(hash)).toEqual(first);
    expect(world.exchanges).toBe(1);
  });

  it('a lost answer is never asked for again: it is an alert and an outcome', async () => {
    const { hash, world } = made();
    world.exchange = () => {
      world.row = { ...world.row, state: 'exchanging' };
      throw ApplicationFailure.retryable('reset', 'UPSTREAM_DOWN');
    };
    expect(await link(hash)).toEqual({ kind: 'outcome_unknown' });
    expect(await link(hash)).toEqual({ kind: 'outcome_unknown' });
    expect(world.exchanges).toBe(1);
    expect(world.calls).toEqual(['alert']);
  });

  it('finds a row `exchanging` from a run that is gone: the alert, not a second call', async () => {
    const { hash, world } = made();
    world.row = { ...world.row, state: 'exchanging' };
    expect(await link(hash)).toEqual({ kind: 'outcome_unknown' });
    expect(world.exchanges).toBe(0);
  });

  it('a refusal that certainly did nothing is tried again', async () => {
    const { hash, world } = made();
    const succeed = world.exchange;
    world.exchange = () => {
      if (world.exchanges === 1) throw ApplicationFailure.retryable('refused', 'UPSTREAM_DOWN');
      return succeed();
    };
    expect(await link(hash)).toMatchObject({ kind: 'linked' });
    expect(world.exchanges).toBe(2);
  });

  it('an invalid public token ends as such', async () => {
    const { hash, world } = made();
    const outcome: LinkOutcome = {
      kind: 'invalid_public_token',
      plaid: { error_type: 'INVALID_INPUT', error_code: 'INVALID_PUBLIC_TOKEN', request_id: 'r' },
    };
    world.exchange = () => ({ kind: 'refused', outcome });
    expect(await link(hash)).toEqual(outcome);
    expect(world.row.outcome).toEqual(outcome);
  });

  it('a duplicate that the metadata shows is not exchanged', async () => {
    const { hash, world } = made();
    world.duplicateOf = 'ItemOld';
    expect(await link(hash)).toEqual({ kind: 'duplicate', item_id: 'ItemOld' });
    expect(world.exchanges).toBe(0);
  });

  it('a duplicate that only the accounts show is answered as one, and then removed at Plaid, however often that fails', async () => {
    const { hash, world } = made();
    world.admitted = { kind: 'duplicate', itemId: 'ItemOld' };
    world.discardsRefused = 1;
    expect(await link(hash)).toEqual({ kind: 'duplicate', item_id: 'ItemOld' });
    expect(world.calls.slice(0, 2)).toEqual(['admit', 'finish']);
    await until(() => world.calls.length === 4);
    expect(world.calls).toEqual(['admit', 'finish', 'discard', 'discard']);
  });

  it('what was answered before everything was done is done by the next run', async () => {
    const { hash, world } = made();
    const outcome: LinkOutcome = { kind: 'user_being_erased' };
    world.row = { ...world.row, state: 'finished', itemId: 'ItemNew', outcome };
    expect(await link(hash)).toEqual(outcome);
    await until(() => world.calls.length === 1);
    expect(world.calls).toEqual(['discard']);
  });

  it('a refusal that operators mend answers those who ask, is no end, and is tried again when somebody asks', async () => {
    const { hash, world } = made();
    const plaid = { error_type: 'INVALID_INPUT', error_code: 'INVALID_API_KEYS', request_id: 'r' };
    const succeed = world.exchange;
    world.exchange = () => ({ kind: 'misconfigured', plaid });
    expect(await Promise.all([link(hash), link(hash)])).toEqual(Array(2).fill({ kind: 'refused', plaid }));
    expect([world.row.state, world.row.outcome]).toEqual(['received', null]);
    world.exchange = succeed;
    expect(await link(hash)).toMatchObject({ kind: 'linked', item_id: 'ItemNew' });
  });

  it('an Item that the metadata show is joined, and nothing is exchanged or started', async () => {
    const { hash, world } = made();
    const joined = { item_id: 'ItemOld', connection_id: 'con_1', joined: true } as const;
    const outcome: LinkOutcome = { kind: 'linked', replaces: null, warnings: [], ...joined };
    world.guard = () => {
      world.row = { ...world.row, state: 'finished', outcome };
      return { duplicateOf: null, ended: true };
    };
    expect(await link(hash)).toEqual(outcome);
    expect([world.exchanges, world.calls]).toEqual([0, []]);
  });

  it('an Item that only the accounts show is joined, and the new one is removed at Plaid', async () => {
    const { hash, world } = made();
    world.admitted = { kind: 'joined', itemId: 'ItemOld', connection_id: 'con_1', dropped: ['new-2'] };
    const joined = { item_id: 'ItemOld', connection_id: 'con_1', joined: true };
    const lost = { warnings: ['accounts_dropped'], dropped_accounts: ['new-2'] };
    expect(await link(hash)).toEqual({ kind: 'linked', replaces: null, ...lost, ...joined });
    await until(() => world.calls.length === 3);
    expect(world.calls).toEqual(['admit', 'finish', 'discard']);
  });

  it('slow work answers null, and a repeat joins it', async () => {
    const { hash, world } = made();
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    world.exchange = () => {
      world.row = { ...world.row, state: 'received' };
      void gate.then(() => {
        world.row = { ...world.row, state: 'exchanged', itemId: 'ItemSlow' };
      });
      throw ApplicationFailure.retryable('busy', 'RATE_LIMITED');
    };
    expect(await link(hash, 1_500)).toBeNull();
    open();
    expect(await link(hash)).toMatchObject({ kind: 'linked', item_id: 'ItemSlow' });
    const runs = temporal.client.workflow.list({ query: `WorkflowId = "${linkWorkflowId(hash)}"` });
    const ids = new Set<string>();
    for await (const run of runs) ids.add(run.runId);
    expect(ids.size).toBeLessThanOrEqual(1);
  });

  it('an Item that is gone before it is the user’s ends as refused', async () => {
    const { hash, world } = made();
    world.admitted = { kind: 'gone', plaid: null };
    expect(await link(hash)).toEqual({ kind: 'refused', plaid: null });
    await until(() => world.calls.length === 3);
    expect(world.calls).toEqual(['admit', 'finish', 'discard']);
  });
});
