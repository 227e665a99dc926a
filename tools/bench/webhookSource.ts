import { createHash, randomUUID } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';

/** A webhook as Plaid sends it: body in Plaid's byte form, and its verification header. */
export interface SignedWebhook {
  body: string;
  token: string;
}

export interface WebhookSource {
  /** Stands for Plaid as far as the intake asks it: its verification keys. Goes to the API as PLAID_BASE_URL. */
  plaidUrl: string;
  sign(fields: Readonly<Record<string, unknown>>): Promise<SignedWebhook>;
  /** Resolves with the milliseconds until the 200, rejects at any other answer. */
  send(apiUrl: string, webhook: SignedWebhook): Promise<number>;
  close(): void;
}

/** Sends webhooks faster than the simulator does, which would otherwise be what is measured. */
export async function startWebhookSource(): Promise<WebhookSource> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const kid = randomUUID();
  const jwk = {
    ...(await exportJWK(publicKey)),
    kid,
    alg: 'ES256',
    use: 'sig',
    created_at: 0,
    expired_at: null,
  };
  const keys = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ key: jwk, request_id: 'bench' }));
  });
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return {
    plaidUrl: `http://127.0.0.1:${(keys.address() as AddressInfo).port}`,
    async sign(fields) {
      const sorted = Object.fromEntries(
        Object.entries({ environment: 'sandbox', ...fields }).sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      const body = JSON.stringify(sorted, null, 2);
      const claims = {
        iat: Math.floor(Date.now() / 1000),
        request_body_sha256: createHash('sha256').update(body).digest('hex'),
      };
      const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .sign(privateKey);
      return { body, token };
    },
    send: (apiUrl, { body, token }) =>
      new Promise((resolve, reject) => {
        const started = performance.now();
        const sent = request(`${apiUrl}/webhooks/plaid`, {
          method: 'POST',
          agent,
          headers: { 'content-type': 'application/json', 'plaid-verification': token },
        });
        sent.once('error', reject);
        sent.once('response', (response) => {
          response.resume();
          response.once('end', () =>
            response.statusCode === 200
              ? resolve(performance.now() - started)
              : reject(new Error(`a webhook was answered with ${response.statusCode}`)),
          );
        });
        sent.end(body);
      }),
    close() {
      agent.destroy();
      keys.close();
    },
  };
}
