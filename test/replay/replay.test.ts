import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { patchNames } from '../../domain/patches.js';
import { workflowBundleFile } from '../stack/testStack.js';
import { namedChanges } from './namedChanges.js';
import { playAll } from './paths.js';
import { workflowCode } from './workflowCode.js';

/** `npm run record-histories` sets it: the paths are played, and their histories are kept as those of this release. */
const record = process.env['RECORD_HISTORIES'] === 'yes';
const here = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(path.join(here, '../../package.json'), 'utf8')) as {
  version: string;
};
const codeFile = path.join(here, version, 'code.json');
const workflowBundle = { codePath: workflowBundleFile() };

interface Release {
  patches: string[];
  files: Record<string, string>;
}

/** Who ran it and where is nobody's business, and another at each recording. */
const anonymous = (json: string): string =>
  JSON.stringify(
    JSON.parse(json, (key, value: unknown) =>
      key === 'identity' ? 'worker' : key === 'stackTrace' ? '' : value,
    ),
  );

if (record) {
  it('records every path', async () => {
    const folder = path.join(here, version);
    // What is out cannot be recorded anew: it ran as its histories say.
    const changelog = readFileSync(path.join(here, '../../CHANGELOG.md'), 'utf8');
    if (changelog.includes(`## ${version}`))
      throw new Error(`${version} is released: raise the version in package.json, then record the next one`);
    const { temporal, played } = await playAll();
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const { name, workflowId, runId } of played) {
      const history = await temporal.client.workflow.getHandle(workflowId, runId).fetchHistory();
      const json = anonymous(historyToJSON(history));
      writeFileSync(path.join(folder, `${name.replaceAll(/[ ,]+/g, '-')}.json`), `${json}\n`);
    }
    const release: Release = { patches: [...patchNames], files: workflowCode() };
    writeFileSync(codeFile, `${JSON.stringify(release, null, 2)}\n`);
    await temporal.stop();
  });
}

const recorded = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name: release }) =>
    readdirSync(path.join(here, release))
      .filter((file) => file !== 'code.json')
      .map((file): [release: string, file: string] => [release, file]),
  );

const whatToDo =
  'A run that a release began goes another way under this code, and would be stuck at every living Item. ' +
  'Put the change under a name of domain/patches.ts, so that an older run goes on as it began: docs/upgrading.md.';

/** Replays a history; resolves to what is to be said of it, null when the code still goes the way it went. */
async function violation(history: unknown, workflowId: string): Promise<string | null> {
  try {
    await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
    return null;
  } catch (error) {
    if (error instanceof DeterminismViolationError) return `${whatToDo}\n${error.message}`;
    throw error;
  }
}

const unlessRecording = record ? describe.skip : describe;

unlessRecording('histories of releases', () => {
  it('are there for every path', () => {
    expect(recorded.length).toBeGreaterThanOrEqual(19);
  });

  it.each(record ? [['', '']] : recorded)(
    'of %s: %s is replayed by the code as it is',
    async (release, file) => {
      const history: unknown = JSON.parse(readFileSync(path.join(here, release, file), 'utf8'));
      expect(await violation(history, file)).toBeNull();
    },
  );

  it('are found wanting when a step of one is another', async () => {
    const file = path.join(here, version, 'sweep.json');
    const history = readFileSync(file, 'utf8');
    const other = history.replaceAll('"activityType":{"name":"sweep"}', '"activityType":{"name":"other"}');
    expect(other).not.toBe(history);
    expect(await violation(JSON.parse(history), 'sweep')).toBeNull();
    expect(await violation(JSON.parse(other), 'sweep')).toContain('domain/patches.ts');
  });
});

unlessRecording('code that runs inside workflows', () => {
  it('is that of the recorded histories, or has put what changed under a name', () => {
    const release = JSON.parse(readFileSync(codeFile, 'utf8')) as Release;
    const files = workflowCode();
    const changed = [...new Set([...Object.keys(files), ...Object.keys(release.files)])].filter(
      (file) => files[file] !== release.files[file],
    );
    const named = patchNames
      .filter((name) => !release.patches.includes(name))
      .flatMap((name): readonly string[] => namedChanges[name]);
    const advice =
      'Changed since the histories were recorded. Before the release is out: `npm run record-histories`. After: put the change ' +
      'under a new name of domain/patches.ts, and name the file in test/replay/namedChanges.ts (docs/upgrading.md).';
    const unnamed = changed.filter((file) => !named.includes(file));
    expect(unnamed.map((file) => `${file}: ${advice}`)).toEqual([]);
  });
});
