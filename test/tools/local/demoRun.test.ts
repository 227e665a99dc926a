import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { StackFile } from '../../../tools/local/deployment.js';
import { runDemo } from '../../../tools/local/demoRun.js';

/** What Plaid takes as a configuration object. */
const MOST_BYTES = 55_000;

/** As large as the largest of Plaid's published users: printed for people it is over the limit, as JSON far below. */
const user = {
  override_accounts: [
    {
      type: 'depository',
      subtype: 'checking',
      transactions: Array.from({ length: 223 }, (_, n) => ({
        date_transacted: '2026-03-01',
        date_posted: '2026-03-02',
        amount: n + 0.25,
        description: `Café purchase number ${n}`,
        currency: 'USD',
      })),
    },
  ],
};

describe('the demo with a custom user', () => {
  let folder: string;
  let server: Server;
  let origin: string;
  let asked: { path: string; body: string }[];
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'sluice-demo-test-'));
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        asked.push({ path: String(request.url), body: Buffer.concat(parts).toString() });
        // Nobody has linked anything, and Plaid makes no token: what was asked for is all that is looked at.
        response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    asked = [];
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await new Promise((resolve) => server.close(resolve));
  });

  const run = (customUser: string) =>
    runDemo({
      stack: {
        api_url: origin,
        simulator_url: origin,
        admin_api_key: 'key',
        plaid_client_id: 'client',
        plaid_secret: 'secret',
        database_url: 'postgres://nobody@127.0.0.1:1/none',
        kinesis_endpoint: origin,
      } as StackFile,
      customUser,
      signal: new AbortController().signal,
    });

  it('sends it without the white space of its file', async () => {
    const file = path.join(folder, 'user.json');
    const printed = JSON.stringify(user, null, 4);
    expect(Buffer.byteLength(printed)).toBeGreaterThan(MOST_BYTES);
    writeFileSync(file, printed);
    await expect(run(file)).rejects.toThrow();
    const created = asked.find(({ path: at }) => at === '/sandbox/public_token/create');
    const { options } = JSON.parse(created?.body ?? '{}') as {
      options: { override_username: string; override_password: string };
    };
    expect(options.override_username).toBe('user_custom');
    expect(JSON.parse(options.override_password)).toEqual(user);
    expect(Buffer.byteLength(options.override_password)).toBeLessThan(MOST_BYTES);
  });

  it('says when the file is no JSON', async () => {
    const file = path.join(folder, 'broken.json');
    writeFileSync(file, '{');
    await expect(run(file)).rejects.toThrow('cannot be read as JSON');
    expect(asked).toEqual([]);
  });
});
