const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
const mapped = /^(?:::ffff:)(\d{1,3}(?:\.\d{1,3}){3})$/i;

/**
 * Whom an address is counted as. An IPv4 address counts as itself, also where it is written as an IPv6 one. An IPv6 address
 * counts as its /64, the least that one customer of a network holds. What is no address counts as it stands.
 */
export function addressBlock(address: string): string {
  const v4 = mapped.exec(address)?.[1];
  if (v4 !== undefined) return v4;
  const [bare = ''] = address.split('%', 1);
  if (!bare.includes(':')) return bare;
  const [before = '', after] = bare.split('::', 2);
  const head = groupsOf(before);
  const tail = groupsOf(after ?? '');
  // An IPv4 address at the end stands for two groups.
  const length = head.length + tail.length + (tail.at(-1)?.includes('.') === true ? 1 : 0);
  const gap = after === undefined ? [] : Array<string>(Math.max(0, 8 - length)).fill('0');
  const network = [...head, ...gap, ...tail].slice(0, 4);
  return `${network.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
