import { compareCopy } from './compare.js';
import { simulatorClient } from './demoClients.js';
import { startEventReceiver } from './eventReceiver.js';
import type { StackFile } from './deployment.js';
import type { FeatureCheck } from './featureCheck.js';
import { FeedCopy } from './feedCopy.js';
import type { FeedPage } from './feedCopy.js';
import { HttpProblem, requestJson } from './httpJson.js';

type Ask = <Answer>(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
) => Promise<Answer>;
type Until = (what: string, isThere: () => Promise<boolean>) => Promise<void>;

/** Plaid's endpoints that read the bank. */
const dataPaths = new Set(['/transactions/sync', '/transactions/get', '/accounts/get', '/auth/get']);

/**
 * A second application on the Item of a user that is mined already: it joins, reads, follows the change feed to the exact truth, is told of
 * changes at an endpoint that breaks down meanwhile, and is refused after its connection has ended.
 */
export async function showExchange(
  stack: StackFile,
  { ask, until, signal }: { ask: Ask; until: Until; signal: AbortSignal },
  { userId, itemId, publicToken }: { userId: string; itemId: string; publicToken: string },
): Promise<readonly FeatureCheck[]> {
  const checks: FeatureCheck[] = [];
  const check = (what: string, expected: string, found: string): void => {
    checks.push({ what, expected, found });
  };
  const simulator = simulatorClient(stack, signal);
  const { application_id } = await ask<{ application_id: string }>('POST', '/applications', {
    name: 'demo-second',
    display_name: 'Second application',
  });
  const made = await ask<{ key: string }>('POST', `/applications/${application_id}/keys`, {
    scopes: ['read', 'write'],
  });
  const second: Ask = async (method, path, body) =>
    (await requestJson(method, `${stack.api_url}/v1${path}`, {
      headers: { authorization: `Bearer ${made.key}` },
      signal,
      ...(body === undefined ? {} : { body }),
    })) as never;

  const calls = async (): Promise<number> => {
    const { calls: all } = (await requestJson('GET', `${stack.simulator_url}/_sim/calls`, { signal })) as {
      calls: { path: string; item_id: string; count: number }[];
    };
    return all
      .filter(({ path, item_id }) => item_id === itemId && dataPaths.has(path))
      .reduce((sum, { count }) => sum + count, 0);
  };
  const truth = await simulator.truth(itemId);
  const before = await calls();
  const joined = await second<{ item_id: string; joined?: boolean }>('POST', `/users/${userId}/items`, {
    public_token: publicToken,
    institution_id: 'ins_109508',
    accounts: truth.accounts.map(({ account_id, name, mask, type, subtype }) => ({
      id: account_id,
      ...{ name, mask, type, subtype },
    })),
  });
  const changes = `/items/${itemId}/changes`;
  const copy = new FeedCopy(
    {
      snapshot: (cursor) =>
        second<FeedPage>(
          'GET',
          `${changes}?snapshot=true${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
        ),
      changes: (after) => second<FeedPage>('GET', `${changes}?after=${after}`),
    },
    { fromStart: false },
  );
  await copy.follow();
  check(
    'a second application on the same accounts',
    'joined, 0 calls for data',
    `${joined.joined === true && joined.item_id === itemId ? 'joined' : 'not joined'}, ${(await calls()) - before} calls for data`,
  );

  const receiver = await startEventReceiver();
  try {
    const endpoint = await second<{ endpoint_id: string; secret: string }>('POST', '/endpoints', {
      url: receiver.url,
      types: ['item.updated'],
    });
    receiver.trust(endpoint.secret);
    receiver.answer = { status: 500 };
    await simulator.change(itemId, { add: [{ amount: 12.5, name: 'Seen by both' }] });
    await until('an event at the broken endpoint', async () => receiver.refusals() > 0);
    receiver.answer = { status: 204 };
    await until('the event once more', async () => receiver.received.length > 0);
    check(
      'its endpoint, broken and recovered',
      'refused, then item.updated',
      `${receiver.refusals() > 0 ? 'refused' : 'never asked'}, then ${receiver.received[0]?.type ?? 'nothing'}`,
    );
    await second('DELETE', `/endpoints/${endpoint.endpoint_id}`);
  } finally {
    await receiver.close();
  }

  await copy.follow();
  const differences = compareCopy(
    await simulator.truth(itemId),
    copy.held('transaction'),
    copy.held('account'),
  );
  check(
    'its copy by the change feed',
    'equal to the truth',
    differences.length === 0 ? 'equal to the truth' : (differences[0]?.problem ?? ''),
  );

  await second('DELETE', `/items/${itemId}`);
  const refused = await second('GET', `/items/${itemId}/accounts`).then(
    () => 'still reads',
    (error: unknown) => {
      if (error instanceof HttpProblem) return (error.body as { code?: string } | undefined)?.code ?? '';
      throw error;
    },
  );
  check('its read after the connection has ended', 'consent_revoked', refused);
  return checks;
}
