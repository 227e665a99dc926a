import { readFileSync } from 'node:fs';
import { satisfies, validRange } from 'semver';

interface Locked {
  version?: string;
  resolved?: string;
  link?: boolean;
  engines?: { node?: string };
}
const root = new URL('../', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, root), 'utf8'));
const lockfile = read('package-lock.json') as { packages: Record<string, Locked> };
const manifest = read('package.json') as { engines: { node: string } };
const packages = Object.entries(lockfile.packages);

/** The oldest Node that package.json promises to run on. */
const oldest = '20.19.0';

const refusing = (entries: [string, Locked][]): string[] =>
  entries.flatMap(([name, { engines }]) => {
    const range = engines?.node;
    if (range === undefined) return [];
    return validRange(range) !== null && satisfies(oldest, range) ? [] : [`${name}: ${range}`];
  });
const hosted = (entries: [string, Locked][]): string[] =>
  entries.flatMap(([name, { resolved }]) =>
    resolved !== undefined && /^[a-z+]+:/i.test(resolved) ? [`${name}: ${resolved}`] : [],
  );

describe('the lockfile', () => {
  it('is checked by rules that find what they look for', () => {
    expect(refusing([['newer', { engines: { node: '>=20.20' } }]])).toEqual(['newer: >=20.20']);
    expect(refusing([['other', { engines: { node: '^22 || >=24' } }]])).toEqual(['other: ^22 || >=24']);
    expect(refusing([['senseless', { engines: { node: 'new' } }]])).toEqual(['senseless: new']);
    const elsewhere = 'https://packages.example/a.tgz';
    expect(hosted([['fetched', { resolved: elsewhere }]])).toEqual([`fetched: ${elsewhere}`]);
  });

  it('holds only packages that run on the oldest Node promised', () => {
    expect(manifest.engines.node).toBe('>=20.19');
    expect(packages.length).toBeGreaterThan(300);
    expect(refusing(packages)).toEqual([]);
  });

  it('names no host to fetch from: every registry will do', () => {
    expect(hosted(packages)).toEqual([]);
  });
});
