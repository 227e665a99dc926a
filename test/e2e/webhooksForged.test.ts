import { connect } from 'node:net';
import { request } from 'node:http';
import { signingKey, signWebhook } from '../clients/signedWebhook.js';
import { until } from '../workflows/harness.js';
import { bookUntold, goThroughLink } from './linking.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

interface Delivery {
  id: string;
  body: string;
  attempts: { headers: Record<string, string>; status: number | null }[];
}

let system: System;
let itemId: string;
/** A booking that only an update would bring: as long as it is not here, nothing had an effect. */
let untold: string;
let slowBody: Promise<string>;
const update = { webhook_type: 'TRANSACTIONS', webhook_code: 'SYNC_UPDATES_AVAILABLE' };

async function send(webhook: Record<string, unknown>): Promise<Delivery[]> {
  const { deliveries } = await system.sim<{ deliveries: string[] }>(`/_sim/items/${itemId}/webhooks`, {
    ...update,
    ...webhook,
  });
  let mine: Delivery[] = [];
  await until(async () => {
    const all = await system.sim<{ deliveries: Delivery[] }>(`/_sim/webhooks?item_id=${itemId}`);
    mine = all.deliveries.filter(({ id }) => deliveries.includes(id));
    return mine.length === deliveries.length && mine.every(({ attempts }) => attempts.length > 0);
  });
  return mine;
}
const firstStatus = ({ attempts }: Delivery): number | null => attempts[0]?.status ?? null;

/** Posts bytes as they are; resolves with the status. */
function post(body: Buffer | string, headers: Record<string, string | string[]>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sending = request(
      `${system.urls.api}/webhooks/plaid`,
      {
        method: 'POST',
        agent: false,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
      },
    );
    // The server may answer and hang up before it has read a body that it does not want.
    sending.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET' ? undefined : reject(error),
    );
    sending.end(body);
  });
}

/** A body that never comes: what the server says when it has had enough. */
function dripBody(): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(system.urls.api);
    const socket = connect(Number(port), hostname, () =>
      socket.write(`POST /webhooks/plaid HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: 1000\r\n\r\n{`),
    );
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.on('close', () => resolve(said));
    socket.on('error', reject);
  });
}

const rejectedFor = async (reason: string): Promise<number> =>
  (await system.sql`SELECT 1 FROM webhooks WHERE verdict = 'rejected' AND reason = ${reason}`).length;

const isUntouched = async (): Promise<boolean> =>
  (await system.sql`SELECT 1 FROM transactions WHERE transaction_id = ${untold}`).length === 0;

beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 30 });
  slowBody = dripBody();
  const fresh = await goThroughLink(system, 'target');
  itemId = fresh.itemId;
  await system.api('POST', '/v1/users/target/items', { public_token: fresh.publicToken });
  await system.sim(`/_sim/items/${itemId}/advance`, { to: 'idle' });
  await until(async () => {
    const { body } = await system.api('GET', `/v1/items/${itemId}`);
    const pending = await system.sql`SELECT 1 FROM webhooks WHERE outcome = 'pending'`;
    const { webhooks_due } = await system.sim(`/_sim/items/${itemId}/truth`);
    return body['history'] === 'complete' && pending.length === 0 && webhooks_due === 0;
  });
  untold = await bookUntold(system, itemId);
});
afterAll(() => system?.stop());

