import { setTimeout as sleep } from 'node:timers/promises';
import { simulatorClient, sluiceClient } from './demoClients.js';
import { showExchange } from './demoExchange.js';
import type { FeatureCheck } from './featureCheck.js';
import type { StackFile } from './deployment.js';
import { HttpProblem, requestJson } from './httpJson.js';
import { say } from './progress.mjs';
import { SetupFailure } from './setupFailure.mjs';

const USER = 'demo-guest';
const PATIENCE_MS = 60_000;

/** A small Item in Plaid's custom-user format, so that the demo need not wait for two more years of transactions. */
const GUEST = {
  version: 2,
  override_accounts: [{ type: 'depository', subtype: 'checking', starting_balance: 120, transactions: [] }],
};

/**
 * A second application on an Item, a login that finds an Item stale, an Item that breaks and is repaired, one that is removed, and
 * the institutions: each against what was expected.
 */
export async function showFeatures(stack: StackFile, signal: AbortSignal): Promise<readonly FeatureCheck[]> {
  const simulator = simulatorClient(stack, signal);
  const sluice = sluiceClient(stack, signal);
  const headers = { authorization: `Bearer ${stack.admin_api_key}` };
  const ask = async <Answer>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<Answer> =>
    (await requestJson(method, `${stack.api_url}/v1${path}`, {
      headers,
      signal,
      ...(body === undefined ? {} : { body }),
    })) as Answer;
  const until = async (what: string, isThere: () => Promise<boolean>): Promise<void> => {
    const started = performance.now();
    while (!(await isThere())) {
      if (performance.now() - started > PATIENCE_MS)
        throw new SetupFailure(`the demo waited in vain: ${what}`);
      await sleep(200, undefined, { signal });
    }
  };
  const statusOf = async (itemId: string): Promise<string> => (await sluice.item(itemId)).status;
  const checks: FeatureCheck[] = [];
  const check = (what: string, expected: string, found: string): void => {
    checks.push({ what, expected, found });
  };

  say(`linking user "${USER}": a login, a broken login, a removal …`);
  const { item_id: itemId } = await sluice.link(
    USER,
    await simulator.createPublicToken(`${stack.api_url}/webhooks/plaid`, GUEST),
  );
  await simulator.advance(itemId, 'historical');
  await until('history of the guest', async () => {
    const { history, phase } = await sluice.item(itemId);
    return history === 'complete' && phase === 'idle' && (await sluice.pendingWebhooks(itemId)) === 0;
  });

  say('a second application on the same accounts …');
  const publicToken = await simulator.createPublicToken(`${stack.api_url}/webhooks/plaid`, GUEST);
  checks.push(...(await showExchange(stack, { ask, until, signal }, { userId: USER, itemId, publicToken })));

  interface Login {
    items: { item_id: string; stale: boolean; webhook_id?: string }[];
  }
  const login = async () => (await ask<Login>('POST', `/users/${USER}/logins`)).items[0];
  // The first one only learns when Plaid read the bank last; then Plaid reads it again and finds nothing new.
  await login();
  await simulator.change(itemId, {});
  const stale = await login();
  interface Webhook {
    source: string;
    outcome: { state: string };
  }
  const webhook = async (): Promise<Webhook | undefined> =>
    stale?.webhook_id === undefined ? undefined : ask<Webhook>('GET', `/webhooks/${stale.webhook_id}`);
  if (stale?.webhook_id !== undefined) {
    await until('the synthetic webhook', async () => (await webhook())?.outcome.state !== 'pending');
  }
  const acted = await webhook();
  check(
    'a login after Plaid has looked at the bank',
    'stale, synthetic webhook done',
    `${stale?.stale ? 'stale' : 'fresh'}, ${acted ? `${acted.source} webhook ${acted.outcome.state}` : 'no webhook'}`,
  );

  await ask('POST', `/items/${itemId}/reset-login`);
  await until('the broken login', async () => (await statusOf(itemId)) === 'ERROR');
  await simulator.repair(itemId);
  await until('the repair', async () => (await statusOf(itemId)) === 'ACTIVE');
  const received = async (): Promise<string[]> => {
    const { events } = (await requestJson('GET', `${stack.segment_sink_url}/events`, { signal })) as {
      events: { event?: string; messageId?: string }[];
    };
    return events
      .filter(({ messageId }) => messageId?.startsWith(`${itemId}:`))
      .map(({ event }) => event ?? '');
  };
  await until('the Segment events', async () => (await received()).length >= 2);
  check('an item that breaks and is repaired', 'item errored, item repaired', (await received()).join(', '));

  await ask('PUT', `/users/${USER}/floats/demo-float`, { status: 'active' });
  const refused = await ask('DELETE', `/items/${itemId}`).then(
    () => 'removed',
    (error: unknown) => {
      if (error instanceof HttpProblem) return (error.body as { code?: string } | undefined)?.code ?? '';
      throw error;
    },
  );
  check('its removal while a float is active', 'active_float', refused);
  await ask('DELETE', `/items/${itemId}?force=true`);
  await until('the removal', async () => (await statusOf(itemId)) === 'REMOVED');
  const atPlaid = (await simulator.items()).find((item) => item.item_id === itemId);
  check('its removal by force', 'removed at Plaid', atPlaid?.removed ? 'removed at Plaid' : 'still at Plaid');

  interface Institutions {
    data: unknown[];
    next_cursor: string | null;
  }
  const countInstitutions = async (): Promise<number> => {
    let count = 0;
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Institutions = await ask('GET', `/institutions?limit=500${query}`);
      count += page.data.length;
      cursor = page.next_cursor;
    } while (cursor !== null);
    return count;
  };
  const listed = await simulator.countInstitutions();
  await until('the institution sync', async () => (await countInstitutions()) >= listed);
  check('institutions synced', String(listed), String(await countInstitutions()));
  return checks;
}
