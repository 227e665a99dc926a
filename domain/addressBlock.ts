const groupsOf = (part: string): number[] =>
  part === ''
    ? []
    : part.split(':').flatMap((group) => {
        // An IPv4 address at the end stands for two groups.
        const [a = 0, b, c = 0, d = 0] = group.split('.').map(Number);
        return b === undefined ? [Number.parseInt(group, 16)] : [a * 256 + b, c * 256 + d];
      });

/**
 * Whom an address is counted as. An IPv4 address counts as itself, also where it is written as an IPv6 one. An IPv6 address
 * counts as its /64, the least that one customer of a network holds. What is no address counts as it stands.
 */
export function addressBlock(address: string): string {
  const [bare = ''] = address.split('%', 1);
  if (!bare.includes(':')) return bare;
  const [before = '', after] = bare.split('::', 2);
  const head = groupsOf(before);
  const tail = groupsOf(after ?? '');
  const gap = after === undefined ? [] : Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0);
  const groups = [...head, ...gap, ...tail];
  const [high = 0, low = 0] = groups.slice(6);
  if (groups.slice(0, 6).join() === '0,0,0,0,0,65535') {
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}
