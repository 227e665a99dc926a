import type { ActivityDeps } from '../../activities/deps.js';
import { connectionEndActivities } from '../../activities/connectionEnds.js';
import { endpointActivities } from '../../activities/endpoints.js';
import { erasureActivities } from '../../activities/erasure.js';
import { sweepActivities } from '../../activities/sweep.js';
import { Failure } from '../../domain/failures.js';
import type { DueItem, StaleLink } from '../../domain/ports/sweep.js';

/** The sweep on a clock of its own: what it does when every signal is slow. */
const dueItem = (n: number): DueItem => ({ itemId: `item-${n}`, userId: 'user', kinds: ['publish'] });
const staleLink = (n: number): StaleLink => ({ tokenHash: `hash-${n}`, userId: 'user' });
const many = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n));

interface Told {
  items?: readonly DueItem[];
  links?: readonly StaleLink[];
}

/** A Temporal that takes `signalMs` of the world's own time for each signal, and says no to all. */
function slowWorld(items: DueItem[], links: StaleLink[], signalMs: number, readMs = 0) {
  let time = 0;
  let running = 0;
  const asked: string[] = [];
  const noted: string[] = [];
  const seen = { mostAtOnce: 0, lastBegunAt: 0, settled: false };
  const slow = async (name: string): Promise<never> => {
    asked.push(name);
    seen.lastBegunAt = time;
    running += 1;
    seen.mostAtOnce = Math.max(seen.mostAtOnce, running);
    // All that are on their way wait at the same time.
    await new Promise((resolve) => setImmediate(resolve));
    time += signalMs / running;
    running -= 1;
    throw new Failure('ORCHESTRATOR_DOWN', 'slow');
  };
  const deps = {
    sweeps: {
      findDue: async () => {
        time += readMs;
        return items;
      },
      findStaleLinks: async () => links,
      recordSignalled: async ({ items: told = [], links: toldLinks = [] }: Told) => {
        noted.push(...told.map(({ itemId }) => itemId), ...toldLinks.map(({ tokenHash }) => tokenHash));
      },
      ignoreUnknown: async () => {
        seen.settled = true;
        return 0;
      },
    },
    gateway: { signalItem: slow, startLink: slow },
    alerts: { raise: async () => undefined },
    reportUnexpected: () => undefined,
  } as unknown as ActivityDeps;
  const run = sweepActivities(deps, { atOnce: 16, longestMs: 40_000, now: () => time });
  return { run, asked, noted, seen };
}

/** A sweep that finds what `lists` say, whom it asks, and what it notes. */
function listsWorld(lists: {
  findDue: (noted: readonly unknown[]) => Promise<DueItem[]>;
  findStaleLinks: (noted: readonly unknown[]) => Promise<StaleLink[]>;
}) {
  const asked: string[] = [];
  const noted: unknown[] = [];
  const deps = {
    sweeps: {
      findDue: () => lists.findDue(noted),
      findStaleLinks: () => lists.findStaleLinks(noted),
      recordSignalled: async (told: object) => void noted.push(told),
      ignoreUnknown: async () => 0,
    },
    gateway: {
      signalItem: async (itemId: string) => void asked.push(itemId),
      startLink: async (hash: string) => void asked.push(hash),
    },
  } as unknown as ActivityDeps;
  return { asked, noted, deps };
}

