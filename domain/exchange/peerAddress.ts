/** Which addresses events may be sent to. Pure: the text of an address, as an operating system or a URL writes it. */

/** A network: its first address and how many of its bits count. */
interface Network {
  bytes: readonly number[];
  bits: number;
}

function ipv4Bytes(text: string): number[] | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return null;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : null;
}

/** Groups of 16 bits; one in dotted form at the end stands for two. */
function groupsOf(text: string): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const bytes = index === parts.length - 1 ? ipv4Bytes(part) : null;
      if (bytes === null) return null;
      const [a = 0, b = 0, c = 0, d = 0] = bytes;
      groups.push(a * 256 + b, c * 256 + d);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return null;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function ipv6Bytes(text: string): number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? '');
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '') : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  return groups.flatMap((group) => [group >> 8, group & 255]);
}

/** Four bytes or sixteen; null for what is no address, or is one of a link (`fe80::1%eth0`). */
const bytesOf = (text: string): number[] | null => (text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text));

export function parseNetwork(text: string): Network | null {
  const [address = '', length, ...more] = text.split('/');
  const bytes = bytesOf(address);
  if (bytes === null || more.length > 0) return null;
  if (length === undefined) return { bytes, bits: bytes.length * 8 };
  if (!/^\d{1,3}$/.test(length) || Number(length) > bytes.length * 8) return null;
  return { bytes, bits: Number(length) };
}

function isIn(bytes: readonly number[], network: Network): boolean {
  if (bytes.length !== network.bytes.length) return false;
  return bytes.every((byte, index) => {
    const bits = Math.min(Math.max(network.bits - index * 8, 0), 8);
    const mask = (0xff << (8 - bits)) & 0xff;
    return (byte & mask) === ((network.bytes[index] ?? 0) & mask);
  });
}

const networks = (texts: readonly string[]): Network[] =>
  texts.map((text) => {
    const network = parseNetwork(text);
    if (network === null) throw new TypeError(`no network: ${text}`);
    return network;
  });

/** IANA's special-purpose addresses, multicast, and the one public address at which a cloud gives out secrets (Azure's). */
const refusedIpv4 = networks([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]);

const globalUnicast = networks(['2000::/3']);
/** Of global unicast: protocol assignments with Teredo, documentation, and 6to4, which leads to any IPv4 address. */
const refusedIpv6 = networks(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);
/** IPv6 addresses that are IPv4 ones in other words, their last four bytes: mapped, and NAT64's own prefix. */
const wrapsIpv4 = networks(['::ffff:0:0/96', '64:ff9b::/96']);

/**
 * Whether events may be sent to an address: a public one, or one of the networks that the operator lets in. An IPv4 address in the
 * clothes of an IPv6 one is judged as itself.
 */
export function mayReach(address: string, allowed: readonly string[]): boolean {
  const bytes = bytesOf(address);
  if (bytes === null) return false;
  const inner = wrapsIpv4.some((network) => isIn(bytes, network)) ? bytes.slice(12) : bytes;
  const own = networks(allowed);
  if (own.some((network) => isIn(bytes, network) || isIn(inner, network))) return true;
  if (inner.length === 4) return !refusedIpv4.some((network) => isIn(inner, network));
  return (
    globalUnicast.some((network) => isIn(inner, network)) &&
    !refusedIpv6.some((network) => isIn(inner, network))
  );
}

export interface EndpointRules {
  /** Networks of the operator's own. */
  allowed: readonly string[];
  /** http is taken too: on a developer's machine. */
  insecure: boolean;
}

export const longestEndpointUrl = 2_048;

/** What is wrong with the URL of an endpoint; null = nothing that can be told before its name is looked up. */
export function endpointUrlFault(text: string, { allowed, insecure }: EndpointRules): string | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'is not a URL';
  }
  if (text.length > longestEndpointUrl || url.href.length > longestEndpointUrl) {
    return `is longer than ${longestEndpointUrl} characters`;
  }
  if (url.protocol !== 'https:' && !(insecure && url.protocol === 'http:')) return 'must be https';
  if (url.username !== '' || url.password !== '') return 'must hold no user name and no password';
  if (url.hash !== '') return 'must have no fragment';
  const literal = hostOf(url);
  if (bytesOf(literal) !== null && !mayReach(literal, allowed)) {
    return 'leads to an address that events are not sent to: a private, local or reserved one';
  }
  return null;
}

/** The host of a URL: a name, or an address without the brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');

/** Whether a host is an address, and no name. */
export const isAddress = (host: string): boolean => bytesOf(host) !== null;
