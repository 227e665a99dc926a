import { plaidEnvironment, SANDBOX_POLL, sandboxCredentials } from '../../../tools/local/plaidSandbox.js';
import { loadConfig } from '../../../src/config.js';

const local = {
  simulatorUrl: 'http://127.0.0.1:8290',
  apiUrl: 'http://127.0.0.1:8080',
  plaidClientId: 'local-id',
  plaidSecret: 'local-secret',
};
const credentials = { clientId: 'their-id', secret: 'their-secret', publicUrl: undefined };
const rest = {
  DATABASE_URL: 'postgres://u:p@127.0.0.1:5432/d',
  TEMPORAL_ADDRESS: '127.0.0.1:7233',
  AWS_REGION: 'us-east-1',
  ENCRYPTION_KEYS: `k:${Buffer.alloc(32).toString('base64')}`,
};

describe("Plaid's own sandbox in place of the simulator", () => {
  it('is used with its host and credentials, and without a public URL Items are polled', () => {
    const environment = plaidEnvironment(local, sandboxCredentials(credentials));
    expect(environment).toMatchObject({
      PLAID_ENV: 'sandbox',
      PLAID_CLIENT_ID: 'their-id',
      UPDATE_TIMEOUT: SANDBOX_POLL,
    });
    expect(environment).not.toHaveProperty('PUBLIC_URL');
    expect(environment).not.toHaveProperty('PLAID_BASE_URL');
    // What the processes make of it.
    expect(loadConfig('worker', { ...rest, ...environment })).toMatchObject({
      PLAID_ENV: 'sandbox',
      UPDATE_TIMEOUT: 30 * 60_000,
    });
  });

  it('gets webhooks where a public URL is given', () => {
    const given = sandboxCredentials({ ...credentials, publicUrl: 'https://tunnel.example/' });
    const environment = plaidEnvironment(local, given);
    expect(environment['PUBLIC_URL']).toBe('https://tunnel.example');
    expect(environment).not.toHaveProperty('UPDATE_TIMEOUT');
  });

  it('is not asked for by half, and not at all without a word', () => {
    expect(() => sandboxCredentials({ ...credentials, secret: undefined })).toThrow(/PLAID_SECRET/);
    expect(sandboxCredentials(undefined)).toBeUndefined();
    expect(plaidEnvironment(local, undefined)).toEqual({
      PLAID_BASE_URL: local.simulatorUrl,
      PLAID_CLIENT_ID: 'local-id',
      PLAID_SECRET: 'local-secret',
      PUBLIC_URL: local.apiUrl,
    });
  });
});