describe('the sweep of which one list cannot be had', () => {
  const cases = [
    ['links', 'fails'],
    ['links', 'hangs'],
    ['items', 'fails'],
    ['items', 'hangs'],
  ] as const;
  it.each(cases)('signals what stands in the other, and rejects (%s: it %s)', async (list, how) => {
    const none = (): Promise<never> =>
      how === 'fails' ? Promise.reject(new Failure('UPSTREAM_DOWN', 'no')) : new Promise(() => undefined);
    const { asked, noted, deps } = listsWorld({
      findDue: list === 'items' ? none : async () => many(3, dueItem),
      findStaleLinks: list === 'links' ? none : async () => many(3, staleLink),
    });
    const pace = { atOnce: 16, longestMs: 1_000, now: () => performance.now() };
    const sweep = sweepActivities(deps, pace).sweep({ graceMs: 0 });
    await expect(sweep).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(noted).toEqual([list === 'links' ? { items: many(3, dueItem) } : { links: many(3, staleLink) }]);
    expect(asked).toEqual([0, 1, 2].map((n) => `${list === 'links' ? 'item' : 'hash'}-${n}`));
  });

  it.each(['items', 'links'])(
    'that comes late: what stands there is signalled all the same (%s)',
    async (list) => {
      /** Once the other list has been worked off. */
      const late = async (noted: readonly unknown[]): Promise<void> => {
        while (noted.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      };
      const { asked, noted, deps } = listsWorld({
        findDue: async (before) => {
          if (list === 'items') await late(before);
          return many(2, dueItem);
        },
        findStaleLinks: async (before) => {
          if (list === 'links') await late(before);
          return many(2, staleLink);
        },
      });
      expect(await sweepActivities(deps).sweep({ graceMs: 0 })).toMatchObject({
        items: 2,
        links: 2,
        left: 0,
      });
      const [first, second] = [{ items: many(2, dueItem) }, { links: many(2, staleLink) }];
      expect(noted).toEqual(list === 'links' ? [first, second] : [second, first]);
      expect(asked.sort()).toEqual(['hash-0', 'hash-1', 'item-0', 'item-1']);
    },
  );

  it('rejects when neither can be had', async () => {
    const none = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'no'));
    const sweeps = {
      findDue: none,
      findStaleLinks: none,
      recordSignalled: async () => undefined,
      ignoreUnknown: async () => 0,
    };
    const sweep = sweepActivities({ sweeps } as unknown as ActivityDeps).sweep({ graceMs: 0 });
    await expect(sweep).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
  });
});

