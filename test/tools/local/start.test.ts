import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StackFile } from '../../../tools/local/deployment.js';
import { closedPlaceSubstitute } from '../../../tools/local/postgresAccount.js';
import { verdict } from '../../../tools/local/summary.js';
import { until } from '../../workflows/harness.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sluice-start-'));
});
afterAll(() => {
  rmSync(closedPlaceSubstitute(path.join(realpathSync(dir), 'data', 'postgres')), {
    recursive: true,
    force: true,
  });
  rmSync(dir, { recursive: true, force: true });
});

/** `npm start`, as the script in package.json runs it. */
function start(...options: string[]) {
  const child = spawn(
    process.execPath,
    [
      'tools/local/bootstrap.mjs',
      '--temporal',
      'tools/local/start.ts',
      '--data-dir',
      path.join(dir, 'data'),
      ...options,
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, ended, output: () => output };
}
const stackFile = (): string => path.join(dir, 'data', 'stack.json');

describe('npm start', () => {
  it('shows the demo, tells where everything is, stops cleanly, and goes on with what it kept', async () => {
    const first = start('--free-ports', '--transactions', '40');
    await until(() => first.output().includes('Ready.') || first.child.exitCode !== null, 200);
    expect(first.output()).toContain('equal to the truth');
    const stack = JSON.parse(readFileSync(stackFile(), 'utf8')) as StackFile;
    for (const url of [
      `${stack.api_url}/readyz`,
      stack.temporal_ui_url,
      `${stack.segment_sink_url}/events`,
    ]) {
      expect([url, (await fetch(url)).status]).toEqual([url, 200]);
    }
    expect(Object.keys(stack.pids).sort()).toEqual(
      ['api', 'kinesis', 'listener', 'postgres', 'segment', 'simulator', 'temporal', 'worker'].sort(),
    );
    // The demo's events have come in by an endpoint of its own, and are shown.
    const { events } = (await (await fetch(stack.event_receiver_url)).json()) as {
      events: { type: string }[];
    };
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['item.linked', 'item.ready', 'item.updated']),
    );
    expect(first.output()).toContain(stack.event_receiver_url);
    // Impatient people press Ctrl-C twice.
    first.child.kill('SIGINT');
    first.child.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(existsSync(stackFile())).toBe(false);

    const second = start('--free-ports', '--no-demo');
    await until(() => second.output().includes('Ready.') || second.child.exitCode !== null, 200);
    expect(second.output()).toContain('Ready.'); // else it says why
    const again = JSON.parse(readFileSync(stackFile(), 'utf8')) as StackFile;
    const headers = { authorization: `Bearer ${again.admin_api_key}` };
    const answer = await fetch(`${again.api_url}/v1/users/demo/transactions?limit=500`, { headers });
    expect(((await answer.json()) as { data: unknown[] }).data.length).toBeGreaterThan(30);
    // The same endpoint leads here again.
    const list = await fetch(`${again.api_url}/v1/endpoints`, { headers });
    const { data } = (await list.json()) as { data: { endpoint_id: string; url: string; state: string }[] };
    expect(data).toMatchObject([{ url: again.event_receiver_url, state: 'enabled' }]);
    await fetch(`${again.api_url}/v1/endpoints/${data[0]?.endpoint_id}/ping`, { method: 'POST', headers });
    await until(() => second.output().includes('event endpoint.ping'));
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  });
});

describe('the verdict of the demo', () => {
  it('names what did not come as expected, beside an item that is equal', () => {
    const equal = [{ differences: [] }] as never;
    const checks = [{ what: 'a removal', expected: 'refused', found: 'removed' }];
    expect(verdict(equal, checks)).toEqual({
      equal: false,
      line: 'NOT as expected: a removal: removed instead of refused',
    });
    expect(verdict(equal, [{ what: 'a removal', expected: 'refused', found: 'refused' }]).equal).toBe(true);
  });
});
