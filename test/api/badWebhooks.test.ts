import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createWebhookVerifier } from '../../src/clients/plaidWebhook.js';
import { memoryWebhookKeys } from '../clients/memoryWebhookKeys.js';
import { signWebhook, signingKey } from '../clients/signedWebhook.js';
import { createWorld } from './world.js';

/**
 * Fourteen classes of bad webhooks, each twenty times, before the real verifier: none is accepted, none has an effect, none is a fault
 * of ours, and all together cost Plaid a bounded number of look-ups.
 */
/** The verifier's clock stands still, so that no budget comes back and nothing grows old. */
const start = Date.now();
const good = signingKey('6c5516e1-92dc-479e-a8ff-5a51992e0001');
const expired = signingKey('6c5516e1-92dc-479e-a8ff-5a51992e0002', Math.floor(start / 1000) - 60);
/** Key ids that Plaid was asked for. */
const asked: string[] = [];
const verifier = createWebhookVerifier({
  now: () => start,
  store: memoryWebhookKeys(() => start),
  knownSenders: [],
  onFailure: () => undefined,
  async getKey(kid) {
    asked.push(kid);
    return [good.published, expired.published].find((key) => key.kid === kid) ?? null;
  },
});

const world = createWorld();
/** For bodies that never come. */
const hasty = createWorld({ requestMs: 400 });
const portOf = ({ app }: typeof world): number => (app.server.address() as AddressInfo).port;
for (const { behave } of [world, hasty]) {
  behave.verdict = (header, body, address) => verifier.verify(header, body, address);
}
beforeAll(() => Promise.all([world, hasty].map(({ app }) => app.listen({ port: 0, host: '127.0.0.1' }))));
afterAll(() => Promise.all([world, hasty].map(({ app }) => app.close())));

/** Each is another webhook of an Item of ours, in Plaid's byte form: accepted, it would be stored and signalled. */
const bodyOf = (at: number): Buffer =>
  Buffer.from(
    JSON.stringify(
      { at, item_id: 'item-1', webhook_code: 'SYNC_UPDATES_AVAILABLE', webhook_type: 'TRANSACTIONS' },
      null,
      2,
    ),
  );
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const payloadOf = (token: string): string => token.split('.')[1] as string;
const minute = 60_000;

async function post(body: Buffer, token: string | undefined): Promise<number> {
  const answer = await world.app.inject({
    method: 'POST',
    url: '/webhooks/plaid',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { 'plaid-verification': token }),
    },
    payload: body,
  });
  return answer.statusCode;
}

/** Over a real connection; with `missing` the body is announced and never comes. */
const sendRaw = (of: typeof world, body: Buffer, token: string, missing: boolean): Promise<number> =>
  new Promise((resolve) => {
    let said = '';
    const socket = connect(portOf(of), '127.0.0.1', () => {
      socket.write(
        `POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\nconnection: close\r\nplaid-verification: ${token}\r\n` +
          `content-length: ${body.length}\r\n\r\n`,
      );
      if (!missing) socket.write(body);
    });
    socket.on('data', (data) => (said += data.toString()));
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3}) /.exec(said)?.[1])));
    socket.on('error', () => undefined);
  });

type Attempt = (body: Buffer, at: number) => Promise<number | number[]>;
const classes: [name: string, expected: number[], attempt: Attempt][] = [
  ['no header', [401], (body) => post(body, undefined)],
  [
    'alg none',
    [401],
    async (body) => {
      const claims = payloadOf(await signWebhook(good, body, start));
      return post(body, `${encoded({ alg: 'none', kid: good.kid, typ: 'JWT' })}.${claims}.`);
    },
  ],
  [
    'HS256 by the public key',
    [401],
    async (body) => {
      const claims = payloadOf(await signWebhook(good, body, start));
      const signed = `${encoded({ alg: 'HS256', kid: good.kid, typ: 'JWT' })}.${claims}`;
      const mac = createHmac('sha256', JSON.stringify(good.published)).update(signed).digest('base64url');
      return post(body, `${signed}.${mac}`);
    },
  ],
  [
    'another key under the known id',
    [401],
    async (body) => post(body, await signWebhook(signingKey(good.kid), body, start)),
  ],
  [
    'an unknown key id',
    [401],
    async (body) => post(body, await signWebhook(signingKey('nobody'), body, start)),
  ],
  ['an expired key', [401], async (body) => post(body, await signWebhook(expired, body, start))],
  [
    'issued too long ago',
    [401],
    async (body, at) => post(body, await signWebhook(good, body, start - (6 + at) * minute)),
  ],
  [
    'issued in the future',
    [401],
    async (body, at) => post(body, await signWebhook(good, body, start + (2 + at) * minute)),
  ],
  [
    'one byte changed',
    [401],
    async (body, at) => {
      const changed = Buffer.from(body);
      changed[at] = (changed[at] as number) ^ 1;
      return post(changed, await signWebhook(good, body, start));
    },
  ],
  [
    'indented in another way',
    [401],
    async (body, at) =>
      post(
        Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, at === 2 ? 0 : at)),
        await signWebhook(good, body, start),
      ),
  ],
  [
    'a huge header',
    [401, 431],
    async (body, at) => {
      const padding = 'x'.repeat(at % 2 === 0 ? 9_000 : 20_000);
      const token = await signWebhook(good, body, start, { padding });
      return sendRaw(world, body, token, false);
    },
  ],
  [
    'a body of 1 MiB and more',
    [401, 413],
    async (_body, at) => {
      const large = Buffer.alloc(1024 * 1024 + (at % 2), 0x20);
      const token = await signWebhook(at % 2 === 0 ? signingKey(good.kid) : good, large, start);
      return post(large, token);
    },
  ],
  [
    'a body that never comes',
    [408],
    async (body) => sendRaw(hasty, body, await signWebhook(good, body, start), true),
  ],
  [
    'ever new key ids',
    [401, 429],
    (body, at) =>
      Promise.all(
        Array.from({ length: 10 }, async (_, one) =>
          post(body, await signWebhook(signingKey(`made-up-${at}-${one}`), body, start)),
        ),
      ),
  ],
];

it.each(classes)('%s: twenty of them are refused and have no effect', async (_name, expected, attempt) => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => attempt(bodyOf(at), at)));
  // Where there are two answers, both are met: each class has its easier and its harder half.
  expect([...new Set(answers.flat())].sort()).toEqual(expected);
  for (const { webhooks, signals, claims, delivered } of [world, hasty]) {
    expect([webhooks.size, signals, claims, delivered]).toEqual([0, [], [], []]);
  }
});

it('they cost Plaid a bounded number of look-ups', () => {
  // 201 ids were made up by one address, at one moment.
  expect(asked.length).toBeLessThanOrEqual(20);
  expect(asked.filter((kid) => kid === good.kid)).toHaveLength(1);
});

it('the same webhook with its own signature is taken: what was refused was refused for its fault', async () => {
  const body = bodyOf(0);
  expect(await post(body, await signWebhook(good, body, start))).toBe(200);
  expect(world.webhooks.size).toBe(1);
});
