import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { clientFor, until } from './rig.js';

const run = promisify(execFile);
const OWN = fileURLToPath(new URL('..', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

interface Manifest {
  version: string;
  license: string;
  engines: object;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

const manifest = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Manifest;

/** The simulator as a package of its own: what npx runs on a machine that has nothing else of this project. */
describe('the package plaid-simulator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'simulator-package-'));
  const children: ChildProcess[] = [];
  // jest's own flags are not npm's business.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'] };
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('needs what the project has, in the same versions, and nothing it does not import', () => {
    const own = manifest(join(OWN, 'package.json'));
    const root = manifest(join(ROOT, 'package.json'));
    expect([own.version, own.license, own.engines]).toEqual([root.version, root.license, root.engines]);
    const known = { ...root.devDependencies, ...root.dependencies };
    for (const [name, version] of Object.entries({ ...own.dependencies, ...own.devDependencies })) {
      expect([name, version]).toEqual([name, known[name]]);
    }
    const files = readdirSync(join(OWN, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\.(ts|mjs)$/.test(file),
    );
    const imported = new Map<string, boolean>();
    for (const file of files) {
      const text = readFileSync(join(OWN, 'src', file), 'utf8');
      for (const [, types, name = ''] of text.matchAll(
        /^(?:import|export)( type)?[^;]*? from '((?:@[^/']+\/)?[^./'][^/']*)[^']*';/gms,
      )) {
        if (!name.startsWith('node:')) imported.set(name, (imported.get(name) ?? false) || !types);
      }
    }
    const needed = (atRunTime: boolean) =>
      [...imported].flatMap(([name, runs]) => (runs === atRunTime ? [name] : [])).sort();
    expect(Object.keys(own.dependencies).sort()).toEqual(needed(true));
    // Besides the types, what runs it in a clone and what builds it.
    expect(Object.keys(own.devDependencies).sort()).toEqual(
      [...needed(false), 'tsx', 'typescript-native'].sort(),
    );
    expect(readFileSync(join(OWN, 'LICENSE'), 'utf8')).toBe(readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
  });

  it('runs from its tarball alone: packed, installed, linked an Item with, stopped', async () => {
    const packed = await run('npm', ['pack', OWN, '--pack-destination', folder, '--json'], { env });
    const [{ filename, files }] = JSON.parse(packed.stdout) as [
      { filename: string; files: { path: string }[] },
    ];
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'dist/main.js', 'package.json']));
    // Node refuses TypeScript under node_modules.
    expect(paths.filter((file) => /(?<!\.d)\.ts$/.test(file))).toEqual([]);
    await run('npm', ['init', '-y'], { cwd: folder, env });
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, filename)], {
      cwd: folder,
      env,
    });
    const binary = join(folder, 'node_modules', '.bin', 'plaid-simulator');
    expect((await run(binary, ['--version'], { cwd: folder, env })).stdout.trim()).toBe(
      manifest(join(OWN, 'package.json')).version,
    );
    expect((await run(binary, ['--help'], { cwd: folder, env })).stdout).toContain('--import FILE');
    await expect(run(binary, ['--limits', 'some'], { cwd: folder, env })).rejects.toMatchObject({ code: 2 });

    const child = spawn(binary, ['--transactions-per-item', '25', '--clock-scale', '0'], {
      cwd: folder,
      env,
    });
    children.push(child);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    await until(() => out.includes('\n'));
    const { url } = JSON.parse(out) as { url: string };
    const api = clientFor(url);
    const created = await api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: ['transactions' as never],
    });
    const { data } = await api.itemPublicTokenExchange({ public_token: created.data.public_token });
    await fetch(`${url}/_sim/items/${data.item_id}/advance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to: 'historical' }),
    });
    expect((await api.transactionsSync({ access_token: data.access_token })).data.added).toHaveLength(25);
    expect(await (await fetch(`${url}/_sim`)).text()).toContain('Plaid simulator');
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).toBe(0);
  });
});
