import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import type { WebhookKey } from '../../domain/ports/webhookKeys.js';
import type { WebhookRejection } from '../../src/clients/plaidWebhook.js';
import { createWebhookVerifier } from '../../src/clients/plaidWebhook.js';
import { Failure } from '../../domain/failures.js';
import { memoryWebhookKeys } from './memoryWebhookKeys.js';
import type { SigningKey } from './signedWebhook.js';
import { signWebhook, signingKey } from './signedWebhook.js';

const start = Date.parse('2026-11-21T10:00:00Z');
const minute = 60_000;
const hour = 60 * minute;
// Plaid's byte form: sorted keys, two spaces, no newline at the end.
const body = Buffer.from(
  JSON.stringify({ item_id: 'i1', webhook_code: 'DEFAULT_UPDATE', webhook_type: 'TRANSACTIONS' }, null, 2),
);
const good = signingKey('6c5516e1-92dc-479e-a8ff-5a51992e0001');

/** A verifier before a key endpoint that the test moves. */
function bench(published: WebhookKey[] = [good.published]) {
  const state = {
    now: start,
    published,
    down: null as Failure | null,
    hold: null as Promise<void> | null,
    asked: [] as string[],
  };
  const verifier = createWebhookVerifier({
    now: () => state.now,
    store: memoryWebhookKeys(() => state.now),
    knownSenders: [],
    onFailure: () => undefined,
    async getKey(kid) {
      state.asked.push(kid);
      if (state.hold) await state.hold;
      if (state.down) throw state.down;
      return state.published.find((key) => key.kid === kid) ?? null;
    },
  });
  return {
    state,
    verify: (token: string | undefined, bytes: Uint8Array = body) =>
      verifier.verify(token, bytes, '192.0.2.1'),
    rejectsWith: async (reason: WebhookRejection, token: string | undefined, bytes: Uint8Array = body) =>
      expect(await verifier.verify(token, bytes, '192.0.2.1')).toEqual({ kind: 'rejected', reason }),
  };
}

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsNow = { iat: start / 1000, request_body_sha256: 'ab'.repeat(32) };

