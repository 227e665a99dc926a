import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What was done to the disk, in order: the system calls that a loss of power asks about. */
const done: string[] = [];
/** Its types do not know this of ES modules yet. */
const mocks = import.meta.jest as unknown as { unstable_mockModule(name: string, make: () => object): void };
mocks.unstable_mockModule('node:fs', () => ({
  ...fs,
  fsyncSync: (descriptor: number) => {
    done.push(fs.fstatSync(descriptor).isDirectory() ? 'fsync folder' : 'fsync file');
    fs.fsyncSync(descriptor);
  },
  renameSync: (from: string, to: string) => {
    done.push('rename');
    fs.renameSync(from, to);
  },
}));
const { writeFileAtomic } = await import('../../../tools/local/atomicFile.js');
const { keptSecrets } = await import('../../../tools/local/secrets.js');

const folder = fs.mkdtempSync(path.join(tmpdir(), 'sluice-atomic-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  done.length = 0;
});

it('a file is on the disk before it has its name, and its name before anybody relies on it', () => {
  const file = path.join(folder, 'new', 'file');
  writeFileAtomic(file, 'text ✓'.repeat(50_000));
  expect(done).toEqual(['fsync file', 'rename', 'fsync folder']);
  expect(fs.readFileSync(file, 'utf8')).toBe('text ✓'.repeat(50_000));
  expect(fs.readdirSync(path.dirname(file))).toEqual(['file']);
});

it('secrets are kept so, for their owner alone, also where a file stood that others could read', () => {
  const file = path.join(folder, 'secrets.json');
  fs.writeFileSync(file, '{"adminApiKey":"kept"}', { mode: 0o644 });
  expect(keptSecrets(folder).adminApiKey).toBe('kept');
  expect(done).toEqual(['fsync file', 'rename', 'fsync folder']);
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  const again = keptSecrets(folder);
  expect([done.length, again.encryptionKeys]).toEqual([3, keptSecrets(folder).encryptionKeys]);
});
