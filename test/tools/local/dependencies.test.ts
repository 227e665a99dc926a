import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { missingDependencies } from '../../../tools/local/dependencies.mjs';

let root: string;
beforeEach(() => (root = mkdtempSync(path.join(tmpdir(), 'sluice-dependencies-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (file: string, packages: object): void => {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), JSON.stringify({ packages }));
};
const wanted = {
  '': { version: '1.0.0' },
  'node_modules/a': { version: '1.0.0' },
  'node_modules/b': { version: '2.0.0', dev: true },
  'node_modules/other-platform': { version: '3.0.0', optional: true },
};
const missing = (withDevelopment = true) => missingDependencies(root, { withDevelopment });

describe('what an install has to bring', () => {
  it('says what to do when the lockfile itself is gone', () => {
    expect(() => missing()).toThrow('git checkout package-lock.json');
  });

  it('is everything on a fresh clone and after an install that was interrupted', () => {
    write('package-lock.json', wanted);
    expect(missing()).toEqual(['node_modules']);
    mkdirSync(path.join(root, 'node_modules', 'a'), { recursive: true }); // npm writes its own list last
    expect(missing()).toEqual(['node_modules']);
  });

  it('is what the lockfile has in another version since', () => {
    write('package-lock.json', wanted);
    write('node_modules/.package-lock.json', { ...wanted, 'node_modules/a': { version: '0.9.0' } });
    expect(missing()).toEqual(['node_modules/a']);
  });

  it('is not the development packages in a production image, and never those of other platforms', () => {
    write('package-lock.json', wanted);
    write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0' } });
    expect(missing(false)).toEqual([]);
    expect(missing(true)).toEqual(['node_modules/b']);
  });
});