describe('bad webhooks', () => {
  it('no header', async () => {
    const { rejectsWith, state } = bench();
    await rejectsWith('no_header', undefined);
    await rejectsWith('no_header', '');
    expect(state.asked).toEqual([]);
  });

  it('alg none', async () => {
    const { rejectsWith, state } = bench();
    const [, payload] = (await signWebhook(good, body, start)).split('.');
    const head = base64url({ alg: 'none', kid: good.kid, typ: 'JWT' });
    await rejectsWith('wrong_algorithm', `${head}.${payload}.`);
    await rejectsWith('wrong_algorithm', `${head}.${payload}.AAAA`);
    expect(state.asked).toEqual([]);
  });

  it('HS256 with the public key as the secret', async () => {
    const { rejectsWith, state } = bench();
    const [, payload] = (await signWebhook(good, body, start)).split('.');
    const signed = `${base64url({ alg: 'HS256', kid: good.kid, typ: 'JWT' })}.${payload}`;
    const mac = createHmac('sha256', JSON.stringify(good.published)).update(signed).digest('base64url');
    await rejectsWith('wrong_algorithm', `${signed}.${mac}`);
    expect(state.asked).toEqual([]);
  });

  it('another key under the same id', async () => {
    const { rejectsWith } = bench();
    await rejectsWith('bad_signature', await signWebhook(signingKey(good.kid), body, start));
  });

  it('a key of its own in the header', async () => {
    const { rejectsWith } = bench();
    const forger = signingKey(good.kid);
    const jwk = forger.privateKey.export({ format: 'jwk' });
    await rejectsWith('bad_signature', await signWebhook(forger, body, start, { jwk }));
  });

  it('an unknown key id', async () => {
    const { rejectsWith } = bench();
    await rejectsWith('unknown_key', await signWebhook(signingKey('someone-else'), body, start));
  });

  it.each(['', '../../etc/passwd', 'a'.repeat(129), 'a b', 'ä', 7, null])(
    'a key id that is none: %p',
    async (kid) => {
      const { rejectsWith, state } = bench();
      await rejectsWith('malformed_kid', await signWebhook(good, body, start, { kid }));
      expect(state.asked).toEqual([]);
    },
  );

  it('an expired key, also one that expires while it is cached', async () => {
    const expired = signingKey('old', start / 1000 - 1);
    const ending = signingKey('ending', start / 1000 + 60);
    const { rejectsWith, verify, state } = bench([expired.published, ending.published]);
    await rejectsWith('expired_key', await signWebhook(expired, body, start));
    expect(await verify(await signWebhook(ending, body, start))).toEqual({ kind: 'accepted' });
    state.now += 61_000;
    await rejectsWith('expired_key', await signWebhook(ending, body, state.now));
  });

  it('issued too long ago', async () => {
    const { rejectsWith, verify, state } = bench();
    await rejectsWith('too_old', await signWebhook(good, body, start - 5 * minute - 1_000));
    expect(state.asked).toEqual([]);
    expect(await verify(await signWebhook(good, body, start - 5 * minute))).toEqual({ kind: 'accepted' });
  });

  it('issued in the future', async () => {
    const { rejectsWith, verify } = bench();
    await rejectsWith('from_the_future', await signWebhook(good, body, start + minute + 1_000));
    expect(await verify(await signWebhook(good, body, start + minute))).toEqual({ kind: 'accepted' });
  });

  it('any one byte of the body changed', async () => {
    const { rejectsWith } = bench();
    const token = await signWebhook(good, body, start);
    for (let index = 0; index < body.length; index += 1) {
      const changed = Buffer.from(body);
      changed[index] = (changed[index] as number) ^ 1;
      await rejectsWith('body_changed', token, changed);
    }
    await rejectsWith('body_changed', token, Buffer.alloc(0));
  });

  it('the same JSON in other bytes', async () => {
    const { rejectsWith } = bench();
    const again = Buffer.from(JSON.stringify(JSON.parse(body.toString())));
    await rejectsWith('body_changed', await signWebhook(good, body, start), again);
  });

  it('a huge header, unparsed', async () => {
    const { rejectsWith, state } = bench();
    const token = await signWebhook(good, body, start, { padding: 'x'.repeat(8_192) });
    await rejectsWith('header_too_large', token);
    expect(state.asked).toEqual([]);
  });

  it('a body of 1 MiB whose hash is signed is judged by its signature, not by its size', async () => {
    const { verify, rejectsWith } = bench();
    const large = Buffer.alloc(1024 * 1024, 0x20);
    expect(await verify(await signWebhook(good, large, start), large)).toEqual({ kind: 'accepted' });
    await rejectsWith('body_changed', await signWebhook(good, large, start), large.subarray(1));
  });

  it.each([
    ['two parts', 'a.b'],
    ['four parts', 'a.b.c.d'],
    ['no JSON', `${Buffer.from('{').toString('base64url')}.${base64url(claimsNow)}.AAAA`],
    ['a payload of null', `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url(null)}.AAAA`],
    ['no iat', `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url({ request_body_sha256: 'a' })}.AAAA`],
    ['iat as text', `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url({ ...claimsNow, iat: '1' })}.AAAA`],
    ['no hash', `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url({ iat: start / 1000 })}.AAAA`],
    [
      'a short hash',
      `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url({ ...claimsNow, request_body_sha256: 'ab' })}.AAAA`,
    ],
    [
      'a critical extension',
      `${base64url({ alg: 'ES256', kid: 'k', crit: ['b64'], b64: false })}.${base64url(claimsNow)}.AAAA`,
    ],
    ['two headers joined', 'a.b.c, a.b.c'],
  ])('a malformed token: %s', async (_name, token) => {
    const { rejectsWith, state } = bench();
    await rejectsWith('malformed_token', token);
    expect(state.asked).toEqual([]);
  });

  it('no token at all is ever accepted but the one that was signed', async () => {
    const { verify } = bench();
    const token = await signWebhook(good, body, start);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(token.length - 1),
        fc.string({ minLength: 1, maxLength: 3 }),
        async (at, put) => {
          const changed = token.slice(0, at) + put + token.slice(at + put.length);
          // The last character of the signature's text carries bits that nobody reads.
          fc.pre(meaningOf(changed) !== meaningOf(token));
          expect((await verify(changed)).kind).not.toBe('accepted');
        },
      ),
    );
    expect(await verify(token)).toEqual({ kind: 'accepted' });
  });

  it('any text at all has a verdict', async () => {
    const { verify } = bench();
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        expect((await verify(text)).kind).toBe('rejected');
      }),
    );
  });
});

/** What is signed, and the signature's bytes. */
function meaningOf(token: string): string {
  const parts = token.split('.');
  return [...parts.slice(0, -1), Buffer.from(parts.at(-1) ?? '', 'base64url').toString('hex')].join('.');
}