describe('a forged webhook', () => {
  // First, while no key has expired in the verifier's cache: the simulator then makes a key that expired long ago.
  it.each([
    ['expired_key', 'expired_key'],
    ['wrong_key', 'bad_signature'],
    ['unknown_kid', 'unknown_key'],
    ['expired', 'too_old'],
    ['future', 'from_the_future'],
    ['none', 'no_header'],
    ['alg_none', 'wrong_algorithm'],
    ['hs256', 'wrong_algorithm'],
    ['body_changed', 'body_changed'],
    ['reindented', 'body_changed'],
  ])('signed as %s is 401, kept as rejected for %s, and has no effect', async (sign, reason) => {
    const before = await rejectedFor(reason);
    // Ten a second are kept, and the forgeries of the case before may have used this second's allowance: sent until kept.
    const answered: (number | null)[] = [];
    await until(async () => {
      answered.push(...(await send({ sign })).map(firstStatus));
      return (await rejectedFor(reason)) > before;
    }, 300);
    expect(new Set(answered)).toEqual(new Set([401]));
    const twenty = await send({ sign, duplicate: 20 });
    // Made-up key ids beyond the budget are told to come later; everything else is refused at once.
    const allowed = sign === 'unknown_kid' ? [401, 429] : [401];
    for (const one of twenty) expect(allowed).toContain(firstStatus(one));
    expect(await isUntouched()).toBe(true);
  });

  it('made by hand is 401, never parsed, and has no effect', async () => {
    const [good] = await send({ webhook_type: 'MOON', webhook_code: 'FULL' });
    const token = good?.attempts[0]?.headers['plaid-verification'] as string;
    const body = good?.body as string;
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString());
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const bytes = Buffer.from(body);
    const oneByte = Buffer.from(bytes);
    oneByte[20] = (oneByte[20] as number) ^ 1;
    const mine = signingKey(kid);
    const forged = (header: Record<string, unknown>, claims: Record<string, unknown> = {}) =>
      signWebhook(mine, bytes, Date.now(), header, claims);
    const fields = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const moved = Buffer.from(JSON.stringify({ ...fields, iat: fields.iat + 1 })).toString('base64url');
    const cases: [string, Buffer, string | string[]][] = [
      ['one byte changed', oneByte, token],
      ['a line break at the end', Buffer.from(`${body}\n`), token],
      ['minified', Buffer.from(JSON.stringify(JSON.parse(body))), token],
      ['empty body', Buffer.alloc(0), token],
      ['signature cut off', bytes, `${head}.${payload}.`],
      ['claims exchanged under the signature', bytes, `${head}.${moved}.${signature}`],
      ['signature of zeros', bytes, `${head}.${payload}.${Buffer.alloc(64).toString('base64url')}`],
      ['key id of another world', bytes, await forged({ kid: '../../item/get' })],
      ['no key id', bytes, await forged({ kid: undefined })],
      ['own key under the known id', bytes, await forged({})],
      ['own key in the header', bytes, await forged({ jwk: mine.published, jku: 'http://127.0.0.1/keys' })],
      ['a body hash that is none', bytes, await forged({}, { request_body_sha256: 'abc' })],
      ['not a token', bytes, 'Bearer x'],
      ['two tokens', bytes, [token, token]],
      ['9 KiB of token', bytes, `${head}.${payload}.${'A'.repeat(9_000)}`],
    ];
    for (const [name, sent, header] of cases) {
      expect([name, await post(sent, { 'plaid-verification': header })]).toEqual([name, 401]);
    }
    // The control: the same bytes with the same token are taken, so what was refused above was refused for its fault.
    expect(await post(bytes, { 'plaid-verification': token })).toBe(200);
    expect(await isUntouched()).toBe(true);
  });

  it('too large in its head or body is 431 or 413', async () => {
    expect(await post('{}', { 'plaid-verification': 'A'.repeat(20_000) })).toBe(431);
    expect(await post(Buffer.alloc(1024 * 1024 + 1, 0x20), {})).toBe(413);
    expect(await isUntouched()).toBe(true);
  });

  it('with ever new key ids is told to come later, while good ones pass; few look-ups reach Plaid', async () => {
    await system.sim('/_sim/calls', undefined, 'DELETE');
    const flood = await send({ sign: 'unknown_kid', duplicate: 100 });
    const answers = flood.map(firstStatus);
    expect(answers.every((status) => status === 401 || status === 429)).toBe(true);
    expect(answers.filter((status) => status === 429).length).toBeGreaterThan(20);
    const { calls } = await system.sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
    const lookups = calls.find(({ path }) => path === '/webhook_verification_key/get')?.count ?? 0;
    expect(lookups).toBeLessThanOrEqual(80);
    // The forger and Plaid have one address here, and Plaid's key is another from now on.
    await system.sim('/_sim/keys/rotate', {});
    const genuine: (number | null)[] = [];
    while (genuine.at(-1) !== 200 && genuine.length < 5) {
      genuine.push(...(await send({ webhook_type: 'MOON', webhook_code: 'FULL' })).map(firstStatus));
    }
    expect(genuine.at(-1)).toBe(200);
    expect(genuine.length).toBeLessThanOrEqual(2);
    const alerts = await system.sql`SELECT kind, key FROM alerts`;
    expect(alerts).toEqual([{ kind: 'webhook_keys_busy', key: 'senders' }]);
  });

  it('leaves nothing behind but bounded rows of rejected ones, whose fields were never read', async () => {
    const rows = await system.sql<Record<string, unknown>[]>`
      SELECT DISTINCT webhook_type, webhook_code, item_id, kind, outcome, source FROM webhooks
      WHERE verdict = 'rejected'`;
    expect(rows).toEqual([
      {
        webhook_type: null,
        webhook_code: null,
        item_id: null,
        kind: null,
        outcome: 'rejected',
        source: 'plaid',
      },
    ]);
    const [longest] = await system.sql<{ bytes: number }[]>`
      SELECT max(length(body)) AS bytes FROM webhooks WHERE verdict = 'rejected'`;
    expect(longest?.bytes).toBeLessThanOrEqual(4_096);
    const { body } = await system.api('GET', '/v1/webhooks?verdict=rejected&limit=1');
    expect(body['data'][0]).toMatchObject({ verdict: 'rejected', outcome: { state: 'rejected' } });
    const { body: metrics } = await system.api<{ text: string }>('GET', '/metrics');
    expect(metrics.text).not.toMatch(/sluice_api_webhooks_total\{verdict="unknown"/);
    expect(metrics.text).not.toMatch(/status="5\d\d"/);
    expect(await isUntouched()).toBe(true);
  });

  it('whose body never comes is hung up on, told 408', async () => {
    expect(await slowBody).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('does not reach a process that starts in the midst of it: it knows the keys of the one before', async () => {
    await system.killApi();
    await system.startApi();
    await send({ sign: 'unknown_kid', duplicate: 100 });
    await system.sim('/_sim/calls', undefined, 'DELETE');
    const [good] = await send({ webhook_type: 'MOON', webhook_code: 'FULL' });
    expect(firstStatus(good as Delivery)).toBe(200);
    const { calls } = await system.sim<{ calls: { path: string }[] }>('/_sim/calls');
    expect(calls.map(({ path }) => path)).not.toContain('/webhook_verification_key/get');
  });

  it('is what kept the booking away: a true one brings it', async () => {
    const [delivery] = await send({});
    expect(firstStatus(delivery as Delivery)).toBe(200);
    await until(async () => !(await isUntouched()));
  });
});
