import { spawn, type ChildProcess as NodeChild } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { launch, type ChildProcess } from '../../../tools/local/childProcess.js';
import { withFileLock } from '../../../tools/local/fileLock.mjs';
import { startGuard } from '../../../tools/local/guard.js';
import { isSameProcess, processIdentity } from '../../../tools/local/processIdentity.mjs';
import { openProcessRegistry } from '../../../tools/local/processRegistry.js';
import { until } from '../../workflows/harness.js';

let dir: string;
let strangers: NodeChild[];
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sluice-processes-'));
  strangers = [];
});
afterEach(() => {
  for (const stranger of strangers) stranger.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const sleeper = (script = 'exec sleep 600'): Promise<ChildProcess> =>
  launch({ name: 'sleeper', command: 'sh', args: ['-c', script], logFile: path.join(dir, 'sleeper.log') });

async function stranger(): Promise<{
  pid: number;
  identity: string;
  gone: Promise<unknown>;
  child: NodeChild;
}> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  strangers.push(child);
  await new Promise((resolve) => child.once('spawn', resolve));
  const pid = child.pid ?? 0;
  return {
    pid,
    child,
    identity: processIdentity(pid) ?? '',
    gone: new Promise((resolve) => child.once('exit', resolve)),
  };
}
const record = (stack: object, children: object[]): void =>
  writeFileSync(path.join(dir, 'processes.json'), JSON.stringify({ stack, children }));
const dead = { pid: 2 ** 30, identity: 'no such process' };

describe('the identity of a process', () => {
  it('is not shared by a process of another start, and is gone with the process', async () => {
    const one = await stranger();
    expect(isSameProcess(one.pid, one.identity)).toBe(true);
    expect(isSameProcess(one.pid, 'another start')).toBe(false);
    one.child.kill('SIGKILL');
    await one.gone;
    expect(isSameProcess(one.pid, one.identity)).toBe(false);
    expect(processIdentity(-1)).toBeUndefined();
  });
});

describe('the registry of a data folder', () => {
  it('refuses a second stack while the first runs', async () => {
    const running = await stranger();
    record({ pid: running.pid, identity: running.identity }, []);
    await expect(openProcessRegistry(dir)).rejects.toThrow(
      `a stack already runs on ${dir} (process ${running.pid})`,
    );
  });

  it('ends what a killed stack left, but not a stranger who has got an old pid since', async () => {
    const left = await stranger();
    const innocent = await stranger();
    record(dead, [
      { pid: left.pid, identity: left.identity, signal: 'SIGTERM' },
      { pid: innocent.pid, identity: 'the process that had this pid before', signal: 'SIGTERM' },
    ]);
    const guard = await openProcessRegistry(dir);
    await left.gone;
    expect(isSameProcess(innocent.pid, innocent.identity)).toBe(true);
    await guard.close();
  });

  it('takes over from a record that is half written', async () => {
    writeFileSync(path.join(dir, 'processes.json'), '{"stack": {"pid"');
    const guard = await openProcessRegistry(dir);
    await guard.close();
    expect(existsSync(path.join(dir, 'processes.json'))).toBe(true);
  });
});

describe('the guard', () => {
  it('ends everything it knows, also what ignores the first signal, and removes the scratch folder', async () => {
    const scratch = mkdtempSync(path.join(dir, 'with space '));
    const guard = await startGuard(scratch, 1_000);
    const obedient = await sleeper();
    const stubborn = await sleeper("trap '' TERM; echo deaf; while :; do sleep 1; done");
    // A shell that has not come to its trap yet would obey.
    await until(() => readFileSync(stubborn.logFile, 'utf8').includes('deaf'));
    for (const child of [obedient, stubborn]) guard.add(child, 'SIGTERM');
    await guard.close(); // the same end of the pipe as when the stack is killed
    expect((await obedient.exited).signal).toBe('SIGTERM');
    expect((await stubborn.exited).signal).toBe('SIGKILL');
    expect(existsSync(scratch)).toBe(false);
  });

  it('leaves alone what was removed from its list', async () => {
    const guard = await startGuard();
    const [kept, gone] = [await sleeper(), await sleeper()];
    for (const child of [kept, gone]) guard.add(child, 'SIGTERM');
    guard.remove(kept);
    await guard.close();
    expect((await gone.exited).signal).toBe('SIGTERM');
    expect(kept.exit()).toBeUndefined();
    await kept.stop('SIGKILL', 1_000);
  });
});

describe('the file lock', () => {
  it('takes over the lock of a dead holder', async () => {
    const file = path.join(dir, 'lock');
    writeFileSync(file, JSON.stringify(dead));
    await expect(withFileLock(file, { timeoutMs: 120_000 }, () => Promise.resolve('done'))).resolves.toBe(
      'done',
    );
    expect(existsSync(file)).toBe(false);
  });

  it('waits for a living holder, says so, and gives up at its time-out', async () => {
    const file = path.join(dir, 'lock');
    const { pid, identity } = await stranger();
    writeFileSync(file, JSON.stringify({ pid, identity }));
    const waitedFor: number[] = [];
    const waiting = (holder: number) => void waitedFor.push(holder);
    await expect(
      withFileLock(file, { timeoutMs: 300, waiting }, () => Promise.resolve('done')),
    ).rejects.toThrow('another process still holds');
    expect(waitedFor).toEqual([pid]);
  });

  it('is given back when the work fails', async () => {
    const file = path.join(dir, 'lock');
    const failing = withFileLock(file, { timeoutMs: 120_000 }, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    await expect(withFileLock(file, { timeoutMs: 120_000 }, () => Promise.resolve(1))).resolves.toBe(1);
  });
});
