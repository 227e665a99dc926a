import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The matrix in docs/asvs.md: whole, without repetition, and with nothing in it that is not there. */
const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** Requirements of levels 1 and 2 in each section of ASVS 5.0.0. They come first in theirs: their numbers are 1 to this. */
const sections: Record<string, number> = {
  ...{ '1.1': 2, '1.2': 9, '1.3': 11, '1.4': 3, '1.5': 2 },
  ...{ '2.1': 3, '2.2': 3, '2.3': 4, '2.4': 1 },
  ...{ '3.2': 2, '3.3': 4, '3.4': 6, '3.5': 5, '3.7': 2 },
  ...{ '4.1': 3, '4.2': 1, '4.3': 2, '4.4': 4 },
  ...{ '6.1': 3, '6.2': 12, '6.3': 4, '6.4': 4, '6.5': 5, '6.6': 3, '6.8': 4 },
  ...{ '7.1': 3, '7.2': 4, '7.3': 2, '7.4': 5, '7.5': 2, '7.6': 2 },
  ...{ '8.1': 2, '8.2': 3, '8.3': 1, '8.4': 1 },
  ...{ '9.1': 3, '9.2': 4 },
  ...{ '11.1': 2, '11.2': 3, '11.3': 3, '11.4': 4, '11.5': 1, '11.6': 1 },
  ...{ '12.1': 3, '12.2': 2, '12.3': 4 },
  ...{ '13.1': 1, '13.2': 5, '13.3': 2, '13.4': 5 },
  ...{ '14.1': 2, '14.2': 4, '14.3': 3 },
  ...{ '15.1': 3, '15.2': 3, '15.3': 7 },
  ...{ '16.1': 1, '16.2': 5, '16.3': 4, '16.4': 3, '16.5': 3 },
};
const required = Object.entries(sections).flatMap(([section, count]) =>
  Array.from({ length: count }, (_, index) => `${section}.${index + 1}`),
);
const states = ['met', 'operator', 'not applicable', 'not met'];

const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-');

/** What is wrong with a link from docs/; null = nothing. */
function faultOfLink(target: string): string | null {
  const [file = '', anchor] = target.split('#');
  const found = path.join('docs', file);
  if (!existsSync(path.join(root, found))) return `no file ${found}`;
  if (anchor === undefined) return null;
  const headings = [...read(found).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string));
  return headings.includes(anchor) ? null : `no heading ${anchor} in ${found}`;
}

/** What is wrong with the matrix. */
function faultsOf(text: string): string[] {
  const rows = [...text.matchAll(/^\| +(\d+\.\d+\.\d+) +\|(.*)\|$/gm)].map(([, id, cells]) => {
    const [level = '', about = '', state = '', evidence = ''] = (cells as string)
      .split('|')
      .map((cell) => cell.trim());
    return { id: id as string, level, about, state, evidence };
  });
  const ids = rows.map(({ id }) => id);
  return [
    ...required.filter((id) => !ids.includes(id)).map((id) => `${id} is missing`),
    ...ids
      .filter((id, at) => !required.includes(id) || ids.indexOf(id) !== at)
      .map((id) => `${id} is too many`),
    ...rows.flatMap(({ id, level, about, state, evidence }) => {
      const cases = [...evidence.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)];
      const files = [...evidence.matchAll(/`((?:api|src|test|tools|docs|domain|drizzle)\/[^`]+)`/g)];
      const links = [...evidence.matchAll(/\]\(([^)]+)\)/g)];
      const faults = [
        /^[12]$/.test(level) && about !== '' ? null : 'says not what it is',
        states.includes(state) ? null : `no state: ${state}`,
        evidence === '' ? 'no reason' : null,
        state === 'met' && cases.length + files.length + links.length === 0 ? 'met by nothing' : null,
        ...files.map(([, file]) => (existsSync(path.join(root, file as string)) ? null : `no file ${file}`)),
        ...cases.map(([, file, name]) =>
          existsSync(path.join(root, file as string)) &&
          ["'", '"', '`'].some((quote) => read(file as string).includes(`${name}${quote}`))
            ? null
            : `no case "${name}" in ${file}`,
        ),
        ...links.map(([, target]) => faultOfLink(target as string)),
      ];
      return faults.filter((fault) => fault !== null).map((fault) => `${id}: ${fault}`);
    }),
  ];
}

const matrix = read('docs/asvs.md');

it('every requirement of levels 1 and 2 stands once, with a test that there is, or a reason', () => {
  expect(required).toHaveLength(208);
  expect(faultsOf(matrix)).toEqual([]);
});

it('a row that is missing, doubled, without reason, or that names what is not there is found', () => {
  const row = (of: RegExp): string => of.exec(matrix)?.[0] as string;
  const csrf = row(/^\| 3\.5\.1 .*$/m);
  const put = (text: string): string[] => faultsOf(matrix.replace(csrf, () => text));
  const of = (state: string, evidence: string): string => `| 3.5.1 | 1 | no CSRF | ${state} | ${evidence} |`;
  expect(put('')).toEqual(['3.5.1 is missing']);
  expect(put(`${csrf}\n${csrf}`)).toEqual(['3.5.1 is too many']);
  expect(put(of('met', 'we are careful'))).toEqual(['3.5.1: met by nothing']);
  expect(put(of('nearly', 'so it is'))).toEqual(['3.5.1: no state: nearly']);
  expect(put(of('operator', ''))).toEqual(['3.5.1: no reason']);
  expect(put(of('met', '`test/api/portal.test.ts`: "is safe"'))).toEqual([
    '3.5.1: no case "is safe" in test/api/portal.test.ts',
  ]);
  expect(put(of('met', '`api/safe.ts`'))).toEqual(['3.5.1: no file api/safe.ts']);
  expect(put(of('met', '[there](security.md#nowhere)'))).toEqual([
    '3.5.1: no heading nowhere in docs/security.md',
  ]);
});