describe('look-ups of keys', () => {
  it('a known key never needs the budget', async () => {
    const { verify, state } = bench();
    expect(await verify(await signWebhook(good, body, start))).toEqual({ kind: 'accepted' });
    for (let index = 0; index < 40; index += 1) {
      await verify(await signWebhook(signingKey(`kid-${index}`), body, start));
    }
    expect(await verify(await signWebhook(good, body, start))).toEqual({ kind: 'accepted' });
    expect(state.asked.filter((kid) => kid === good.kid)).toHaveLength(1);
  });

  it('an unknown id is remembered for a minute, then asked for again', async () => {
    const { verify, rejectsWith, state } = bench([]);
    const token = await signWebhook(good, body, start);
    for (let index = 0; index < 5; index += 1) await rejectsWith('unknown_key', token);
    expect(state.asked).toEqual([good.kid]);
    state.published = [good.published];
    state.now += minute;
    expect(await verify(token)).toEqual({ kind: 'accepted' });
  });

  it('a burst with a new key asks once', async () => {
    const { verify, state } = bench();
    let release = (): void => undefined;
    state.hold = new Promise((resolve) => (release = resolve));
    const token = await signWebhook(good, body, start);
    const burst = Array.from({ length: 100 }, () => verify(token));
    release();
    expect(new Set((await Promise.all(burst)).map(({ kind }) => kind))).toEqual(new Set(['accepted']));
    expect(state.asked).toEqual([good.kid]);
  });

  it('when Plaid cannot say, nothing is decided, and nothing is remembered', async () => {
    const { verify, state } = bench();
    const token = await signWebhook(good, body, start);
    state.down = new Failure('UPSTREAM_DOWN', 'down');
    expect(await verify(token)).toEqual({ kind: 'undecided', retryAfterMs: null });
    state.down = new Failure('RATE_LIMITED', 'slow down', { retryAfterMs: 4_000 });
    expect(await verify(token)).toEqual({ kind: 'undecided', retryAfterMs: 4_000 });
    state.down = null;
    state.now += 4_000;
    expect(await verify(token)).toEqual({ kind: 'accepted' });
  });

  it('failed look-ups cost budget too', async () => {
    const { verify, state } = bench();
    state.down = new Failure('UPSTREAM_DOWN', 'down');
    for (let index = 0; index < 60; index += 1) {
      await verify(await signWebhook(signingKey(`kid-${index}`), body, start));
    }
    // Half of what one stranger may ask for in a minute: the rest is for ids that come again.
    expect(state.asked).toHaveLength(15);
  });

  it.each<[string, Partial<WebhookKey>]>([
    ['the key of another id', { kid: 'other' }],
    ['another curve', { crv: 'P-384' }],
    ['another algorithm', { alg: 'RS256' }],
    ['a point that is on no curve', { x: 'AAAA' }],
  ])('an answer with %s decides nothing', async (_name, wrong) => {
    const verifier = createWebhookVerifier({
      now: () => start,
      store: memoryWebhookKeys(() => start),
      knownSenders: [],
      onFailure: () => undefined,
      getKey: async () => ({ ...good.published, ...wrong }),
    });
    expect(await verifier.verify(await signWebhook(good, body, start), body, '192.0.2.1')).toMatchObject({
      kind: 'undecided',
    });
  });

  it('a cached key is asked for again once a day, and its new end is obeyed', async () => {
    const { verify, rejectsWith, state } = bench();
    const fresh = (): Promise<string> => signWebhook(good, body, state.now);
    expect(await verify(await fresh())).toEqual({ kind: 'accepted' });
    state.published = [{ ...good.published, expired_at: start / 1000 + 1 }];
    state.now = start + 23 * hour;
    expect(await verify(await fresh())).toEqual({ kind: 'accepted' });
    expect(state.asked).toHaveLength(1);
    state.now = start + 24 * hour;
    await rejectsWith('expired_key', await fresh());
    expect(state.asked).toHaveLength(2);
  });

  it('a cached key that Plaid no longer knows is refused', async () => {
    const { verify, rejectsWith, state } = bench();
    expect(await verify(await signWebhook(good, body, state.now))).toEqual({ kind: 'accepted' });
    state.published = [];
    state.now += 24 * hour;
    await rejectsWith('unknown_key', await signWebhook(good, body, state.now));
  });

  it('while Plaid cannot say, a due key serves on for a day, then no longer', async () => {
    const { verify, state } = bench();
    const fresh = (): Promise<string> => signWebhook(good, body, state.now);
    expect(await verify(await fresh())).toEqual({ kind: 'accepted' });
    state.down = new Failure('UPSTREAM_DOWN', 'down');
    state.now = start + 24 * hour;
    expect(await verify(await fresh())).toEqual({ kind: 'accepted' });
    expect(await verify(await fresh())).toEqual({ kind: 'accepted' });
    expect(state.asked).toHaveLength(2);
    state.now = start + 48 * hour;
    expect(await verify(await fresh())).toEqual({ kind: 'undecided', retryAfterMs: null });
  });

  it('rotation: the new key is fetched, the old one is still good until it expires', async () => {
    const next: SigningKey = signingKey('6c5516e1-92dc-479e-a8ff-5a51992e0002');
    const { verify, state } = bench();
    expect(await verify(await signWebhook(good, body, start))).toEqual({ kind: 'accepted' });
    state.published = [good.published, next.published];
    expect(await verify(await signWebhook(next, body, start))).toEqual({ kind: 'accepted' });
    expect(await verify(await signWebhook(good, body, start))).toEqual({ kind: 'accepted' });
    expect(state.asked).toEqual([good.kid, next.kid]);
  });
});
