import type { Context } from '@temporalio/activity';
import { asyncLocalStorage } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { atTheEdge } from '../../activities/edge.js';
import { databaseFailure } from '../../drizzle/failures.js';
import { Failure } from '../../domain/failures.js';
import { world } from './sharedWorld.js';

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

describe('at the edge', () => {
  it('nothing of a foreign error reaches Temporal but its class', async () => {
    const { tokenHash } = await world.receive();
    const links = {
      ...world.stores.links,
      get: () => Promise.reject(new TypeError('canary access-sandbox-1')),
    };
    const error = await world
      .runWith({ links })
      .loadLink({ tokenHash })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: 'UNEXPECTED', message: 'unexpected TypeError', nonRetryable: false });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('canary');
    // Reported to the log, whose serializer leaves messages of foreign errors out.
    expect(world.unexpected.splice(0)).toEqual(['loadLink: TypeError: canary access-sandbox-1']);
  });

  it('the pause that the other side asked for is kept; a long one by the workflow, which has other things to do meanwhile', async () => {
    const { itemId } = await world.linkedItem();
    world.plaid.failNext('getItem', new Failure('RATE_LIMITED', 'busy', { retryAfterMs: 12_345 }));
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({
      type: 'RATE_LIMITED',
      nonRetryable: false,
      nextRetryDelay: 12_345,
    });
    world.plaid.failNext('getItem', new Failure('RATE_LIMITED', 'busy', { retryAfterMs: 123_456 }));
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({
      type: 'RATE_LIMITED',
      nonRetryable: true,
      details: [null, { retryAfterMs: 123_456 }],
    });
  });
});
