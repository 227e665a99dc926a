import { readFileSync } from 'node:fs';
import { satisfies, validRange } from 'semver';
import type { LockedPackage } from '../tools/release/licences.js';
import { licenceOf, refusedLicences } from '../tools/release/licences.js';
import { releaseBill } from '../tools/release/releaseBill.js';

interface Locked extends LockedPackage {
  resolved?: string;
  integrity?: string;
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

  it('has a hash of every package, so that a registry cannot give another', () => {
    const fetched = packages.filter(([place, { link }]) => place.includes('node_modules/') && link !== true);
    const unhashed = fetched.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ''));
    expect(unhashed.map(([place]) => place)).toEqual([]);
  });

  it('deploys only packages whose licence is allowed', () => {
    expect(refusedLicences(lockfile.packages)).toEqual([]);
    const deployed = packages.filter(([place, { dev }]) => place.includes('node_modules/') && dev !== true);
    expect(deployed.length).toBeGreaterThan(150);
  });
});

describe('a licence', () => {
  const of = (license?: string, name = 'some', version = '1.0.0') =>
    licenceOf(name, { version, ...(license === undefined ? {} : { license }) });

  it('is allowed by its id: one of several that may be chosen, each of several that all hold', () => {
    for (const one of ['MIT', '(Apache-2.0 OR GPL-3.0-only)', 'Apache-2.0 AND MIT'])
      expect(of(one)).toBe(one);
    for (const one of [
      'GPL-3.0-only',
      'AGPL-3.0-or-later',
      'UNLICENSED',
      'SEE LICENSE IN x',
      'MIT AND GPL-2.0-only',
      'MIT OR ISC AND SSPL-1.0',
      '',
      'mit',
    ]) {
      expect([one, of(one)]).toEqual([one, null]);
    }
    expect(of()).toBeNull();
  });

  it('that somebody has read holds for the version that was read', () => {
    expect(of(undefined, 'unionfs', '4.6.0')).toBe('Unlicense');
    expect(of(undefined, 'unionfs', '4.6.1')).toBeNull();
    expect(of('CC-BY-4.0', 'caniuse-lite')).toBe('CC-BY-4.0');
    expect(of('CC-BY-4.0', 'other')).toBeNull();
  });

  it('that is refused is named with its package; what is only for development is not deployed', () => {
    const locked = { version: '2.0.0', license: 'SSPL-1.0' };
    expect(
      refusedLicences({
        '': { license: 'MIT' },
        'packages/ours': { license: 'UNLICENSED' },
        'node_modules/ours': { link: true },
        'node_modules/tool': { ...locked, dev: true },
        'node_modules/a/node_modules/@b/store': locked,
        'node_modules/bare': { version: '1.0.0' },
      }),
    ).toEqual(['@b/store@2.0.0: SSPL-1.0', 'bare@1.0.0: none']);
  });
});

it('the bill of materials is named after the release, and leaves no licence out that is known', () => {
  const component = { name: 'a', version: '1.0.0', purl: 'pkg:npm/a@1.0.0', 'bom-ref': 'a@1.0.0' };
  const unionfs = { name: 'unionfs', version: '4.6.0', purl: 'p', 'bom-ref': 'r' };
  const mit = { ...component, licenses: [{ license: { id: 'MIT' } }] };
  const bill = releaseBill(
    {
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      metadata: { component: { ...component, name: 'some-folder' } },
      components: [mit, unionfs, { ...component, licenses: [] }],
    },
    { name: 'sluice', version: '1.4.0' },
  );
  expect(bill.metadata.component).toMatchObject({
    name: 'sluice',
    version: '1.4.0',
    purl: 'pkg:npm/sluice@1.4.0',
  });
  expect(bill.components.map(({ licenses }) => licenses)).toEqual([
    mit.licenses,
    [{ license: { name: 'Unlicense' } }],
    [],
  ]);
});
