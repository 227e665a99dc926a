import * as files from 'node:fs/promises';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What was done to the disk, in order: the system calls that a loss of power asks about. */
const done: string[] = [];
/** Its types do not know this of ES modules yet. */
const mocks = import.meta.jest as unknown as { unstable_mockModule(name: string, make: () => object): void };
mocks.unstable_mockModule('node:fs/promises', () => ({
  ...files,
  async open(path: string, flags: string, mode?: number) {
    const handle = await files.open(path, flags, mode);
    const kind = (await handle.stat()).isDirectory() ? 'folder' : path.endsWith('.tmp') ? 'new file' : 'file';
    const watch = (call: 'sync' | 'datasync' | 'write'): void => {
      const real = handle[call].bind(handle) as (...args: unknown[]) => Promise<unknown>;
      Object.assign(handle, {
        [call]: (...args: unknown[]) => {
          if (done.at(-1) !== `${call} ${kind}`) done.push(`${call} ${kind}`);
          return real(...args);
        },
      });
    };
    for (const call of ['sync', 'datasync', 'write'] as const) watch(call);
    return handle;
  },
  rename: (from: string, to: string) => {
    done.push('rename');
    return files.rename(from, to);
  },
}));
const { Rig } = await import('./rig.js');

describe('the state file and a loss of power', () => {
  const folder = mkdtempSync(join(tmpdir(), 'simulator-power-'));
  const state = join(folder, 'world.jsonl');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('a world is on the disk before it takes the place of the old one, and its name before anybody relies on it', async () => {
    const rig = await Rig.start({ state });
    expect(done).toEqual(['write new file', 'sync new file', 'rename', 'sync folder']);
    await rig.close();
  });

  it('tokens are on the disk before an app is given them', async () => {
    const rig = await Rig.start({ state });
    done.length = 0;
    const { accessToken } = await rig.link();
    expect(done.filter((call) => call === 'datasync file').length).toBeGreaterThan(0);
    expect(done.at(-1)).toBe('datasync file');
    expect(readFileSync(state, 'utf8')).toContain(accessToken);
    await rig.close();
  });
});
