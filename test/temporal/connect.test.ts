import { connectionOptions } from '../../src/temporal/connect.js';

const address = '127.0.0.1:7233';
const namespace = 'default';
const tlsOf = (more: Partial<Parameters<typeof connectionOptions>[0]>): unknown =>
  connectionOptions({ address, namespace, ...more }).tls;

describe('TLS to Temporal', () => {
  it('is off by itself, and on where an API key or anything of TLS is given', () => {
    expect(tlsOf({})).toBe(false);
    expect(tlsOf({ tls: true })).toBe(true);
    expect(tlsOf({ apiKey: 'key' })).toBe(true);
    expect(tlsOf({ tlsServerName: 'temporal' })).toEqual({ serverNameOverride: 'temporal' });
    expect(
      tlsOf({ serverCa: { data: 'ca' }, clientCert: { data: 'cert' }, clientKey: { data: 'key' } }),
    ).toEqual({
      serverRootCACertificate: Buffer.from('ca'),
      clientCertPair: { crt: Buffer.from('cert'), key: Buffer.from('key') },
    });
  });

  it('is off where it is turned off', () => {
    expect(tlsOf({ tls: false, apiKey: 'key' })).toBe(false);
    expect(tlsOf({ tls: false, serverCa: { data: 'ca' } })).toBe(false);
  });
});
