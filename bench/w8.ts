import { createHash, randomUUID } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { openDatabase } from '../src/clients/postgres.js';
import { startBenchSystem } from './system.js';

const burst = 1_000;
const burstMs = 1_000;
const steadySeconds = 10;
const steadyConnections = 16;
const items = 50;

export interface W8Result {
  workload: 'W8';
  /** Of the burst, milliseconds from the request to its 200. */
  burst_p50_ms: number;
  burst_p99_ms: number;
  burst_slowest_ms: number;
  steady_per_second: number;
  steady_p99_ms: number;
  /** Webhooks answered with 200 that are not in the database. */
  lost: number;
}

const percentile = (sorted: readonly number[], share: number): number =>
  Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) * 10) /
  10;

/** Signed webhooks into the API of Items that it knows, each stored and signalled: 1,000 in a second, then as many as it takes. */
export async function w8(report: (line: string) => void): Promise<W8Result> {
  const system = await startBenchSystem({ transactionsPerItem: 0 });
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
  // Plaid, as far as the intake asks it.
  const keys = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ key: jwk, request_id: 'bench' }));
  });
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  try {
    const databaseUrl = await system.createDatabase('w8');
    const ids = await system.linkItems(databaseUrl, items);
    const plaidUrl = `http://127.0.0.1:${(keys.address() as AddressInfo).port}`;
    const api = await system.startServer(databaseUrl, { PLAID_BASE_URL: plaidUrl });

    let made = 0;
    const signed = async (): Promise<{ body: string; token: string }> => {
      const body = JSON.stringify(
        {
          environment: 'sandbox',
          item_id: ids[made % items],
          new_transactions: (made += 1),
          webhook_code: 'DEFAULT_UPDATE',
          webhook_type: 'TRANSACTIONS',
        },
        null,
        2,
      );
      const claims = {
        iat: Math.floor(Date.now() / 1000),
        request_body_sha256: createHash('sha256').update(body).digest('hex'),
      };
      const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .sign(privateKey);
      return { body, token };
    };
    const prepare = (count: number) => Promise.all(Array.from({ length: count }, signed));
    const send = ({ body, token }: { body: string; token: string }): Promise<number> =>
      new Promise((resolve, reject) => {
        const started = performance.now();
        const sent = request(`${api.url}/webhooks/plaid`, {
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
      });

    for (const webhook of await prepare(200)) await send(webhook);
    const storm = await prepare(burst);
    report(`${burst} in ${burstMs} ms …`);
    const answered = await Promise.all(
      storm.map(async (webhook, n) => {
        await new Promise((resolve) => setTimeout(resolve, (n * burstMs) / burst));
        return send(webhook);
      }),
    );
    const inBurst = answered.sort((a, b) => a - b);

    report(`${steadyConnections} connections for ${steadySeconds} s …`);
    const supply = await prepare(1_500 * steadySeconds);
    const times: number[] = [];
    const started = performance.now();
    const end = started + steadySeconds * 1000;
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        const webhook = supply.pop();
        if (webhook === undefined) return;
        times.push(await send(webhook));
      }
    };
    await Promise.all(Array.from({ length: steadyConnections }, lane));
    const seconds = (performance.now() - started) / 1000;
    times.sort((a, b) => a - b);

    const sql = openDatabase(databaseUrl, { max: 1 });
    const [stored] = await sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM webhooks WHERE verdict = 'accepted'`;
    await sql.end();
    return {
      workload: 'W8',
      burst_p50_ms: percentile(inBurst, 0.5),
      burst_p99_ms: percentile(inBurst, 0.99),
      burst_slowest_ms: percentile(inBurst, 1),
      steady_per_second: Math.round(times.length / seconds),
      steady_p99_ms: percentile(times, 0.99),
      lost: 200 + burst + times.length - stored.n,
    };
  } finally {
    agent.destroy();
    keys.close();
    await system.stop();
  }
}