describe('the sweep over connections', () => {
  it('writes everything down before it waits for a Temporal that does not answer', async () => {
    const written: string[] = [];
    const ended = ['i1', 'i2'].map((itemId) => ({ itemId, userId: 'u' }));
    const deps = {
      itemGraceMs: 1,
      connectionEnds: {
        noteExpired: async () => {
          written.push('expired');
          return { ended, fault: null };
        },
        reportExpiring: async () => written.push('expiring'),
        requestRemovals: async () => {
          written.push('removals');
          return { requested: [], kept: [{ itemId: 'i3', userId: 'u' }], fault: null };
        },
      },
      gateway: { signalItem: () => new Promise(() => undefined) },
      alerts: { raise: async () => void written.push('alert') },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    void connectionEndActivities(deps).endConnections();
    for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual(['expired', 'expiring', 'removals', 'alert']);
  });

  it('does the others where one kind fails, then it fails', async () => {
    const signalled: string[] = [];
    const deps = {
      itemGraceMs: 1,
      connectionEnds: {
        noteExpired: () => Promise.reject(new Failure('BAD_REQUEST', 'no')),
        reportExpiring: () => Promise.reject(new Failure('BAD_REQUEST', 'nor this')),
        requestRemovals: async () => ({ requested: [{ itemId: 'i1', userId: 'u' }], kept: [], fault: null }),
      },
      gateway: { signalItem: async (itemId: string) => void signalled.push(itemId) },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    await expect(connectionEndActivities(deps).endConnections()).rejects.toThrow('no');
    expect(signalled).toEqual(['i1']);
  });

  it('signals whose connections have ended beside one that the database refuses, then it fails', async () => {
    const signalled: string[] = [];
    const ended = [{ itemId: 'i1', userId: 'u' }];
    const deps = {
      itemGraceMs: 0,
      connectionEnds: {
        noteExpired: async () => ({ ended, fault: new Failure('BAD_REQUEST', 'no') }),
        reportExpiring: async () => 0,
      },
      gateway: { signalItem: async (itemId: string) => void signalled.push(itemId) },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    await expect(connectionEndActivities(deps).endConnections()).rejects.toThrow('no');
    expect(signalled).toEqual(['i1']);
  });

  it('tells an operator of an Item whose signal Temporal refuses, and signals the others', async () => {
    const signalled: string[] = [];
    const raised: unknown[] = [];
    const ended = ['i1', 'i2', 'i3'].map((itemId) => ({ itemId, userId: 'u' }));
    const deps = {
      itemGraceMs: 0,
      connectionEnds: { noteExpired: async () => ({ ended, fault: null }), reportExpiring: async () => 0 },
      gateway: {
        signalItem: async (itemId: string) => {
          if (itemId === 'i1') throw new Failure('ORCHESTRATOR_REFUSED', 'no');
          signalled.push(itemId);
        },
      },
      alerts: { raise: async (alert: object) => void raised.push(alert) },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    expect(await connectionEndActivities(deps).endConnections()).toMatchObject({ ended: 3 });
    expect(signalled).toEqual(['i2', 'i3']);
    expect(raised).toMatchObject([{ kind: 'signal_refused', key: 'i1', item_id: 'i1' }]);
  });
});

describe('the sweep over erasures', () => {
  it('starts the others where Temporal refuses one, and tells an operator of that one', async () => {
    const started: string[] = [];
    const raised: unknown[] = [];
    const deps = {
      erasures: { open: async () => ['e1', 'e2', 'e3'].map((erasureId) => ({ erasureId, late: false })) },
      gateway: {
        startErasure: async (erasureId: string) => {
          if (erasureId === 'e1') throw new Failure('ORCHESTRATOR_REFUSED', 'no');
          started.push(erasureId);
        },
      },
      sweeps: { recordSignalled: async (told: object) => void started.push(JSON.stringify(told)) },
      alerts: { raise: async (alert: object) => void raised.push(alert) },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    expect(await erasureActivities(deps).sweepErasures({ graceMs: 0 })).toEqual({ open: 3 });
    expect(started).toEqual(['e2', 'e3', '{"erasures":["e1","e2","e3"]}']);
    expect(raised).toEqual([
      { kind: 'signal_refused', key: 'e1', item_id: null, detail: { kinds: ['erasure'] } },
    ]);
  });
});

describe('the sweep beside a lock on its alerts', () => {
  const raise = () => new Promise<never>(() => undefined);
  const refuse = (): Promise<never> => Promise.reject(new Failure('ORCHESTRATOR_REFUSED', 'no'));
  const written: unknown[] = [];
  const recordSignalled = async (told: object) => void written.push(told);
  const soon = async () => {
    for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  beforeEach(() => {
    written.length = 0;
  });

  it('notes whom it has signalled all the same: else it would begin with the same ones each time', async () => {
    const deps = {
      sweeps: {
        findDue: async () => many(2, dueItem),
        findStaleLinks: async () => [],
        recordSignalled,
        ignoreUnknown: async () => void written.push('unknown'),
      },
      gateway: { signalItem: refuse },
      alerts: { raise },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    void sweepActivities(deps).sweep({ graceMs: 0 });
    await soon();
    expect(written).toEqual([{ items: many(2, dueItem) }, 'unknown']);
  });

  it('notes which endpoints it has woken', async () => {
    const sending = { dueEndpoints: async () => [{ endpointId: 'p1', servedAt: null }] };
    const deps = {
      sending,
      sweeps: { recordSignalled },
      gateway: { wakeEndpoint: refuse },
      alerts: { raise },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    void endpointActivities(deps).wakeEndpoints({ limit: 200 });
    await soon();
    expect(written).toEqual([{ endpoints: ['p1'] }]);
  });

  it('signals the Items of connections all the same, and raises the others', async () => {
    const items = (...ids: string[]) => ids.map((itemId) => ({ itemId, userId: 'u' }));
    const deps = {
      itemGraceMs: 1,
      connectionEnds: {
        noteExpired: async () => ({ ended: items('i1'), fault: null }),
        reportExpiring: async () => 0,
        requestRemovals: async () => ({ requested: items('i2'), kept: items('i3', 'i4'), fault: null }),
      },
      gateway: { signalItem: async (itemId: string) => void written.push(itemId) },
      alerts: {
        raise: async ({ key }: { key: string }) => {
          if (key === 'i3') throw new Failure('UPSTREAM_DOWN', 'locked');
          written.push(`alert ${key}`);
        },
      },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    await expect(connectionEndActivities(deps).endConnections()).rejects.toThrow('locked');
    expect(written).toEqual(['alert i4', 'i2', 'i1']);
  });

  it('raises those of other Items whose signals were refused, and of other late erasures', async () => {
    const raised: string[] = [];
    const raiseOne = async (key: string) => {
      if (key.endsWith('-0')) throw new Failure('UPSTREAM_DOWN', 'locked');
      raised.push(key);
    };
    const deps = {
      sweeps: {
        findDue: async () => many(2, dueItem),
        findStaleLinks: async () => many(2, staleLink),
        recordSignalled,
        ignoreUnknown: async () => 0,
      },
      erasures: {
        open: async () => [0, 1].map((n) => ({ erasureId: `late-${n}`, late: true })),
        raiseLate: raiseOne,
      },
      gateway: { signalItem: refuse, startLink: refuse, startErasure: async () => undefined },
      alerts: { raise: ({ key }: { key: string }) => raiseOne(key) },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    await expect(sweepActivities(deps).sweep({ graceMs: 0 })).rejects.toThrow('locked');
    await expect(erasureActivities(deps).sweepErasures({ graceMs: 0 })).rejects.toThrow('locked');
    expect(raised).toEqual(['item-1', 'hash-1', 'late-1']);
  });

  it('starts erasures that have not ended, the late ones too', async () => {
    const deps = {
      erasures: {
        open: async () => ['e1', 'e2'].map((erasureId) => ({ erasureId, late: true })),
        raiseLate: raise,
      },
      gateway: { startErasure: async (erasureId: string) => void written.push(erasureId) },
      sweeps: { recordSignalled },
      alerts: { raise },
      reportUnexpected: () => undefined,
    } as unknown as ActivityDeps;
    void erasureActivities(deps).sweepErasures({ graceMs: 0 });
    await soon();
    expect(written).toEqual(['e1', 'e2', { erasures: ['e1', 'e2'] }]);
  });
});

describe('the sweep on a Temporal that takes five seconds for each signal', () => {
  it('ends in its time, with some at once and links among them, and notes exactly whom it told', async () => {
    const { run, asked, noted, seen } = slowWorld(many(2_000, dueItem), many(300, staleLink), 5_000);
    const result = await run.sweep({ graceMs: 0 });
    expect(seen).toMatchObject({ mostAtOnce: 32, settled: true });
    expect(seen.lastBegunAt).toBeLessThan(40_000);
    for (const name of ['item', 'hash'])
      expect(asked.filter((one) => one.startsWith(name)).length).toBeGreaterThan(16);
    expect(asked.length).toBeLessThan(2_300);
    expect(noted.sort()).toEqual([...asked].sort());
    expect(result).toEqual({
      items: asked.filter((name) => name.startsWith('item')).length,
      links: asked.filter((name) => name.startsWith('hash')).length,
      unknown: 0,
      failed: asked.length,
      left: 2_300 - asked.length,
    });
  });

  it.each([20_000, 45_000])(
    'and a database that takes %i ms to list what is due, ends in its time all the same: else it would note nobody, and begin with the same ones each time',
    async (readMs) => {
      const { run, asked, noted, seen } = slowWorld(many(2_000, dueItem), [], 5_000, readMs);
      await run.sweep({ graceMs: 0 });
      // With the last signal's own five seconds, of the minute that an attempt has.
      expect(seen.lastBegunAt).toBeLessThanOrEqual(50_000);
      expect(asked.length).toBeGreaterThan(0);
      expect(noted.sort()).toEqual([...asked].sort());
    },
  );

  it('tells all of a few, each once', async () => {
    const { run, asked } = slowWorld(many(3, dueItem), many(20, staleLink), 1);
    expect(await run.sweep({ graceMs: 0 })).toMatchObject({ items: 3, links: 20, left: 0 });
    expect(new Set(asked).size).toBe(23);
    expect(asked).toHaveLength(23);
  });
});
