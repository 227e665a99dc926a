import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { importJWK, jwtVerify, decodeProtectedHeader, type JWK } from 'jose';
import {
  Configuration,
  PlaidApi,
  Products,
  type RemovedTransaction,
  type Transaction,
  type TransactionsSyncResponse,
} from 'plaid';
import { startSimulator, type Simulator, type SimulatorOptions } from '../src/server.js';

/** Plaid's error as the official client meets it. */
export interface Refusal {
  status: number;
  error_type: string;
  error_code: string;
  error_message: string;
  request_id: string;
}

export interface Received {
  headers: IncomingHttpHeaders;
  raw: Buffer;
  body: Record<string, unknown>;
}

/** A webhook receiver that answers with what `answers` says next, else 200. */
export class Receiver {
  readonly received: Received[] = [];
  readonly answers: { status: number; headers?: Record<string, string> }[] = [];
  private server: Server | undefined;

  async start(): Promise<string> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const raw = Buffer.concat(chunks);
        this.received.push({
          headers: request.headers,
          raw,
          body: JSON.parse(raw.toString()) as Record<string, unknown>,
        });
        const answer = this.answers.shift() ?? { status: 200 };
        response.writeHead(answer.status, answer.headers).end();
      });
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/plaid`;
  }

  codes(): string[] {
    return this.received.map(({ body }) => String(body['webhook_code']));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.server) return resolve();
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

export interface Truth {
  item_id: string;
  phase: string;
  transactions_update_status: string;
  accounts: { account_id: string; closed: boolean; name: string }[];
  transactions: Transaction[];
  removed: string[];
  closed_account_transactions: string[];
  closed_account_removed: string[];
  numbers: { ach: unknown[] };
  webhooks_due: number;
}

export interface SentDelivery {
  id: string;
  item_id: string;
  state: string;
  webhook_code: string;
  body: string;
  attempts: { at: string; headers: Record<string, string>; status: number | null }[];
}

/** A simulator on a free port, the official client, and the controls. */
export class Rig {
  private constructor(
    readonly simulator: Simulator,
    readonly api: PlaidApi,
  ) {}

  static async start(options: Partial<SimulatorOptions> = {}): Promise<Rig> {
    // Time stands still unless it is moved: nothing here may depend on how fast the machine is.
    const simulator = await startSimulator({ transactionsPerItem: 60, clockScale: 0, ...options });
    return new Rig(simulator, clientFor(simulator.url));
  }

  get url(): string {
    return this.simulator.url;
  }

  async control<T = Record<string, unknown>>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
  ): Promise<T> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(method === 'POST'
        ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }
        : {}),
      signal: AbortSignal.timeout(120_000),
    });
    const answer = (await response.json()) as T;
    if (!response.ok) throw Object.assign(new Error(JSON.stringify(answer)), { status: response.status });
    return answer;
  }

  advance(duration: string) {
    return this.control('POST', '/_sim/clock', { advance: duration });
  }

  truth(itemId: string): Promise<Truth> {
    return this.control<Truth>('GET', `/_sim/items/${itemId}/truth`);
  }

  async deliveries(itemId: string): Promise<SentDelivery[]> {
    const { deliveries } = await this.control<{ deliveries: SentDelivery[] }>(
      'GET',
      `/_sim/webhooks?item_id=${itemId}`,
    );
    return deliveries;
  }

  change(itemId: string, changes: object) {
    return this.control<{ added: string[]; modified: string[]; removed: string[] }>(
      'POST',
      `/_sim/items/${itemId}/transactions`,
      changes,
    );
  }

  async link(
    options: {
      webhook?: string;
      username?: string;
      password?: string;
      institution?: string;
      products?: Products[];
      days?: number;
    } = {},
  ): Promise<{ itemId: string; accessToken: string; publicToken: string }> {
    const created = await this.api.sandboxPublicTokenCreate({
      institution_id: options.institution ?? 'ins_109508',
      initial_products: options.products ?? [Products.Transactions],
      options: {
        ...(options.webhook ? { webhook: options.webhook } : {}),
        ...(options.username ? { override_username: options.username } : {}),
        ...(options.password ? { override_password: options.password } : {}),
        transactions: { days_requested: options.days ?? 730 },
      },
    });
    const exchanged = await this.api.itemPublicTokenExchange({ public_token: created.data.public_token });
    return {
      itemId: exchanged.data.item_id,
      accessToken: exchanged.data.access_token,
      publicToken: created.data.public_token,
    };
  }

  async sync(accessToken: string, cursor?: string, count?: number): Promise<TransactionsSyncResponse> {
    const answer = await this.api.transactionsSync({
      access_token: accessToken,
      options: { include_original_description: true },
      ...(cursor === undefined ? {} : { cursor }),
      ...(count === undefined ? {} : { count }),
    });
    return answer.data;
  }

  /** A whole run from a cursor: every page, and the cursor that ends it. */
  async run(accessToken: string, from?: string, count = 500): Promise<Run> {
    const run: Run = { added: [], modified: [], removed: [], pages: 0, cursor: from ?? '' };
    for (;;) {
      const page = await this.sync(accessToken, run.cursor, count);
      run.added.push(...page.added);
      run.modified.push(...page.modified);
      run.removed.push(...page.removed);
      run.pages += 1;
      run.cursor = page.next_cursor;
      if (!page.has_more) return run;
    }
  }

  /** Checks a webhook as Plaid tells its users to; throws when it must be refused. */
  async verify(received: Received): Promise<void> {
    const token = received.headers['plaid-verification'];
    if (typeof token !== 'string') throw new Error('not signed');
    const header = decodeProtectedHeader(token);
    if (header.alg !== 'ES256') throw new Error(`alg ${header.alg}`);
    const { key } = (await this.api.webhookVerificationKeyGet({ key_id: String(header.kid) })).data;
    if (key.expired_at !== null) throw new Error('key expired');
    const { payload } = await jwtVerify(token, await importJWK(key as unknown as JWK, 'ES256'), {
      algorithms: ['ES256'],
      maxTokenAge: '5 min',
    });
    const hash = createHash('sha256').update(received.raw).digest('hex');
    if (payload['request_body_sha256'] !== hash) throw new Error('body hash');
  }

  close(): Promise<void> {
    return this.simulator.close();
  }
}

export interface Run {
  added: Transaction[];
  modified: Transaction[];
  removed: RemovedTransaction[];
  pages: number;
  cursor: string;
}

export function clientFor(url: string, clientId = 'client', secret = 'secret'): PlaidApi {
  return new PlaidApi(
    new Configuration({
      basePath: url,
      baseOptions: { headers: { 'PLAID-CLIENT-ID': clientId, 'PLAID-SECRET': secret }, timeout: 120_000 },
    }),
  );
}

/** The error that a call is refused with; a call that succeeds fails the test. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const { response } = error as { response?: { status: number; data: Omit<Refusal, 'status'> } };
    if (!response) throw error;
    return { ...response.data, status: response.status };
  }
  throw new Error('the call was not refused');
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > 120_000) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function byId(transactions: readonly Transaction[]): Map<string, Transaction> {
  return new Map(transactions.map((transaction) => [transaction.transaction_id, transaction]));
}

/** A simulator with a receiver of its webhooks; `webhook` is where to send them. */
export async function startListening() {
  const rig = await Rig.start();
  const receiver = new Receiver();
  return {
    rig,
    receiver,
    webhook: await receiver.start(),
    async close(): Promise<void> {
      await rig.close();
      await receiver.stop();
    },
  };
}
