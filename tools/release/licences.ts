/** A package as `package-lock.json` describes it. */
export interface LockedPackage {
  version?: string;
  /** SPDX, as its publisher says. */
  license?: string;
  /** Only for development: no process of production loads it. */
  dev?: boolean;
  /** A workspace of ours. */
  link?: boolean;
}

/** Licences (SPDX) under which a package may be part of what is deployed: each allows use and passing on, and asks for no source. */
const allowed: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** What somebody has read, of one version: the next one is read again. */
const read: Readonly<Record<string, string>> = {
  // Facts about browsers, and no code; asks to be named.
  'caniuse-lite': 'CC-BY-4.0',
  // Says no more than `Public Domain`, which is no SPDX id.
  'jsonify@0.0.1': 'LicenseRef-Public-Domain',
  // Has no field; its file LICENSE is the Unlicense.
  'unionfs@4.6.0': 'Unlicense',
};

const nameOf = (place: string): string => place.replace(/^.*node_modules\//, '');

/** The licence of a package, in SPDX; null = nobody knows one that we may use. */
export function licenceOf(name: string, { version, license }: LockedPackage): string | null {
  const known = read[`${name}@${version}`];
  if (known !== undefined) return known;
  if (license === undefined) return null;
  if (read[name] === license) return license;
  const words = license.replace(/[()]/g, ' ').trim().split(/\s+/);
  const named = words.filter((_, at) => at % 2 === 0);
  const joints = new Set(words.filter((_, at) => at % 2 === 1));
  // One of them is enough, or all are needed; a text that mixes the two is read by somebody.
  if (joints.size > 1) return null;
  const fits = joints.has('OR') ? named.some((id) => allowed.has(id)) : named.every((id) => allowed.has(id));
  return fits ? license : null;
}

/** What is deployed under a licence that is not allowed: `<name>@<version>: <licence>`. */
export function refusedLicences(packages: Readonly<Record<string, LockedPackage>>): string[] {
  return Object.entries(packages).flatMap(([place, locked]) => {
    const ours = !place.includes('node_modules/') || locked.link === true;
    if (ours || locked.dev === true || licenceOf(nameOf(place), locked) !== null) return [];
    return [`${nameOf(place)}@${locked.version}: ${locked.license ?? 'none'}`];
  });
}
