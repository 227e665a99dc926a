import fc from 'fast-check';
import { endpointUrlFault, isAddress, mayReach, parseNetwork } from '../../../domain/exchange/peerAddress.js';

const refused = [
  ['loopback', ['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '::', '::0.0.0.0']],
  [
    'private',
    ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fd12:3456::1', 'fec0::1'],
  ],
  [
    'link-local, and where clouds keep their secrets',
    [
      '169.254.169.254',
      '169.254.0.1',
      'fe80::1',
      'fe80::1%eth0',
      'fd00:ec2::254',
      '168.63.129.16',
      '100.100.100.200',
      '192.0.0.192',
    ],
  ],
  ['shared by carriers', ['100.64.0.1', '100.127.255.255']],
  ['multicast and broadcast', ['224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1']],
  [
    'reserved and of documents',
    [
      '192.0.2.1',
      '198.51.100.7',
      '203.0.113.9',
      '198.18.0.1',
      '240.0.0.1',
      '2001:db8::1',
      '3fff::1',
      '100::1',
    ],
  ],
  [
    'IPv4, mapped',
    [
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::FFFF:10.0.0.1',
      '0:0:0:0:0:ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
    ],
  ],
  ['IPv4, compatible or translated', ['::127.0.0.1', '::7f00:1', '::ffff:0:127.0.0.1', '::8.8.8.8']],
  ['NAT64', ['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b:1::8.8.8.8']],
  ['6to4 and Teredo', ['2002:7f00:1::1', '2002:808:808::1', '2001:0:7f00:1::', '2001::1']],
  [
    'no address',
    [
      '',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '0x7f.0.0.1',
      '256.1.1.1',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '::1.2.3.4.5',
      'g::1',
      '12345::1',
    ],
  ],
] as const;

describe('an address', () => {
  it.each(refused)('that is %s is not reached', (_, addresses) => {
    for (const address of addresses) expect([address, mayReach(address, [])]).toEqual([address, false]);
  });

  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ])('%s is public', (address) => expect(mayReach(address, [])).toBe(true));

  it('of an own network is reached where that is let in, in every spelling, and no other', () => {
    const own = ['10.1.0.0/16', 'fd12::/32', '127.0.0.1'];
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '64:ff9b::a01:203', 'fd12:0:1::1', '127.0.0.1']) {
      expect([address, mayReach(address, own)]).toEqual([address, true]);
    }
    for (const address of ['10.2.0.1', 'fd13::1', '127.0.0.2', '::1']) {
      expect([address, mayReach(address, own)]).toEqual([address, false]);
    }
  });

  it('is judged alike in whatever form an IPv6 address is written', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const full = groups.map((group) => group.toString(16).padStart(4, '0')).join(':');
        const canonical = new URL(`http://[${full}]/`).hostname.slice(1, -1);
        expect(mayReach(canonical, [])).toBe(mayReach(full, []));
        expect(isAddress(full)).toBe(true);
        const dotted = `${groups
          .slice(0, 6)
          .map((group) => group.toString(16))
          .join(':')}:${groups
          .slice(6)
          .flatMap((group) => [group >> 8, group & 255])
          .join('.')}`;
        expect(mayReach(dotted, [])).toBe(mayReach(full, []));
      }),
    );
  });

  it('lies in a network, or does not', () => {
    for (const wrong of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', 'x/8', '10.0.0.0/-1']) {
      expect([wrong, parseNetwork(wrong)]).toEqual([wrong, null]);
    }
    expect(mayReach('10.9.9.9', ['0.0.0.0/0'])).toBe(true);
  });
});

describe('the URL of an endpoint', () => {
  const fault = (url: string, rules = {}) =>
    endpointUrlFault(url, { allowed: [], insecure: false, ...rules });

  it('is https, to a name or a public address', () => {
    expect(fault('https://hooks.example.com/a?b=c')).toBeNull();
    expect(fault('https://8.8.8.8:8443/')).toBeNull();
    expect(fault('http://hooks.example.com/')).toBe('must be https');
    expect(fault('http://hooks.example.com/', { insecure: true })).toBeNull();
    expect(fault('ftp://hooks.example.com/', { insecure: true })).toBe('must be https');
    expect(fault('hooks.example.com')).toBe('is not a URL');
    expect(fault('https://user:word@hooks.example.com/')).toMatch(/password/);
    expect(fault('https://hooks.example.com/#x')).toMatch(/fragment/);
    expect(fault(`https://hooks.example.com/${'a'.repeat(2_048)}`)).toMatch(/longer/);
  });

  it.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://127.0.0.1./',
    'https://１２７.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://169.254.169.254/latest/meta-data',
  ])('%s leads to none', (url) => {
    expect(fault(url)).toMatch(/address that events are not sent to/);
    expect(fault(url, { allowed: ['127.0.0.0/8', '::1', '169.254.0.0/16', '2002::/16'] })).toBeNull();
  });
});
