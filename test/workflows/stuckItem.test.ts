import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import type { MinePageInput } from '../../activities/transactions.js';
import { historyWorkflowId, itemWorkflowId, remineWorkflowId } from '../../domain/ids.js';
import type { Health, ItemSnapshot } from '../../domain/item/state.js';
import type { DeadEnd, PageResult } from '../../domain/mining/run.js';
import type { Policy } from '../../domain/item/policy.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

const pace: Policy = {
  ...defaultPolicy,
  quiet: 50,
  quietDeadline: 300,
  betweenUpdates: 100,
  retryFirst: 100,
  retryLongest: 400,
  brokenCheck: 500,
  childCheck: 60_000,
};

const applied: PageResult = {
  kind: 'applied',
  outcome: { added: 0, modified: 0, removed: 0, accounts: 0, changes: 0, pages: 1, history: 'complete' },
  webhooksWaiting: 0,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: Date.now() + 36 * 3_600_000,
  calls: 1,
};
const withdrawn: PageResult = { kind: 'moved', atDurableCursor: true, calls: 1 };
const refused: PageResult = {
  kind: 'refused',
  error: { error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' },
  calls: 1,
};

/** An Item as its row has it, and what Plaid answers about it. */
class Scene {
  readonly itemId = randomUUID().replaceAll('-', '');
  row: ItemSnapshot = itemSnapshot({
    itemId: this.itemId,
    history: 'complete',
    hasCursor: true,
    nextDueAt: Date.now() + 3_600_000,
  });
  pages: MinePageInput[] = [];
  deadEnds: DeadEnd[] = [];
  checks = 0;
  health: Health = 'healthy';
  page: (input: MinePageInput, call: number) => PageResult | Promise<PageResult> = () => applied;

  kinds(): string[] {
    return this.pages.map(({ remine }) => (remine ? 'start' : 'cursor'));
  }

  /** Of the readings from the start, whether the Item stays at its cursor. */
  keeps(): boolean[] {
    return this.pages.flatMap(({ remine, keepsCursor }) => (remine ? [keepsCursor === true] : []));
  }
}

const hour = 3_600_000;
/** Whoever fails waits for hours, unless somebody gives reason to try. */
const pausesOfHours = { ...pace, retryFirst: hour, retryLongest: hour, retryAsked: 100 };

describe('an Item whose updates get nowhere', () => {
  let temporal: TemporalHarness;
  const scenes = new Map<string, Scene>();
  const scene = (): Scene => {
    const made = new Scene();
    scenes.set(made.itemId, made);
    return made;
  };
  let paceNow = pace;
  let paceOfChildren: Partial<Policy> = {};
  const of = (itemId: string): Scene => scenes.get(itemId) as Scene;
  const activities: Partial<Activities> = {
    loadItem: async ({ itemId }) => ({ snapshot: of(itemId).row, policy: paceNow }),
    loadPolicy: async () => ({ ...paceNow, ...paceOfChildren }),
    async minePage(input) {
      const mine = of(input.itemId);
      mine.pages.push(input);
      return mine.page(input, mine.pages.length);
    },
    async reportDeadEnd({ itemId, deadEnd }) {
      const mine = of(itemId);
      mine.deadEnds.push(deadEnd);
      if (!deadEnd.cursorLost) return { remines: null };
      mine.row = {
        ...mine.row,
        remines: mine.row.remines + (mine.row.remineRequested ? 0 : 1),
        remineRequested: true,
      };
      return { remines: mine.row.remines };
    },
    async checkItem({ itemId }) {
      of(itemId).checks += 1;
      return { result: of(itemId).health };
    },
    publish: async () => ({ done: true }),
    saveNumbers: async () => ({ accounts: 0 }),
    sendSegmentEvents: async () => ({ done: true }),
    lookAtHistory: async () => ({ running: true }),
  };

  beforeAll(async () => {
    temporal = await startTemporal(activities);
  });
  afterAll(async () => {
    await temporal.stop();
  });

  const signal = (mine: Scene, webhook: 'update' | 'history') =>
    temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'webhookReceived', webhook });
  const status = (mine: Scene) => temporal.gateway.itemStatus(mine.itemId);
  const idle = (mine: Scene): Promise<void> =>
    until(async () => {
      const now = await status(mine);
      return now?.phase === 'idle' && now.remine === null && now.last_failure === null;
    });

  it.each(['update', 'history'] as const)(
    'since the cursor was withdrawn is read from the start, without the cursor (%s)',
    async (webhook) => {
      const mine = scene();
      mine.page = ({ remine }) => (remine ? applied : withdrawn);
      await signal(mine, webhook);
      await until(() => mine.kinds().includes('start'));
      await idle(mine);
      expect(mine.kinds()).toEqual([...Array.from({ length: pace.cursorTries }, () => 'cursor'), 'start']);
      expect(new Set(mine.pages.map(({ updateId }) => updateId)).size).toBe(mine.pages.length);
      expect(mine.deadEnds).toMatchObject([{ cursorLost: true, failure: { type: 'PAGES_MOVED' } }]);
      const remine = temporal.client.workflow.getHandle(remineWorkflowId(mine.itemId, 1));
      expect((await remine.describe()).type).toBe('remineItem');
    },
  );

  it('since Plaid refuses its cursor is read from the start once; refused again it rests, and says so', async () => {
    const mine = scene();
    mine.page = () => refused;
    await signal(mine, 'update');
    await until(() => mine.deadEnds.length >= 2);
    expect(mine.kinds().slice(0, 4)).toEqual(['cursor', 'cursor', 'start', 'start']);
    expect(mine.deadEnds.slice(0, 2)).toMatchObject([{ cursorLost: true }, { cursorLost: false }]);
    await until(async () => {
      const now = await status(mine);
      return now?.last_failure?.type === 'BAD_REQUEST' && now.phase === 'idle' && now.progress === null;
    });
    mine.page = () => applied;
    await idle(mine);
  });

  it('ends one whose request is called wrong, and begins another after a pause', async () => {
    const mine = scene();
    mine.page = (_input, call) => {
      if (call === 1) throw ApplicationFailure.nonRetryable('no', 'BAD_REQUEST');
      return applied;
    };
    await signal(mine, 'update');
    await until(() => mine.pages.length === 2);
    await idle(mine);
    expect(mine.pages[1]?.updateId).not.toBe(mine.pages[0]?.updateId);
    expect(mine.deadEnds).toMatchObject([{ cursorLost: false, updateId: mine.pages[0]?.updateId }]);
  });

  const remineOf = async (mine: Scene): Promise<void> => {
    mine.row = { ...mine.row, remines: mine.row.remines + 1, remineRequested: true };
    const number = mine.row.remines;
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'remineRequested', number });
  };

  it('shows what pageHistory meets, and lets a remine go before it', async () => {
    const mine = scene();
    let down = true;
    mine.page = () => {
      if (down) throw ApplicationFailure.nonRetryable('down', 'UPSTREAM_DOWN');
      return applied;
    };
    await signal(mine, 'history');
    await until(async () => (await status(mine))?.last_failure?.type === 'UPSTREAM_DOWN');
    expect((await status(mine))?.phase).toBe('updating');
    await remineOf(mine);
    const history = temporal.client.workflow.getHandle(historyWorkflowId(mine.itemId));
    await until(async () => (await history.describe()).status.name === 'CANCELLED');
    down = false;
    await until(() => mine.kinds().includes('start'));
    await idle(mine);
    expect(mine.kinds().at(-2)).toBe('cursor');
  });

  it.each(['update', 'history'] as const)(
    'shows the first failed try already, while Temporal repeats it (%s)',
    async (webhook) => {
      const mine = scene();
      let down = true;
      mine.page = () => {
        if (down) throw ApplicationFailure.create({ message: 'down', type: 'UPSTREAM_DOWN' });
        return applied;
      };
      await signal(mine, webhook);
      await until(async () => {
        const failure = (await status(mine))?.last_failure;
        return failure?.type === 'UPSTREAM_DOWN' && failure.step === 'page';
      });
      down = false;
      await idle(mine);
    },
  );

  /** An Item whose pages cannot be had until somebody mends that. */
  function outage(): { mine: Scene; mend: () => void } {
    const mine = scene();
    let down = true;
    mine.page = () => {
      if (down) throw ApplicationFailure.nonRetryable('down', 'UPSTREAM_DOWN');
      return applied;
    };
    return { mine, mend: () => void (down = false) };
  }

  it('shows what pageHistory meets no longer than it meets it, also when that continues as new meanwhile', async () => {
    // After each page.
    paceOfChildren = { continueAfter: 1 };
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    try {
      const mine = scene();
      mine.page = async (_input, call) => {
        if (call === 1) throw ApplicationFailure.nonRetryable('down', 'UPSTREAM_DOWN');
        if (call === 2) return { kind: 'staged', rows: 1, calls: 1 };
        await released;
        return applied;
      };
      await signal(mine, 'history');
      await until(() => mine.pages.length === 3);
      await until(async () => (await status(mine))?.last_failure === null);
      expect((await status(mine))?.phase).toBe('updating');
      release();
      await idle(mine);
    } finally {
      release();
      paceOfChildren = {};
    }
  });

  it.each(['update', 'history'] as const)(
    'does not wait for a pause of hours when a webhook gives reason to try (%s)',
    async (webhook) => {
      paceNow = pausesOfHours;
      try {
        const { mine, mend } = outage();
        mine.row = { ...mine.row, nextDueAt: Date.now() };
        await signal(mine, webhook);
        await until(async () => (await status(mine))?.last_failure?.type === 'UPSTREAM_DOWN');
        // Nobody is shown a time that is over, whoever waits.
        await until(async () => Date.parse((await status(mine))?.next_due_at ?? '') > Date.now() + hour / 2);
        mend();
        await signal(mine, 'update');
        await until(async () => {
          const now = await status(mine);
          return now?.phase === 'idle' && now.last_failure === null;
        });
        expect(mine.pages.length).toBeGreaterThan(1);
      } finally {
        paceNow = pace;
      }
    },
  );

  it.each<[string, (mine: Scene) => Promise<void>]>([
    ['a webhook', (mine) => signal(mine, 'update')],
    ['a remine', (mine) => remineOf(mine)],
  ])(
    'terminated by an operator while its child waits for hours has it try now, shows what it meets, and is freed by %s',
    async (_name, ask) => {
      paceNow = pausesOfHours;
      try {
        const { mine, mend } = outage();
        await signal(mine, 'history');
        const isShown = async () => (await status(mine))?.last_failure?.type === 'UPSTREAM_DOWN';
        await until(isShown);
        await temporal.client.workflow
          .getHandle(itemWorkflowId(mine.itemId))
          .terminate('the cause is mended');
        mine.row = { ...mine.row, historyRunning: true };
        await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
        await until(isShown);
        await until(() => mine.pages.length === 2);
        mine.row = { ...mine.row, historyRunning: false };
        mend();
        await ask(mine);
        await idle(mine);
      } finally {
        paceNow = pace;
      }
    },
  );

  it('terminated by an operator while the child owns the update comes out all the same', async () => {
    const mine = scene();
    mine.page = ({ remine }) => (remine ? applied : withdrawn);
    await signal(mine, 'history');
    await until(() => mine.pages.length > 0);
    await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).terminate('by an operator');
    mine.row = { ...mine.row, nextDueAt: Date.now() };
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
    await until(() => mine.kinds().includes('start'));
    await idle(mine);
  });

  it('reads to the end of the cursor before a remine, and again before each new try of it', async () => {
    const mine = scene();
    let moves = 1;
    mine.page = ({ remine, page }) => {
      if (!remine) return applied;
      if (page === 0) return { kind: 'staged', rows: 1, calls: 1 };
      return (moves -= 1) < 0 ? applied : { kind: 'moved', atDurableCursor: false, calls: 1 };
    };
    await remineOf(mine);
    await until(() => mine.pages.length === 6);
    await idle(mine);
    expect(mine.kinds()).toEqual(['cursor', 'start', 'start', 'cursor', 'start', 'start']);
    expect(mine.keeps()).toEqual([true, true, true, true]);
    expect(mine.deadEnds).toEqual([]);
    const updates = mine.pages.map(({ updateId }) => updateId);
    expect(new Set(updates).size).toBe(4);
  });

  it('whose remine finds the cursor withdrawn reconciles without it, and says so', async () => {
    const mine = scene();
    mine.page = ({ remine }) => (remine ? applied : refused);
    await remineOf(mine);
    await until(() => mine.kinds().includes('start'));
    await idle(mine);
    expect([mine.kinds(), mine.deadEnds.length]).toEqual([['cursor', 'cursor', 'start'], 1]);
    expect(mine.keeps()).toEqual([false]);
  });

  it('asks again while /item/get calls it healthy, and believes Plaid after some tries', async () => {
    const mine = scene();
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    mine.health = 'unsure';
    mine.page = ({ believe }) =>
      believe
        ? { kind: 'needsUser', error, calls: 1 }
        : { kind: 'doubted', failure: 'LOGIN_REQUIRED', calls: 1 };
    await signal(mine, 'update');
    await until(async () => (await status(mine))?.phase === 'needs_relink');
    expect(mine.pages.map(({ believe }) => believe === true)).toEqual([
      ...Array.from({ length: pace.doubts }, () => false),
      true,
    ]);
    await until(() => mine.checks >= 2);
    mine.page = () => applied;
    mine.health = 'healthy';
    await idle(mine);
  });

  it('found broken while its update ran is asked after at once', async () => {
    const mine = scene();
    mine.health = 'broken';
    mine.page = () => ({ ...applied, broken: true, nextDueAt: Date.now() });
    await signal(mine, 'update');
    await until(() => mine.checks > 0);
    expect((await status(mine))?.phase).toBe('needs_relink');
  });
});
