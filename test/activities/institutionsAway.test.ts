import { institutionActivities } from '../../activities/institutions.js';
import type { ActivityDeps } from '../../activities/deps.js';
import { Failure } from '../../domain/failures.js';
import { triesOfPage } from '../../domain/institutions/sync.js';
import { FakeDirectory } from './fakeDirectory.js';

/** Longer ago than any answer of the test. */
const since = '2026-01-01T00:00:00Z';
const attemptMs = 120_000;
/** What one call takes that Plaid does not answer. */
const silenceMs = 10_000;

class SilentDirectory extends FakeDirectory {
  now = 0;

  override async get(institutionId: string): Promise<never> {
    this.asked.push(institutionId);
    this.now += silenceMs;
    throw new Failure('UPSTREAM_DOWN', `${institutionId} hangs`, { timedOut: true });
  }
}

it('goes on behind banks that hang, as many as they are: an attempt ends before Temporal gives it up', async () => {
  const banks = Array.from({ length: 30 }, (_, n) => `ins_${10 + n}`);
  const directory = new SilentDirectory();
  const institutions = {
    now: async () => since,
    save: async () => undefined,
    lastAskedForStatus: async () => null,
    dueForStatus: async (_since: string, after: string | null, limit: number) =>
      banks.filter((id) => id > (after ?? '')).slice(0, limit),
  } as unknown as ActivityDeps['institutions'];
  const alerts = { raise: async () => undefined };
  const activities = institutionActivities({ directory, institutions, alerts }, () => directory.now);
  let failed = 0;
  for (let round: Awaited<ReturnType<typeof activities.saveInstitutionStatuses>>['next'] | undefined; ;) {
    const begunAt = directory.now;
    const input = { since, limit: 25, ...(round == null ? {} : { round }) };
    const result = await activities.saveInstitutionStatuses(input);
    expect(directory.now - begunAt).toBeLessThan(attemptMs - silenceMs);
    failed += result.failed;
    expect(result.checked).toBe(0);
    round = result.next;
    if (round === null) break;
  }
  expect(directory.asked).toEqual(banks);
  expect(failed).toBe(banks.length);
});

describe('a page of the list that cannot be had', () => {
  const raised = async (failure: Failure, failures: number): Promise<unknown[]> => {
    const alerts: unknown[] = [];
    const directory = new FakeDirectory();
    directory.list = () => Promise.reject(failure);
    const activities = institutionActivities({
      directory,
      institutions: { now: async () => since } as unknown as ActivityDeps['institutions'],
      alerts: { raise: async (alert) => void alerts.push(alert) },
    });
    const input = { syncId: 's1', offset: 500, failures };
    await expect(activities.saveInstitutionPage(input)).rejects.toBe(failure);
    return alerts;
  };
  const stuck = (type: string) => [
    { kind: 'institutions_stuck', key: 'list', item_id: null, detail: { offset: 500, type } },
  ];

  it('is told to operators when it has failed some times, an outage of a moment is not', async () => {
    const away = new Failure('UPSTREAM_DOWN', 'away');
    expect(await raised(away, 0)).toEqual([]);
    expect(await raised(away, triesOfPage - 1)).toEqual(stuck('UPSTREAM_DOWN'));
  });

  it('is told at once when it is refused', async () => {
    expect(await raised(new Failure('BAD_REQUEST', 'odd'), 0)).toEqual(stuck('BAD_REQUEST'));
  });
});
