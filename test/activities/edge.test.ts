import type { Context } from '@temporalio/activity';
import { asyncLocalStorage } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { atTheEdge } from '../../activities/edge.js';
import { databaseFailure } from '../../drizzle/failures.js';
import { Failure } from '../../domain/failures.js';

const context = { info: { attempt: 1 }, heartbeat: () => undefined } as unknown as Context;
const reported: unknown[] = [];

/** What Temporal keeps of an activity that ends with `error`. */
async function kept(error: unknown): Promise<ApplicationFailure> {
  const { act } = atTheEdge(
    {
      act: async (): Promise<void> => {
        throw error;
      },
    },
    (_activity, told) => reported.push(told),
  );
  return asyncLocalStorage.run(context, () =>
    act().then(
      () => {
        throw new Error('it did not fail');
      },
      (failure: unknown) => failure as ApplicationFailure,
    ),
  );
}

describe('a failure at the edge of an activity', () => {
  beforeEach(() => void reported.splice(0));

  it.each(['28P01', '42501', '42703', 'XX000'])(
    'is tried again when our own database refuses (%s): the Item must not fail at birth because of it',
    async (code) => {
      const failure = await kept(databaseFailure(Object.assign(new Error('canary'), { code })));
      expect(failure).toBeInstanceOf(ApplicationFailure);
      expect(failure.nonRetryable).toBe(false);
      expect(failure.message).not.toContain('canary');
    },
  );

  it('is told to the operator when only an operator can mend it', async () => {
    const refused = databaseFailure(Object.assign(new Error('canary'), { code: '42501' }));
    await kept(refused);
    expect(reported).toEqual([refused]);
  });

  it.each(['MISCONFIGURED', 'BAD_REQUEST'] as const)('ends the work when it is Plaid’s %s', async (type) => {
    const failure = await kept(new Failure(type, 'Plaid refused'));
    expect(failure).toMatchObject({ type, nonRetryable: true });
    expect(reported).toEqual([]);
  });
});
